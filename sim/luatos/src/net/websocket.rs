//! The websocket client's state machine (facts G).

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::Ref;

use super::frames::{self, Frame, Opcode};
use super::{Owner, Security, SocketEvent, SocketId, Target};
use crate::config::Core;
use crate::message::Message;
use crate::runtime::{Level, Runtime};

/// What a client tells Lua.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    ConnAck,
    /// Payload, the FIN flag as Lua gets it, and opcode.
    Received(Vec<u8>, bool, u8),
    Sent,
    /// What failed (`connect`, `tx` or `rx`); only the new core tells.
    Error(&'static str),
    Disconnect,
}

/// A client's timers, whose work is done on the Lua thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    Ping,
    Reconnect,
}

/// The receive buffer, frame header included.
fn buffer_size(core: Core) -> usize {
    if core.is_new() { 8192 + 16 } else { 4096 }
}
/// Most bytes taken from the network at a time.
const SLICE: usize = 1024;
/// Longest payload of the new core.
const NEW_PAYLOAD: usize = 8192;
/// How a server's consent begins.
const OK: &[u8] = b"HTTP/1.1 101";

/// A websocket client object.
#[derive(Debug)]
pub(crate) struct WebSocket {
    socket: SocketId,
    target: Target,
    path: String,
    keepalive: Duration,
    /// The server has answered the handshake. Another `connect` does not
    /// change that: what comes then is taken for frames.
    ready: bool,
    /// What was received and not worked off; only a reconnect empties it.
    buffer: Vec<u8>,
    /// `send` calls whose acknowledgement has not been reported, over all
    /// connections.
    unreported: u32,
    ping: Option<Instant>,
    reconnect_at: Option<Instant>,
    pub(crate) headers: Vec<u8>,
    pub(crate) reconnect: Option<Duration>,
    pub(crate) callback: Option<Ref>,
    /// Keeps the Lua object alive until `close`.
    pub(crate) pin: Option<Ref>,
    /// The MQTT client whose packets go over this one; it hears of everything
    /// at once.
    pub(super) carries: Option<u32>,
}

/// Splits a URL as the firmware does: no scheme means ws, the host ends at the
/// first slash (one at the very beginning does not count).
pub(crate) fn split_url(url: &str) -> (Target, String) {
    let (tls, rest) = match (url.strip_prefix("wss://"), url.strip_prefix("ws://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => (false, url),
    };
    let slash = rest.find('/').filter(|at| *at >= 2);
    let (authority, path) = slash.map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    let port = match digits.parse::<u64>().unwrap_or(0) as u16 {
        0 if tls => 443,
        0 => 80,
        port => port,
    };
    (
        Target {
            host: host.to_owned(),
            port,
            security: if tls { Security::Any } else { Security::Plain },
            udp: false,
            local_port: 0,
            keepalive: None,
        },
        path.to_owned(),
    )
}

impl Runtime {
    /// A new client for the parts of a URL; `None` if no control block is free.
    pub(crate) fn websocket_create(
        &mut self,
        (target, path): (Target, String),
        keepalive: Duration,
    ) -> Option<u32> {
        // The number is only known after the object is stored.
        let placeholder = Owner::WebSocket(0);
        let socket = self.network.open(placeholder)?;
        let id = self.websockets.add(WebSocket {
            socket,
            target,
            path,
            keepalive,
            ready: false,
            buffer: Vec::new(),
            unreported: 0,
            ping: None,
            reconnect_at: None,
            headers: Vec::new(),
            reconnect: None,
            callback: None,
            pin: None,
            carries: None,
        });
        self.network.set_owner(socket, Owner::WebSocket(id));
        Some(id)
    }

    /// `wsc:connect()`.
    pub(crate) fn websocket_connect(&mut self, id: u32) {
        let Some(client) = self.websockets.get_mut(id) else {
            return;
        };
        let (socket, target) = (client.socket, client.target.clone());
        let line = format!(
            "websocket connect host {} port {}",
            target.host, target.port
        );
        self.lib_line(Level::Info, &line);
        let now = self.now();
        self.network.finish(now, socket);
        self.network.connect(now, socket, target);
        self.drive_network(now);
    }

    /// `wsc:ready()`.
    pub(crate) fn websocket_ready(&self, id: u32) -> bool {
        self.websockets.get(id).is_some_and(|client| client.ready)
    }

    /// Sends a frame; false if the transport failed and the socket was closed.
    pub(crate) fn websocket_transmit(&mut self, id: u32, opcode: Opcode, frame: &[u8]) -> bool {
        let now = self.now();
        let Some(client) = self.websockets.get_mut(id) else {
            return false;
        };
        let data = !matches!(opcode, Opcode::Ping | Opcode::Pong);
        if data {
            client.unreported += 1;
        }
        let sent = self.network.send(now, client.socket, frame);
        let new = self.config.core.is_new();
        if !sent && data && !new {
            client.unreported -= 1;
        }
        self.touch_outside();
        if !sent {
            let what = if new { "send pkg err" } else { "network_tx" };
            let line = format!("websocket {what} -1 , close socket");
            self.lib_line(Level::Info, &line);
            self.websocket_lost(id, "tx");
        }
        sent
    }

    /// `wsc:close()`: everything goes, and nothing is reported.
    pub(crate) fn websocket_close(&mut self, id: u32) -> Option<WebSocket> {
        let client = self.websockets.remove(id)?;
        let now = self.now();
        // The common way to close: it speaks of a reconnect whose timer the
        // next step deletes.
        self.lib_line(Level::Info, "websocket websocket closing socket");
        if let Some(span) = client.reconnect {
            self.websocket_says_reconnect(span);
        }
        self.network.release(now, client.socket);
        self.touch_outside();
        Some(client)
    }

    /// Gives the control block of a client without a Lua object back.
    pub(super) fn websocket_release(&mut self, id: u32) {
        if let Some(client) = self.websockets.remove(id) {
            let now = self.now();
            self.network.release(now, client.socket);
            self.touch_outside();
        }
    }

    /// Tells Lua, or the MQTT client that is carried.
    fn websocket_tell(&mut self, id: u32, notice: Notice) {
        let carried = self.websockets.get(id).and_then(|client| client.carries);
        match carried {
            Some(mqtt) => self.mqtt_websocket_event(mqtt, notice),
            None => self.bus.push_back(Message::WebSocket(id, notice)),
        }
    }

    /// The timers of pings and reconnects that are due by `now`.
    pub(crate) fn drive_websockets(&mut self, now: Instant) {
        let due: Vec<u32> = self
            .websockets
            .iter()
            .filter(|(_, client)| client.next_wake().is_some_and(|at| at <= now))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            let Some(client) = self.websockets.get_mut(id) else {
                continue;
            };
            if client.reconnect_at.is_some_and(|at| at <= now) {
                client.reconnect_at = None;
                self.bus
                    .push_back(Message::WebSocketTimer(id, Timer::Reconnect));
            }
            if let Some(at) = client.ping.filter(|at| *at <= now) {
                client.ping = Some(at + client.keepalive);
                self.bus.push_back(Message::WebSocketTimer(id, Timer::Ping));
            }
        }
    }

    /// When a ping or a reconnect is due.
    pub(crate) fn websocket_wake(&self) -> Option<Instant> {
        self.websockets
            .iter()
            .filter_map(|(_, client)| client.next_wake())
            .min()
    }

    /// The ping timer's work.
    pub(crate) fn websocket_ping(&mut self, id: u32) {
        if self.websocket_ready(id) {
            self.websocket_control(id, Opcode::Ping, b"");
        }
    }

    fn websocket_control(&mut self, id: u32, opcode: Opcode, payload: &[u8]) {
        if let Some(frame) = frames::encode(opcode, payload) {
            self.websocket_transmit(id, opcode, &frame);
        }
    }

    /// Something happened on a client's socket.
    pub(crate) fn websocket_socket_event(&mut self, id: u32, event: SocketEvent) {
        let now = self.now();
        let Some(client) = self.websockets.get_mut(id) else {
            return;
        };
        match event {
            SocketEvent::Online => {
                let target = &client.target;
                let writes =
                    frames::handshake(&target.host, target.port, &client.path, &client.headers);
                if self.config.core.is_new() {
                    self.network.send(now, client.socket, &writes.concat());
                } else {
                    for write in writes {
                        self.network.send(now, client.socket, &write);
                    }
                }
            }
            SocketEvent::Acknowledged => {
                client.ping = Some(now + client.keepalive);
                if client.unreported > 0 {
                    client.unreported -= 1;
                    self.websocket_tell(id, Notice::Sent);
                }
            }
            SocketEvent::Readable => {
                if self.websocket_readable(id) {
                    self.websocket_active(id);
                } else {
                    self.websocket_lost(id, "rx");
                }
            }
            SocketEvent::Failed => {
                self.lib_line(
                    Level::Warn,
                    "websocket websocket_callback param1 -1, closing socket",
                );
                self.websocket_lost(id, "connect");
            }
        }
    }

    /// Traffic puts the next ping off.
    fn websocket_active(&mut self, id: u32) {
        let now = self.now();
        if let Some(client) = self.websockets.get_mut(id) {
            client.ping = Some(now + client.keepalive);
        }
    }

    /// Takes what arrived, slice by slice, as long as the buffer has room; false
    /// if the connection cannot go on. V1112 minds a full buffer only when more
    /// comes.
    fn websocket_readable(&mut self, id: u32) -> bool {
        let new = self.config.core.is_new();
        let size = buffer_size(self.config.core);
        let full = |client: &WebSocket| client.buffer.len() >= size;
        if !new && self.websockets.get(id).is_some_and(full) {
            self.lib_line(
                Level::Error,
                "websocket buff is FULL, websocket packet too big",
            );
            return false;
        }
        loop {
            let Some(client) = self.websockets.get_mut(id) else {
                return true;
            };
            let room = size.saturating_sub(client.buffer.len());
            let bytes = self.network.read(client.socket, SLICE.min(room));
            if bytes.is_empty() {
                return true;
            }
            client.buffer.extend_from_slice(&bytes);
            let parsed = if client.ready {
                self.websocket_frames(id)
            } else {
                self.websocket_response(id)
            };
            if let Err(code) = parsed {
                let line = format!("websocket websocket_parse ret {code}");
                self.lib_line(Level::Warn, &line);
                return false;
            }
        }
    }

    /// Looks for the end of the server's answer.
    fn websocket_response(&mut self, id: u32) -> Result<(), i32> {
        let Some(client) = self.websockets.get_mut(id) else {
            return Ok(());
        };
        if client.buffer.len() < OK.len() {
            return Ok(());
        }
        if !client.buffer.starts_with(OK) {
            let answer = client.buffer.split(|byte| *byte == 0).next();
            let answer = String::from_utf8_lossy(answer.unwrap_or_default()).into_owned();
            let line = format!("websocket server not support websocket? resp code {answer}");
            self.lib_line(Level::Error, &line);
            return Err(-1);
        }
        if !client.buffer[4..]
            .windows(4)
            .any(|window| window == b"\r\n\r\n")
        {
            return Ok(());
        }
        // Whatever follows the answer in the same read is lost, as on V1112.
        client.buffer.clear();
        // The 30 s until the first ping that it sets here do not last: after
        // every event the timer starts anew with the keep-alive time.
        client.ready = true;
        self.lib_line(Level::Info, "websocket ready!!");
        self.websocket_tell(id, Notice::ConnAck);
        Ok(())
    }

    /// Works off the frames in the buffer.
    fn websocket_frames(&mut self, id: u32) -> Result<(), i32> {
        loop {
            let Some(client) = self.websockets.get_mut(id) else {
                return Ok(());
            };
            let new = self.config.core.is_new();
            let limit = if new { NEW_PAYLOAD } else { usize::MAX };
            let (fin, opcode, payload, end) = match frames::decode(&client.buffer, limit) {
                Frame::Incomplete => return Ok(()),
                Frame::TooLarge(length) => {
                    return Err(self.websocket_too_large(length));
                }
                Frame::Whole(opcode, start, end) => {
                    // V1112 looks for the flag in the wrong bit: it is always set.
                    let fin = !new || client.buffer[0] & 0x80 != 0;
                    (fin, opcode, client.buffer[start..end].to_vec(), end)
                }
            };
            // A frame that ends the connection stays in the buffer, before the
            // answer to the next handshake.
            if !matches!(opcode, 8 | 3..=7 | 11..) && (new || opcode > 0) {
                client.buffer.drain(..end);
            }
            match opcode {
                0..=2 if new || opcode > 0 => {
                    self.websocket_tell(id, Notice::Received(payload, fin, opcode));
                    // Who is carried may have closed it; the rest is then read
                    // as the answer to a handshake.
                    if !self.websocket_ready(id) {
                        return self.websocket_response(id);
                    }
                }
                9 => {
                    let echoed = if new { &payload[..] } else { b"" };
                    self.websocket_control(id, Opcode::Pong, echoed);
                }
                10 => {}
                8 => return Err(-1),
                other => {
                    // V1112's format is one digit off.
                    let shown = if new {
                        format!("0x{other:02X}")
                    } else {
                        format!("{other:x}2X")
                    };
                    let line = format!("websocket unkown optcode {shown}");
                    self.lib_line(Level::Error, &line);
                    return Err(-1);
                }
            }
        }
    }

    fn websocket_too_large(&mut self, length: Option<usize>) -> i32 {
        let mut line = "websocket websocket payload is too large!!!".to_owned();
        if let Some(length) = length {
            let most = buffer_size(self.config.core);
            line.push_str(&format!(" {length} , must < {most}"));
        }
        self.lib_line(Level::Error, &line);
        self.lib_line(Level::Info, "websocket payload too large!!!");
        -1
    }

    /// The connection has failed: tell Lua what (the new core alone), and end it.
    fn websocket_lost(&mut self, id: u32, what: &'static str) {
        if self.config.core.is_new() {
            self.websocket_tell(id, Notice::Error(what));
        }
        self.websocket_end(id);
    }

    /// Ends the connection, tells Lua, and tries again if wanted.
    pub(super) fn websocket_end(&mut self, id: u32) {
        let now = self.now();
        let Some(client) = self.websockets.get_mut(id) else {
            return;
        };
        client.ready = false;
        client.ping = None;
        if client.reconnect.is_some() {
            client.buffer.clear();
        }
        let (socket, reconnect) = (client.socket, client.reconnect);
        if let Some(span) = reconnect {
            client.reconnect_at = Some(now + span);
        }
        self.lib_line(Level::Info, "websocket websocket closing socket");
        self.network.close(now, socket);
        self.touch_outside();
        self.websocket_tell(id, Notice::Disconnect);
        if let Some(span) = reconnect {
            self.websocket_says_reconnect(span);
        }
    }

    /// The adapter has cut all connections: clients on-line hear of it, those that
    /// connect never do.
    pub(crate) fn websocket_cut_all(&mut self) {
        let now = self.now();
        let all = self.websockets.iter();
        let states: Vec<_> = all
            .map(|(id, client)| (id, client.ready, client.socket))
            .collect();
        for (id, ready, socket) in states {
            if ready {
                let line = "websocket network_wait_event ret -1, closing socket";
                self.lib_line(Level::Warn, line);
                self.websocket_lost(id, "connect");
            } else {
                self.network.cut_connecting(now, socket);
            }
        }
    }

    fn websocket_says_reconnect(&mut self, span: Duration) {
        let line = format!("websocket reconnect after {}ms", span.as_millis());
        self.lib_line(Level::Info, &line);
    }
}

impl WebSocket {
    fn next_wake(&self) -> Option<Instant> {
        Instant::earliest([self.ping, self.reconnect_at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(url: &str) -> (String, u16, bool, String) {
        let (target, path) = split_url(url);
        (
            target.host,
            target.port,
            target.security == Security::Any,
            path,
        )
    }

    #[test]
    fn urls_are_split_as_the_firmware_splits_them() {
        assert_eq!(
            split("wss://a.b/ws/echo"),
            ("a.b".into(), 443, true, "/ws/echo".into())
        );
        assert_eq!(
            split("ws://a.b:8080"),
            ("a.b".into(), 8080, false, "/".into())
        );
        assert_eq!(
            split("a.b/x?y=1"),
            ("a.b".into(), 80, false, "/x?y=1".into())
        );
        assert_eq!(split("ws://a.b?q"), ("a.b?q".into(), 80, false, "/".into()));
        assert_eq!(split("wss://a.b:0/"), ("a.b".into(), 443, true, "/".into()));
    }
}
