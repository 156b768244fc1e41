//! Numbers: read by Nutz's rules, printed by Java's (facts sheet 3.1).

use num_bigint::BigUint;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::{Value, java};

/// The value of a number token, or `None` if it is none.
pub(super) fn read(token: &str) -> Option<Value> {
    let first = token.chars().next()?;
    if !(first.is_ascii_digit() || first == '.' || first == '-') {
        return None;
    }
    let text = if let Some(rest) = token.strip_suffix(['l', 'L']) {
        integer(rest)?
    } else if let Some(rest) = token.strip_suffix(['f', 'F']) {
        // What is left may have a suffix of its own.
        let rest = rest.strip_suffix(['f', 'F']).unwrap_or(rest);
        let value: f32 = java_float(rest)?;
        if value.is_nan() {
            return Some(Value::Null);
        }
        java::float(value)
    } else if token.contains(['e', 'E']) {
        big_decimal(token)?
    } else if token.contains('.') {
        java::double(java_float(token)?)
    } else {
        integer(token)?
    };
    Some(Value::Number(text))
}

/// The digits of every script as ASCII, as `Character.digit` reads them: those of
/// the basic plane, and for hexadecimal the full-width letters too.
pub(super) fn ascii(token: &str, letters: bool) -> String {
    let is_digit = |code: u32| {
        let c = char::from_u32(code);
        c.is_some_and(|c| c.general_category() == GeneralCategory::DecimalNumber)
    };
    let plain = |c: char| match c {
        c if c.is_ascii() => c,
        'Ａ'..='Ｆ' | 'ａ'..='ｆ' if letters => {
            char::from_u32(c as u32 - ('Ａ' as u32 - 'A' as u32)).unwrap_or(c)
        }
        '\u{80}'..='\u{FFFF}' if is_digit(c as u32) => {
            // Digits stand in tens, each from nought to nine.
            let before = (1..).take_while(|back| is_digit(c as u32 - back)).count();
            char::from(b'0' + (before % 10) as u8)
        }
        c => c,
    };
    token.chars().map(plain).collect()
}

fn integer(token: &str) -> Option<String> {
    if token.is_ascii() {
        return ascii_integer(token);
    }
    ascii_integer(&ascii(token, token.starts_with("0x")))
}

fn ascii_integer(token: &str) -> Option<String> {
    if let Some(hex) = token.strip_prefix("0x") {
        return Some(i64::from_str_radix(hex, 16).ok()?.to_string());
    }
    if let Some(octal) = token.strip_prefix('0')
        && let Ok(value) = i64::from_str_radix(octal, 8)
    {
        return Some(value.to_string());
    }
    decimal_integer(token)
}

/// Decimal of any length.
fn decimal_integer(token: &str) -> Option<String> {
    let (negative, digits) = match token.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, token),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.is_empty() {
        return None;
    }
    let trimmed = digits.trim_start_matches('0');
    Some(match (trimmed, negative) {
        ("", _) => "0".to_owned(),
        (digits, true) => format!("-{digits}"),
        (digits, false) => digits.to_owned(),
    })
}

/// The two widths, each read from decimal text without a detour.
trait Real: std::str::FromStr + std::ops::Neg<Output = Self> {
    /// Binary digits, and the exponent of the smallest number.
    const DIGITS: i64;
    const LEAST: i64;
    fn from_wide(value: f64) -> Self;
}

impl Real for f64 {
    const DIGITS: i64 = 53;
    const LEAST: i64 = -1074;
    fn from_wide(value: f64) -> Self {
        value
    }
}

impl Real for f32 {
    const DIGITS: i64 = 24;
    const LEAST: i64 = -149;
    fn from_wide(value: f64) -> Self {
        value as Self
    }
}

/// `Double.parseDouble` and `Float.parseFloat`: trims, takes a type suffix and hexadecimal floats.
fn java_float<F: Real>(token: &str) -> Option<F> {
    let text = token.trim_matches(|c: char| c <= ' ');
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match magnitude {
        "Infinity" => F::from_wide(f64::INFINITY),
        "NaN" => F::from_wide(f64::NAN),
        _ if magnitude.starts_with("0x") || magnitude.starts_with("0X") => hex_float(magnitude)?,
        _ => {
            let plain = magnitude.strip_suffix(['d', 'D']).unwrap_or(magnitude);
            let ok = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
            ok.then(|| plain.parse().ok()).flatten()?
        }
    };
    Some(if negative { -value } else { value })
}

/// `0x1.8p1`; the binary exponent is mandatory. Rounded once, to `F`'s digits.
fn hex_float<F: Real>(text: &str) -> Option<F> {
    let (mantissa, exponent) = text[2..].split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let bits = BigUint::parse_bytes(digits.as_bytes(), 16).filter(|_| digits.is_ascii())?;
    let exponent = exponent.trim_end_matches(['d', 'D']);
    let sign_free = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if sign_free.is_empty() || !sign_free.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // An exponent of more digits than these ends in 0 or infinity all the same.
    let far = if exponent.starts_with('-') {
        -1_000_000_000
    } else {
        1_000_000_000
    };
    let exponent: i64 = exponent
        .parse()
        .unwrap_or(far)
        .clamp(-1_000_000_000, 1_000_000_000);
    let value = nearest(
        &bits,
        exponent - 4 * fraction.len() as i64,
        F::DIGITS,
        F::LEAST,
    );
    Some(F::from_wide(value))
}

/// `bits` times two to the `exponent`, rounded to so many binary digits, half to
/// even; `least` is the exponent of the smallest number there is.
fn nearest(bits: &BigUint, exponent: i64, digits: i64, least: i64) -> f64 {
    let len = bits.bits() as i64;
    if len == 0 {
        return 0.0;
    }
    let top = len + exponent;
    if top > 1100 {
        return f64::INFINITY;
    }
    if top < least - 1 {
        return 0.0;
    }
    let shift = (len - digits).max(least - exponent);
    let kept = if shift <= 0 {
        bits << (-shift) as u64
    } else {
        let mut kept = bits >> shift as u64;
        let half = BigUint::from(1u8) << (shift - 1) as u64;
        let rest = bits - (&kept << shift as u64);
        if rest > half || (rest == half && kept.bit(0)) {
            kept += 1u8;
        }
        kept
    };
    // At most 54 bits, the last of them 0 if so: exact.
    let kept = u64::try_from(kept).unwrap_or(u64::MAX) as f64;
    let power = (exponent + shift) as i32;
    // In two steps, as the power alone may be too small.
    kept * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
}

/// `new BigDecimal(text).toString()`.
fn big_decimal(text: &str) -> Option<String> {
    let text = ascii(text, false);
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: i64 = exponent.parse::<i32>().ok()?.into();
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = fraction.len() as i64 - exponent;
    // Java counts it in 32 bits.
    i32::try_from(scale).ok()?;
    let unscaled = match digits.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    };
    let sign = if negative && unscaled != "0" { "-" } else { "" };
    let adjusted = unscaled.len() as i64 - 1 - scale;
    if scale == 0 {
        return Some(format!("{sign}{unscaled}"));
    }
    if scale > 0 && adjusted >= -6 {
        let scale = scale as usize;
        let padded = format!("{unscaled:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        return Some(format!("{sign}{whole}.{fraction}"));
    }
    let (head, tail) = unscaled.split_at(1);
    let point = if tail.is_empty() {
        String::new()
    } else {
        format!(".{tail}")
    };
    let exponent = if adjusted == 0 {
        String::new()
    } else {
        format!("E{adjusted:+}")
    };
    Some(format!("{sign}{head}{point}{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_count() {
        for (token, expected) in [
            ("1٣", Some("13")),
            ("1\u{1D7D9}", None),
            ("0x１ｆ", Some("31")),
            ("-４２", Some("-42")),
            ("-4२", Some("-42")),
            ("1１２1E-7", Some("0.0001121")),
            ("1.５", None),
            ("0x1.8p-1074", Some("1.0E-323")),
            ("0x0.0p99999999999f", Some("0.0")),
            ("1e-2147483648", None),
        ] {
            let value = read(token).map(|value| match value {
                Value::Number(text) => text,
                other => format!("{other:?}"),
            });
            assert_eq!(value.as_deref(), expected, "{token}");
        }
    }
}
