Feature: Reconnect
  What the firmware's automatic reconnect makes of a bad day.

  Background:
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s

  @needs.lte.impair
  Scenario: A short outage is bridged by TCP
    When the radio link is down for 20 s
    Then the log does not show "disconnect" for 60 s
    And the server has received at least 4 messages

  @needs.lte.impair
  Scenario: A long outage ends the connection, and it comes back
    When the radio link is down for 3 minutes
    Then the log shows "W/websocket websocket_callback param1 -1, closing socket" within 1 s
    And the log shows "I/user.ws\tdisconnect\tnil\tnil\tnil" within 1 s
    And the log shows "I/websocket reconnect after 3000ms" within 1 s
    And the log shows "I/websocket ready!!" within 90 s
    And the server receives text with "echo" within 20 s

  @needs.server
  Scenario: The server restarts
    When the server restarts within 10 s
    Then the log shows "I/user.ws\tdisconnect" within 1 s
    And the log shows "I/websocket reconnect after 3000ms" within 1 s
    And the log shows "I/websocket ready!!" within 10 s
    And the server receives text with "echo" within 20 s

  @needs.lte.context
  Scenario: The network drops the connection and takes the device back
    When the network drops the connection for 8 s
    Then the modem reports link-down within 1 s
    And the log shows "NETIF_LINK_OFF -> IP_LOSE" within 1 s
    And the log shows "I/user.ws\tdisconnect" within 1 s
    And the log shows "NETIF_LINK_ON -> IP_READY" within 15 s
    And the log shows "I/websocket ready!!" within 10 s
    And the server receives text with "echo" within 20 s

  @needs.power.cut
  Scenario: Power comes back
    When the power is cut
    And 10 s pass
    And the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s

  @needs.lte.impair
  Scenario: A lossy link delays echoes, and loses none
    When the radio link has 120 ms delay, 40 ms jitter and 5.0 % loss
    And 10 minutes pass
    And the radio link has 30 ms delay, 0 ms jitter and 0.0 % loss
    And 2 minutes pass
    Then the log does not show "disconnect" for 1 s
    And the server has received at least 45 messages
    And every message was echoed to the script
