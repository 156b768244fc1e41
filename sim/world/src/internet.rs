//! The hosts behind the carrier.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use airbench_clock::{Instant, Rng};
use airbench_net::{IpStack, Shape, SmolStack, TcpId, TcpState, UdpId, dns};
use airbench_trace::{Event, Kind, Source};

use crate::guest::Guest;
use crate::setup::Setup;

/// Documentation addresses (RFC 5737) of the services.
const AIRTUN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const ERRDUMP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const ERRDUMP_PORT: u16 = 12_425;
/// What the errDump server says when it has stored a record.
const ERRDUMP_ACK: &[u8] = b"OK";
/// Most bytes moved between TCP and a guest's stream at a time.
const CHUNK: usize = 64 * 1024;

/// One TCP connection of the server and its stream into the guest.
struct Connection {
    tcp: TcpId,
    stream: u64,
    /// Written by the guest, not yet taken by TCP.
    backlog: Vec<u8>,
    /// The peer's FIN has been passed on.
    ended: bool,
}

/// A host: an address with a stack.
struct Host {
    address: Ipv4Addr,
    stack: SmolStack,
    service: Service,
    wake: Option<Instant>,
}

enum Service {
    Dns(UdpId),
    Airtun(Vec<Connection>),
    ErrDump(UdpId),
}

/// All hosts.
pub(crate) struct Internet {
    hosts: Vec<Host>,
    guest: Guest,
    names: BTreeMap<String, Ipv4Addr>,
    serving: bool,
    packets: VecDeque<Vec<u8>>,
    events: Vec<Event>,
}

impl Internet {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut rng = Rng::new(setup.seed, "hosts");
        let mut hosts = Vec::new();
        let mut add = |address, service: fn(&mut SmolStack) -> Service| {
            let mut stack = SmolStack::new(Shape::host(), rng.bits());
            stack.set_address(Some(address));
            let service = service(&mut stack);
            hosts.push(Host {
                address,
                stack,
                service,
                wake: None,
            });
        };
        for server in &setup.profile.modem.dns {
            add(*server, |stack| Service::Dns(stack.udp_open(53)));
        }
        add(AIRTUN, |stack| {
            stack.listen(80);
            stack.listen(443);
            Service::Airtun(Vec::new())
        });
        add(ERRDUMP, |stack| {
            Service::ErrDump(stack.udp_open(ERRDUMP_PORT))
        });
        let address = |service: &str| {
            if service == "errdump" {
                ERRDUMP
            } else {
                AIRTUN
            }
        };
        let names = setup
            .names
            .iter()
            .map(|(name, service)| (name.to_ascii_lowercase(), address(service)));
        Self {
            hosts,
            guest: Guest::new(setup.epoch),
            names: names.collect(),
            serving: true,
            packets: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// A packet from the carrier arrives; nobody at its address means it is
    /// lost.
    pub(crate) fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        let Some(to) = packet.get(16..20) else { return };
        let to = Ipv4Addr::new(to[0], to[1], to[2], to[3]);
        if let Some(index) = self.hosts.iter().position(|host| host.address == to) {
            self.hosts[index].stack.receive(packet);
            self.work(now, index);
        }
    }

    /// Lets everything that is due by `now` happen.
    pub(crate) fn poll(&mut self, now: Instant) {
        let timer = self.guest.advance(now);
        for index in 0..self.hosts.len() {
            let due = self.hosts[index].wake.is_some_and(|at| at <= now);
            let guest = timer && matches!(self.hosts[index].service, Service::Airtun(_));
            if due || guest {
                self.work(now, index);
            }
        }
    }

    /// Works off one host and its service.
    fn work(&mut self, now: Instant, index: usize) {
        let host = &mut self.hosts[index];
        host.stack.poll(now);
        match &mut host.service {
            Service::Dns(socket) => {
                for name in answer_names(&mut host.stack, *socket, &self.names) {
                    let text = format!("unknown host {name}");
                    self.events
                        .push(Event::new(now, Source::Server, Kind::State, text));
                }
            }
            Service::ErrDump(socket) => {
                while let Some((from, bytes)) = host.stack.udp_receive(*socket) {
                    self.events
                        .push(Event::new(now, Source::Server, Kind::Datagram, bytes));
                    host.stack.udp_send(*socket, from, ERRDUMP_ACK);
                }
            }
            Service::Airtun(connections) => {
                self.guest.advance(now);
                serve(&mut host.stack, connections, &mut self.guest);
                for (kind, bytes) in self.guest.take_observed() {
                    self.events
                        .push(Event::new(now, Source::Server, kind, bytes));
                }
            }
        }
        let host = &mut self.hosts[index];
        host.stack.poll(now);
        while let Some(packet) = host.stack.transmit() {
            self.packets.push_back(packet);
        }
        host.wake = host.stack.next_wake(now);
    }

    /// Stops or starts the airtun server. Stopping resets its connections, as
    /// a killed process's kernel does.
    pub(crate) fn set_serving(&mut self, now: Instant, serving: bool) {
        if self.serving == serving {
            return;
        }
        self.serving = serving;
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            let Service::Airtun(connections) = &mut host.service else {
                continue;
            };
            if serving {
                host.stack.listen(80);
                host.stack.listen(443);
            } else {
                host.stack.stop_listening();
                for connection in connections.drain(..) {
                    host.stack.tcp_abort(connection.tcp);
                    self.guest.forget(connection.stream);
                }
            }
            self.work(now, index);
        }
    }

    /// A packet on its way to the carrier.
    pub(crate) fn transmit(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    /// Moves what the servers saw to the end of `into`.
    pub(crate) fn take_events(&mut self, into: &mut Vec<Event>) {
        into.append(&mut self.events);
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let hosts = self.hosts.iter().filter_map(|host| host.wake);
        hosts.chain(self.guest.next_wake()).min()
    }
}

/// Answers questions for names; gives those that nobody knows.
fn answer_names(
    stack: &mut SmolStack,
    socket: UdpId,
    names: &BTreeMap<String, Ipv4Addr>,
) -> Vec<String> {
    let mut unknown = Vec::new();
    while let Some((from, message)) = stack.udp_receive(socket) {
        let answer = dns::answer(&message, |name| {
            let address = names.get(&name.to_ascii_lowercase());
            if address.is_none() {
                unknown.push(name.to_owned());
            }
            address.map(|address| vec![*address])
        });
        if let Some(answer) = answer {
            let to = SocketAddrV4::new(*from.ip(), from.port());
            stack.udp_send(socket, to, &answer);
        }
    }
    unknown
}

/// Moves bytes between the server's TCP and the guest's streams.
fn serve(stack: &mut SmolStack, connections: &mut Vec<Connection>, guest: &mut Guest) {
    while let Some((tcp, port)) = stack.accept() {
        let stream = guest.connect(port == 443);
        connections.push(Connection {
            tcp,
            stream,
            backlog: Vec::new(),
            ended: false,
        });
    }
    for connection in connections.iter_mut() {
        let Some(pipe) = guest.pipe(connection.stream) else {
            continue;
        };
        let status = stack.tcp_status(connection.tcp);
        if status.readable > 0 {
            pipe.deliver(&stack.tcp_read(connection.tcp, CHUNK));
        }
        if status.state != TcpState::Open && !connection.ended {
            connection.ended = true;
            pipe.end();
        }
    }
    guest.run();
    connections.retain_mut(|connection| {
        let Some(pipe) = guest.pipe(connection.stream) else {
            return false;
        };
        connection.backlog.append(&mut pipe.take());
        if !connection.backlog.is_empty() {
            let taken = stack.tcp_write(connection.tcp, &connection.backlog);
            connection.backlog.drain(..taken);
        }
        let over = stack.tcp_status(connection.tcp).state == TcpState::Closed;
        let done = pipe.is_closed() && connection.backlog.is_empty();
        if over || done {
            stack.tcp_close(connection.tcp);
            guest.forget(connection.stream);
        }
        !(over || done)
    });
}
