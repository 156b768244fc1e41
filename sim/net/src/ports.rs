//! Ports a stack chooses for itself.

/// RFC 6335's dynamic range, but for its end.
const FIRST: u16 = 49_152;
const LAST: u16 = 65_000;

/// Gives one port after the other.
#[derive(Debug)]
pub(crate) struct Ports {
    latest: u16,
}

impl Ports {
    /// Begins at a port that depends on the seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            latest: FIRST + (seed % 8192) as u16,
        }
    }

    /// The port asked for; 0 asks for the next one.
    pub(crate) fn choose(&mut self, wanted: u16) -> u16 {
        if wanted != 0 {
            return wanted;
        }
        self.latest = if self.latest >= LAST {
            FIRST
        } else {
            self.latest + 1
        };
        self.latest
    }
}
