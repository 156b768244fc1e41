//! IP packets out of pcap and pcapng files.

use std::io::Read;
use std::time::Duration;

use airbench_clock::Instant;
use etherparse::{EtherType, LaxSlicedPacket};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

/// Type of pcapng's Decryption Secrets Block, and of a TLS key log in it.
const SECRETS_BLOCK: u32 = 0x0A;
const TLS_KEY_LOG: u32 = 0x544C_534B;
/// Digits of a second that pcapng's stamps have unless the interface says.
const MICROSECONDS: u8 = 6;

/// What a capture file holds.
pub(crate) enum Entry<'a> {
    /// A frame of this link type, as long as it was captured.
    Frame(Instant, DataLink, &'a [u8]),
    /// Lines of a key log.
    Keys(String),
}

/// A capture file is damaged from here on.
#[derive(Debug)]
pub(crate) struct Damage(pub(crate) String);

/// Reads a pcap file, entry by entry.
pub(crate) fn pcap(input: impl Read, mut take: impl FnMut(Entry<'_>)) -> Result<(), Damage> {
    let mut reader = PcapReader::new(input).map_err(damage)?;
    let link = reader.header().datalink;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(damage)?;
        take(Entry::Frame(instant(packet.timestamp), link, &packet.data));
    }
    Ok(())
}

/// Reads a pcapng file, entry by entry.
pub(crate) fn pcapng(input: impl Read, mut take: impl FnMut(Entry<'_>)) -> Result<(), Damage> {
    let mut reader = PcapNgReader::new(input).map_err(damage)?;
    let mut interfaces: Vec<(DataLink, u64, u64)> = Vec::new();
    let mut last = Instant::ZERO;
    while let Some(block) = reader.next_block() {
        match block.map_err(damage)? {
            Block::SectionHeader(_) => interfaces.clear(),
            Block::InterfaceDescription(one) => interfaces.push(shape(&one)),
            Block::EnhancedPacket(packet) => {
                let Some((link, units, offset)) = interfaces.get(packet.interface_id as usize)
                else {
                    continue;
                };
                // The library takes every stamp for nanoseconds.
                let stamp = packet.timestamp.as_nanos();
                let nanos = stamp * 1_000_000_000 / u128::from(*units);
                let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
                last = Instant::from_nanos(nanos.saturating_add(*offset));
                take(Entry::Frame(last, *link, &packet.data));
            }
            Block::SimplePacket(packet) => {
                if let Some((link, ..)) = interfaces.first() {
                    take(Entry::Frame(last, *link, &packet.data));
                }
            }
            Block::Unknown(block) if block.type_ == SECRETS_BLOCK => {
                if let Some(text) = key_log(&block.value) {
                    take(Entry::Keys(text));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Link type, units of a second and nanoseconds to add, of an interface.
fn shape(interface: &InterfaceDescriptionBlock<'_>) -> (DataLink, u64, u64) {
    let (mut units, mut offset) = (10u64.pow(MICROSECONDS.into()), 0);
    for option in &interface.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(code) if code & 0x80 == 0 => {
                units = 10u64.checked_pow(u32::from(*code)).unwrap_or(units);
            }
            InterfaceDescriptionOption::IfTsResol(code) => {
                units = 1u64.checked_shl(u32::from(code & 0x7F)).unwrap_or(units);
            }
            InterfaceDescriptionOption::IfTsOffset(seconds) => {
                offset = seconds.saturating_mul(1_000_000_000);
            }
            _ => {}
        }
    }
    (interface.linktype, units, offset)
}

/// The lines of a secrets block: its type, their length, and they themselves, in the
/// byte order of the file.
fn key_log(value: &[u8]) -> Option<String> {
    let word = |at: usize| value.get(at..at + 4)?.try_into().ok();
    let (kind, len): ([u8; 4], [u8; 4]) = (word(0)?, word(4)?);
    let len = if u32::from_le_bytes(kind) == TLS_KEY_LOG {
        u32::from_le_bytes(len)
    } else if u32::from_be_bytes(kind) == TLS_KEY_LOG {
        u32::from_be_bytes(len)
    } else {
        return None;
    };
    let end = usize::try_from(len).ok()?.checked_add(8)?;
    let text = value.get(8..end)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn instant(since_1970: Duration) -> Instant {
    Instant::from_nanos(u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX))
}

fn damage(error: PcapError) -> Damage {
    Damage(match error {
        PcapError::IncompleteBuffer => "the file is cut off".to_owned(),
        PcapError::IoError(error) => error.to_string(),
        PcapError::InvalidField(what) => what.to_owned(),
        other => other.to_string(),
    })
}

/// What IP carries in a frame: the kinds of links that servers' captures have.
pub(crate) fn slice(link: DataLink, frame: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    match link {
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(frame).ok(),
        DataLink::LINUX_SLL => ethertype(frame, 14, 16),
        DataLink::LINUX_SLL2 => ethertype(frame, 0, 20),
        DataLink::NULL | DataLink::LOOP => ip(frame.get(4..)?),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => ip(frame),
        // Raw IP as some systems number it.
        DataLink::Unknown(12 | 14) => ip(frame),
        _ => None,
    }
}

fn ip(bytes: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    LaxSlicedPacket::from_ip(bytes).ok()
}

fn ethertype(frame: &[u8], protocol: usize, header: usize) -> Option<LaxSlicedPacket<'_>> {
    let bytes = frame.get(protocol..protocol + 2)?;
    let kind = EtherType(u16::from_be_bytes([bytes[0], bytes[1]]));
    Some(LaxSlicedPacket::from_ether_type(kind, frame.get(header..)?))
}
