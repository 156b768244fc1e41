//! The radio link.

use std::time::Duration;

use airbench_clock::{Instant, Rng};
use serde::{Deserialize, Serialize};

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the network.
    Up,
    /// From the network to the device.
    Down,
}

impl Direction {
    /// `up` or `down`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Impairments of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// One-way delay in milliseconds.
    pub latency_ms: f64,
    /// The delay varies evenly by up to this many milliseconds either way.
    /// Order is kept.
    pub jitter_ms: f64,
    /// Probability, 0 to 1, that a packet is lost, each independently.
    pub loss: f64,
    /// Bits per second on the air; 0 is unlimited.
    pub rate_bps: u64,
    /// Bytes that may wait for the air; more are lost. 0 is unlimited.
    pub queue_bytes: u64,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            latency_ms: 0.0,
            jitter_ms: 0.0,
            loss: 0.0,
            rate_bps: 0,
            queue_bytes: 0,
        }
    }
}

/// Impairments of both directions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkConfig {
    /// From the device.
    pub up: Path,
    /// To the device.
    pub down: Path,
}

/// Why a packet was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The link is down.
    Outage,
    /// Random loss.
    Loss,
    /// The queue was full.
    Queue,
}

impl Drop {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Loss => "loss",
            Self::Queue => "queue",
        }
    }
}

#[derive(Debug)]
struct Lane {
    path: Path,
    rng: Rng,
    /// When the air is free for the next packet.
    free: Instant,
    /// Arrival of the packet before: no packet overtakes another.
    last: Instant,
}

/// The radio link between a device and the core network.
#[derive(Debug)]
pub struct Link {
    up: Lane,
    down: Lane,
    outage: bool,
}

impl Link {
    /// A link with these impairments; `seed` is the world's.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        let lane = |path, name| Lane {
            path,
            rng: Rng::new(seed, name),
            free: Instant::ZERO,
            last: Instant::ZERO,
        };
        Self {
            up: lane(config.up, "link up"),
            down: lane(config.down, "link down"),
            outage: false,
        }
    }

    /// Changes one direction's impairments; packets under way keep theirs.
    pub fn path_mut(&mut self, direction: Direction) -> &mut Path {
        match direction {
            Direction::Up => &mut self.up.path,
            Direction::Down => &mut self.down.path,
        }
    }

    /// Begins or ends an outage: nothing passes, nobody is told.
    pub fn set_outage(&mut self, outage: bool) {
        self.outage = outage;
    }

    /// Sends a packet of `len` bytes: when it arrives, or why it does not.
    pub fn send(
        &mut self,
        now: Instant,
        direction: Direction,
        len: usize,
    ) -> Result<Instant, Drop> {
        if self.outage {
            return Err(Drop::Outage);
        }
        match direction {
            Direction::Up => self.up.send(now, len),
            Direction::Down => self.down.send(now, len),
        }
    }
}

impl Lane {
    fn send(&mut self, now: Instant, len: usize) -> Result<Instant, Drop> {
        let path = &self.path;
        if self.rng.chance(path.loss) {
            return Err(Drop::Loss);
        }
        let start = self.free.max(now);
        let mut sent = start;
        if path.rate_bps > 0 {
            let waiting = path.rate_bps as u128 * start.since(now).as_nanos() / 8_000_000_000;
            if path.queue_bytes > 0 && waiting + len as u128 > u128::from(path.queue_bytes) {
                return Err(Drop::Queue);
            }
            let bits = len as u128 * 8 * 1_000_000_000;
            let on_air = u64::try_from(bits / u128::from(path.rate_bps)).unwrap_or(u64::MAX);
            sent = start + Duration::from_nanos(on_air);
        }
        let mut delay = path.latency_ms;
        if path.jitter_ms > 0.0 {
            delay += path.jitter_ms * self.rng.symmetric();
        }
        self.free = sent;
        let arrival = sent + Duration::from_nanos((delay.max(0.0) * 1e6) as u64);
        self.last = self.last.max(arrival);
        Ok(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(path: Path) -> Link {
        Link::new(
            LinkConfig {
                up: path.clone(),
                down: path,
            },
            1,
        )
    }

    #[test]
    fn rate_spaces_packets_and_latency_shifts_them() {
        let mut link = link(Path {
            latency_ms: 10.0,
            rate_bps: 1_000_000,
            ..Path::default()
        });
        let times: Vec<u64> = (0..3)
            .map(|_| {
                link.send(Instant::ZERO, Direction::Up, 1250)
                    .unwrap()
                    .millis()
            })
            .collect();
        assert_eq!(times, [20, 30, 40]);
    }

    #[test]
    fn a_full_queue_drops_the_newest() {
        let mut link = link(Path {
            rate_bps: 1_000_000,
            queue_bytes: 3000,
            ..Path::default()
        });
        let sent: Vec<bool> = (0..4)
            .map(|_| link.send(Instant::ZERO, Direction::Down, 1250).is_ok())
            .collect();
        assert_eq!(sent, [true, true, false, false]);
    }

    #[test]
    fn loss_is_the_configured_share() {
        let mut link = link(Path {
            loss: 0.1,
            ..Path::default()
        });
        let lost = (0..100_000)
            .filter(|_| link.send(Instant::ZERO, Direction::Up, 100).is_err())
            .count();
        // Six standard deviations of a binomial with p = 0.1, n = 100 000.
        assert!((lost as f64 - 10_000.0).abs() < 6.0 * 94.9, "{lost}");
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_keeps_order() {
        let mut link = link(Path {
            latency_ms: 50.0,
            jitter_ms: 20.0,
            ..Path::default()
        });
        let mut last = Instant::ZERO;
        for i in 0..1000 {
            let now = Instant::from_millis(i);
            let arrival = link.send(now, Direction::Up, 100).unwrap();
            assert!(arrival >= last, "order");
            assert!(arrival.since(now) <= Duration::from_millis(70));
            assert!(arrival.since(now) >= Duration::from_millis(30));
            last = arrival;
        }
    }

    #[test]
    fn an_outage_stops_both_ways_until_it_ends() {
        let mut link = link(Path::default());
        link.set_outage(true);
        assert_eq!(
            link.send(Instant::ZERO, Direction::Up, 1),
            Err(Drop::Outage)
        );
        assert_eq!(
            link.send(Instant::ZERO, Direction::Down, 1),
            Err(Drop::Outage)
        );
        link.set_outage(false);
        assert!(link.send(Instant::ZERO, Direction::Up, 1).is_ok());
    }
}
