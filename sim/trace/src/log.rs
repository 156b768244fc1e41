//! The log itself.

use std::collections::VecDeque;
use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use crate::Event;

/// The 128-bit hash of a run's events.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub u128);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many events a log keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The latest so many.
    Last(usize),
    /// All, for tests that look back.
    All,
}

/// The event log: hashes every event, keeps some.
pub struct Log {
    hash: Xxh3,
    count: u64,
    kept: VecDeque<Event>,
    /// Number of the first event in `kept`.
    first: u64,
    retention: Retention,
}

impl Log {
    /// An empty log.
    pub fn new(retention: Retention) -> Self {
        Self {
            hash: Xxh3::new(),
            count: 0,
            kept: VecDeque::new(),
            first: 0,
            retention,
        }
    }

    /// Appends an event. Times never go backwards.
    pub fn push(&mut self, event: Event) {
        debug_assert!(
            self.kept.back().is_none_or(|last| last.time <= event.time),
            "{event} comes after {}",
            self.kept
                .back()
                .map_or_else(String::new, ToString::to_string)
        );
        let mut head = [0u8; 14];
        head[..8].copy_from_slice(&event.time.nanos().to_le_bytes());
        head[8] = event.source as u8;
        head[9] = event.kind as u8;
        head[10..].copy_from_slice(&event.len.to_le_bytes());
        self.hash.update(&head);
        if !event.kind.is_opaque() {
            self.hash.update(&event.bytes);
        }
        self.count += 1;
        if let Retention::Last(n) = self.retention {
            while self.kept.len() >= n.max(1) {
                self.kept.pop_front();
                self.first += 1;
            }
        }
        self.kept.push_back(event);
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> Hash {
        Hash(self.hash.digest128())
    }

    /// Number of events so far; the number the next one will get.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The kept events with number `from` and later.
    pub fn since(&self, from: u64) -> impl Iterator<Item = &Event> {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.kept.iter().skip(skip)
    }

    /// The latest `n` kept events, oldest first.
    pub fn last(&self, n: usize) -> impl Iterator<Item = &Event> {
        self.kept.iter().skip(self.kept.len().saturating_sub(n))
    }
}
