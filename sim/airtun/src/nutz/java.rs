//! `Double.toString` and `Float.toString` as they were before JDK 19: the
//! digits are often, but not always, the shortest that read back the same.
//!
//! The digit generation works on fractions `b / s` with a margin `m`, in 32 or
//! 64 bits where the operands are known to fit, and there an overflow of the
//! margin shows in the digits.

use num_bigint::BigInt;

/// Digits of a positive number and the place of its point: `0.DIGITS * 10^point`.
struct Decimal {
    digits: Vec<u8>,
    point: i32,
}

/// A binary number: `fraction * 2^(exponent - 52)`, the fraction's bit 52 set.
#[derive(Clone, Copy)]
struct Binary {
    fraction: u64,
    exponent: i32,
    /// Bits that carry information.
    significant: i32,
}

/// `Double.toString`.
pub(super) fn double(value: f64) -> String {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = (bits >> 52 & 0x7FF) as i32;
    show(
        value.is_sign_negative(),
        value.is_infinite(),
        binary(fraction, exponent, 53, 1023),
    )
}

/// `Float.toString`.
pub(super) fn float(value: f32) -> String {
    let bits = value.to_bits();
    let fraction = u64::from(bits & ((1 << 23) - 1)) << 29;
    let exponent = (bits >> 23 & 0xFF) as i32;
    show(
        value.is_sign_negative(),
        value.is_infinite(),
        binary(fraction, exponent, 24, 127),
    )
}

/// Takes an IEEE number apart; none for zero.
fn binary(fraction: u64, exponent: i32, significant: i32, bias: i32) -> Option<Binary> {
    if exponent > 0 {
        return Some(Binary {
            fraction: fraction | 1 << 52,
            exponent: exponent - bias,
            significant,
        });
    }
    if fraction == 0 {
        return None;
    }
    // Subnormal: fewer bits, moved to their place.
    let shift = 52 - (63 - fraction.leading_zeros() as i32);
    Some(Binary {
        fraction: fraction << shift,
        exponent: 1 - bias - shift,
        significant: significant - shift,
    })
}

fn show(negative: bool, infinite: bool, number: Option<Binary>) -> String {
    let sign = if negative { "-" } else { "" };
    if infinite {
        return format!("{sign}Infinity");
    }
    let Some(number) = number else {
        return format!("{sign}0.0");
    };
    let Decimal { digits, point } = decimal(number);
    let digits: String = digits
        .iter()
        .map(|digit| char::from(b'0' + digit))
        .collect();
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        rest => rest,
    };
    let or_zero = |text: &str| if text.is_empty() { "0" } else { text }.to_owned();
    match point {
        1..8 => {
            let point = point as usize;
            let whole = format!("{:0<point$}", &digits[..point.min(digits.len())]);
            let tail = or_zero(digits.get(point..).unwrap_or_default());
            format!("{sign}{whole}.{tail}")
        }
        -2..=0 => format!(
            "{sign}0.{}{digits}",
            "0".repeat(point.unsigned_abs() as usize)
        ),
        _ => {
            let (head, tail) = digits.split_at(1);
            format!("{sign}{head}.{}E{}", or_zero(tail), point - 1)
        }
    }
}

fn decimal(number: Binary) -> Decimal {
    let trailing = number.fraction.trailing_zeros() as i32;
    let bits = 53 - trailing;
    // Binary digits behind the point.
    let behind = (bits - number.exponent - 1).max(0);
    if behind == 0 && (-21..=62).contains(&number.exponent) {
        whole(number)
    } else {
        Fraction::new(number, trailing, bits, behind).digits()
    }
}

/// Whole numbers below 2^63: printed as such, without the digits that their
/// bits do not reach.
fn whole(number: Binary) -> Decimal {
    let shift = number.exponent - 52;
    let mut value = if shift >= 0 {
        number.fraction << shift
    } else {
        number.fraction >> -shift
    };
    let excess = number.exponent - number.significant - 1;
    let cut = if excess > 1 {
        (f64::from(excess) * core::f64::consts::LOG10_2) as u32
    } else {
        0
    };
    if cut > 0 {
        let unit = 10u64.pow(cut);
        let rest = value % unit;
        value = value / unit + u64::from(rest >= unit / 2);
    }
    let digits: Vec<u8> = value.to_string().bytes().map(|byte| byte - b'0').collect();
    let point = digits.len() as i32 + cut as i32;
    Decimal { digits, point }
}

/// Width of the arithmetic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Small(u32),
    Big,
}

/// `b / s`, with half the distance to the neighbours as `m / s`.
struct Fraction {
    b: BigInt,
    s: BigInt,
    m: BigInt,
    width: Width,
    /// Power of ten of the first digit.
    place: i32,
}

/// Bits of a power of five; a rough figure for large ones.
fn bits_of_power(power: i32) -> i32 {
    match power {
        0 => 0,
        1..=26 => BigInt::from(5).pow(power as u32).bits() as i32,
        _ => power * 3,
    }
}

impl Fraction {
    fn new(number: Binary, trailing: i32, bits: i32, behind: i32) -> Self {
        // Java's own figure, which is not quite the logarithm.
        #[expect(clippy::approx_constant)]
        const LOG10_2: f64 = 0.301_029_995_663_981;
        let mantissa = number.fraction as f64 / (1u64 << 52) as f64;
        let place = ((mantissa - 1.5) * 0.289_529_654
            + 0.176_091_259
            + f64::from(number.exponent) * LOG10_2)
            .floor() as i32;
        let (b5, s5) = ((-place).max(0), place.max(0));
        let mut b2 = b5 + behind + number.exponent;
        let mut s2 = s5 + behind;
        let mut m2 = b2 - number.significant;
        b2 -= bits - 1;
        let common = b2.min(s2);
        b2 -= common;
        s2 -= common;
        m2 -= common;
        if bits == 1 {
            // A power of two has its lower neighbour nearer.
            m2 -= 1;
        }
        if m2 < 0 {
            b2 -= m2;
            s2 -= m2;
            m2 = 0;
        }
        let of_b = bits + b2 + bits_of_power(b5);
        let of_ten_s = s2 + 1 + bits_of_power(s5 + 1);
        let width = match of_b.max(of_ten_s) {
            ..32 => Width::Small(32),
            32..64 => Width::Small(64),
            _ => Width::Big,
        };
        let power = |five: i32, two: i32| BigInt::from(5).pow(five as u32) << two;
        Self {
            b: BigInt::from(number.fraction >> trailing) * power(b5, b2),
            s: power(s5, s2),
            m: power(b5, m2),
            width,
            place,
        }
    }

    /// What a value is in the width of the arithmetic.
    fn wrapped(&self, value: &BigInt) -> BigInt {
        let Width::Small(bits) = self.width else {
            return value.clone();
        };
        let range = BigInt::from(1) << bits;
        let low = ((value % &range) + &range) % &range;
        if low >= &range / 2 { low - range } else { low }
    }

    /// The next digit, and whether the number below, or the one above with it,
    /// is near enough.
    fn step(&mut self) -> (u8, bool, bool) {
        let digit = &self.b / &self.s;
        self.b = (&self.b % &self.s) * 10;
        self.m = self.wrapped(&(&self.m * 10));
        let ten_s = &self.s * 10;
        let sum = self.wrapped(&(&self.b + &self.m));
        let high = match self.width {
            Width::Big => sum >= ten_s,
            Width::Small(_) => sum > ten_s,
        };
        let digit = u8::try_from(&digit).unwrap_or(9);
        (digit, self.b < self.m, high)
    }

    fn digits(mut self) -> Decimal {
        let mut digits = Vec::new();
        let (first, mut low, mut high) = self.step();
        if first == 0 && !high {
            self.place -= 1;
        } else {
            digits.push(first);
        }
        if !(-3..8).contains(&self.place) {
            // Exponent form has a digit behind the point.
            (low, high) = (false, false);
        }
        while !low && !high {
            let digit;
            (digit, low, high) = self.step();
            if self.width != Width::Big && self.m <= BigInt::ZERO {
                (low, high) = (true, true);
            }
            digits.push(digit);
        }
        let odd = digits.last().is_some_and(|digit| digit % 2 == 1);
        let twice = self.wrapped(&(&self.b * 2));
        let beyond = self.wrapped(&(twice - &self.s * 10));
        let up = beyond > BigInt::ZERO || (beyond == BigInt::ZERO && odd);
        let mut point = self.place + 1;
        if high && (!low || up) {
            point += round_up(&mut digits);
        }
        Decimal { digits, point }
    }
}

/// Adds one to the last digit; 1 if that made the number longer.
fn round_up(digits: &mut [u8]) -> i32 {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return 0;
        }
        *digit = 0;
    }
    digits[0] = 1;
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Recorded from Java 17.
    #[test]
    fn java_prints_some_numbers_longer_than_needed() {
        for (value, text) in [
            (2e23, "1.9999999999999998E23"),
            (1e23, "9.999999999999999E22"),
            (5e-324, "4.9E-324"),
            (-998_389_114_967_048.2, "-9.983891149670482E14"),
            (0.001, "0.001"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (100.1, "100.1"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157E308"),
        ] {
            assert_eq!(double(value), text);
        }
        assert_eq!(float(852_298_144.0), "8.5229811E8");
        assert_eq!(float(2.957_2e9), "2.95719987E9");
        assert_eq!(float(0.1), "0.1");
        assert_eq!(float(1.4e-45), "1.4E-45");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bits in any::<u64>(), short in any::<u32>()) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(double(value).parse::<f64>().unwrap(), value);
            }
            let value = f32::from_bits(short);
            if value.is_finite() {
                prop_assert_eq!(float(value).parse::<f32>().unwrap(), value);
            }
        }
    }
}
