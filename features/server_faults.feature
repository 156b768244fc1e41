Feature: A server that misbehaves
  The echo firmware and its reconnect against faults of the server.

  Background:
    Given the firmware "fixtures/firmware/ws-echo"
    When the board is powered on
    Then the log shows "I/websocket ready!!" within 10 s

  Scenario: A stalled server says nothing, and the device does not notice for minutes
    When the server stalls
    Then the server receives nothing for 2 minutes
    And the log does not show "disconnect" for 60 s

  Scenario: A connection that ends without a close frame comes back
    When the server ends the connection after 2 messages
    Then the log shows "I/user.ws\tdisconnect" within 90 s
    When the server behaves
    Then the log shows "I/websocket ready!!" within 10 s

  Scenario: A server that refuses is asked again every three seconds
    When the server refuses connections
    And the server restarts within 1 s
    Then the log shows "I/websocket reconnect after 3000ms" within 10 s
    And the log does not show "I/websocket ready!!" for 30 s
    When the server behaves
    Then the log shows "I/websocket ready!!" within 10 s

  Scenario: A slow handshake is waited for
    When the server takes 8 s for a handshake
    And the server restarts within 1 s
    Then the log does not show "I/websocket ready!!" for 10 s
    And the log shows "I/websocket ready!!" within 8 s

  Scenario: Answers in fragments
    When the server answers in frames of 10 bytes
    Then the server receives text with "echo" within 60 s
    And the board does not reset for 60 s

  Scenario: A message glued to the handshake's answer
    When the server greets with "hello"
    And the server restarts within 1 s
    Then the log shows "I/websocket ready!!" within 10 s
    And the board does not reset for 60 s
