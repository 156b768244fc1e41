Feature: Boot
  What a board does from power-on to its script, and when the script ends.

  Scenario: The boot lines come in order
    Given the firmware "fixtures/firmware/ws-echo"
    And the LTE profile "lab"
    When the board is powered on
    And 1 s passes
    Then the log begins with:
      """
      am_service_init 851:Air780E_A17
      Uart_BaseInitEx 1049:uart 0 rx cache 256 dma 256
      self_info 122:model Air780E_A17 imei 864317000000001
      I/pm poweron: Power/Reset
      I/main LuatOS@EC618 base 23.11 bsp V1112 32bit
      I/main ROM Build: Sep  3 2024 15:55:27
      D/main loadlibs luavm 262136 14360 14392
      D/main loadlibs sys   277872 53984 81264
      """

  Scenario: The modem attaches and the script hears of it
    Given the LTE profile "lab"
    And the main script:
      """
      _G.sys = require("sys")
      sys.subscribe("SIM_IND", function(state) log.info("sim", state) end)
      sys.subscribe("NTP_UPDATE", function() log.info("time", os.date()) end)
      sys.subscribe("IP_READY", function(ip, adapter) log.info("ip", ip, adapter) end)
      sys.run()
      """
    When the board is powered on
    Then the modem reports sim-ready within 2 s
    And the modem reports link-up within 5 s
    And the log shows "I/user.sim\tRDY" within 1 s
    And the log shows "I/user.sim\tGET_NUMBER" within 1 s
    And the log shows "I/user.time\tTue Sep  3 20:12:02 2024" within 1 s
    And the log shows "I/user.ip\t10.64.12.34\t1" within 1 s

  Scenario: Without NITZ the clock keeps its factory date
    Given the LTE profile "no-nitz"
    And the main script:
      """
      _G.sys = require("sys")
      sys.subscribe("IP_READY", function() log.info("date", os.date("!%Y-%m-%d")) end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "date\t2000-01-01" within 10 s

  @needs.sim.slot
  Scenario: Without a SIM there is no network, until one is put in
    Given the firmware "fixtures/firmware/ws-echo"
    And no SIM
    When the board is powered on
    Then the modem reports no-sim within 3 s
    And the log does not show "IP_READY" for 60 s
    And the server receives nothing for 1 s
    When the SIM is put in
    Then the log does not show "IP_READY" for 60 s
    When the reset key is pressed
    Then the log shows "IP_READY" within 10 s
    And the server receives text with "echo" within 10 s

  Scenario: A hung script is reset by its watchdog
    Given the main script:
      """
      _G.sys = require("sys")
      wdt.init(9000)
      sys.timerLoopStart(wdt.feed, 3000)
      sys.taskInit(function()
          sys.wait(5000)
          log.info("main", "hanging now")
          while true do end
      end)
      sys.run()
      """
    When the board is powered on
    Then the log shows "hanging now" within 6 s
    And the board resets by watchdog within 10 s
    And the log shows "LuatOS@EC618" within 1 s

  Scenario: A loop that polls ends, because time passes in it
    Given the main script:
      """
      local start = mcu.ticks()
      while mcu.ticks() - start < 500 do end
      log.info("polled", mcu.ticks() - start >= 500)
      gpio.setup(20, nil, gpio.PULLDOWN)
      while gpio.get(20) == 0 do end
      log.info("pin", "rose")
      """
    When the board is powered on
    Then the log shows "polled\ttrue" within 2 s
    When pin 20 goes high
    Then the log shows "pin\trose" within 1 s

  Scenario: An error in a task is logged, rolled back, and ends in a reboot
    Given the main script:
      """
      _G.sys = require("sys")
      sys.taskInit(function()
          sys.wait(1000)
          local t = nil
          t.x = 1
      end)
      sys.timerLoopStart(function() log.info("still", "alive") end, 100)
      sys.run()
      """
    When the board is powered on
    Then the log matches 'E/user\.coroutine\.resume\tmain\.lua:5: attempt to index a nil value \(local .t.\)' within 3 s
    And the script fails with "main.lua:5: attempt to index a nil value" within 1 s
    And the log shows "E/main Lua VM exit!! reboot in 15000ms" within 1 s
    And the board resets by software within 16 s
    And the log has shown "stack traceback:" 2 times

  Scenario: An error in the main chunk ends the VM at once
    Given the main script:
      """
      error("no further")
      """
    When the board is powered on
    Then the script fails with "main.lua:1: no further" within 1 s
    And the log shows "E/main Luat: " within 1 s
    And the board does not reset for 14 s
    And the board resets by software within 2 s

  Scenario: A function that is not there yet says so
    Given the main script:
      """
      local ok, message = pcall(package.seeall, {})
      log.info("seeall", ok, message)
      """
    When the board is powered on
    Then the log shows "E/package not modelled: package.seeall" within 1 s
    And the log shows "seeall\tfalse\tnot modelled: package.seeall" within 1 s

  Scenario: Calls to graphics are accepted and named once
    Given the main script:
      """
      log.info("lcd", lcd.init("st7789"), lcd.init("st7789"))
      """
    When the board is powered on
    Then the log shows "W/lcd not modelled: lcd.init is accepted and does nothing" within 1 s
    And the log shows "I/user.lcd\ttrue\ttrue" within 1 s

  Scenario: The reset key restarts the board
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    And 5 s pass
    And the reset key is pressed
    Then the log shows "am_service_init" within 1 s
    And the server receives text with "echo" within 10 s
