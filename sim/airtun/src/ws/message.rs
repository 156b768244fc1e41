//! Messages out of frames.

use super::Endpoint;
use super::frame::{Failure, Frame, opcode, too_large};
use super::utf8::Utf8;

/// What a frame completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Close(Vec<u8>),
    /// Nothing that wants an answer.
    Nothing,
}

/// The message that is being put together.
pub(super) struct Messages {
    endpoint: Endpoint,
    limit: usize,
    /// Opcode and bytes so far.
    partial: Option<(u8, Vec<u8>)>,
    utf8: Utf8,
    count: u64,
}

impl Messages {
    pub(super) fn new(endpoint: Endpoint, limit: usize) -> Self {
        Self {
            endpoint,
            limit,
            partial: None,
            utf8: Utf8::default(),
            count: 0,
        }
    }

    /// A message has begun that is not complete.
    pub(super) fn is_fragmented(&self) -> bool {
        self.partial.is_some()
    }

    /// Messages that are complete.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes a frame whose order was checked.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Incoming, Failure> {
        match frame.opcode {
            opcode::PING => Ok(Incoming::Ping(frame.payload)),
            opcode::PONG => Ok(Incoming::Nothing),
            opcode::CLOSE => Ok(Incoming::Close(frame.payload)),
            _ => self.data(frame),
        }
    }

    fn data(&mut self, frame: Frame) -> Result<Incoming, Failure> {
        let (code, bytes) = match self.partial.take() {
            None => {
                self.utf8 = Utf8::default();
                (frame.opcode, frame.payload.clone())
            }
            // Nothing of the original takes binary messages on this path, and
            // the first fragment left no place for the second.
            Some((opcode::BINARY, _)) if self.endpoint == Endpoint::Echo => {
                let reason = "Out of order Continuation frame encountered";
                return Err(Failure::new(1011, reason));
            }
            Some((code, mut bytes)) => {
                bytes.extend_from_slice(&frame.payload);
                (code, bytes)
            }
        };
        if bytes.len() > self.limit {
            return Err(too_large(code, bytes.len(), self.limit));
        }
        if code == opcode::TEXT {
            self.utf8.push(&frame.payload).map_err(not_utf8)?;
        }
        if !frame.fin {
            self.partial = Some((code, bytes));
            return Ok(Incoming::Nothing);
        }
        self.count += 1;
        if code == opcode::BINARY {
            return Ok(Incoming::Binary(bytes));
        }
        if !self.utf8.is_complete() {
            return Err(not_utf8("incomplete UTF8 sequence".to_owned()));
        }
        // The decoder has seen every byte of it.
        Ok(Incoming::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

fn not_utf8(what: String) -> Failure {
    let class = "org.eclipse.jetty.util.Utf8Appendable$NotUtf8Exception";
    Failure::new(1007, format!("{class}: Not valid UTF8! {what}"))
}
