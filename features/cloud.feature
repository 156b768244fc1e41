Feature: MQTT, HTTP, time and updates from the simulated internet

  Scenario: An MQTT client is told what others publish
    Given the host "mqtt.example.com" is served by mqtt
    And the main script:
      """
      sys = require("sys")
      local client
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          client = mqtt.create(nil, "mqtt.example.com", 1883)
          client:auth("device-1", "user", "secret")
          client:on(function(c, event, topic, payload)
              log.info("mqtt", event, topic, payload)
              if event == "conack" then c:subscribe("device/1/in") end
          end)
          client:connect()
          sys.wait(10000)
          client:publish("device/1/out", "hello", 1)
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.mqtt\tconack" within 10 s
    And the broker sees a subscription to "device/1/in" within 5 s
    When "on" is published to "device/1/in"
    Then the log shows "I/user.mqtt\trecv\tdevice/1/in\ton" within 2 s
    And the broker receives "hello" on "device/1/out" within 15 s
    And the log shows "I/user.mqtt\tsent" within 2 s

  Scenario Outline: An HTTP request under both cores
    Given the host "api.example.com" is served by http
    And the firmware profile "<core>"
    And the HTTP server answers "/version" with "1.0.1"
    And the HTTP server answers "/gone" with status 410
    And the main script:
      """
      sys = require("sys") sysplus = require("sysplus")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          for _, path in ipairs({"/version", "/gone"}) do
              local code, headers, body = http.request("GET", "http://api.example.com" .. path).wait()
              log.info("http", path .. "=" .. code, body)
          end
      end)
      sys.run()
      """
    When the board is powered on
    Then the HTTP server answers GET "/version" with 200 within 10 s
    And the log matches "http./version=200.1.0.1" within 2 s
    And the log shows "/gone=410" within 5 s
    And everything the script used is modelled

    Examples:
      | core  |
      | v1112 |
      | new   |

  Scenario: An update over HTTP is installed by the next reset
    Given the host "update.example.com" is served by http
    And the HTTP server offers the firmware "fixtures/firmware/updated" as an update at "/fota.bin"
    And the main script:
      """
      sys = require("sys") sysplus = require("sysplus")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          log.info("fota", http.request("GET", "http://update.example.com/fota.bin", nil, nil, {fota = true}).wait())
          rtos.reboot()
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/fota fota ok!, wait reboot" within 10 s
    And the log shows "I/user.fota\t200" within 2 s
    And the log shows "I/user.version\t2.0.0\t0\t0\t1" within 10 s

  Scenario: A damaged update is refused
    Given the host "update.example.com" is served by http
    And the HTTP server answers "/fota.bin" with "this is no package, however long one makes the text: it lacks the magic number at its beginning"
    And the main script:
      """
      sys = require("sys") sysplus = require("sysplus")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          log.info("fota", http.request("GET", "http://update.example.com/fota.bin", nil, nil, {fota = true}).wait())
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/fota magic num error 73696874" within 10 s
    And the log shows "I/user.fota\t-9" within 2 s

  Scenario: The time comes from an NTP server
    Given the start time "2025-01-02T03:04:05"
    And the LTE profile "no-nitz"
    And the main script:
      """
      sys = require("sys")
      sys.subscribe("NTP_UPDATE", function() log.info("ntp", os.date("!%Y-%m-%d")) end)
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          socket.sntp()
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.ntp\t2025-01-02" within 10 s

  Scenario: Files go up to and come down from an FTP server
    Given the FTP server has the file "/cfg/app.json" with "{1}"
    And the main script:
      """
      sys = require("sys") sysplus = require("sysplus")
      sys.taskInit(function()
          sys.waitUntil("IP_READY")
          log.info("refused", ftp.login(nil, "ftp.example.com", 21, "user", "").wait())
          log.info("login", ftp.login(nil, "ftp.example.com", 21, "user", "secret").wait())
          log.info("pull", ftp.pull("/app.json", "/cfg/app.json").wait(), io.readFile("/app.json"))
          io.writeFile("/report.txt", "all well")
          log.info("push", ftp.push("/report.txt", "report.txt").wait())
          log.info("pwd", ftp.command("PWD").wait())
          -- What a failed download leaves behind spoils the next upload.
          log.info("pull", ftp.pull("/none.txt", "/none.txt").wait())
          sys.wait(1000)
          log.info("push", ftp.push("/report.txt", "again.txt").wait())
          log.info("close", ftp.close().wait())
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "I/user.refused\tfalse" within 10 s
    And the log shows "I/user.login\ttrue" within 10 s
    And the log shows "I/user.pull\ttrue\t{1}" within 10 s
    And the FTP server receives "all well" as "/report.txt" within 10 s
    And the log shows "I/user.push\ttrue" within 10 s
    And the log shows "I/user.pwd\t257" within 10 s
    And the log shows "I/user.pull\tfalse" within 10 s
    And the log shows "E/ftp data_netc already create" within 10 s
    And the log shows "I/user.push\tfalse" within 10 s
    And the log shows "I/user.close\t221" within 10 s
    And everything the script used is modelled
