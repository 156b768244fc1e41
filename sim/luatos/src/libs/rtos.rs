//! `rtos`: the message pump, timers, identity.

use std::time::Duration;

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::config::PowerOnReason;
use crate::dispatch;
use crate::libs::Library;
use crate::runtime::{Exit, Level, Wait, leave, suspend};

pub(crate) const LIBRARY: Library = Library {
    name: "rtos",
    functions: &[
        ("timer_start", timer_start),
        ("timer_stop", timer_stop),
        ("receive", receive),
        ("reboot", reboot),
        ("standy", |cx| {
            cx.check_integer(1)?;
            Ok(0)
        }),
        ("nop", |_| Ok(0)),
        ("bsp", |cx| text(cx, "EC618")),
        ("version", version),
        ("firmware", |cx| text(cx, "LuatOS-SoC_V1112_EC618")),
        ("buildDate", |cx| text(cx, "Sep  3 2024")),
        ("meminfo", meminfo),
        ("autoCollectMem", auto_collect),
        ("setPaths", set_paths),
    ],
    constants: &[],
};

/// `version()`; `version(true)` of the new core adds the firmware's number (0:
/// the build gave none) and the width of the VM's numbers.
fn version(cx: &mut Call<'_>) -> Results {
    let full = cx.to_boolean(1) && cx.host().config.core.is_new();
    text(cx, "V1112")?;
    if !full {
        return Ok(1);
    }
    cx.push_integer(0);
    cx.push_integer(32);
    Ok(3)
}

/// Message type of timers, the only one Lua gets to see.
const MSG_TIMER: i32 = 1;
/// Lua heap in use after the libraries are loaded, in a device log.
pub(crate) const HEAP_AT_START: usize = 14_360;

/// When `rtos.receive` collects by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AutoGc {
    period: i32,
    warn: i32,
    force: i32,
    idle: i32,
}

impl Default for AutoGc {
    fn default() -> Self {
        Self {
            period: 100,
            warn: 80,
            force: 90,
            idle: 0,
        }
    }
}

fn text(cx: &mut Call<'_>, text: &str) -> Results {
    cx.push_bytes(text.as_bytes());
    Ok(1)
}

fn timer_start(cx: &mut Call<'_>) -> Results {
    let id = cx.check_integer(1)?;
    let ms = cx.check_integer(2)?;
    let mut repeat = cx.opt_integer(3, 0)?;
    // On the new core a count is how often it fires, not how often again.
    if repeat > 0 && cx.host().config.core.is_new() {
        repeat -= 1;
    }
    let rt = cx.host();
    // Negative delays become huge unsigned ones and never fire; they take a
    // slot all the same.
    let started = if ms == 0 {
        false
    } else if ms < 0 {
        let never = u64::from(ms.cast_unsigned()) + u64::from(u32::MAX) * 1000;
        rt.timers.start(rt.now(), rt.boot, id, never, repeat)
    } else {
        let ok = rt
            .timers
            .start(rt.now(), rt.boot, id, u64::from(ms.unsigned_abs()), repeat);
        if !ok {
            rt.lib_line(Level::Error, "timer too many timers");
            rt.lib_line(Level::Debug, "rtos start timer fail, free timer 0");
        }
        ok
    };
    if let Some(at) = rt.timers.next_wake() {
        rt.limit_horizon(at);
    }
    cx.push_integer(i32::from(started));
    Ok(1)
}

/// Up to four templates with one `%s`, each at most 23 characters; a missing
/// argument clears its slot.
fn set_paths(cx: &mut Call<'_>) -> Results {
    for index in 1..=4 {
        let path = if cx.kind(index) == Kind::String {
            let mut path = cx.check_text(index)?;
            path.truncate(path.floor_char_boundary(23));
            Some(path)
        } else {
            None
        };
        cx.host().paths[index as usize - 1] = path;
    }
    Ok(0)
}

fn timer_stop(cx: &mut Call<'_>) -> Results {
    if cx.is_integer(1) {
        let id = cx.to_integer(1).unwrap_or(-1);
        cx.host().timers.stop(id);
    }
    Ok(0)
}

/// Waits for a message and handles it. Only timers give results to Lua.
fn receive(cx: &mut Call<'_>) -> Results {
    let timeout = cx.check_integer(1)?;
    let until = u64::try_from(timeout)
        .ok()
        .map(|ms| cx.host().now() + Duration::from_millis(ms));
    collect_if_idle(cx);
    loop {
        let rt = cx.host();
        if let Some(message) = rt.bus.pop_front() {
            rt.pumped();
            return dispatch::handle(cx, message);
        }
        if until.is_some_and(|at| rt.now() >= at) {
            rt.pumped();
            cx.push_integer(-1);
            return Ok(1);
        }
        suspend(cx, Wait::Message(until));
    }
}

/// Pushes what a timer message tells Lua.
pub(crate) fn push_timer(cx: &mut Call<'_>, id: i32, repeat: i32) -> Results {
    cx.push_integer(MSG_TIMER);
    cx.push_integer(id);
    cx.push_integer(repeat);
    Ok(3)
}

/// The automatic collections of an idle `rtos.receive`.
fn collect_if_idle(cx: &mut Call<'_>) {
    if cx.host().has_messages() || cx.host().gc.period == 0 {
        cx.host().gc.idle = 0;
        return;
    }
    let (total, used, _) = heap(cx);
    let gc = &mut cx.host().gc;
    let reached = |percent: i32| used * 100 >= total * percent;
    let mut wanted = reached(gc.force);
    if !wanted && gc.idle >= gc.period {
        gc.idle = 0;
        wanted = reached(gc.warn);
    } else if !wanted {
        gc.idle += 1;
    }
    if wanted {
        // Userdata go in the second one.
        cx.collect();
        cx.collect();
    }
}

fn auto_collect(cx: &mut Call<'_>) -> Results {
    let period = cx.opt_integer(1, 100)?;
    let warn = cx.opt_integer(2, 80)?;
    let force = cx.opt_integer(3, 90)?;
    let percent = 50..=95;
    let fits =
        (0..=60_000).contains(&period) && percent.contains(&warn) && percent.contains(&force);
    if fits && warn < force {
        let rt = cx.host();
        let old = rt.gc;
        rt.gc = AutoGc {
            period,
            warn,
            force,
            idle: old.idle,
        };
        let line = format!(
            "rtos mem collect param {},{},{} -> {period},{warn},{force}",
            old.period, old.warn, old.force
        );
        rt.lib_line(Level::Debug, &line);
    }
    Ok(0)
}

fn reboot(cx: &mut Call<'_>) -> Results {
    // What the number says makes no difference on an EC618.
    cx.opt_integer(1, 0)?;
    leave(cx, Exit::Reset(PowerOnReason::Software))
}

/// Total, used and peak of the Lua heap, as the firmware would print them.
pub(crate) fn heap(cx: &mut Call<'_>) -> (i32, i32, i32) {
    let memory = cx.memory();
    let baseline = cx.host().heap_baseline;
    let shown = |bytes: usize| {
        i32::try_from((bytes + HEAP_AT_START).saturating_sub(baseline)).unwrap_or(i32::MAX)
    };
    let used = shown(memory.used).max(0);
    (
        i32::try_from(crate::boot::HEAP).unwrap_or(i32::MAX),
        used,
        shown(memory.peak).max(used),
    )
}

fn meminfo(cx: &mut Call<'_>) -> Results {
    let kind = if cx.is_none_or_nil(1) {
        b"lua".to_vec()
    } else {
        cx.check_bytes(1)?
    };
    let figures = match kind.as_slice() {
        b"sys" => {
            let figures = cx.host().system_heap.figures();
            figures.map(|figure| i32::try_from(figure).unwrap_or(i32::MAX))
        }
        b"psram" => [0; 3],
        _ => {
            let (total, used, peak) = heap(cx);
            [total, used, peak]
        }
    };
    for figure in figures {
        cx.push_integer(figure);
    }
    Ok(3)
}
