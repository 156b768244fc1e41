//! What a tap on the network sees.

use airbench_clock::Instant;
use airbench_lte::Direction;

/// Where a tap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapAt {
    /// At the device's IP interface: what it sends before the link, what it gets
    /// behind it.
    Radio,
    /// At the servers, behind link and carrier.
    Server,
}

/// Takes packets as they pass a tap, the keys of the device's TLS connections, and,
/// at the radio, what else happens. Keys come before the packets they are for.
pub trait Capture: Send {
    /// A packet passed the interface.
    fn packet(&mut self, at: Instant, direction: Direction, bytes: &[u8]);
    /// A key, as a line of an NSS key log.
    fn secret(&mut self, line: &str);
    /// Something happened to modem, board or link.
    fn note(&mut self, at: Instant, text: &str);
}
