//! Methods of zbuff objects that move bytes.

use airbench_lua32::{Func, Kind, Raise};

use data_encoding::BASE64;

use crate::args::{Args, Call, Results};
use crate::libs::zbuff::{Zbuff, check, this, too_big, with};
use crate::libs::zbuff_frame::Frame;
use crate::runtime::Runtime;

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
    let whole = with(cx, id, |b| b.data.len());
    let start = usize::try_from(cx.opt_integer(2, 0)?).map_or(whole, |start| start.min(whole));
    let mut len = whole - start;
    if !cx.is_none_or_nil(3) {
        let wanted = cx.check_integer(3)?;
        if wanted < 0 && cx.host().config.core.is_new() {
            cx.host()
                .zbuff_warning("zbuff:toStr length cannot be negative");
            cx.push_bytes(b"");
            return Ok(1);
        }
        // V1112 adds without signs: a negative length that ends before the
        // start is a huge one.
        if let Some(end) = start.checked_add_signed(wanted as isize)
            && end <= whole
        {
            len = usize::try_from(wanted).map_err(|_| too_big())?;
        }
    }
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
        // A negative length is a huge one.
        let len = cx.check_integer(2)?.cast_unsigned() as usize;
        let new = cx.host().config.core.is_new();
        with(cx, id, |b| {
            if b.resize(len) && new {
                b.frame = Frame::default();
            }
        });
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
    let at = with(cx, id, |b| {
        start.map_or(Some(b.used()), |start| offset(b, start))
    });
    let Some(at) = at else {
        return push_len(cx, 0);
    };
    if cx.is_integer(3) {
        let bytes = integers(cx, 3);
        let new = cx.host().config.core.is_new();
        let copied = with(cx, id, |b| copy_bytes(b, at, &bytes, new));
        return push_len(cx, copied);
    }
    let bytes = if let Some(bytes) = cx.to_bytes(3) {
        bytes.to_vec()
    } else if cx.kind(3) == Kind::Userdata {
        match copy_source(cx)? {
            Some(bytes) => bytes,
            None => return push_len(cx, 0),
        }
    } else {
        return push_len(cx, 0);
    };
    let copied = with(cx, id, |b| {
        let end = at.saturating_add(bytes.len());
        if end > b.data.len() && !b.resize(b.data.len() + end) {
            return 0;
        }
        b.data[at..end].copy_from_slice(&bytes);
        b.cursor = b.cursor.max(end);
        bytes.len()
    });
    push_len(cx, copied)
}

/// `copy` from single bytes: where the end is met, the buffer becomes twice as
/// long as what lies before. V1112 notices a byte late, and that byte goes
/// behind the allocation; here it makes the buffer longer by one.
fn copy_bytes(b: &mut Zbuff, start: usize, bytes: &[u8], new: bool) -> usize {
    let mut at = start;
    let mut len = b.data.len();
    for (count, byte) in bytes.iter().enumerate() {
        if at > len || new && at == len {
            len = 2 * at;
            if !b.resize(len) {
                return count;
            }
        }
        if at >= b.data.len() && !b.resize(at + 1) {
            return count;
        }
        b.data[at] = *byte;
        at += 1;
    }
    b.cursor = b.cursor.max(at);
    bytes.len()
}

/// What `copy` takes from another buffer, from argument 4 on; nothing where
/// the new core refuses. V1112 reads on behind the end, here zeros.
fn copy_source(cx: &mut Call<'_>) -> Result<Option<Vec<u8>>, Raise> {
    let source = check(cx, 3)?;
    let from = cx.opt_integer(4, 0)?.cast_unsigned() as usize;
    let (used, whole) = with(cx, source, |b| (b.used(), b.data.len()));
    let len = if cx.is_none_or_nil(5) {
        used
    } else {
        cx.check_integer(5)?.cast_unsigned() as usize
    };
    let new = cx.host().config.core.is_new();
    if new && from.saturating_add(len) > whole {
        cx.host()
            .zbuff_warning("copy range out of source buff, copy refused");
        return Ok(None);
    }
    if len > cx.host().system_heap.free() {
        let target = this(cx)?;
        with(cx, target, |b| b.resize(b.data.len() + len));
        return Ok(None);
    }
    let mut bytes = with(cx, source, |b| b.slice(from, len));
    bytes.resize(len, 0);
    Ok(Some(bytes))
}

fn set(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let value = cx.opt_integer(3, 0)? as u8;
    let start = cx.opt_integer(2, 0)?.cast_unsigned() as usize;
    let whole = with(cx, id, |b| b.data.len());
    let count = if cx.is_none_or_nil(4) {
        whole
    } else {
        cx.check_integer(4)?.cast_unsigned() as usize
    };
    if cx.host().config.core.is_new() && (start >= whole || count > i32::MAX as usize) {
        cx.host()
            .zbuff_warning("set range out of buff, set refused");
        return Ok(0);
    }
    with(cx, id, |b| {
        let start = start.min(whole);
        let end = start.saturating_add(count).min(whole);
        b.data[start..end].fill(value);
    });
    Ok(0)
}

/// Removes a range of the used part; the bytes behind it move up. V1112 moves
/// as many as are used afterwards, so some from behind the used part too.
fn del(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let at = cx.opt_integer(2, 0)?;
    let used = with(cx, id, |b| b.used());
    let Some(start) = with(cx, id, |b| offset(b, at)).filter(|start| *start < used) else {
        return Ok(0);
    };
    let mut len = (used - start) as isize;
    if !cx.is_none_or_nil(3) {
        let wanted = cx.check_integer(3)?;
        if wanted < 0 && cx.host().config.core.is_new() {
            cx.host().zbuff_warning("invalid del length, del refused");
            return Ok(0);
        }
        // A negative length that ends before the start is taken as it is.
        let end = start.checked_add_signed(wanted as isize);
        if end.is_some_and(|end| end <= used) {
            len = wanted as isize;
        }
    }
    let new = cx.host().config.core.is_new();
    with(cx, id, |b| {
        let from = start.saturating_add_signed(len);
        let rest = used.saturating_add_signed(-len).min(b.data.len());
        let moved = if new { used - from } else { rest };
        let moved = moved.min(b.data.len() - from).min(b.data.len() - start);
        if from < used {
            b.data.copy_within(from..from + moved, start);
        }
        b.cursor = rest;
    });
    Ok(0)
}

/// `true, 0` or `false, index` of the first difference; one byte by default.
fn is_equal(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let first = usize::try_from(cx.opt_integer(2, 0)?).unwrap_or(usize::MAX);
    let other = check(cx, 3)?;
    let second = usize::try_from(cx.opt_integer(4, 0)?).unwrap_or(usize::MAX);
    // A negative count is a huge one.
    let count = usize::try_from(cx.opt_integer(5, 1)?).unwrap_or(usize::MAX);
    let whole = with(cx, id, |b| b.data.len()).min(first.saturating_add(count));
    let other_whole = with(cx, other, |b| b.data.len());
    let inside =
        first.saturating_add(count) <= whole && second.saturating_add(count) <= other_whole;
    if !inside && cx.host().config.core.is_new() {
        cx.host().zbuff_warning("isEqual range out of buff");
        cx.push_boolean(false);
        return Ok(1);
    }
    let a = with(cx, id, |b| b.slice(first, count));
    let b = with(cx, other, |b| b.slice(second, count));
    let differs = a.iter().zip(&b).position(|(x, y)| x != y);
    let differs = differs.or((a.len() != b.len()).then_some(a.len().min(b.len())));
    cx.push_boolean(differs.is_none());
    push_len(cx, differs.unwrap_or(0))?;
    Ok(2)
}

/// `buff:get(i)`. Without an index the firmware stumbles over a table of its
/// own on the stack.
fn get(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if cx.kind(2) == Kind::None {
        let text = "number expected, got table".to_owned();
        return Err(Raise::Argument(2, text));
    }
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
    let target = check(cx, 2)?;
    let text = with(cx, id, |b| BASE64.encode(&b.slice(0, b.used())));
    let len = with(cx, target, |b| {
        b.cursor = 0;
        b.append(text.as_bytes());
        b.used()
    });
    push_len(cx, len)
}
