//! What an MQTT client does with a packet of the broker's.

use super::mqtt::{Mqtt, Notice, READY};
use super::mqtt_packet as packet;
use crate::runtime::{Level, Runtime};

/// Longest topic and payload the new core takes.
const TOPIC: usize = 4096;
const PAYLOAD: u32 = 256 * 1024;

/// Why the new core finds a packet bad: its return value, and the code that
/// Lua gets with `error`, `connect`.
struct Bad {
    value: i32,
    code: i32,
    line: String,
}

impl Runtime {
    /// Sends an answer from within the parser.
    fn mqtt_reply(&mut self, id: u32, bytes: &[u8]) {
        let now = self.now();
        let Some(client) = self.mqtts.get(id) else {
            return;
        };
        if client.carrier.is_some() {
            self.mqtt_send_frame(id, bytes);
        } else if let Some(socket) = client.socket {
            self.network.send(now, socket, bytes);
            self.touch_outside();
        }
    }

    /// Acts on a packet whose variable header begins at `body`; the firmware's
    /// return value if the connection cannot go on.
    pub(super) fn mqtt_packet(&mut self, id: u32, bytes: &[u8], body: usize) -> Result<(), i32> {
        let new = self.config.core.is_new();
        if new && let Some(bad) = self.mqtts.get(id).and_then(|c| refusal(c, bytes, body)) {
            self.lib_line(Level::Error, &format!("mqtt {}", bad.line));
            self.mqtt_close_socket(id);
            self.mqtt_tell(id, Notice::Error("connect", bad.code));
            return Err(bad.value);
        }
        let message = packet::read_id(bytes, body);
        match bytes[0] & 0xF0 {
            packet::CONNACK => return self.mqtt_consent(id, bytes.get(body + 1).copied()),
            packet::PUBLISH => self.mqtt_message(id, bytes, body),
            packet::PUBACK | packet::PUBCOMP => self.mqtt_tell(id, Notice::Sent(message)),
            packet::PUBREC => {
                self.mqtt_reply(id, &packet::acknowledgement(packet::PUBREL, message));
            }
            packet::PUBREL => {
                self.mqtt_reply(id, &packet::acknowledgement(packet::PUBCOMP, message));
            }
            packet::SUBACK if new => {
                let code = bytes.get(body + 2).copied().unwrap_or(0x80);
                self.mqtt_tell(id, Notice::SubAck(code));
            }
            packet::UNSUBACK if new => self.mqtt_tell(id, Notice::UnsubAck),
            packet::PINGRESP if new => self.mqtt_tell(id, Notice::Pong),
            packet::SERVER_DISCONNECT => {
                if let Some(client) = self.mqtts.get_mut(id) {
                    client.error = -2;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// CONNACK.
    fn mqtt_consent(&mut self, id: u32, code: Option<u8>) -> Result<(), i32> {
        let (now, new) = (self.now(), self.config.core.is_new());
        let code = code.unwrap_or(0);
        let Some(client) = self.mqtts.get_mut(id) else {
            return Ok(());
        };
        if code != 0 {
            client.error = code.into();
            self.lib_line(Level::Warn, &format!("mqtt CONACK 0x{code:02x}"));
            self.mqtt_close_socket(id);
            if new {
                self.mqtt_tell(id, Notice::Error("conack", code.into()));
            }
            return Err(if new { -4 } else { -1 });
        }
        client.accepted(now, new);
        self.mqtt_tell(id, Notice::ConnAck);
        Ok(())
    }

    /// PUBLISH.
    fn mqtt_message(&mut self, id: u32, bytes: &[u8], body: usize) {
        let new = self.config.core.is_new();
        let Some((topic, payload, message)) = packet::read_publish(bytes, body, new) else {
            return;
        };
        self.mqtt_tell(id, Notice::Received(topic, payload, bytes[0], message));
        let kind = match bytes[0] >> 1 & 3 {
            1 => packet::PUBACK,
            2 => packet::PUBREC,
            _ => return,
        };
        self.mqtt_reply(id, &packet::acknowledgement(kind, message));
    }
}

/// What the new core finds wrong with a packet before it acts on it.
fn refusal(client: &Mqtt, bytes: &[u8], body: usize) -> Option<Bad> {
    let kind = bytes[0] & 0xF0;
    let ready = client.state() == READY;
    let (value, code, line) = if kind != packet::CONNACK && !ready {
        (-2, 96, format!("recv msg {kind} when not connected"))
    } else if kind == packet::CONNACK && ready {
        (-3, 95, "recv connack when already connected".to_owned())
    } else if kind == packet::PUBLISH {
        let qos = bytes[0] >> 1 & 3;
        let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
        let topic = usize::from(byte(body) << 8 | byte(body + 1));
        let head = 2 + topic + if qos > 0 { 2 } else { 0 };
        // The C subtracts in 32 bits: a topic beyond the end gives a giant.
        let payload = ((bytes.len() - body) as u32).wrapping_sub(head as u32);
        if qos > 2 {
            (-5, 98, format!("bad publish packet qos {qos}"))
        } else if !(1..=TOPIC).contains(&topic) || payload > PAYLOAD {
            let line = format!("bad publish packet topic len {topic} payload_len {payload}");
            (-6, 99, line)
        } else {
            return None;
        }
    } else {
        return None;
    };
    Some(Bad { value, code, line })
}
