//! `gpio`: levels, interrupts, debouncing, counting, pulses.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::{Kind, Raise, Ref};
use airbench_trace::{Kind as EventKind, Source};

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::message::Message;
use crate::runtime::{Level, Runtime, Wait, suspend};

pub(crate) const LIBRARY: Library = Library {
    name: "gpio",
    functions: &[
        ("setup", setup),
        ("set", set),
        ("get", get),
        ("close", close),
        ("toggle", toggle),
        ("debounce", debounce),
        ("pulse", pulse),
        ("setDefaultPull", set_default_pull),
        ("count", count),
        ("caplevel", caplevel),
    ],
    constants: &[],
};

/// Pins 0 to 31, three wake-up pads and the power key.
const PINS: usize = 36;
/// The wake-up pads and the power key are inputs only.
const FIRST_PAD: u8 = 32;
const POWER_KEY: u8 = 35;
/// Interrupt types.
const RISING: i32 = 0;
const FALLING: i32 = 1;
const BOTH: i32 = 2;
const HIGH: i32 = 3;
const LOW: i32 = 4;
const PULL_UP: i32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Closed,
    Input,
    Output,
    Interrupt,
    /// Interrupts are counted, nobody is called.
    Count,
    /// The length of a pulse at this level is measured.
    Capture(u8),
}

/// How a pin's edges are filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Debounce {
    #[default]
    Off,
    /// The first edge counts, then nothing for a while.
    Cooldown(Duration),
    /// An edge counts once the level has been stable for a while.
    Stable(Duration),
}

#[derive(Debug, Clone, Copy, Default)]
struct Pin {
    mode: Mode,
    /// Driven by the script.
    output: u8,
    /// What `gpio.toggle` believes the level to be.
    remembered: u8,
    /// Driven from outside; `None` lets the pull resistor decide.
    input: Option<u8>,
    pull_up: bool,
    /// Which edges interrupt: `gpio.RISING`, `FALLING`, `BOTH`.
    edge: i32,
    debounce: Debounce,
    /// Uptime of the latest edge that counted.
    latest: Duration,
    /// When the level will have been stable.
    stable_at: Option<Instant>,
    /// The level at the latest edge.
    pending: u8,
    count: i32,
    /// Begin of the pulse being measured.
    pulse: Option<Instant>,
    callback: Option<Ref>,
}

impl Pin {
    /// What a read gives. An output reads back what it drives (the sheet
    /// doubts it; the board's answer is unknown).
    fn level(&self) -> u8 {
        match self.mode {
            Mode::Output => self.output,
            _ => self.input.unwrap_or(u8::from(self.pull_up)),
        }
    }
}

/// The pins.
#[derive(Debug)]
pub struct Gpio {
    pins: [Pin; PINS],
    default_pull: i32,
    /// No later than the first pin's `stable_at`.
    settled: Option<Instant>,
}

impl Default for Gpio {
    fn default() -> Self {
        Self {
            pins: [Pin::default(); PINS],
            default_pull: 0,
            settled: None,
        }
    }
}

impl Gpio {
    /// When a pin will have been stable.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.settled
    }
}

/// A level is one the configured edges ask for.
fn wanted(edge: i32, level: u8) -> bool {
    match edge {
        BOTH => true,
        FALLING | LOW => level == 0,
        RISING | HIGH => level == 1,
        _ => false,
    }
}

impl Runtime {
    /// Drives a pin from outside; an edge the script asked for interrupts it.
    pub fn drive_pin(&mut self, now: Instant, pin: u8, level: u8) {
        self.at(now);
        let uptime = self.uptime();
        let Some(state) = self.gpio.pins.get_mut(usize::from(pin)) else {
            return;
        };
        let before = state.level();
        state.input = Some(level);
        if before == level {
            return;
        }
        match state.mode {
            Mode::Count if wanted(state.edge, level) && pin != POWER_KEY => state.count += 1,
            Mode::Capture(target) => {
                if level == target {
                    state.pulse = Some(now);
                } else if let Some(begin) = state.pulse.take() {
                    let us = now.since(begin).as_nanos() as f32 / 1000.0;
                    self.bus.push_back(Message::Pulse(pin, us));
                }
            }
            Mode::Interrupt => match state.debounce {
                Debounce::Stable(span) => {
                    state.pending = level;
                    let at = now + span;
                    state.stable_at = Some(at);
                    self.gpio.settled = Some(self.gpio.settled.map_or(at, |first| first.min(at)));
                }
                Debounce::Cooldown(span) if uptime < state.latest + span => {}
                _ if wanted(state.edge, level) => {
                    state.latest = uptime;
                    self.bus.push_back(Message::Gpio(pin, level, false));
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Levels that have been stable long enough by `now`.
    pub(crate) fn drive_gpio(&mut self, now: Instant) {
        if self.gpio.settled.is_none_or(|at| at > now) {
            return;
        }
        for (pin, state) in (0u8..).zip(self.gpio.pins.iter_mut()) {
            if state.stable_at.is_some_and(|at| at <= now) {
                state.stable_at = None;
                let level = state.level();
                if level == state.pending && wanted(state.edge, level) {
                    self.bus.push_back(Message::Gpio(pin, level, true));
                }
            }
        }
        self.gpio.settled = self.gpio.pins.iter().filter_map(|pin| pin.stable_at).min();
    }
}

fn index(pin: i32) -> Option<usize> {
    usize::try_from(pin).ok().filter(|pin| *pin < PINS)
}

fn warn(cx: &mut Call<'_>, text: &str) -> Results {
    cx.host().lib_line(Level::Warn, &format!("gpio {text}"));
    Ok(0)
}

fn too_large(cx: &mut Call<'_>) -> Results {
    warn(cx, &format!("MUST pin < {PINS}"))
}

fn setup(cx: &mut Call<'_>) -> Results {
    let number = cx.check_integer(1)?;
    if number >= PINS as i32 {
        return too_large(cx);
    }
    cx.push_function(count);
    let counting = cx.kind(2) == Kind::Function && is_count(cx);
    cx.pop(1);
    let (mode, edge) = if counting {
        (Mode::Count, cx.opt_integer(4, BOTH)?)
    } else if cx.kind(2) == Kind::Function {
        (Mode::Interrupt, cx.opt_integer(4, BOTH)?)
    } else if cx.is_integer(2) {
        (Mode::Output, BOTH)
    } else {
        (Mode::Input, BOTH)
    };
    let default = cx.host().gpio.default_pull;
    let pull = cx.opt_integer(3, default)?;
    let pad = number >= i32::from(FIRST_PAD);
    let refused = index(number).is_none()
        || (number == i32::from(POWER_KEY) && !matches!(mode, Mode::Interrupt | Mode::Count))
        || (pad && mode == Mode::Output)
        || (pad && number < i32::from(POWER_KEY) && !(RISING..=BOTH).contains(&edge));
    let Some(at) = index(number).filter(|_| !refused) else {
        return warn(cx, &format!("gpio setup fail pin={number}"));
    };
    if counting {
        let line = format!("gpio pin {number} use irq count mode");
        cx.host().lib_line(Level::Debug, &line);
    }
    let callback = if mode == Mode::Interrupt {
        cx.push_value(2);
        Some(cx.make_ref())
    } else {
        None
    };
    let output = u8::from(cx.to_integer(2).is_some_and(|level| level != 0));
    let state = &mut cx.host().gpio.pins[at];
    let replace = matches!(mode, Mode::Interrupt | Mode::Count);
    let old = if replace {
        std::mem::replace(&mut state.callback, callback)
    } else {
        None
    };
    state.mode = mode;
    state.edge = edge;
    state.pull_up = pull == PULL_UP;
    if mode == Mode::Output {
        state.output = output;
        record(cx.host(), at as u8, output);
    }
    if let Some(old) = old {
        cx.drop_ref(old);
    }
    cx.push_integer(number);
    cx.push_function_with(if mode == Mode::Output {
        output_accessor
    } else {
        input_accessor
    });
    Ok(1)
}

/// The function of argument 2 is `gpio.count`.
fn is_count(cx: &mut Call<'_>) -> bool {
    let top = cx.top();
    cx.get_global("gpio");
    let at = cx.top();
    cx.push_value(at);
    cx.make_method_index();
    cx.push_value(at);
    cx.push_bytes(b"count");
    let found = cx.call(2, 1).is_ok() && cx.raw_equal(2, -1);
    cx.set_top(top);
    found
}

/// The pin of an accessor.
fn own_pin(cx: &mut Call<'_>) -> Result<usize, Raise> {
    cx.push_own_value();
    let pin = cx.check_integer(-1)? as usize;
    cx.pop(1);
    Ok(pin)
}

/// What `setup` returns for an output; it stays one whatever the pin becomes.
fn output_accessor(cx: &mut Call<'_>) -> Results {
    let pin = own_pin(cx)?;
    let level = cx.check_integer(1)?;
    write(cx.host(), pin, u8::from(level != 0));
    Ok(0)
}

/// What `setup` returns for the rest.
fn input_accessor(cx: &mut Call<'_>) -> Results {
    let pin = own_pin(cx)?;
    let level = cx.host().gpio.pins[pin].level();
    cx.push_integer(level.into());
    Ok(1)
}

fn record(rt: &mut Runtime, pin: u8, level: u8) {
    let text = format!("gpio{pin} {level}");
    rt.record(Source::Board, EventKind::State, text);
}

fn write(rt: &mut Runtime, pin: usize, level: u8) {
    let state = &mut rt.gpio.pins[pin];
    state.remembered = level;
    if state.output != level {
        state.output = level;
        record(rt, pin as u8, level);
    }
}

/// A driver takes a pin for itself and drives it.
pub(crate) fn drive_output(rt: &mut Runtime, pin: u8, level: u8) {
    if let Some(state) = rt.gpio.pins.get_mut(usize::from(pin)) {
        state.mode = Mode::Output;
        write(rt, pin.into(), level);
    }
}

/// Pads and pins out of range are ignored without a word.
fn set(cx: &mut Call<'_>) -> Results {
    let pin = cx.check_integer(1)?;
    let level = u8::from(cx.check_integer(2)? != 0);
    if let Some(pin) = index(pin).filter(|pin| *pin < usize::from(FIRST_PAD)) {
        write(cx.host(), pin, level);
    }
    Ok(0)
}

fn get(cx: &mut Call<'_>) -> Results {
    let pin = cx.check_integer(1)?;
    let level = index(pin).map_or(0, |pin| cx.host().gpio.pins[pin].level());
    cx.push_integer(level.into());
    Ok(1)
}

fn toggle(cx: &mut Call<'_>) -> Results {
    let pin = cx.check_integer(1)?;
    let Some(pin) = index(pin) else {
        return warn(cx, "pin id out of range (0-127)");
    };
    let level = 1 - cx.host().gpio.pins[pin].remembered;
    write(cx.host(), pin, level);
    Ok(0)
}

fn close(cx: &mut Call<'_>) -> Results {
    let Some(pin) = index(cx.check_integer(1)?) else {
        return Ok(0);
    };
    let state = &mut cx.host().gpio.pins[pin];
    state.mode = Mode::Closed;
    state.stable_at = None;
    if matches!(state.debounce, Debounce::Stable(_)) {
        state.debounce = Debounce::Off;
    }
    let old = state.callback.take();
    if let Some(old) = old {
        cx.drop_ref(old);
    }
    Ok(0)
}

/// `gpio.debounce(pin, ms, mode)`.
fn debounce(cx: &mut Call<'_>) -> Results {
    let pin = cx.check_integer(1)? & 255;
    let ms = cx.check_integer(2)? & 65_535;
    let mode = cx.opt_integer(3, 0)?;
    let Some(pin) = index(pin) else {
        return too_large(cx);
    };
    let span = Duration::from_millis(ms.unsigned_abs().into());
    let state = &mut cx.host().gpio.pins[pin];
    state.debounce = match mode {
        _ if ms == 0 => Debounce::Off,
        0 => Debounce::Cooldown(span),
        1 => Debounce::Stable(span),
        _ => Debounce::Off,
    };
    Ok(0)
}

fn set_default_pull(cx: &mut Call<'_>) -> Results {
    let pull = cx.check_integer(1)?;
    let known = (0..=2).contains(&pull);
    if known {
        cx.host().gpio.default_pull = pull;
    }
    cx.push_boolean(known);
    Ok(1)
}

/// `gpio.pulse(pin, data, bits, delay)`: bits from the most significant on,
/// with some microseconds between them; Lua waits.
fn pulse(cx: &mut Call<'_>) -> Results {
    let pin = cx.check_integer(1)?;
    let data = if cx.is_integer(2) {
        vec![cx.check_integer(2)? as u8]
    } else {
        cx.check_bytes(2)?
    };
    let bits = usize::from(cx.check_integer(3)? as u16);
    let delay = u64::from(cx.check_integer(4)? as u16);
    let Some(pin) = index(pin) else {
        cx.host()
            .lib_line(Level::Debug, "gpio pin id out of range (0-127)");
        return Ok(0);
    };
    for bit in 0..bits.min(data.len() * 8) {
        let level = data[bit / 8] >> (7 - bit % 8) & 1;
        let rt = cx.host();
        write(rt, pin, level);
        let until = rt.now() + Duration::from_micros(delay);
        suspend(cx, Wait::Until(until));
    }
    Ok(0)
}

/// Counted since the last call.
fn count(cx: &mut Call<'_>) -> Results {
    let pin = cx.check_integer(1)? & 255;
    let Some(pin) = index(pin) else {
        too_large(cx)?;
        cx.push_integer(0);
        return Ok(1);
    };
    let count = std::mem::take(&mut cx.host().gpio.pins[pin].count);
    cx.push_integer(count);
    Ok(1)
}

/// `gpio.caplevel(pin, level, fn)`: the length of each pulse in microseconds.
fn caplevel(cx: &mut Call<'_>) -> Results {
    let number = cx.check_integer(1)?;
    let level = cx.check_integer(2)?;
    if cx.kind(3) != Kind::Function {
        return Ok(0);
    }
    let Some(pin) = index(number) else {
        return warn(cx, &format!("gpio setup fail pin={number}"));
    };
    cx.push_value(3);
    let callback = cx.make_ref();
    let state = &mut cx.host().gpio.pins[pin];
    state.mode = Mode::Capture(u8::from(level == 1));
    state.pulse = None;
    if let Some(old) = state.callback.replace(callback) {
        cx.drop_ref(old);
    }
    cx.push_integer(number);
    cx.push_function_with(input_accessor);
    Ok(1)
}

fn push_callback(cx: &mut Call<'_>, pin: u8) -> bool {
    match cx.host().gpio.pins[usize::from(pin)].callback {
        Some(callback) => {
            cx.push_ref(callback);
            true
        }
        None => false,
    }
}

/// An interrupt reaches Lua: `fn(level, pin)`, or `fn(level)` where the level
/// had to be stable.
pub(crate) fn on_interrupt(cx: &mut Call<'_>, pin: u8, level: u8, stable: bool) -> Results {
    if push_callback(cx, pin) {
        cx.push_integer(level.into());
        if !stable {
            cx.push_integer(pin.into());
        }
        cx.call(if stable { 1 } else { 2 }, 0)?;
    }
    Ok(0)
}

/// A pulse has been measured: `fn(us)`.
pub(crate) fn on_pulse(cx: &mut Call<'_>, pin: u8, us: f32) -> Result<usize, Raise> {
    if push_callback(cx, pin) {
        cx.push_number(us);
        cx.call(1, 0)?;
    }
    Ok(0)
}
