//! TCP segments as bytes: IPv4 and TCP headers as lwIP writes them.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, TcpPacket, TcpSeqNumber};

/// Header lengths without options.
const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;

/// A segment that has arrived, with absolute numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) window: u16,
    pub(super) mss: Option<u16>,
    pub(super) window_shift: Option<u8>,
    pub(super) data: Vec<u8>,
}

impl Segment {
    /// Sequence numbers it takes.
    pub(super) fn len(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.syn) + u32::from(self.fin)
    }

    /// The RST that answers it where it belongs to no connection.
    pub(super) fn reset(&self) -> Outgoing<'static> {
        let ack = self.seq.wrapping_add(self.len());
        Outgoing {
            rst: true,
            ..Outgoing::bare(self.to, self.from, self.ack.unwrap_or(0), ack)
        }
    }

    /// Reads a packet; `None` for damage, fragments and what is no TCP.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let ip = Ipv4Packet::new_checked(packet).ok()?;
        let whole = !ip.more_frags() && ip.frag_offset() == 0;
        if !ip.verify_checksum() || !whole || ip.next_header() != IpProtocol::Tcp {
            return None;
        }
        let (source, target) = (ip.src_addr(), ip.dst_addr());
        let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
        if !tcp.verify_checksum(&IpAddress::Ipv4(source), &IpAddress::Ipv4(target)) {
            return None;
        }
        let mut segment = Self {
            from: SocketAddrV4::new(source, tcp.src_port()),
            to: SocketAddrV4::new(target, tcp.dst_port()),
            seq: tcp.seq_number().0.cast_unsigned(),
            ack: tcp.ack().then(|| tcp.ack_number().0.cast_unsigned()),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            window: tcp.window_len(),
            mss: None,
            window_shift: None,
            data: tcp.payload().to_vec(),
        };
        segment.read_options(tcp.options());
        Some(segment)
    }

    fn read_options(&mut self, mut options: &[u8]) {
        loop {
            match options {
                [] | [0, ..] => return,
                [1, rest @ ..] => options = rest,
                [kind, len, ..] => {
                    let len = usize::from(*len);
                    let Some((option, rest)) = options.split_at_checked(len) else {
                        return;
                    };
                    match (kind, option.get(2..)) {
                        (2, Some([a, b])) => self.mss = Some(u16::from_be_bytes([*a, *b])),
                        (3, Some([shift])) => self.window_shift = Some((*shift).min(14)),
                        (_, None) => return,
                        _ => {}
                    }
                    options = rest;
                }
                _ => return,
            }
        }
    }
}

/// A segment to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) push: bool,
    pub(super) window: u16,
    /// MSS and window shift, in a SYN.
    pub(super) options: Option<(u16, u8)>,
    pub(super) data: &'a [u8],
}

/// What all packets of a stack share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) ttl: u8,
    pub(super) identification: u16,
}

impl Outgoing<'static> {
    /// A bare acknowledgement with a closed window: what every other segment
    /// adds to.
    pub(super) fn bare(from: SocketAddrV4, to: SocketAddrV4, seq: u32, ack: u32) -> Self {
        Self {
            from,
            to,
            seq,
            ack: Some(ack),
            syn: false,
            fin: false,
            rst: false,
            push: false,
            window: 0,
            options: None,
            data: &[],
        }
    }
}

impl Outgoing<'_> {
    /// The packet's bytes.
    pub(super) fn packet(&self, header: Header) -> Vec<u8> {
        let options = self.option_bytes();
        let length = IP_HEADER + TCP_HEADER + options.len() + self.data.len();
        let mut bytes = vec![0; length];
        bytes[IP_HEADER + TCP_HEADER..][..options.len()].copy_from_slice(&options);
        let mut tcp = TcpPacket::new_unchecked(&mut bytes[IP_HEADER..]);
        tcp.set_src_port(self.from.port());
        tcp.set_dst_port(self.to.port());
        tcp.set_seq_number(TcpSeqNumber(self.seq.cast_signed()));
        tcp.set_ack_number(TcpSeqNumber(self.ack.unwrap_or(0).cast_signed()));
        tcp.clear_flags();
        tcp.set_header_len((TCP_HEADER + options.len()) as u8);
        tcp.set_syn(self.syn);
        tcp.set_fin(self.fin);
        tcp.set_rst(self.rst);
        tcp.set_psh(self.push);
        tcp.set_ack(self.ack.is_some());
        tcp.set_window_len(self.window);
        tcp.payload_mut().copy_from_slice(self.data);
        let (source, target) = (*self.from.ip(), *self.to.ip());
        tcp.fill_checksum(&IpAddress::Ipv4(source), &IpAddress::Ipv4(target));
        ip_header(&mut bytes, header, source, target);
        bytes
    }

    /// MSS, a filler, window scale: in lwIP's order.
    fn option_bytes(&self) -> Vec<u8> {
        let Some((mss, shift)) = self.options else {
            return Vec::new();
        };
        let [high, low] = mss.to_be_bytes();
        vec![2, 4, high, low, 1, 3, 3, shift]
    }
}

/// lwIP leaves "don't fragment" unset and counts its packets.
fn ip_header(bytes: &mut [u8], header: Header, source: Ipv4Addr, target: Ipv4Addr) {
    let length = bytes.len() as u16;
    let mut ip = Ipv4Packet::new_unchecked(bytes);
    ip.set_version(4);
    ip.set_header_len(IP_HEADER as u8);
    ip.set_total_len(length);
    ip.set_ident(header.identification);
    ip.clear_flags();
    ip.set_frag_offset(0);
    ip.set_hop_limit(header.ttl);
    ip.set_next_header(IpProtocol::Tcp);
    ip.set_src_addr(source);
    ip.set_dst_addr(target);
    ip.fill_checksum();
}
