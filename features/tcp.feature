Feature: TCP
  The device's TCP has lwIP's timers: an outage looks as it does on the chip.

  @needs.lte.impair
  Scenario: A connect into a black hole is given up three seconds after the sixth SYN
    Given the main script:
      """
      PROJECT = "tcp" VERSION = "1.0.0"
      sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local c = socket.create(nil, function(c, event) log.info("event", event) end)
          socket.config(c, nil, false)
          log.info("connect", socket.connect(c, "203.0.113.200", 7))
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "connect\ttrue" within 10 s
    And the log does not show "event" for 17900 ms
    And the log shows "event\t" within 200 ms

  @needs.lte.impair
  Scenario: Probes of socket.config find a connection that has died
    Given the main script:
      """
      PROJECT = "tcp" VERSION = "1.0.0"
      sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local c = socket.create(nil, function(c, event) log.info("event", event) end)
          socket.config(c, 5000, false, false, 30, 10, 3)
          socket.connect(c, "echo.airtun.air32.cn", 80)
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "event\t" within 10 s
    And the board runs for 2 minutes
    And the log has shown "event\t" 1 times
    When the radio link goes down
    Then the log shows "event\t" within 65 s
