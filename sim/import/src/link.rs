//! What a server's packets tell about the link of the device behind them.
//!
//! A server sees its own segments leave and the device's arrive. From that follow
//! the round trip (from the handshake, which nothing delays but the link, and from
//! the first acknowledgement of a segment), times in which nothing came though the
//! server waited for something, and repetitions. It cannot see the share of either
//! direction, nor packets of the device that were lost.

use std::time::Duration;

use airbench_clock::Instant;
use serde::{Deserialize, Serialize};

/// A segment as far as timing goes.
pub(crate) struct Segment {
    pub(crate) at: Instant,
    pub(crate) up: bool,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    /// Nothing in it is new.
    pub(crate) repeated: bool,
    /// Behind its data, if it has any.
    pub(crate) end: Option<i64>,
    pub(crate) acknowledged: Option<i64>,
}

/// The timing of one connection.
#[derive(Debug, Default)]
pub(crate) struct FlowTimes {
    begin: Instant,
    /// The server's SYN, until it is acknowledged.
    consent: Option<Instant>,
    handshake: Option<Duration>,
    /// The server's segment that waits for its acknowledgement: end, first time, and
    /// whether it was repeated.
    pending: Option<(i64, Instant, u32)>,
    trips: Vec<Duration>,
    segments: [u32; 2],
    repeats: [u32; 2],
    /// When the device was heard last.
    heard: Instant,
    waits: Vec<Wait>,
    fins: [bool; 2],
    over: bool,
}

/// The server has waited for the device: since when, when it had heard it last, and
/// when it heard it again.
#[derive(Debug)]
struct Wait {
    since: Instant,
    heard: Instant,
    until: Option<Instant>,
}

/// Repetitions of the server's after which its waiting counts as an outage.
const OUTAGE: u32 = 2;

impl FlowTimes {
    pub(crate) fn new(begin: Instant) -> Self {
        Self {
            begin,
            heard: begin,
            ..Self::default()
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes a segment; how the connection has ended, if it has.
    pub(crate) fn segment(&mut self, segment: &Segment) -> Option<&'static str> {
        let at = segment.at;
        if segment.syn && !segment.up {
            self.consent.get_or_insert(at);
        }
        let side = usize::from(!segment.up);
        if segment.end.is_some() {
            self.segments[side] += 1;
            self.repeats[side] += u32::from(segment.repeated);
        }
        if segment.up {
            self.arrived(segment);
        } else if let Some(end) = segment.end {
            match &mut self.pending {
                Some((waiting, _, repeats)) if segment.repeated && end <= *waiting => *repeats += 1,
                Some(_) => {}
                None if !segment.repeated => self.pending = Some((end, at, 0)),
                None => {}
            }
            if let Some((_, since, repeats)) = self.pending
                && repeats == OUTAGE
            {
                self.waits.push(Wait {
                    since,
                    heard: self.heard,
                    until: None,
                });
            }
        }
        if self.over {
            return None;
        }
        if segment.rst {
            self.over = true;
            return Some(if segment.up {
                "reset by the client"
            } else {
                "reset by the server"
            });
        }
        if segment.fin && !std::mem::replace(&mut self.fins[side], true) {
            if self.fins == [true; 2] {
                self.over = true;
                return Some("closed");
            }
            return Some(if segment.up {
                "closed by the client"
            } else {
                "closed by the server"
            });
        }
        None
    }

    fn arrived(&mut self, segment: &Segment) {
        let at = segment.at;
        self.heard = at;
        if let Some(last) = self.waits.last_mut() {
            last.until.get_or_insert(at);
        }
        if !segment.syn
            && let Some(consent) = self.consent.take()
        {
            self.handshake = Some(at.since(consent));
        }
        if let (Some((end, since, repeats)), Some(acknowledged)) =
            (self.pending, segment.acknowledged)
            && acknowledged >= end
        {
            // After a repetition nobody knows which one is acknowledged.
            if repeats == 0 {
                self.trips.push(at.since(since));
            }
            self.pending = None;
        }
    }
}

/// A time in which nothing came from the device though the server waited. It began
/// between `heard` and `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When the device was heard last, on the capture's clock, in nanoseconds.
    pub heard: u64,
    /// When the server sent what was not answered.
    pub from: u64,
    /// When the device was heard again; `None` if it never was.
    pub until: Option<u64>,
}

/// What the packets of a server tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Connections.
    pub connections: usize,
    /// Shortest round trip of the handshakes, and of acknowledged segments.
    pub shortest_trip_us: Option<u64>,
    /// The round trip that half of the handshakes stay below.
    pub median_trip_us: Option<u64>,
    /// Handshakes measured.
    pub handshakes: usize,
    /// The server's segments, and how many of them were repetitions.
    pub down: (u32, u32),
    /// The device's segments that arrived, and how many brought nothing new.
    pub up: (u32, u32),
    /// When nothing came.
    pub silences: Vec<Silence>,
}

impl LinkView {
    pub(crate) fn of(flows: &[FlowTimes]) -> Self {
        let mut handshakes: Vec<Duration> =
            flows.iter().filter_map(|flow| flow.handshake).collect();
        handshakes.sort();
        let trips = flows.iter().flat_map(|flow| &flow.trips);
        let shortest = trips.chain(&handshakes).min();
        let micros = |span: &Duration| span.as_micros() as u64;
        let sum = |of: fn(&FlowTimes) -> u32| flows.iter().map(of).sum();
        let mut silences: Vec<Silence> = flows
            .iter()
            .flat_map(|flow| &flow.waits)
            .map(|wait| Silence {
                heard: wait.heard.nanos(),
                from: wait.since.nanos(),
                until: wait.until.map(Instant::nanos),
            })
            .collect();
        silences.sort_by_key(|silence| silence.from);
        // A connection that died is followed by one that lives.
        let begins: Vec<u64> = flows.iter().map(|flow| flow.begin.nanos()).collect();
        for silence in &mut silences {
            let next = begins.iter().filter(|begin| **begin > silence.from).min();
            silence.until = silence.until.or(next.copied());
        }
        Self {
            connections: flows.len(),
            shortest_trip_us: shortest.map(micros),
            median_trip_us: handshakes.get(handshakes.len() / 2).map(micros),
            handshakes: handshakes.len(),
            down: (sum(|flow| flow.segments[1]), sum(|flow| flow.repeats[1])),
            up: (sum(|flow| flow.segments[0]), sum(|flow| flow.repeats[0])),
            silences,
        }
    }
}
