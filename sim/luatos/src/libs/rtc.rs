//! `rtc`: the clock on the board, in UTC.

use airbench_lua32::{Kind, Raise};

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
    cx.push_table(0, 0);
    for (name, value) in FIELDS.into_iter().zip(values) {
        cx.push_integer(value);
        cx.set_field(-2, name);
    }
    Ok(1)
}

/// The fields of a time in a table, or a warning and `None`.
fn time_table(cx: &mut Call<'_>, index: i32) -> Result<Option<[i64; 6]>, Raise> {
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
    Ok(Some(fields))
}

/// `rtc.set(table or seconds)`: true, or a warning and nothing.
fn set(cx: &mut Call<'_>) -> Results {
    let new = cx.host().config.core.is_new();
    let utc = if cx.is_integer(1) {
        let stamp = cx.check_integer(1)?;
        if new && stamp <= 0 {
            return refused(cx, &format!("timestamp: {stamp}"));
        }
        i64::from(cx.check_integer(1)?.cast_unsigned())
    } else if new && cx.kind(1) != Kind::Table {
        cx.host()
            .lib_line(Level::Warn, "rtc rtc time need table or integer");
        cx.push_boolean(false);
        return Ok(1);
    } else {
        match time_table(cx, 1)? {
            Some(fields) => {
                if let Some(what) = fault(fields).filter(|_| new) {
                    return refused(cx, &what);
                }
                let [year, month, day, hour, minute, second] = fields;
                to_unix(year, month, day, hour, minute, second)
            }
            None => return Ok(0),
        }
    };
    cx.host().set_utc(utc);
    cx.push_boolean(true);
    Ok(1)
}

/// The new core says what it does not take.
fn refused(cx: &mut Call<'_>, what: &str) -> Results {
    let line = format!("rtc rtc time invalid {what}");
    cx.host().lib_line(Level::Warn, &line);
    cx.push_boolean(false);
    Ok(1)
}

/// What the new core finds wrong with a table's fields.
fn fault([year, month, day, hour, minute, second]: [i64; 6]) -> Option<String> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1900..=2200).contains(&year) {
        Some(format!("year: {year}"))
    } else if !(1..=12).contains(&month) {
        Some(format!("month: {month}"))
    } else if !(1..=days).contains(&day) {
        Some(format!("day: {year}-{month}-{day}"))
    } else if !(0..24).contains(&hour) {
        Some(format!("hour: {hour}"))
    } else if !(0..60).contains(&minute) {
        Some(format!("minute: {minute}"))
    } else if !(0..60).contains(&second) {
        Some(format!("second: {second}"))
    } else {
        None
    }
}

/// Quarter hours, for `os.date`.
fn timezone(cx: &mut Call<'_>) -> Results {
    if cx.host().config.core.is_new() && cx.top() > 0 {
        if !cx.is_integer(1) {
            cx.host()
                .lib_line(Level::Warn, "rtc rtc timezone invalid parameter type");
            cx.push_boolean(false);
            return Ok(1);
        }
        let zone = cx.check_integer(1)?;
        if !(-48..=48).contains(&zone) || zone % 4 != 0 {
            cx.push_boolean(false);
            return Ok(1);
        }
    }
    if cx.is_integer(1) {
        let zone = i32::from(cx.check_integer(1)? as i8);
        let rtc = &mut cx.host().rtc;
        (rtc.timezone, rtc.sdk_zone) = (zone, zone);
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
    if cx.host().config.core.is_new() {
        // Checked and kept, but nothing counts from it any more.
        if !(1900..=2050).contains(&year) {
            let line = format!("rtc rtc invalid base year: {year}");
            cx.host().lib_line(Level::Warn, &line);
            return Err(Raise::Message("invalid base year".into()));
        }
        return Ok(0);
    }
    cx.host().base_year = year;
    Ok(0)
}
