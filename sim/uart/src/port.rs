//! The device's end of a line.

use std::collections::VecDeque;
use std::time::Duration;

use airbench_clock::Instant;

use crate::Framing;
use crate::incoming::{Incoming, Missed};

/// What the closed UART driver leaves open; defaults from facts O.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunables {
    /// Silence that counts as idle, in characters (times ten: 25 = 2.5).
    pub idle_tenths: u32,
    /// Silence that counts as idle at the least.
    pub idle_minimum: Duration,
    /// Bytes the cache may grow to before the newest are lost.
    pub cache_maximum: usize,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            idle_tenths: 25,
            idle_minimum: Duration::from_millis(1),
            cache_maximum: 8192,
        }
    }
}

impl Tunables {
    /// Silence after the last character that ends a burst.
    pub fn idle(&self, framing: Framing) -> Duration {
        (framing.characters(self.idle_tenths as usize) / 10).max(self.idle_minimum)
    }
}

/// Why received bytes were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The port was not set up.
    Closed,
    /// The cache was full.
    Overflow,
    /// The peer's line parameters do not match.
    Framing,
    /// The chip slept.
    Asleep,
}

/// What the chip's sleep means for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ear {
    /// The chip is awake, or the port receives through its sleep.
    Awake,
    /// What comes wakes the chip, and is lost up to the next silence.
    Wakes,
    /// Nothing is noticed.
    Deaf,
}

/// What a port does on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Notify the receiver: this many bytes wait in the cache.
    Receive(usize),
    /// These bytes have left on the line.
    Sent(Vec<u8>),
    /// Everything written has left.
    Drained,
    /// Bytes were lost.
    Lost(Lost, usize),
    /// A byte that was lost has woken the chip.
    Woken,
}

/// Bytes of one transmit chunk: a long write shows on the wire bit by bit, but
/// an event per byte would drown the log.
const CHUNK: usize = 256;

/// The device's end of one UART line.
#[derive(Debug)]
pub struct Port {
    tunables: Tunables,
    framing: Option<Framing>,
    cache_size: usize,
    cache: VecDeque<u8>,
    incoming: Incoming,
    /// Until then, what comes belongs to the burst that woke the chip.
    waking: Instant,
    /// Arrival of the latest byte that has not been notified yet.
    unnotified: Option<Instant>,
    /// Chunks being sent and when each is complete.
    outgoing: VecDeque<(Instant, Vec<u8>)>,
    pending: VecDeque<Output>,
}

impl Port {
    /// A port that is not set up.
    pub fn new(tunables: Tunables) -> Self {
        Self {
            tunables,
            framing: None,
            cache_size: 0,
            cache: VecDeque::new(),
            incoming: Incoming::default(),
            waking: Instant::ZERO,
            unnotified: None,
            outgoing: VecDeque::new(),
            pending: VecDeque::new(),
        }
    }

    /// Sets the line parameters and the size of the receive cache. Bytes in
    /// the cache stay.
    pub fn open(&mut self, now: Instant, framing: Framing, cache_size: usize) {
        self.catch_up(now);
        self.framing = Some(framing);
        self.cache_size = cache_size;
    }

    /// Closes the port; received and unsent bytes are gone.
    pub fn close(&mut self, now: Instant) {
        self.catch_up(now);
        self.framing = None;
        self.cache.clear();
        self.outgoing.clear();
        self.unnotified = None;
    }

    /// The line parameters, if set up.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// The peer starts to send `bytes` now, or when its transmitter is free.
    /// `framing` is the peer's; by default it matches the device's.
    pub fn send_to_device(
        &mut self,
        now: Instant,
        bytes: Vec<u8>,
        framing: Option<Framing>,
        ear: Ear,
    ) {
        let framing = framing.or(self.framing).unwrap_or_default();
        let start = self.incoming.start(now);
        let missed = match ear {
            _ if start < self.waking => Some(Missed::Deaf),
            Ear::Awake => None,
            Ear::Wakes => Some(Missed::Wakes),
            Ear::Deaf => Some(Missed::Deaf),
        };
        if missed.is_some() && ear != Ear::Deaf {
            let end = start + framing.characters(bytes.len());
            self.waking = end + self.tunables.idle(framing);
        }
        self.incoming.send(now, bytes, framing, missed);
    }

    /// Moves what has arrived by `now` into the cache.
    fn catch_up(&mut self, now: Instant) {
        while let Some(burst) = self.incoming.bursts.front_mut() {
            let from = burst.taken;
            while burst.taken < burst.bytes.len() && burst.arrival(burst.taken) <= now {
                burst.taken += 1;
            }
            let count = burst.taken - from;
            if count == 0 {
                return;
            }
            let last = burst.arrival(burst.taken - 1);
            if from == 0 && burst.missed == Some(Missed::Wakes) && self.framing.is_some() {
                self.pending.push_back(Output::Woken);
            }
            let lost = match self.framing {
                None => Some(Lost::Closed),
                Some(_) if burst.missed.is_some() => Some(Lost::Asleep),
                Some(own) if !own.understands(burst.framing) => Some(Lost::Framing),
                Some(_) => None,
            };
            if let Some(reason) = lost {
                self.pending.push_back(Output::Lost(reason, count));
            } else {
                let room = self.tunables.cache_maximum.max(self.cache_size);
                let room = room.saturating_sub(self.cache.len());
                let kept = count.min(room);
                self.cache.extend(&burst.bytes[from..from + kept]);
                self.unnotified = Some(last);
                if kept < count {
                    self.pending
                        .push_back(Output::Lost(Lost::Overflow, count - kept));
                }
            }
            if burst.taken < burst.bytes.len() {
                return;
            }
            self.incoming.bursts.pop_front();
        }
    }

    /// Bytes waiting.
    pub fn rx_size(&mut self, now: Instant) -> usize {
        self.catch_up(now);
        self.cache.len()
    }

    /// Takes up to `max` received bytes.
    pub fn read(&mut self, now: Instant, max: usize) -> Vec<u8> {
        self.catch_up(now);
        self.cache.drain(..max.min(self.cache.len())).collect()
    }

    /// Discards what was received.
    pub fn clear(&mut self, now: Instant) {
        self.catch_up(now);
        self.cache.clear();
    }

    /// Queues bytes for sending; false if the port is not set up.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> bool {
        let Some(framing) = self.framing else {
            return false;
        };
        for chunk in bytes.chunks(CHUNK) {
            let start = self.outgoing.back().map_or(now, |(end, _)| *end);
            self.outgoing
                .push_back((start + framing.characters(chunk.len()), chunk.to_vec()));
        }
        true
    }

    /// Bytes written that have not left yet.
    pub fn queued(&self) -> usize {
        self.outgoing.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// When everything written will have left.
    pub fn drained_at(&self) -> Option<Instant> {
        self.outgoing.back().map(|(end, _)| *end)
    }

    /// The next thing the port does by itself up to `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Output> {
        if let Some(output) = self.pending.pop_front() {
            return Some(output);
        }
        if let Some((end, _)) = self.outgoing.front()
            && *end <= now
        {
            let (_, bytes) = self.outgoing.pop_front()?;
            if self.outgoing.is_empty() {
                self.pending.push_back(Output::Drained);
            }
            return Some(Output::Sent(bytes));
        }
        self.catch_up(now);
        if let Some(output) = self.pending.pop_front() {
            return Some(output);
        }
        let due = self.notification().is_some_and(|at| at <= now);
        if due {
            self.unnotified = None;
            return Some(Output::Receive(self.cache.len()));
        }
        None
    }

    /// When the bytes arrived so far are to be notified.
    fn notification(&self) -> Option<Instant> {
        let framing = self.framing?;
        let last = self.unnotified?;
        if self.cache.len() > self.cache_size {
            return Some(last);
        }
        let idle = last + self.tunables.idle(framing);
        // The next byte restarts the silence.
        let next = self
            .incoming
            .bursts
            .front()
            .map(|burst| burst.arrival(burst.taken));
        (next.is_none_or(|next| next > idle)).then_some(idle)
    }

    /// Nothing is on its way in or out.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.pending.is_empty()
            && self.outgoing.is_empty()
            && self.incoming.bursts.is_empty()
            && self.unnotified.is_none()
    }

    /// When the port has something to do by itself.
    pub fn next_wake(&self) -> Option<Instant> {
        if self.is_quiet() {
            return None;
        }
        if !self.pending.is_empty() {
            return Some(Instant::ZERO);
        }
        let sent = self.outgoing.front().map(|(end, _)| *end);
        // The next byte count worth a look: the end of the burst, or the byte
        // that makes the cache exceed its size.
        let arrival = self.incoming.bursts.front().map(|burst| {
            if burst.taken == 0 && burst.missed == Some(Missed::Wakes) {
                return burst.arrival(0);
            }
            let excess = (self.cache_size + 1)
                .saturating_sub(self.cache.len())
                .max(1);
            let index = (burst.taken + excess - 1).min(burst.bytes.len() - 1);
            burst.arrival(index)
        });
        Instant::earliest([sent, arrival, self.notification()])
    }
}
