//! Methods of zbuff objects that read and write numbers.

use airbench_lua32::{Func, Kind, Raise};

use crate::args::{Args, Call, Results};
use crate::libs::pack;
use crate::libs::pack_codes::{self, Dialect};
use crate::libs::zbuff::{this, too_big, with};
use crate::runtime::Runtime;

pub(crate) const METHODS: &[(&str, Func<Runtime>)] = &[
    ("query", query),
    ("pack", pack),
    ("unpack", unpack),
    ("readI8", |cx| read(cx, 1, true)),
    ("readU8", |cx| read(cx, 1, false)),
    ("readI16", |cx| read(cx, 2, true)),
    ("readU16", |cx| read(cx, 2, false)),
    ("readI32", |cx| read(cx, 4, true)),
    ("readU32", |cx| read(cx, 4, false)),
    ("readI64", |cx| read(cx, 8, true)),
    ("readU64", |cx| read(cx, 8, false)),
    ("readF32", read_f32),
    ("readF64", read_f64),
    ("writeI8", write::<1>),
    ("writeU8", write::<1>),
    ("writeI16", write::<2>),
    ("writeU16", write::<2>),
    ("writeI32", write::<4>),
    ("writeU32", write::<4>),
    ("writeI64", write::<8>),
    ("writeU64", write::<8>),
    ("writeF32", write_f32),
    ("writeF64", write_f64),
];

/// `count` bytes at the cursor, or nothing if there are fewer.
fn bytes(cx: &mut Call<'_>, count: usize) -> Result<Option<Vec<u8>>, Raise> {
    let id = this(cx)?;
    Ok(with(cx, id, |b| (b.room() >= count).then(|| b.read(count))))
}

fn read(cx: &mut Call<'_>, count: usize, signed: bool) -> Results {
    let Some(bytes) = bytes(cx, count)? else {
        return Ok(0);
    };
    let value = pack_codes::integer(&bytes, false, signed);
    cx.push_integer(value);
    Ok(1)
}

fn read_f32(cx: &mut Call<'_>) -> Results {
    let Some(bytes) = bytes(cx, 4)? else {
        return Ok(0);
    };
    cx.push_number(pack_codes::float(&bytes, false));
    Ok(1)
}

fn read_f64(cx: &mut Call<'_>) -> Results {
    let Some(bytes) = bytes(cx, 8)? else {
        return Ok(0);
    };
    cx.push_number(pack_codes::float(&bytes, false));
    Ok(1)
}

/// Writes what `value` makes of the argument; gives the count. Where there is
/// no room for all of it nobody looks at the argument.
fn put<const N: usize>(
    cx: &mut Call<'_>,
    value: impl FnOnce(&Call<'_>) -> Result<[u8; N], Raise>,
) -> Results {
    let id = this(cx)?;
    let mut written = 0;
    if with(cx, id, |b| b.room() >= N) {
        let bytes = value(cx)?;
        written = with(cx, id, |b| b.write(&bytes));
    }
    cx.push_integer(i32::try_from(written).unwrap_or(0));
    Ok(1)
}

fn write<const N: usize>(cx: &mut Call<'_>) -> Results {
    put(cx, |cx| {
        let wide = i64::from(cx.check_integer(2)?).to_le_bytes();
        Ok(std::array::from_fn::<u8, N, _>(|i| wide[i]))
    })
}

fn write_f32(cx: &mut Call<'_>) -> Results {
    put(cx, |cx| Ok(cx.check_number(2)?.to_le_bytes()))
}

fn write_f64(cx: &mut Call<'_>) -> Results {
    put(cx, |cx| Ok(f64::from(cx.check_number(2)?).to_le_bytes()))
}

/// `query(off, n, bigEndian, signed, float)` within the used part.
fn query(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let used = with(cx, id, |b| b.used());
    let mut start = i64::from(cx.opt_integer(2, 0)?);
    if start < 0 {
        start += used as i64;
    }
    let start = usize::try_from(start).map(|start| start.min(used));
    let Ok(start) = start else {
        cx.push_nil();
        return Ok(1);
    };
    let len = if cx.is_none_or_nil(3) {
        used - start
    } else {
        let len = cx.check_integer(3)?;
        let negative = len < 0 && cx.host().config.core.is_new();
        // V1112 adds without signs: a negative length that ends before the
        // start is a huge one.
        match start.checked_add_signed(len as isize) {
            Some(end) if end <= used && !negative => usize::try_from(len).map_err(|_| too_big())?,
            _ => used - start,
        }
    };
    let bytes = with(cx, id, |b| b.slice(start, len));
    if bytes.is_empty() {
        cx.push_nil();
    } else if cx.kind(4) == Kind::Boolean && bytes.len() <= 8 {
        push_number(cx, &bytes);
    } else {
        cx.push_bytes(&bytes);
    }
    Ok(1)
}

/// Pushes the number the bytes are by the arguments 4 to 6 of `query`.
fn push_number(cx: &mut Call<'_>, bytes: &[u8]) {
    let is = |index| cx.kind(index) == Kind::Boolean && cx.to_boolean(index);
    let (big, signed, float) = (is(4), is(5), is(6));
    match bytes.len() {
        // Floats are taken as they lie there.
        4 | 8 if float => cx.push_number(pack_codes::float(bytes, false)),
        // Four bytes are always signed here, eight keep their low half.
        4 | 8 => cx.push_integer(pack_codes::integer(bytes, big, true)),
        1 | 2 => cx.push_integer(pack_codes::integer(bytes, big, signed)),
        _ if cx.host().config.core.is_new() => cx.push_bytes(bytes),
        _ => cx.push_nil(),
    }
}

fn pack(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let format = pack::format(cx, 2)?;
    let room = with(cx, id, |b| b.room());
    let dialect = dialect(cx);
    let mut packed = Vec::new();
    let done = pack_codes::pack(cx, &format, 3, room, dialect, &mut packed);
    let written = with(cx, id, |b| b.write(&packed));
    done?;
    cx.push_integer(i32::try_from(written).unwrap_or(0));
    Ok(1)
}

fn unpack(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let format = pack::format(cx, 2)?;
    let data = with(cx, id, |b| b.tail());
    let dialect = dialect(cx);
    let (used, values) = pack_codes::unpack(&format, &data, dialect)?;
    with(cx, id, |b| b.cursor += used);
    cx.push_integer(i32::try_from(used).unwrap_or(0));
    Ok(1 + pack::push_values(cx, &values)?)
}

fn dialect(cx: &mut Call<'_>) -> Dialect {
    Dialect {
        wide_long: cx.host().config.core.is_new(),
        ..Dialect::default()
    }
}
