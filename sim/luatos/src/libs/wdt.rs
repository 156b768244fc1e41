//! `wdt`: the watchdog a script must feed.

use std::time::Duration;

use airbench_clock::Instant;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::runtime::Runtime;

pub(crate) const LIBRARY: Library = Library {
    name: "wdt",
    functions: &[
        ("init", init),
        ("feed", feed),
        ("setTimeout", set_timeout),
        ("close", feed),
    ],
    constants: &[],
};

/// The watchdog: once started it cannot be stopped, only fed.
#[derive(Debug, Default)]
pub struct Watchdog {
    armed: Option<(Duration, Instant)>,
}

impl Watchdog {
    /// When it bites if nobody feeds it.
    pub fn deadline(&self) -> Option<Instant> {
        self.armed.map(|(_, deadline)| deadline)
    }

    /// Feeds it; does nothing before it was started.
    pub(crate) fn feed(&mut self, now: Instant) {
        if let Some((period, deadline)) = &mut self.armed {
            *deadline = now + *period;
        }
    }
}

/// Starts the dog with a time-out in whole seconds, 1 to 60.
fn start(rt: &mut Runtime, seconds: i32) -> bool {
    let ok = (1..=60).contains(&seconds);
    if ok {
        let period = Duration::from_secs(seconds.unsigned_abs().into());
        let deadline = rt.now() + period;
        rt.watchdog.armed = Some((period, deadline));
        rt.limit_horizon(deadline);
    }
    ok
}

/// `wdt.init(ms)`: whole seconds; the default of 10 ms is none and fails.
fn init(cx: &mut Call<'_>) -> Results {
    let ms = cx.opt_integer(1, 10)?;
    let started = start(cx.host(), ms / 1000);
    cx.push_boolean(started);
    Ok(1)
}

/// `wdt.setTimeout(s)`: seconds on this chip.
fn set_timeout(cx: &mut Call<'_>) -> Results {
    let seconds = cx.opt_integer(1, 10)?;
    let started = start(cx.host(), seconds);
    cx.push_boolean(started);
    Ok(1)
}

/// `wdt.feed()`; `wdt.close()` does the same and closes nothing.
fn feed(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    rt.watchdog.feed(rt.now());
    cx.push_boolean(true);
    Ok(1)
}
