//! The server's recording: what it saw, in the format of `docs/trace-format.md`.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant as Wall, SystemTime};

use airbench_clock::Instant;
use airbench_trace::file::Writer;
use airbench_trace::{Event as Entry, Kind, Source};
use serde::Serialize;

use crate::{Event, Observer, Opcode};

/// What a recording of the server says of itself.
#[derive(Debug, Serialize)]
struct Header {
    /// Version of this program.
    tool: &'static str,
    /// What can be seen from here: connections and messages, nothing of the board.
    vantage: &'static str,
    /// Unix time of time 0, in milliseconds.
    began_ms: u64,
}

/// Writes every event at once, so that a crash loses at most the last one.
pub struct Recording {
    began: Wall,
    writer: Mutex<Result<Writer<BufWriter<File>>, io::Error>>,
}

impl Recording {
    /// Makes the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let header = Header {
            tool: env!("CARGO_PKG_VERSION"),
            vantage: "server",
            began_ms: began.map_or(0, |began| began.as_millis() as u64),
        };
        let file = BufWriter::new(File::create(path)?);
        Ok(Self {
            began: Wall::now(),
            writer: Mutex::new(Ok(Writer::new(file, &header)?)),
        })
    }

    /// Ends the file; a failure that came before is told here.
    pub fn finish(self) -> io::Result<()> {
        let writer = self.writer.into_inner();
        writer.unwrap_or_else(PoisonError::into_inner)?.finish()?;
        Ok(())
    }
}

impl Observer for Recording {
    fn observe(&self, _: u64, event: Event<'_>) {
        let at = Instant::from_nanos(self.began.elapsed().as_nanos() as u64);
        let (kind, bytes) = entry(event);
        let mut place = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry::new(at, Source::Server, kind, bytes);
        let written = match &mut *place {
            Ok(writer) => writer.write(&entry).and_then(|()| writer.flush()),
            Err(_) => return,
        };
        if let Err(error) = written {
            *place = Err(error);
        }
    }
}

/// An event as the trace format has it.
pub fn entry(event: Event<'_>) -> (Kind, Vec<u8>) {
    let message = |opcode: Opcode, payload: &[u8]| {
        let mut bytes = Vec::with_capacity(payload.len() + 7);
        bytes.extend_from_slice(opcode.name().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(payload);
        bytes
    };
    match event {
        Event::Handshake(head) => (Kind::Handshake, head.into()),
        Event::Received(opcode, payload) => (Kind::MessageIn, message(opcode, payload)),
        Event::Sent(opcode, payload) => (Kind::MessageOut, message(opcode, payload)),
        Event::Closed(how) => (Kind::Closed, how.into()),
    }
}
