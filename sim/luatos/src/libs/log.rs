//! `log`: levels, styles, and the one way to the console.

use airbench_lua32::Kind;

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
    // Booleans, tables and nil have no string: C prints its null pointer.
    let tag = cx
        .to_bytes(1)
        .map_or_else(|| b"(null)".to_vec(), <[u8]>::to_vec);
    cx.get_global("print");
    let mut pushed = 0;
    let mut push = |cx: &mut Call<'_>, parts: &[&[u8]]| {
        cx.push_bytes(&parts.concat());
        pushed += 1;
    };
    let head = format!("{letter}/");
    match style {
        1 => match location(cx) {
            Some(place) => {
                push(cx, &[head.as_bytes(), &place]);
                push(cx, &[&tag]);
            }
            None => push(cx, &[head.as_bytes(), b"user.", &tag]),
        },
        2 => {
            push(cx, &[head.as_bytes(), b"user.", &tag]);
            if let Some(place) = location(cx) {
                push(cx, &[&place]);
            }
        }
        _ => push(cx, &[head.as_bytes(), b"user.", &tag]),
    }
    for index in 2..=count {
        cx.push_value(index);
    }
    cx.call(pushed + count - 1, 0)?;
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
    let level = if cx.kind(1) == Kind::String {
        match cx.to_bytes(1).unwrap_or_default() {
            b"DEBUG" => 1,
            b"INFO" => 2,
            b"WARN" => 3,
            b"ERROR" => 4,
            _ => SILENT,
        }
    } else {
        cx.check_integer(1)?
    };
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
