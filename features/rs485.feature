Feature: RS-485
  `uart.setup` takes a pin that switches the transceiver between sending and
  listening.

  Background:
    Given the main script:
      """
      PROJECT = "rs485" VERSION = "1.0.0"
      sys = require("sys")
      uart.setup(1, 9600, 8, 1, uart.NONE, uart.LSB, 1024, 10, 0, 5000)
      uart.on(1, "receive", function(id, len)
          log.info("asked", uart.read(id, len))
          uart.write(1, "0123456789")
      end)
      uart.on(1, "sent", function(id) log.info("sent", mcu.ticks()) end)
      sys.run()
      """
    When the board is powered on
    And 1 s passes

  @needs.uart @needs.pins
  Scenario: The pin is high from the write until five milliseconds after it
    When UART1 receives "?"
    Then pin 10 is driven to 1 within 20 ms
    And UART1 sends "0123456789" within 20 ms
    And pin 10 is driven to 0 within 6 ms
    And the log shows "sent" within 1 ms
