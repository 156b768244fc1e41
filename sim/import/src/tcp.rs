//! TCP connections out of packets: streams in order, and what their timing tells.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};
use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};

use crate::app::App;
use crate::link::{FlowTimes, LinkView};
use crate::tls::Keys;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct End {
    address: IpAddr,
    port: u16,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client, which opened the connection, to the server.
    Up,
    Down,
}

/// Bytes ahead of a hole that are kept; more, and the hole is given up.
const AHEAD: usize = 256 * 1024;

/// One direction of a connection. Places in the stream are numbers of 64 bits, so
/// that the sequence space's end is none.
#[derive(Debug, Default)]
struct Half {
    /// The next byte wanted; `None` before the first.
    next: Option<i64>,
    /// Behind the last byte seen.
    top: i64,
    ahead: BTreeMap<i64, Vec<u8>>,
    waiting: usize,
    fin: Option<i64>,
}

impl Half {
    /// The place of a sequence number, the one nearest to what is wanted.
    fn place(&self, sequence: u32) -> i64 {
        match self.next {
            Some(next) => next + i64::from(sequence.wrapping_sub(next as u32).cast_signed()),
            None => i64::from(sequence),
        }
    }

    /// The stream begins at this place (behind a SYN), or has begun before the
    /// capture.
    fn begin(&mut self, place: i64) {
        if self.next.is_none() {
            (self.next, self.top) = (Some(place), place);
        }
    }

    /// Takes a segment; gives `deliver` what is in order, and before it how many
    /// bytes the capture has missed.
    fn take(&mut self, place: i64, bytes: &[u8], deliver: &mut impl FnMut(&[u8], i64)) {
        self.begin(place);
        let Some(next) = self.next else { return };
        self.top = self.top.max(place + bytes.len() as i64);
        if place > next {
            self.waiting += bytes.len();
            self.ahead.entry(place).or_insert_with(|| bytes.to_vec());
            if self.waiting > AHEAD
                && let Some((first, _)) = self.ahead.first_key_value()
            {
                // The hole will not be filled: the capture has missed it.
                deliver(&[], first - next);
                self.next = Some(*first);
            }
        } else {
            self.pass(next, place, bytes, deliver);
        }
        while let Some(next) = self.next
            && let Some(entry) = self.ahead.first_entry()
            && *entry.key() <= next
        {
            let (place, bytes) = entry.remove_entry();
            self.waiting -= bytes.len();
            self.pass(next, place, &bytes, deliver);
        }
    }

    /// Hands on what is new of a segment that begins at `next` or before.
    fn pass(&mut self, next: i64, place: i64, bytes: &[u8], deliver: &mut impl FnMut(&[u8], i64)) {
        let known = usize::try_from(next - place).unwrap_or(usize::MAX);
        if known < bytes.len() {
            deliver(&bytes[known..], 0);
            self.next = Some(place + bytes.len() as i64);
        }
    }

    /// Everything up to the FIN has come.
    fn is_over(&self) -> bool {
        self.fin
            .is_some_and(|fin| self.next.is_some_and(|next| next >= fin))
    }
}

/// A connection.
struct Flow {
    number: usize,
    /// Client and server.
    ends: [End; 2],
    halves: [Half; 2],
    app: App,
    times: FlowTimes,
}

/// All connections of a capture.
#[derive(Default)]
pub(crate) struct Flows {
    /// By both ends, the lesser first.
    flows: BTreeMap<(End, End), Flow>,
    count: usize,
    finished: Vec<FlowTimes>,
    pub(crate) events: Vec<Event>,
    pub(crate) keys: Keys,
    pub(crate) remarks: Vec<String>,
}

/// Most remarks about single connections.
const REMARKS: usize = 20;

impl Flows {
    /// Takes a packet.
    pub(crate) fn packet(&mut self, at: Instant, packet: &LaxSlicedPacket<'_>) {
        let Some(TransportSlice::Tcp(tcp)) = &packet.transport else {
            return;
        };
        let Some((from, to)) = ends(packet, tcp) else {
            return;
        };
        let key = (from.min(to), from.max(to));
        let opens = tcp.syn() && !tcp.ack();
        // A new connection may use the ports of an old one.
        let renewed = |flow: &Flow| opens && flow.is_over();
        if self.flows.get(&key).is_some_and(renewed)
            && let Some(old) = self.flows.remove(&key)
        {
            self.finished.push(old.times);
        }
        if !self.flows.contains_key(&key) {
            self.count += 1;
            let flow = Flow::new(self.count, from, to, tcp, at);
            let text = format!("tcp {} {} -> {}", flow.number, flow.ends[0], flow.ends[1]);
            self.events.push(network(at, &text));
            self.flows.insert(key, flow);
        }
        let Some(flow) = self.flows.get_mut(&key) else {
            return;
        };
        let up = from == flow.ends[0];
        let mut said = Vec::new();
        flow.segment(at, up, tcp, &self.keys, &mut said, &mut self.events);
        for remark in said {
            if self.remarks.len() < REMARKS {
                self.remarks.push(remark);
            }
        }
    }

    /// The end of the capture: what all connections tell of the link.
    pub(crate) fn finish(mut self) -> (Vec<Event>, LinkView, Vec<String>) {
        let mut open: Vec<Flow> = self.flows.into_values().collect();
        open.sort_by_key(|flow| flow.number);
        for flow in &open {
            if let Some(remark) = flow.app.remark() {
                self.remarks.push(format!("tcp {}: {remark}", flow.number));
            }
        }
        self.finished
            .extend(open.into_iter().map(|flow| flow.times));
        (self.events, LinkView::of(&self.finished), self.remarks)
    }
}

pub(crate) fn network(at: Instant, text: &str) -> Event {
    Event::new(at, Source::Server, Kind::Network, text)
}

impl Flow {
    fn new(number: usize, from: End, to: End, tcp: &TcpSlice<'_>, at: Instant) -> Self {
        // Without the SYN the lower port is the server's.
        let from_client = match (tcp.syn(), tcp.ack()) {
            (true, false) => true,
            (true, true) => false,
            _ => from.port >= to.port,
        };
        Self {
            number,
            ends: if from_client { [from, to] } else { [to, from] },
            halves: Default::default(),
            app: App::default(),
            times: FlowTimes::new(at),
        }
    }

    fn is_over(&self) -> bool {
        self.times.is_over() || self.halves.iter().all(Half::is_over)
    }

    fn segment(
        &mut self,
        at: Instant,
        up: bool,
        tcp: &TcpSlice<'_>,
        keys: &Keys,
        remarks: &mut Vec<String>,
        events: &mut Vec<Event>,
    ) {
        let way = if up { Way::Up } else { Way::Down };
        let half = &mut self.halves[usize::from(!up)];
        let mut place = half.place(tcp.sequence_number());
        if tcp.syn() {
            place += 1;
            half.begin(place);
        }
        let payload = tcp.payload();
        let seen = half.top;
        if tcp.fin() {
            half.fin = Some(place + payload.len() as i64);
        }
        if !payload.is_empty() {
            let (app, number) = (&mut self.app, self.number);
            half.take(place, payload, &mut |bytes, missed| {
                if missed > 0 {
                    remarks.push(format!(
                        "tcp {number}: {missed} bytes are not in the capture"
                    ));
                    app.lose(way);
                }
                app.take(at, way, bytes, keys, events);
            });
        }
        let end = place + payload.len() as i64;
        let acknowledged = tcp
            .ack()
            .then(|| self.halves[usize::from(up)].place(tcp.acknowledgment_number()));
        let segment = crate::link::Segment {
            at,
            up,
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            repeated: !payload.is_empty() && end <= seen,
            end: (!payload.is_empty()).then_some(end),
            acknowledged,
        };
        if let Some(how) = self.times.segment(&segment) {
            let text = format!("tcp {} {how}", self.number);
            self.app.end(at, how, events);
            events.push(network(at, &text));
        }
    }
}

/// Where a segment comes from and goes to.
fn ends(packet: &LaxSlicedPacket<'_>, tcp: &TcpSlice<'_>) -> Option<(End, End)> {
    let (from, to) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (
            IpAddr::V4(ip.header().source_addr()),
            IpAddr::V4(ip.header().destination_addr()),
        ),
        LaxNetSlice::Ipv6(ip) => (
            IpAddr::V6(ip.header().source_addr()),
            IpAddr::V6(ip.header().destination_addr()),
        ),
        LaxNetSlice::Arp(_) => return None,
    };
    let end = |address, port| End { address, port };
    Some((
        end(from, tcp.source_port()),
        end(to, tcp.destination_port()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes segments and gives what came out: bytes, and how many were missed.
    fn take(half: &mut Half, segments: &[(i64, Vec<u8>)]) -> (Vec<u8>, i64) {
        let (mut out, mut lost) = (Vec::new(), 0);
        for (place, bytes) in segments {
            half.take(*place, bytes, &mut |bytes, missed| {
                out.extend_from_slice(bytes);
                lost += missed;
            });
        }
        (out, lost)
    }

    proptest! {
        /// Whatever the order, and however often: the stream.
        #[test]
        fn segments_become_the_stream(
            stream in proptest::collection::vec(any::<u8>(), 1..2000),
            cuts in proptest::collection::vec(1usize..300, 1..40),
            order in proptest::collection::vec(any::<u32>(), 80),
        ) {
            let mut segments = Vec::new();
            let mut at = 0;
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(stream.len());
                segments.push((at as i64, stream[at..end].to_vec()));
                if end == stream.len() {
                    break;
                }
                // Some overlap what was there before.
                at = end - (cut % 3).min(end - at - 1).min(1);
            }
            let mut shuffled: Vec<_> = segments.iter().cycle().take(segments.len() * 2).cloned().collect();
            let keys = |index: usize| order[index % order.len()].wrapping_mul(index as u32 | 1);
            let mut places: Vec<usize> = (0..shuffled.len()).collect();
            places.sort_by_key(|index| keys(*index));
            shuffled = places.into_iter().map(|index| shuffled[index].clone()).collect();
            let mut half = Half::default();
            half.begin(0);
            let (out, lost) = take(&mut half, &shuffled);
            prop_assert_eq!((out, lost), (stream, 0));
        }
    }

    #[test]
    fn numbers_wrap() {
        let mut half = Half::default();
        half.begin(0xFFFF_FFF0);
        let first = half.place(0xFFFF_FFF0);
        let (out, _) = take(&mut half, &[(first, vec![1; 32])]);
        assert_eq!(out.len(), 32);
        assert_eq!(half.place(0x10), 0x1_0000_0010);
    }

    #[test]
    fn a_hole_that_is_never_filled_is_told() {
        let mut half = Half::default();
        let mut segments = vec![(0, vec![1; 10])];
        segments.extend((0..300).map(|n| (20 + n * 1000, vec![2; 1000])));
        let (out, lost) = take(&mut half, &segments);
        assert_eq!((out.len(), lost), (10 + 300_000, 10));
    }
}
