//! Recordings on disk. Format: `docs/trace-format.md`.

use std::io::{self, Read, Write};

use airbench_clock::Instant;
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Event, Kind, Source};

/// First bytes of every recording.
pub const MAGIC: [u8; 8] = *b"ABTRACE\0";
/// Version of the format this code writes and reads.
pub const VERSION: u16 = 1;
/// Limit on one record's and the header's size; larger means a damaged file.
const LIMIT: u32 = 64 << 20;
/// Fixed part of a record, before the bytes.
const FIXED: usize = 8 + 1 + 1 + 4;

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// The first bytes are not a recording's.
    #[error("not an airbench recording (it does not begin with ABTRACE)")]
    NotARecording,
    /// Written by another version of the format.
    #[error(
        "recording has format version {0}, this airbench reads version {VERSION}; record it again"
    )]
    Version(u16),
    /// The header is damaged.
    #[error("the recording's header is damaged: {0}")]
    Header(String),
    /// A record is damaged.
    #[error("the recording is damaged at byte {offset}: {what}")]
    Record {
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Writes a recording: header first, then events as they come.
pub struct Writer<W: Write> {
    out: W,
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording with `header` (any JSON value).
    pub fn new<H: Serialize>(mut out: W, header: &H) -> io::Result<Self> {
        let json = serde_json::to_vec(header)?;
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(
            &u32::try_from(json.len())
                .map_err(io::Error::other)?
                .to_le_bytes(),
        )?;
        out.write_all(&json)?;
        Ok(Self {
            out,
            scratch: Vec::new(),
        })
    }

    /// Appends one event.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let record = &mut self.scratch;
        record.clear();
        record.extend_from_slice(&event.time.nanos().to_le_bytes());
        record.push(event.source as u8);
        record.push(event.kind as u8);
        record.extend_from_slice(&event.len.to_le_bytes());
        record.extend_from_slice(&event.bytes);
        let len = u32::try_from(record.len()).map_err(io::Error::other)?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(record)?;
        self.out.write_all(&(xxh3_64(record) as u32).to_le_bytes())
    }

    /// Hands everything so far to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads a recording.
pub struct Reader<R: Read> {
    input: R,
    offset: u64,
}

impl<R: Read> Reader<R> {
    /// Opens a recording and gives its header.
    pub fn open<H: DeserializeOwned>(mut input: R) -> Result<(H, Self), ReadError> {
        let mut start = [0u8; 14];
        input.read_exact(&mut start).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::NotARecording,
            _ => ReadError::Io(e),
        })?;
        if start[..8] != MAGIC {
            return Err(ReadError::NotARecording);
        }
        let version = u16::from_le_bytes([start[8], start[9]]);
        if version != VERSION {
            return Err(ReadError::Version(version));
        }
        let len = u32::from_le_bytes([start[10], start[11], start[12], start[13]]);
        if len > LIMIT {
            return Err(ReadError::Header(format!("{len} bytes is too long")));
        }
        let mut json = Vec::new();
        (&mut input).take(u64::from(len)).read_to_end(&mut json)?;
        let header =
            serde_json::from_slice(&json).map_err(|error| ReadError::Header(error.to_string()))?;
        Ok((
            header,
            Self {
                input,
                offset: 14 + u64::from(len),
            },
        ))
    }

    /// The next event; `None` at the end. A record that was cut off while
    /// being written counts as the end.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        let mut head = [0u8; 4];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let len = u32::from_le_bytes(head);
        if len > LIMIT || (len as usize) < FIXED {
            return Err(self.damaged("impossible record length"));
        }
        let mut record = Vec::new();
        (&mut self.input)
            .take(u64::from(len))
            .read_to_end(&mut record)?;
        let mut sum = [0u8; 4];
        if record.len() < len as usize || !self.fill(&mut sum)? {
            return Ok(None);
        }
        if xxh3_64(&record) as u32 != u32::from_le_bytes(sum) {
            return Err(self.damaged("checksum does not match"));
        }
        let event = self.decode(&record)?;
        self.offset += u64::from(len) + 8;
        Ok(Some(event))
    }

    fn decode(&self, record: &[u8]) -> Result<Event, ReadError> {
        let (fixed, bytes) = record.split_at(FIXED);
        let time = u64::from_le_bytes(fixed[..8].try_into().expect("eight bytes were sliced"));
        let source = Source::from_number(fixed[8]).ok_or_else(|| self.damaged("unknown source"))?;
        let kind = Kind::from_number(fixed[9]).ok_or_else(|| self.damaged("unknown kind"))?;
        let len = u32::from_le_bytes(fixed[10..].try_into().expect("four bytes are left"));
        Ok(Event {
            time: Instant::from_nanos(time),
            source,
            kind,
            len,
            bytes: bytes.to_vec(),
        })
    }

    fn damaged(&self, what: &'static str) -> ReadError {
        ReadError::Record {
            offset: self.offset,
            what,
        }
    }

    /// False if the input ended first.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, ReadError> {
        match self.input.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}
