//! The carrier's address translation, which forgets.

use std::collections::BTreeMap;
use std::time::Duration;

use airbench_clock::Instant;
use serde::{Deserialize, Serialize};

use crate::link::check::needs;
use crate::modem::check::times;

use crate::Direction;

/// How long a mapping lives without packets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatConfig {
    /// Of a TCP connection; 0: for ever.
    pub tcp_ms: u64,
    /// Of UDP; 0: for ever.
    pub udp_ms: u64,
    /// What becomes of packets of a connection whose mapping is gone.
    pub expiry: Expiry,
}

impl NatConfig {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        times(&[("tcp_ms", self.tcp_ms), ("udp_ms", self.udp_ms)])?;
        needs(
            ("expiry", self.expiry != Expiry::Silent),
            ("tcp_ms", self.tcp_ms > 0),
        )
    }
}

/// What a translator does with packets of a TCP connection it has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expiry {
    /// They vanish.
    #[default]
    Silent,
    /// Their sender gets a RST.
    Rst,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Forward,
    /// It vanishes.
    Drop,
    /// It vanishes, and this goes back to its sender.
    Reset(Vec<u8>),
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A connection seen from the device: protocol, own port, peer and its port.
type Flow = (u8, u16, [u8; 4], u16);

/// The translator between one device and the world.
#[derive(Debug, Default)]
pub struct Nat {
    config: NatConfig,
    /// When the latest packet of a connection passed.
    flows: BTreeMap<Flow, Instant>,
}

/// Most connections remembered; the one that is silent longest goes first.
const FLOWS: usize = 4096;

impl Nat {
    /// A translator without mappings.
    pub fn new(config: NatConfig) -> Self {
        Self {
            config,
            flows: BTreeMap::new(),
        }
    }

    /// Changes the numbers; mappings stay.
    pub fn set_config(&mut self, config: NatConfig) {
        self.config = config;
    }

    /// What becomes of an IPv4 packet.
    pub fn pass(&mut self, now: Instant, direction: Direction, packet: &[u8]) -> Passage {
        let Some((flow, flags)) = flow(direction, packet) else {
            return Passage::Forward;
        };
        let lifetime = match flow.0 {
            TCP => self.config.tcp_ms,
            _ => self.config.udp_ms,
        };
        let alive = lifetime == 0
            || self
                .flows
                .get(&flow)
                .is_some_and(|last| now.since(*last) < Duration::from_millis(lifetime));
        let up = direction == Direction::Up;
        let opens = up && (flow.0 == UDP || flags & (SYN | ACK | RST) == SYN);
        if alive || opens {
            self.remember(flow, now);
            return Passage::Forward;
        }
        self.flows.remove(&flow);
        let answers = self.config.expiry == Expiry::Rst && flow.0 == TCP && flags & RST == 0;
        match reset(packet).filter(|_| answers) {
            Some(reset) => Passage::Reset(reset),
            None => Passage::Drop,
        }
    }

    fn remember(&mut self, flow: Flow, now: Instant) {
        if self.flows.len() >= FLOWS && !self.flows.contains_key(&flow) {
            let oldest = self.flows.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(flow, _)| *flow) {
                self.flows.remove(&oldest);
            }
        }
        self.flows.insert(flow, now);
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The connection of a packet, and its TCP flags; none for fragments and for
/// other protocols.
fn flow(direction: Direction, packet: &[u8]) -> Option<(Flow, u8)> {
    let header = usize::from(packet.first()? & 15) * 4;
    let protocol = *packet.get(9)?;
    let later_fragment = be16(packet, 6)? & 0x1FFF != 0;
    if later_fragment || ![TCP, UDP].contains(&protocol) {
        return None;
    }
    let (from, to) = (be16(packet, header)?, be16(packet, header + 2)?);
    let flags = if protocol == TCP {
        *packet.get(header + 13)?
    } else {
        0
    };
    let address = |at: usize| packet.get(at..at + 4)?.try_into().ok();
    let flow = match direction {
        Direction::Up => (protocol, from, address(16)?, to),
        Direction::Down => (protocol, to, address(12)?, from),
    };
    Some((flow, flags))
}

fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for two in part.chunks(2) {
            sum += u32::from(two[0]) << 8 | u32::from(two.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// The RST that answers a segment (RFC 9293, 3.10.7.1), from its addressee.
fn reset(packet: &[u8]) -> Option<Vec<u8>> {
    let header = usize::from(packet.first()? & 15) * 4;
    let tcp = packet.get(header..)?;
    let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
    let flags = *tcp.get(13)?;
    let data = usize::from(tcp.get(12)? >> 4) * 4;
    let len =
        tcp.len().saturating_sub(data) as u32 + u32::from(flags & SYN != 0) + u32::from(flags & 1);
    let (seq, ack, answer) = if flags & ACK != 0 {
        (word(8)?, 0, RST)
    } else {
        (0, word(4)?.wrapping_add(len), RST | ACK)
    };
    let mut out = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, TCP, 0, 0];
    out.extend_from_slice(packet.get(16..20)?);
    out.extend_from_slice(packet.get(12..16)?);
    let sum = checksum(&[&out]);
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut segment = [
        &tcp[2..4],
        &tcp[..2],
        &seq.to_be_bytes(),
        &ack.to_be_bytes(),
    ]
    .concat();
    segment.extend_from_slice(&[0x50, answer, 0, 0, 0, 0, 0, 0]);
    let pseudo = [&out[12..20], &[0, TCP, 0, 20]].concat();
    let sum = checksum(&[&pseudo, &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    out.extend_from_slice(&segment);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(flags: u8) -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 9, 9, 9, 9,
        ];
        packet.extend([
            0xC0, 0, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, flags, 0, 0, 0, 0, 0, 0,
        ]);
        packet
    }

    fn swapped(packet: &[u8]) -> Vec<u8> {
        let mut back = packet.to_vec();
        back[12..16].copy_from_slice(&packet[16..20]);
        back[16..20].copy_from_slice(&packet[12..16]);
        back[20..22].copy_from_slice(&packet[22..24]);
        back[22..24].copy_from_slice(&packet[20..22]);
        back
    }

    #[test]
    fn a_mapping_lives_from_packet_to_packet() {
        for expiry in [Expiry::Silent, Expiry::Rst] {
            let mut nat = Nat::new(NatConfig {
                tcp_ms: 240_000,
                udp_ms: 0,
                expiry,
            });
            let mut pass = |s: u64, direction, packet: &[u8]| {
                nat.pass(Instant::from_millis(s * 1000), direction, packet)
            };
            let (data, down) = (segment(ACK), swapped(&segment(ACK)));
            assert_eq!(pass(0, Direction::Up, &segment(SYN)), Passage::Forward);
            assert_eq!(pass(239, Direction::Down, &down), Passage::Forward);
            assert_eq!(pass(478, Direction::Up, &data), Passage::Forward);
            let late = pass(719, Direction::Up, &data);
            match expiry {
                Expiry::Silent => assert_eq!(late, Passage::Drop),
                Expiry::Rst => {
                    let Passage::Reset(reset) = late else {
                        panic!("{late:?}");
                    };
                    assert_eq!(reset[12..16], [9, 9, 9, 9]);
                    assert_eq!(reset[20..28], [0, 80, 0xC0, 0, 0, 0, 0, 9]);
                    assert_eq!(reset[33], RST);
                    assert_eq!(checksum(&[&reset[..20]]), 0);
                }
            }
            assert_ne!(pass(720, Direction::Down, &down), Passage::Forward);
            assert_eq!(pass(721, Direction::Up, &segment(SYN)), Passage::Forward);
        }
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(packet in prop::collection::vec(any::<u8>(), 0..80), up in any::<bool>()) {
            let way = if up { Direction::Up } else { Direction::Down };
            let mut nat = Nat::new(NatConfig { tcp_ms: 1, udp_ms: 1, expiry: Expiry::Rst });
            let _ = nat.pass(Instant::ZERO, way, &packet);
            let _ = nat.pass(Instant::from_millis(9), way, &packet);
        }
    }
}
