//! What a host of the simulated internet does with its stack.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use airbench_clock::Instant;
use airbench_net::{IpStack, SmolStack, TcpId, TcpState, UdpId, dns};
use airbench_trace::Kind;

use crate::guest::{Guest, Program};
use crate::relay::Relay;

/// An address of TEST-NET-1 (RFC 5737), where nobody is.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// What the errDump server says when it has stored a record.
const ERRDUMP_ACK: &[u8] = b"OK";
/// Most bytes moved between TCP and a guest's stream at a time.
const CHUNK: usize = 64 * 1024;
/// Seconds from 1900 to 1970.
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// The port (RFC 864) whose datagrams are orders: `COUNT SIZE` has that many sent
/// back, of that size.
const CHARGEN: u16 = 19;
/// Most datagrams of one order, and most bytes of one.
const ORDER: (usize, usize) = (1000, 1472);
/// Length of an NTP packet without extensions.
const NTP: usize = 48;

/// One TCP connection of a server and its stream into the guest.
pub(crate) struct Connection {
    tcp: TcpId,
    port: u16,
    /// The guest's stream, once the client has spoken (or need not).
    stream: Option<u64>,
    /// Written by the guest, not yet taken by TCP.
    backlog: Vec<u8>,
    /// The peer's FIN has been passed on.
    ended: bool,
}

/// What a host does.
pub(crate) enum Service {
    Dns(UdpId),
    ErrDump(UdpId),
    Ntp(UdpId),
    /// Sends back what it gets, on any port.
    Echo {
        udp: BTreeMap<u16, UdpId>,
        tcp: Vec<(TcpId, Vec<u8>)>,
    },
    /// A guest program.
    Guest(Program, Vec<Connection>),
    /// A real server on the user's machine.
    Relay(Relay),
}

/// What services share.
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Instant,
    /// Names are answered with an address where nobody is.
    pub(crate) wrong: bool,
    /// UTC seconds at the world's beginning.
    pub(crate) epoch: i64,
    pub(crate) names: &'a BTreeMap<String, Ipv4Addr>,
    /// The latest name for which an address was given.
    pub(crate) asked: &'a mut BTreeMap<Ipv4Addr, String>,
    pub(crate) guest: &'a mut Guest,
    /// What is to be logged.
    pub(crate) notes: &'a mut Vec<(Kind, Vec<u8>)>,
}

/// Count and size that a datagram to [`CHARGEN`] asks for.
fn order(bytes: &[u8]) -> Option<(usize, usize)> {
    let (count, size) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    let (count, size) = (count.parse().ok()?, size.parse().ok()?);
    (count <= ORDER.0 && size <= ORDER.1).then_some((count, size))
}

impl Service {
    /// Answers on whatever port it is asked.
    pub(crate) fn any_port(&self) -> bool {
        matches!(self, Self::Echo { .. } | Self::Relay(_))
    }

    /// A datagram is about to arrive on this port.
    pub(crate) fn expect_datagram(&mut self, stack: &mut SmolStack, port: u16) {
        if let Self::Echo { udp, .. } = self {
            udp.entry(port).or_insert_with(|| stack.udp_open(port));
        }
    }

    /// Works off what there is to do.
    pub(crate) fn work(&mut self, stack: &mut SmolStack, around: &mut Surroundings<'_>) {
        match self {
            Self::Dns(socket) => answer_names(stack, *socket, around),
            Self::ErrDump(socket) => {
                while let Some((from, bytes)) = stack.udp_receive(*socket) {
                    around.notes.push((Kind::Datagram, bytes));
                    stack.udp_send(*socket, from, ERRDUMP_ACK);
                }
            }
            Self::Ntp(socket) => {
                while let Some((from, request)) = stack.udp_receive(*socket) {
                    if let Some(answer) = ntp_answer(&request, around.now, around.epoch) {
                        stack.udp_send(*socket, from, &answer);
                    }
                }
            }
            Self::Echo { udp, tcp } => {
                for (port, socket) in udp {
                    while let Some((from, bytes)) = stack.udp_receive(*socket) {
                        around.notes.push((Kind::Datagram, bytes.clone()));
                        let (count, answer) = match (*port, order(&bytes)) {
                            (CHARGEN, Some((count, size))) => (count, vec![b'#'; size]),
                            _ => (1, bytes),
                        };
                        for _ in 0..count {
                            stack.udp_send(*socket, from, &answer);
                            // The socket's own buffer holds a few only.
                            stack.poll(around.now);
                        }
                    }
                }
                echo(stack, tcp);
            }
            Self::Guest(program, connections) => {
                around.guest.advance(around.now);
                serve(stack, *program, connections, around.guest);
                around.notes.extend(around.guest.take_notes());
            }
            Self::Relay(relay) => relay.work(stack, around.now),
        }
    }

    /// When it has something to do by itself.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        match self {
            Self::Relay(relay) => relay.next_wake(),
            _ => None,
        }
    }

    /// Ends all connections, as a killed process's kernel does.
    pub(crate) fn reset(&mut self, stack: &mut SmolStack, guest: &mut Guest) {
        if let Self::Guest(_, connections) = self {
            for connection in connections.drain(..) {
                stack.tcp_abort(connection.tcp);
                if let Some(stream) = connection.stream {
                    guest.forget(stream);
                }
            }
        }
    }
}

/// Answers questions for names; notes those that nobody knows.
fn answer_names(stack: &mut SmolStack, socket: UdpId, around: &mut Surroundings<'_>) {
    while let Some((from, message)) = stack.udp_receive(socket) {
        let answer = dns::answer(&message, |name| {
            let address = around.names.get(&name.to_ascii_lowercase());
            match address {
                Some(address) => drop(around.asked.insert(*address, name.to_owned())),
                None => {
                    let text = format!("unknown host {name}");
                    around.notes.push((Kind::State, text.into_bytes()));
                }
            }
            let given = address.map(|address| vec![*address]);
            if around.wrong {
                Some(vec![NOBODY])
            } else {
                given
            }
        });
        if let Some(answer) = answer {
            let to = SocketAddrV4::new(*from.ip(), from.port());
            stack.udp_send(socket, to, &answer);
        }
    }
}

/// An SNTP answer (RFC 4330): stratum 1, the world's time.
fn ntp_answer(request: &[u8], now: Instant, epoch: i64) -> Option<[u8; NTP]> {
    let request = request.get(..NTP)?;
    let seconds = epoch + (now.nanos() / 1_000_000_000) as i64 + NTP_TO_UNIX;
    let fraction = ((now.nanos() % 1_000_000_000) << 32) / 1_000_000_000;
    let mut answer = [0; NTP];
    // No leap second; the client's version; server.
    answer[0] = request[0] & 0x38 | 4;
    answer[1] = 1;
    answer[2] = request[2];
    answer[3] = 0xEC;
    answer[12..16].copy_from_slice(b"SIM\0");
    // The client's transmit time comes back as originate.
    answer[24..32].copy_from_slice(&request[40..48]);
    for at in [16, 32, 40] {
        answer[at..at + 4].copy_from_slice(&(seconds as u32).to_be_bytes());
        answer[at + 4..at + 8].copy_from_slice(&(fraction as u32).to_be_bytes());
    }
    Some(answer)
}

/// Sends back what connections bring.
fn echo(stack: &mut SmolStack, connections: &mut Vec<(TcpId, Vec<u8>)>) {
    while let Some((tcp, _)) = stack.accept() {
        connections.push((tcp, Vec::new()));
    }
    connections.retain_mut(|(tcp, backlog)| {
        let status = stack.tcp_status(*tcp);
        if status.readable > 0 {
            backlog.append(&mut stack.tcp_read(*tcp, CHUNK));
        }
        let taken = stack.tcp_write(*tcp, backlog);
        backlog.drain(..taken);
        let over = match status.state {
            TcpState::Closed => true,
            TcpState::HalfClosed => backlog.is_empty() && status.readable == 0,
            _ => false,
        };
        if over {
            stack.tcp_close(*tcp);
        }
        !over
    });
}

/// Moves bytes between a server's TCP and the guest's streams.
fn serve(
    stack: &mut SmolStack,
    program: Program,
    connections: &mut Vec<Connection>,
    guest: &mut Guest,
) {
    while let Some((tcp, port)) = stack.accept() {
        let greeted = program.speaks_first();
        connections.push(Connection {
            tcp,
            port,
            stream: greeted.then(|| guest.connect(program, port, None)),
            backlog: Vec::new(),
            ended: false,
        });
    }
    for connection in connections.iter_mut() {
        let status = stack.tcp_status(connection.tcp);
        if status.readable > 0 {
            let bytes = stack.tcp_read(connection.tcp, CHUNK);
            let first = bytes.first().copied();
            let stream = connection
                .stream
                .get_or_insert_with(|| guest.connect(program, connection.port, first));
            if let Some(pipe) = guest.pipe(*stream) {
                pipe.deliver(&bytes);
            }
        }
        if status.state != TcpState::Open && !connection.ended {
            connection.ended = true;
            if let Some(pipe) = connection.stream.and_then(|stream| guest.pipe(stream)) {
                pipe.end();
            }
        }
    }
    guest.run();
    connections.retain_mut(|connection| {
        let over = stack.tcp_status(connection.tcp).state == TcpState::Closed;
        let done = match connection.stream {
            None => connection.ended,
            Some(stream) => match guest.pipe(stream) {
                None => return false,
                Some(pipe) => {
                    connection.backlog.append(&mut pipe.take());
                    if !connection.backlog.is_empty() {
                        let taken = stack.tcp_write(connection.tcp, &connection.backlog);
                        connection.backlog.drain(..taken);
                    }
                    pipe.is_closed() && connection.backlog.is_empty()
                }
            },
        };
        if over || done {
            stack.tcp_close(connection.tcp);
            if let Some(stream) = connection.stream {
                guest.forget(stream);
            }
        }
        !(over || done)
    });
}
