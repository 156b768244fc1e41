//! LuatOS's additions to `string`.

use airbench_lua32::{Func, Kind, Raise};
use data_encoding::{BASE32_NOPAD, BASE64, BASE64_MIME_PERMISSIVE};

use crate::args::{Args, Call, Results};
use crate::runtime::Runtime;

pub(crate) const EXTENSIONS: &[(&str, Func<Runtime>)] = &[
    ("toHex", to_hex),
    ("fromHex", from_hex),
    ("split", split),
    ("trim", trim),
    ("startsWith", starts_with),
    ("endsWith", ends_with),
    ("urlEncode", url_encode),
    ("toValue", to_value),
    ("toBase64", to_base64),
    ("fromBase64", from_base64),
    ("toBase32", to_base32),
    ("fromBase32", from_base32),
];

/// Bytes no string of a script can have: more than the Lua heap.
const LARGEST: usize = 1 << 20;

/// `s:toHex(sep)`: upper case, the separator after every byte; then 2 × #s.
fn to_hex(cx: &mut Call<'_>) -> Results {
    let bytes = cx.check_bytes(1)?;
    let separator = if cx.is_none_or_nil(2) {
        Vec::new()
    } else {
        cx.check_bytes(2)?
    };
    // More than any heap of the board holds raises when it is pushed.
    let bytes_out = bytes.len().saturating_mul(2 + separator.len());
    if bytes_out > LARGEST {
        return Err(Raise::Plain("not enough memory".into()));
    }
    let mut out = Vec::with_capacity(bytes_out);
    for byte in &bytes {
        out.extend_from_slice(format!("{byte:02X}").as_bytes());
        out.extend_from_slice(&separator);
    }
    cx.push_bytes(&out);
    cx.push_integer(i32::try_from(bytes.len() * 2).unwrap_or(i32::MAX));
    Ok(2)
}

/// `s:fromHex()`: what is no digit resets the pending half byte.
fn from_hex(cx: &mut Call<'_>) -> Results {
    let text = cx.check_bytes(1)?;
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut pending: Option<u8> = None;
    for c in text {
        let digit = char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok());
        pending = match (pending, digit) {
            (Some(high), Some(low)) => {
                out.push(high << 4 | low);
                None
            }
            (_, digit) => digit,
        };
    }
    cx.push_bytes(&out);
    Ok(1)
}

/// Position of `needle` in `hay`.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}

/// `s:split(delimiter, keepEmpty)`: the delimiter is mandatory on V1112.
fn split(cx: &mut Call<'_>) -> Results {
    let text = cx.check_bytes(1)?;
    let delimiter = if cx.is_none_or_nil(2) && cx.host().config.core.is_new() {
        b",".to_vec()
    } else {
        cx.check_bytes(2)?
    };
    let keep = cx.to_boolean(3);
    cx.push_table(4, 0);
    let mut index = 0;
    let mut put = |cx: &mut Call<'_>, piece: &[u8]| {
        if keep || !piece.is_empty() {
            index += 1;
            cx.push_bytes(piece);
            cx.set_item(-2, index);
        }
    };
    if text.is_empty() {
        return Ok(1);
    }
    if delimiter.is_empty() {
        put(cx, &text);
        return Ok(1);
    }
    let mut rest = text.as_slice();
    while let Some(at) = find(rest, &delimiter) {
        put(cx, &rest[..at]);
        rest = &rest[at + delimiter.len()..];
    }
    put(cx, rest);
    Ok(1)
}

fn trim(cx: &mut Call<'_>) -> Results {
    let text = cx.check_bytes(1)?;
    let wanted = |cx: &Call<'_>, index| cx.kind(index) != Kind::Boolean || cx.to_boolean(index);
    let mut slice = text.as_slice();
    let blank = |c: &u8| matches!(c, b' ' | b'\t' | b'\r' | b'\n' | 0x0B | 0x0C);
    if wanted(cx, 2) {
        let start = slice.iter().position(|c| !blank(c)).unwrap_or(slice.len());
        slice = &slice[start..];
    }
    if wanted(cx, 3) {
        let end = slice.iter().rposition(|c| !blank(c)).map_or(0, |at| at + 1);
        slice = &slice[..end];
    }
    let slice = slice.to_vec();
    cx.push_bytes(&slice);
    Ok(1)
}

fn starts_with(cx: &mut Call<'_>) -> Results {
    let (text, prefix) = (cx.check_bytes(1)?, cx.check_bytes(2)?);
    cx.push_boolean(text.starts_with(&prefix));
    Ok(1)
}

fn ends_with(cx: &mut Call<'_>) -> Results {
    let (text, suffix) = (cx.check_bytes(1)?, cx.check_bytes(2)?);
    cx.push_boolean(text.ends_with(&suffix));
    Ok(1)
}

/// `s:urlEncode(mode, space, keep)`: 0 form encoding, 1 RFC 3986, -1 custom.
fn url_encode(cx: &mut Call<'_>) -> Results {
    let text = cx.check_bytes(1)?;
    let (space, kept) = match cx.opt_integer(2, 0)? {
        1 => (false, b".-_".to_vec()),
        -1 => (
            cx.opt_integer(3, 0)? == 0,
            cx.to_bytes(4).unwrap_or_default().to_vec(),
        ),
        _ => (true, b".-*_".to_vec()),
    };
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            c if c.is_ascii_alphanumeric() || kept.contains(&c) => out.push(c),
            b' ' if space => out.push(b'+'),
            c => out.extend_from_slice(format!("%{c:02X}").as_bytes()),
        }
    }
    cx.push_bytes(&out);
    Ok(1)
}

/// `s:toValue()`: digits become their values, then how many there are.
fn to_value(cx: &mut Call<'_>) -> Results {
    let text = cx.check_bytes(1)?;
    // Meant for hexadecimal digits, done to every byte.
    let value = |c: &u8| (if *c > b'9' { c.wrapping_add(9) } else { *c }) & 0x0F;
    let out: Vec<u8> = text.iter().map(value).collect();
    cx.push_bytes(&out);
    cx.push_integer(i32::try_from(out.len()).unwrap_or(i32::MAX));
    Ok(2)
}

pub(crate) fn to_base64(cx: &mut Call<'_>) -> Results {
    let text = BASE64.encode(&cx.check_bytes(1)?);
    cx.push_bytes(text.as_bytes());
    Ok(1)
}

/// An empty string on failure; line ends do not count, and neither do spaces
/// before them. Only whole groups of four give bytes.
pub(crate) fn from_base64(cx: &mut Call<'_>) -> Results {
    let bytes = base64_bytes(&cx.check_bytes(1)?);
    cx.push_bytes(&bytes);
    Ok(1)
}

/// What a base-64 text says, as mbedTLS reads it; nothing if it is none.
pub(crate) fn base64_bytes(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|c| *c == b'\n');
    let mut text: Vec<u8> = lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .flat_map(|line| line.trim_ascii_end().iter().copied())
        .collect();
    let digits = text.iter().take_while(|c| **c != b'=').count();
    if !text[digits..].iter().all(|c| *c == b'=') || text.len() - digits > 2 {
        text.clear();
    }
    text.truncate(text.len() / 4 * 4);
    BASE64_MIME_PERMISSIVE.decode(&text).unwrap_or_default()
}

fn to_base32(cx: &mut Call<'_>) -> Results {
    let text = BASE32_NOPAD.encode(&cx.check_bytes(1)?);
    cx.push_bytes(text.as_bytes());
    Ok(1)
}

/// Padding is optional on the way in; illegal input gives an empty string.
fn from_base32(cx: &mut Call<'_>) -> Results {
    let text = cx.check_bytes(1)?;
    // The new core takes no padding.
    let bytes = if cx.host().config.core.is_new() && text.contains(&b'=') {
        Vec::new()
    } else {
        base32_bytes(&text)
    };
    cx.push_bytes(&bytes);
    Ok(1)
}

/// What a base-32 text says; nothing if it is none. Either case, blanks and
/// dashes skipped, digits that look like letters taken for them, a part of a
/// group at the end gives the whole bytes in it.
pub(crate) fn base32_bytes(text: &[u8]) -> Vec<u8> {
    let padding = text.iter().rev().take_while(|c| **c == b'=').count();
    let (mut bits, mut count) = (0u32, 0);
    let mut out = Vec::new();
    for c in &text[..text.len() - padding] {
        let value = match c.to_ascii_uppercase() {
            b' ' | b'\t' | b'\r' | b'\n' | b'-' => continue,
            b'0' => b'O' - b'A',
            b'1' => b'L' - b'A',
            b'8' => b'B' - b'A',
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return Vec::new(),
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}
