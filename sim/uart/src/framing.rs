//! Line parameters and the time a character takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Parity bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Odd parity.
    Odd,
    /// Even parity.
    Even,
}

/// Line parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Bits per second, at least 1.
    pub baud: u32,
    /// Data bits, 5 to 9.
    pub data_bits: u8,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
    /// Parity bit.
    pub parity: Parity,
}

impl Default for Framing {
    /// 115200 8N1.
    fn default() -> Self {
        Self {
            baud: 115_200,
            data_bits: 8,
            stop_bits: 1,
            parity: Parity::None,
        }
    }
}

impl Framing {
    /// Bits of one character with its start, parity and stop bits.
    pub fn bits(self) -> u32 {
        let parity = u32::from(self.parity != Parity::None);
        1 + u32::from(self.data_bits) + parity + u32::from(self.stop_bits)
    }

    /// Time of `count` characters. Counted from the whole, so that rounding
    /// does not add up: 86.8 µs each at 115200 8N1.
    pub fn characters(self, count: usize) -> Duration {
        let bits = u64::from(self.bits()) * count as u64;
        Duration::from_nanos(
            u64::try_from(u128::from(bits) * 1_000_000_000 / u128::from(self.baud.max(1)))
                .unwrap_or(u64::MAX),
        )
    }

    /// Receivers resynchronise at every start bit and sample the last bit
    /// within half a bit: about 3 % of deviation passes, more does not.
    pub fn understands(self, other: Self) -> bool {
        let (a, b) = (u64::from(self.baud), u64::from(other.baud));
        a.abs_diff(b) * 100 <= a.max(b) * 3 && self.bits() == other.bits()
    }
}

/// `115200 8N1`.
impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Odd => 'O',
            Parity::Even => 'E',
        };
        write!(
            f,
            "{} {}{parity}{}",
            self.baud, self.data_bits, self.stop_bits
        )
    }
}

/// The text is no line parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} are no line parameters; they look like 115200 8N1")]
pub struct FramingError(String);

impl FromStr for Framing {
    type Err = FramingError;

    fn from_str(text: &str) -> Result<Self, FramingError> {
        let parse = || {
            let (baud, rest) = text.split_once(' ')?;
            let [data, parity, stop] = rest.as_bytes() else {
                return None;
            };
            let framing = Self {
                baud: baud.parse().ok().filter(|baud| *baud > 0)?,
                data_bits: data.wrapping_sub(b'0'),
                stop_bits: stop.wrapping_sub(b'0'),
                parity: match parity {
                    b'N' => Parity::None,
                    b'O' => Parity::Odd,
                    b'E' => Parity::Even,
                    _ => return None,
                },
            };
            let known =
                (5..=9).contains(&framing.data_bits) && (1..=2).contains(&framing.stop_bits);
            known.then_some(framing)
        };
        parse().ok_or_else(|| FramingError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_parameters_are_written_and_read() {
        for text in ["115200 8N1", "9600 7E2", "300 9O1"] {
            assert_eq!(text.parse::<Framing>().unwrap().to_string(), text);
        }
        for text in ["", "9600", "9600 8N3", "0 8N1", "9600 8X1", "9600 8N1 "] {
            assert!(text.parse::<Framing>().is_err(), "{text}");
        }
    }
}
