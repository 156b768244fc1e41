//! `pack`: strings of packed numbers.

use airbench_lua32::Raise;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::libs::pack_codes::{self, Dialect, Value};

pub(crate) const LIBRARY: Library = Library {
    name: "pack",
    functions: &[("pack", pack), ("unpack", unpack)],
    constants: &[],
};

/// Longest result; more does not fit the Lua heap.
const ROOM: usize = 1 << 20;

fn dialect(cx: &mut Call<'_>) -> Dialect {
    let new = cx.host().config.core.is_new();
    Dialect {
        strings: true,
        wide_long: new,
        sized: new,
    }
}

/// A C string ends at its first NUL.
pub(crate) fn format(cx: &Call<'_>, index: i32) -> Result<Vec<u8>, Raise> {
    let mut format = cx.check_bytes(index)?;
    if let Some(end) = format.iter().position(|byte| *byte == 0) {
        format.truncate(end);
    }
    Ok(format)
}

fn pack(cx: &mut Call<'_>) -> Results {
    let format = format(cx, 1)?;
    let dialect = dialect(cx);
    let mut bytes = Vec::new();
    pack_codes::pack(cx, &format, 2, ROOM, dialect, &mut bytes)?;
    cx.push_bytes(&bytes);
    Ok(1)
}

/// `pack.unpack(data, format, init)`: where it stopped, then the values. V1112
/// gives the position as a float.
fn unpack(cx: &mut Call<'_>) -> Results {
    let data = cx.check_bytes(1)?;
    let format = format(cx, 2)?;
    let start = cx.to_number(3).unwrap_or(1.0) as i64 - 1;
    let start = usize::try_from(start).unwrap_or(0).min(data.len());
    let dialect = dialect(cx);
    let (used, values) = pack_codes::unpack(&format, &data[start..], dialect)?;
    let next = start + used + 1;
    if dialect.wide_long {
        cx.push_integer(i32::try_from(next).unwrap_or(i32::MAX));
    } else {
        cx.push_number(next as f32);
    }
    push_values(cx, &values)?;
    Ok(values.len() + 1)
}

/// Pushes unpacked values.
pub(crate) fn push_values(cx: &mut Call<'_>, values: &[Value]) -> Results {
    if values.len() > 4000 {
        return Err(Raise::Message("too many results to unpack".into()));
    }
    for value in values {
        match value {
            Value::Integer(n) => cx.push_integer(*n),
            Value::Float(x) => cx.push_number(*x),
            Value::Bytes(bytes) => cx.push_bytes(bytes),
        }
    }
    Ok(values.len())
}
