Feature: UART to WebSocket bridge
  The firmware of the second tutorial.

  Background:
    Given the firmware "fixtures/firmware/uart-bridge"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s
    And the board runs for 2 s

  @needs.uart
  Scenario: "echo" with the quotes is bridged
    When UART1 receives '"echo"'
    Then the log shows 'I/user.uart\treceived\t"echo"' within 1 s
    And the log shows 'I/user.bridge\t6\t"echo"' within 2 s
    And the server receives text with '"action":"echo"' within 2 s
    And UART1 sends '"server": "airtun"' within 5 s

  @needs.uart
  Scenario: echo without the quotes is not
    When UART1 receives 'echo'
    Then the log shows "I/user.bridge\t4\techo" within 2 s
    And the server receives nothing for 10 s

  @needs.uart
  Scenario: Of two bursts within one second the first is read twice
    When UART1 receives "first!"
    And 100 ms pass
    And UART1 receives "second"
    Then the log shows "received\tfirst!" within 1 s
    And the board runs for 2 s
    And the log has shown "received\tfirst!" 2 times
    And the log has shown "received\tsecond" 0 times

  @needs.uart
  Scenario: A peer at another baud rate is not understood
    When UART1 receives "hello" at 9600 baud
    Then UART1 loses bytes by framing within 1 s
    And the log does not show "received" for 3 s

  @needs.uart
  Scenario: Bytes that come before anybody listens wait in the cache
    When the reset key is pressed
    And 1 s passes
    And UART1 receives "early "
    And 10 s pass
    And UART1 receives "late"
    Then the log shows "received\tearly late" within 2 s
