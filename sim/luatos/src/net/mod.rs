//! The network adapter: sockets with names, TLS and results, over an IP stack.
//!
//! It stands for LuatOS's `luat_network_adapter`: eight control blocks shared
//! by everything that talks to the network, each going from link through DNS,
//! TCP and TLS to on-line (facts H.0).

pub(crate) mod ctrl;
pub(crate) mod frames;
pub(crate) mod ftp;
pub(crate) mod http;
mod http_debug;
pub(crate) mod http_parse;
pub(crate) mod mqtt;
mod mqtt_incoming;
pub(crate) mod mqtt_packet;
pub(crate) mod mqtt_websocket;
mod secrets;
pub(crate) mod sntp;
mod socket;
mod socket_debug;
mod tls;
pub(crate) mod websocket;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use airbench_clock::{Instant, Rng};
use airbench_net::{IpStack, Keepalive, LineLevel, LwipStack, Resolver, TcpError};
use rustls::ClientConfig;

use crate::config::Config;
use crate::runtime::{Level, Runtime};
pub use secrets::Secrets;
pub(crate) use socket::SocketEvent;
use socket::{Notices, Socket, State};
use socket_debug::Low;
pub use tls::client as tls_client;

/// Control blocks of the adapter.
const SOCKETS: usize = 8;
/// Bytes a socket may keep for sending: the system heap that is free at start.
const SEND_MEMORY: usize = 223_888;
/// Slots of the carrier's name servers.
const CARRIER_DNS: usize = 2;

/// A control block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SocketId(u32);

/// Who hears of a socket's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    WebSocket(u32),
    ErrDump,
    /// A control block of the `socket` library.
    Ctrl(u32),
    Mqtt(u32),
    Http(u32),
    Sntp,
    FtpControl,
    FtpData,
}

/// How a connection is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Security {
    /// Not at all.
    Plain,
    /// TLS that accepts any certificate.
    Any,
    /// TLS with certificates.
    Checked(Box<Certificates>),
}

/// What a script gave for TLS, as PEM texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Certificates {
    /// The server must show a certificate of the authority.
    pub(crate) verify: bool,
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) key: Option<Vec<u8>>,
}

/// Where a socket is to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) udp: bool,
    /// The device's own port; 0 lets the stack choose.
    pub(crate) local_port: u16,
    /// Probes of an idle TCP connection.
    pub(crate) keepalive: Option<Keepalive>,
}

/// Where a socket stands, in the firmware's numbers.
pub(crate) mod stage {
    pub(crate) const LINK_OFF: i32 = 0;
    pub(crate) const OFF_LINE: i32 = 1;
    pub(crate) const DNS: i32 = 2;
    pub(crate) const CONNECTING: i32 = 3;
    pub(crate) const TLS: i32 = 4;
    pub(crate) const ONLINE: i32 = 5;
    pub(crate) const LISTEN: i32 = 6;
    /// An orderly close under way.
    pub(crate) const CLOSING: i32 = 7;

    /// What the firmware calls them.
    pub(crate) const NAMES: [&str; 8] = [
        "硬件离线",
        "离线",
        "等待DNS",
        "正在连接",
        "正在TLS握手",
        "在线",
        "在监听",
        "正在离线",
    ];
}

/// The device's network: adapter, resolver and IP stack.
pub struct Network {
    stack: Box<dyn IpStack + Send>,
    resolver: Resolver,
    sockets: BTreeMap<SocketId, Socket>,
    last_id: u32,
    up: bool,
    address: Option<Ipv4Addr>,
    tls: Option<Arc<ClientConfig>>,
    secrets: Arc<Secrets>,
    tls_compute: Duration,
    /// UTC seconds by which certificates are judged.
    pub(crate) clock: i64,
    packets: VecDeque<(Instant, Vec<u8>)>,
    events: Notices,
    /// What the adapter prints.
    lines: VecDeque<String>,
    /// When something is due here; kept up to date by `flush`.
    wake: Option<Instant>,
}

impl Network {
    pub(crate) fn new(config: &Config, boot: Instant) -> Self {
        // Another boot uses other ports and sequence numbers: a server still
        // holds the connections of the boot before.
        let seed = Rng::new(config.seed ^ boot.nanos(), "device stack").bits();
        Self {
            stack: Box::new(LwipStack::new(config.tunables.tcp, seed)),
            resolver: Resolver::default(),
            sockets: BTreeMap::new(),
            last_id: 0,
            up: false,
            address: None,
            tls: None,
            secrets: Arc::clone(&config.secrets),
            tls_compute: config.tunables.tls_compute,
            clock: config.epoch,
            packets: VecDeque::new(),
            events: VecDeque::new(),
            lines: VecDeque::new(),
            wake: None,
        }
    }

    /// A packet to send, and when it left the device.
    pub fn transmit(&mut self) -> Option<(Instant, Vec<u8>)> {
        self.packets.pop_front()
    }

    pub(crate) fn receive(&mut self, packet: Vec<u8>) {
        self.stack.receive(packet);
    }

    pub(crate) fn link_up(&mut self, address: Ipv4Addr, dns: &[Ipv4Addr]) {
        self.up = true;
        self.address = Some(address);
        self.stack.set_address(Some(address));
        for (slot, server) in dns.iter().take(CARRIER_DNS).enumerate() {
            self.resolver.set_server(CARRIER_DNS + slot, Some(*server));
        }
        for socket in self.sockets.values_mut() {
            socket.link_up(&mut self.events);
        }
    }

    pub(crate) fn link_down(&mut self) {
        self.up = false;
        self.address = None;
        for socket in self.sockets.values_mut() {
            if !matches!(socket.state, State::Idle | State::LinkOff) {
                socket.fail(&mut self.events, Low::Link);
            }
        }
        self.resolver.clear(&mut *self.stack);
        self.stack.set_address(None);
    }

    /// A free control block, or none.
    pub(crate) fn open(&mut self, owner: Owner) -> Option<SocketId> {
        if self.sockets.len() >= SOCKETS {
            return None;
        }
        self.last_id += 1;
        let id = SocketId(self.last_id);
        self.sockets.insert(id, Socket::new(owner));
        Some(id)
    }

    pub(crate) fn set_owner(&mut self, id: SocketId, owner: Owner) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.owner = owner;
        }
    }

    /// Begins to connect; without a link it waits for one.
    pub(crate) fn connect(&mut self, now: Instant, id: SocketId, target: Target) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.reset(&mut *self.stack);
            let state = if self.up {
                State::Resolve
            } else {
                State::LinkOff
            };
            socket.begin(target, state);
        }
        self.drive(now);
    }

    /// Sends bytes (or one datagram); false if the socket is not on-line.
    pub(crate) fn send(&mut self, now: Instant, id: SocketId, bytes: &[u8]) -> bool {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return false;
        };
        let sent = socket.send(bytes, SEND_MEMORY, &mut *self.stack);
        self.flush(now);
        sent
    }

    /// Takes up to `max` received bytes, or one datagram.
    pub(crate) fn read(&mut self, id: SocketId, max: usize) -> Vec<u8> {
        match self.sockets.get_mut(&id) {
            Some(socket) => socket.read(max, &mut *self.stack),
            None => Vec::new(),
        }
    }

    /// Bytes that can be read.
    pub(crate) fn pending(&mut self, id: SocketId) -> usize {
        match self.sockets.get_mut(&id) {
            Some(socket) => socket.pending(&*self.stack),
            None => 0,
        }
    }

    /// Takes (part of) the oldest datagram with its sender.
    pub(crate) fn read_datagram(
        &mut self,
        id: SocketId,
        max: usize,
    ) -> Option<(SocketAddrV4, Vec<u8>)> {
        self.sockets.get_mut(&id)?.read_datagram(max)
    }

    /// Sends a datagram to somebody other than the connected peer.
    pub(crate) fn send_to(
        &mut self,
        now: Instant,
        id: SocketId,
        to: SocketAddrV4,
        bytes: &[u8],
    ) -> bool {
        let sent = match self.sockets.get_mut(&id) {
            Some(socket) => socket.send_to(to, bytes, &mut *self.stack),
            None => false,
        };
        self.flush(now);
        sent
    }

    /// Sends FIN after everything written; the control block is free for
    /// another connection.
    pub(crate) fn finish(&mut self, now: Instant, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.finish(&mut *self.stack);
        }
        self.flush(now);
    }

    /// Cuts a connection that is being made, from TCP on; nobody is told.
    pub(crate) fn cut_connecting(&mut self, now: Instant, id: SocketId) {
        if matches!(self.stage(id), stage::CONNECTING | stage::TLS) {
            self.close(now, id);
        }
    }

    /// Where a connection under way stands, see [`stage`].
    pub(crate) fn stage(&self, id: SocketId) -> i32 {
        self.sockets.get(&id).map_or(stage::OFF_LINE, Socket::stage)
    }

    /// lwIP's number of an owner's socket, as far as it shows.
    pub(super) fn number(&self, owner: Owner) -> i32 {
        let place = self.sockets.values().position(|of| of.owner == owner);
        place.map_or(-1, |place| place as i32)
    }

    /// What DNS said for the current target.
    pub(crate) fn resolved(&self, id: SocketId) -> Vec<Ipv4Addr> {
        let socket = self.sockets.get(&id);
        socket.map_or_else(Vec::new, |socket| socket.resolved.clone())
    }

    /// A name is asked for, a connection is being made, or bytes wait for their
    /// acknowledgement.
    pub(crate) fn is_busy(&self) -> bool {
        let mut sockets = self.sockets.values();
        sockets.any(|socket| socket.is_busy(&*self.stack))
    }

    /// There is a link.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// The device's address, while it has one.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// Sets one of the four name servers, from 0.
    pub(crate) fn set_dns(&mut self, slot: usize, server: Option<Ipv4Addr>) {
        self.resolver.set_server(slot, server);
    }

    /// Ends the connection at once; the control block stays.
    pub(crate) fn close(&mut self, now: Instant, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.reset(&mut *self.stack);
            // A closed socket reports nothing, not even what was on its way.
            let owner = socket.owner;
            self.events.retain(|notice| notice.owner != owner);
        }
        self.flush(now);
    }

    /// Gives the control block back.
    pub(crate) fn release(&mut self, now: Instant, id: SocketId) {
        self.close(now, id);
        self.sockets.remove(&id);
    }

    /// Lets stack, resolver and sockets work until `now`.
    fn drive(&mut self, now: Instant) {
        self.stack.poll(now);
        while let Some(lookup) = self.resolver.poll(now, &mut *self.stack) {
            let waiting = self
                .sockets
                .values_mut()
                .find(|s| s.state == State::Dns(lookup.id));
            if let Some(socket) = waiting {
                let expiry = u64::from(lookup.ttl) + now.millis() / 1000;
                socket.resolve(lookup.addresses, expiry, &mut self.events);
            }
        }
        let mut next = self.sockets.keys().next().copied();
        while let Some(id) = next {
            self.step(now, id);
            next = self
                .sockets
                .range(SocketId(id.0 + 1)..)
                .next()
                .map(|(id, _)| *id);
        }
        self.flush(now);
    }

    /// Moves one socket on as far as it gets.
    fn step(&mut self, now: Instant, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        if socket.state == State::Resolve {
            let Some(target) = &socket.target else { return };
            socket.state = match target.host.parse() {
                Ok(address) => {
                    socket.addresses = vec![address];
                    State::Choose
                }
                Err(_) => State::Dns(self.resolver.start(now, &target.host, &mut *self.stack)),
            };
        }
        if socket.state == State::Choose {
            socket.dial(&mut *self.stack, &mut self.events);
        }
        let tls = match socket.wants_tls() {
            None => None,
            Some(Security::Checked(certificates)) => {
                Some(tls::checked(certificates, self.clock, &self.secrets))
            }
            Some(_) => {
                let shared = || tls::client_with(&self.secrets);
                Some(Ok(Arc::clone(self.tls.get_or_insert_with(shared))))
            }
        };
        socket.work(
            now,
            &mut *self.stack,
            tls,
            self.tls_compute,
            &mut self.events,
        );
        self.lines.extend(socket.lines.drain(..));
        if let Some(error) = socket.error.take() {
            let code = match error {
                TcpError::Reset => -14,
                TcpError::Aborted => -13,
            };
            let number = self.sockets.keys().position(|of| *of == id).unwrap_or(0);
            self.lines.push_back(format!(
                "net_lwip_tcp_err_cb 645:adapter 1 socket {number} not closing, but error {code}"
            ));
        }
    }

    /// Puts what the stack has to say on its way.
    fn flush(&mut self, now: Instant) {
        self.stack.poll(now);
        while let Some(packet) = self.stack.transmit() {
            self.packets.push_back((now, packet));
        }
        let sockets = self.sockets.values().filter_map(Socket::next_wake);
        let own = [self.stack.next_wake(now), self.resolver.next_wake()];
        self.wake = own.into_iter().flatten().chain(sockets).min();
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.wake
    }
}

/// The address of a datagram's destination.
fn endpoint(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

impl Runtime {
    /// Lets the network work until `now` and tells its users.
    pub(crate) fn drive_network(&mut self, now: Instant) {
        self.network.clock = self.rtc.utc(now);
        self.network.drive(now);
        for (level, line) in self.network.resolver.take_lines() {
            let level = match level {
                LineLevel::Debug => Level::Debug,
                LineLevel::Info => Level::Info,
                LineLevel::Error => Level::Error,
            };
            self.lib_line(level, &line);
        }
        while let Some(line) = self.network.lines.pop_front() {
            self.line(line);
        }
        while let Some(notice) = self.network.events.pop_front() {
            self.debug_notice(&notice, |trace| trace.before, socket_debug::before);
            if let Some(event) = notice.event {
                self.tell_owner(notice.owner, event);
            }
            self.debug_notice(&notice, |trace| trace.after, socket_debug::after);
        }
        self.touch_outside();
    }

    fn tell_owner(&mut self, owner: Owner, event: SocketEvent) {
        match owner {
            Owner::WebSocket(id) => self.websocket_socket_event(id, event),
            Owner::ErrDump => self.errdump_socket_event(event),
            Owner::Ctrl(id) => self.ctrl_socket_event(id, event),
            Owner::Mqtt(id) => self.mqtt_socket_event(id, event),
            Owner::Http(id) => self.http_socket_event(id, event),
            Owner::Sntp => self.sntp_socket_event(event),
            Owner::FtpControl => self.ftp_control_event(event),
            Owner::FtpData => self.ftp_data_event(event),
        }
    }
}
