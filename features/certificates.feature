Feature: Certificates
  The firmware takes any certificate unless a script gives it one to check with.

  Scenario: A firmware that checks no certificate takes a wrong one
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    And the server shows a wrong certificate
    Then the log shows "I/websocket ready!!" within 10 s

  Scenario: A firmware that checks them does not
    Given the main script:
      """
      sys = require("sys")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          local c = socket.create(nil, function(_, event, code) log.info("net", event - socket.LINK, code) end)
          socket.config(c, nil, false, true, nil, nil, nil, [[-----BEGIN CERTIFICATE-----
      MIIBYTCCAROgAwIBAgIBATAFBgMrZXAwIDEeMBwGA1UEAwwVYWlydHVuIChhaXJi
      -----END CERTIFICATE-----]])
          socket.connect(c, "echo.airtun.air32.cn", 443)
      end)
      sys.run()
      """
    When the board is powered on
    And the server shows a wrong certificate
    Then the log shows "I/user.net\t1\t-1" within 20 s
