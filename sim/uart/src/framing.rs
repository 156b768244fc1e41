//! Line parameters and the time a character takes.

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
