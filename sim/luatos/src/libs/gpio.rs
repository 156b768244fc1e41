//! `gpio`: levels, interrupts, debouncing by the caller.

use airbench_clock::Instant;
use airbench_lua32::{Kind, Ref};
use airbench_trace::{Kind as EventKind, Source};

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::message::Message;
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "gpio",
    functions: &[
        ("setup", setup),
        ("set", set),
        ("get", get),
        ("toggle", toggle),
        ("close", close),
        ("setDefaultPull", |_| Ok(0)),
    ],
    constants: &[],
};

/// Pins 0 to 31, three wake-up pads and the power key.
const PINS: usize = 36;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Closed,
    Input,
    Output,
    Interrupt,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pin {
    mode: Mode,
    /// Driven by the script.
    output: u8,
    /// Driven from outside; `None` lets the pull resistor decide.
    input: Option<u8>,
    pull_up: bool,
    /// Which edges interrupt: `gpio.RISING`, `FALLING`, `BOTH`.
    edge: i32,
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
}

impl Default for Gpio {
    fn default() -> Self {
        Self {
            pins: [Pin::default(); PINS],
        }
    }
}

const FALLING: i32 = 1;
const BOTH: i32 = 2;
const PULL_UP: i32 = 1;

impl Runtime {
    /// Drives a pin from outside; an edge the script asked for interrupts it.
    pub fn drive_pin(&mut self, now: Instant, pin: u8, level: u8) {
        self.at(now);
        let Some(state) = self.gpio.pins.get_mut(usize::from(pin)) else {
            return;
        };
        let before = state.level();
        state.input = Some(level);
        let wanted = match state.edge {
            BOTH => true,
            FALLING => level == 0,
            _ => level == 1,
        };
        if state.mode == Mode::Interrupt && before != level && wanted {
            self.bus.push_back(Message::Gpio(pin, level));
        }
    }
}

/// The pin argument, or a warning.
fn pin(cx: &mut Call<'_>) -> Result<Option<u8>, airbench_lua32::Raise> {
    let pin = cx.check_integer(1)?;
    match u8::try_from(pin) {
        Ok(pin) if usize::from(pin) < PINS => Ok(Some(pin)),
        _ => {
            cx.host()
                .lib_line(Level::Warn, &format!("gpio MUST pin < {PINS}"));
            Ok(None)
        }
    }
}

fn setup(cx: &mut Call<'_>) -> Results {
    let Some(pin) = pin(cx)? else { return Ok(0) };
    let pull = cx.to_integer(3);
    let edge = cx.opt_integer(4, BOTH)?;
    let (mode, callback) = match cx.kind(2) {
        Kind::Number => (Mode::Output, None),
        Kind::Function => {
            cx.push_value(2);
            (Mode::Interrupt, Some(cx.make_ref()))
        }
        _ => (Mode::Input, None),
    };
    let output = u8::from(cx.to_integer(2).is_some_and(|level| level != 0));
    let state = &mut cx.host().gpio.pins[usize::from(pin)];
    let old = std::mem::replace(&mut state.callback, callback);
    state.mode = mode;
    state.edge = edge;
    state.pull_up = pull == Some(PULL_UP);
    if mode == Mode::Output {
        state.output = output;
        record(cx.host(), pin, output);
    }
    if let Some(old) = old {
        cx.drop_ref(old);
    }
    cx.push_integer(pin.into());
    cx.push_function_with(accessor);
    Ok(1)
}

/// What `setup` returns: `f(level)` for outputs, `f()` for the rest.
fn accessor(cx: &mut Call<'_>) -> Results {
    cx.push_own_value();
    let pin = cx.check_integer(-1)? as u8;
    cx.pop(1);
    if cx.host().gpio.pins[usize::from(pin)].mode == Mode::Output {
        let level = u8::from(cx.check_integer(1)? != 0);
        write(cx.host(), pin, level);
        return Ok(0);
    }
    let level = cx.host().gpio.pins[usize::from(pin)].level();
    cx.push_integer(level.into());
    Ok(1)
}

fn record(rt: &mut Runtime, pin: u8, level: u8) {
    rt.record(
        Source::Board,
        EventKind::State,
        format!("gpio{pin} {level}"),
    );
}

fn write(rt: &mut Runtime, pin: u8, level: u8) {
    let state = &mut rt.gpio.pins[usize::from(pin)];
    if state.output != level {
        state.output = level;
        record(rt, pin, level);
    }
}

fn set(cx: &mut Call<'_>) -> Results {
    let Some(pin) = pin(cx)? else { return Ok(0) };
    let level = u8::from(cx.check_integer(2)? != 0);
    write(cx.host(), pin, level);
    Ok(0)
}

fn get(cx: &mut Call<'_>) -> Results {
    let Some(pin) = pin(cx)? else { return Ok(0) };
    let level = cx.host().gpio.pins[usize::from(pin)].level();
    cx.push_integer(level.into());
    Ok(1)
}

fn toggle(cx: &mut Call<'_>) -> Results {
    let Some(pin) = pin(cx)? else { return Ok(0) };
    let level = 1 - cx.host().gpio.pins[usize::from(pin)].output;
    write(cx.host(), pin, level);
    Ok(0)
}

fn close(cx: &mut Call<'_>) -> Results {
    let Some(pin) = pin(cx)? else { return Ok(0) };
    let state = &mut cx.host().gpio.pins[usize::from(pin)];
    state.mode = Mode::Closed;
    let old = state.callback.take();
    if let Some(old) = old {
        cx.drop_ref(old);
    }
    Ok(0)
}

/// An interrupt reaches Lua: `fn(level, pin)`.
pub(crate) fn on_interrupt(cx: &mut Call<'_>, pin: u8, level: u8) -> Results {
    if let Some(callback) = cx.host().gpio.pins[usize::from(pin)].callback {
        cx.push_ref(callback);
        cx.push_integer(level.into());
        cx.push_integer(pin.into());
        cx.call(2, 0)?;
    }
    Ok(0)
}
