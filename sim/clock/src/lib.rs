//! Virtual time: [`Instant`], the [`Queue`] of things to come, and [`Rng`].
//!
//! # Model
//! Time is a count of nanoseconds since the world began and is always an
//! argument. Entries of the queue with the same time come out in the order they
//! went in. Every component draws from a random stream of its own, named when
//! it is made, so that one more draw in one component shifts no other.
//!
//! # Not modelled
//! Clock drift between components: board, network and server share one clock.

#![forbid(unsafe_code)]

mod queue;
mod rng;

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

pub use queue::Queue;
pub use rng::Rng;

/// A point of virtual time: nanoseconds since the world began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The beginning.
    pub const ZERO: Self = Self(0);
    /// A point no run reaches (584 years).
    pub const FAR: Self = Self(u64::MAX);

    /// The first of several wake-ups.
    pub fn earliest<const N: usize>(wakes: [Option<Self>; N]) -> Option<Self> {
        // A branch for each would cost more than the comparison.
        let first = wakes
            .iter()
            .map(|wake| wake.unwrap_or(Self::FAR))
            .fold(Self::FAR, Self::min);
        (first < Self::FAR).then_some(first)
    }

    /// `n` nanoseconds after the beginning.
    pub const fn from_nanos(n: u64) -> Self {
        Self(n)
    }

    /// `n` milliseconds after the beginning.
    pub const fn from_millis(n: u64) -> Self {
        Self(n * 1_000_000)
    }

    /// Nanoseconds since the beginning.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole microseconds since the beginning.
    pub const fn micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole milliseconds since the beginning.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time since `earlier`; zero if that lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Display for Instant {
    /// Seconds with milliseconds, as `12.345s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:03}s",
            self.0 / 1_000_000_000,
            self.0 / 1_000_000 % 1000
        )
    }
}
