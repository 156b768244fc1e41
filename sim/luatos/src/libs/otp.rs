//! `otp`: three zones of 256 bytes whose bits can only be cleared.

use crate::args::{Args, Call, Results};
use crate::flash::Otp;
use crate::libs::Library;
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "otp",
    functions: &[
        ("read", read),
        ("write", write),
        ("erase", erase),
        ("lock", lock),
    ],
    constants: &[],
};

/// Bytes of a zone.
const ZONE: usize = 256;
/// What the library itself lets through.
const SPACE: i32 = 4096;

/// Zone, and whether the range is one the library lets through.
fn in_range(zone: i32, offset: i32, len: i32) -> bool {
    let space = 0..=SPACE;
    (0..=16).contains(&zone)
        && space.contains(&offset)
        && space.contains(&len)
        && offset + len <= SPACE
}

/// The place of a range in its zone.
fn place(zone: i32, offset: i32, len: usize) -> Option<(usize, usize)> {
    let zone = usize::try_from(zone).ok().filter(|z| (1..=3).contains(z))?;
    let offset = usize::try_from(offset).ok()?;
    (offset + len <= ZONE).then_some((zone - 1, offset))
}

/// `otp.read(zone, offset, length)`.
fn read(cx: &mut Call<'_>) -> Results {
    let (zone, offset, len) = (
        cx.check_integer(1)?,
        cx.check_integer(2)?,
        cx.check_integer(3)?,
    );
    if !in_range(zone, offset, len) {
        return Ok(0);
    }
    let len = usize::try_from(len).unwrap_or(0);
    let Some((zone, start)) = place(zone, offset, len) else {
        return Ok(0);
    };
    let bytes = cx.host().flash.otp.zones[zone][start..start + len].to_vec();
    cx.push_bytes(&bytes);
    Ok(1)
}

/// `otp.write(zone, data, offset)`.
fn write(cx: &mut Call<'_>) -> Results {
    let zone = cx.check_integer(1)?;
    let data = cx.check_bytes(2)?;
    let offset = cx.check_integer(3)?;
    if !in_range(zone, offset, i32::try_from(data.len()).unwrap_or(i32::MAX)) {
        return Ok(0);
    }
    let otp = &mut cx.host().flash.otp;
    let written = match place(zone, offset, data.len()) {
        Some((zone, start)) if !otp.locked[zone] => {
            for (byte, new) in otp.zones[zone][start..].iter_mut().zip(&data) {
                *byte &= new;
            }
            true
        }
        _ => false,
    };
    cx.push_boolean(written);
    Ok(1)
}

fn whole_zone(
    cx: &mut Call<'_>,
    zone: i32,
    level: Level,
    verb: &str,
    work: fn(&mut Otp, usize) -> bool,
) -> Results {
    let done = match place(zone, 0, 0) {
        Some((at, _)) => {
            let line = format!("otp otp {verb} zone {zone} {:08X}", zone << 12);
            cx.host().lib_line(level, &line);
            work(&mut cx.host().flash.otp, at)
        }
        None => false,
    };
    cx.push_boolean(done);
    Ok(1)
}

fn erase(cx: &mut Call<'_>) -> Results {
    let zone = cx.check_integer(1)?;
    whole_zone(cx, zone, Level::Info, "erase", |otp, zone| {
        if !otp.locked[zone] {
            otp.zones[zone].fill(0xFF);
        }
        !otp.locked[zone]
    })
}

fn lock(cx: &mut Call<'_>) -> Results {
    let zone = cx.opt_integer(1, 0)?;
    whole_zone(cx, zone, Level::Warn, "lock", |otp, zone| {
        otp.locked[zone] = true;
        true
    })
}
