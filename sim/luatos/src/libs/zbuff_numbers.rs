//! Methods of zbuff objects that read and write numbers.

use airbench_lua32::{Func, Kind};

use crate::args::{Args, Call, Results};
use crate::libs::pack;
use crate::libs::pack_codes::{self, Dialect};
use crate::libs::zbuff::{this, with};
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
    ("writeI8", |cx| write(cx, 1)),
    ("writeU8", |cx| write(cx, 1)),
    ("writeI16", |cx| write(cx, 2)),
    ("writeU16", |cx| write(cx, 2)),
    ("writeI32", |cx| write(cx, 4)),
    ("writeU32", |cx| write(cx, 4)),
    ("writeI64", |cx| write(cx, 8)),
    ("writeU64", |cx| write(cx, 8)),
    ("writeF32", write_f32),
    ("writeF64", write_f64),
];

/// `count` bytes at the cursor, or nothing if there are fewer.
fn bytes(cx: &mut Call<'_>, count: usize) -> Result<Option<Vec<u8>>, airbench_lua32::Raise> {
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

/// Writes all of `bytes` or nothing; gives the count.
fn put(cx: &mut Call<'_>, bytes: &[u8]) -> Results {
    let id = this(cx)?;
    let written = with(cx, id, |b| {
        if b.room() >= bytes.len() {
            b.write(bytes)
        } else {
            0
        }
    });
    cx.push_integer(i32::try_from(written).unwrap_or(0));
    Ok(1)
}

fn write(cx: &mut Call<'_>, count: usize) -> Results {
    let value = i64::from(cx.check_integer(2)?).to_le_bytes();
    put(cx, &value[..count])
}

fn write_f32(cx: &mut Call<'_>) -> Results {
    let value = cx.check_number(2)?.to_le_bytes();
    put(cx, &value)
}

fn write_f64(cx: &mut Call<'_>) -> Results {
    let value = f64::from(cx.check_number(2)?).to_le_bytes();
    put(cx, &value)
}

/// `query(off, n, bigEndian, signed, float)` within the used part.
fn query(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let offset = cx.opt_integer(2, 0)?;
    let count = cx
        .to_integer(3)
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let found = with(cx, id, |b| {
        let start = if offset < 0 {
            b.used().checked_sub(offset.unsigned_abs() as usize)?
        } else {
            usize::try_from(offset).ok()?
        };
        let len = b
            .used()
            .checked_sub(start)?
            .min(count.unwrap_or(usize::MAX));
        (len > 0).then(|| b.slice(start, len))
    });
    let Some(bytes) = found else {
        cx.push_nil();
        return Ok(1);
    };
    if cx.kind(4) != Kind::Boolean || bytes.len() > 8 {
        cx.push_bytes(&bytes);
        return Ok(1);
    }
    let (big, signed, float) = (cx.to_boolean(4), cx.to_boolean(5), cx.to_boolean(6));
    match bytes.len() {
        4 if float => cx.push_number(pack_codes::float(&bytes, false)),
        // Four bytes are always signed here, eight keep their low half.
        4 | 8 => cx.push_integer(pack_codes::integer(&bytes, big, true)),
        1 | 2 => cx.push_integer(pack_codes::integer(&bytes, big, signed)),
        _ if cx.host().config.core.is_new() => cx.push_bytes(&bytes),
        _ => cx.push_nil(),
    }
    Ok(1)
}

fn pack(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let format = cx.check_bytes(2)?;
    let room = with(cx, id, |b| b.room());
    let dialect = dialect(cx);
    let packed = pack_codes::pack(cx, &format, 3, room, dialect)?;
    let written = with(cx, id, |b| b.write(&packed));
    cx.push_integer(i32::try_from(written).unwrap_or(0));
    Ok(1)
}

fn unpack(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let format = cx.check_bytes(2)?;
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
