//! `--pcap FILE`: what passes the device's radio interface, as pcapng.
//!
//! Raw IP packets with nanoseconds, their direction, and modem, board and link
//! events as comments of the next packet. The keys of the device's TLS
//! connections stand in Decryption Secrets Blocks before the packets they
//! decrypt, so that Wireshark shows the plaintext at once.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::Direction;
use airbench_world::{Capture, World};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::{DataLink, PcapError};

/// What a pcapng file begins with: the type of its first block.
pub(crate) const MAGIC: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
/// The Decryption Secrets Block and, in it, the type of a TLS key log.
const SECRETS_BLOCK: u32 = 0x0000_000A;
const TLS_KEY_LOG: u32 = 0x544C_534B;
/// The packet block's flags: inbound and outbound.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// Decimal digits of a second that time stamps have.
const NANOSECONDS: u8 = 9;

/// Why a capture failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the capture {path}: {error}")]
pub struct CaptureError {
    /// Which file.
    path: PathBuf,
    /// Why.
    error: io::Error,
}

/// The file while it is written.
struct Pcapng<W: Write> {
    /// `None` after a failure.
    writer: Option<PcapNgWriter<W>>,
    failure: Option<io::Error>,
    /// Unix time of the world's beginning.
    epoch: Duration,
    /// Events that wait for the next packet.
    notes: Vec<String>,
    last: Instant,
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl<W: Write> Pcapng<W> {
    fn new(writer: W, epoch: i64) -> io::Result<Self> {
        let mut writer = PcapNgWriter::new(writer).map_err(io_error)?;
        let name = InterfaceDescriptionOption::IfName(Cow::Borrowed("lte0"));
        let what = "radio interface of the simulated Air780E";
        let options = vec![
            name,
            InterfaceDescriptionOption::IfDescription(Cow::Borrowed(what)),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ];
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options,
        };
        writer.write_pcapng_block(interface).map_err(io_error)?;
        Ok(Self {
            writer: Some(writer),
            failure: None,
            epoch: Duration::from_secs(u64::try_from(epoch).unwrap_or(0)),
            notes: Vec::new(),
            last: Instant::ZERO,
        })
    }

    /// Writes, unless writing has failed before.
    fn write(&mut self, write: impl FnOnce(&mut PcapNgWriter<W>) -> Result<usize, PcapError>) {
        if let Some(Err(error)) = self.writer.as_mut().map(write) {
            self.failure = Some(io_error(error));
            self.writer = None;
        }
    }

    fn packet(&mut self, at: Instant, direction: Direction, bytes: &[u8]) {
        let flags = match direction {
            Direction::Up => OUTBOUND,
            Direction::Down => INBOUND,
        };
        let notes = std::mem::take(&mut self.notes);
        let comments = notes.into_iter().map(Cow::Owned);
        let mut options = vec![EnhancedPacketOption::Flags(flags)];
        options.extend(comments.map(EnhancedPacketOption::Comment));
        let timestamp = self.epoch + Duration::from_nanos(at.nanos());
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp,
            original_len: bytes.len() as u32,
            data: Cow::Borrowed(bytes),
            options,
        };
        self.last = at;
        self.write(|writer| writer.write_pcapng_block(packet));
    }

    fn secret(&mut self, line: &str) {
        let text = format!("{line}\n");
        let mut body = Vec::new();
        body.extend(TLS_KEY_LOG.to_ne_bytes());
        body.extend((text.len() as u32).to_ne_bytes());
        body.extend(text.as_bytes());
        // Blocks are made of words.
        body.resize(body.len().next_multiple_of(4), 0);
        self.write(|writer| writer.write_pcapng_block(UnknownBlock::new(SECRETS_BLOCK, 0, &body)));
    }

    fn note(&mut self, at: Instant, text: &str) {
        self.notes.push(format!("{at}: {text}"));
    }

    /// Events after the last packet go into a statistics block.
    fn finish(&mut self) -> io::Result<()> {
        let notes = std::mem::take(&mut self.notes);
        let comments = notes.into_iter().map(Cow::Owned);
        let statistics = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: (self.epoch + Duration::from_nanos(self.last.nanos())).as_nanos() as u64,
            options: comments.map(InterfaceStatisticsOption::Comment).collect(),
        };
        self.write(|writer| writer.write_pcapng_block(statistics));
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        match self.writer.take() {
            Some(writer) => writer.into_inner().flush(),
            None => Ok(()),
        }
    }
}

type Shared = Arc<Mutex<Pcapng<BufWriter<File>>>>;

/// A capture being written.
pub struct PcapFile {
    path: PathBuf,
    shared: Shared,
}

/// The world's end of it.
struct Tap(Shared);

impl Capture for Tap {
    fn packet(&mut self, at: Instant, direction: Direction, bytes: &[u8]) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.packet(at, direction, bytes);
    }

    fn secret(&mut self, line: &str) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.secret(line);
    }

    fn note(&mut self, at: Instant, text: &str) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.note(at, text);
    }
}

impl PcapFile {
    /// Begins a capture of `world`, which begins at `epoch` in Unix time.
    pub fn start(path: &Path, epoch: i64, world: &mut World) -> Result<Self, CaptureError> {
        let failed = |error| CaptureError {
            path: path.to_owned(),
            error,
        };
        let file = File::create(path).map_err(failed)?;
        let pcapng = Pcapng::new(BufWriter::new(file), epoch).map_err(failed)?;
        let shared = Arc::new(Mutex::new(pcapng));
        world.capture(Tap(Arc::clone(&shared)));
        Ok(Self {
            path: path.to_owned(),
            shared,
        })
    }

    /// Ends the capture.
    pub fn finish(self) -> Result<(), CaptureError> {
        let mut file = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        file.finish().map_err(|error| CaptureError {
            path: self.path.clone(),
            error,
        })
    }
}
