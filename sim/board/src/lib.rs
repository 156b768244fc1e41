//! An Air780E board: power and reset around the LuatOS runtime and the modem.
//!
//! # Model
//! A [`Board`] boots when it gets power, runs its script, resets when the script
//! asks for it, when its VM has ended, or when the watchdog bites, and keeps its
//! flash through all of that. It is a state machine: [`Board::poll`] works off
//! what is due, [`Board::next_wake`] says when more is.
//!
//! # Not modelled
//! USB, the BOOT strap and flashing, current consumption, light sleep.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::{Cell, FastRelease, Modem, ModemConfig};
use airbench_lua32::{Step, Vm, VmError};
use airbench_luatos::{
    Config, Exit, Flash, ModemWish, PowerOnReason, Runtime, Sms, WakeSource, WakeUp,
};
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

/// Deep sleep: everything is lost but these.
#[derive(Debug, Clone, Copy)]
struct Sleep {
    mode: i32,
    dtimers: [Option<Instant>; 7],
    /// The modem was in flight mode.
    flight: bool,
    /// UART1 listens on.
    uart1: bool,
}

impl Sleep {
    /// The timer that wakes the board, and when.
    fn alarm(&self) -> Option<(Instant, usize)> {
        let running = self.dtimers.iter().zip(0..);
        running.filter_map(|(at, id)| Some(((*at)?, id))).min()
    }
}

/// Pins that wake the board: three pads and the power key.
const WAKE_PINS: std::ops::RangeInclusive<u8> = 32..=35;

/// A board with its flash.
pub struct Board {
    config: Config,
    modem: Modem,
    runtime: Runtime,
    /// `None` without power, and in deep sleep.
    vm: Option<Vm<Runtime>>,
    asleep: Option<Sleep>,
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
            asleep: None,
            resets: 0,
            delivered: 0,
            unmodelled: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Gives power; the firmware boots.
    pub fn power_on(&mut self, now: Instant) -> Result<(), BoardError> {
        if self.vm.is_none() && self.asleep.is_none() {
            self.boot(now, PowerOnReason::Power, None)?;
        }
        Ok(())
    }

    /// Takes the power away.
    pub fn power_off(&mut self, now: Instant) {
        if self.vm.take().is_some() | self.asleep.take().is_some() {
            self.modem.power_off();
            self.events
                .push(Event::new(now, Source::Board, Kind::Power, "off"));
        }
    }

    /// Presses the reset key.
    pub fn press_reset(&mut self, now: Instant) -> Result<(), BoardError> {
        if self.vm.is_some() || self.asleep.is_some() {
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
        self.boot(now, reason, None)
    }

    /// Goes into deep sleep: the memory is lost, timers and flash stay.
    fn sleep(&mut self, now: Instant, mode: i32) {
        let dtimers = self.runtime.dtimers();
        let flight = self.modem.flight_mode();
        let uart1 = self.runtime.uarts.is_open(1);
        self.vm = None;
        self.modem.power_off();
        self.asleep = Some(Sleep {
            mode,
            dtimers,
            flight,
            uart1,
        });
        let text = format!("sleep {mode}");
        self.events
            .push(Event::new(now, Source::Board, Kind::Power, text));
    }

    /// Wakes from deep sleep.
    fn wake(&mut self, now: Instant, source: WakeSource) -> Result<(), BoardError> {
        let Some(mut sleep) = self.asleep.take() else {
            return Ok(());
        };
        if let WakeSource::Timer(id) = source {
            sleep.dtimers[id] = None;
        }
        self.boot(now, PowerOnReason::Power, Some((sleep, source)))
    }

    fn boot(
        &mut self,
        now: Instant,
        reason: PowerOnReason,
        from: Option<(Sleep, WakeSource)>,
    ) -> Result<(), BoardError> {
        self.asleep = None;
        self.collect_unmodelled();
        self.delivered += self.runtime.delivered;
        let flash = self.runtime.flash.clone();
        let wake = from.map(|(sleep, source)| WakeUp {
            mode: sleep.mode,
            source,
        });
        let dtimers = from.map_or([None; 7], |(sleep, _)| sleep.dtimers);
        self.runtime = Runtime::woken(self.config.clone(), flash, now, reason, wake, dtimers);
        self.vm = Some(airbench_luatos::vm(self.config.seed ^ now.nanos())?);
        self.modem.power_on(now);
        self.modem.set_on_band(now, self.runtime.finds_cell());
        if from.is_some_and(|(sleep, _)| sleep.flight) {
            self.modem.set_flight_mode(now, true);
            self.runtime.keep_flight_mode();
        }
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
        if let Some(sleep) = &self.asleep {
            return sleep.alarm().map(|(at, _)| at);
        }
        self.vm.as_ref()?;
        Instant::earliest([self.runtime.vm_wake(), self.hardware_wake()])
    }

    /// The next thing that happens on the board besides Lua.
    fn hardware_wake(&self) -> Option<Instant> {
        // What the script wants of the modem, and its sleep, happen at the
        // script's time.
        let wish = self.runtime.mobile.wants_modem() || self.runtime.sleep_due().is_some();
        let wish = wish.then(|| self.runtime.vm_time());
        Instant::earliest([self.runtime.driver_wake(), self.modem.next_wake(), wish])
    }

    /// Works off everything due by `now`. Nothing from outside arrives before
    /// `horizon`, so Lua may compute that far ahead.
    pub fn poll(&mut self, now: Instant, horizon: Instant) -> Result<(), BoardError> {
        let alarm = self.asleep.and_then(|sleep| sleep.alarm());
        if let Some((_, id)) = alarm.filter(|(at, _)| *at <= now) {
            self.wake(now, WakeSource::Timer(id))?;
        }
        while self.vm.is_some() {
            if self.runtime.watchdog.deadline().is_some_and(|at| at <= now) {
                self.drain_runtime();
                self.reset(now, PowerOnReason::Watchdog)?;
            }
            self.poll_modem(now);
            self.runtime.drive(now);
            self.drain_runtime();
            if self.runtime.vm_wake().is_none_or(|at| at > now) {
                let due = self.runtime.sleep_due();
                if let Some(mode) = due.filter(|_| self.runtime.vm_time() <= now) {
                    self.sleep(now, mode);
                }
                return Ok(());
            }
            let horizon = self.hardware_wake().map_or(horizon, |at| at.min(horizon));
            self.run_vm(now, horizon)?;
        }
        Ok(())
    }

    fn poll_modem(&mut self, now: Instant) {
        if self.runtime.vm_time() <= now {
            for wish in std::mem::take(&mut self.runtime.mobile.wishes) {
                match wish {
                    ModemWish::Restart => self.modem.restart(now),
                    ModemWish::FlightMode(on) => self.modem.set_flight_mode(now, on),
                    ModemWish::Unlock => self.modem.unlock(now),
                    ModemWish::WrongPin => self.modem.count_wrong_pin(),
                    ModemWish::Auto(auto) => self.modem.set_auto(now, auto),
                    ModemWish::Bands(found) => self.modem.set_on_band(now, found),
                }
            }
        }
        while let Some(event) = self.modem.poll(now) {
            self.events
                .push(Event::new(now, Source::Modem, Kind::State, event.name()));
            self.runtime.modem_event(now, event, self.modem.config());
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
        self.runtime.transmit()
    }

    /// A packet from the network arrives.
    pub fn receive_packet(&mut self, now: Instant, packet: Vec<u8>) {
        if self.vm.is_some() && self.modem.is_up() {
            self.runtime.receive_packet(now, packet);
            self.drain_runtime();
        }
    }

    /// A peer begins to send on a UART. False if there is no such port. In deep
    /// sleep UART1 wakes the board, and what wakes it is lost.
    pub fn send_to_uart(
        &mut self,
        now: Instant,
        id: u8,
        bytes: &[u8],
        framing: Option<Framing>,
    ) -> Result<bool, BoardError> {
        if let Some(sleep) = self.asleep {
            if let Some(source) = Source::uart(id) {
                let text = format!("{} asleep", bytes.len());
                self.events.push(Event::new(now, source, Kind::Lost, text));
            }
            if id == 1 && sleep.uart1 {
                self.wake(now, WakeSource::Uart)?;
            }
            return Ok(Source::uart(id).is_some());
        }
        Ok(self.runtime.send_to_uart(now, id, bytes, framing))
    }

    /// Drives a pin from outside; some wake a sleeping board.
    pub fn drive_pin(&mut self, now: Instant, pin: u8, level: u8) -> Result<(), BoardError> {
        if self.asleep.is_some() && WAKE_PINS.contains(&pin) {
            self.wake(now, WakeSource::Pin)?;
        }
        self.runtime.drive_pin(now, pin, level);
        self.drain_runtime();
        Ok(())
    }

    /// Puts a value on an ADC channel. False if there is no such channel.
    pub fn set_adc(&mut self, now: Instant, channel: i32, value: i32) -> bool {
        let known = self.runtime.set_adc(channel, value);
        let text = format!("adc{channel} {value}");
        self.events
            .push(Event::new(now, Source::Board, Kind::State, text));
        known
    }

    /// A short message arrives.
    pub fn receive_sms(&mut self, now: Instant, phone: &str, text: &str) {
        let note = format!("sms from {phone}: {text}");
        self.events
            .push(Event::new(now, Source::Modem, Kind::State, note));
        if self.vm.is_some() {
            self.runtime.receive_sms(Sms {
                phone: phone.to_owned(),
                text: text.to_owned(),
                part: (0, 0, 0),
            });
        }
    }

    /// It is in deep sleep.
    pub fn is_asleep(&self) -> bool {
        self.asleep.is_some()
    }

    /// Changes what the device measures of its cell.
    pub fn set_cell(&mut self, cell: Cell) {
        self.modem.set_cell(cell);
        self.runtime.mobile.cell = cell;
    }

    /// What the device asks the network for: an early release (`mobile.rtime`),
    /// power saving mode.
    pub fn radio_wishes(&self) -> (Option<FastRelease>, bool) {
        self.runtime.radio_wishes()
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
        self.runtime.uarts.is_open(id)
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
