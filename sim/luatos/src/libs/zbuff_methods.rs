//! Methods of zbuff objects that move bytes.

use airbench_lua32::{Func, Raise};

use data_encoding::BASE64;

use crate::args::{Args, Call, Results};
use crate::libs::zbuff::{Zbuff, arg, this, with};
use crate::runtime::{Level, Runtime};

pub(crate) const METHODS: &[(&str, Func<Runtime>)] = &[
    ("write", write),
    ("read", read),
    ("seek", seek),
    ("clear", clear),
    ("toStr", to_str),
    ("len", len),
    ("used", used),
    ("resize", resize),
    ("reSize", resize),
    ("copy", copy),
    ("set", set),
    ("del", del),
    ("isEqual", is_equal),
    ("get", get),
    ("free", free),
    ("toBase64", to_base64),
];

fn push_len(cx: &mut Call<'_>, len: usize) -> Results {
    cx.push_integer(i32::try_from(len).unwrap_or(i32::MAX));
    Ok(1)
}

/// The consecutive integers from argument `from` on, as bytes.
fn integers(cx: &Call<'_>, from: i32) -> Vec<u8> {
    (from..=cx.top())
        .map_while(|i| {
            cx.is_integer(i)
                .then(|| cx.to_integer(i).unwrap_or(0) as u8)
        })
        .collect()
}

fn write(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let bytes = if cx.is_integer(2) {
        integers(cx, 2)
    } else {
        cx.check_bytes(2)?
    };
    let written = with(cx, id, |b| b.write(&bytes));
    push_len(cx, written)
}

/// A negative count reads to the end: it is an unsigned number on the board.
fn read(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let len = usize::try_from(cx.opt_integer(2, 1)?).unwrap_or(usize::MAX);
    let bytes = with(cx, id, |b| b.read(len));
    cx.push_bytes(&bytes);
    Ok(1)
}

fn seek(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let offset = i64::from(cx.check_integer(2)?);
    let whence = cx.opt_integer(3, 0)?;
    let position = with(cx, id, |b| {
        let base = match whence {
            0 => 0,
            1 => b.cursor,
            2 => b.data.len(),
            _ => return None,
        };
        let at = (base as i64 + offset).clamp(0, b.data.len() as i64);
        b.cursor = usize::try_from(at).unwrap_or(0);
        Some(b.cursor)
    });
    match position {
        Some(position) => push_len(cx, position),
        None => Ok(0),
    }
}

fn clear(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let value = cx.opt_integer(2, 0)? as u8;
    with(cx, id, |b| b.data.fill(value));
    Ok(0)
}

fn to_str(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let start = usize::try_from(cx.opt_integer(2, 0)?).unwrap_or(usize::MAX);
    // On the new core a negative length is one, and so nothing.
    let rest = if cx.host().config.core.is_new() && !cx.is_none_or_nil(3) {
        0
    } else {
        usize::MAX
    };
    let len = usize::try_from(cx.opt_integer(3, -1)?).unwrap_or(rest);
    let bytes = with(cx, id, |b| b.slice(start, len));
    cx.push_bytes(&bytes);
    Ok(1)
}

pub(crate) fn len(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let len = with(cx, id, |b| b.data.len());
    push_len(cx, len)
}

/// V1112 has no setter.
fn used(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if cx.is_integer(2) && cx.host().config.core.is_new() {
        let wanted = usize::try_from(cx.check_integer(2)?).unwrap_or(0);
        with(cx, id, |b| b.cursor = wanted.min(b.data.len()));
    }
    let used = with(cx, id, |b| b.used());
    push_len(cx, used)
}

fn resize(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if cx.is_integer(2) {
        let len = usize::try_from(cx.check_integer(2)?).unwrap_or(usize::MAX);
        if !with(cx, id, |b| b.resize(len)) {
            cx.host().lib_line(Level::Error, "zbuff realloc failed");
        }
    }
    Ok(0)
}

/// Negative offsets count from the used end; `None` before the beginning.
fn offset(b: &Zbuff, at: i32) -> Option<usize> {
    if at < 0 {
        b.used().checked_sub(at.unsigned_abs() as usize)
    } else {
        usize::try_from(at).ok()
    }
}

fn copy(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let start = if cx.is_none_or_nil(2) {
        None
    } else {
        Some(cx.check_integer(2)?)
    };
    let from_integers = cx.is_integer(3);
    let bytes = if from_integers {
        integers(cx, 3)
    } else if let Some(source) = arg(cx, 3) {
        let from = usize::try_from(cx.opt_integer(4, 0)?).unwrap_or(usize::MAX);
        let len = cx
            .to_integer(5)
            .map(|len| usize::try_from(len).unwrap_or(0));
        let new = cx.host().config.core.is_new();
        // The new core refuses what does not lie in the source; V1112 reads on.
        with(cx, source, |b| {
            let len = len.unwrap_or(b.used());
            if new && from.saturating_add(len) > b.data.len() {
                return Vec::new();
            }
            b.slice(from, len)
        })
    } else {
        cx.check_bytes(3)?
    };
    let copied = with(cx, id, |b| {
        let Some(at) = start.map_or(Some(b.used()), |start| offset(b, start)) else {
            return 0;
        };
        let end = at.saturating_add(bytes.len());
        if end > b.data.len() {
            let grown = if from_integers {
                2 * end
            } else {
                b.data.len() + bytes.len() + at
            };
            if !b.resize(grown) {
                return 0;
            }
        }
        b.data[at..end].copy_from_slice(&bytes);
        b.cursor = b.cursor.max(end);
        bytes.len()
    });
    push_len(cx, copied)
}

fn set(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let start = usize::try_from(cx.opt_integer(2, 0)?).unwrap_or(usize::MAX);
    let value = cx.opt_integer(3, 0)? as u8;
    let count = usize::try_from(cx.opt_integer(4, -1)?).unwrap_or(usize::MAX);
    with(cx, id, |b| {
        let start = start.min(b.data.len());
        let end = start.saturating_add(count).min(b.data.len());
        b.data[start..end].fill(value);
    });
    Ok(0)
}

/// Removes a range of the used part; the bytes behind it move up.
fn del(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let at = cx.opt_integer(2, 0)?;
    let count = cx
        .to_integer(3)
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    with(cx, id, |b| {
        let Some(start) = offset(b, at).filter(|start| *start < b.used()) else {
            return;
        };
        let end = start
            .saturating_add(count.unwrap_or(usize::MAX))
            .min(b.used());
        b.data.copy_within(end..b.cursor, start);
        b.cursor -= end - start;
    });
    Ok(0)
}

/// `true, 0` or `false, index` of the first difference; one byte by default.
fn is_equal(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let first = usize::try_from(cx.opt_integer(2, 0)?).unwrap_or(usize::MAX);
    let Some(other) = arg(cx, 3) else {
        return Err(Raise::Argument(
            3,
            format!("ZBUFF* expected, got {}", cx.type_name(3)),
        ));
    };
    let second = usize::try_from(cx.opt_integer(4, 0)?).unwrap_or(usize::MAX);
    let count = usize::try_from(cx.opt_integer(5, 1)?).unwrap_or(0);
    let a = with(cx, id, |b| b.slice(first, count));
    let b = with(cx, other, |b| b.slice(second, count));
    let differs = a.iter().zip(&b).position(|(x, y)| x != y);
    let differs = differs.or((a.len() != b.len()).then_some(a.len().min(b.len())));
    cx.push_boolean(differs.is_none());
    push_len(cx, differs.unwrap_or(0))?;
    Ok(2)
}

fn get(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let at = usize::try_from(cx.check_integer(2)?).ok();
    match at.and_then(|at| with(cx, id, |b| b.data.get(at).copied())) {
        Some(byte) => push_len(cx, byte.into()),
        None => Ok(0),
    }
}

fn free(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    with(cx, id, |b| *b = Zbuff::default());
    Ok(0)
}

/// `buff:toBase64(dst)` of the new core: the used part as text into another
/// buffer; the length it has there.
fn to_base64(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let Some(target) = arg(cx, 2) else {
        return Err(Raise::Argument(
            2,
            format!("ZBUFF* expected, got {}", cx.type_name(2)),
        ));
    };
    let text = with(cx, id, |b| BASE64.encode(&b.slice(0, b.used())));
    let len = with(cx, target, |b| {
        b.cursor = 0;
        b.append(text.as_bytes());
        b.used()
    });
    push_len(cx, len)
}
