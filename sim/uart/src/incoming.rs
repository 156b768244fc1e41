//! Bytes on their way from the peer to the device.

use std::collections::VecDeque;

use airbench_clock::Instant;

use crate::Framing;

/// Bytes that follow each other without a gap; byte `i` is complete at
/// `start + characters(i + 1)`.
#[derive(Debug)]
pub(crate) struct Burst {
    pub(crate) start: Instant,
    pub(crate) framing: Framing,
    pub(crate) bytes: Vec<u8>,
    pub(crate) taken: usize,
    /// Nobody listens: the chip sleeps, or wakes at the first byte.
    pub(crate) missed: Option<Missed>,
}

/// Why nobody listens to a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Its first byte wakes the chip.
    Wakes,
    /// It follows the one that does, or the port cannot wake the chip.
    Deaf,
}

impl Burst {
    /// When a byte is complete.
    pub(crate) fn arrival(&self, index: usize) -> Instant {
        self.start + self.framing.characters(index + 1)
    }
}

/// What the peer has sent and the device has not taken.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) bursts: VecDeque<Burst>,
    /// When the peer's transmitter is free again.
    free: Instant,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            bursts: VecDeque::new(),
            free: Instant::ZERO,
        }
    }
}

impl Incoming {
    /// When the peer's transmitter is free for something to be sent now.
    pub(crate) fn start(&self, now: Instant) -> Instant {
        self.free.max(now)
    }

    /// The peer starts to send now, or when its transmitter is free.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        bytes: Vec<u8>,
        framing: Framing,
        missed: Option<Missed>,
    ) {
        if bytes.is_empty() {
            return;
        }
        let start = self.start(now);
        self.free = start + framing.characters(bytes.len());
        self.bursts.push_back(Burst {
            start,
            framing,
            bytes,
            taken: 0,
            missed,
        });
    }
}
