//! `rtc`: the clock on the board, in UTC.

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::rtc::{from_unix, to_unix};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "rtc",
    functions: &[("get", get), ("set", set), ("timezone", timezone)],
    constants: &[],
};

fn get(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    let date = from_unix(rt.rtc.utc(rt.now()));
    cx.push_table(0, 6);
    for (name, value) in [
        ("year", date.year),
        ("mon", date.month),
        ("day", date.day),
        ("hour", date.hour),
        ("min", date.minute),
        ("sec", date.second),
    ] {
        cx.push_integer(value as i32);
        cx.set_field(-2, name);
    }
    Ok(1)
}

/// `rtc.set(table or seconds)`: true, or a warning and nothing.
fn set(cx: &mut Call<'_>) -> Results {
    let utc = if cx.kind(1) == Kind::Table {
        let mut fields = [0i64; 6];
        for (slot, name) in fields
            .iter_mut()
            .zip(["year", "mon", "day", "hour", "min", "sec"])
        {
            cx.get_field(1, name);
            let value = cx.to_integer(-1);
            cx.pop(1);
            let Some(value) = value else {
                cx.host()
                    .lib_line(Level::Warn, &format!("rtc rtc time need {name}"));
                return Ok(0);
            };
            *slot = value.into();
        }
        let [year, month, day, hour, minute, second] = fields;
        to_unix(year, month, day, hour, minute, second)
    } else {
        cx.check_integer(1)?.into()
    };
    let rt = cx.host();
    let offset = utc - rt.rtc.network_time(rt.now());
    rt.rtc.offset = offset;
    rt.flash.rtc_offset = Some(offset);
    cx.push_boolean(true);
    Ok(1)
}

/// Quarter hours, for `os.date`.
fn timezone(cx: &mut Call<'_>) -> Results {
    if cx.is_integer(1) {
        cx.host().rtc.timezone = cx.check_integer(1)?;
    }
    let zone = cx.host().rtc.timezone;
    cx.push_integer(zone);
    Ok(1)
}
