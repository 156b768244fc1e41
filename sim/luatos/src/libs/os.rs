//! `os`: time, date, and what happens to whole files.

use airbench_lua32::{Kind, Raise};

use crate::args::{Args, Call, Results};
use crate::libs::{Library, io};
use crate::rtc::{Civil, from_unix, to_unix};

pub(crate) const LIBRARY: Library = Library {
    name: "os",
    functions: &[
        ("time", time),
        ("date", date),
        ("clock", clock),
        ("difftime", difftime),
        ("remove", remove),
        ("rename", rename),
    ],
    constants: &[],
};

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn field(cx: &mut Call<'_>, name: &str, default: Option<i64>) -> Result<i64, Raise> {
    cx.get_field(1, name);
    let value = cx.to_integer(-1);
    let kind = cx.kind(-1);
    cx.pop(1);
    match (value, default) {
        (Some(value), _) => Ok(value.into()),
        (None, Some(default)) if kind == Kind::Nil => Ok(default),
        (None, _) if kind == Kind::Nil => Err(Raise::Message(format!(
            "field '{name}' missing in date table"
        ))),
        (None, _) => Err(Raise::Message(format!("field '{name}' is not an integer"))),
    }
}

/// `os.time()`: UTC. A table is taken as UTC too, with `mon` for `month`.
fn time(cx: &mut Call<'_>) -> Results {
    if cx.is_none_or_nil(1) {
        let rt = cx.host();
        let now = rt.rtc.utc(rt.now());
        cx.push_integer(now as i32);
        return Ok(1);
    }
    if cx.kind(1) != Kind::Table {
        let got = cx.type_name(1);
        return Err(Raise::Argument(1, format!("table expected, got {got}")));
    }
    let second = field(cx, "sec", Some(0))?;
    let minute = field(cx, "min", Some(0))?;
    let hour = field(cx, "hour", Some(12))?;
    let day = field(cx, "day", None)?;
    cx.get_field(1, "mon");
    let short = cx.to_integer(-1);
    cx.pop(1);
    let month = match short {
        Some(month) => month.into(),
        None => field(cx, "month", None)?,
    };
    let year = field(cx, "year", None)?;
    let unix = to_unix(year, month, day, hour, minute, second);
    let normal = from_unix(unix);
    for (name, value) in fields(&normal) {
        cx.push_integer(value as i32);
        cx.set_field(1, name);
    }
    cx.push_boolean(false);
    cx.set_field(1, "isdst");
    cx.push_integer(unix as i32);
    Ok(1)
}

/// The numeric fields of `*t`.
fn fields(date: &Civil) -> [(&'static str, i64); 8] {
    [
        ("sec", date.second),
        ("min", date.minute),
        ("hour", date.hour),
        ("day", date.day),
        ("month", date.month),
        ("year", date.year),
        ("wday", date.weekday + 1),
        ("yday", date.yearday + 1),
    ]
}

/// `os.date(format, t)`: local time by `rtc.timezone()` unless `!` leads.
fn date(cx: &mut Call<'_>) -> Results {
    let format = if cx.is_none_or_nil(1) {
        b"%c".to_vec()
    } else {
        cx.check_bytes(1)?
    };
    let mut seconds = if cx.is_none_or_nil(2) {
        let rt = cx.host();
        rt.rtc.utc(rt.now())
    } else {
        cx.check_integer(2)?.into()
    };
    let format = match format.strip_prefix(b"!") {
        Some(rest) => rest.to_vec(),
        None => {
            // Whole hours only.
            seconds += i64::from(cx.host().rtc.timezone / 4) * 3600;
            format
        }
    };
    let date = from_unix(seconds);
    if format == b"*t" {
        cx.push_table(0, 9);
        for (name, value) in fields(&date) {
            cx.push_integer(value as i32);
            cx.set_field(-2, name);
        }
        cx.push_boolean(false);
        cx.set_field(-2, "isdst");
        return Ok(1);
    }
    let text = strftime(&format, &date)?;
    cx.push_bytes(&text);
    Ok(1)
}

fn remove(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
    if cx.host().remove_path(&path).is_err() {
        return io::failure(cx, Some(&path));
    }
    cx.push_boolean(true);
    Ok(1)
}

/// Within one file system only.
fn rename(cx: &mut Call<'_>) -> Results {
    let (from, to) = (cx.check_path(1)?, cx.check_path(2)?);
    if cx.host().rename_path(&from, &to).is_err() {
        return io::failure(cx, None);
    }
    cx.push_boolean(true);
    Ok(1)
}

/// C89's conversions in the C locale; Lua refuses all others.
fn strftime(format: &[u8], date: &Civil) -> Result<Vec<u8>, Raise> {
    let mut out = Vec::with_capacity(32);
    let mut rest = format.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let code = rest.next().copied();
        match code.and_then(|code| conversion(code, date)) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => {
                // The firmware shows all that follows the percent sign.
                let from = format.len() - rest.len() - usize::from(code.is_some());
                let shown = String::from_utf8_lossy(&format[from..]);
                let text = format!("invalid conversion specifier '%{shown}'");
                return Err(Raise::Argument(1, text));
            }
        }
    }
    Ok(out)
}

fn conversion(code: u8, d: &Civil) -> Option<String> {
    let hour12 = (d.hour + 11) % 12 + 1;
    let day = DAYS[usize::try_from(d.weekday).ok()?];
    let month = MONTHS[usize::try_from(d.month - 1).ok()?];
    Some(match code {
        b'a' => day[..3].to_owned(),
        b'A' => day.to_owned(),
        b'b' => month[..3].to_owned(),
        b'B' => month.to_owned(),
        b'c' => format!(
            "{} {} {:2} {:02}:{:02}:{:02} {}",
            &day[..3],
            &month[..3],
            d.day,
            d.hour,
            d.minute,
            d.second,
            d.year
        ),
        b'd' => format!("{:02}", d.day),
        b'H' => format!("{:02}", d.hour),
        b'I' => format!("{hour12:02}"),
        b'j' => format!("{:03}", d.yearday + 1),
        b'm' => format!("{:02}", d.month),
        b'M' => format!("{:02}", d.minute),
        b'p' => if d.hour < 12 { "AM" } else { "PM" }.to_owned(),
        b'S' => format!("{:02}", d.second),
        b'U' => format!("{:02}", (d.yearday + 7 - d.weekday) / 7),
        b'w' => d.weekday.to_string(),
        b'W' => format!("{:02}", (d.yearday + 7 - (d.weekday + 6) % 7) / 7),
        b'x' => format!("{:02}/{:02}/{:02}", d.month, d.day, d.year.rem_euclid(100)),
        b'X' => format!("{:02}:{:02}:{:02}", d.hour, d.minute, d.second),
        b'y' => format!("{:02}", d.year.rem_euclid(100)),
        b'Y' => d.year.to_string(),
        b'Z' => "GMT".to_owned(),
        b'%' => "%".to_owned(),
        _ => return None,
    })
}

/// V1112 divides milliseconds twice: a tiny float nobody can use.
fn clock(cx: &mut Call<'_>) -> Results {
    if cx.host().config.core.is_new() {
        let seconds = cx.host().uptime().as_secs();
        cx.push_integer(seconds as i32);
        return Ok(1);
    }
    let ms = cx.host().uptime().as_millis() as f32;
    cx.push_number(ms / 1000.0 / 1_000_000.0);
    Ok(1)
}

fn difftime(cx: &mut Call<'_>) -> Results {
    let (a, b) = (cx.check_integer(1)?, cx.check_integer(2)?);
    cx.push_number(a.wrapping_sub(b) as f32);
    Ok(1)
}
