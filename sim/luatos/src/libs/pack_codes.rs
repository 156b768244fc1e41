//! The pack language of zbuff: codes, repeat counts, byte order.

use airbench_lua32::Raise;

use crate::args::{Args, Call};

/// A value read from bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// An integer, cut to 32 bits.
    Integer(i32),
    /// A float.
    Float(f32),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What differs between the users of the language.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dialect {
    /// `z`, `p`, `P` and `a` are known (the pack library).
    pub(crate) strings: bool,
    /// `l` and `L` have eight bytes (the new core).
    pub(crate) wide_long: bool,
    /// `A5` packs five characters instead of repeating `A` (the new pack
    /// library).
    pub(crate) sized: bool,
}

/// One code of a format: letter, repeat count (if given), byte order. What it
/// is shows only when it is used.
struct Code {
    letter: u8,
    count: Option<usize>,
    big: bool,
}

/// Walks through a format.
struct Codes<'a> {
    rest: &'a [u8],
    big: bool,
}

impl<'a> Codes<'a> {
    fn new(format: &'a [u8]) -> Self {
        Self {
            rest: format,
            big: false,
        }
    }
}

impl Iterator for Codes<'_> {
    type Item = Code;

    /// The next code that stands for values, or is none at all. Byte orders and
    /// blanks are passed over; any code with a count of 0 does nothing.
    fn next(&mut self) -> Option<Code> {
        loop {
            let (letter, rest) = self.rest.split_first()?;
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (number, rest) = rest.split_at(digits);
            self.rest = rest;
            let count = std::str::from_utf8(number)
                .ok()
                .filter(|text| !text.is_empty())
                .map(|text| text.parse().unwrap_or(usize::MAX));
            match letter {
                b'<' | b'=' if count != Some(0) => self.big = false,
                b'>' if count != Some(0) => self.big = true,
                b'<' | b'=' | b'>' | b' ' | b',' => {}
                letter => {
                    return Some(Code {
                        letter: *letter,
                        count,
                        big: self.big,
                    });
                }
            }
        }
    }
}

impl Code {
    /// Complains about letters that mean nothing.
    fn check(&self, dialect: Dialect) -> Result<(), Raise> {
        if b"AfdncbhHiIlL".contains(&self.letter)
            || (dialect.strings && b"zpPa".contains(&self.letter))
        {
            return Ok(());
        }
        let text = format!("bad code `{}'", char::from(self.letter));
        Err(Raise::Argument(1, text))
    }
}

/// Bytes of one value of a code.
fn width(letter: u8, dialect: Dialect) -> usize {
    match letter {
        b'c' | b'b' | b'A' | b'p' => 1,
        b'h' | b'H' | b'P' => 2,
        b'd' => 8,
        b'l' | b'L' if dialect.wide_long => 8,
        // `l` is a C long on V1112, `a` counts with a size_t.
        _ => 4,
    }
}

fn ordered(mut bytes: Vec<u8>, big: bool) -> Vec<u8> {
    if big {
        bytes.reverse();
    }
    bytes
}

/// Up to eight bytes as an integer, sign-extended or not, cut to 32 bits.
pub(crate) fn integer(bytes: &[u8], big: bool, signed: bool) -> i32 {
    let bytes = ordered(bytes.to_vec(), big);
    let negative = signed && bytes.last().is_some_and(|top| top & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(&bytes);
    i64::from_le_bytes(wide) as i32
}

/// Four or eight bytes as a float.
pub(crate) fn float(bytes: &[u8], big: bool) -> f32 {
    let bytes = ordered(bytes.to_vec(), big);
    match (
        <[u8; 4]>::try_from(bytes.as_slice()),
        <[u8; 8]>::try_from(bytes.as_slice()),
    ) {
        (Ok(four), _) => f32::from_le_bytes(four),
        (_, Ok(eight)) => f64::from_le_bytes(eight) as f32,
        _ => 0.0,
    }
}

/// Packs arguments from `first` on behind `out` until that is `room` long. What
/// came before an error is there all the same.
pub(crate) fn pack(
    cx: &Call<'_>,
    format: &[u8],
    first: i32,
    room: usize,
    dialect: Dialect,
    out: &mut Vec<u8>,
) -> Result<(), Raise> {
    let mut arg = first;
    for code in Codes::new(format) {
        let (mut repeat, mut size) = (code.count.unwrap_or(1), None);
        if let (b'A', true, Some(count)) = (code.letter, dialect.sized, code.count) {
            (repeat, size) = (1, Some(count.min(room)));
        }
        for _ in 0..repeat {
            if out.len() == room {
                return Ok(());
            }
            code.check(dialect)?;
            let bytes = value(cx, &code, arg, size, dialect)?;
            arg += 1;
            let left = room - out.len();
            out.extend_from_slice(&bytes[..bytes.len().min(left)]);
        }
    }
    Ok(())
}

/// The bytes of one argument.
fn value(
    cx: &Call<'_>,
    code: &Code,
    arg: i32,
    size: Option<usize>,
    dialect: Dialect,
) -> Result<Vec<u8>, Raise> {
    Ok(match code.letter {
        b'A' => {
            let mut bytes = cx.check_bytes(arg)?;
            bytes.resize(size.unwrap_or(bytes.len()), 0);
            bytes
        }
        b'z' => [cx.check_bytes(arg)?, vec![0]].concat(),
        letter @ (b'p' | b'P' | b'a') => {
            let text = cx.check_bytes(arg)?;
            let len = text.len().to_le_bytes()[..width(letter, dialect)].to_vec();
            [ordered(len, code.big), text].concat()
        }
        b'f' | b'n' => ordered(cx.check_number(arg)?.to_le_bytes().to_vec(), code.big),
        b'd' => {
            let value = f64::from(cx.check_number(arg)?);
            ordered(value.to_le_bytes().to_vec(), code.big)
        }
        letter => {
            let value = i64::from(cx.check_integer(arg)?).to_le_bytes();
            ordered(value[..width(letter, dialect)].to_vec(), code.big)
        }
    })
}

/// Unpacks values; stops where the data ends. Gives the bytes used.
pub(crate) fn unpack(
    format: &[u8],
    data: &[u8],
    dialect: Dialect,
) -> Result<(usize, Vec<Value>), Raise> {
    let mut at = 0usize;
    let mut values = Vec::new();
    for code in Codes::new(format) {
        if code.letter == b'A' {
            let len = code.count.unwrap_or(1);
            let Some(bytes) = data.get(at..at.saturating_add(len)) else {
                break;
            };
            values.push(Value::Bytes(bytes.to_vec()));
            at += len;
            continue;
        }
        for _ in 0..code.count.unwrap_or(1) {
            code.check(dialect)?;
            if b"zpPa".contains(&code.letter) {
                let Some((bytes, used)) = text(&code, &data[at..], dialect) else {
                    return Ok((at, values));
                };
                values.push(Value::Bytes(bytes.to_vec()));
                at = (at + used).min(data.len() + 1);
                if at > data.len() {
                    return Ok((at, values));
                }
                continue;
            }
            let width = width(code.letter, dialect);
            let Some(bytes) = data.get(at..at + width) else {
                return Ok((at, values));
            };
            at += width;
            values.push(match code.letter {
                b'f' | b'd' | b'n' => Value::Float(float(bytes, code.big)),
                letter => {
                    let signed = matches!(letter, b'c' | b'h' | b'i' | b'l');
                    Value::Integer(integer(bytes, code.big, signed))
                }
            });
        }
    }
    Ok((at, values))
}

/// A string with its own end or length, and the bytes it takes.
fn text<'a>(code: &Code, data: &'a [u8], dialect: Dialect) -> Option<(&'a [u8], usize)> {
    if code.letter == b'z' {
        let len = data.iter().position(|byte| *byte == 0);
        // The terminator counts even where the data end without one.
        let len = len.unwrap_or(data.len());
        return (!data.is_empty()).then(|| (&data[..len], len + 1));
    }
    let width = width(code.letter, dialect);
    let head = ordered(data.get(..width)?.to_vec(), code.big);
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(&head);
    let len = usize::try_from(u64::from_le_bytes(wide)).ok()?;
    let end = width.checked_add(len)?;
    Some((data.get(width..end)?, end))
}
