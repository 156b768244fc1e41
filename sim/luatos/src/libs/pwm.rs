//! `pwm`: channels, recorded as events.

use std::collections::BTreeMap;

use airbench_trace::{Kind as EventKind, Source};

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "pwm",
    functions: &[
        ("open", open),
        ("close", close),
        ("capture", capture),
        ("setup", setup),
        ("start", start),
        ("stop", stop),
        ("setDuty", |cx| adjust(cx, |wave, duty| wave.duty = duty)),
        ("setFreq", |cx| adjust(cx, |wave, hz| wave.hz = hz)),
    ],
    constants: &[],
};

/// Fastest period of the timers, in Hz.
const FASTEST: i32 = 13_000_000;
/// Channels of the new core's table.
const SLOTS: i32 = 12;
/// Channels that `pwm.setup` itself accepts.
const SETUP_SLOTS: i32 = 6;

/// What a channel is asked to give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wave {
    hz: i32,
    duty: i32,
    pulses: i32,
    precision: i32,
}

/// The channels.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Frequency and duty in thousandths of those that run.
    running: BTreeMap<i32, (i32, i32)>,
    /// What the new core's `pwm.setup` keeps.
    stored: BTreeMap<i32, Wave>,
}

/// A channel is a timer (0, 1, 2, 4) plus ten times a choice of pin.
fn exists(channel: i32) -> bool {
    (0..40).contains(&channel) && matches!(channel % 10, 0 | 1 | 2 | 4)
}

/// Lets a channel run; false if it cannot.
fn run(rt: &mut Runtime, channel: i32, wave: Wave) -> bool {
    let Wave {
        hz, duty, pulses, ..
    } = wave;
    let scaled = match wave.precision {
        100 => Some(duty.saturating_mul(10)),
        256 => Some(duty.saturating_mul(1000) >> 8),
        1000 => Some(duty),
        _ => None,
    };
    let valid = exists(channel) && (1..=FASTEST).contains(&hz);
    let Some(duty) = scaled.map(|duty| duty.clamp(0, 1000)).filter(|_| valid) else {
        return false;
    };
    if rt.pwm.running.insert(channel, (hz, duty)) != Some((hz, duty)) {
        let text = format!("pwm{channel} {hz} Hz {duty}/1000 pulses {pulses}");
        rt.record(Source::Board, EventKind::State, text);
    }
    true
}

fn halt(rt: &mut Runtime, channel: i32) {
    if rt.pwm.running.remove(&channel).is_some() {
        let text = format!("pwm{channel} off");
        rt.record(Source::Board, EventKind::State, text);
    }
}

/// Arguments 2 to 5 of `open` and `setup`.
fn wave(cx: &Call<'_>) -> Result<Wave, airbench_lua32::Raise> {
    let number = |index, default| match cx.to_number(index) {
        Some(_) => cx.check_integer(index),
        None => Ok(default),
    };
    Ok(Wave {
        hz: cx.check_integer(2)?,
        duty: cx.to_number(3).unwrap_or(0.0) as i32,
        pulses: number(4, 0)?,
        precision: number(5, 100)?,
    })
}

/// `pwm.open(channel, hz, duty, pulses, precision)`.
fn open(cx: &mut Call<'_>) -> Results {
    let channel = cx.check_integer(1)?;
    let wave = wave(cx)?;
    let running = run(cx.host(), channel, wave);
    cx.push_boolean(running);
    Ok(1)
}

fn close(cx: &mut Call<'_>) -> Results {
    let channel = cx.check_integer(1)?;
    halt(cx.host(), channel);
    Ok(0)
}

/// The chip cannot.
fn capture(cx: &mut Call<'_>) -> Results {
    cx.check_integer(1)?;
    cx.check_integer(2)?;
    cx.push_boolean(false);
    Ok(1)
}

/// `pwm.setup(channel, hz, duty, pulses, precision)` of the new core: only keeps
/// them. A left-over line looks like an error.
fn setup(cx: &mut Call<'_>) -> Results {
    let channel = cx.check_integer(1)?;
    let wave = wave(cx)?;
    let rt = cx.host();
    rt.lib_line(Level::Error, &format!("pwm pwm_setup channel {channel}"));
    if !(0..SETUP_SLOTS).contains(&channel) {
        return Ok(0);
    }
    rt.pwm.stored.insert(channel, wave);
    cx.push_boolean(true);
    Ok(1)
}

/// What was kept for the channel of argument 1; says so if nothing was.
fn stored(cx: &mut Call<'_>) -> Result<Option<(i32, Wave)>, airbench_lua32::Raise> {
    let channel = cx.check_integer(1)?;
    let rt = cx.host();
    let found = rt.pwm.stored.get(&channel).map(|wave| (channel, *wave));
    if found.is_none() && (0..SLOTS).contains(&channel) {
        let line = format!("pwm 请先调用pwm.setup!! {channel}");
        rt.lib_line(Level::Error, &line);
    }
    Ok(found)
}

fn start(cx: &mut Call<'_>) -> Results {
    let Some((channel, wave)) = stored(cx)? else {
        return Ok(0);
    };
    let running = run(cx.host(), channel, wave);
    cx.push_boolean(running);
    Ok(1)
}

/// Forgets what was kept, too.
fn stop(cx: &mut Call<'_>) -> Results {
    let Some((channel, _)) = stored(cx)? else {
        return Ok(0);
    };
    cx.host().pwm.stored.remove(&channel);
    halt(cx.host(), channel);
    cx.push_boolean(true);
    Ok(1)
}

/// Changes what was kept; a running channel follows.
fn adjust(cx: &mut Call<'_>, change: fn(&mut Wave, i32)) -> Results {
    let value = cx.check_integer(2)?;
    let Some((channel, mut wave)) = stored(cx)? else {
        return Ok(0);
    };
    change(&mut wave, value);
    let rt = cx.host();
    rt.pwm.stored.insert(channel, wave);
    let done = !rt.pwm.running.contains_key(&channel) || run(rt, channel, wave);
    cx.push_boolean(done);
    Ok(1)
}
