//! `pm`: power switches and the reason of the last start.

use crate::args::{Args, Call, Results};
use crate::config::PowerOnReason;
use crate::libs::Library;
use crate::runtime::{Exit, Level, leave};

pub(crate) const LIBRARY: Library = Library {
    name: "pm",
    functions: &[
        ("power", power),
        ("lastReson", last_reason),
        ("reboot", |cx| {
            leave(cx, Exit::Reset(PowerOnReason::Software))
        }),
        ("shutdown", |cx| leave(cx, Exit::PowerOff)),
        ("check", check),
        ("wakeupPin", wakeup_pin),
    ],
    constants: &[],
};

const PWK_MODE: i32 = 5;
/// USB, GPS, GPS_ANT, CAMERA, DAC_EN, PWK_MODE, WORK_MODE, LDO_CTL.
const KNOWN: std::ops::RangeInclusive<i32> = 0..=7;

/// `pm.power(id, onoff)`: false for an unknown switch.
fn power(cx: &mut Call<'_>) -> Results {
    let id = cx.check_integer(1)?;
    let on = cx.truth(2);
    let rt = cx.host();
    if id == PWK_MODE {
        let before = rt.flash.power_key_debounce;
        if before != on {
            rt.flash.power_key_debounce = on;
            let text = format!(
                "pm powerkey mode {} to {}",
                i32::from(before),
                i32::from(on)
            );
            rt.lib_line(Level::Debug, &text);
        }
    }
    cx.push_boolean(KNOWN.contains(&id));
    Ok(1)
}

/// Wake-up source, last sleep mode, reason; no sleep is modelled.
fn last_reason(cx: &mut Call<'_>) -> Results {
    let reason = cx.host().reason as i32;
    cx.push_integer(0);
    cx.push_integer(0);
    cx.push_integer(reason);
    Ok(3)
}

/// The default mode is IDLE: awake.
fn check(cx: &mut Call<'_>) -> Results {
    cx.push_boolean(false);
    cx.push_integer(1);
    Ok(2)
}

fn wakeup_pin(cx: &mut Call<'_>) -> Results {
    cx.host().lib_line(Level::Warn, "pm wakeup pin not support");
    cx.push_boolean(true);
    Ok(1)
}
