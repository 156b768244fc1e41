//! What `libgnss` gives to Lua.

use std::time::Duration;

use airbench_lua32::{Kind, format_number};

use super::nmea::{self, Date, Fraction, Time};
use crate::args::{Args, Call, Results};
use crate::runtime::Level;

/// Entries that count as present: satellites in view, in use, the latter's head.
const IN_VIEW: Duration = Duration::from_millis(3500);
const IN_USE: Duration = Duration::from_millis(1000);
const IN_USE_HEAD: Duration = Duration::from_millis(1500);

/// The century is guessed.
pub(super) fn full_year(year: i32) -> i32 {
    match year {
        ..80 => year + 2000,
        1900.. => year,
        _ => year + 1900,
    }
}

fn set_integer(cx: &mut Call<'_>, name: &str, value: i32) {
    cx.push_integer(value);
    cx.set_field(-2, name);
}

/// A number in the mode a script asked for; an empty one is the integer 0.
fn push_number(cx: &mut Call<'_>, number: Fraction, mode: i32) {
    let new = cx.host().config.core.is_new();
    match mode {
        _ if number.value == 0 => cx.push_integer(0),
        0 => cx.push_number(number.number()),
        1 => cx.push_integer(number.steps(new)),
        _ => cx.push_number(number.degrees()),
    }
}

fn set_number(cx: &mut Call<'_>, name: &str, number: Fraction, mode: i32) {
    push_number(cx, number, mode);
    cx.set_field(-2, name);
}

/// Date and time as fields; without either of them the beginning of nothing.
fn set_date_time(cx: &mut Call<'_>, [day, month, year]: Date, [hour, min, sec, _]: Time) {
    let given = day >= 0 && hour >= 0;
    let values = if given {
        [full_year(year), month, day, hour, min, sec]
    } else {
        [0, 1, 0, 0, 0, 0]
    };
    for (name, value) in ["year", "month", "day", "hour", "min", "sec"]
        .iter()
        .zip(values)
    {
        set_integer(cx, name, value);
    }
}

fn give_line(cx: &mut Call<'_>, line: Option<String>) -> Results {
    match line {
        Some(line) => {
            cx.push_bytes(line.as_bytes());
            Ok(1)
        }
        None => Ok(0),
    }
}

/// `getIntLocation(unit of speed)`
pub(super) fn int_location(cx: &mut Call<'_>) -> Results {
    let gnss = &cx.host().gnss;
    if !gnss.fixed {
        for _ in 0..3 {
            cx.push_integer(0);
        }
        return Ok(3);
    }
    let (lat, lng, speed) = (gnss.rmc.lat, gnss.rmc.lng, gnss.rmc.speed.number());
    let unit = cx.opt_integer(1, 0)?;
    cx.push_integer(lat.value);
    cx.push_integer(lng.value);
    match unit {
        1 => cx.push_number(speed * 1852.0 / 3600.0),
        2 => cx.push_number(speed * 1.852),
        3 => cx.push_number(speed),
        _ => cx.push_integer((speed * 1852.0) as i32),
    }
    Ok(3)
}

/// `getRmc(mode)`
pub(super) fn get_rmc(cx: &mut Call<'_>) -> Results {
    let mode = cx.opt_integer(1, 0)?;
    if mode == 3 {
        let line = cx.host().gnss.rmc_line.clone();
        return give_line(cx, line);
    }
    let frame = cx.host().gnss.rmc.clone();
    cx.push_table(0, 12);
    cx.push_boolean(frame.valid);
    cx.set_field(-2, "valid");
    let shown = |number: Fraction| {
        if frame.valid {
            number
        } else {
            Fraction::default()
        }
    };
    set_number(cx, "lat", shown(frame.lat), mode);
    set_number(cx, "lng", shown(frame.lng), mode);
    set_number(cx, "speed", shown(frame.speed), 0);
    set_number(cx, "course", shown(frame.course), 0);
    set_number(cx, "variation", shown(frame.variation), 0);
    set_date_time(cx, frame.date, frame.time);
    Ok(1)
}

/// `getGga(mode)`
pub(super) fn get_gga(cx: &mut Call<'_>) -> Results {
    let mode = cx.opt_integer(1, 0)?;
    let Some(line) = cx.host().gnss.gga.clone() else {
        return Ok(0);
    };
    if mode == 3 {
        return give_line(cx, Some(line));
    }
    let frame = nmea::gga(&line);
    cx.push_table(0, 8);
    set_number(cx, "altitude", frame.altitude, 0);
    set_number(cx, "latitude", frame.lat, mode);
    set_number(cx, "longitude", frame.lng, mode);
    set_integer(cx, "fix_quality", frame.quality);
    set_integer(cx, "satellites_tracked", frame.satellites);
    set_number(cx, "hdop", frame.hdop, 0);
    set_number(cx, "height", frame.height, 0);
    set_number(cx, "dgps_age", frame.age, 0);
    Ok(1)
}

/// `getGll(mode)`; mode 3 gives the line of VTG.
pub(super) fn get_gll(cx: &mut Call<'_>) -> Results {
    let mode = cx.opt_integer(1, 0)?;
    let Some(line) = cx.host().gnss.gll.clone() else {
        return Ok(0);
    };
    if mode == 3 {
        let line = cx.host().gnss.vtg.clone();
        return give_line(cx, line);
    }
    let frame = nmea::gll(&line);
    cx.push_table(0, 8);
    set_number(cx, "latitude", frame.lat, mode);
    set_number(cx, "longitude", frame.lng, mode);
    for (name, letter) in [("mode", frame.mode), ("status", frame.status)] {
        match letter {
            0 => cx.push_bytes(b"<\\0>"),
            letter => cx.push_bytes(&[letter]),
        }
        cx.set_field(-2, name);
    }
    for (name, value) in ["hour", "min", "sec", "us"].iter().zip(frame.time) {
        set_integer(cx, name, value);
    }
    Ok(1)
}

/// `getVtg(mode)`
pub(super) fn get_vtg(cx: &mut Call<'_>) -> Results {
    let mode = cx.opt_integer(1, 0)?;
    let Some(line) = cx.host().gnss.vtg.clone() else {
        return Ok(0);
    };
    if mode == 3 {
        return give_line(cx, Some(line));
    }
    let names = [
        "true_track_degrees",
        "magnetic_track_degrees",
        "speed_knots",
        "speed_kph",
    ];
    cx.push_table(0, 4);
    for (name, value) in names.iter().zip(nmea::vtg(&line)) {
        cx.push_number(value.number());
        cx.set_field(-2, name);
    }
    Ok(1)
}

/// `getZda()`
pub(super) fn get_zda(cx: &mut Call<'_>) -> Results {
    let line = cx.host().gnss.zda.clone();
    cx.push_table(0, 9);
    let Some(line) = line else { return Ok(1) };
    let mut fields = nmea::Fields::of(&line);
    let mut read = || {
        let time = fields.time()?;
        let date = [fields.integer()?, fields.integer()?, fields.integer()?];
        Some((time, date, fields.integer()?, fields.integer()?))
    };
    let (time, date, hours, minutes) = read().unwrap_or(([-1; 4], [-1; 3], 0, 0));
    set_integer(cx, "hour_offset", hours);
    set_integer(cx, "minute_offset", minutes);
    set_date_time(cx, date, time);
    Ok(1)
}

/// `getGsv()`
pub(super) fn get_gsv(cx: &mut Call<'_>) -> Results {
    const SYSTEMS: &[(&str, i32)] = &[
        ("GP", 0),
        ("BD", 1),
        ("GB", 1),
        ("GL", 2),
        ("GA", 3),
        ("QZ", 4),
    ];
    let rt = cx.host();
    let now = rt.now();
    let fresh = rt
        .gnss
        .gsv
        .iter()
        .flatten()
        .filter(|(at, _)| now.since(*at) <= IN_VIEW);
    let lines: Vec<String> = fresh.map(|(_, line)| line.clone()).collect();
    cx.push_table(0, 2);
    cx.push_table(0, 0);
    let mut count = 0;
    for line in lines {
        let talker = line.get(1..3).unwrap_or("").to_owned();
        let system = SYSTEMS.iter().find(|(name, _)| *name == talker);
        for [number, elevation, azimuth, strength] in nmea::gsv(&line) {
            if number == 0 {
                continue;
            }
            cx.push_table(0, 6);
            set_integer(cx, "nr", number);
            set_integer(cx, "elevation", elevation);
            set_integer(cx, "azimuth", azimuth);
            set_integer(cx, "snr", strength);
            set_integer(cx, "tp", system.map_or(0, |(_, system)| *system));
            cx.push_bytes(talker.as_bytes());
            cx.set_field(-2, "tpstr");
            count += 1;
            cx.set_item(-2, count);
        }
    }
    cx.push_integer(count);
    cx.set_field(-3, "total_sats");
    cx.set_field(-2, "sats");
    Ok(1)
}

/// Fills the table on top with one sentence's head.
fn set_head(cx: &mut Call<'_>, frame: &nmea::Gsa) {
    set_integer(cx, "fix_type", frame.fix);
    for (name, dop) in ["pdop", "hdop", "vdop"].iter().zip(frame.dops) {
        set_number(cx, name, dop, 0);
    }
    set_integer(cx, "sysid", frame.system);
}

fn set_satellites(cx: &mut Call<'_>, ids: impl Iterator<Item = i32>) {
    cx.push_table(0, 0);
    for (id, index) in ids.filter(|id| *id != 0).zip(1..) {
        cx.push_integer(id);
        cx.set_item(-2, index);
    }
    cx.set_field(-2, "sats");
}

/// `getGsa(mode)`: one table, or (1) one per sentence.
pub(super) fn get_gsa(cx: &mut Call<'_>) -> Results {
    let mode = cx.opt_integer(1, 0)?;
    let rt = cx.host();
    let now = rt.now();
    let frames: Vec<(Duration, nmea::Gsa)> = rt
        .gnss
        .gsa
        .iter()
        .flatten()
        .map(|(at, frame)| (now.since(*at), frame.clone()))
        .collect();
    let in_use = frames.iter().filter(|(age, _)| *age <= IN_USE);
    cx.push_table(0, 0);
    if mode == 1 {
        for ((_, frame), index) in in_use.zip(1..) {
            cx.push_table(0, 6);
            set_head(cx, frame);
            set_satellites(cx, frame.satellites.into_iter());
            cx.set_item(-2, index);
        }
        return Ok(1);
    }
    if let Some((_, frame)) = frames.iter().find(|(age, _)| *age <= IN_USE_HEAD) {
        set_head(cx, frame);
    }
    let ids = in_use.flat_map(|(_, frame)| frame.satellites);
    set_satellites(cx, ids);
    Ok(1)
}

/// `getTxt()`: the text of the last message, after its three numbers.
pub(super) fn get_txt(cx: &mut Call<'_>) -> Results {
    let line = cx.host().gnss.txt.clone().unwrap_or_default();
    let text = nmea::Fields::of(&line);
    let mut text = text;
    let mut numbers = || Some((text.integer()?, text.integer()?, text.integer()?));
    let words = if numbers().is_some() {
        text.text().unwrap_or("")
    } else {
        ""
    };
    cx.push_bytes(words.as_bytes());
    Ok(1)
}

/// `locStr(mode)`
pub(super) fn loc_str(cx: &mut Call<'_>) -> Results {
    let mode = cx.opt_integer(1, 0)?;
    let (lat, lng) = (cx.host().gnss.rmc.lat, cx.host().gnss.rmc.lng);
    let part = |number: Fraction, positive: char, negative: char| {
        let value = f64::from(number.number());
        let side = if value > 0.0 { positive } else { negative };
        format!("{},{side}", format_number("%.7g", value.abs()))
    };
    let text = match mode {
        0 => format!("{},{},1.0", part(lat, 'N', 'S'), part(lng, 'E', 'W')),
        1 => format!("{},{}", lat.value, lng.value),
        _ => String::new(),
    };
    cx.push_bytes(text.as_bytes());
    Ok(1)
}

/// A number in a table's field; 0 if there is none.
fn field(cx: &mut Call<'_>, index: i32, name: &str) -> f64 {
    if cx.kind(index) != Kind::Table {
        return 0.0;
    }
    cx.get_field(index, name);
    let value = cx.to_number(-1).map_or(0.0, f64::from);
    cx.pop(1);
    value
}

/// `casic_aid(time, position)`: 66 bytes of help for a CASIC receiver.
pub(super) fn casic_aid(cx: &mut Call<'_>) -> Results {
    cx.set_top(2);
    let mut date = [0i32; 6];
    for (slot, name) in date
        .iter_mut()
        .zip(["year", "month", "day", "hour", "min", "sec"])
    {
        *slot = field(cx, 1, name) as i32;
    }
    if date[1] == 0 {
        date[1] = field(cx, 1, "mon") as i32;
    }
    let [lat, lng, alt] = ["lat", "lng", "alt"].map(|name| field(cx, 2, name));
    let [year, month, day, hour, minute, second] = date;
    let valid = |x: f64| !(-0.01..=0.001).contains(&x);
    let (placed, timed) = (valid(lat) && valid(lng), year > 2022);
    let word = |ok: bool| if ok { "ok" } else { "no" };
    let lines = [
        format!("casic date time {year} {month} {day} {hour} {minute} {second}"),
        format!("casic lat {}", format_number("%f", lat)),
        format!("casic lng {}", format_number("%f", lng)),
        format!("casic lls {}, time {}", word(placed), word(timed)),
    ];
    for line in &lines {
        cx.host().lib_line(Level::Debug, line);
    }
    // Days since 1980-01-06, and 17 leap seconds.
    let days = crate::rtc::to_unix(year.into(), month.into(), day.into(), 0, 0, 0) / 86_400 - 3657;
    let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let (mut week, mut tow) = (
        days.div_euclid(7),
        days.rem_euclid(7) * 86_400 + of_day + 17,
    );
    if tow >= 604_800 {
        (week, tow) = (week + 1, tow - 604_800);
    }
    if !timed {
        (week, tow) = (0, 0);
    }
    let mut payload = Vec::with_capacity(56);
    for value in [lat, lng, alt, tow as f64] {
        payload.extend(value.to_le_bytes());
    }
    payload.extend([0; 20]);
    payload.extend((week as u16).to_le_bytes());
    payload.push(0);
    payload.push(0x20 | u8::from(placed) | u8::from(timed) << 1);
    let words = payload
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let sum = words.fold(0x010B_0038u32, u32::wrapping_add);
    let mut packet = vec![0xBA, 0xCE, 0x38, 0x00, 0x0B, 0x01];
    packet.extend(payload);
    packet.extend(sum.to_le_bytes());
    cx.push_bytes(&packet);
    Ok(1)
}
