//! [`IpStack`] with smoltcp. smoltcp is the maintained sans-I/O stack; it has no
//! clock and no sockets of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use airbench_clock::Instant;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Cidr};

use crate::phy::Queues;
use crate::ports::Ports;
use crate::stack::{IpStack, TcpId, TcpState, TcpStatus, UdpId};

/// How a stack's TCP is dimensioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Largest packet in bytes; the MSS is 40 less.
    pub mtu: usize,
    /// Receive buffer and so the window, in bytes.
    pub receive: usize,
    /// Send buffer in bytes.
    pub send: usize,
    /// An ACK without data waits this long.
    pub ack_delay: Duration,
    /// Small writes wait for outstanding ACKs.
    pub nagle: bool,
    /// An unanswered SYN ends the attempt after this long.
    pub syn_timeout: Duration,
    /// Unanswered data or an unanswered FIN end a connection after this long.
    pub timeout: Duration,
}

impl Shape {
    /// The device's, for what its own TCP does not carry: packets of its size.
    pub fn device() -> Self {
        const MSS: usize = 1340;
        Self {
            mtu: MSS + 40,
            receive: 6 * MSS,
            send: 6 * MSS,
            ack_delay: Duration::from_millis(250),
            nagle: true,
            syn_timeout: Duration::from_secs(18),
            timeout: Duration::from_secs(60),
        }
    }

    /// A server in a data centre.
    pub fn host() -> Self {
        Self {
            mtu: 1500,
            receive: 32 * 1024,
            send: 64 * 1024,
            ack_delay: Duration::from_millis(40),
            nagle: false,
            syn_timeout: Duration::from_secs(120),
            timeout: Duration::from_secs(120),
        }
    }
}

/// One connection and how long its peer has been silent about what it owes.
/// smoltcp's own time-out also ends idle connections, so it is not used.
#[derive(Debug)]
struct Connection {
    handle: SocketHandle,
    /// Until when what is waiting for its acknowledgement (a SYN, data, a FIN)
    /// must have moved, and how much was waiting when that was set.
    owed: Option<(Instant, usize)>,
}

/// A stack on smoltcp.
pub struct SmolStack {
    interface: Interface,
    queues: Queues,
    sockets: SocketSet<'static>,
    tcp: BTreeMap<TcpId, Connection>,
    udp: BTreeMap<UdpId, SocketHandle>,
    /// Sockets waiting for a connection, by port.
    listening: Vec<(u16, TcpId)>,
    /// Closed by the user, to be forgotten when done.
    closing: Vec<TcpId>,
    shape: Shape,
    address: Option<Ipv4Addr>,
    next_id: u32,
    ports: Ports,
}

/// Datagrams a UDP socket holds in each direction.
const UDP_PACKETS: usize = 8;
/// Bytes they may have together.
const UDP_BYTES: usize = 12 * 1024;

impl SmolStack {
    /// A stack without an address; `seed` decides sequence numbers and ports.
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut queues = Queues::new(shape.mtu);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let interface = Interface::new(config, &mut queues, smoltcp::time::Instant::ZERO);
        Self {
            interface,
            queues,
            sockets: SocketSet::new(Vec::new()),
            tcp: BTreeMap::new(),
            udp: BTreeMap::new(),
            listening: Vec::new(),
            closing: Vec::new(),
            shape,
            address: None,
            next_id: 0,
            ports: Ports::new(seed),
        }
    }

    /// Accepts connections on `port` from now on.
    pub fn listen(&mut self, port: u16) {
        let id = self.add_tcp();
        // A new socket and a port that is not 0: listen cannot refuse.
        let _ = self.tcp_mut(id).map(|socket| socket.listen(port));
        self.listening.push((port, id));
    }

    /// Accepts no connections any more; connecting is refused.
    pub fn stop_listening(&mut self) {
        for (_, id) in std::mem::take(&mut self.listening) {
            self.forget(id);
        }
    }

    /// A connection that has come in since the last call, and its port.
    pub fn accept(&mut self) -> Option<(TcpId, u16)> {
        let index = self.listening.iter().position(|(_, id)| {
            let state = self
                .tcp
                .get(id)
                .map(|c| self.sockets.get::<tcp::Socket<'_>>(c.handle).state());
            !matches!(state, Some(tcp::State::Listen | tcp::State::SynReceived))
        })?;
        let (port, id) = self.listening.remove(index);
        Some((id, port))
    }

    /// A socket that has begun to take a connection leaves its port to another.
    fn keep_listening(&mut self) {
        for index in 0..self.listening.len() {
            let (port, _) = self.listening[index];
            let listens = |id: &TcpId| {
                let connection = self.tcp.get(id);
                connection.is_some_and(|c| {
                    let socket = self.sockets.get::<tcp::Socket<'_>>(c.handle);
                    socket.state() == tcp::State::Listen
                })
            };
            let mut same_port = self.listening.iter().filter(|(p, _)| *p == port);
            if !same_port.any(|(_, id)| listens(id)) {
                self.listen(port);
            }
        }
    }

    fn add_tcp(&mut self) -> TcpId {
        let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
        let mut socket = tcp::Socket::new(buffer(self.shape.receive), buffer(self.shape.send));
        socket.set_ack_delay(Some(to_smol(self.shape.ack_delay)));
        socket.set_nagle_enabled(self.shape.nagle);
        let handle = self.sockets.add(socket);
        self.next_id += 1;
        let id = TcpId(self.next_id);
        self.tcp.insert(id, Connection { handle, owed: None });
        id
    }

    fn tcp_mut(&mut self, id: TcpId) -> Option<&mut tcp::Socket<'static>> {
        self.tcp
            .get(&id)
            .map(|c| self.sockets.get_mut::<tcp::Socket<'static>>(c.handle))
    }

    fn udp_mut(&mut self, id: UdpId) -> Option<&mut udp::Socket<'static>> {
        self.udp
            .get(&id)
            .map(|handle| self.sockets.get_mut::<udp::Socket<'static>>(*handle))
    }

    fn forget(&mut self, id: TcpId) {
        if let Some(connection) = self.tcp.remove(&id) {
            self.sockets.remove(connection.handle);
        }
    }

    /// Aborts connections whose peer has owed an acknowledgement too long.
    fn give_up_on_the_silent(&mut self, now: Instant) {
        for connection in self.tcp.values_mut() {
            let socket = self
                .sockets
                .get_mut::<tcp::Socket<'static>>(connection.handle);
            // States that wait for the peer to acknowledge a SYN or a FIN, or to
            // send its own.
            let flag = matches!(
                socket.state(),
                tcp::State::SynSent
                    | tcp::State::SynReceived
                    | tcp::State::FinWait1
                    | tcp::State::FinWait2
                    | tcp::State::Closing
                    | tcp::State::LastAck
            );
            let waiting = socket.send_queue() + usize::from(flag);
            connection.owed = match connection.owed {
                _ if waiting == 0 => None,
                Some((until, before)) if waiting >= before => Some((until, before)),
                _ if socket.state() == tcp::State::SynSent => {
                    Some((now + self.shape.syn_timeout, waiting))
                }
                _ => Some((now + self.shape.timeout, waiting)),
            };
            if connection.owed.is_some_and(|(until, _)| now >= until) {
                socket.abort();
                connection.owed = None;
            }
        }
    }

    /// When the first peer's patience ends.
    fn patience_ends(&self) -> Option<Instant> {
        self.tcp
            .values()
            .filter_map(|c| c.owed)
            .map(|(until, _)| until)
            .min()
    }

    fn forget_closed(&mut self) {
        let mut index = 0;
        while index < self.closing.len() {
            let id = self.closing[index];
            if self.tcp_status(id).state == TcpState::Closed {
                self.closing.swap_remove(index);
                self.forget(id);
            } else {
                index += 1;
            }
        }
    }
}

fn to_smol(span: Duration) -> smoltcp::time::Duration {
    smoltcp::time::Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

fn smol_now(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.micros()).unwrap_or(i64::MAX))
}

impl IpStack for SmolStack {
    fn set_address(&mut self, address: Option<Ipv4Addr>) {
        if address.is_none() {
            for id in self.tcp.keys().copied().collect::<Vec<_>>() {
                self.forget(id);
            }
            self.listening.clear();
            self.closing.clear();
            self.queues.rx.clear();
            self.queues.tx.clear();
        }
        self.address = address;
        self.interface.update_ip_addrs(|list| {
            list.clear();
            if let Some(address) = address {
                // One address in an empty list always fits.
                let _ = list.push(IpCidr::Ipv4(Ipv4Cidr::new(address, 32)));
            }
        });
        // Point-to-point: everything leaves by the one interface.
        let gateway = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let _ = self.interface.routes_mut().add_default_ipv4_route(gateway);
    }

    fn tcp_connect(&mut self, remote: SocketAddrV4, port: u16) -> Option<TcpId> {
        self.address?;
        let id = self.add_tcp();
        let port = self.ports.choose(port);
        let handle = self.tcp[&id].handle;
        let socket = self.sockets.get_mut::<tcp::Socket<'static>>(handle);
        let endpoint = IpEndpoint::new(IpAddress::Ipv4(*remote.ip()), remote.port());
        if socket
            .connect(self.interface.context(), endpoint, port)
            .is_err()
        {
            self.forget(id);
            return None;
        }
        Some(id)
    }

    fn tcp_write(&mut self, id: TcpId, bytes: &[u8]) -> usize {
        self.tcp_mut(id)
            .and_then(|socket| socket.send_slice(bytes).ok())
            .unwrap_or(0)
    }

    fn tcp_read(&mut self, id: TcpId, max: usize) -> Vec<u8> {
        let Some(socket) = self.tcp_mut(id) else {
            return Vec::new();
        };
        let mut bytes = vec![0; max.min(socket.recv_queue())];
        let len = socket.recv_slice(&mut bytes).unwrap_or(0);
        bytes.truncate(len);
        bytes
    }

    fn tcp_status(&self, id: TcpId) -> TcpStatus {
        let closed = TcpStatus {
            state: TcpState::Closed,
            readable: 0,
            arrivals: 0,
            unacknowledged: 0,
            writable: 0,
            error: None,
        };
        let Some(connection) = self.tcp.get(&id) else {
            return closed;
        };
        let socket = self.sockets.get::<tcp::Socket<'static>>(connection.handle);
        let state = match socket.state() {
            tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => {
                TcpState::Connecting
            }
            tcp::State::Closed => TcpState::Closed,
            tcp::State::CloseWait
            | tcp::State::LastAck
            | tcp::State::Closing
            | tcp::State::TimeWait => TcpState::HalfClosed,
            _ => TcpState::Open,
        };
        TcpStatus {
            state,
            readable: socket.recv_queue(),
            arrivals: 0,
            unacknowledged: socket.send_queue(),
            writable: if socket.may_send() {
                socket.send_capacity() - socket.send_queue()
            } else {
                0
            },
            error: None,
        }
    }

    fn tcp_close(&mut self, id: TcpId) {
        if let Some(socket) = self.tcp_mut(id) {
            socket.close();
            self.closing.push(id);
        }
    }

    fn tcp_abort(&mut self, id: TcpId) {
        if let Some(socket) = self.tcp_mut(id) {
            socket.abort();
            // The next poll sends the RST; then it is forgotten.
            self.closing.push(id);
        }
    }

    fn udp_open(&mut self, port: u16) -> UdpId {
        let buffer = || {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; UDP_PACKETS],
                vec![0; UDP_BYTES],
            )
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        let port = self.ports.choose(port);
        // A new socket and a port that is not 0: bind cannot refuse.
        let _ = socket.bind(port);
        self.next_id += 1;
        let id = UdpId(self.next_id);
        self.udp.insert(id, self.sockets.add(socket));
        id
    }

    fn udp_send(&mut self, id: UdpId, to: SocketAddrV4, bytes: &[u8]) -> bool {
        if self.address.is_none() {
            return false;
        }
        let endpoint = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
        self.udp_mut(id)
            .is_some_and(|socket| socket.send_slice(bytes, endpoint).is_ok())
    }

    fn udp_receive(&mut self, id: UdpId) -> Option<(SocketAddrV4, Vec<u8>)> {
        let (bytes, meta) = self.udp_mut(id)?.recv().ok()?;
        // Without the IPv6 feature there is no other kind of address.
        let IpAddress::Ipv4(address) = meta.endpoint.addr;
        Some((
            SocketAddrV4::new(address, meta.endpoint.port),
            bytes.to_vec(),
        ))
    }

    fn udp_close(&mut self, id: UdpId) {
        if let Some(handle) = self.udp.remove(&id) {
            self.sockets.remove(handle);
        }
    }

    fn receive(&mut self, packet: Vec<u8>) {
        self.queues.rx.push_back(packet);
    }

    fn poll(&mut self, now: Instant) {
        // Packet by packet, so that two connections that begin at once both
        // find somebody listening.
        let mut waiting = std::mem::take(&mut self.queues.rx);
        loop {
            self.queues.rx.extend(waiting.pop_front());
            self.interface
                .poll(smol_now(now), &mut self.queues, &mut self.sockets);
            self.keep_listening();
            if waiting.is_empty() {
                break;
            }
        }
        self.give_up_on_the_silent(now);
        if !self.closing.is_empty() {
            self.forget_closed();
        }
    }

    fn transmit(&mut self) -> Option<Vec<u8>> {
        self.queues.tx.pop_front()
    }

    fn next_wake(&mut self, now: Instant) -> Option<Instant> {
        let at = self
            .interface
            .poll_at(smol_now(now), &self.sockets)
            .map(|at| Instant::from_nanos(u64::try_from(at.total_micros()).unwrap_or(0) * 1000));
        let next = Instant::earliest([at, self.patience_ends()])?;
        Some(next.max(now))
    }
}
