//! What is wrong in a capture, as something that a healthy device would do.

use std::collections::BTreeSet;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::{Event, Kind};
use airbench_world::Action;

use super::{Stimuli, Stimulus};
use crate::duration::show;

/// How long a burst may take to show at the server.
pub const ANSWER: Duration = Duration::from_secs(10);
/// Silence at the end of a capture that counts, unless the device has been silent as
/// long before.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a device that was silent may take to be heard again.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A failure, recognisable in another run.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Bursts of these contents bring the server a message each; not all did.
    Unanswered(BTreeSet<Vec<u8>>),
    /// The server hears nothing any more from this long after the anchor on.
    Silent(Duration),
}

/// Times, since the anchor, at which the server heard the device.
fn heard(events: &[Event], anchor: Instant) -> Vec<Duration> {
    let messages = events.iter().filter(|event| event.kind == Kind::MessageIn);
    let after = messages.filter(|event| event.time >= anchor);
    after.map(|event| event.time.since(anchor)).collect()
}

/// Bursts among stimuli.
fn bursts(list: &[Stimulus]) -> impl Iterator<Item = (Duration, &Vec<u8>)> {
    list.iter().filter_map(|stimulus| match &stimulus.action {
        Action::Uart { bytes, .. } => Some((stimulus.at, bytes)),
        _ => None,
    })
}

/// Which bursts the messages belong to: each to the earliest one, within
/// [`ANSWER`], that has none.
fn answered(list: &[Stimulus], heard: &[Duration]) -> Vec<bool> {
    let times: Vec<Duration> = bursts(list).map(|(at, _)| at).collect();
    let mut done = vec![false; times.len()];
    // All before this one have their message, or will get none any more.
    let mut first = 0;
    for message in heard {
        while times.get(first).is_some_and(|at| *at + ANSWER < *message) {
            first += 1;
        }
        if times.get(first).is_some_and(|at| at <= message) {
            done[first] = true;
            first += 1;
        }
    }
    done
}

impl Failure {
    /// The failures that a capture shows, the most telling first.
    pub fn of(events: &[Event], stimuli: &Stimuli) -> Vec<Self> {
        let heard = heard(events, stimuli.anchor);
        let mut found = Vec::new();
        if let Some(last) = heard.last() {
            let gaps = heard.windows(2).map(|pair| pair[1] - pair[0]);
            let usual = gaps.max().unwrap_or_default();
            let quiet = stimuli.end.saturating_sub(*last);
            let asked = bursts(&stimuli.list).any(|(at, _)| at > *last + ANSWER);
            if quiet > SILENCE && (quiet > usual * 3 || asked) {
                let link = |stimulus: &Stimulus| {
                    let back = stimulus.action == Action::Outage(false);
                    back.then_some(stimulus.at)
                };
                let back = stimuli.list.iter().filter_map(link).max();
                let since = *last + usual.max(ANSWER);
                found.push(Self::Silent(since.max(back.unwrap_or_default())));
            }
        }
        let done = answered(&stimuli.list, &heard);
        let of = |wanted: bool| {
            let pairs = bursts(&stimuli.list).zip(&done);
            pairs
                .filter(move |(_, done)| **done == wanted)
                .map(|((_, bytes), _)| bytes.clone())
                .collect::<BTreeSet<_>>()
        };
        let both: BTreeSet<_> = of(true).intersection(&of(false)).cloned().collect();
        if !both.is_empty() {
            found.push(Self::Unanswered(both));
        }
        found
    }

    /// The messages that `list` should bring, where that is a number.
    pub fn wanted(&self, list: &[Stimulus]) -> usize {
        match self {
            Self::Unanswered(contents) => bursts(list)
                .filter(|(_, bytes)| contents.contains(*bytes))
                .count(),
            Self::Silent(_) => 1,
        }
    }

    /// Until when, since the anchor, a run must be watched.
    pub fn watch(&self, list: &[Stimulus]) -> Duration {
        let last = list.last().map_or(Duration::ZERO, |stimulus| stimulus.at);
        match self {
            Self::Unanswered(_) => last + ANSWER,
            Self::Silent(since) => last.max(*since + PATIENCE),
        }
    }

    /// A run shows the same failure.
    pub fn shows(&self, list: &[Stimulus], events: &[Event], anchor: Instant) -> bool {
        let heard = heard(events, anchor);
        match self {
            // A device that says nothing at all fails in another way.
            Self::Unanswered(_) => !heard.is_empty() && heard.len() < self.wanted(list),
            Self::Silent(since) => !heard.iter().any(|at| at > since),
        }
    }

    /// In words.
    pub fn describe(&self, list: &[Stimulus]) -> String {
        match self {
            Self::Unanswered(contents) => {
                let shown: Vec<String> = contents
                    .iter()
                    .map(|bytes| format!("{:?}", String::from_utf8_lossy(bytes)))
                    .collect();
                format!(
                    "{} bursts of {} reach UARTs, and the server gets fewer messages",
                    self.wanted(list),
                    shown.join(" or ")
                )
            }
            Self::Silent(since) => {
                format!(
                    "the server hears nothing any more from {} after the connection on",
                    show(*since)
                )
            }
        }
    }
}
