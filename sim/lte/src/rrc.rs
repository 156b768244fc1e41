//! RRC: when the radio is there for a packet.
//!
//! Idle, a device is reached at its next paging occasion only, and either way it
//! takes a promotion before anything flows. Connected and silent it listens in
//! short cycles first, in long ones later, until the network releases it.

use std::time::Duration;

use airbench_clock::{Instant, Rng};
use serde::{Deserialize, Serialize};

use crate::Direction;

/// The numbers of a network's RRC. Without any the radio is always there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RrcConfig {
    /// Idle to connected.
    pub promotion_ms: u64,
    /// Silence after which the device listens in cycles only.
    pub inactivity_ms: u64,
    /// Length of a short cycle.
    pub short_cycle_ms: u64,
    /// How long cycles are short.
    pub short_ms: u64,
    /// Length of a long cycle.
    pub long_cycle_ms: u64,
    /// Silence after which the network releases the connection.
    pub tail_ms: u64,
    /// Length of a paging cycle, once it is released.
    pub idle_cycle_ms: u64,
}

impl RrcConfig {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        if *self != Self::default() && self.tail_ms == 0 {
            return Err("tail_ms is 0: a connection must last for some time".into());
        }
        if self.inactivity_ms > self.tail_ms {
            let (inactivity, tail) = (self.inactivity_ms, self.tail_ms);
            return Err(format!(
                "inactivity_ms is {inactivity}, longer than tail_ms, which is {tail}"
            ));
        }
        Ok(())
    }
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RrcEvent {
    /// It is there.
    Connected,
    /// It has been released.
    Idle,
}

impl RrcEvent {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "rrc-connected",
            Self::Idle => "rrc-idle",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Connected from then on.
    Promoted(Instant),
    Connected,
}

/// The connection of one device.
#[derive(Debug)]
pub struct Rrc {
    config: RrcConfig,
    state: State,
    /// When the latest packet was carried.
    active: Instant,
    /// Where in its cycle the device is paged.
    paging: Duration,
    /// `mobile.rtime`: the device asks for a release after this silence.
    fast_release: Option<Duration>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The first of the times `from`, `from + cycle`, … that is not before `now`.
fn occasion(from: Instant, cycle: Duration, now: Instant) -> Instant {
    if cycle.is_zero() || now <= from {
        return now.max(from);
    }
    let past = now.since(from).as_nanos();
    let cycles = past.div_ceil(cycle.as_nanos());
    from + Duration::from_nanos((cycles * cycle.as_nanos()) as u64)
}

impl Rrc {
    /// An idle device; `seed` decides when it is paged.
    pub fn new(config: RrcConfig, seed: u64) -> Self {
        let paging = ms(Rng::new(seed, "paging").below(config.idle_cycle_ms));
        Self {
            config,
            state: State::Idle,
            active: Instant::ZERO,
            paging,
            fast_release: None,
        }
    }

    /// There are numbers for it; else the radio is always there.
    pub fn is_modelled(&self) -> bool {
        self.config.tail_ms > 0
    }

    /// The device asks for a release after so much silence.
    pub fn set_fast_release(&mut self, silence: Option<Duration>) {
        self.fast_release = silence;
    }

    fn tail(&self) -> Duration {
        let tail = ms(self.config.tail_ms);
        self.fast_release.map_or(tail, |fast| fast.min(tail))
    }

    /// When the radio carries a packet that is there at `now`.
    pub fn start(&mut self, now: Instant, direction: Direction) -> Instant {
        if !self.is_modelled() {
            return now;
        }
        let up = direction == Direction::Up;
        let start = match self.state {
            State::Connected if now < self.active + self.tail() => {
                if up {
                    now
                } else {
                    self.listens(now)
                }
            }
            State::Promoted(at) if now < at + self.tail() => at.max(now),
            _ => {
                let cycle = ms(self.config.idle_cycle_ms);
                let heard = if up {
                    now
                } else {
                    occasion(Instant::ZERO + self.paging, cycle, now)
                };
                let at = heard + ms(self.config.promotion_ms);
                self.state = State::Promoted(at);
                at
            }
        };
        self.active = self.active.max(start);
        start
    }

    /// When a connected device listens next.
    fn listens(&self, now: Instant) -> Instant {
        let config = &self.config;
        let drowsy = self.active + ms(config.inactivity_ms);
        let asleep = drowsy + ms(config.short_ms);
        if now < drowsy {
            now
        } else if now < asleep {
            occasion(drowsy, ms(config.short_cycle_ms), now)
        } else {
            occasion(asleep, ms(config.long_cycle_ms), now)
        }
    }

    /// When the state changes by itself.
    pub fn next_wake(&self) -> Option<Instant> {
        if !self.is_modelled() {
            return None;
        }
        match self.state {
            State::Idle => None,
            State::Promoted(at) => Some(at),
            State::Connected => Some(self.active + self.tail()),
        }
    }

    /// A change that has come by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<RrcEvent> {
        if self.next_wake()? > now {
            return None;
        }
        let (state, event) = match self.state {
            State::Promoted(_) => (State::Connected, RrcEvent::Connected),
            _ => (State::Idle, RrcEvent::Idle),
        };
        self.state = state;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rrc() -> Rrc {
        let config = RrcConfig {
            promotion_ms: 260,
            inactivity_ms: 100,
            short_cycle_ms: 20,
            short_ms: 40,
            long_cycle_ms: 320,
            tail_ms: 10_000,
            idle_cycle_ms: 1280,
        };
        Rrc::new(config, 1)
    }

    fn start(rrc: &mut Rrc, at: u64, direction: Direction) -> u64 {
        let now = Instant::from_millis(at);
        while rrc.poll(now).is_some() {}
        rrc.start(now, direction).millis()
    }

    #[test]
    fn a_packet_waits_for_promotion_cycle_or_paging() {
        let mut rrc = rrc();
        assert_eq!(start(&mut rrc, 1000, Direction::Up), 1260, "promotion");
        assert_eq!(start(&mut rrc, 1100, Direction::Up), 1260, "the same one");
        assert_eq!(start(&mut rrc, 1300, Direction::Down), 1300, "awake");
        assert_eq!(
            start(&mut rrc, 1405, Direction::Down),
            1420,
            "a short cycle"
        );
        assert_eq!(
            start(&mut rrc, 1420 + 150, Direction::Down),
            1880,
            "a long one"
        );
        assert_eq!(start(&mut rrc, 5000, Direction::Up), 5000, "up at once");
        // Ten seconds of silence later it is idle: paging, then promotion.
        let paged = start(&mut rrc, 20_000, Direction::Down);
        assert!((20_260..21_540).contains(&paged), "{paged}");
        assert_eq!((paged - 260 - rrc.paging.as_millis() as u64) % 1280, 0);
    }

    #[test]
    fn fast_release_shortens_the_tail() {
        let mut rrc = rrc();
        rrc.set_fast_release(Some(Duration::from_secs(3)));
        assert_eq!(start(&mut rrc, 0, Direction::Up), 260);
        assert_eq!(start(&mut rrc, 3000, Direction::Up), 3000);
        assert_eq!(start(&mut rrc, 6100, Direction::Up), 6360);
    }
}
