Feature: The modem and the carrier
  What the network does to a device that does nothing wrong.

  Scenario: A SIM with a PIN waits for it
    Given the LTE profile "sim-pin"
    And the main script:
      """
      sys = require("sys")
      sys.subscribe("SIM_IND", function(state)
          log.info("sim", state, mobile.simPin(), mobile.status())
          if state == "SIM_PIN" then
              log.info("wrong", mobile.simPin(0, mobile.PIN_VERIFY, "0000"))
              log.info("right", mobile.simPin(0, mobile.PIN_VERIFY, "1234"))
          end
      end)
      sys.subscribe("IP_READY", function(ip) log.info("ip", ip, mobile.simPin()) end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.sim\tSIM_PIN\tfalse\t0" within 3 s
    And the log shows "I/user.wrong\tfalse" within 1 s
    And the log shows "I/user.right\ttrue" within 1 s
    And the log shows "I/user.sim\tRDY\ttrue\t2" within 1 s
    And the log shows "I/user.ip\t10.64.12.34\ttrue" within 5 s

  Scenario: A device that is refused says so and stays outside
    Given the LTE profile "registration-denied"
    And the main script:
      """
      sys = require("sys")
      sys.timerLoopStart(function() log.info("status", mobile.status(), mobile.csq()) end, 5000)
      sys.run()
      """
    When the board is powered on
    Then the log shows "NAS Event 6 Reject 7 CellID" within 3 s
    And the log shows "I/user.status\t3\t0" within 10 s
    And the log does not show "IP_READY" for 10 minutes

  Scenario: Five refusals cost the device twelve minutes more
    Given the LTE profile "registration-flaky"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "Reject 17" within 3 s
    When 60 s pass
    Then the log has shown "Reject 17" 5 times
    And the log shows "NETIF_LINK_ON -> IP_READY" within 13 minutes

  Scenario: Signal values follow the radio condition
    Given the main script:
      """
      sys = require("sys")
      sys.timerLoopStart(function()
          log.info("cell", mobile.csq(), mobile.rssi(), mobile.rsrp(), mobile.rsrq(), mobile.snr())
      end, 5000)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.cell\t24\t-65\t-90\t-9\t17" within 15 s
    When the cell is received with RSRP -115 dBm, RSRQ -15 dB and SNR 0 dB
    Then the log shows "I/user.cell\t14\t-84\t-115\t-15\t0" within 6 s

  Scenario: A lost context stays away until flight mode is switched
    Given the main script:
      """
      sys = require("sys")
      sys.subscribe("IP_LOSE", function(adapter)
          log.info("lost", adapter, mobile.status())
          sys.timerStart(function()
              mobile.flymode(0, true)
              mobile.flymode(0, false)
          end, 600000)
      end)
      sys.subscribe("IP_READY", function() log.info("up") end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.up" within 10 s
    When the network drops the connection
    Then the log shows "D/mobile cid1, state2" within 1 s
    And the log shows "D/mobile NETIF_LINK_OFF -> IP_LOSE" within 1 s
    And the log shows "I/user.lost\t1\t1" within 1 s
    And the log does not show "I/user.up" for 9 minutes
    And the log shows "I/user.up" within 2 minutes

  @needs.lte.impair
  Scenario: A translator that forgets takes the connection silently
    Given the LTE profile "nat-240s-silent"
    And the main script:
      """
      sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local c = socket.create(nil, function(ctrl, event, code)
              log.info("net", event, code)
              if event == socket.ON_LINE and code == 0 then
                  sys.timerStart(function() socket.tx(ctrl, "after five minutes") end, 300000)
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
    When 5 s pass
    And 6 minutes pass
    Then the log shows "not closing, but error -13" within 3 minutes

  @needs.lte.impair
  Scenario: A translator that resets says so with the next packet
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s
    When the carrier resets TCP connections after 5 s and forgets UDP after 2 minutes
    Then the log shows "not closing, but error -14" within 30 s
    And the log shows "I/websocket reconnect after 3000ms" within 1 s

  Scenario: Name servers that are silent, and that lie
    Given the LTE profile "dns-blackhole"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/DNS dns all done ,now stop" within 20 s
    And the log does not show "I/websocket ready!!" for 60 s
    When the carrier's name servers lie
    And the carrier's name servers answer
    Then the log shows "I/websocket ready!!" within 2 minutes

  @needs.lte.impair
  Scenario: An idle device is promoted before it speaks, and released after its tail
    Given the LTE profile "cat1-realistic"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the modem reports rrc-connected within 10 s
    And the modem reports rrc-idle within 60 s
    And the log shows "I/websocket ready!!" within 60 s
    When 5 minutes pass
    Then every message was echoed to the script

  Scenario: A dead bearer keeps its address
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s
    When the bearer dies
    Then the log does not show "IP_LOSE" for 5 minutes
    When the bearer is back
    Then the log shows "I/websocket ready!!" within 2 minutes

  @needs.sim.slot
  Scenario: setAuto looks for a SIM that was pulled
    Given the LTE profile "sim-hotplug"
    And the main script:
      """
      sys = require("sys")
      mobile.setAuto(10000)
      sys.subscribe("SIM_IND", function(state) log.info("sim", state, mobile.status()) end)
      sys.subscribe("IP_READY", function() log.info("up") end)
      sys.subscribe("IP_LOSE", function() log.info("lost") end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.up" within 10 s
    When the SIM is taken out
    Then the log shows "I/user.sim\tNORDY\t0" within 1 s
    And the log shows "I/user.lost" within 1 s
    And the log shows "prvSimCheck 494:sim error and reset stack" within 11 s
    And the log shows "I/user.sim\tNORDY" within 1 s
    When the SIM is put in
    Then the log shows "I/user.sim\tRDY" within 11 s
    And the log shows "I/user.up" within 3 s

  Scenario: setAuto restarts the stack when there is no network
    Given the main script:
      """
      sys = require("sys")
      mobile.setAuto(0, 30000, 8, true, 60000)
      sys.subscribe("CELL_INFO_UPDATE", function() log.info("cells") end)
      sys.subscribe("IP_READY", function() log.info("up") end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.up" within 10 s
    And the log shows "I/user.cells" within 31 s
    And the log shows "I/user.cells" within 31 s
    When the network drops the connection
    Then the log does not show "I/user.up" for 55 s
    And the log shows "I/user.up" within 10 s

  Scenario: Wrong PINs are counted by the SIM, not by the board
    Given the LTE profile "sim-pin"
    And the main script:
      """
      sys = require("sys")
      sys.subscribe("SIM_IND", function(state)
          if state ~= "SIM_PIN" then return log.info("sim", state) end
          log.info("wrong", mobile.simPin(0, mobile.PIN_VERIFY, "0000"))
          if io.exists("/tried") then
              log.info("again", mobile.simPin(0, mobile.PIN_VERIFY, "0001"))
              log.info("late", mobile.simPin(0, mobile.PIN_VERIFY, "1234"))
          end
          io.writeFile("/tried", "x")
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.wrong\tfalse" within 3 s
    When 1 s passes
    And the reset key is pressed
    Then the log shows "I/user.again\tfalse" within 3 s
    And the log shows "I/user.late\tfalse" within 1 s
    And the log does not show "I/user.sim\tRDY" for 30 s

  @needs.lte.impair
  Scenario: A radio link failure is mended, or ends in the idle state
    Given the LTE profile "elevator"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s
    When the radio link is down for 500 ms
    And the radio link is down for 2 s
    Then the modem reports radio-link-failure within 1 s
    And the modem reports rrc-reestablished within 2 s
    When the radio link is down for 6 s
    Then the modem reports out-of-service within 1 s
    And the modem reports cell-found within 1 s
    And the log does not show "IP_LOSE" for 10 s

  @needs.lte.impair
  Scenario: After an outage only flight mode brings the network back
    Given the LTE profile "rlf-flymode"
    And the main script:
      """
      sys = require("sys")
      sys.subscribe("IP_READY", function() log.info("up") end)
      sys.subscribe("IP_LOSE", function()
          sys.timerStart(function() mobile.flymode(0, true) mobile.flymode(0, false) end, 300000)
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.up" within 10 s
    When the radio link is down for 10 s
    Then the log shows "NETIF_LINK_OFF -> IP_LOSE" within 1 s
    And the log does not show "I/user.up" for 4 minutes
    And the log shows "I/user.up" within 2 minutes

  @needs.lte.impair
  Scenario: A device that saves power is not reached until it speaks
    Given the LTE profile "psm"
    And the main script:
      """
      sys = require("sys")
      local c
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          mobile.config(mobile.CONF_PSM_MODE, 1)
          c = mqtt.create(nil, "lbsmqtt.airm2m.com", 1884)
          c:auth("sleeper", "user", "password")
          c:keepalive(3600)
          c:on(function(_, event, topic, payload)
              if event == "conack" then c:subscribe("down", 1) end
              log.info("mqtt", event, topic, payload)
          end)
          c:connect()
          sys.wait(100000)
          c:publish("up", "here")
      end)
      sys.run()
      """
    And the host "lbsmqtt.airm2m.com" is served by mqtt:1884
    When the board is powered on
    Then the broker sees a subscription to "down" within 20 s
    And the modem reports rrc-idle within 20 s
    When 60 s pass
    And "wake up" is published to "down"
    Then the log does not show "recv" for 25 s
    And the log shows "I/user.mqtt\trecv\tdown\twake up" within 2 minutes

  @needs.lte.impair
  Scenario: A server that vanishes leaves a half-open connection
    Given the LTE profile "half-open-server"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s
    And the log shows "not closing, but error -13" within 4 minutes
    And the log shows "I/websocket ready!!" within 12 minutes

  @needs.lte.impair
  Scenario: A server that comes back without a memory resets what it does not know
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s
    When the server's machine vanishes
    And 2 s pass
    And the server's machine is back
    Then the log shows "not closing, but error -14" within 30 s
    And the log shows "I/websocket ready!!" within 30 s

  @needs.lte.impair
  Scenario: An outage is noticed by a device that does nothing
    Given the LTE profile "rlf-flymode"
    And the main script:
      """
      sys = require("sys")
      sys.run()
      """
    When the board is powered on
    Then the log shows "NETIF_LINK_ON -> IP_READY" within 10 s
    When 20 s pass
    And the radio link goes down
    Then the modem reports radio-link-failure within 1100 ms
    And the modem reports out-of-service within 3100 ms
    And the log shows "NETIF_LINK_OFF -> IP_LOSE" within 1 s

  Scenario: A device that may not search the cell's band finds no network
    Given the main script:
      """
      sys = require("sys")
      local bands = zbuff.create(40)
      sys.subscribe("IP_READY", function() log.info("up") end)
      if io.exists("/set") then
          sys.timerStart(function()
              bands[0], bands[1] = 3, 8
              mobile.setBand(bands, 2)
          end, 30000)
      else
          io.writeFile("/set", "x")
          bands[0] = 8
          log.info("set", mobile.setBand(bands, 1))
      end
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.set\ttrue" within 2 s
    And the log does not show "I/user.up" for 60 s
    When the reset key is pressed
    Then the log does not show "I/user.up" for 29 s
    And the log shows "I/user.up" within 5 s

  @needs.lte.impair
  Scenario: A device that is switched on in an outage attaches after it
    Given the main script:
      """
      sys = require("sys")
      sys.run()
      """
    When the board is powered on
    And the radio link goes down
    Then the log does not show "IP_READY" for 60 s
    When the radio link comes back
    Then the log shows "NETIF_LINK_ON -> IP_READY" within 10 s

  @needs.lte.impair
  Scenario: An attach that is under way when the link fails has failed
    Given the main script:
      """
      sys = require("sys")
      sys.run()
      """
    When the board is powered on
    And 1500 ms pass
    And the radio link goes down
    Then the log does not show "IP_READY" for 60 s
    When the radio link comes back
    Then the log shows "NETIF_LINK_ON -> IP_READY" within 10 s

  @needs.lte.impair
  Scenario: A short message waits until the device can be reached
    Given the main script:
      """
      sys = require("sys")
      sms.setNewSmsCb(function(phone, text) log.info("message", phone, text) end)
      sys.run()
      """
    When the board is powered on
    And 10 s pass
    And the radio link goes down
    And the SMS "hello" arrives from "+8613800000000"
    Then the log does not show "message" for 30 s
    When the radio link comes back
    Then the log shows "hello" within 2 s

  @needs.lte.impair
  Scenario: A device out of service is not registered
    Given the LTE profile "rlf-flymode"
    And the main script:
      """
      sys = require("sys")
      sys.timerLoopStart(function() log.info("is", mobile.status(), mobile.csq()) end, 1000)
      sys.run()
      """
    When the board is powered on
    And 20 s pass
    And the radio link goes down
    And 10 s pass
    Then the log shows "is\t2\t0" within 2 s

  Scenario: Who has something to send does not wait for a page
    Given the LTE profile "edrx"
    And the main script:
      """
      sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local m = mqtt.create(nil, "broker.emqx.io", 1883)
          m:auth("me")
          m:on(function(m, event, topic, payload)
              log.info("mqtt", event, payload)
              if event == "conack" then m:subscribe("down") end
          end)
          m:connect()
          sys.waitUntil("SEND")
          m:publish("up", "now")
      end)
      gpio.setup(7, function() sys.publish("SEND") end, gpio.PULLUP)
      sys.run()
      """
    When the board is powered on
    Then the log shows "mqtt\tconack" within 60 s
    When 60 s pass
    And "page me" is published to "down"
    And 100 ms pass
    And pin 7 goes low
    Then the modem reports rrc-connected within 1 s

  @needs.lte.impair
  Scenario: A change of cell shows while the device is connected
    Given the LTE profile "handover"
    And the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the modem reports handover within 60 s
