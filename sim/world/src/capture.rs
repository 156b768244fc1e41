//! What a tap on the device's radio interface sees.

use airbench_clock::Instant;
use airbench_lte::Direction;

/// Takes packets as the device's IP interface sends and receives them, the keys
/// of its TLS connections, and what else happens. Keys come before the packets
/// they are for.
pub trait Capture: Send {
    /// A packet passed the interface.
    fn packet(&mut self, at: Instant, direction: Direction, bytes: &[u8]);
    /// A key, as a line of an NSS key log.
    fn secret(&mut self, line: &str);
    /// Something happened to modem, board or link.
    fn note(&mut self, at: Instant, text: &str);
}
