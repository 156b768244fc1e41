//! What a server does wrong on purpose.

use serde::{Deserialize, Serialize};

/// Faults of the server, all off by default. They concern what happens from the
/// moment they are set, on connections that are there as well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Connections end before a request is read.
    pub refuse: bool,
    /// New TLS connections are shown another host's certificate, long expired.
    pub wrong_certificate: bool,
    /// Nothing is answered any more, and nothing is closed.
    pub stall: bool,
    /// The message after so many ends the connection, without a close frame; 0:
    /// none does.
    pub close_after: u64,
    /// The handshake's answer takes so many milliseconds longer.
    pub handshake_ms: u64,
    /// Answers come in frames with so many bytes at most; 0: in one.
    pub fragment: usize,
    /// A text message in the same write as the handshake's answer.
    pub greeting: Option<String>,
}
