//! The modem's control plane: SIM, attach, network time, address.

pub(crate) mod check;
mod config;
mod event;

use std::collections::VecDeque;
use std::time::Duration;

use airbench_clock::{Instant, Rng};

use config::PIN_TRIES;
pub use config::{Cell, ModemConfig};
pub use event::ModemEvent;

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

/// A SIM ready to a number read; a guess within the order of the samples.
const NUMBER_AFTER: Duration = Duration::from_millis(120);
/// Context to bearer line in the sample log: 5906 and 5908 ms.
const BEARER_AFTER: Duration = Duration::from_millis(2);

/// A SIM pulled to the loss of the context: 137 to 247 ms in an Air780EPM's log.
const PULL_TO_LOSS: Duration = Duration::from_millis(200);
/// A check to the SIM's answer, or to noticing that there is none: 346 ms, and
/// 175 to 181 ms in the same log.
const CHECK_TO_READY: Duration = Duration::from_millis(346);
const CHECK_TO_MISSING: Duration = Duration::from_millis(178);
/// `mobile.reset` and what else restarts the protocol stack; the core's sources do
/// not tell how long it takes.
const STACK_RESTART: Duration = Duration::from_millis(500);

/// What the modem does by itself once `mobile.setAuto` has asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Auto {
    /// It looks for a missing SIM this often.
    pub sim: Option<Duration>,
    /// It restarts the stack after so long without a network.
    pub network: Option<Duration>,
}

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
    auto: Auto,
    /// The SIM has answered: it is ready, or wants its PIN.
    answered: bool,
    /// There is a cell; on a band the device searches.
    service: bool,
    on_band: bool,
    /// An attach waits for a cell.
    waiting: bool,
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
            auto: Auto::default(),
            answered: false,
            service: true,
            on_band: true,
            waiting: false,
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
        self.auto = Auto::default();
        self.answered = false;
        self.waiting = false;
    }

    /// There is a cell from now on, or none. An attach under way without one has
    /// failed; a context that is there stays.
    pub fn set_service(&mut self, now: Instant, on: bool) {
        if self.service == on {
            return;
        }
        self.service = on;
        if on {
            self.attach_if_waiting(now);
        } else if !self.up {
            let attaching = |(_, event): &(Instant, ModemEvent)| {
                matches!(event, ModemEvent::PdpActive | ModemEvent::Rejected(_))
            };
            self.waiting |= self.agenda.iter().any(attaching);
            self.cancel(|event| {
                use ModemEvent::{BearerActive, LinkUp, Losing, PdpActive, Rejected, TimeSync};
                matches!(
                    event,
                    PdpActive | BearerActive | LinkUp | TimeSync | Losing | Rejected(_)
                )
            });
        }
    }

    /// The device knows that it is registered no more, or that it is again.
    pub fn set_registered(&mut self, now: Instant, on: bool) {
        if on && self.up {
            self.plan(now, ModemEvent::Registered);
        } else if !on {
            self.plan(now, ModemEvent::Searching);
        }
    }

    /// The cell is on a band that the device searches (`mobile.setBand`), or not.
    /// What it has it keeps until the next search.
    pub fn set_on_band(&mut self, now: Instant, on: bool) {
        self.on_band = on;
        self.attach_if_waiting(now);
    }

    fn attach_if_waiting(&mut self, now: Instant) {
        if self.waiting && self.sim_ready && !self.flight_mode {
            self.attach(now + Duration::from_millis(self.config.search_ms));
        }
    }

    /// `mobile.setAuto`: from now on.
    pub fn set_auto(&mut self, now: Instant, auto: Auto) {
        self.auto = auto;
        self.cancel(|event| matches!(event, ModemEvent::SimCheck | ModemEvent::NetCheck));
        let asked = [ModemEvent::SimReady, ModemEvent::SimLocked];
        if !self.answered && !asked.iter().any(|event| self.is_planned(*event)) {
            self.plan_check(now, auto.sim, ModemEvent::SimCheck);
        }
        if !self.up {
            self.plan_check(now, auto.network, ModemEvent::NetCheck);
        }
    }

    fn is_planned(&self, event: ModemEvent) -> bool {
        self.agenda.iter().any(|(_, planned)| *planned == event)
    }

    fn plan_check(&mut self, now: Instant, period: Option<Duration>, event: ModemEvent) {
        if let Some(period) = period.filter(|_| self.powered && !self.is_planned(event)) {
            self.plan(now + period, event);
        }
    }

    /// Equal times keep their order.
    fn plan(&mut self, at: Instant, event: ModemEvent) {
        let place = self.agenda.partition_point(|(of, _)| *of <= at);
        self.agenda.insert(place, (at, event));
    }

    /// What was planned of these is off.
    fn cancel(&mut self, which: impl Fn(ModemEvent) -> bool) {
        self.agenda.retain(|(_, event)| !which(*event));
    }

    /// The protocol stack begins anew: it looks for the SIM if it has none, and
    /// attaches.
    pub fn restart(&mut self, now: Instant) {
        self.set_registered(now, false);
        self.lose_context(now, Some(STACK_RESTART));
        self.look_for_sim(now);
    }

    fn look_for_sim(&mut self, now: Instant) {
        use ModemEvent::{SimLocked, SimMissing, SimReady};
        let planned = [SimReady, SimMissing, SimLocked].map(|event| self.is_planned(event));
        if self.powered && !self.sim_ready && planned == [false; 3] {
            self.detect_sim(now);
        }
    }

    /// A wrong PIN was given.
    pub fn count_wrong_pin(&mut self) {
        self.config.pin_tries = self.config.pin_tries.saturating_sub(1);
    }

    fn detect_sim(&mut self, now: Instant) {
        let at = now + Duration::from_millis(self.config.sim_ready_ms);
        self.plan(at, self.sim_answer());
    }

    /// What the modem finds in the slot.
    fn sim_answer(&self) -> ModemEvent {
        match self.config.sim {
            true if self.config.pin.is_empty() || self.unlocked => ModemEvent::SimReady,
            true => ModemEvent::SimLocked,
            false => ModemEvent::SimMissing,
        }
    }

    /// The right PIN was given.
    pub fn unlock(&mut self, now: Instant) {
        if !self.unlocked && self.config.sim && self.powered {
            self.unlocked = true;
            self.config.pin_tries = PIN_TRIES;
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
        // One attempt at a time.
        self.cancel(|event| matches!(event, ModemEvent::Rejected(_)));
        self.waiting = !self.service || !self.on_band;
        if self.waiting {
            return;
        }
        if self.refuses() {
            let cause = self.config.reject_cause;
            if self.refused > 0 && FINAL_CAUSES.contains(&cause) {
                return;
            }
            self.plan(now + REJECT_AFTER, ModemEvent::Rejected(cause));
            return;
        }
        let config = &self.config;
        let jitter = self.rng.below(config.attach_jitter_ms + 1);
        let pdp = now + Duration::from_millis(config.attach_ms + jitter);
        let lost = pdp + Duration::from_millis(config.lose_after_ms);
        let up = pdp + Duration::from_millis(config.ip_ready_ms);
        let time = pdp + Duration::from_millis(config.nitz_ms);
        let (loses, nitz) = (config.lose_after_ms > 0, config.nitz);
        self.plan(pdp, ModemEvent::PdpActive);
        self.plan(pdp + BEARER_AFTER, ModemEvent::BearerActive);
        self.plan(up, ModemEvent::LinkUp);
        if loses {
            self.plan(lost, ModemEvent::Losing);
        }
        if nitz {
            self.plan(time, ModemEvent::TimeSync);
        }
    }

    /// The data context is lost now; the modem attaches again after
    /// `reattach` (`None`: it stays away).
    pub fn lose_context(&mut self, now: Instant, reattach: Option<Duration>) {
        self.drop_link(now, now);
        if let Some(span) = reattach
            && self.sim_ready
            && !self.flight_mode
        {
            self.attach(now + span);
        }
    }

    /// What was planned for the context is off; the link goes down at `at`.
    fn drop_link(&mut self, now: Instant, at: Instant) {
        let flight = self.flight_mode;
        self.cancel(|event| {
            use ModemEvent::{NetCheck, Rejected, Searching, SimCheck, SimLocked, SimMissing};
            match event {
                SimMissing | SimLocked | SimCheck | NetCheck | Searching => false,
                ModemEvent::SimReady => false,
                Rejected(_) => flight,
                _ => true,
            }
        });
        if self.up && at > now {
            self.plan(at, ModemEvent::LinkDown);
        } else if self.up {
            self.agenda.push_front((now, ModemEvent::LinkDown));
        }
    }

    /// Switches flight mode; leaving it attaches again.
    pub fn set_flight_mode(&mut self, now: Instant, on: bool) {
        if on == self.flight_mode || !self.powered {
            return;
        }
        self.flight_mode = on;
        self.lose_context(now, (!on).then_some(Duration::ZERO));
        if !on {
            self.look_for_sim(now);
        }
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
            if !self.sim_ready && self.config.hotplug {
                self.cancel(|event| matches!(event, ModemEvent::SimMissing | ModemEvent::SimCheck));
                self.detect_sim(now);
            }
        } else {
            self.sim_ready = false;
            self.unlocked = false;
            self.refused = 0;
            self.answered = false;
            self.waiting = false;
            self.agenda.clear();
            self.drop_link(now, now + PULL_TO_LOSS);
            self.agenda.push_front((now, ModemEvent::SimMissing));
            if !self.up {
                self.plan_check(now, self.auto.network, ModemEvent::NetCheck);
            }
        }
    }

    /// It need not be looked for any more.
    fn found_sim(&mut self) {
        self.answered = true;
        self.cancel(|event| event == ModemEvent::SimCheck);
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
            ModemEvent::SimLocked => self.found_sim(),
            ModemEvent::SimReady => {
                self.sim_ready = true;
                self.found_sim();
                self.plan(at + NUMBER_AFTER, ModemEvent::NumberRead);
                if !self.flight_mode {
                    self.attach(at);
                }
            }
            ModemEvent::PdpActive => {
                self.up = true;
                self.cancel(|event| event == ModemEvent::NetCheck);
            }
            ModemEvent::LinkDown => {
                self.up = false;
                self.plan_check(at, self.auto.network, ModemEvent::NetCheck);
            }
            ModemEvent::SimMissing => {
                self.plan_check(at, self.auto.sim, ModemEvent::SimCheck);
            }
            ModemEvent::SimCheck if self.config.sim => {
                self.plan(at + CHECK_TO_READY, self.sim_answer());
            }
            ModemEvent::SimCheck => self.plan(at + CHECK_TO_MISSING, ModemEvent::SimMissing),
            ModemEvent::NetCheck if !self.up => {
                if !self.flight_mode {
                    self.restart(at);
                }
                self.plan_check(at, self.auto.network, ModemEvent::NetCheck);
            }
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
mod tests;
