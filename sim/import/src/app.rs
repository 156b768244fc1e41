//! What a connection carries: TLS or not, and the plaintext within.

use airbench_clock::Instant;
use airbench_trace::Event;

use crate::tcp::Way;
use crate::tls::{Keys, Tls};
use crate::websocket::Plain;

/// Reads a connection's streams.
#[derive(Default)]
pub(crate) struct App {
    /// Decided by the client's first byte: TLS's handshake record.
    tls: Option<Option<Box<Tls>>>,
    plain: Plain,
}

/// Type of a TLS handshake record.
const HANDSHAKE: u8 = 22;

impl App {
    /// Bytes in order.
    pub(crate) fn take(
        &mut self,
        at: Instant,
        way: Way,
        bytes: &[u8],
        keys: &Keys,
        events: &mut Vec<Event>,
    ) {
        let Some(first) = bytes.first() else { return };
        let tls = self.tls.get_or_insert_with(|| {
            let secret = *first == HANDSHAKE;
            secret.then(Box::default)
        });
        match tls {
            None => self.plain.take(at, way, bytes, events),
            Some(tls) => {
                let plain = &mut self.plain;
                tls.take(way, bytes, keys, |bytes| plain.take(at, way, bytes, events));
            }
        }
    }

    /// Bytes of this way are missing from the capture.
    pub(crate) fn lose(&mut self, way: Way) {
        match &mut self.tls {
            Some(Some(tls)) => tls.lose(way),
            _ => self.plain.lose(),
        }
    }

    /// The connection has ended.
    pub(crate) fn end(&mut self, at: Instant, how: &str, events: &mut Vec<Event>) {
        self.plain.end(at, how, events);
    }

    /// Why the plaintext is unknown, if it is.
    pub(crate) fn remark(&self) -> Option<&'static str> {
        self.tls.as_ref()?.as_ref()?.trouble()
    }
}
