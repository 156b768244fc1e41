Feature: What is wired to the board

  Scenario: A sensor on I2C is read register by register
    Given a device at address 0x44 of I2C bus 1:
      | register | bytes    |
      | 0x00     | 12 34 56 |
    And the main script:
      """
      log.info("setup", i2c.setup(1, i2c.FAST))
      i2c.send(1, 0x44, string.char(0x01))
      log.info("read", (i2c.recv(1, 0x44, 2):toHex()))
      log.info("absent", #i2c.recv(1, 0x45, 2))
      """
    When the board is powered on
    Then the log shows "I/user.setup\t1" within 1 s
    And the log shows "I/user.read\t3456" within 1 s

  Scenario: A voltage on an ADC channel
    Given the main script:
      """
      sys = require("sys")
      sys.timerLoopStart(function()
          adc.open(0) log.info("adc", adc.get(0)) adc.close(0)
      end, 1000)
      sys.run()
      """
    When the board is powered on
    And ADC channel 0 reads 1800 mV
    Then the log shows "I/user.adc\t1800" within 3 s

  Scenario: A pin's interrupt
    Given the main script:
      """
      sys = require("sys")
      gpio.setup(20, function(level, pin) log.info("irq", pin, level) end, gpio.PULLUP, gpio.FALLING)
      sys.run()
      """
    When the board is powered on
    And 1 s pass
    And pin 20 goes low
    Then the log shows "I/user.irq\t20\t0" within 1 s

  Scenario: A short message
    Given the main script:
      """
      sys = require("sys")
      sms.setNewSmsCb(function(number, text) log.info("sms", number, text) end)
      sys.run()
      """
    When the board is powered on
    And 5 s pass
    And the SMS "hello" arrives from "+8613800000000"
    Then the log shows "hello" within 2 s

  Scenario: Deep sleep and waking by a timer
    Given the main script:
      """
      sys = require("sys")
      log.info("wake", pm.lastReson())
      sys.taskInit(function()
          sys.wait(3000)
          -- Nothing may keep the chip awake: no USB, no radio.
          pm.power(pm.USB, false)
          mobile.flymode(0, true)
          sys.wait(500)
          pm.dtimerStart(0, 20000)
          pm.force(pm.HIB)
      end)
      sys.run()
      """
    When the board is powered on
    Then the board sleeps within 10 s
    And the board wakes within 40 s

  Scenario: Files outlive a reset, memory does not
    Given the main script:
      """
      sys = require("sys")
      log.info("kept", fskv.init(), fskv.get("boots"), io.readFile("/note.txt"), io.exists("/ram/x"))
      fskv.set("boots", (fskv.get("boots") or 0) + 1)
      io.writeFile("/note.txt", "written")
      io.writeFile("/ram/x", "gone")
      sys.run()
      """
    When the board is powered on
    And 1 s pass
    And the reset key is pressed
    Then the log shows "I/user.kept\ttrue\t1\twritten\tfalse" within 2 s

  Scenario: A satellite receiver on a UART
    Given the main script:
      """
      sys = require("sys")
      sys.subscribe("GNSS_STATE", function(state) log.info("gnss", state, libgnss.locStr(1)) end)
      uart.setup(1, 115200)
      libgnss.bind(1)
      sys.run()
      """
    When the board is powered on
    And 1 s pass
    And UART1 receives "$GNRMC,040506.00,A,2324.12223,N,11313.58210,E,1.25,133.7,030124,,\r\n"
    Then the log shows "I/gnss Fixed 232412223 1131358210" within 1 s
    And the log shows "I/user.gnss\tFIXED\t232412223,1131358210" within 1 s
    When UART1 receives "$GNRMC,040507.00,V,,,,,,,030124,,\r\n"
    Then the log shows "I/user.gnss\tLOSE" within 1 s
