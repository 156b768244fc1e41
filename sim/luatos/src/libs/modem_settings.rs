//! `mobile`: what a script has the modem do, and what that keeps in its flash.

use std::time::Duration;

use airbench_lte::{Auto, FastRelease};
use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::libs::mobile::BAND;
use crate::libs::zbuff;
use crate::message::{Arg, Message};
use crate::runtime::Runtime;

/// What a script wants of the modem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModemWish {
    /// The protocol stack begins anew.
    Restart,
    /// Flight mode on or off.
    FlightMode(bool),
    /// The SIM's right PIN was given.
    Unlock,
    /// A wrong one was.
    WrongPin,
    /// What the modem is to do by itself.
    Auto(Auto),
    /// The bands it searches, the cell's among them or not.
    Bands(bool),
}

/// What `rtime` asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Release {
    wish: FastRelease,
    /// Not while something is on its way.
    data_first: bool,
}

impl Runtime {
    /// The modem learns of a wish at the script's time.
    pub(crate) fn wish(&mut self, wish: ModemWish) {
        self.mobile.wishes.push(wish);
        self.touch_outside();
    }

    /// The cell is on one of the bands that the modem searches.
    pub fn finds_cell(&self) -> bool {
        let bands = self.flash.bands.as_ref();
        bands.is_none_or(|bands| bands.contains(&(BAND as u8)))
    }

    /// What the device asks the network for now: an early release
    /// (`mobile.rtime`), power saving mode.
    pub fn radio_wishes(&self) -> (Option<FastRelease>, bool) {
        let release = self.mobile.release;
        let free = |release: &Release| !release.data_first || !self.network.is_busy();
        (
            release.filter(free).map(|release| release.wish),
            self.mobile.psm || self.saves_power(),
        )
    }
}

/// Longest silence that `rtime` can ask for, in seconds.
const RELEASE_MAXIMUM: i32 = 20;
/// Shortest idle time that `rtime` looks at, in seconds.
const IDLE_MINIMUM: i32 = 10;

/// `rtime(seconds, _, data first, idle)`: asks the network for a release after that
/// much silence; 0 does not, 1 acts as 2. With `data first` only when nothing is on
/// its way, with `idle` only if the device was idle for so long before.
pub(crate) fn release_time(cx: &mut Call<'_>) -> Results {
    let seconds = cx.opt_integer(1, 0)?;
    let data_first = cx.kind(3) == Kind::Boolean && cx.to_boolean(3);
    let idle = cx.opt_integer(4, 0)?;
    let span = |seconds: i32| Duration::from_secs(seconds.unsigned_abs().into());
    cx.host().mobile.release = (seconds > 0).then(|| Release {
        wish: FastRelease {
            after: span(seconds.clamp(2, RELEASE_MAXIMUM)),
            idle: span(if idle < IDLE_MINIMUM { 0 } else { idle }),
        },
        data_first,
    });
    Ok(0)
}

/// `setAuto(SIM check in ms, cell information in ms, seconds of search, reset,
/// network check in ms)`: the fourth does nothing on V1112.
pub(crate) fn set_auto(cx: &mut Call<'_>) -> Results {
    let (sim, cell) = (cx.opt_integer(1, 0)?, cx.opt_integer(2, 0)?);
    cx.opt_integer(3, 0)?;
    let network = cx.to_integer(5).filter(|_| cx.is_integer(5)).unwrap_or(0);
    let period = |ms: i32| (ms > 0).then(|| Duration::from_millis(ms.unsigned_abs().into()));
    let rt = cx.host();
    rt.mobile.cell_period = period(cell);
    if let Some(period) = rt.mobile.cell_period {
        let at = rt.now() + period;
        rt.mobile.cell_info_at = Some(at);
        rt.limit_horizon(at);
    }
    rt.wish(ModemWish::Auto(Auto {
        sim: period(sim),
        network: period(network),
    }));
    Ok(0)
}

/// Bands of the Air780E.
const BANDS: [u8; 9] = [1, 3, 5, 8, 34, 38, 39, 40, 41];
/// A zbuff for bands has at least this size.
const BAND_BUFFER: usize = 40;
/// `mobile.CONF_PSM_MODE`: the network is asked for power saving mode.
const PSM_MODE: i32 = 6;
/// `mobile.CONF_SIM_WC_MODE`: how often the SIM was written to.
const SIM_WC_MODE: i32 = 8;

pub(crate) fn config(cx: &mut Call<'_>) -> Results {
    let item = cx.opt_integer(1, 0)? & 255;
    let value = cx.opt_integer(2, 0)?;
    if item == PSM_MODE {
        cx.host().mobile.psm = value != 0;
    }
    if (item, value) == (SIM_WC_MODE, 2) {
        // Counted since power-on; nothing here writes to the SIM.
        let args = vec![Arg::Text("SIM_WC".into()), Arg::Integer(0)];
        cx.host().bus.push_back(Message::Publish("SIM_IND", args));
    }
    cx.push_boolean((1..=10).contains(&item));
    Ok(1)
}

pub(crate) fn get_band(cx: &mut Call<'_>) -> Results {
    let buffer = zbuff::this(cx)?;
    let supported = cx.kind(2) == Kind::Boolean && cx.to_boolean(2);
    let set = cx.host().flash.bands.clone().filter(|_| !supported);
    let bands = set.unwrap_or_else(|| BANDS.to_vec());
    zbuff::with(cx, buffer, |b| {
        if b.data.len() < BAND_BUFFER {
            b.resize(BAND_BUFFER);
        }
        b.cursor = 0;
        b.write(&bands)
    });
    cx.push_boolean(true);
    Ok(1)
}

/// `setBand(zbuff, n)`: the first bytes are the bands to use from the next
/// search on; the modem keeps them in flash.
pub(crate) fn set_band(cx: &mut Call<'_>) -> Results {
    let buffer = zbuff::this(cx)?;
    let count = usize::from(cx.opt_integer(2, 1)? as u8);
    let bands = zbuff::with(cx, buffer, |b| b.slice(0, count));
    let known = !bands.is_empty() && bands.iter().all(|band| BANDS.contains(band));
    if known {
        let rt = cx.host();
        rt.flash.bands = Some(bands);
        rt.wish(ModemWish::Bands(rt.finds_cell()));
    }
    cx.push_boolean(known);
    Ok(1)
}
