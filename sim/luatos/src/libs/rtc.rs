//! `rtc`: the clock on the board, in UTC.

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::rtc::{from_unix, to_unix};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "rtc",
    functions: &[
        ("get", get),
        ("set", set),
        ("timezone", timezone),
        ("timerStart", timer_start),
        ("timerStop", timer_stop),
        ("setBaseYear", set_base_year),
    ],
    constants: &[],
};

/// What `year` counts from unless the script says otherwise.
pub(crate) const BASE_YEAR: i32 = 1900;

const FIELDS: [&str; 6] = ["year", "mon", "day", "hour", "min", "sec"];

fn get(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    let date = from_unix(rt.unix_time());
    let year = date.year as i32 - BASE_YEAR + rt.base_year;
    let values = [
        year,
        date.month as i32,
        date.day as i32,
        date.hour as i32,
        date.minute as i32,
        date.second as i32,
    ];
    cx.push_table(0, 6);
    for (name, value) in FIELDS.into_iter().zip(values) {
        cx.push_integer(value);
        cx.set_field(-2, name);
    }
    Ok(1)
}

/// The time in a table, or a warning and `None`.
fn time_table(cx: &mut Call<'_>, index: i32) -> Result<Option<i64>, airbench_lua32::Raise> {
    if cx.kind(index) != Kind::Table {
        cx.host().lib_line(Level::Warn, "rtc rtc time need table");
        return Ok(None);
    }
    let mut fields = [0i64; 6];
    for (slot, name) in fields.iter_mut().zip(FIELDS) {
        cx.get_field(index, name);
        if cx.to_number(-1).is_none() {
            cx.pop(1);
            let line = format!("rtc rtc time miss {name}");
            cx.host().lib_line(Level::Warn, &line);
            return Ok(None);
        }
        *slot = cx.check_integer(-1)?.into();
        cx.pop(1);
    }
    let [year, month, day, hour, minute, second] = fields;
    Ok(Some(to_unix(year, month, day, hour, minute, second)))
}

/// `rtc.set(table or seconds)`: true, or a warning and nothing.
fn set(cx: &mut Call<'_>) -> Results {
    let utc = if cx.is_integer(1) {
        i64::from(cx.check_integer(1)?.cast_unsigned())
    } else {
        match time_table(cx, 1)? {
            Some(utc) => utc,
            None => return Ok(0),
        }
    };
    cx.host().set_utc(utc);
    cx.push_boolean(true);
    Ok(1)
}

/// Quarter hours, for `os.date`.
fn timezone(cx: &mut Call<'_>) -> Results {
    if cx.is_integer(1) {
        cx.host().rtc.timezone = i32::from(cx.check_integer(1)? as i8);
    }
    let zone = cx.host().rtc.timezone;
    cx.push_integer(zone);
    Ok(1)
}

/// The chip has no alarms.
fn timer_start(cx: &mut Call<'_>) -> Results {
    cx.check_integer(1)?;
    if time_table(cx, 2)?.is_none() {
        return Ok(0);
    }
    cx.host()
        .line("luat_rtc_timer_start 74:rtc timer isn't support");
    cx.push_boolean(false);
    Ok(1)
}

fn timer_stop(cx: &mut Call<'_>) -> Results {
    cx.check_integer(1)?;
    cx.push_boolean(false);
    Ok(1)
}

fn set_base_year(cx: &mut Call<'_>) -> Results {
    let year = cx.check_integer(1)?;
    cx.host().base_year = year;
    Ok(0)
}
