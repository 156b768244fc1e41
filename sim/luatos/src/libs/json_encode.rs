//! Values to JSON text.

use airbench_lua32::{Kind, format_number};

use crate::args::Call;
use crate::libs::json::DEPTH;

/// Format of floats unless the script gives another.
const FLOAT: &str = "%.7f";
/// Arrays with more holes than this many times their items are refused …
const SPARSE_RATIO: i64 = 2;
/// … from this length on.
const SPARSE_SAFE: i64 = 10;

/// The text of the value at `index`.
pub(super) fn encode(
    cx: &mut Call<'_>,
    index: i32,
    format: Option<&str>,
) -> Result<Vec<u8>, String> {
    if cx.kind(index) == Kind::Nil {
        return Ok(Vec::new());
    }
    let new = cx.host().config.core.is_new();
    let format = match format.map(float_format) {
        Some(None) if new => return Err("invalid float format".to_owned()),
        Some(Some(format)) => format,
        _ => FLOAT.to_owned(),
    };
    let mut encoder = Encoder {
        escape_slash: !new,
        out: Vec::with_capacity(64),
        size: BUFFER,
        free: cx.host().system_heap.free(),
        format,
    };
    cx.push_value(index);
    let top = cx.top();
    let result = encoder.value(cx, 0);
    cx.set_top(top - 1);
    result.map(|()| encoder.out)
}

/// A script's float format: `<digits>f`, `<digits>g`, or a whole `%…` one.
/// V1112 ignores what it does not understand.
fn float_format(text: &str) -> Option<String> {
    if !(2..=7).contains(&text.len()) || !text.is_ascii() {
        return None;
    }
    let (digits, letter) = text.split_at(text.len() - 1);
    if letter != "f" && letter != "g" {
        return None;
    }
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if is_digits(digits) {
        return Some(format!("%.{digits}{letter}"));
    }
    let rest = digits.strip_prefix('%')?;
    rest.bytes()
        .all(|b| b.is_ascii_digit() || b == b'.')
        .then(|| text.to_owned())
}

/// Bytes of the buffer to begin with, and least by which it grows.
const BUFFER: usize = 1023;
/// Bytes of a number with its NUL; what is longer is cut to it, though not its
/// length.
const NUMBER: usize = 32;
/// What `encode` answers to such a text; the firmware logs it and gives nil.
pub(super) const OUT_OF_MEMORY: &str = "out of memory";

struct Encoder {
    /// V1112 writes `/` as `\/`.
    escape_slash: bool,
    out: Vec<u8>,
    /// Bytes the firmware's buffer has now, and what the system heap had free.
    size: usize,
    free: usize,
    format: String,
}

impl Encoder {
    /// Appends the value on top of the stack.
    fn value(&mut self, cx: &mut Call<'_>, depth: usize) -> Result<(), String> {
        self.ensure(8)?;
        match cx.kind(-1) {
            Kind::String => self.string(cx.to_bytes(-1).unwrap_or_default())?,
            Kind::Number => self.number(cx)?,
            Kind::Boolean => {
                let text: &[u8] = if cx.to_boolean(-1) { b"true" } else { b"false" };
                self.out.extend_from_slice(text);
            }
            Kind::Nil => self.out.extend_from_slice(b"null"),
            Kind::LightUserdata if cx.address(-1) == 0 => self.out.extend_from_slice(b"null"),
            Kind::Table => {
                if depth >= DEPTH {
                    return Err(format!(
                        "Cannot serialise, excessive nesting ({})",
                        depth + 1
                    ));
                }
                match array_length(cx)? {
                    Some(length) => self.array(cx, length, depth + 1)?,
                    None => self.object(cx, depth + 1)?,
                }
            }
            _ => {
                return Err(format!(
                    "Cannot serialise {}: type not supported",
                    cx.kind_name(-1)
                ));
            }
        }
        Ok(())
    }

    /// Makes room in the system heap, which must hold the old buffer beside the
    /// new one.
    fn ensure(&mut self, more: usize) -> Result<(), String> {
        let needed = self.out.len() + more + 1;
        if needed <= self.size {
            return Ok(());
        }
        let grown = needed.max(self.size + BUFFER) + 1;
        if self.size + grown > self.free {
            return Err(OUT_OF_MEMORY.to_owned());
        }
        self.size = grown;
        Ok(())
    }

    fn number(&mut self, cx: &Call<'_>) -> Result<(), String> {
        self.ensure(NUMBER)?;
        if cx.is_integer(-1) {
            let value = cx.to_integer(-1).unwrap_or(0);
            self.out.extend_from_slice(value.to_string().as_bytes());
            return Ok(());
        }
        let value = cx.to_number(-1).unwrap_or(0.0);
        if !value.is_finite() {
            return Err("Cannot serialise number: must not be NaN or Inf".to_owned());
        }
        // Compared in double precision: FLT_EPSILON itself still prints 0.
        if f64::from(value).abs() <= f64::from(f32::EPSILON) {
            self.out.push(b'0');
        } else {
            let text = format_number(&self.format, f64::from(value));
            let shown = text.len().min(NUMBER - 1);
            let end = self.out.len() + text.len();
            self.out.extend_from_slice(&text.as_bytes()[..shown]);
            self.out.resize(end, 0);
        }
        Ok(())
    }

    /// The firmware makes room for the case that every byte is escaped.
    fn string(&mut self, text: &[u8]) -> Result<(), String> {
        self.ensure(text.len() * 6 + 2)?;
        self.out.push(b'"');
        for &byte in text {
            match byte {
                b'/' if !self.escape_slash => self.out.push(byte),
                b'"' | b'\\' | b'/' => self.out.extend_from_slice(&[b'\\', byte]),
                8 => self.out.extend_from_slice(b"\\b"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                12 => self.out.extend_from_slice(b"\\f"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                0..=31 | 127 => self
                    .out
                    .extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => self.out.push(byte),
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn array(&mut self, cx: &mut Call<'_>, length: i64, depth: usize) -> Result<(), String> {
        self.out.push(b'[');
        let table = cx.top();
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',');
            }
            cx.get_item(table, index as i32);
            self.value(cx, depth)?;
            cx.pop(1);
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, cx: &mut Call<'_>, depth: usize) -> Result<(), String> {
        self.out.push(b'{');
        let table = cx.top();
        let mut first = true;
        cx.push_nil();
        while cx.next(table) {
            if !first {
                self.out.push(b',');
            }
            first = false;
            match cx.kind(-2) {
                Kind::String => self.string(cx.to_bytes(-2).unwrap_or_default())?,
                Kind::Number => {
                    self.out.push(b'"');
                    cx.push_value(-2);
                    self.number(cx)?;
                    cx.pop(1);
                    self.out.push(b'"');
                }
                _ => {
                    let key = cx.kind_name(-2);
                    return Err(format!(
                        "Cannot serialise {key}: table key must be a number or string"
                    ));
                }
            }
            self.out.push(b':');
            self.value(cx, depth)?;
            cx.pop(1);
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// The length of the table on top if it is an array: not empty, all keys whole
/// numbers from 1 on, and not too sparse.
fn array_length(cx: &mut Call<'_>) -> Result<Option<i64>, String> {
    let table = cx.top();
    let (mut longest, mut items) = (0i64, 0i64);
    cx.push_nil();
    while cx.next(table) {
        let key = (cx.kind(-2) == Kind::Number)
            .then(|| cx.to_integer(-2))
            .flatten();
        match key {
            Some(key @ 1..) => {
                longest = longest.max(key.into());
                items += 1;
                cx.pop(1);
            }
            _ => {
                cx.pop(2);
                return Ok(None);
            }
        }
    }
    if longest > items * SPARSE_RATIO && longest > SPARSE_SAFE {
        return Err("Cannot serialise table: excessively sparse array".to_owned());
    }
    Ok((items > 0).then_some(longest))
}
