//! The modem's control plane, first cut: SIM, attach, network time, address.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use airbench_clock::{Instant, Rng};
use serde::{Deserialize, Serialize};

/// The modem's numbers. Times run from power-on or from the step named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModemConfig {
    /// A SIM is in the slot.
    pub sim: bool,
    /// Power-on to the SIM's answer (or to noticing that there is none).
    pub sim_ready_ms: u64,
    /// SIM ready to an active data context.
    pub attach_ms: u64,
    /// The attach takes up to this much longer, at random.
    pub attach_jitter_ms: u64,
    /// The network sends its time.
    pub nitz: bool,
    /// Active context to the time message.
    pub nitz_ms: u64,
    /// Active context to `IP_READY`.
    pub ip_ready_ms: u64,
    /// The address the device gets.
    pub address: Ipv4Addr,
    /// The carrier's name servers.
    pub dns: Vec<Ipv4Addr>,
}

impl Default for ModemConfig {
    /// The suggested defaults of the time-line in `docs/firmware-facts.md`.
    fn default() -> Self {
        Self {
            sim: true,
            sim_ready_ms: 1200,
            attach_ms: 1300,
            attach_jitter_ms: 0,
            nitz: true,
            nitz_ms: 60,
            ip_ready_ms: 3,
            address: Ipv4Addr::new(10, 64, 12, 34),
            dns: vec![Ipv4Addr::new(10, 0, 0, 53), Ipv4Addr::new(10, 0, 1, 53)],
        }
    }
}

/// What the modem tells the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModemEvent {
    /// The SIM is initialised.
    SimReady,
    /// There is no SIM.
    SimMissing,
    /// The subscriber number was read.
    NumberRead,
    /// The data context is active: packets flow from now on.
    PdpActive,
    /// The bearer is up.
    BearerActive,
    /// The network sent its time.
    TimeSync,
    /// The firmware is told of the address.
    LinkUp,
    /// The address is gone.
    LinkDown,
}

impl ModemEvent {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::SimReady => "sim-ready",
            Self::SimMissing => "no-sim",
            Self::NumberRead => "number-read",
            Self::PdpActive => "pdp-active",
            Self::BearerActive => "bearer-active",
            Self::TimeSync => "time-sync",
            Self::LinkUp => "link-up",
            Self::LinkDown => "link-down",
        }
    }
}

/// A SIM ready to a number read; a guess within the order of the samples.
const NUMBER_AFTER: Duration = Duration::from_millis(120);
/// Context to bearer line in the sample log: 5906 and 5908 ms.
const BEARER_AFTER: Duration = Duration::from_millis(2);

/// The modem's control plane.
#[derive(Debug)]
pub struct Modem {
    config: ModemConfig,
    rng: Rng,
    agenda: VecDeque<(Instant, ModemEvent)>,
    powered: bool,
    up: bool,
    sim_ready: bool,
    flight_mode: bool,
}

impl Modem {
    /// A modem that is switched off.
    pub fn new(config: ModemConfig, seed: u64) -> Self {
        Self {
            config,
            rng: Rng::new(seed, "modem"),
            agenda: VecDeque::new(),
            powered: false,
            up: false,
            sim_ready: false,
            flight_mode: false,
        }
    }

    /// The numbers in force.
    pub fn config(&self) -> &ModemConfig {
        &self.config
    }

    /// Power-on or reset: everything begins anew.
    pub fn power_on(&mut self, now: Instant) {
        self.power_off();
        self.powered = true;
        self.detect_sim(now);
    }

    /// Without power nothing happens any more.
    pub fn power_off(&mut self) {
        self.agenda.clear();
        self.powered = false;
        self.up = false;
        self.sim_ready = false;
        self.flight_mode = false;
    }

    fn detect_sim(&mut self, now: Instant) {
        let at = now + Duration::from_millis(self.config.sim_ready_ms);
        if self.config.sim {
            self.agenda.push_back((at, ModemEvent::SimReady));
        } else {
            self.agenda.push_back((at, ModemEvent::SimMissing));
        }
    }

    /// Plans the way from a ready SIM to an address.
    fn attach(&mut self, now: Instant) {
        let config = &self.config;
        let jitter = self.rng.below(config.attach_jitter_ms + 1);
        let pdp = now + Duration::from_millis(config.attach_ms + jitter);
        self.agenda.push_back((pdp, ModemEvent::PdpActive));
        self.agenda
            .push_back((pdp + BEARER_AFTER, ModemEvent::BearerActive));
        let at = pdp + Duration::from_millis(config.ip_ready_ms);
        self.agenda.push_back((at, ModemEvent::LinkUp));
        if config.nitz {
            let at = pdp + Duration::from_millis(config.nitz_ms);
            self.agenda.push_back((at, ModemEvent::TimeSync));
        }
        // A quick attach may overtake the number; equal times keep their order.
        self.agenda.make_contiguous().sort_by_key(|(at, _)| *at);
    }

    /// The data context is lost now; the modem attaches again after
    /// `reattach` (`None`: it stays away).
    pub fn lose_context(&mut self, now: Instant, reattach: Option<Duration>) {
        self.agenda
            .retain(|(_, event)| matches!(event, ModemEvent::SimReady | ModemEvent::SimMissing));
        if self.up {
            self.agenda.push_front((now, ModemEvent::LinkDown));
        }
        if let Some(span) = reattach
            && self.sim_ready
            && !self.flight_mode
        {
            self.attach(now + span);
        }
    }

    /// Switches flight mode; leaving it attaches again.
    pub fn set_flight_mode(&mut self, now: Instant, on: bool) {
        if on == self.flight_mode || !self.powered {
            return;
        }
        self.flight_mode = on;
        self.lose_context(now, (!on).then_some(Duration::ZERO));
    }

    /// Flight mode is on.
    pub fn flight_mode(&self) -> bool {
        self.flight_mode
    }

    /// Puts a SIM into the slot or takes it out.
    pub fn set_sim(&mut self, now: Instant, present: bool) {
        self.config.sim = present;
        if !self.powered {
            return;
        }
        if present {
            if !self.sim_ready {
                self.agenda.clear();
                self.detect_sim(now);
            }
        } else {
            self.sim_ready = false;
            self.agenda.clear();
            self.lose_context(now, None);
            self.agenda.push_back((now, ModemEvent::SimMissing));
        }
    }

    /// The device has an address.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// The SIM has answered.
    pub fn sim_ready(&self) -> bool {
        self.sim_ready
    }

    /// When the next event is due.
    pub fn next_wake(&self) -> Option<Instant> {
        self.agenda.front().map(|(at, _)| *at)
    }

    /// The next event due by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<ModemEvent> {
        if self.next_wake()? > now {
            return None;
        }
        let (at, event) = self.agenda.pop_front()?;
        match event {
            ModemEvent::SimReady => {
                self.sim_ready = true;
                self.agenda
                    .push_back((at + NUMBER_AFTER, ModemEvent::NumberRead));
                if !self.flight_mode {
                    self.attach(at);
                }
            }
            ModemEvent::PdpActive => self.up = true,
            ModemEvent::LinkDown => self.up = false,
            _ => {}
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(modem: &mut Modem) -> Vec<(u64, ModemEvent)> {
        let mut seen = Vec::new();
        while let Some(at) = modem.next_wake() {
            while let Some(event) = modem.poll(at) {
                seen.push((at.millis(), event));
            }
        }
        seen
    }

    #[test]
    fn the_default_time_line() {
        let mut modem = Modem::new(ModemConfig::default(), 1);
        modem.power_on(Instant::ZERO);
        assert_eq!(
            run(&mut modem),
            [
                (1200, ModemEvent::SimReady),
                (1320, ModemEvent::NumberRead),
                (2500, ModemEvent::PdpActive),
                (2502, ModemEvent::BearerActive),
                (2503, ModemEvent::LinkUp),
                (2560, ModemEvent::TimeSync),
            ]
        );
        assert!(modem.is_up());
    }

    #[test]
    fn without_a_sim_there_is_no_address() {
        let mut modem = Modem::new(
            ModemConfig {
                sim: false,
                ..ModemConfig::default()
            },
            1,
        );
        modem.power_on(Instant::ZERO);
        assert_eq!(run(&mut modem), [(1200, ModemEvent::SimMissing)]);
        modem.set_sim(Instant::from_millis(5000), true);
        assert_eq!(
            run(&mut modem).last().map(|(_, event)| *event),
            Some(ModemEvent::TimeSync)
        );
        assert!(modem.is_up());
    }

    #[test]
    fn a_lost_context_comes_back_when_told_to() {
        let mut modem = Modem::new(ModemConfig::default(), 1);
        modem.power_on(Instant::ZERO);
        run(&mut modem);
        modem.lose_context(Instant::from_millis(10_000), Some(Duration::from_secs(4)));
        let events = run(&mut modem);
        assert_eq!(events.first(), Some(&(10_000, ModemEvent::LinkDown)));
        assert!(events.contains(&(15_303, ModemEvent::LinkUp)), "{events:?}");
    }
}
