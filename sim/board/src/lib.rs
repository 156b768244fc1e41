//! An Air780E board: power and reset around the LuatOS runtime and the modem.
//!
//! # Model
//! A [`Board`] boots when it gets power, runs its script, resets when the script
//! asks for it, when its VM has ended, or when the watchdog bites, and keeps its
//! flash through all of that. It is a state machine: [`Board::poll`] works off
//! what is due, [`Board::next_wake`] says when more is.
//!
//! # Not modelled
//! USB, the BOOT strap and flashing, current consumption, sleep.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::{Modem, ModemConfig};
use airbench_lua32::{Step, Vm, VmError};
use airbench_luatos::{Config, Exit, Flash, PowerOnReason, Runtime};
use airbench_trace::{Event, Kind, Source};
use airbench_uart::Framing;

/// Device time a script may compute without ever waiting; longer than any
/// watchdog. A board would hang for ever; a simulation says so and stops.
const STALL: Duration = Duration::from_secs(90);

/// Why a board cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The VM could not be made.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The script hangs and nothing will ever reset it.
    #[error(
        "the script has computed for {seconds} s of device time since {since} without returning to sys.run() or sys.wait(), and no watchdog has reset it: the board would hang for ever"
    )]
    Stalled {
        /// When it last waited.
        since: Instant,
        /// How long ago that is.
        seconds: u64,
    },
}

/// A board with its flash.
pub struct Board {
    config: Config,
    modem: Modem,
    runtime: Runtime,
    /// `None` without power.
    vm: Option<Vm<Runtime>>,
    resets: u64,
    /// Of earlier boots.
    delivered: u64,
    unmodelled: BTreeMap<String, u64>,
    events: Vec<Event>,
}

impl Board {
    /// A board without power, with this in its flash.
    pub fn new(config: Config, modem: ModemConfig, flash: Flash) -> Self {
        let modem = Modem::new(modem, config.seed);
        let runtime = Runtime::new(config.clone(), flash, Instant::ZERO, PowerOnReason::Power);
        Self {
            config,
            modem,
            runtime,
            vm: None,
            resets: 0,
            delivered: 0,
            unmodelled: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Gives power; the firmware boots.
    pub fn power_on(&mut self, now: Instant) -> Result<(), BoardError> {
        if self.vm.is_none() {
            self.boot(now, PowerOnReason::Power)?;
        }
        Ok(())
    }

    /// Takes the power away.
    pub fn power_off(&mut self, now: Instant) {
        if self.vm.take().is_some() {
            self.modem.power_off();
            self.events
                .push(Event::new(now, Source::Board, Kind::Power, "off"));
        }
    }

    /// Presses the reset key.
    pub fn press_reset(&mut self, now: Instant) -> Result<(), BoardError> {
        if self.vm.is_some() {
            self.reset(now, PowerOnReason::ResetKey)
        } else {
            Ok(())
        }
    }

    fn reset(&mut self, now: Instant, reason: PowerOnReason) -> Result<(), BoardError> {
        let text = format!("reset {}", reason.name());
        self.events
            .push(Event::new(now, Source::Board, Kind::Power, text));
        self.resets += 1;
        self.boot(now, reason)
    }

    fn boot(&mut self, now: Instant, reason: PowerOnReason) -> Result<(), BoardError> {
        self.collect_unmodelled();
        self.delivered += self.runtime.delivered;
        let flash = self.runtime.flash.clone();
        self.runtime = Runtime::new(self.config.clone(), flash, now, reason);
        self.vm = Some(airbench_luatos::vm(self.config.seed ^ now.nanos())?);
        self.modem.power_on(now);
        let text = format!("boot {}", reason.name());
        self.events
            .push(Event::new(now, Source::Board, Kind::Power, text));
        Ok(())
    }

    fn collect_unmodelled(&mut self) {
        for (name, count) in std::mem::take(&mut self.runtime.unmodelled) {
            *self.unmodelled.entry(name).or_default() += count;
        }
    }

    /// When [`Board::poll`] has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        self.vm.as_ref()?;
        [self.runtime.vm_wake(), self.hardware_wake()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next thing that happens on the board besides Lua.
    fn hardware_wake(&self) -> Option<Instant> {
        [self.runtime.driver_wake(), self.modem.next_wake()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Works off everything due by `now`. Nothing from outside arrives before
    /// `horizon`, so Lua may compute that far ahead.
    pub fn poll(&mut self, now: Instant, horizon: Instant) -> Result<(), BoardError> {
        while self.vm.is_some() {
            if self.runtime.watchdog.deadline().is_some_and(|at| at <= now) {
                self.drain_runtime();
                self.reset(now, PowerOnReason::Watchdog)?;
            }
            self.poll_modem(now);
            self.runtime.drive(now);
            self.drain_runtime();
            if self.runtime.vm_wake().is_none_or(|at| at > now) {
                return Ok(());
            }
            let horizon = self.hardware_wake().map_or(horizon, |at| at.min(horizon));
            self.run_vm(now, horizon)?;
        }
        Ok(())
    }

    fn poll_modem(&mut self, now: Instant) {
        if let Some(on) = self.runtime.mobile.flight_request.take() {
            self.modem.set_flight_mode(now, on);
        }
        while let Some(event) = self.modem.poll(now) {
            self.events
                .push(Event::new(now, Source::Modem, Kind::State, event.name()));
            let config = self.modem.config();
            let (address, dns) = (config.address, config.dns.clone());
            self.runtime.modem_event(now, event, address, &dns);
            self.drain_runtime();
        }
    }

    /// Resumes Lua once and acts on what it asked for.
    fn run_vm(&mut self, now: Instant, horizon: Instant) -> Result<(), BoardError> {
        let Some(vm) = &mut self.vm else {
            return Ok(());
        };
        self.runtime.enter_vm(now, horizon);
        let step = vm.resume(&mut self.runtime);
        debug_assert_ne!(
            step,
            Step::Finished,
            "the firmware ends in a reset, never just so"
        );
        let at = self.runtime.now();
        self.drain_runtime();
        match self.runtime.exit.take() {
            Some(Exit::Reset(reason)) => return self.reset(at, reason),
            Some(Exit::PowerOff) => self.power_off(at),
            None => {}
        }
        let busy = self.runtime.busy_for();
        if busy >= STALL {
            let since = self.runtime.now() - busy;
            return Err(BoardError::Stalled {
                since,
                seconds: busy.as_secs(),
            });
        }
        Ok(())
    }

    fn drain_runtime(&mut self) {
        self.runtime.take_events(&mut self.events);
    }

    /// Moves the events since the last call, in order of time, to the end of
    /// `into`.
    pub fn take_events(&mut self, into: &mut Vec<Event>) {
        into.append(&mut self.events);
    }

    /// A packet on its way out, and when it left.
    pub fn transmit(&mut self) -> Option<(Instant, Vec<u8>)> {
        self.runtime.network.transmit()
    }

    /// A packet from the network arrives.
    pub fn receive_packet(&mut self, now: Instant, packet: Vec<u8>) {
        if self.vm.is_some() && self.modem.is_up() {
            self.runtime.receive_packet(now, packet);
            self.drain_runtime();
        }
    }

    /// A peer begins to send on a UART. False if there is no such port.
    pub fn send_to_uart(
        &mut self,
        now: Instant,
        id: u8,
        bytes: &[u8],
        framing: Option<Framing>,
    ) -> bool {
        match self.runtime.uarts.port(id) {
            Some(port) => {
                port.send_to_device(now, bytes.to_vec(), framing);
                true
            }
            None => false,
        }
    }

    /// Drives a pin from outside.
    pub fn drive_pin(&mut self, now: Instant, pin: u8, level: u8) {
        self.runtime.drive_pin(now, pin, level);
    }

    /// The modem, for what a person or a network can do to it.
    pub fn modem_mut(&mut self) -> &mut Modem {
        &mut self.modem
    }

    /// The modem has an address.
    pub fn is_online(&self) -> bool {
        self.modem.is_up()
    }

    /// A UART is set up.
    pub fn uart_is_open(&mut self, id: u8) -> bool {
        self.runtime
            .uarts
            .port(id)
            .is_some_and(|port| port.framing().is_some())
    }

    /// How long the script has computed without waiting.
    pub fn busy_for(&self) -> Duration {
        if self.vm.is_some() {
            self.runtime.busy_for()
        } else {
            Duration::ZERO
        }
    }

    /// What would survive a reset.
    pub fn flash(&self) -> &Flash {
        &self.runtime.flash
    }

    /// Resets since the board was made.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// WebSocket messages handed to the script since the board was made.
    pub fn delivered(&self) -> u64 {
        self.delivered + self.runtime.delivered
    }

    /// Calls of functions that are not modelled, by name.
    pub fn unmodelled(&mut self) -> &BTreeMap<String, u64> {
        self.collect_unmodelled();
        &self.unmodelled
    }
}
