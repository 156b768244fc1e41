//! Several captures on one clock.
//!
//! What passes both ends orders their clocks: a burst at the device's UART reaches
//! the server later, what the server sends reaches the UART later. The least
//! difference of the one and the greatest of the other enclose the offset; where
//! only one kind exists, the device's and the link's shortest delay is the error.

use std::collections::BTreeMap;

use airbench_clock::Instant;
use airbench_trace::{Event, Kind};
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use crate::{Clock, Part};

/// How a capture's clock was moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The capture.
    pub name: String,
    /// Nanoseconds added to its times.
    pub offset: i64,
    /// The time, on its own clock, at which that was so; before and after it the
    /// drift comes on top.
    pub at: u64,
    /// By how much it ran slow against the first capture, in millionths.
    pub drift_ppm: f64,
    /// Nanoseconds by which the offset may be wrong; `None` if nothing is shared.
    pub error: Option<u64>,
    /// Events that both have seen.
    pub shared: usize,
}

/// Captures on one clock.
#[derive(Debug)]
pub struct Merged {
    /// Nanoseconds from 1970 to time 0.
    pub began: u64,
    /// All events; time 0 is the first one's.
    pub events: Vec<Event>,
    /// The clocks, that of the first capture unmoved.
    pub fits: Vec<Fit>,
}

/// Payloads shorter than this say too little.
const LEAST: usize = 4;
/// Payloads looked for; more would not make the clocks better.
const PROBES: usize = 64;
/// Spans from which on a drift is looked for, and pairs it takes.
const DRIFT_SPAN: u64 = 600 * 1_000_000_000;
const DRIFT_PAIRS: usize = 8;

/// A payload seen on both sides.
#[derive(Debug, Clone, Copy)]
struct Pair {
    /// On the other's clock.
    other: i64,
    reference: i64,
    /// The reference saw it after the other.
    later: bool,
}

impl Pair {
    fn difference(self) -> i64 {
        self.reference - self.other
    }
}

/// What an event carries, and whether it comes from the device's side of things.
fn payload(event: &Event) -> Option<(&[u8], bool)> {
    let message = || {
        let blank = event.bytes.iter().position(|byte| *byte == b' ')?;
        Some(&event.bytes[blank + 1..])
    };
    let (bytes, up) = match event.kind {
        Kind::Rx => (&event.bytes[..], true),
        Kind::Tx => (&event.bytes[..], false),
        Kind::MessageIn => (message()?, true),
        Kind::MessageOut => (message()?, false),
        Kind::Line => (&event.bytes[..], true),
        _ => return None,
    };
    (bytes.len() >= LEAST).then_some((bytes, up))
}

/// What both captures have seen.
fn pairs(reference: &Part, other: &Part) -> Vec<Pair> {
    let mut probes: BTreeMap<(&[u8], bool), Vec<u64>> = BTreeMap::new();
    for event in &other.events {
        if let Some((bytes, up)) = payload(event) {
            let bytes = bytes.trim_ascii();
            if bytes.len() >= LEAST {
                probes
                    .entry((bytes, up))
                    .or_default()
                    .push(event.time.nanos());
            }
        }
    }
    // As many of either direction: each bounds the offset from its side.
    let (up, down): (Vec<_>, Vec<_>) = probes.into_iter().partition(|((_, up), _)| *up);
    let some = |list: Vec<_>| {
        let step = list.len().div_ceil(PROBES).max(1);
        list.into_iter().step_by(step)
    };
    let mut found = Vec::new();
    for ((bytes, up), times) in some(up).chain(some(down)) {
        let finder = Finder::new(bytes);
        let seen: Vec<u64> = reference
            .events
            .iter()
            .filter(|event| {
                payload(event).is_some_and(|(whole, way)| way == up && finder.find(whole).is_some())
            })
            .map(|event| event.time.nanos())
            .collect();
        // Where one side saw it more often nobody knows which is which.
        if seen.len() != times.len() {
            continue;
        }
        found.extend(times.iter().zip(&seen).map(|(other, reference)| Pair {
            other: *other as i64,
            reference: *reference as i64,
            later: up,
        }));
    }
    found.sort_by_key(|pair| pair.other);
    found
}

/// Puts `other` on `reference`'s clock.
fn fit(reference: &Part, other: &Part) -> Fit {
    let mut pairs = pairs(reference, other);
    let nothing = Fit {
        name: other.name.clone(),
        offset: 0,
        at: 0,
        drift_ppm: 0.0,
        error: None,
        shared: 0,
    };
    let Some(middle) = median(pairs.iter().copied()) else {
        return nothing;
    };
    // The same words at another time are another event.
    let far = 60 * 1_000_000_000;
    pairs.retain(|pair| pair.difference().abs_diff(middle) <= far);
    let drift = drift(&pairs);
    let first = pairs.first().map_or(0, |pair| pair.other);
    let level = |pair: &Pair| pair.difference() - ((pair.other - first) as f64 * drift) as i64;
    let above = pairs.iter().filter(|pair| pair.later).map(level).min();
    let below = pairs.iter().filter(|pair| !pair.later).map(level).max();
    let spread = |edge: i64| {
        let off: Vec<u64> = pairs
            .iter()
            .map(|pair| level(pair).abs_diff(edge))
            .collect();
        let mut off = off;
        off.sort_unstable();
        off.get(off.len() / 2).copied().unwrap_or(0)
    };
    let (offset, error) = match (above, below) {
        (Some(above), Some(below)) => ((above + below) / 2, above.abs_diff(below) / 2),
        (Some(edge), None) | (None, Some(edge)) => (edge, spread(edge)),
        (None, None) => return nothing,
    };
    Fit {
        offset,
        at: first.max(0) as u64,
        drift_ppm: drift * 1e6,
        error: Some(error),
        shared: pairs.len(),
        ..nothing
    }
}

fn median(pairs: impl Iterator<Item = Pair>) -> Option<i64> {
    let mut differences: Vec<i64> = pairs.map(Pair::difference).collect();
    differences.sort_unstable();
    differences.get(differences.len() / 2).copied()
}

/// How much the difference grows with time: from the least difference of the first
/// third to that of the last.
fn drift(pairs: &[Pair]) -> f64 {
    let later: Vec<&Pair> = pairs.iter().filter(|pair| pair.later).collect();
    let (Some(first), Some(last)) = (later.first(), later.last()) else {
        return 0.0;
    };
    if later.len() < DRIFT_PAIRS || last.other.abs_diff(first.other) < DRIFT_SPAN {
        return 0.0;
    }
    let third = later.len() / 3;
    let least = |part: &[&Pair]| {
        part.iter()
            .copied()
            .copied()
            .min_by_key(|pair| pair.difference())
    };
    let (begin, end) = (&later[..third], &later[later.len() - third..]);
    let (Some(a), Some(b)) = (least(begin), least(end)) else {
        return 0.0;
    };
    // Delays vary; what is no more than that is no drift.
    let noise = |part: &[&Pair], least: &Pair| {
        let usual = median(part.iter().copied().copied()).unwrap_or(0);
        usual.abs_diff(least.difference())
    };
    let change = b.difference() - a.difference();
    if b.other <= a.other || change.unsigned_abs() <= noise(begin, &a).max(noise(end, &b)) {
        return 0.0;
    }
    change as f64 / (b.other - a.other) as f64
}

/// Puts captures on the clock of the first that has UTC, or of the first.
pub fn merge(mut parts: Vec<Part>) -> Merged {
    let reference = parts
        .iter()
        .position(|part| part.clock == Clock::Utc)
        .unwrap_or(0);
    let mut fits = Vec::new();
    for index in 0..parts.len() {
        let fit = if index == reference {
            Fit {
                name: parts[index].name.clone(),
                offset: 0,
                at: 0,
                drift_ppm: 0.0,
                error: Some(0),
                shared: 0,
            }
        } else {
            fit(&parts[reference], &parts[index])
        };
        for event in &mut parts[index].events {
            let time = event.time.nanos() as i64;
            let since = (time - fit.at as i64) as f64;
            let moved = time + fit.offset + (since * fit.drift_ppm * 1e-6) as i64;
            event.time = Instant::from_nanos(moved.max(0) as u64);
        }
        fits.push(fit);
    }
    let mut events: Vec<Event> = parts.into_iter().flat_map(|part| part.events).collect();
    events.sort_by_key(|event| event.time);
    let began = events.first().map_or(0, |event| event.time.nanos());
    for event in &mut events {
        event.time = Instant::from_nanos(event.time.nanos() - began);
    }
    Merged {
        began,
        events,
        fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Vantage};
    use airbench_trace::Source;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    /// Some day.
    const DAY: u64 = 1_700_000_000 * SECOND;

    fn part(name: &str, clock: Clock, vantage: Vantage, events: Vec<Event>) -> Part {
        Part {
            name: name.to_owned(),
            format: Format::Stamped,
            vantage,
            clock,
            events,
            link: None,
            remarks: Vec::new(),
        }
    }

    /// A server and a tap whose clock is `offset` nanoseconds behind and `drift` too
    /// slow; every burst is echoed.
    fn both(offset: i64, drift: f64, count: u64) -> Vec<Part> {
        let (mut server, mut tap) = (Vec::new(), Vec::new());
        for number in 0..count {
            let at = DAY + number * 30 * SECOND;
            let late = |ms: u64| Instant::from_nanos(at + ms * 1_000_000);
            let own = |at: Instant| {
                let since = at.nanos() - DAY;
                let shown = at.nanos() as i64 - offset - (since as f64 * drift) as i64;
                Instant::from_nanos(shown as u64)
            };
            let payload = format!("burst {number:04}");
            let text = format!("text {payload}");
            // 40 ms and more up, 60 ms and more down.
            let (up, down) = (40 + number * 7 % 50, 160 + number * 11 % 90);
            tap.push(Event::new(
                own(late(0)),
                Source::Uart1,
                Kind::Rx,
                payload.clone(),
            ));
            server.push(Event::new(
                late(up),
                Source::Server,
                Kind::MessageIn,
                text.clone(),
            ));
            server.push(Event::new(
                late(100),
                Source::Server,
                Kind::MessageOut,
                text,
            ));
            tap.push(Event::new(
                own(late(down)),
                Source::Uart1,
                Kind::Tx,
                payload,
            ));
        }
        server.sort_by_key(|event| event.time);
        tap.sort_by_key(|event| event.time);
        vec![
            part("server", Clock::Utc, Vantage::Server, server),
            part("tap", Clock::Local, Vantage::Uart, tap),
        ]
    }

    proptest! {
        /// The offset lies within the error that is stated.
        #[test]
        fn the_offset_is_found(hours in -30i64..30, millis in 0i64..100_000) {
            let offset = hours * 3600 * SECOND as i64 + millis * 1_000_000;
            let fit = merge(both(offset, 0.0, 30)).fits[1].clone();
            let error = fit.error.expect("they share bursts");
            prop_assert!(error < 100_000_000, "{error}");
            prop_assert!(fit.offset.abs_diff(offset) <= error, "{} {offset}", fit.offset);
        }
    }

    #[test]
    fn a_clock_that_runs_slow_is_found_out() {
        let merged = merge(both(5 * SECOND as i64, 50e-6, 400));
        let ppm = merged.fits[1].drift_ppm;
        assert!((ppm - 50.0).abs() < 5.0, "{ppm}");
        let last = merged.events.last().expect("events");
        let span = last.time.nanos() as f64 / 1e9;
        assert!((span - 399.0 * 30.0).abs() < 0.5, "{span}");
    }

    #[test]
    fn nothing_shared_is_said() {
        let mut parts = both(0, 0.0, 3);
        parts[1].events.retain(|event| event.kind == Kind::Line);
        parts[1].events.push(Event::new(
            Instant::from_nanos(DAY),
            Source::Console,
            Kind::Line,
            "boot",
        ));
        assert_eq!(merge(parts).fits[1].error, None);
    }
}
