//! The hosts behind the carrier. A host comes into being with the first packet
//! for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use airbench_airtun::Faults;
use airbench_clock::{Instant, Queue, Rng};
use airbench_lte::{Carrier, Dns};
use airbench_net::{IpStack, Shape, SmolStack};
use airbench_trace::{Event, Kind, Source};

use crate::cloud::ftp::DATA_PORTS;
use crate::guest::{FTPS_PORT, Guest, Program};
use crate::relay::Relay;
use crate::service::{Service, Surroundings};
use crate::setup::{Destination, Setup};

/// Documentation addresses (RFC 5737) of the services.
const AIRTUN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const ERRDUMP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const BROKER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 30);
const ORIGIN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 40);
const FTP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 70);
const NTP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);
const ECHO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 60);
/// Real servers get the addresses from here on.
const RELAYS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Public name servers that scripts set for themselves.
const PUBLIC_DNS: [Ipv4Addr; 10] = [
    Ipv4Addr::new(119, 29, 29, 29),
    Ipv4Addr::new(182, 254, 116, 116),
    Ipv4Addr::new(223, 5, 5, 5),
    Ipv4Addr::new(223, 6, 6, 6),
    Ipv4Addr::new(114, 114, 114, 114),
    Ipv4Addr::new(114, 114, 115, 115),
    Ipv4Addr::new(180, 76, 76, 76),
    Ipv4Addr::new(8, 8, 8, 8),
    Ipv4Addr::new(8, 8, 4, 4),
    Ipv4Addr::new(1, 1, 1, 1),
];
const ERRDUMP_PORT: u16 = 12_425;
const NTP_PORT: u16 = 123;

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A host: an address with a stack.
struct Host {
    address: Ipv4Addr,
    stack: SmolStack,
    service: Service,
    /// Ports it listens on, those opened on demand included.
    ports: BTreeSet<u16>,
}

/// All hosts.
pub(crate) struct Internet {
    seed: u64,
    epoch: i64,
    dns: Vec<Ipv4Addr>,
    carrier: Carrier,
    /// Questions that the carrier's name servers have not looked at yet.
    questions: Queue<Vec<u8>>,
    hosts: Vec<Host>,
    /// When each of them has something to do; apart, because they are large and
    /// this is looked at all the time.
    wakes: Vec<Option<Instant>>,
    guest: Guest,
    names: BTreeMap<String, Ipv4Addr>,
    /// The latest name for which DNS gave an address.
    asked: BTreeMap<Ipv4Addr, String>,
    /// Addresses the user gave a service, and that service's own.
    given: BTreeMap<Ipv4Addr, Ipv4Addr>,
    /// Real servers by address.
    relays: BTreeMap<Ipv4Addr, std::net::SocketAddr>,
    /// Ports beyond the usual ones, by address.
    ports: BTreeMap<Ipv4Addr, BTreeSet<u16>>,
    serving: bool,
    /// The servers' machines are on the network.
    reachable: bool,
    /// When they leave it and come back by themselves.
    changes: Queue<bool>,
    packets: VecDeque<Vec<u8>>,
    events: Vec<Event>,
}

fn address_of(destination: &Destination) -> Option<Ipv4Addr> {
    Some(match destination {
        Destination::Airtun(_) => AIRTUN,
        Destination::ErrDump => ERRDUMP,
        Destination::Broker(_) => BROKER,
        Destination::Origin(_) => ORIGIN,
        Destination::Ftp(_) => FTP,
        Destination::Ntp => NTP,
        Destination::Echo => ECHO,
        Destination::Real(_) => return None,
    })
}

impl Internet {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut names = BTreeMap::new();
        let mut given = BTreeMap::new();
        let mut relays = BTreeMap::new();
        let mut ports: BTreeMap<Ipv4Addr, BTreeSet<u16>> = BTreeMap::new();
        let mut next_relay = u32::from(RELAYS);
        for (name, destination) in &setup.names {
            let own = address_of(destination);
            let literal = name.parse().ok();
            let address = literal.or(own).unwrap_or_else(|| {
                let address = Ipv4Addr::from(next_relay);
                next_relay += 1;
                address
            });
            if let (Some(literal), Some(own)) = (literal, own) {
                given.insert(literal, own);
            }
            match destination {
                Destination::Real(server) => drop(relays.insert(address, *server)),
                Destination::Airtun(Some(port))
                | Destination::Broker(Some(port))
                | Destination::Origin(Some(port))
                | Destination::Ftp(Some(port)) => {
                    ports.entry(address).or_default().insert(*port);
                }
                _ => {}
            }
            names.insert(name.to_ascii_lowercase(), address);
        }
        let fate = &setup.profile.server;
        let mut changes = Queue::default();
        if fate.leave_after_ms > 0 {
            let leave = Instant::from_millis(fate.leave_after_ms);
            changes.push(leave, false);
            if fate.leave_for_ms > 0 {
                changes.push(leave + Duration::from_millis(fate.leave_for_ms), true);
            }
        }
        Self {
            seed: setup.seed,
            epoch: setup.epoch,
            dns: setup.profile.modem.dns.clone(),
            carrier: setup.profile.carrier.clone(),
            questions: Queue::default(),
            hosts: Vec::new(),
            wakes: Vec::new(),
            guest: Guest::new(setup.epoch, FTP, setup.routes.clone()),
            names,
            asked: BTreeMap::new(),
            given,
            relays,
            ports,
            serving: true,
            reachable: true,
            changes,
            packets: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// The number of a host, made if it does not exist yet; none for an address
    /// nobody has.
    fn host(&mut self, address: Ipv4Addr) -> Option<usize> {
        let known = self.hosts.iter().position(|host| host.address == address);
        if known.is_some() {
            return known;
        }
        let bits = Rng::new(self.seed, &format!("host {address}")).bits();
        let mut stack = SmolStack::new(Shape::host(), bits);
        stack.set_address(Some(address));
        let mut ports = self.ports.get(&address).cloned().unwrap_or_default();
        let service = match self.given.get(&address).copied().unwrap_or(address) {
            AIRTUN => {
                ports.extend([80, 443]);
                Service::Guest(Program::Airtun, Vec::new())
            }
            BROKER => {
                ports.extend([1883, 8883, 80, 443, 8083, 8084]);
                Service::Guest(Program::Broker, Vec::new())
            }
            ORIGIN => {
                ports.extend([80, 443]);
                Service::Guest(Program::Origin, Vec::new())
            }
            FTP => {
                ports.extend([21, FTPS_PORT]);
                ports.extend(DATA_PORTS);
                Service::Guest(Program::Ftp, Vec::new())
            }
            ERRDUMP => Service::ErrDump(stack.udp_open(ERRDUMP_PORT)),
            NTP => Service::Ntp(stack.udp_open(NTP_PORT)),
            ECHO => Service::Echo {
                udp: BTreeMap::new(),
                tcp: Vec::new(),
            },
            _ if self.dns.contains(&address) || PUBLIC_DNS.contains(&address) => {
                Service::Dns(stack.udp_open(53))
            }
            _ => Service::Relay(Relay::new(*self.relays.get(&address)?)),
        };
        if self.serving || !matches!(service, Service::Guest(..)) {
            for port in &ports {
                stack.listen(*port);
            }
        }
        self.hosts.push(Host {
            address,
            stack,
            service,
            ports,
        });
        self.wakes.push(None);
        Some(self.hosts.len() - 1)
    }

    /// A packet from the carrier arrives; nobody at its address means it is
    /// lost.
    pub(crate) fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        let Some(to) = address(&packet, 16) else {
            return;
        };
        // No carrier passes these on.
        if to.is_broadcast() || to.is_multicast() || to.is_unspecified() {
            return;
        }
        if self.dns.contains(&to) {
            match self.carrier {
                Carrier {
                    dns: Dns::Silent, ..
                } => return,
                Carrier { dns_ms: 1.., .. } => {
                    let at = now + Duration::from_millis(self.carrier.dns_ms);
                    self.questions.push(at, packet);
                    return;
                }
                Carrier { .. } => {}
            }
        }
        self.deliver(now, to, packet);
    }

    /// Sets what the airtun server does wrong from now on.
    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.guest.set_faults(faults);
    }

    /// Changes what the carrier does.
    pub(crate) fn set_carrier(&mut self, carrier: Carrier) {
        self.carrier = carrier;
    }

    fn deliver(&mut self, now: Instant, to: Ipv4Addr, packet: Vec<u8>) {
        let Some(index) = self.host(to) else { return };
        let host = &mut self.hosts[index];
        if !self.reachable && matches!(host.service, Service::Guest(..)) {
            return;
        }
        if let Some((protocol, port)) = destination(&packet).filter(|_| host.service.any_port()) {
            if protocol == TCP && host.ports.insert(port) {
                host.stack.listen(port);
            }
            if protocol == UDP {
                host.service.expect_datagram(&mut host.stack, port);
            }
        }
        if let Some(port) = opening(&packet).filter(|port| !host.ports.contains(port)) {
            let name = self.asked.get(&to).cloned();
            let name = name.unwrap_or_else(|| to.to_string());
            let text = format!("no service {name}:{port}");
            self.events
                .push(Event::new(now, Source::Server, Kind::State, text));
        }
        host.stack.receive(packet);
        self.work(now, index);
    }

    /// Lets everything that is due by `now` happen.
    pub(crate) fn poll(&mut self, now: Instant) {
        while let Some((_, reachable)) = self.changes.pop_due(now) {
            self.set_hosts(now, reachable);
        }
        while let Some((_, packet)) = self.questions.pop_due(now) {
            if let Some(to) = address(&packet, 16) {
                self.deliver(now, to, packet);
            }
        }
        let timer = self.guest.advance(now);
        for index in 0..self.hosts.len() {
            let due = self.wakes[index].is_some_and(|at| at <= now);
            let guest = timer && matches!(self.hosts[index].service, Service::Guest(..));
            if due || guest {
                self.work(now, index);
            }
        }
    }

    /// Works off one host and its service.
    fn work(&mut self, now: Instant, index: usize) {
        let host = &mut self.hosts[index];
        host.stack.poll(now);
        let mut notes = Vec::new();
        let wrong = self.carrier.dns == Dns::Wrong && self.dns.contains(&host.address);
        let mut around = Surroundings {
            now,
            wrong,
            epoch: self.epoch,
            names: &self.names,
            asked: &mut self.asked,
            guest: &mut self.guest,
            notes: &mut notes,
        };
        host.service.work(&mut host.stack, &mut around);
        for (kind, bytes) in notes {
            self.events
                .push(Event::new(now, Source::Server, kind, bytes));
        }
        host.stack.poll(now);
        let cut = !self.reachable && matches!(host.service, Service::Guest(..));
        while let Some(packet) = host.stack.transmit() {
            if !cut {
                self.packets.push_back(packet);
            }
        }
        let wakes = [host.stack.next_wake(now), host.service.next_wake()];
        self.wakes[index] = Instant::earliest(wakes);
    }

    /// The servers answer.
    pub(crate) fn is_serving(&self) -> bool {
        self.serving
    }

    /// The servers' machines are on the network.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reachable
    }

    /// Stops or starts the servers (airtun, broker, origin). Stopping resets
    /// their connections, as a killed process's kernel does.
    pub(crate) fn set_serving(&mut self, now: Instant, serving: bool) {
        if self.serving == serving {
            return;
        }
        self.serving = serving;
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            if !matches!(host.service, Service::Guest(..)) {
                continue;
            }
            if serving {
                for port in &host.ports {
                    host.stack.listen(*port);
                }
            } else {
                host.stack.stop_listening();
                host.service.reset(&mut host.stack, &mut self.guest);
            }
            self.work(now, index);
        }
    }

    /// Takes the servers' machines (airtun, broker, origin) off the network or puts
    /// them back. Nobody is told of it, and they come back without a memory: what
    /// is sent on an old connection is then answered with a RST.
    pub(crate) fn set_hosts(&mut self, now: Instant, reachable: bool) {
        if self.reachable == reachable {
            return;
        }
        self.reachable = reachable;
        let text = if reachable {
            "servers back on the network"
        } else {
            "servers gone from the network"
        };
        self.events
            .push(Event::new(now, Source::Server, Kind::State, text));
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            if !reachable && matches!(host.service, Service::Guest(..)) {
                host.service.reset(&mut host.stack, &mut self.guest);
                self.work(now, index);
            }
        }
    }

    /// The broker publishes a message of its own.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        topic: &str,
        payload: &[u8],
        qos: u8,
        retain: bool,
    ) {
        self.guest.advance(now);
        self.guest.publish(topic, payload, qos, retain);
        if let Some(index) = self.host(BROKER) {
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
        let hosts = self.wakes.iter().copied().flatten();
        let others = [
            self.guest.next_wake(),
            self.questions.next_time(),
            self.changes.next_time(),
        ];
        hosts.chain(others.into_iter().flatten()).min()
    }
}

/// The IPv4 address at this place of a packet.
fn address(packet: &[u8], at: usize) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
    Some(bytes.into())
}

/// The port a TCP connection is to be opened to: the packet is a SYN.
fn opening(packet: &[u8]) -> Option<u16> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let header = usize::from(packet.first()? & 15) * 4;
    let flags = packet.get(header + 13)? & (SYN | ACK);
    destination(packet)
        .filter(|(protocol, _)| *protocol == TCP && flags == SYN)
        .map(|(_, port)| port)
}

/// Protocol and destination port of a packet.
fn destination(packet: &[u8]) -> Option<(u8, u16)> {
    let header = usize::from(packet.first()? & 15) * 4;
    let port = packet.get(header + 2..header + 4)?;
    let protocol = *packet.get(9)?;
    matches!(protocol, TCP | UDP).then(|| (protocol, u16::from_be_bytes([port[0], port[1]])))
}
