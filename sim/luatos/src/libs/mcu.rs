//! `mcu`: ticks and identity of the chip.

use std::collections::BTreeMap;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "mcu",
    functions: &[
        ("ticks", ticks),
        ("hz", |cx| integer(cx, 1000)),
        ("getClk", |cx| integer(cx, 204)),
        ("setClk", |cx| {
            cx.check_integer(1)?;
            cx.push_boolean(true);
            Ok(1)
        }),
        ("ticks2", ticks2),
        ("tick64", tick64),
        ("dtick64", dtick64),
        ("unique_id", unique_id),
        ("reg32", reg32),
        ("x32", x32),
        ("hardfault", |cx| {
            cx.opt_integer(1, 0)?;
            Ok(0)
        }),
        ("setXTAL", |_| Ok(0)),
        ("XTALRefOutput", |_| Ok(0)),
        ("iomux", iomux),
    ],
    constants: &[],
};

/// Ticks of the 64-bit counter per microsecond.
const TICKS_PER_MICROSECOND: u64 = 26;

/// Registers a script has written, by address. What lies behind them is not
/// modelled: they keep what they are given.
pub(crate) type Registers = BTreeMap<u32, u32>;

fn integer(cx: &mut Call<'_>, value: i32) -> Results {
    cx.push_integer(value);
    Ok(1)
}

/// Milliseconds since boot; wraps to negative after 24.8 days.
fn ticks(cx: &mut Call<'_>) -> Results {
    let ms = cx.host().uptime().as_millis();
    integer(cx, ms as i32)
}

/// Uptime in two numbers, split by a million: µs, ms or s.
fn ticks2(cx: &mut Call<'_>) -> Results {
    let uptime = cx.host().uptime();
    let count = match cx.opt_integer(1, 0)? {
        0 => uptime.as_micros(),
        1 => uptime.as_millis(),
        2 => u128::from(uptime.as_secs()),
        _ => return Ok(0),
    };
    cx.push_integer((count / 1_000_000) as i32);
    cx.push_integer((count % 1_000_000) as i32);
    Ok(2)
}

/// The raw counter as little-endian bytes, and its rate.
fn tick64(cx: &mut Call<'_>) -> Results {
    let micros = u64::try_from(cx.host().uptime().as_micros()).unwrap_or(u64::MAX);
    let mut bytes = (micros * TICKS_PER_MICROSECOND).to_le_bytes().to_vec();
    if cx.to_boolean(1) {
        bytes.push(0);
    }
    cx.push_bytes(&bytes);
    cx.push_integer(TICKS_PER_MICROSECOND as i32);
    Ok(2)
}

/// `mcu.dtick64(a, b, ref)`: whether a is at least ref ahead of b; the
/// difference, cut to 32 bits.
fn dtick64(cx: &mut Call<'_>) -> Results {
    let word = |bytes: Vec<u8>| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(&bytes) {
            *to = *from;
        }
        i64::from_le_bytes(word)
    };
    let (a, b) = (word(cx.check_bytes(1)?), word(cx.check_bytes(2)?));
    let reference = cx.opt_integer(3, 0)?;
    let difference = a.wrapping_sub(b);
    cx.push_boolean(difference >= i64::from(reference));
    cx.push_integer(difference as i32);
    Ok(2)
}

fn unique_id(cx: &mut Call<'_>) -> Results {
    let id = cx.host().config.identity.unique_id;
    cx.push_bytes(&id);
    Ok(1)
}

/// `mcu.reg32(address, value, mask)`: the value after an optional write.
fn reg32(cx: &mut Call<'_>) -> Results {
    let address = cx.check_integer(1)?.cast_unsigned() & !3;
    let value = cx.is_integer(2).then(|| cx.to_integer(2).unwrap_or(0));
    let mask = cx.opt_integer(3, -1)?.cast_unsigned();
    let register = cx.host().registers.entry(address).or_default();
    if let Some(value) = value {
        *register = *register & !mask | value.cast_unsigned() & mask;
    }
    let value = register.cast_signed();
    integer(cx, value)
}

fn x32(cx: &mut Call<'_>) -> Results {
    let value = cx.check_integer(1)?;
    cx.push_bytes(format!("0x{value:x}").as_bytes());
    Ok(1)
}

fn iomux(cx: &mut Call<'_>) -> Results {
    let kind = cx.opt_integer(1, 255)?;
    let channel = cx.opt_integer(2, 255)?;
    let value = cx.opt_integer(3, 0)?;
    let line = format!("mcu mcu iomux {kind},{channel},{value}");
    cx.host().lib_line(Level::Debug, &line);
    Ok(0)
}
