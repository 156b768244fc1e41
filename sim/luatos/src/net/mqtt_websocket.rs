//! MQTT over a websocket, as the new core does it for `ws://` and `wss://`
//! URLs: a websocket client without a Lua object carries each packet in a binary
//! frame (core `luat_mqtt_client.c`, `mqtt_ws_on_event`).

use std::time::Duration;

use super::frames::{self, Opcode};
use super::websocket::{Notice, split_url};
use super::{Security, Target, tls};
use crate::runtime::{Level, Runtime};

/// Time without traffic after which the carrier sends a ping.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// What the handshake says besides the usual.
const HEADERS: &[u8] = b"Sec-WebSocket-Protocol: mqtt\r\n";
/// Room for a URL and for a host's name, with their final zeros.
const URL: usize = 256;
const HOST: usize = 192;

/// Whether the host given to `mqtt.create` is a URL.
pub(crate) fn is_url(host: &str) -> bool {
    host.starts_with("ws://") || host.starts_with("wss://")
}

impl Runtime {
    /// What becomes of host and certificates given to `mqtt.create`; false if they
    /// cannot be used.
    pub(crate) fn mqtt_address(&mut self, id: u32, target: &Target) -> bool {
        let host = &target.host;
        if !self.config.core.is_new() {
            return self.certificates_fit("mqtt", &target.security);
        }
        if is_url(host) {
            return self.mqtt_carrier(id, target);
        }
        if host.len() >= HOST {
            let line = format!("mqtt host too long {} >= {HOST}", host.len());
            self.lib_line(Level::Error, &line);
            return false;
        }
        self.certificates_fit("mqtt", &target.security)
    }

    /// The certificates can be read; the firmware reads them when they are set.
    fn certificates_fit(&mut self, who: &str, security: &Security) -> bool {
        let Security::Checked(certificates) = security else {
            return true;
        };
        let Some(function) = tls::unreadable(certificates) else {
            return true;
        };
        self.lib_line(Level::Error, &format!("{who} {function} error"));
        false
    }

    /// Gives a client whose host is a URL its carrier; false if it cannot be
    /// had. The scheme alone decides about TLS, certificates go along.
    fn mqtt_carrier(&mut self, id: u32, target: &Target) -> bool {
        let url = &target.host;
        if url.len() >= URL {
            let line = format!("mqtt ws url too long {} >= {URL}", url.len());
            self.lib_line(Level::Error, &line);
            return false;
        }
        let (mut server, path) = split_url(url);
        if server.security != Security::Plain && target.security != Security::Plain {
            server.security = target.security.clone();
            // The answer is not looked at.
            self.certificates_fit("websocket", &target.security);
        }
        let Some(carrier) = self.websocket_create((server, path), KEEPALIVE) else {
            return false;
        };
        if let Some(client) = self.websockets.get_mut(carrier) {
            client.headers = HEADERS.to_vec();
            client.carries = Some(id);
        }
        if let Some(client) = self.mqtts.get_mut(id) {
            client.carrier = Some(carrier);
        }
        true
    }

    /// Sends a packet in a frame; false if it could not, which has ended the
    /// connection.
    pub(super) fn mqtt_send_frame(&mut self, id: u32, bytes: &[u8]) -> bool {
        let Some(carrier) = self.mqtts.get(id).and_then(|client| client.carrier) else {
            return false;
        };
        let Some(frame) = frames::encode(Opcode::Binary, bytes) else {
            let line = format!("websocket pkg too large {}", bytes.len());
            self.lib_line(Level::Error, &line);
            return false;
        };
        self.websocket_transmit(carrier, Opcode::Binary, &frame)
    }

    /// Something happened on the carrier.
    pub(super) fn mqtt_websocket_event(&mut self, id: u32, notice: Notice) {
        let now = self.now();
        let Some(client) = self.mqtts.get_mut(id) else {
            return;
        };
        match notice {
            Notice::ConnAck => {
                let hello = client.greet(now, true);
                self.mqtt_send_frame(id, &hello);
            }
            Notice::Received(payload, ..) => {
                if client.take(&payload) {
                    // What a bad packet calls for has been done by then.
                    self.mqtt_packets(id);
                } else {
                    let len = payload.len();
                    let line = format!("mqtt mqtt rx buffer not enough for ws payload {len}");
                    self.lib_line(Level::Warn, &line);
                }
            }
            Notice::Disconnect | Notice::Error(_) => {
                client.fail();
                self.mqtt_close_socket(id);
            }
            Notice::Sent => {}
        }
    }
}
