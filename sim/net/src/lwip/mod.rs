//! [`IpStack`] with the TCP of the EC618: lwIP's algorithms and timers, byte-true
//! on the wire. UDP and ICMP are left to a [`SmolStack`] beside it; fragments of TCP
//! segments, which no peer here sends, are dropped.
//!
//! Read after the public lwIP sources and the chip's public configuration; see
//! [`LwipConfig`] for every constant. Out-of-order data, fast retransmit, Nagle,
//! delayed ACKs, window scaling and persist probes are there; SACK and time
//! stamps are not, as on the chip.

mod config;
mod input;
mod pcb;
mod segment;
mod timers;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use airbench_clock::Instant;

pub use config::LwipConfig;

use crate::ports::Ports;
use crate::stack::{IpStack, Keepalive, TcpError, TcpId, TcpState, TcpStatus, UdpId};
use crate::{Shape, SmolStack};
use input::Verdict;
use pcb::{Pcb, State};
use segment::{Header, Outgoing, Segment};
use timers::Fate;

/// The protocol number of TCP.
const TCP: u8 = 6;

/// A stack with the device's own TCP.
pub struct LwipStack {
    config: LwipConfig,
    others: SmolStack,
    /// The other stack has something to do, now or then.
    others_busy: bool,
    others_wake: Option<Instant>,
    address: Option<Ipv4Addr>,
    blocks: BTreeMap<TcpId, Pcb>,
    /// Aborted: a RST is sent, and the block is forgotten.
    aborted: Vec<Pcb>,
    /// Forgotten when they have ended.
    forsaken: Vec<TcpId>,
    arrived: VecDeque<Segment>,
    outgoing: VecDeque<Vec<u8>>,
    identification: u16,
    /// Where initial sequence numbers come from.
    seed: u64,
    next_id: u32,
    ports: Ports,
}

/// Makes a packet of a segment and queues it.
fn sender<'a>(
    queue: &'a mut VecDeque<Vec<u8>>,
    identification: &'a mut u16,
    ttl: u8,
) -> impl FnMut(Outgoing<'_>) + 'a {
    move |outgoing| {
        let header = Header {
            ttl,
            identification: *identification,
        };
        *identification = identification.wrapping_add(1);
        queue.push_back(outgoing.packet(header));
    }
}

impl LwipStack {
    /// A stack without an address; `seed` decides sequence numbers and ports.
    pub fn new(config: LwipConfig, seed: u64) -> Self {
        Self {
            config,
            others: SmolStack::new(Shape::device(), seed),
            others_busy: false,
            others_wake: None,
            address: None,
            blocks: BTreeMap::new(),
            aborted: Vec::new(),
            forsaken: Vec::new(),
            arrived: VecDeque::new(),
            outgoing: VecDeque::new(),
            identification: 0,
            seed,
            next_id: 0,
            ports: Ports::new(seed),
        }
    }

    /// An initial sequence number: a hash of seed and number of the connection.
    fn choose_sequence(&self, id: TcpId) -> u32 {
        let mixed = (self.seed ^ u64::from(id.0)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as u32
    }

    /// Hands arrived segments to their blocks, which answer each.
    fn deliver(&mut self, now: Instant) {
        let mut refused = Vec::new();
        while let Some(segment) = self.arrived.pop_front() {
            let belongs = |pcb: &&mut Pcb| {
                pcb.local == segment.to && pcb.remote == segment.from && pcb.state != State::Closed
            };
            let Some(pcb) = self.blocks.values_mut().find(belongs) else {
                if !segment.rst {
                    self.refuse(segment.reset());
                }
                continue;
            };
            let reset = segment.reset();
            let verdict = pcb.input(segment, now);
            if verdict == Verdict::Refuse {
                refused.push(reset);
            }
            let mut send = sender(
                &mut self.outgoing,
                &mut self.identification,
                self.config.ttl,
            );
            match verdict {
                Verdict::Fine | Verdict::Refuse if pcb.state == State::Closed => {}
                Verdict::Fine | Verdict::Refuse => {
                    pcb.output(now, &mut send);
                    pcb.watch_state(now);
                }
                Verdict::Abort => {
                    pcb.reset(&mut send);
                    pcb.fail(TcpError::Aborted);
                }
            }
        }
        for reset in refused {
            self.refuse(reset);
        }
    }

    /// Sends a RST for a segment that belongs nowhere.
    fn refuse(&mut self, reset: Outgoing<'_>) {
        let mut send = sender(
            &mut self.outgoing,
            &mut self.identification,
            self.config.ttl,
        );
        send(Outgoing {
            window: self.config.reset_window(),
            ..reset
        });
    }

    fn run_timers(&mut self, now: Instant) {
        for pcb in self.blocks.values_mut() {
            if pcb.state == State::Closed {
                continue;
            }
            let mut send = sender(
                &mut self.outgoing,
                &mut self.identification,
                self.config.ttl,
            );
            match pcb.run_timers(now, &mut send) {
                Fate::Stays => {}
                Fate::Ends => pcb.state = State::Closed,
                Fate::GivenUp => pcb.fail(TcpError::Aborted),
                Fate::Resets => {
                    pcb.reset(&mut send);
                    pcb.fail(TcpError::Aborted);
                }
            }
            pcb.ack_now |= pcb.ack_delayed.is_some_and(|at| at <= now);
        }
    }

    /// Sends what is ready to go.
    fn output(&mut self, now: Instant) {
        let mut send = sender(
            &mut self.outgoing,
            &mut self.identification,
            self.config.ttl,
        );
        let alive = |pcb: &Pcb| !matches!(pcb.state, State::Closed | State::TimeWait);
        for pcb in self.aborted.drain(..).filter(alive) {
            pcb.reset(&mut send);
        }
        for pcb in self.blocks.values_mut() {
            if pcb.state != State::Closed {
                pcb.output(now, &mut send);
                pcb.watch_state(now);
            }
        }
    }

    fn forget_ended(&mut self) {
        let blocks = &mut self.blocks;
        self.forsaken.retain(|id| {
            let ended = blocks.get(id).is_none_or(|pcb| pcb.state == State::Closed);
            if ended {
                blocks.remove(id);
            }
            !ended
        });
    }
}

impl IpStack for LwipStack {
    fn set_address(&mut self, address: Option<Ipv4Addr>) {
        if address != self.address {
            self.blocks.clear();
            self.aborted.clear();
            self.forsaken.clear();
            self.arrived.clear();
            self.outgoing.clear();
        }
        self.address = address;
        self.others.set_address(address);
        self.others_busy = true;
    }

    fn tcp_connect(&mut self, remote: SocketAddrV4, port: u16) -> Option<TcpId> {
        let address = self.address?;
        self.next_id += 1;
        let id = TcpId(self.next_id);
        let port = self.ports.choose(port);
        let local = SocketAddrV4::new(address, port);
        // A port that is in use for the same peer.
        let taken =
            |pcb: &Pcb| pcb.local == local && pcb.remote == remote && pcb.state != State::Closed;
        if self.blocks.values().any(taken) {
            return None;
        }
        let iss = self.choose_sequence(id);
        let pcb = Pcb::connect(self.config, local, remote, iss);
        self.blocks.insert(id, pcb);
        Some(id)
    }

    fn tcp_write(&mut self, id: TcpId, bytes: &[u8]) -> usize {
        self.blocks.get_mut(&id).map_or(0, |pcb| pcb.write(bytes))
    }

    fn tcp_read(&mut self, id: TcpId, max: usize) -> Vec<u8> {
        self.blocks
            .get_mut(&id)
            .map_or_else(Vec::new, |pcb| pcb.read(max))
    }

    fn tcp_status(&self, id: TcpId) -> TcpStatus {
        let Some(pcb) = self.blocks.get(&id) else {
            return TcpStatus {
                state: TcpState::Closed,
                readable: 0,
                arrivals: 0,
                unacknowledged: 0,
                writable: 0,
                error: None,
            };
        };
        TcpStatus {
            state: match pcb.state {
                State::SynSent => TcpState::Connecting,
                State::Established | State::FinWait1 | State::FinWait2 => TcpState::Open,
                State::CloseWait | State::Closing | State::LastAck | State::TimeWait => {
                    TcpState::HalfClosed
                }
                State::Closed => TcpState::Closed,
            },
            readable: pcb.received.len(),
            arrivals: pcb.arrivals,
            unacknowledged: pcb.unacknowledged(),
            writable: pcb.writable(),
            error: pcb.error,
        }
    }

    fn tcp_close(&mut self, id: TcpId) {
        let Some(pcb) = self.blocks.get_mut(&id) else {
            return;
        };
        // Data that nobody has read are lost, which the peer is told.
        if !pcb.received.is_empty() && !pcb.closed {
            self.tcp_abort(id);
            return;
        }
        pcb.close();
        self.forsaken.push(id);
    }

    fn tcp_abort(&mut self, id: TcpId) {
        if let Some(pcb) = self.blocks.remove(&id) {
            self.aborted.push(pcb);
        }
    }

    fn tcp_keepalive(&mut self, id: TcpId, keepalive: Option<Keepalive>) {
        if let Some(pcb) = self.blocks.get_mut(&id) {
            pcb.keepalive = keepalive;
        }
    }

    fn udp_open(&mut self, port: u16) -> UdpId {
        self.others.udp_open(port)
    }

    fn udp_send(&mut self, id: UdpId, to: SocketAddrV4, bytes: &[u8]) -> bool {
        self.others_busy = true;
        self.others.udp_send(id, to, bytes)
    }

    fn udp_receive(&mut self, id: UdpId) -> Option<(SocketAddrV4, Vec<u8>)> {
        self.others.udp_receive(id)
    }

    fn udp_close(&mut self, id: UdpId) {
        self.others.udp_close(id);
    }

    fn receive(&mut self, packet: Vec<u8>) {
        match Segment::parse(&packet) {
            Some(segment) if Some(*segment.to.ip()) == self.address => {
                self.arrived.push_back(segment);
            }
            // Nobody there, or damaged.
            _ if packet.get(9) == Some(&TCP) => {}
            _ => {
                self.others.receive(packet);
                self.others_busy = true;
            }
        }
    }

    fn poll(&mut self, now: Instant) {
        self.run_timers(now);
        self.deliver(now);
        self.output(now);
        self.forget_ended();
        if std::mem::take(&mut self.others_busy) || self.others_wake.is_some_and(|at| at <= now) {
            self.others.poll(now);
            while let Some(packet) = self.others.transmit() {
                self.outgoing.push_back(packet);
            }
            self.others_wake = self.others.next_wake(now);
        }
    }

    fn transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    fn next_wake(&mut self, now: Instant) -> Option<Instant> {
        if !self.arrived.is_empty() || !self.aborted.is_empty() || self.others_busy {
            return Some(now);
        }
        let blocks = self
            .blocks
            .values()
            .filter(|pcb| pcb.state != State::Closed);
        let own = blocks
            .filter_map(|pcb| Instant::earliest([pcb.next_timer(), pcb.ack_delayed]))
            .min();
        let next = Instant::earliest([own, self.others_wake])?;
        Some(next.max(now))
    }
}
