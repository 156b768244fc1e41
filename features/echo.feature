Feature: WebSocket echo
  The firmware of the first tutorial and its relatives against the local airtun.

  Scenario: Echo over TLS
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket connect host echo.airtun.air32.cn port 443" within 10 s
    And the log shows "I/websocket ready!!" within 10 s
    And the log shows "I/user.ws\tconack\tnil\tnil\tnil" within 1 s
    And the server receives text with '"action":"echo","msg":"Tue Sep  3 20:12' within 5 s
    And the log shows "I/user.ws\tsent\tnil\tnil\tnil" within 5 s
    And the log matches 'I/user\.ws\trecv\t\{\n   "action": "echo",\n   "msg": "[^"]*",\n   "server": "airtun"\n\}\t1\t1' within 5 s
    And everything the script used is modelled

  Scenario: Echo without TLS
    Given the LTE profile "lab"
    And the main script:
      """
      _G.sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local wsc = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo")
          wsc:on(function(_, event, data) log.info("ws", event, data) end)
          wsc:connect()
          sys.waitUntil("WEBSOCKET_CONNACK")
          log.info("sent", wsc:send('{"action":"echo","n":1.50}'), wsc:ready())
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/websocket connect host echo.airtun.air32.cn port 80" within 10 s
    And the log shows "sent\tfalse\ttrue" within 10 s
    And the server receives the text '{"action":"echo","n":1.50}' within 1 s
    And the log matches '"n": 1\.5,\n   "server": "airtun"' within 5 s

  Scenario: Binary frames on echo2
    Given the firmware "fixtures/firmware/ws-echo2"
    When the board is powered on
    Then the server sees a connection to "/ws/echo2" within 10 s
    And the server receives the bytes "A5 5A 00 00 FF" within 5 s
    And the log shows "echo2\tA55A0000FF\t1\t2\tsame" within 5 s
    And the server receives the bytes "A5 5A 01 00 FF" within 6 s
    And the log does not show "DIFFERENT" for 30 s

  Scenario: Headers of a table arrive as the firmware writes them
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the server sees the header "Auth: Basic%20QUlSQkVOQ0g=" within 10 s
    And the server sees the header "Host: echo.airtun.air32.cn:443" within 1 s
    And the server sees the header "Sec-WebSocket-Key: w4v7O6xFTi36lq3RNcgctw==" within 1 s

  Scenario: The power-on reason is reported once over UDP
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the errDump server receives "ws-echo_LuatOS-SoC_V1112_EC618,1.0.0,864317000000001,," within 10 s
    And the errDump server receives "poweron reason:0" within 1 s
    And the log shows "D/errDump errdump ok!" within 5 s

  Scenario: Idle connections are kept alive by pings
    Given the LTE profile "lab"
    And the main script:
      """
      _G.sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local wsc = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo", 60)
          wsc:on(function(_, event) log.info("ws", event) end)
          wsc:connect()
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "ws\tconack" within 10 s
    And the log does not show "disconnect" for 20 minutes

  Scenario: A silent connection is closed by the server after five minutes
    Given the LTE profile "lab"
    And the main script:
      """
      _G.sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local wsc = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo", 3600)
          wsc:on(function(_, event) log.info("ws", event) end)
          wsc:connect()
          sys.waitUntil("WEBSOCKET_CONNACK")
          wsc:send("x")
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "ws\tconack" within 10 s
    And the log does not show "disconnect" for 290 s
    And the log shows "ws\tdisconnect" within 20 s

  @long
  Scenario: A day of echoes, none lost
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    And 24 h pass
    Then the server has received at least 5758 messages
    And every message was echoed to the script
    And the script has not failed

  Scenario: Frames too large for the device close the connection
    Given the LTE profile "lab"
    And the main script:
      """
      _G.sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local wsc = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo2")
          wsc:on(function(_, event, data) log.info("ws", event, data and #data) end)
          wsc:connect()
          sys.waitUntil("WEBSOCKET_CONNACK")
          wsc:send(("x"):rep(4000))
          sys.wait(5000)
          wsc:send(("x"):rep(5000))
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "ws\trecv\t4000" within 10 s
    # The firmware minds its full buffer when more comes: the answer to a ping.
    And the log shows "websocket buff is FULL" within 70 s
    And the log shows "ws\tdisconnect" within 1 s
