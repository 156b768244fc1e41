//! The radio link: packets in, packets out later, or not at all.

mod chance;
pub(crate) mod check;
mod config;
mod delay;
mod queue;

use std::collections::VecDeque;
use std::time::Duration;

use airbench_clock::{Instant, Queue as Calendar, Rng};

pub use chance::{Chain, Chance, FourState, GilbertElliott};
pub use config::{
    Discipline, Flapping, Handover, LinkConfig, OPPORTUNITY, Path, Slot, Trace, TraceError,
};
use delay::Jitter;
pub use delay::{Distribution, TableError, normal};
use queue::{Air, Queue, Waiting, later, millis};

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the network.
    Up,
    /// From the network to the device.
    Down,
}

impl Direction {
    /// `up` or `down`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Why a packet was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The link is down.
    Outage,
    /// Random loss.
    Loss,
    /// The queue was full.
    Queue,
    /// It was too large.
    Mtu,
    /// Controlled delay found the queue too slow.
    Codel,
    /// The cell was just changed.
    Handover,
}

impl Drop {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Loss => "loss",
            Self::Queue => "queue",
            Self::Mtu => "mtu",
            Self::Codel => "codel",
            Self::Handover => "handover",
        }
    }
}

/// A packet that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// When.
    pub at: Instant,
    /// On which way.
    pub direction: Direction,
    /// Why.
    pub reason: Drop,
}

/// The radio link between a device and the core network.
///
/// Every random feature has a stream of its own and draws in the order of the
/// packets, so what happens does not depend on when anybody looks.
#[derive(Debug)]
pub struct Link {
    up: Lane,
    down: Lane,
    outage: bool,
    flapping: Option<Flapper>,
    handover: Option<Handover>,
    seed: u64,
    lost: VecDeque<Lost>,
}

impl Link {
    /// A link with these impairments; `seed` is the world's.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            up: Lane::new(config.up, seed, Direction::Up),
            down: Lane::new(config.down, seed, Direction::Down),
            outage: false,
            flapping: config
                .flapping
                .map(|flapping| Flapper::new(flapping, seed, Instant::ZERO)),
            handover: config.handover,
            seed,
            lost: VecDeque::new(),
        }
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    /// One direction's impairments.
    pub fn path(&self, direction: Direction) -> &Path {
        match direction {
            Direction::Up => &self.up.path,
            Direction::Down => &self.down.path,
        }
    }

    /// Changes one direction's impairments; packets on the air keep theirs.
    pub fn path_mut(&mut self, direction: Direction) -> &mut Path {
        let lane = self.lane(direction);
        lane.air.forget_trace();
        lane.jitter.look_again();
        &mut lane.path
    }

    /// An outage was begun by hand.
    pub fn outage(&self) -> bool {
        self.outage
    }

    /// Nothing passes at `now`; times must not run backwards.
    pub fn is_down(&mut self, now: Instant) -> bool {
        self.outage || self.flapping.as_mut().is_some_and(|f| f.is_down(now))
    }

    /// When an outage begins or ends by itself.
    pub fn next_change(&self) -> Option<Instant> {
        self.flapping.as_ref().map(|flapper| flapper.until)
    }

    /// The first change of cell after `now`.
    pub fn next_handover(&self, now: Instant) -> Option<Instant> {
        let every = self.handover.as_ref()?.every_ms.max(1);
        Some(Instant::from_millis((now.millis() / every + 1) * every))
    }

    /// Outages that come by themselves, if they do.
    pub fn flapping(&self) -> Option<&Flapping> {
        self.flapping.as_ref().map(|flapper| &flapper.config)
    }

    /// Begins or ends an outage: nothing passes, nobody is told.
    pub fn set_outage(&mut self, outage: bool) {
        self.outage = outage;
    }

    /// Sets or ends outages that come by themselves.
    pub fn set_flapping(&mut self, now: Instant, flapping: Option<Flapping>) {
        let seed = self.seed;
        self.flapping = flapping.map(|flapping| Flapper::new(flapping, seed, now));
    }

    /// Puts a packet on the link; the radio carries it from `not_before` on.
    /// Times of one direction must not run backwards.
    pub fn send(
        &mut self,
        now: Instant,
        not_before: Instant,
        direction: Direction,
        packet: Vec<u8>,
    ) {
        let outage = self.is_down(now);
        let gap = self
            .handover
            .as_ref()
            .and_then(|handover| handover.gap(now));
        let lossless = self
            .handover
            .as_ref()
            .is_some_and(|handover| handover.lossless);
        let lane = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        let lost = &mut self.lost;
        let mut lost = |at, reason| {
            lost.push_back(Lost {
                at,
                direction,
                reason,
            });
        };
        // What has left by now makes room.
        lane.serve(now, &mut lost);
        let mut lost = |reason| lost(now, reason);
        if outage {
            lost(Drop::Outage);
        } else if gap.is_some() && !lossless {
            lost(Drop::Handover);
        } else {
            let not_before = gap.map_or(not_before, |end| end.max(not_before));
            lane.enter(now, not_before, packet, &mut lost);
        }
    }

    /// A packet that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<(Direction, Vec<u8>)> {
        for direction in [Direction::Up, Direction::Down] {
            let lost = &mut self.lost;
            let lane = match direction {
                Direction::Up => &mut self.up,
                Direction::Down => &mut self.down,
            };
            lane.serve(now, &mut |at, reason| {
                lost.push_back(Lost {
                    at,
                    direction,
                    reason,
                });
            });
        }
        let direction = match (self.up.arrival(), self.down.arrival()) {
            (Some(up), Some(down)) if down < up => Direction::Down,
            (Some(_), _) => Direction::Up,
            (None, _) => Direction::Down,
        };
        let packet = self.lane(direction).receive(now)?;
        Some((direction, packet))
    }

    /// A packet that was lost.
    pub fn take_lost(&mut self) -> Option<Lost> {
        self.lost.pop_front()
    }

    /// When a packet moves next.
    pub fn next_wake(&self) -> Option<Instant> {
        Instant::earliest([self.up.next_wake(), self.down.next_wake()])
    }
}

/// One direction.
#[derive(Debug)]
struct Lane {
    path: Path,
    loss: Chance,
    chain: Chain,
    duplicate: Chance,
    corrupt: Chance,
    bits: Rng,
    reorder: Chance,
    /// Packets since the last that was reordered.
    counter: u32,
    jitter: Jitter,
    queue: Queue,
    air: Air,
    flying: Flying,
    /// Arrival of the packet before, where none overtakes another.
    last: Instant,
    slots: Slots,
}

impl Lane {
    fn new(path: Path, seed: u64, direction: Direction) -> Self {
        let rng = |what: &str| Rng::new(seed, &format!("link {} {what}", direction.name()));
        Self {
            path,
            loss: Chance::new(rng("loss")),
            chain: Chain::new(rng("chain")),
            duplicate: Chance::new(rng("duplicate")),
            corrupt: Chance::new(rng("corrupt")),
            bits: rng("bits"),
            reorder: Chance::new(rng("reorder")),
            counter: 0,
            jitter: Jitter::new(rng("delay")),
            queue: Queue::default(),
            air: Air::default(),
            flying: Flying::default(),
            last: Instant::ZERO,
            slots: Slots {
                rng: rng("slot"),
                next: Instant::ZERO,
                packets: 0,
                bytes: 0,
            },
        }
    }

    /// A packet at the near end, with its double if it gets one.
    fn enter(
        &mut self,
        now: Instant,
        not_before: Instant,
        packet: Vec<u8>,
        lost: &mut impl FnMut(Drop),
    ) {
        let path = &self.path;
        if path.mtu > 0 && packet.len() > path.mtu as usize {
            return lost(Drop::Mtu);
        }
        if self
            .duplicate
            .happens(path.duplicate, path.duplicate_correlation)
        {
            self.survive(now, not_before, packet.clone(), lost);
        }
        self.survive(now, not_before, packet, lost);
    }

    fn survive(
        &mut self,
        now: Instant,
        not_before: Instant,
        mut packet: Vec<u8>,
        lost: &mut impl FnMut(Drop),
    ) {
        let path = &self.path;
        let unlucky = match (&path.gilbert_elliott, &path.four_state) {
            (Some(model), _) => self.chain.gilbert_elliott(model),
            (None, Some(model)) => self.chain.four_state(model),
            (None, None) => self.loss.happens(path.loss, path.loss_correlation),
        };
        if unlucky && !(path.ecn && mark_congestion(&mut packet)) {
            return lost(Drop::Loss);
        }
        if self.corrupt.happens(path.corrupt, path.corrupt_correlation) && !packet.is_empty() {
            let byte = self.bits.below(packet.len() as u64) as usize;
            packet[byte] ^= 1 << self.bits.below(8);
        }
        let direct = path.rate_bps == 0 && path.trace == Trace::None && not_before <= now;
        if direct && self.queue.is_empty() && self.air.free <= now {
            self.fly(now, packet);
            return;
        }
        let waiting = Waiting {
            since: now,
            not_before,
            packet,
        };
        for _ in 0..self.queue.push(&self.path, waiting) {
            lost(Drop::Queue);
        }
    }

    /// When the first packet that waits can go.
    fn start(&self) -> Option<Instant> {
        let first = self.queue.first()?;
        Some(self.air.free.max(first.since).max(first.not_before))
    }

    /// Gives the air what is ready for it by `now`.
    fn serve(&mut self, now: Instant, lost: &mut impl FnMut(Instant, Drop)) {
        while let Some(start) = self.start().filter(|start| *start <= now) {
            let (first, dropped) = self.queue.pop(&self.path, start);
            for _ in 0..dropped {
                lost(start, Drop::Codel);
            }
            let Some(first) = first else { continue };
            // After drops another packet may be first, which came later.
            let start = start.max(first.since).max(first.not_before);
            let sent = self.air.send(&self.path, start, first.packet.len());
            self.fly(sent, first.packet);
        }
    }

    /// A packet has left at `sent`.
    fn fly(&mut self, sent: Instant, packet: Vec<u8>) {
        let path = &self.path;
        self.counter = self.counter.saturating_add(1);
        if path.reorder > 0.0
            && self.counter >= path.gap
            && self.reorder.happens(path.reorder, path.reorder_correlation)
        {
            self.counter = 0;
            self.flying.overtake(sent, packet);
            return;
        }
        let mut delay = path.latency_ms;
        if path.jitter_ms > 0.0 {
            let deviation = self
                .jitter
                .next(&path.distribution, path.jitter_correlation);
            delay += path.jitter_ms * deviation;
        }
        let mut arrival = later(sent, (delay.max(0.0) * 1e6) as u64);
        if path.overtaking {
            self.flying.overtake(arrival, packet);
            return;
        }
        arrival = arrival.max(self.last);
        self.last = arrival;
        self.flying.follow(arrival, packet);
    }

    /// When the first packet on its way arrives.
    fn arrival(&self) -> Option<Instant> {
        let due = self.flying.next_time()?;
        Some(if self.path.slot.is_some() {
            due.max(self.slots.next)
        } else {
            due
        })
    }

    fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(slot) = &self.path.slot {
            let due = self.flying.next_time().filter(|due| *due <= now)?;
            if self.slots.next < due {
                self.slots.open(slot, due);
            }
            let at = self.slots.next.max(due);
            if at > now {
                return None;
            }
            let (_, packet) = self.flying.pop_due(now)?;
            self.slots.spend(slot, at, packet.len());
            return Some(packet);
        }
        self.flying.pop_due(now).map(|(_, packet)| packet)
    }

    fn next_wake(&self) -> Option<Instant> {
        Instant::earliest([self.start(), self.arrival()])
    }
}

/// Packets that have been sent and are on their way: those that keep their order,
/// and those that need not, which cost more.
#[derive(Debug, Default)]
struct Flying {
    ordered: VecDeque<(Instant, Vec<u8>)>,
    others: Calendar<Vec<u8>>,
}

impl Flying {
    /// Adds a packet that arrives after all that followed before.
    fn follow(&mut self, arrival: Instant, packet: Vec<u8>) {
        self.ordered.push_back((arrival, packet));
    }

    fn overtake(&mut self, arrival: Instant, packet: Vec<u8>) {
        self.others.push(arrival, packet);
    }

    fn next_time(&self) -> Option<Instant> {
        let ordered = self.ordered.front().map(|(at, _)| *at);
        Instant::earliest([ordered, self.others.next_time()])
    }

    /// The first packet that has arrived by `now`; of two at a time one that
    /// overtakes.
    fn pop_due(&mut self, now: Instant) -> Option<(Instant, Vec<u8>)> {
        let first = self.ordered.front().map(|(at, _)| *at);
        let other = self.others.next_time();
        if other.is_some_and(|other| first.is_none_or(|first| other <= first)) {
            return self.others.pop_due(now);
        }
        first
            .filter(|at| *at <= now)
            .and_then(|_| self.ordered.pop_front())
    }
}

/// Bursts in which packets arrive.
#[derive(Debug)]
struct Slots {
    rng: Rng,
    next: Instant,
    packets: u32,
    bytes: u32,
}

impl Slots {
    /// The next slot, some time after `from`.
    fn open(&mut self, slot: &Slot, from: Instant) {
        let spread = (slot.max_ms - slot.min_ms).max(0.0);
        let wait = slot.min_ms
            + if spread > 0.0 {
                spread * self.rng.unit()
            } else {
                0.0
            };
        self.next = from + millis(wait);
        (self.packets, self.bytes) = (0, 0);
    }

    /// A packet takes its place at `at`.
    fn spend(&mut self, slot: &Slot, at: Instant, len: usize) {
        self.packets += 1;
        self.bytes = self
            .bytes
            .saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        let full = (slot.packets > 0 && self.packets >= slot.packets)
            || (slot.bytes > 0 && self.bytes >= slot.bytes);
        if full {
            self.open(slot, at);
        }
    }
}

impl Handover {
    /// The end of the gap that `now` lies in.
    fn gap(&self, now: Instant) -> Option<Instant> {
        let begin = now.millis() / self.every_ms.max(1) * self.every_ms;
        let end = Instant::from_millis(begin.saturating_add(self.gap_ms));
        (begin > 0 && now < end).then_some(end)
    }
}

/// Outages by a plan of their own.
#[derive(Debug)]
struct Flapper {
    config: Flapping,
    rng: Rng,
    down: bool,
    until: Instant,
}

impl Flapper {
    fn new(config: Flapping, seed: u64, begin: Instant) -> Self {
        let mut flapper = Self {
            rng: Rng::new(seed, "link flapping"),
            down: false,
            until: begin,
            config,
        };
        flapper.until = begin + flapper.up_for(flapper.config.first_ms);
        flapper
    }

    fn up_for(&mut self, first_ms: f64) -> Duration {
        if first_ms > 0.0 {
            return millis(first_ms);
        }
        self.span(self.config.up_ms, self.config.up_ms)
    }

    /// At least a microsecond: time must pass.
    fn span(&mut self, low: f64, high: f64) -> Duration {
        let ms = if self.config.exponential {
            -low * libm::log(1.0 - self.rng.unit())
        } else if high > low {
            low + (high - low) * self.rng.unit()
        } else {
            low
        };
        millis(ms.max(0.001))
    }

    /// Times must not run backwards by more than the current span.
    fn is_down(&mut self, now: Instant) -> bool {
        while self.until <= now {
            self.down = !self.down;
            let span = if self.down {
                self.span(self.config.down_ms, self.config.down_max_ms)
            } else {
                self.span(self.config.up_ms, self.config.up_ms)
            };
            self.until += span;
        }
        self.down
    }
}

/// Sets "congestion experienced" in an IPv4 header whose transport can read it;
/// false if it cannot.
fn mark_congestion(packet: &mut [u8]) -> bool {
    if packet.len() < 20 || packet[0] >> 4 != 4 || packet[1] & 3 == 0 {
        return false;
    }
    let old = u16::from_be_bytes([packet[0], packet[1]]);
    packet[1] |= 3;
    let new = u16::from_be_bytes([packet[0], packet[1]]);
    // RFC 1624: HC' = ~(~HC + ~m + m').
    let sum = u16::from_be_bytes([packet[10], packet[11]]);
    let mut total = u32::from(!sum) + u32::from(!old) + u32::from(new);
    while total > 0xFFFF {
        total = (total & 0xFFFF) + (total >> 16);
    }
    packet[10..12].copy_from_slice(&(!(total as u16)).to_be_bytes());
    true
}
