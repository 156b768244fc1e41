Feature: UARTs in light sleep
  With `pm.force(pm.LIGHT)` the chip sleeps whenever the script waits, and its UARTs
  are off. Only UART1's receiver wakes it; what it wakes on is lost.

  @needs.uart
  Scenario: The burst that wakes the chip is lost, the next is not
    Given the firmware "fixtures/firmware/light-sleep"
    When the board is powered on
    And 1 s passes
    And UART1 receives "early"
    Then the log shows "heard\t1\t5\tearly" within 1 s
    When 4 s pass
    And UART1 receives "wake up"
    Then the log shows "heard\t1\t-1\tfalse" within 100 ms
    And UART1 loses bytes by asleep within 100 ms
    And UART1 sends "again" within 1 s
    When 50 ms pass
    And UART1 receives "data"
    Then the log shows "heard\t1\t4\tdata" within 1 s
    When 10 s pass
    And UART1 receives "late"
    Then the log shows "heard\t1\t-1\tfalse" within 100 ms

  @needs.uart
  Scenario: Another UART does not hear, and wakes nothing
    Given the firmware "fixtures/firmware/light-sleep"
    When the board is powered on
    And 5 s pass
    And UART2 receives "anybody there"
    Then UART2 loses bytes by asleep within 100 ms
    And the log does not show "heard" for 2 s

  @needs.uart
  Scenario: At 9600 baud UART1 receives in its sleep
    Given the main script:
      """
      sys = require("sys")
      uart.setup(1, 9600)
      uart.on(1, "receive", function(id, len) log.info("heard", len, uart.read(id, len)) end)
      pm.force(pm.LIGHT)
      sys.run()
      """
    When the board is powered on
    And 5 s pass
    And UART1 receives "slowly"
    Then the log shows "heard\t6\tslowly" within 1 s

  @needs.uart
  Scenario: UART1 wakes the board from hibernation as well
    Given the main script:
      """
      sys = require("sys")
      uart.setup(1, 9600)
      local source, mode = pm.lastReson()
      log.info("woken by", source, mode)
      if source == 0 then
          sys.timerStart(function()
              mobile.flymode(0, true)
              pm.power(pm.WORK_MODE, 3)
          end, 3000)
      end
      sys.run()
      """
    When the board is powered on
    Then the board sleeps within 10 s
    When 5 s pass
    And UART2 receives "nobody hears"
    And 5 s pass
    And UART1 receives "wake up"
    Then the log shows "woken by\t3\t4" within 5 s
