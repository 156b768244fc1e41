//! The seam between whoever uses TCP/IP and whoever implements it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use airbench_clock::Instant;

/// A TCP connection of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TcpId(pub(crate) u32);

/// A UDP socket of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UdpId(pub(crate) u32);

/// Where a connection stands, as its user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpState {
    /// The handshake is under way.
    Connecting,
    /// Both directions work.
    Open,
    /// The peer has sent its FIN; what it sent before can still be read.
    HalfClosed,
    /// Over: refused, reset, timed out, or closed by both sides.
    Closed,
}

/// Why a connection ended that nobody closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpError {
    /// The peer sent a RST.
    Reset,
    /// Repetitions or probes stayed without an answer.
    Aborted,
}

/// State and fill of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpStatus {
    /// Where it stands.
    pub state: TcpState,
    /// Bytes received and not yet read.
    pub readable: usize,
    /// How often bytes have come in order, modulo 2³²; 0 if the stack does not
    /// count.
    pub arrivals: u32,
    /// Bytes written and not yet acknowledged by the peer.
    pub unacknowledged: usize,
    /// Bytes that can be written now.
    pub writable: usize,
    /// Why it is over, if the stack tells.
    pub error: Option<TcpError>,
}

/// Probes of an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes that end the connection.
    pub count: u32,
}

/// A TCP/IP stack with packets as bytes on its lower side. Time is an argument;
/// after any call, `poll`, then take packets until `transmit` gives none.
pub trait IpStack {
    /// Sets or removes the address. Removing it aborts every connection.
    fn set_address(&mut self, address: Option<Ipv4Addr>);

    /// Begins a connection from a port, 0 chooses one; `None` without an address.
    fn tcp_connect(&mut self, remote: SocketAddrV4, port: u16) -> Option<TcpId>;
    /// Writes; gives the number of bytes taken.
    fn tcp_write(&mut self, id: TcpId, bytes: &[u8]) -> usize;
    /// Reads up to `max` bytes.
    fn tcp_read(&mut self, id: TcpId, max: usize) -> Vec<u8>;
    /// State and fill; a forgotten connection is `Closed`.
    fn tcp_status(&self, id: TcpId) -> TcpStatus;
    /// Sends FIN after what was written. The connection is forgotten when it
    /// has ended.
    fn tcp_close(&mut self, id: TcpId);
    /// Sends RST and forgets the connection.
    fn tcp_abort(&mut self, id: TcpId);
    /// Switches probes of an idle connection on or off; a stack may have none.
    fn tcp_keepalive(&mut self, _id: TcpId, _keepalive: Option<Keepalive>) {}

    /// Opens a UDP socket; port 0 chooses one.
    fn udp_open(&mut self, port: u16) -> UdpId;
    /// Sends a datagram; false without an address or room.
    fn udp_send(&mut self, id: UdpId, to: SocketAddrV4, bytes: &[u8]) -> bool;
    /// Takes a received datagram.
    fn udp_receive(&mut self, id: UdpId) -> Option<(SocketAddrV4, Vec<u8>)>;
    /// Closes a UDP socket.
    fn udp_close(&mut self, id: UdpId);

    /// A packet arrives.
    fn receive(&mut self, packet: Vec<u8>);
    /// Works off what arrived, what was written, and what is due.
    fn poll(&mut self, now: Instant);
    /// A packet to send.
    fn transmit(&mut self) -> Option<Vec<u8>>;
    /// When `poll` is needed without anything else happening.
    fn next_wake(&mut self, now: Instant) -> Option<Instant>;
}
