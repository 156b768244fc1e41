//! `log`: levels, styles, and the one way to the console.

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "log",
    functions: &[
        ("debug", |cx| write(cx, Level::Debug)),
        ("info", |cx| write(cx, Level::Info)),
        ("warn", |cx| write(cx, Level::Warn)),
        ("error", |cx| write(cx, Level::Error)),
        ("fatal", |cx| write(cx, Level::Error)),
        ("setLevel", set_level),
        ("getLevel", get_level),
        ("style", style),
    ],
    constants: &[],
};

/// Level that lets nothing pass.
const SILENT: i32 = 7;

/// Rewrites the first argument by style and hands everything to the global
/// `print`, whatever that is by now.
fn write(cx: &mut Call<'_>, level: Level) -> Results {
    let count = cx.top();
    if cx.host().log_level > level as i32 || count == 0 {
        return Ok(0);
    }
    let letter = level.letter();
    let style = cx.host().log_style;
    // A C string; booleans, tables and nil have none, and C prints its null
    // pointer.
    let tag = cx.to_bytes(1).map_or_else(
        || b"(null)".to_vec(),
        |tag| tag.split(|byte| *byte == 0).next().unwrap_or(tag).to_vec(),
    );
    let tag = [format!("{letter}/user.").as_bytes(), &tag].concat();
    cx.get_global("print");
    // Style 1 has the place instead of tag and level, style 2 behind them; any
    // other number but 0 has the arguments as they are.
    let mut pushed = 0;
    if matches!(style, 0 | 2) {
        cx.push_bytes(&tag);
        pushed += 1;
    }
    if matches!(style, 1 | 2)
        && let Some(place) = location(cx)
    {
        let head = format!("{letter}/");
        let head: &[u8] = if style == 1 { head.as_bytes() } else { b"" };
        cx.push_bytes(&[head, &place].concat());
        pushed += 1;
    }
    let first = if matches!(style, 0 | 2) { 2 } else { 1 };
    for index in first..=count {
        cx.push_value(index);
    }
    cx.call(pushed + count + 1 - first, 0)?;
    Ok(0)
}

/// `file:line` of the Lua caller, if it has debug information.
fn location(cx: &mut Call<'_>) -> Option<Vec<u8>> {
    let (source, line) = cx.caller()?;
    // A line beyond 16 bits is cut to 0 by the firmware.
    let line = if line > 65_536 { 0 } else { line };
    let mut place = source.get(1..).unwrap_or_default().to_vec();
    place.extend_from_slice(format!(":{line}").as_bytes());
    Some(place)
}

fn set_level(cx: &mut Call<'_>) -> Results {
    let number = cx.is_integer(1).then(|| cx.to_integer(1)).flatten();
    let level = number.unwrap_or_else(|| match cx.to_bytes(1) {
        Some(b"DEBUG") => 1,
        Some(b"INFO") => 2,
        Some(b"WARN") => 3,
        Some(b"ERROR") => 4,
        _ => SILENT,
    });
    cx.host().log_level = if level == 0 { SILENT } else { level };
    Ok(0)
}

fn get_level(cx: &mut Call<'_>) -> Results {
    let level = cx.host().log_level;
    cx.push_integer(level);
    Ok(1)
}

fn style(cx: &mut Call<'_>) -> Results {
    if cx.is_integer(1) {
        cx.host().log_style = cx.check_integer(1)?;
    }
    let style = cx.host().log_style;
    cx.push_integer(style);
    Ok(1)
}
