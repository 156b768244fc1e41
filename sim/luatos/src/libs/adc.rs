//! `adc`: channels whose values the surroundings decide.

use std::collections::{BTreeMap, BTreeSet};

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::runtime::Runtime;

pub(crate) const LIBRARY: Library = Library {
    name: "adc",
    functions: &[
        ("open", open),
        ("setRange", set_range),
        ("read", read),
        ("get", get),
        ("close", close),
    ],
    constants: &[],
};

const CPU: i32 = -1;
const VBAT: i32 = -2;
/// Full scale by range in millivolts; others mean the last.
const RANGES: [(i32, i32); 7] = [
    (0, 1200),
    (1, 1370),
    (2, 1600),
    (3, 1920),
    (4, 2400),
    (6, 2740),
    (7, 3200),
];
const WIDEST: i32 = 3840;
/// What the converter counts to at 1200 mV.
const STEPS: i32 = 4096;

/// The converter and what is connected to it.
#[derive(Debug)]
pub(crate) struct Adc {
    open: BTreeSet<i32>,
    full_scale: i32,
    /// Millivolts, or thousandths of a degree for the chip itself.
    values: BTreeMap<i32, i32>,
}

impl Default for Adc {
    /// A warm chip on a full battery, nothing on the two inputs.
    fn default() -> Self {
        Self {
            open: BTreeSet::new(),
            full_scale: WIDEST,
            values: BTreeMap::from([(CPU, 30_000), (VBAT, 3900)]),
        }
    }
}

/// The channel of an id; 10 and 11 are older names.
fn channel(id: i32) -> Option<i32> {
    match id {
        0 | 1 | CPU | VBAT => Some(id),
        10 => Some(CPU),
        11 => Some(VBAT),
        _ => None,
    }
}

impl Runtime {
    /// Puts a voltage (in mV; for -1 a temperature in 0.001 degrees) on a
    /// channel. False if there is no such channel.
    pub fn set_adc(&mut self, id: i32, value: i32) -> bool {
        let channel = channel(id);
        if let Some(channel) = channel {
            self.adc.values.insert(channel, value);
        }
        channel.is_some()
    }
}

/// The value of an open channel; the inputs end at full scale.
fn sample(cx: &mut Call<'_>) -> Result<Option<(i32, i32)>, airbench_lua32::Raise> {
    let id = cx.check_integer(1)?;
    let adc = &cx.host().adc;
    let Some(channel) = channel(id).filter(|channel| adc.open.contains(channel)) else {
        return Ok(None);
    };
    let value = adc.values.get(&channel).copied().unwrap_or(0);
    Ok(Some(match channel {
        CPU => (value / 1000 * 8 + 2000, value / 1000 * 1000),
        VBAT => (value * 3 / 16 * STEPS / 1200, value),
        _ => {
            let value = value.clamp(0, adc.full_scale);
            (value * STEPS / adc.full_scale, value)
        }
    }))
}

fn open(cx: &mut Call<'_>) -> Results {
    let channel = channel(cx.check_integer(1)?);
    if let Some(channel) = channel {
        cx.host().adc.open.insert(channel);
    }
    cx.push_boolean(channel.is_some());
    Ok(1)
}

fn close(cx: &mut Call<'_>) -> Results {
    if let Some(channel) = channel(cx.check_integer(1)?) {
        cx.host().adc.open.remove(&channel);
    }
    Ok(0)
}

fn set_range(cx: &mut Call<'_>) -> Results {
    let range = cx.check_integer(1)?;
    let known = RANGES.iter().find(|(id, _)| *id == range);
    cx.host().adc.full_scale = known.map_or(WIDEST, |(_, full)| *full);
    Ok(0)
}

/// Raw and converted value; 255 alone on failure.
fn read(cx: &mut Call<'_>) -> Results {
    match sample(cx)? {
        Some((raw, value)) => {
            cx.push_integer(raw);
            cx.push_integer(value);
            Ok(2)
        }
        None => {
            cx.push_integer(255);
            Ok(1)
        }
    }
}

fn get(cx: &mut Call<'_>) -> Results {
    let value = sample(cx)?.map_or(-1, |(_, value)| value);
    cx.push_integer(value);
    Ok(1)
}
