//! `mcu` and `hmeta`: ticks and identity of the chip.

use crate::args::{Args, Call, Results};
use crate::libs::Library;

pub(crate) const LIBRARY: Library = Library {
    name: "mcu",
    functions: &[
        ("ticks", ticks),
        ("hz", |cx| integer(cx, 1000)),
        ("getClk", |cx| integer(cx, 204)),
        ("setClk", |cx| {
            cx.push_boolean(true);
            Ok(1)
        }),
        ("ticks2", ticks2),
        ("tick64", tick64),
        ("unique_id", unique_id),
        ("x32", x32),
        ("hardfault", |_| Ok(0)),
    ],
    constants: &[],
};

pub(crate) const HMETA: Library = Library {
    name: "hmeta",
    functions: &[
        ("model", |cx| text(cx, "Air780E")),
        ("hwver", |cx| text(cx, "A17")),
    ],
    constants: &[],
};

/// Ticks of the 64-bit counter per microsecond.
const TICKS_PER_MICROSECOND: u64 = 26;

fn integer(cx: &mut Call<'_>, value: i32) -> Results {
    cx.push_integer(value);
    Ok(1)
}

fn text(cx: &mut Call<'_>, text: &str) -> Results {
    cx.push_bytes(text.as_bytes());
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
        1 => uptime.as_millis(),
        2 => u128::from(uptime.as_secs()),
        _ => uptime.as_micros(),
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

fn unique_id(cx: &mut Call<'_>) -> Results {
    let id = cx.host().config.identity.unique_id;
    cx.push_bytes(&id);
    Ok(1)
}

fn x32(cx: &mut Call<'_>) -> Results {
    let value = cx.check_integer(1)?;
    text(cx, &format!("0x{value:x}"))
}
