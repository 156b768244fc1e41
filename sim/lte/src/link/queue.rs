//! What waits for the air, and how long it takes there.

use std::collections::VecDeque;
use std::time::Duration;

use airbench_clock::Instant;

use super::config::{Discipline, OPPORTUNITY, Path};

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) since: Instant,
    /// The radio is not there before.
    pub(super) not_before: Instant,
    pub(super) packet: Vec<u8>,
}

/// The queue before the air.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: u64,
    codel: Codel,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// Takes a packet in; gives back how many had to go, itself perhaps.
    pub(super) fn push(&mut self, path: &Path, waiting: Waiting) -> u32 {
        let len = waiting.packet.len() as u64;
        let mut lost = 0;
        while self.is_full(path, len) {
            lost += 1;
            if path.queue == Discipline::Head && !self.waiting.is_empty() {
                self.take();
            } else {
                return lost;
            }
        }
        self.bytes += len;
        self.waiting.push_back(waiting);
        lost
    }

    fn is_full(&self, path: &Path, len: u64) -> bool {
        let packets = self.waiting.len() as u64 + 1;
        (path.queue_bytes > 0 && self.bytes + len > path.queue_bytes)
            || (path.queue_packets > 0 && packets > path.queue_packets)
    }

    fn take(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.packet.len() as u64;
        Some(first)
    }

    /// The next packet for the air at `now`, and how many were dropped for it.
    pub(super) fn pop(&mut self, path: &Path, now: Instant) -> (Option<Waiting>, u32) {
        if path.queue != Discipline::Codel {
            return (self.take(), 0);
        }
        let mut codel = std::mem::take(&mut self.codel);
        let popped = codel.pop(self, path, now);
        self.codel = codel;
        popped
    }
}

/// Controlled delay (RFC 8289, the pseudocode of section 5).
#[derive(Debug, Default)]
struct Codel {
    first_above: Option<Instant>,
    drop_next: Instant,
    count: u32,
    last_count: u32,
    dropping: bool,
}

/// A queue of no more than one full packet is no standing queue.
const CODEL_MTU: u64 = 1500;

impl Codel {
    fn target(path: &Path) -> Duration {
        millis(if path.codel_target_ms > 0.0 {
            path.codel_target_ms
        } else {
            5.0
        })
    }

    fn interval(path: &Path) -> Duration {
        millis(if path.codel_interval_ms > 0.0 {
            path.codel_interval_ms
        } else {
            100.0
        })
    }

    /// The control law: drops come faster with the root of their number.
    fn next_drop(path: &Path, at: Instant, count: u32) -> Instant {
        at + Self::interval(path).div_f64(f64::from(count.max(1)).sqrt())
    }

    /// The first packet, and whether it may be dropped.
    fn look(&mut self, queue: &mut Queue, path: &Path, now: Instant) -> (Option<Waiting>, bool) {
        let Some(first) = queue.take() else {
            self.first_above = None;
            return (None, false);
        };
        if queue.bytes <= CODEL_MTU || now.since(first.since) < Self::target(path) {
            self.first_above = None;
            return (Some(first), false);
        }
        match self.first_above {
            None => {
                self.first_above = Some(now + Self::interval(path));
                (Some(first), false)
            }
            Some(at) => (Some(first), now >= at),
        }
    }

    fn pop(&mut self, queue: &mut Queue, path: &Path, now: Instant) -> (Option<Waiting>, u32) {
        let mut lost = 0;
        let (mut first, mut may_drop) = self.look(queue, path, now);
        if self.dropping {
            if !may_drop {
                self.dropping = false;
            }
            while self.dropping && now >= self.drop_next {
                lost += 1;
                self.count += 1;
                (first, may_drop) = self.look(queue, path, now);
                if may_drop {
                    self.drop_next = Self::next_drop(path, self.drop_next, self.count);
                } else {
                    self.dropping = false;
                }
            }
        } else if may_drop {
            lost += 1;
            (first, _) = self.look(queue, path, now);
            self.dropping = true;
            // Shortly after the last time it begins where it had come to.
            let delta = self.count.saturating_sub(self.last_count);
            let recent = now.since(self.drop_next) < Self::interval(path) * 16;
            self.count = if delta > 1 && recent { delta } else { 1 };
            self.drop_next = Self::next_drop(path, now, self.count);
            self.last_count = self.count;
        }
        (first, lost)
    }
}

/// So many nanoseconds later, without the detour over seconds.
pub(super) fn later(at: Instant, nanos: u64) -> Instant {
    Instant::from_nanos(at.nanos().saturating_add(nanos))
}

pub(super) fn millis(ms: f64) -> Duration {
    Duration::from_nanos((ms.max(0.0) * 1e6) as u64)
}

/// The air: a rate, or a trace's opportunities.
#[derive(Debug, Default)]
pub(super) struct Air {
    /// Free for the next packet.
    pub(super) free: Instant,
    /// The opportunity in use: its number, and the bytes left of it.
    opportunity: Option<(u64, u32)>,
}

impl Air {
    /// Opportunities are numbered by the trace in force; another begins anew.
    pub(super) fn forget_trace(&mut self) {
        self.opportunity = None;
    }

    /// Sends a packet from `start` on: when its last bit has left.
    pub(super) fn send(&mut self, path: &Path, start: Instant, len: usize) -> Instant {
        self.free = if !path.trace.times().is_empty() {
            self.ride(path, start, len)
        } else if path.rate_bps > 0 {
            later(start, nanos_on_air(on_air(path, len), path.rate_bps))
        } else {
            start
        };
        self.free
    }

    /// The opportunity that takes a packet's last byte.
    fn ride(&mut self, path: &Path, start: Instant, len: usize) -> Instant {
        let times = path.trace.times();
        let at = |number: u64| {
            let (round, index) = (number / times.len() as u64, number % times.len() as u64);
            let span = times[times.len() - 1];
            Instant::from_millis(round * span + times[index as usize])
        };
        let (mut number, mut left) = match self.opportunity {
            Some((number, left)) if left > 0 && at(number) >= start => (number, left),
            used => {
                let after = used.map_or(0, |(number, _)| number + 1);
                (first_from(times, start, after), OPPORTUNITY)
            }
        };
        let mut rest = u32::try_from(on_air(path, len)).unwrap_or(u32::MAX);
        while rest > left {
            rest -= left;
            number += 1;
            left = OPPORTUNITY;
        }
        self.opportunity = Some((number, left - rest));
        at(number)
    }
}

/// The number of the first opportunity at `start` or later, not before `after`.
fn first_from(times: &[u64], start: Instant, after: u64) -> u64 {
    let span = times[times.len() - 1];
    let millis = start.nanos().div_ceil(1_000_000);
    let round = millis / span;
    let index = times.partition_point(|time| *time < millis - round * span);
    // The last opportunity of a round is the next round's beginning.
    let mut number = round * times.len() as u64 + index as u64;
    if millis == round * span && round > 0 {
        let last = times.partition_point(|time| *time < span) as u64;
        number = (round - 1) * times.len() as u64 + last;
    }
    number.max(after)
}

/// How long so many bytes take at this rate. Wide division is slow, and hardly
/// ever needed.
fn nanos_on_air(bytes: u64, rate_bps: u64) -> u64 {
    const BIT: u64 = 8 * 1_000_000_000;
    match bytes.checked_mul(BIT) {
        Some(bits) => bits / rate_bps,
        None => {
            let nanos = u128::from(bytes) * u128::from(BIT) / u128::from(rate_bps);
            u64::try_from(nanos).unwrap_or(u64::MAX)
        }
    }
}

/// Bytes that a packet of `len` takes on the air.
fn on_air(path: &Path, len: usize) -> u64 {
    let len = (len as i64 + i64::from(path.packet_overhead)).max(0);
    if path.cell_size == 0 {
        return len as u64;
    }
    let cells = (len as u64).div_ceil(u64::from(path.cell_size));
    let cell = (i64::from(path.cell_size) + i64::from(path.cell_overhead)).max(0);
    cells.saturating_mul(cell as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::config::Trace;

    /// `tc-netem(8)`'s example: 5 kbit/s, 20 bytes a packet, cells of 100 with 5.
    #[test]
    fn cells_cost_what_netem_says() {
        let path = Path {
            rate_bps: 5000,
            packet_overhead: 20,
            cell_size: 100,
            cell_overhead: 5,
            ..Path::default()
        };
        let mut air = Air::default();
        assert_eq!(air.send(&path, Instant::ZERO, 200).millis(), 504);
        let atm = Path {
            cell_size: 48,
            cell_overhead: 5,
            ..Path::default()
        };
        assert_eq!(on_air(&atm, 50), 106);
    }

    #[test]
    fn a_trace_carries_1500_bytes_an_opportunity_and_wraps() {
        let path = Path {
            trace: Trace::parse("2\n2\n10\n").unwrap(),
            ..Path::default()
        };
        let mut air = Air::default();
        let mut send = |start, len| air.send(&path, Instant::from_millis(start), len).millis();
        // Two halves share one; a packet may span several.
        assert_eq!([send(0, 750), send(2, 750), send(2, 1500)], [2, 2, 2]);
        assert_eq!(send(2, 3000), 12, "10 and the next round's first");
        assert_eq!(send(12, 1500), 12);
        // What nobody used is lost.
        assert_eq!(send(13, 100), 20);
        assert_eq!(send(95, 100), 100);
    }

    #[test]
    fn one_millisecond_is_twelve_megabits() {
        let path = Path {
            trace: Trace::parse("1").unwrap(),
            ..Path::default()
        };
        let mut air = Air::default();
        let mut at = Instant::ZERO;
        for _ in 0..1000 {
            at = air.send(&path, at, 1500);
        }
        assert_eq!(at.millis(), 1000);
    }
}
