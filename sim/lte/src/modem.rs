//! The modem's control plane: SIM, attach, network time, address.

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
    /// The SIM wants this PIN; empty: none.
    #[serde(skip_serializing_if = "is_default")]
    pub pin: String,
    /// The network refuses the device with this cause (3GPP TS 24.301, 9.9.3.9);
    /// 0: it does not.
    #[serde(skip_serializing_if = "is_default")]
    pub reject_cause: u8,
    /// How often it refuses before it accepts; 0: for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub reject_times: u32,
    /// `mobile.status()` of a registered device; 0: 1, the home network.
    #[serde(skip_serializing_if = "is_default")]
    pub status: i32,
    /// Active context to its loss; 0: it is not lost by itself.
    #[serde(skip_serializing_if = "is_default")]
    pub lose_after_ms: u64,
    /// A loss to the next attach; 0: only flight mode or a reset brings it back.
    #[serde(skip_serializing_if = "is_default")]
    pub recover_ms: u64,
    /// The serving cell.
    #[serde(skip_serializing_if = "is_default")]
    pub cell: Cell,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the device measures of its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cell {
    /// Reference signal received power, dBm.
    pub rsrp: i32,
    /// Reference signal received quality, dB.
    pub rsrq: i32,
    /// Signal to noise, dB.
    pub snr: i32,
    /// 10 log10 of the resource blocks that RSSI is measured over, dB.
    pub blocks_db: i32,
    /// E-UTRAN cell identity.
    pub eci: i32,
    /// Tracking area code.
    pub tac: i32,
}

impl Default for Cell {
    /// Good reception in a test network's cell of 40 blocks.
    fn default() -> Self {
        Self {
            rsrp: -90,
            rsrq: -9,
            snr: 17,
            blocks_db: 16,
            eci: 0x0123_4501,
            tac: 0x1234,
        }
    }
}

impl Cell {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        for (key, value, least, most) in [
            ("rsrp", self.rsrp, -200, 0),
            ("rsrq", self.rsrq, -50, 20),
            ("snr", self.snr, -50, 50),
            ("blocks_db", self.blocks_db, 0, 30),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!(
                    "{key} is {value}, it must lie in {least} to {most}"
                ));
            }
        }
        Ok(())
    }

    /// Received signal strength, dBm (3GPP TS 36.214: RSRQ = N RSRP / RSSI).
    pub fn rssi(&self) -> i32 {
        self.rsrp - self.rsrq + self.blocks_db
    }

    /// Signal quality of `AT+CSQ`, 0 to 31.
    pub fn csq(&self) -> i32 {
        match self.rssi() {
            ..=-113 => 0,
            -52.. => 31,
            rssi => (rssi + 113) >> 1,
        }
    }
}

/// Causes after which a device tries no more until SIM or power change (TS
/// 24.301, 5.5.1.2.5).
const FINAL_CAUSES: [u8; 4] = [3, 6, 7, 8];
/// A ready SIM to the answer of a network that refuses: a sample log has it
/// 2142 ms after power-on.
const REJECT_AFTER: Duration = Duration::from_millis(942);
/// T3411 with the attempt itself: 12.24 to 12.39 s in a field log.
const RETRY_AFTER: Duration = Duration::from_millis(12_300);
/// T3402, after five attempts.
const LONG_RETRY: Duration = Duration::from_secs(720);
const ATTEMPTS: u32 = 5;

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
            pin: String::new(),
            reject_cause: 0,
            reject_times: 0,
            status: 0,
            lose_after_ms: 0,
            recover_ms: 0,
            cell: Cell::default(),
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
    /// The SIM wants its PIN.
    SimLocked,
    /// The network refuses the device, with this cause.
    Rejected(u8),
    /// The context is about to be lost; nobody is told of this.
    Losing,
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
            Self::SimLocked => "pin-wanted",
            Self::Rejected(_) => "refused",
            Self::Losing => "context-loss",
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
    /// The PIN was given.
    unlocked: bool,
    /// Refusals since power-on or the latest change of the SIM.
    refused: u32,
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
            unlocked: false,
            refused: 0,
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
        self.unlocked = false;
        self.refused = 0;
    }

    fn detect_sim(&mut self, now: Instant) {
        let at = now + Duration::from_millis(self.config.sim_ready_ms);
        let event = match self.config.sim {
            true if self.config.pin.is_empty() || self.unlocked => ModemEvent::SimReady,
            true => ModemEvent::SimLocked,
            false => ModemEvent::SimMissing,
        };
        self.agenda.push_back((at, event));
    }

    /// The right PIN was given.
    pub fn unlock(&mut self, now: Instant) {
        if !self.unlocked && self.config.sim && self.powered {
            self.unlocked = true;
            self.agenda.push_front((now, ModemEvent::SimReady));
        }
    }

    /// Changes what the device measures.
    pub fn set_cell(&mut self, cell: Cell) {
        self.config.cell = cell;
    }

    /// The network will refuse the device once more.
    fn refuses(&self) -> bool {
        let config = &self.config;
        config.reject_cause > 0 && (config.reject_times == 0 || self.refused < config.reject_times)
    }

    /// What follows a refusal.
    fn after_refusal(&mut self, at: Instant, cause: u8) {
        self.refused += 1;
        if FINAL_CAUSES.contains(&cause) {
            return;
        }
        let wait = if self.refused.is_multiple_of(ATTEMPTS) {
            LONG_RETRY
        } else {
            RETRY_AFTER
        };
        // From refusal to refusal, of which the attempt is a part.
        self.attach(at + wait - REJECT_AFTER.min(wait));
    }

    /// Plans the way from a ready SIM to an address.
    fn attach(&mut self, now: Instant) {
        if self.refuses() {
            let cause = self.config.reject_cause;
            if self.refused > 0 && FINAL_CAUSES.contains(&cause) {
                return;
            }
            let event = ModemEvent::Rejected(cause);
            self.agenda.push_back((now + REJECT_AFTER, event));
            return;
        }
        let config = &self.config;
        let jitter = self.rng.below(config.attach_jitter_ms + 1);
        let pdp = now + Duration::from_millis(config.attach_ms + jitter);
        self.agenda.push_back((pdp, ModemEvent::PdpActive));
        self.agenda
            .push_back((pdp + BEARER_AFTER, ModemEvent::BearerActive));
        let at = pdp + Duration::from_millis(config.ip_ready_ms);
        self.agenda.push_back((at, ModemEvent::LinkUp));
        if config.lose_after_ms > 0 {
            let at = pdp + Duration::from_millis(config.lose_after_ms);
            self.agenda.push_back((at, ModemEvent::Losing));
        }
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
        let flight = self.flight_mode;
        self.agenda.retain(|(_, event)| {
            use ModemEvent::{SimLocked, SimMissing, SimReady};
            matches!(event, SimReady | SimMissing | SimLocked)
                || (matches!(event, ModemEvent::Rejected(_)) && !flight)
        });
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
            self.unlocked = false;
            self.refused = 0;
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
            ModemEvent::Rejected(cause) => self.after_refusal(at, cause),
            ModemEvent::Losing => {
                let back = self.config.recover_ms;
                self.lose_context(at, (back > 0).then(|| Duration::from_millis(back)));
            }
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
