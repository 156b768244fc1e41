Feature: The soft UART
  `uart.createSoft` makes a UART of two pins, two hardware timers and software.

  Background:
    Given the main script:
      """
      PROJECT = "soft" VERSION = "1.0.0"
      sys = require("sys")
      local id = uart.createSoft(21, 0, 1, 2)
      log.info("created", id, uart.exist(id), uart.createSoft(21, 0, 1, 2))
      log.info("setup", uart.setup(id, 9600, 8, 1, uart.NONE, uart.LSB, 100))
      uart.on(id, "receive", function(id, len)
          log.info("receive", id, len, uart.read(id, len))
      end)
      uart.on(id, "sent", function(id) log.info("sent", id) end)
      log.info("written", uart.write(id, "first "), uart.write(id, "second"))
      sys.run()
      """
    When the board is powered on
    Then the log shows "D/uart find free uart id, 4" within 1 s
    And the log shows "created\t4\ttrue\tnil" within 1 s
    And the log shows "setup\t0" within 1 s

  @needs.uart
  Scenario: Writes give 0, and "sent" comes once for all of them
    Then the log shows "written\t0\t0" within 1 s
    And UART4 sends "first second" within 1 s
    And the log shows "sent\t4" within 1 s
    And the log has shown "sent\t4" 1 times

  @needs.uart
  Scenario: A burst ends after forty bits of silence
    When 1 s passes
    And UART4 receives "hello"
    Then the log shows "receive\t4\t5\thello" within 20 ms

  @needs.uart
  Scenario: What the buffer has no room for is lost by the stage
    When 1 s passes
    And UART4 receives "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
    Then the log shows "receive\t4\t128" within 1 s
    And the log shows "receive\t4\t2\t89" within 1 s
