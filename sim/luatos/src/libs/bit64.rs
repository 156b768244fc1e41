//! `bit64`: 64-bit numbers as nine bytes: eight of value, one that says float.

use airbench_lua32::format_number;

use crate::args::{Args, Call, Results};
use crate::libs::Library;

pub(crate) const LIBRARY: Library = Library {
    name: "bit64",
    functions: &[
        ("to32", to32),
        ("to64", to64),
        ("plus", |cx| calculate(cx, Operation::Plus)),
        ("minus", |cx| calculate(cx, Operation::Minus)),
        ("multi", |cx| calculate(cx, Operation::Times)),
        ("pide", |cx| calculate(cx, Operation::Divide)),
        ("shift", shift),
        ("show", show),
        ("strtoll", strtoll),
    ],
    constants: &[],
};

#[derive(Debug, Clone, Copy)]
enum Operation {
    Plus,
    Minus,
    Times,
    Divide,
}

#[derive(Debug, Clone, Copy)]
enum Wide {
    Integer(i64),
    Float(f64),
}

impl Wide {
    fn read(bytes: &[u8]) -> Option<Self> {
        let value: [u8; 8] = bytes.get(..8)?.try_into().ok()?;
        match bytes[8..] {
            [0] => Some(Self::Integer(i64::from_le_bytes(value))),
            [_] => Some(Self::Float(f64::from_le_bytes(value))),
            _ => None,
        }
    }

    fn bytes(self) -> [u8; 9] {
        let mut out = [0; 9];
        match self {
            Self::Integer(n) => out[..8].copy_from_slice(&n.to_le_bytes()),
            Self::Float(x) => {
                out[..8].copy_from_slice(&x.to_le_bytes());
                out[8] = 1;
            }
        }
        out
    }

    fn float(self) -> f64 {
        match self {
            Self::Integer(n) => n as f64,
            Self::Float(x) => x,
        }
    }
}

fn push(cx: &mut Call<'_>, value: Wide) -> Results {
    cx.push_bytes(&value.bytes());
    Ok(1)
}

fn to32(cx: &mut Call<'_>) -> Results {
    match Wide::read(&cx.check_bytes(1)?) {
        Some(Wide::Integer(n)) => cx.push_integer(n as i32),
        Some(Wide::Float(x)) => cx.push_number(x as f32),
        None => cx.push_nil(),
    }
    Ok(1)
}

/// A negative integer is not sign-extended: it goes through an unsigned one.
fn to64(cx: &mut Call<'_>) -> Results {
    let value = if cx.is_integer(1) {
        Wide::Integer(i64::from(cx.to_integer(1).unwrap_or(0).cast_unsigned()))
    } else {
        cx.to_number(1)
            .map_or(Wide::Integer(0), |x| Wide::Float(x.into()))
    };
    push(cx, value)
}

fn show(cx: &mut Call<'_>) -> Results {
    let Some(value) = Wide::read(&cx.check_bytes(1)?) else {
        cx.push_nil();
        return Ok(1);
    };
    let hexadecimal = cx.opt_integer(2, 10)? as u8 == 16;
    let unsigned = cx.to_boolean(3);
    let text = match (value, hexadecimal) {
        (Wide::Integer(n), true) => format!("{n:#x}"),
        (Wide::Float(x), true) => format!("{:#x}", x.to_bits()),
        (Wide::Integer(n), false) if unsigned => n.cast_unsigned().to_string(),
        (Wide::Integer(n), false) => n.to_string(),
        (Wide::Float(x), false) => format_number("%f", x),
    };
    cx.push_bytes(text.as_bytes());
    Ok(1)
}

/// `op(a, b, unsigned, as integer)`; nine zero bytes for what is no number.
fn calculate(cx: &mut Call<'_>, operation: Operation) -> Results {
    let a = Wide::read(&cx.check_bytes(1)?);
    let b = if cx.is_integer(2) {
        cx.to_integer(2).map(|n| Wide::Integer(n.into()))
    } else if let Some(x) = cx.to_number(2).filter(|_| a.is_some()) {
        Some(Wide::Float(x.into()))
    } else if a.is_some() {
        Wide::read(&cx.check_bytes(2)?)
    } else {
        None
    };
    let (Some(a), Some(b)) = (a, b) else {
        return push(cx, Wide::Integer(0));
    };
    let result = match (a, b) {
        (Wide::Integer(a), Wide::Integer(b)) => {
            Wide::Integer(integers(operation, a, b, cx.to_boolean(3)))
        }
        _ => {
            let (a, b) = (a.float(), b.float());
            let x = match operation {
                Operation::Plus => a + b,
                Operation::Minus => a - b,
                Operation::Times => a * b,
                Operation::Divide => a / b,
            };
            if cx.to_boolean(4) {
                Wide::Integer(whole(x))
            } else {
                Wide::Float(x)
            }
        }
    };
    push(cx, result)
}

/// A division by zero, which the compiler's run-time library answers: the largest
/// number of the sign, or all ones.
fn divided_by_zero(a: i64, unsigned: bool) -> i64 {
    match a.signum() {
        0 => 0,
        _ if unsigned => -1,
        1 => i64::MAX,
        _ => i64::MIN,
    }
}

/// A float as an integer, as that library converts it: modulo 2^64, and infinity
/// to -1 or 1.
fn whole(x: f64) -> i64 {
    if x.is_infinite() {
        return -(x.signum() as i64);
    }
    // Exact: a remainder of floats is never rounded. Not a number gives 0.
    let rest = (x.trunc().abs() % 2f64.powi(64)) as u64;
    let rest = rest.cast_signed();
    if x < 0.0 { rest.wrapping_neg() } else { rest }
}

/// Wraps.
fn integers(operation: Operation, a: i64, b: i64, unsigned: bool) -> i64 {
    match operation {
        Operation::Plus => a.wrapping_add(b),
        Operation::Minus => a.wrapping_sub(b),
        Operation::Times => a.wrapping_mul(b),
        Operation::Divide if b == 0 => divided_by_zero(a, unsigned),
        Operation::Divide if unsigned => (a.cast_unsigned() / b.cast_unsigned()).cast_signed(),
        Operation::Divide => a.wrapping_div(b),
    }
}

/// `shift(a, bits, left)`; what cannot be shifted comes back as it is.
fn shift(cx: &mut Call<'_>) -> Results {
    let mut bytes = cx.check_bytes(1)?;
    let bits = if cx.is_integer(2) {
        cx.to_integer(2).unwrap_or(0)
    } else {
        0
    };
    if bytes.len() == 9 && bits != 0 {
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[..8]);
        let value = u64::from_le_bytes(value);
        let bits = bits.cast_unsigned();
        let shifted = if cx.to_boolean(3) {
            value.checked_shl(bits)
        } else {
            value.checked_shr(bits)
        };
        bytes[..8].copy_from_slice(&shifted.unwrap_or(0).to_le_bytes());
    }
    cx.push_bytes(&bytes);
    Ok(1)
}

/// C's `strtoll`: leading space, a sign, digits until one does not fit.
fn strtoll(cx: &mut Call<'_>) -> Results {
    let text = cx.check_text(1)?;
    let base = cx.opt_integer(2, 10)?;
    if text.is_empty() {
        return Ok(0);
    }
    let rest = text.trim_start();
    let (negative, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix('+').unwrap_or(rest)),
    };
    let prefixed = rest
        .strip_prefix("0x")
        .or_else(|| rest.strip_prefix("0X"))
        .filter(|_| base == 0 || base == 16);
    let (base, digits) = match prefixed {
        Some(digits) => (16, digits),
        None if base == 0 && rest.starts_with('0') => (8, rest),
        None if base == 0 => (10, rest),
        None => (base, rest),
    };
    let base = u32::try_from(base).ok().filter(|b| (2..=36).contains(b));
    let value = base.map_or(0, |base| {
        let digits = digits.chars().map_while(|c| c.to_digit(base));
        let magnitude = digits.fold(0i128, |sum, digit| {
            (sum * i128::from(base) + i128::from(digit)).min(i128::from(u64::MAX))
        });
        let signed = if negative { -magnitude } else { magnitude };
        signed.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    });
    push(cx, Wide::Integer(value))
}
