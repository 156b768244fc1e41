//! UTF-8 as Jetty's decoder checks it, byte by byte, with its own words.

/// Where the decoder stands between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Utf8 {
    state: u8,
}

/// Between characters.
const ACCEPT: u8 = 0;

impl Utf8 {
    /// Reads on; the text is what Jetty says of the first bad byte.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        for byte in bytes {
            self.state = self.step(*byte).ok_or_else(|| {
                // The high digit is upper case, the low one is not.
                let (high, low) = (byte >> 4, byte & 15);
                format!("byte {high:X}{low:x} in state {}", self.state)
            })?;
        }
        Ok(())
    }

    /// No character is left incomplete.
    pub(crate) fn is_complete(self) -> bool {
        self.state == ACCEPT
    }

    fn step(self, byte: u8) -> Option<u8> {
        let continues = |low: u8, high: u8, next: u8| (low..=high).contains(&byte).then_some(next);
        match self.state {
            ACCEPT => match byte {
                0..=0x7F => Some(ACCEPT),
                0xC2..=0xDF => Some(2),
                0xE0 => Some(4),
                0xE1..=0xEC | 0xEE | 0xEF => Some(3),
                0xED => Some(5),
                0xF0 => Some(6),
                0xF1..=0xF3 => Some(7),
                0xF4 => Some(8),
                _ => None,
            },
            2 => continues(0x80, 0xBF, ACCEPT),
            3 => continues(0x80, 0xBF, 2),
            4 => continues(0xA0, 0xBF, 2),
            5 => continues(0x80, 0x9F, 2),
            6 => continues(0x90, 0xBF, 3),
            7 => continues(0x80, 0xBF, 3),
            _ => continues(0x80, 0x8F, 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_accepts_what_is_utf8(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut decoder = Utf8::default();
            let fine = decoder.push(&bytes).is_ok() && decoder.is_complete();
            prop_assert_eq!(fine, std::str::from_utf8(&bytes).is_ok());
        }
    }
}
