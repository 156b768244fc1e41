//! The MQTT client's state machine (docs/firmware-facts.md, "mqtt").

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::Ref;

use super::mqtt_packet::{self as packet, Identity};
use super::{Owner, SocketEvent, SocketId, Target};
use crate::message::Message;
use crate::runtime::{Level, Runtime};

/// States as `c:state()` numbers them.
pub(crate) const DISCONNECTED: i32 = 0;
const CONNECTING: i32 = 1;
const WAITING: i32 = 2;
pub(super) const READY: i32 = 3;

/// Most bytes taken from the network at a time.
const SLICE: usize = 1024;
/// Receive buffer unless the script asks for another.
pub(crate) const BUFFER: usize = 32 * 1024 + 4;

/// What a client tells Lua.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    ConnAck,
    /// Topic, payload, and what the new core keeps of the flags.
    Received(Vec<u8>, Vec<u8>, u8, u16),
    Sent(u16),
    SubAck(u8),
    UnsubAck,
    Pong,
    /// What failed, and a number.
    Error(&'static str, i32),
    Disconnect,
    Close,
    /// A keep-alive is due.
    Ping,
    /// The time to reconnect has come.
    Reconnect,
    /// The broker has not consented in time.
    Late,
}

/// An MQTT client object.
#[derive(Debug)]
pub(crate) struct Mqtt {
    pub(super) socket: Option<SocketId>,
    /// The websocket client its packets go over, if a `ws://` or `wss://` URL
    /// was given (new core).
    pub(super) carrier: Option<u32>,
    target: Target,
    pub(crate) identity: Identity,
    pub(crate) keepalive: u16,
    state: i32,
    buffer: Vec<u8>,
    capacity: usize,
    /// Bytes of the system heap that the receive buffer has.
    memory: usize,
    /// First byte of the latest packet: V1112 reads the flags of a message
    /// there when the callback runs.
    latest: u8,
    next_id: u16,
    /// Why the latest connection ended, see the note on `disconnect` codes.
    pub(super) error: i32,
    ping: Option<(Instant, Duration)>,
    reconnect_at: Option<Instant>,
    /// How long the new core waits for the broker's consent, and until when.
    patience: Duration,
    consent_by: Option<Instant>,
    /// A send of Lua's waits for its acknowledgement.
    sending: bool,
    pub(crate) reconnect: Option<Duration>,
    pub(crate) callback: Option<Ref>,
    pub(crate) pin: Option<Ref>,
}

impl Mqtt {
    fn next_wake(&self) -> Option<Instant> {
        let ping = self.ping.map(|(at, _)| at);
        let due = [ping, self.reconnect_at, self.consent_by];
        due.into_iter().flatten().min()
    }

    /// What is printed when the broker has not consented in time.
    pub(crate) fn late_line(&self) -> String {
        format!(
            "mqtt connect timeout {} {}!! expect conack in {}s",
            self.target.host,
            self.target.port,
            self.patience.as_secs()
        )
    }

    /// What the new core prints before it connects again by itself; it keeps no
    /// host of a URL.
    pub(crate) fn again_line(&self) -> String {
        let (host, port) = match self.carrier {
            Some(_) => ("", 0),
            None => (self.target.host.as_str(), self.target.port),
        };
        format!("mqtt mqtt reconnecting... {host} {port}")
    }

    /// The code of a `disconnect` event.
    pub(crate) fn error(&self) -> i32 {
        self.error
    }

    pub(crate) fn state(&self) -> i32 {
        self.state
    }

    /// The way to the broker is there: the CONNECT packet. V1112 counts the
    /// keep-alive from here on, and so does the new core over a websocket.
    pub(super) fn greet(&mut self, now: Instant, counts: bool) -> Vec<u8> {
        self.state = WAITING;
        if counts {
            self.count(now);
        }
        packet::connect(&self.identity, self.keepalive)
    }

    /// The broker consents.
    pub(super) fn accepted(&mut self, now: Instant, new: bool) {
        self.state = READY;
        self.consent_by = None;
        if new {
            self.reconnect_at = None;
            self.count(now);
        }
    }

    /// Pings from now on, each after three quarters of the keep-alive.
    fn count(&mut self, now: Instant) {
        let period = Duration::from_millis(u64::from(self.keepalive) * 750);
        self.ping = Some((now + period, period));
    }

    /// Bytes that arrived; false if there is no room for them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.capacity.saturating_sub(self.buffer.len());
        if fits {
            self.buffer.extend_from_slice(bytes);
        }
        fits
    }

    /// The carrier failed.
    pub(super) fn fail(&mut self) {
        self.error = -1;
    }

    /// Flags of a received message as V1112 sees them.
    pub(crate) fn latest(&self) -> u8 {
        self.latest
    }

    /// `c:auth()` starts the ids anew.
    pub(crate) fn authenticate(&mut self, identity: Identity) {
        let will = self.identity.will.take();
        self.identity = Identity { will, ..identity };
        self.next_id = 1;
    }
}

impl Runtime {
    /// A new client; `None` if no control block is free.
    pub(crate) fn mqtt_create(
        &mut self,
        target: Target,
        capacity: usize,
        patience: Duration,
    ) -> Option<u32> {
        let socket = self.network.open(Owner::Mqtt(0))?;
        let id = self.mqtts.add(Mqtt {
            socket: Some(socket),
            carrier: None,
            target,
            identity: Identity::default(),
            keepalive: 240,
            state: DISCONNECTED,
            buffer: Vec::new(),
            capacity,
            memory: 0,
            latest: 0,
            next_id: 0,
            error: 0,
            ping: None,
            reconnect_at: None,
            patience,
            consent_by: None,
            sending: false,
            reconnect: None,
            callback: None,
            pin: None,
        });
        self.network.set_owner(socket, Owner::Mqtt(id));
        Some(id)
    }

    pub(super) fn mqtt_tell(&mut self, id: u32, notice: Notice) {
        self.bus.push_back(Message::Mqtt(id, notice));
    }

    /// `c:connect()`; false if there is no memory for the receive buffer, which is
    /// taken at the first time.
    pub(crate) fn mqtt_connect(&mut self, id: u32) -> bool {
        let now = self.now();
        let new = self.config.core.is_new();
        let free = self.system_heap.free();
        let Some(client) = self.mqtts.get_mut(id) else {
            return true;
        };
        if client.memory == 0 {
            let wanted = client.capacity.saturating_add(4);
            if wanted > free {
                return false;
            }
            client.memory = wanted;
            self.system_heap.resized(0, wanted);
        }
        client.error = 0;
        client.latest = 0;
        let busy = matches!(client.state, WAITING | READY);
        client.state = CONNECTING;
        if let Some(carrier) = client.carrier {
            // No time-out watches this way to connect.
            self.websocket_connect(carrier);
            return true;
        }
        let (Some(socket), target) = (client.socket, client.target.clone()) else {
            return true;
        };
        // The adapter refuses while there is a connection; the state is wrong
        // from then on, as on the board.
        if !busy {
            client.consent_by = new.then_some(now + client.patience);
            self.network.connect(now, socket, target);
            self.drive_network(now);
        }
        true
    }

    /// Sends a packet of Lua's; false if it could not, which ends the
    /// connection.
    pub(crate) fn mqtt_transmit(&mut self, id: u32, bytes: &[u8]) -> bool {
        let now = self.now();
        let Some(client) = self.mqtts.get_mut(id) else {
            return false;
        };
        if client.carrier.is_some() {
            return self.mqtt_send_frame(id, bytes);
        }
        client.sending = true;
        let sent = match client.socket {
            Some(socket) => self.network.send(now, socket, bytes),
            None => false,
        };
        self.touch_outside();
        if !sent {
            self.lib_line(Level::Warn, "mqtt network_tx ret -1, closing socket");
            self.mqtt_close_socket(id);
        }
        self.drive_network(now);
        sent
    }

    /// The next message id; 0 is skipped by the new core only.
    pub(crate) fn mqtt_next_id(&mut self, id: u32) -> u16 {
        let new = self.config.core.is_new();
        let Some(client) = self.mqtts.get_mut(id) else {
            return 0;
        };
        let next = client.next_id;
        client.next_id = next.wrapping_add(1);
        if new && client.next_id == 0 {
            client.next_id = 1;
        }
        next
    }

    /// `c:publish()` of qos 0 was handed to the network.
    pub(crate) fn mqtt_sent(&mut self, id: u32, message: u16) {
        self.mqtt_tell(id, Notice::Sent(message));
    }

    /// The way every connection ends.
    pub(crate) fn mqtt_close_socket(&mut self, id: u32) {
        let now = self.now();
        let Some(client) = self.mqtts.get_mut(id) else {
            return;
        };
        let handle = client.socket.map_or(0, |_| HANDLE + id);
        let state = client.state;
        client.buffer.clear();
        client.sending = false;
        let (socket, carrier) = (client.socket, client.carrier);
        let again = client.reconnect;
        if state != DISCONNECTED {
            client.state = DISCONNECTED;
            client.ping = None;
            client.consent_by = None;
            client.reconnect_at = again.map(|span| now + span);
        }
        self.lib_line(
            Level::Info,
            &format!("mqtt mqtt closing socket netc:{handle:08X} mqtt_state:{state}"),
        );
        if state == DISCONNECTED {
            return;
        }
        if let Some(carrier) = carrier {
            self.websocket_end(carrier);
        } else if let Some(socket) = socket {
            self.network.finish(now, socket);
        }
        self.touch_outside();
        self.mqtt_tell(id, Notice::Disconnect);
        if again.is_none() {
            self.mqtt_tell(id, Notice::Close);
        }
    }

    /// The adapter has cut all connections: clients on-line hear of it, those that
    /// connect wait for a consent that cannot come.
    pub(crate) fn mqtt_cut_all(&mut self) {
        let now = self.now();
        let all = self.mqtts.iter();
        let states: Vec<_> = all
            .filter(|(_, client)| client.carrier.is_none())
            .map(|(id, client)| (id, client.state, client.socket))
            .collect();
        for (id, state, socket) in states {
            if matches!(state, WAITING | READY) {
                let line = "mqtt network_wait_event ret -1, closing socket";
                self.lib_line(Level::Warn, line);
                self.mqtt_close_socket(id);
            } else if let Some(socket) = socket {
                self.network.cut_connecting(now, socket);
            }
        }
    }

    /// `c:disconnect()`.
    pub(crate) fn mqtt_disconnect(&mut self, id: u32) {
        self.mqtt_transmit(id, &packet::DISCONNECT);
        self.mqtt_close_socket(id);
    }

    /// `c:close()`: everything goes, and nothing is reported; gives back what
    /// Lua holds.
    pub(crate) fn mqtt_close(&mut self, id: u32) -> [Option<Ref>; 2] {
        self.mqtt_disconnect(id);
        self.mqtt_release(id)
    }

    /// Gives control blocks and timers back, and what Lua holds.
    pub(crate) fn mqtt_release(&mut self, id: u32) -> [Option<Ref>; 2] {
        let now = self.now();
        let Some(client) = self.mqtts.get_mut(id) else {
            return [None, None];
        };
        client.reconnect_at = None;
        client.reconnect = None;
        client.ping = None;
        client.consent_by = None;
        self.system_heap
            .resized(std::mem::take(&mut client.memory), 0);
        let held = [client.callback.take(), client.pin.take()];
        if let Some(carrier) = client.carrier.take() {
            self.websocket_release(carrier);
        }
        let client = self.mqtts.get_mut(id);
        if let Some(socket) = client.and_then(|client| client.socket.take()) {
            self.network.release(now, socket);
        }
        held
    }

    /// When a ping or a reconnect is due.
    pub(crate) fn mqtt_wake(&self) -> Option<Instant> {
        self.mqtts
            .iter()
            .filter_map(|(_, client)| client.next_wake())
            .min()
    }

    /// Pings and reconnects that are due by `now`.
    pub(crate) fn drive_mqtts(&mut self, now: Instant) {
        let due: Vec<u32> = self
            .mqtts
            .iter()
            .filter(|(_, client)| client.next_wake().is_some_and(|at| at <= now))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            let Some(client) = self.mqtts.get_mut(id) else {
                continue;
            };
            if let Some((at, period)) = client.ping.filter(|(at, _)| *at <= now) {
                client.ping = Some((at + period, period));
                self.mqtt_tell(id, Notice::Ping);
            } else if client.consent_by.is_some_and(|at| at <= now) {
                client.consent_by = None;
                self.mqtt_tell(id, Notice::Late);
            } else {
                client.reconnect_at = None;
                self.mqtt_tell(id, Notice::Reconnect);
            }
        }
    }

    /// Something happened on a client's socket.
    pub(crate) fn mqtt_socket_event(&mut self, id: u32, event: SocketEvent) {
        let now = self.now();
        let new = self.config.core.is_new();
        let Some(client) = self.mqtts.get_mut(id) else {
            return;
        };
        match event {
            SocketEvent::Online => {
                let Some(socket) = client.socket else { return };
                let hello = client.greet(now, !new);
                if !self.network.send(now, socket, &hello) {
                    self.lib_line(Level::Warn, "mqtt network_tx ret -1, closing socket");
                    self.mqtt_close_socket(id);
                }
                self.touch_outside();
            }
            SocketEvent::Acknowledged => client.sending = false,
            SocketEvent::Readable => self.mqtt_readable(id),
            SocketEvent::Failed => {
                let stage = match client.state {
                    DISCONNECTED | CONNECTING => 2,
                    _ if client.sending => 3,
                    _ => 5,
                };
                if new {
                    let what = ["connect", "tx", "other"][match stage {
                        2 => 0,
                        3 => 1,
                        _ => 2,
                    }];
                    self.mqtt_tell(id, Notice::Error(what, 0));
                }
                let line = format!("mqtt mqtt_callback param1 -1, event {stage} closing socket");
                self.lib_line(Level::Error, &line);
                self.mqtt_close_socket(id);
            }
        }
    }

    /// Takes everything that arrived, slice by slice.
    fn mqtt_readable(&mut self, id: u32) {
        let Some(client) = self.mqtts.get_mut(id) else {
            return;
        };
        client.sending = false;
        let Some(socket) = client.socket else { return };
        let pending = self.network.pending(socket);
        if pending > client.capacity - client.buffer.len() {
            let line = format!("mqtt too many data wait for recv {pending}");
            self.lib_line(Level::Error, &line);
            self.mqtt_close_socket(id);
            return;
        }
        loop {
            let bytes = self.network.read(socket, SLICE);
            if bytes.is_empty() {
                return;
            }
            let Some(client) = self.mqtts.get_mut(id) else {
                return;
            };
            client.buffer.extend_from_slice(&bytes);
            if !self.mqtt_packets(id) {
                let line = "mqtt mqtt_parse ret -1, closing socket";
                self.lib_line(Level::Warn, line);
                self.mqtt_close_socket(id);
                return;
            }
        }
    }

    /// Works off the whole packets in the buffer; false if one was bad.
    pub(super) fn mqtt_packets(&mut self, id: u32) -> bool {
        while let Some(client) = self.mqtts.get_mut(id) {
            let Some(&first) = client.buffer.first() else {
                break;
            };
            client.latest = first;
            let Some(head) = packet::head(&client.buffer) else {
                break;
            };
            let whole: Vec<u8> = client.buffer.drain(..head.len).collect();
            if let Err(code) = self.mqtt_packet(id, &whole, head.body) {
                let line = format!("mqtt bad mqtt packet!! ret {code}");
                self.lib_line(Level::Warn, &line);
                return false;
            }
        }
        true
    }
}

/// What `netc:` shows of a control block: an address in the system heap.
const HANDLE: u32 = 0x0C16_B800;
