//! Packets on disk: pcapng with raw IP, nanoseconds, comments, and TLS keys in
//! Decryption Secrets Blocks, so that Wireshark shows the plaintext at once.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

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
pub const MAGIC: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
/// The Decryption Secrets Block and, in it, the type of a TLS key log.
const SECRETS_BLOCK: u32 = 0x0000_000A;
const TLS_KEY_LOG: u32 = 0x544C_534B;
/// The packet block's flags: inbound and outbound.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// Decimal digits of a second that time stamps have.
const NANOSECONDS: u8 = 9;

/// A capture while it is written. The first failure ends it; `finish` tells.
pub struct Pcapng<W: Write> {
    /// `None` after a failure.
    writer: Option<PcapNgWriter<W>>,
    failure: Option<io::Error>,
    /// Comments that wait for the next packet.
    notes: Vec<String>,
    last: Duration,
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl<W: Write> Pcapng<W> {
    /// Begins a capture of the interface with this name.
    pub fn new(writer: W, name: &str, description: &str) -> io::Result<Self> {
        let mut writer = PcapNgWriter::new(writer).map_err(io_error)?;
        let options = vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
            InterfaceDescriptionOption::IfDescription(Cow::Borrowed(description)),
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
            notes: Vec::new(),
            last: Duration::ZERO,
        })
    }

    /// Writes, unless writing has failed before.
    fn write(&mut self, write: impl FnOnce(&mut PcapNgWriter<W>) -> Result<usize, PcapError>) {
        if let Some(Err(error)) = self.writer.as_mut().map(write) {
            self.failure = Some(io_error(error));
            self.writer = None;
        }
    }

    /// An IP packet passed the interface, at this time since 1970.
    pub fn packet(&mut self, at: Duration, inbound: bool, bytes: &[u8]) {
        let notes = std::mem::take(&mut self.notes);
        let comments = notes.into_iter().map(Cow::Owned);
        let flags = if inbound { INBOUND } else { OUTBOUND };
        let mut options = vec![EnhancedPacketOption::Flags(flags)];
        options.extend(comments.map(EnhancedPacketOption::Comment));
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: at,
            original_len: bytes.len() as u32,
            data: Cow::Borrowed(bytes),
            options,
        };
        self.last = at;
        self.write(|writer| writer.write_pcapng_block(packet));
    }

    /// A key, as a line of an NSS key log; it serves the packets after it.
    pub fn secret(&mut self, line: &str) {
        let text = format!("{line}\n");
        let mut body = Vec::new();
        body.extend(TLS_KEY_LOG.to_ne_bytes());
        body.extend((text.len() as u32).to_ne_bytes());
        body.extend(text.as_bytes());
        // Blocks are made of words.
        body.resize(body.len().next_multiple_of(4), 0);
        self.write(|writer| writer.write_pcapng_block(UnknownBlock::new(SECRETS_BLOCK, 0, &body)));
    }

    /// A comment of the next packet.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.writer.as_mut().map(|w| w.get_mut().flush()) {
            self.failure = Some(error);
            self.writer = None;
        }
    }

    /// Ends the capture; comments after the last packet go into a statistics block.
    pub fn finish(&mut self) -> io::Result<()> {
        let notes = std::mem::take(&mut self.notes);
        let comments = notes.into_iter().map(Cow::Owned);
        let statistics = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: self.last.as_nanos() as u64,
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
