//! `timer`: short blocking delays.

use std::time::Duration;

use crate::args::{Call, Results};
use crate::libs::Library;
use crate::runtime::{Wait, suspend};

pub(crate) const LIBRARY: Library = Library {
    name: "timer",
    functions: &[("mdelay", mdelay), ("udelay", udelay)],
    constants: &[],
};

/// Blocks 1 to 1023 ms; anything else is ignored.
fn mdelay(cx: &mut Call<'_>) -> Results {
    if cx.is_integer(1)
        && let Some(ms @ 1..1024) = cx.to_integer(1)
    {
        delay(cx, Duration::from_millis(ms.unsigned_abs().into()));
    }
    Ok(0)
}

/// Blocks 1 to 3000 µs; anything else is ignored.
fn udelay(cx: &mut Call<'_>) -> Results {
    if let Some(us @ 1..=3000) = cx.to_integer(1) {
        delay(cx, Duration::from_micros(us.unsigned_abs().into()));
    }
    Ok(0)
}

fn delay(cx: &mut Call<'_>, span: Duration) {
    let until = cx.host().now() + span;
    suspend(cx, Wait::Until(until));
}
