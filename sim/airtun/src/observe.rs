//! What the server tells about its connections.

/// Kind of a WebSocket message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

impl Opcode {
    /// `text` or `binary`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// Something that happened on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An upgrade request: request line and headers, one per line.
    Handshake(&'a str),
    /// A message arrived.
    Received(Opcode, &'a [u8]),
    /// A message is being sent.
    Sent(Opcode, &'a [u8]),
    /// The WebSocket ended: close code and reason, or how else.
    Closed(&'a str),
}

/// Takes the events of all connections; `connection` counts from 1.
pub trait Observer: Send + Sync + 'static {
    /// Called as things happen.
    fn observe(&self, connection: u64, event: Event<'_>);
}

/// Drops every event.
#[derive(Debug)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _: u64, _: Event<'_>) {}
}
