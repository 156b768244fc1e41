//! `mobile`: what the modem keeps in its own flash.

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::libs::zbuff;
use crate::message::{Arg, Message};

/// Bands of the Air780E.
const BANDS: [u8; 9] = [1, 3, 5, 8, 34, 38, 39, 40, 41];
/// A zbuff for bands has at least this size.
const BAND_BUFFER: usize = 40;
/// `mobile.CONF_SIM_WC_MODE`: how often the SIM was written to.
const SIM_WC_MODE: i32 = 8;

pub(crate) fn config(cx: &mut Call<'_>) -> Results {
    let item = cx.opt_integer(1, 0)? & 255;
    let value = cx.opt_integer(2, 0)?;
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
        cx.host().flash.bands = Some(bands);
    }
    cx.push_boolean(known);
    Ok(1)
}
