//! RRC: when the radio is there for a packet.
//!
//! Idle, a device is reached at its next paging occasion only, and either way it
//! takes a promotion before anything flows. Connected and silent it listens in
//! short cycles first, in long ones later, until the network releases it.

use std::time::Duration;

use airbench_clock::{Instant, Rng};
use serde::{Deserialize, Serialize};

use crate::link::check::needs;
use crate::modem::check::times;

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
    /// A release takes so long, in which nothing can be sent.
    pub demotion_ms: u64,
    /// Length of an extended cycle (eDRX); 0: none.
    pub edrx_cycle_ms: u64,
    /// How long the device listens in paging cycles at its beginning.
    pub edrx_window_ms: u64,
    /// How long an idle device that asked for power saving mode listens on
    /// (T3324); 0: the network does not grant it.
    pub psm_active_ms: u64,
    /// How often it wakes up for that long (T3412); 0: when it sends only.
    pub psm_update_ms: u64,
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
        if self.inactivity_ms.saturating_add(self.short_ms) > self.tail_ms {
            let (short, tail) = (self.short_ms, self.tail_ms);
            return Err(format!(
                "short_ms is {short}: with inactivity_ms it lasts longer than tail_ms, which is {tail}"
            ));
        }
        times(&[
            ("tail_ms", self.tail_ms),
            ("promotion_ms", self.promotion_ms),
            ("demotion_ms", self.demotion_ms),
            ("idle_cycle_ms", self.idle_cycle_ms),
            ("edrx_cycle_ms", self.edrx_cycle_ms),
        ])?;
        needs(
            ("psm_update_ms", self.psm_update_ms > 0),
            ("psm_active_ms", self.psm_active_ms > 0),
        )?;
        if self.edrx_window_ms > self.edrx_cycle_ms {
            let (window, cycle) = (self.edrx_window_ms, self.edrx_cycle_ms);
            return Err(format!(
                "edrx_window_ms is {window}, longer than edrx_cycle_ms, which is {cycle}"
            ));
        }
        if self.edrx_cycle_ms > 0 && (self.idle_cycle_ms == 0 || self.edrx_window_ms == 0) {
            return Err(
                "edrx_cycle_ms needs idle_cycle_ms and edrx_window_ms: when the device listens"
                    .into(),
            );
        }
        if self.psm_update_ms > 0 && self.psm_update_ms < self.psm_active_ms {
            let (update, active) = (self.psm_update_ms, self.psm_active_ms);
            return Err(format!(
                "psm_update_ms is {update}, shorter than psm_active_ms, which is {active}"
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

/// What a device asks for with `mobile.rtime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FastRelease {
    /// The silence after which it asks for a release.
    pub after: Duration,
    /// It does so only if it was idle for longer than this before.
    pub idle: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Since then.
    Idle(Instant),
    /// Connected from then on.
    Promoted(Instant),
    Connected,
    /// Gone since then, and not yet told.
    Released(Instant),
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
    fast_release: Option<FastRelease>,
    /// How long the device was idle before this connection.
    idle_before: Duration,
    /// When a device that has just become idle can begin to connect.
    ready: Instant,
    /// The device asks for power saving mode.
    psm: bool,
    attached: bool,
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
            state: State::Idle(Instant::ZERO),
            active: Instant::ZERO,
            paging,
            fast_release: None,
            idle_before: Duration::ZERO,
            ready: Instant::ZERO,
            psm: false,
            attached: false,
        }
    }

    /// There are numbers for it; else the radio is always there.
    pub fn is_modelled(&self) -> bool {
        self.config.tail_ms > 0
    }

    /// What the device asks the network for: an early release, power saving mode.
    pub fn set_wishes(&mut self, fast_release: Option<FastRelease>, psm: bool) {
        self.fast_release = fast_release;
        self.psm = psm;
    }

    /// There is no connection, nor one being made.
    pub fn is_idle(&self) -> bool {
        self.is_modelled() && matches!(self.state, State::Idle(_))
    }

    /// The device has its data context, or has lost it: with it comes the
    /// connection that was needed to get it.
    pub fn set_attached(&mut self, now: Instant, attached: bool) {
        if self.attached == attached || !self.is_modelled() {
            return;
        }
        self.attached = attached;
        if attached {
            self.idle_before = Duration::MAX;
            self.active = self.active.max(now);
            self.state = State::Promoted(now);
        } else {
            self.release(now);
        }
    }

    /// The connection is gone, and the device knows; `poll` tells it.
    pub fn release(&mut self, now: Instant) {
        if self.is_modelled() && !self.is_idle() {
            self.state = State::Released(now);
        }
    }

    fn tail(&self) -> Duration {
        let tail = ms(self.config.tail_ms);
        let fast = self
            .fast_release
            .filter(|fast| fast.idle.is_zero() || self.idle_before > fast.idle);
        fast.map_or(tail, |fast| fast.after.min(tail))
    }

    /// A device that has been idle since then hears a page at `now`; one that
    /// saves power does so for a while only.
    fn reachable(&self, idle_since: Instant, now: Instant) -> bool {
        let config = &self.config;
        if !self.psm || config.psm_active_ms == 0 {
            return true;
        }
        let idle = now.since(idle_since).as_millis() as u64;
        let since_update = match config.psm_update_ms {
            0 => idle,
            update => idle % update,
        };
        since_update < config.psm_active_ms
    }

    /// The next paging occasion of an idle device.
    fn page(&self, now: Instant) -> Instant {
        let config = &self.config;
        let first = Instant::ZERO + self.paging;
        let next = occasion(first, ms(config.idle_cycle_ms), now);
        if config.edrx_cycle_ms == 0 || next < first {
            return next;
        }
        let cycle = ms(config.edrx_cycle_ms);
        let into = Duration::from_nanos((next.since(first).as_nanos() % cycle.as_nanos()) as u64);
        if into < ms(config.edrx_window_ms) {
            next
        } else {
            next + (cycle - into)
        }
    }

    /// When the radio carries a packet that is there at `now`; `None`: the device
    /// cannot be reached, and the network does not keep packets for it.
    pub fn start(&mut self, now: Instant, direction: Direction) -> Option<Instant> {
        if !self.is_modelled() {
            return Some(now);
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
            State::Promoted(at) if now < at + self.tail() => {
                // Who has something to send does not wait for a page.
                let own = now.max(self.ready) + ms(self.config.promotion_ms);
                let at = if up { at.min(own) } else { at };
                self.state = State::Promoted(at);
                at.max(now)
            }
            state => {
                let since = match state {
                    State::Idle(since) | State::Released(since) => since,
                    _ => self.active + self.tail(),
                };
                // Nobody pages a device that is not there.
                if !up && !self.attached {
                    return Some(now);
                }
                if !up && !self.reachable(since, now) {
                    return None;
                }
                let heard = if up { now } else { self.page(now) };
                self.ready = since + ms(self.config.demotion_ms);
                let heard = heard.max(self.ready);
                let at = heard + ms(self.config.promotion_ms);
                self.idle_before = heard.since(since);
                self.state = State::Promoted(at);
                at
            }
        };
        self.active = self.active.max(start);
        Some(start)
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
            State::Idle(_) => None,
            State::Promoted(at) | State::Released(at) => Some(at),
            State::Connected => Some(self.active + self.tail()),
        }
    }

    /// A change that has come by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<RrcEvent> {
        let due = self.next_wake()?;
        if due > now {
            return None;
        }
        let (state, event) = match self.state {
            State::Promoted(_) => (State::Connected, RrcEvent::Connected),
            _ => (State::Idle(due), RrcEvent::Idle),
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
            ..RrcConfig::default()
        };
        let mut rrc = Rrc::new(config, 1);
        rrc.attached = true;
        rrc
    }

    fn start(rrc: &mut Rrc, at: u64, direction: Direction) -> u64 {
        let now = Instant::from_millis(at);
        while rrc.poll(now).is_some() {}
        rrc.start(now, direction).unwrap().millis()
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
        let wish = |idle| FastRelease {
            after: Duration::from_secs(3),
            idle: Duration::from_secs(idle),
        };
        rrc.set_wishes(Some(wish(0)), false);
        assert_eq!(start(&mut rrc, 0, Direction::Up), 260);
        assert_eq!(start(&mut rrc, 3000, Direction::Up), 3000);
        assert_eq!(start(&mut rrc, 6100, Direction::Up), 6360);
    }

    #[test]
    fn a_fast_release_may_depend_on_the_silence_before() {
        let mut rrc = rrc();
        let wish = FastRelease {
            after: Duration::from_secs(3),
            idle: Duration::from_secs(60),
        };
        rrc.set_wishes(Some(wish), false);
        assert_eq!(start(&mut rrc, 100_000, Direction::Up), 100_260);
        assert_eq!(start(&mut rrc, 110_000, Direction::Up), 110_260, "released");
        assert_eq!(start(&mut rrc, 115_000, Direction::Up), 115_000, "not yet");
    }

    #[test]
    fn a_device_that_saves_power_is_deaf_between_updates() {
        let mut rrc = rrc();
        rrc.config.psm_active_ms = 4000;
        rrc.config.psm_update_ms = 60_000;
        rrc.set_wishes(None, true);
        assert_eq!(start(&mut rrc, 0, Direction::Up), 260);
        let mut down = |at: u64| {
            let now = Instant::from_millis(at);
            while rrc.poll(now).is_some() {}
            rrc.start(now, Direction::Down).is_some()
        };
        // Idle from 10.26 s on; each page begins a connection of ten seconds.
        assert!(!down(15_000), "asleep");
        assert!(!down(70_000), "asleep");
        assert!(down(71_000), "the update's window");
    }

    #[test]
    fn extended_cycles_are_listened_to_at_their_beginning() {
        let mut rrc = rrc();
        rrc.config.edrx_cycle_ms = 20_480;
        rrc.config.edrx_window_ms = 2560;
        let paging = rrc.paging.as_millis() as u64;
        let heard = start(&mut rrc, 20_480 + paging + 3000, Direction::Down) - 260;
        assert_eq!(heard, 2 * 20_480 + paging);
        let heard = start(&mut rrc, 4 * 20_480 + paging + 10, Direction::Down) - 260;
        assert_eq!(heard, 4 * 20_480 + paging + 1280);
    }

    #[test]
    fn a_release_takes_its_time() {
        let mut rrc = rrc();
        rrc.config.demotion_ms = 500;
        assert_eq!(start(&mut rrc, 1000, Direction::Up), 1260);
        assert_eq!(start(&mut rrc, 11_300, Direction::Up), 12_020);
    }
}
