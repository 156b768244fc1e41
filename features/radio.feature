Feature: An impaired radio link
  Packets meet MTU, duplication, loss, corruption, a queue with its rate, delay
  and reordering, each direction apart.

  @needs.lte.impair
  Scenario: Damaged packets are repeated until all is right
    Given the LTE profile "cat1-good"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 20 s
    When the radio link damages 20 % of the packets both ways
    And 2 minutes pass
    And the radio link is as before
    And 30 s pass
    Then the server receives text with "echo" within 60 s

  @needs.lte.impair
  Scenario: Doubles and overtaking packets do no harm
    Given the LTE profile "cat1-good"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    And the radio link doubles 30 % of the packets both ways
    And the radio link reorders 30 % of the packets both ways
    Then the log shows "I/websocket ready!!" within 30 s
    When 60 s pass
    Then the server has received at least 3 messages
    And every message was echoed to the script

  @needs.lte.impair
  Scenario: Full segments vanish in a black hole
    Given the LTE profile "mtu-blackhole"
    And the main script:
      """
      sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local c = socket.create(nil, function(ctrl, event, code)
              log.info("net", event, code)
              if event == socket.ON_LINE and code == 0 then
                  socket.tx(ctrl, ("x"):rep(4000))
              end
          end)
          socket.config(c)
          socket.connect(c, "netlab.luatos.com", 8888)
      end)
      sys.run()
      """
    And the host "netlab.luatos.com" is served by echo
    When the board is powered on
    Then the log shows "I/user.net\t33554449\t0" within 10 s
    And the log does not show "I/user.net\t33554450\t0" for 60 s
    And the log shows "not closing, but error -13" within 120 s

  @needs.lte.impair
  Scenario: Any impairment of a profile, changed on the way
    Given the LTE profile "cat1-good"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 20 s
    When the radio link is impaired downwards:
      """
      four_state = { p13 = 0.05, p31 = 0.3, p32 = 0.1, p23 = 0.4, p14 = 0.01 }
      distribution = "pareto"
      jitter_ms = 30
      """
    And the radio link carries 64 kbit/s upwards
    And 5 minutes pass
    And the radio link is up for 20 s and down for 5 s in turn
    And 5 minutes pass
    And the radio link is as before
    Then the server receives text with "echo" within 90 s

  @needs.lte.impair
  Scenario: A saturated downlink carries what the cell has, and loses the rest
    Given the LTE profile "cat1-good"
    And the firmware "fixtures/firmware/downlink"
    When the board is powered on
    And 30 s pass
    Then the log matches "downlink.1[12][0-9]{6}.bytes" within 11 s
