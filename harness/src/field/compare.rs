//! What the device gave in a capture beside what it gives in a re-run.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};

use super::rerun::Rerun;
use super::{Capture, Stimuli};

/// Something the device gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Since the anchor.
    pub at: Duration,
    /// Where: the server, or a UART.
    pub source: Source,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The first place where both part ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Divergence {
    /// The capture has it, the re-run does not.
    Missing(Output),
    /// The re-run has it, the capture does not.
    Extra(Output),
}

/// Pieces of a UART's output closer together than this are one.
const PIECES: Duration = Duration::from_millis(20);
/// How far times may differ.
const TOLERANCE: Duration = Duration::from_secs(5);

/// What the device gave from the anchor on.
pub fn outputs(events: &[Event], anchor: Instant) -> Vec<Output> {
    let mut list: Vec<Output> = Vec::new();
    for event in events.iter().filter(|event| event.time >= anchor) {
        let wanted = match event.kind {
            Kind::MessageIn => event.source == Source::Server,
            Kind::Tx => true,
            _ => false,
        };
        if !wanted {
            continue;
        }
        let at = event.time.since(anchor);
        let same = list
            .iter_mut()
            .rev()
            .find(|last| last.source == event.source);
        if event.kind == Kind::Tx
            && let Some(last) = same
            && at.saturating_sub(last.at) < PIECES
        {
            last.bytes.extend_from_slice(&event.bytes);
            continue;
        }
        list.push(Output {
            at,
            source: event.source,
            bytes: event.bytes.clone(),
        });
    }
    list
}

/// Bytes as they are compared: numbers, and so times and counters, are all alike.
fn shape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_digit() {
            if out.last() != Some(&b'#') {
                out.push(b'#');
            }
        } else {
            out.push(*byte);
        }
    }
    out
}

/// What is compared with what.
pub struct Comparison {
    /// Outputs of the capture, and of the re-run.
    pub counts: (usize, usize),
    /// How many have a counterpart.
    pub matched: usize,
    /// Where they part ways first.
    pub divergence: Option<Divergence>,
}

/// Compares a capture with a re-run; only of what the capture could see.
pub fn compare(capture: &Capture, stimuli: &Stimuli, rerun: &Rerun) -> Comparison {
    let captured = outputs(&capture.events, stimuli.anchor);
    let seen = |source: Source| captured.iter().any(|output| output.source == source);
    let mut given = outputs(&rerun.events, rerun.anchor);
    given.retain(|output| seen(output.source));
    let mut used = vec![false; given.len()];
    let mut missing = None;
    let mut matched = 0;
    for output in &captured {
        let wanted = shape(&output.bytes);
        let fits = |index: &usize| {
            let other = &given[*index];
            !used[*index] && other.source == output.source && shape(&other.bytes) == wanted
        };
        let near = |at: Duration| given.partition_point(|other| other.at < at);
        let begin = near(output.at.saturating_sub(TOLERANCE));
        match (begin..near(output.at + TOLERANCE)).find(fits) {
            Some(index) => {
                used[index] = true;
                matched += 1;
            }
            None if missing.is_none() => missing = Some(output.clone()),
            None => {}
        }
    }
    // Near its end the capture may just have missed it.
    let known = stimuli.end.saturating_sub(TOLERANCE);
    let unused = (0..given.len()).find(|index| !used[*index] && given[*index].at < known);
    let extra = unused.map(|index| given[index].clone());
    let divergence = match (missing, extra) {
        (Some(missing), Some(extra)) if extra.at < missing.at => Some(Divergence::Extra(extra)),
        (Some(missing), _) => Some(Divergence::Missing(missing)),
        (None, extra) => extra.map(Divergence::Extra),
    };
    Comparison {
        counts: (captured.len(), given.len()),
        matched,
        divergence,
    }
}
