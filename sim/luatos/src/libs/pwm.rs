//! `pwm`: channels, recorded as events.

use std::collections::BTreeMap;

use airbench_trace::{Kind as EventKind, Source};

use crate::args::{Args, Call, Results};
use crate::libs::Library;

pub(crate) const LIBRARY: Library = Library {
    name: "pwm",
    functions: &[("open", open), ("close", close), ("capture", capture)],
    constants: &[],
};

/// Fastest period of the timers, in Hz.
const FASTEST: i32 = 13_000_000;

/// Running channels: frequency and duty in thousandths.
pub(crate) type Channels = BTreeMap<i32, (i32, i32)>;

/// A channel is a timer (0, 1, 2, 4) plus ten times a choice of pin.
fn exists(channel: i32) -> bool {
    (0..40).contains(&channel) && matches!(channel % 10, 0 | 1 | 2 | 4)
}

/// `pwm.open(channel, hz, duty, pulses, precision)`.
fn open(cx: &mut Call<'_>) -> Results {
    let channel = cx.check_integer(1)?;
    let hz = cx.check_integer(2)?;
    let duty = cx.to_number(3).unwrap_or(0.0) as i32;
    let pulses = if cx.to_number(4).is_some() {
        cx.check_integer(4)?
    } else {
        0
    };
    let precision = if cx.to_number(5).is_some() {
        cx.check_integer(5)?
    } else {
        100
    };
    let scaled = match precision {
        100 => Some(duty.saturating_mul(10)),
        256 => Some(duty.saturating_mul(1000) >> 8),
        1000 => Some(duty),
        _ => None,
    };
    let valid = exists(channel) && (1..=FASTEST).contains(&hz);
    let Some(duty) = scaled.map(|duty| duty.clamp(0, 1000)).filter(|_| valid) else {
        cx.push_boolean(false);
        return Ok(1);
    };
    let rt = cx.host();
    if rt.pwm.insert(channel, (hz, duty)) != Some((hz, duty)) {
        let text = format!("pwm{channel} {hz} Hz {duty}/1000 pulses {pulses}");
        rt.record(Source::Board, EventKind::State, text);
    }
    cx.push_boolean(true);
    Ok(1)
}

fn close(cx: &mut Call<'_>) -> Results {
    let channel = cx.check_integer(1)?;
    let rt = cx.host();
    if rt.pwm.remove(&channel).is_some() {
        let text = format!("pwm{channel} off");
        rt.record(Source::Board, EventKind::State, text);
    }
    Ok(0)
}

/// The chip cannot.
fn capture(cx: &mut Call<'_>) -> Results {
    cx.check_integer(1)?;
    cx.check_integer(2)?;
    cx.push_boolean(false);
    Ok(1)
}
