//! The device's TCP against a host on smoltcp, over links that lose, repeat,
//! damage and reorder; and its timers, to the tick.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use airbench_clock::{Instant, Rng};
use airbench_net::{IpStack, Keepalive, LwipConfig, LwipStack, Shape, SmolStack, TcpId, TcpState};
use proptest::prelude::*;

const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 64, 12, 34);
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// What a link does to packets, in parts of one.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    loss: f64,
    repeat: f64,
    damage: f64,
    /// Delays vary by so many milliseconds.
    jitter: u64,
}

struct Link {
    device: LwipStack,
    host: SmolStack,
    now: Instant,
    rng: Rng,
    faults: Faults,
    /// Packets under way: to the host (true) or to the device.
    under_way: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    count: u64,
    /// When the device sent, and what.
    sent: Vec<(Instant, Vec<u8>)>,
    /// Nothing passes.
    cut: bool,
}

impl Link {
    fn new(faults: Faults, seed: u64) -> Self {
        let mut device = LwipStack::new(LwipConfig::default(), seed);
        let mut host = SmolStack::new(Shape::host(), seed + 1);
        device.set_address(Some(DEVICE));
        host.set_address(Some(HOST));
        host.listen(80);
        Self {
            device,
            host,
            now: Instant::ZERO,
            rng: Rng::new(seed, "link"),
            faults,
            under_way: BTreeMap::new(),
            count: 0,
            sent: Vec::new(),
            cut: false,
        }
    }

    fn send(&mut self, up: bool, mut packet: Vec<u8>) {
        if self.cut || self.rng.chance(self.faults.loss) {
            return;
        }
        if self.rng.chance(self.faults.damage) {
            let at = self.rng.below(packet.len() as u64) as usize;
            packet[at] ^= 1 << self.rng.below(8);
        }
        let copies = 1 + u64::from(self.rng.chance(self.faults.repeat));
        for _ in 0..copies {
            let jitter = self.rng.below(self.faults.jitter + 1);
            let at = self.now + Duration::from_millis(20 + jitter);
            self.count += 1;
            self.under_way
                .insert((at, self.count), (up, packet.clone()));
        }
    }

    /// Works off what is due now.
    fn step(&mut self) {
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (up, packet) = entry.remove();
            if up {
                self.host.receive(packet);
            } else {
                self.device.receive(packet);
            }
        }
        self.device.poll(self.now);
        self.host.poll(self.now);
        while let Some(packet) = self.device.transmit() {
            self.sent.push((self.now, packet.clone()));
            self.send(true, packet);
        }
        while let Some(packet) = self.host.transmit() {
            self.send(false, packet);
        }
    }

    /// Jumps to what is due next; false if nothing is before `end`.
    fn advance(&mut self, end: Instant) -> bool {
        let first = self.under_way.keys().next().map(|(at, _)| *at);
        let wakes = [
            self.device.next_wake(self.now),
            self.host.next_wake(self.now),
            first,
        ];
        match Instant::earliest(wakes) {
            Some(at) if at <= end => {
                self.now = self.now.max(at);
                true
            }
            _ => false,
        }
    }

    fn run_until(&mut self, end: Instant) {
        self.step();
        while self.advance(end) {
            self.step();
        }
        self.now = end;
    }

    fn connect(&mut self) -> (TcpId, TcpId) {
        let id = self.device.tcp_connect(SocketAddrV4::new(HOST, 80), 0);
        let id = id.expect("it has an address");
        loop {
            self.step();
            if let Some((peer, _)) = self.host.accept() {
                self.run_until(self.now + Duration::from_millis(500));
                return (id, peer);
            }
            assert!(self.advance(Instant::FAR), "the connection comes about");
        }
    }

    /// TCP payload lengths of what the device sent since, with their times in
    /// milliseconds.
    fn payloads(&self, from: usize) -> Vec<(u64, usize)> {
        let sent = self.sent[from..].iter();
        sent.map(|(at, packet)| (at.micros() / 1000, packet.len() - 40))
            .collect()
    }
}

/// Numbered bytes, so that a misplaced one shows.
fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

/// Both sides send; what each has got is always the beginning of what the other
/// sent, and all of it unless a side gave up.
fn exchange(faults: Faults, seed: u64, up: usize, down: usize) -> (Vec<u8>, Vec<u8>, bool) {
    let mut link = Link::new(faults, seed);
    let id = link
        .device
        .tcp_connect(SocketAddrV4::new(HOST, 80), 0)
        .unwrap();
    let (to_host, to_device) = (numbered(up), numbered(down));
    let (mut written, mut got) = ((0, 0), (Vec::new(), Vec::new()));
    let mut peer = None;
    let end = Instant::from_millis(3_600_000);
    loop {
        link.step();
        peer = peer.or_else(|| link.host.accept().map(|(peer, _)| peer));
        written.0 += link.device.tcp_write(id, &to_host[written.0..]);
        got.0.extend(link.device.tcp_read(id, 700));
        if let Some(peer) = peer {
            written.1 += link.host.tcp_write(peer, &to_device[written.1..]);
            got.1.extend(link.host.tcp_read(peer, 1000));
        }
        assert!(
            to_device.starts_with(&got.0),
            "the device reads what was sent"
        );
        assert!(to_host.starts_with(&got.1), "the host reads what was sent");
        let ended = |state| state == TcpState::Closed;
        let device = link.device.tcp_status(id);
        let host = peer.map(|peer| link.host.tcp_status(peer).state);
        let gave_up = ended(device.state) || host.is_some_and(ended);
        let done = got.0.len() == down && got.1.len() == up;
        if gave_up || done {
            return (got.0, got.1, gave_up);
        }
        let more =
            device.readable > 0 || peer.is_some_and(|peer| link.host.tcp_status(peer).readable > 0);
        if !more && !link.advance(end) {
            panic!(
                "stuck at {}: {} up, {} down",
                link.now,
                got.1.len(),
                got.0.len()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_byte_arrives_in_order_or_the_connection_ends(
        seed: u64,
        loss in 0.0..0.3,
        repeat in 0.0..0.2,
        damage in 0.0..0.1,
        jitter in 0u64..200,
        up in 0usize..30_000,
        down in 0usize..60_000,
    ) {
        let seed = seed >> 1;
        let faults = Faults { loss, repeat, damage, jitter };
        let (at_device, at_host, gave_up) = exchange(faults, seed, up, down);
        prop_assert!(gave_up || (at_device.len(), at_host.len()) == (down, up));
    }
}

#[test]
fn a_clean_link_gives_up_nothing() {
    let (at_device, at_host, gave_up) = exchange(Faults::default(), 7, 200_000, 200_000);
    assert_eq!(
        (at_device.len(), at_host.len(), gave_up),
        (200_000, 200_000, false)
    );
}

#[test]
fn the_syn_is_as_on_the_chip() {
    let mut link = Link::new(Faults::default(), 1);
    link.device.tcp_connect(SocketAddrV4::new(HOST, 80), 0);
    link.step();
    let (_, syn) = &link.sent[0];
    assert_eq!(syn.len(), 48, "eight bytes of options");
    assert_eq!(syn[8], 255, "time to live");
    assert_eq!(syn[6] & 0x40, 0, "may be fragmented");
    assert_eq!(syn[33], 0x02, "SYN alone");
    assert_eq!(u16::from_be_bytes([syn[34], syn[35]]), 8040, "window");
    // MSS 1340, a filler, window scale 1.
    assert_eq!(syn[40..], [2, 4, 0x05, 0x3C, 1, 3, 3, 1]);
}

#[test]
fn syns_into_a_black_hole_follow_the_ladder() {
    let mut link = Link::new(Faults::default(), 1);
    link.cut = true;
    link.run_until(Instant::from_millis(1_234));
    let id = link
        .device
        .tcp_connect(SocketAddrV4::new(HOST, 80), 0)
        .unwrap();
    link.step();
    while link.device.tcp_status(id).state == TcpState::Connecting {
        assert!(link.advance(Instant::from_millis(100_000)));
        link.step();
    }
    let begin = link.sent[0].0;
    let times: Vec<Duration> = link.sent.iter().map(|(at, _)| at.since(begin)).collect();
    let (expected, end) = LwipConfig::default().connect_ladder();
    assert_eq!((times, link.now.since(begin)), (expected, end));
    assert_eq!(end, Duration::from_secs(18));
}

#[test]
fn data_into_a_black_hole_follow_the_ladder() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, peer) = link.connect();
    // Round trips under a tick bring the time-out down to four ticks, its least.
    for _ in 0..30 {
        link.device.tcp_write(id, b"measured");
        link.run_until(link.now + Duration::from_secs(1));
        assert_eq!(link.host.tcp_read(peer, 100), b"measured");
    }
    link.cut = true;
    let from = link.sent.len();
    link.device.tcp_write(id, b"lost");
    link.step();
    let begin = link.now;
    while link.device.tcp_status(id).state == TcpState::Open {
        assert!(link.advance(Instant::from_millis(1_000_000)));
        link.step();
    }
    let times: Vec<Duration> = link.sent[from..]
        .iter()
        .map(|(at, _)| at.since(begin))
        .collect();
    let config = LwipConfig::default();
    let expected = config.data_ladder(4);
    assert_eq!((times, link.now.since(begin)), expected);
    assert_eq!(expected.1, Duration::from_secs(86));
}

/// A segment and a FIN that are lost together come again, whatever the window.
#[test]
fn a_full_segment_with_a_fin_is_repeated() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, peer) = link.connect();
    link.cut = true;
    link.device.tcp_write(id, &numbered(1340));
    link.device.tcp_close(id);
    link.step();
    link.cut = false;
    link.run_until(link.now + Duration::from_secs(10));
    assert_eq!(link.host.tcp_read(peer, 2000), numbered(1340));
    assert_eq!(link.host.tcp_status(peer).state, TcpState::HalfClosed);
}

/// What the peer repeats after our FIN is acknowledged; only new data are an
/// answer nobody wants.
#[test]
fn old_data_after_a_close_are_no_reason_to_reset() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, peer) = link.connect();
    link.host.tcp_write(peer, b"hello");
    link.run_until(link.now + Duration::from_millis(100));
    assert_eq!(link.device.tcp_read(id, 10), b"hello");
    // The acknowledgement is lost, so the host repeats.
    link.cut = true;
    link.run_until(link.now + Duration::from_millis(300));
    link.cut = false;
    link.device.tcp_write(id, &numbered(3000));
    link.device.tcp_close(id);
    link.run_until(link.now + Duration::from_secs(10));
    assert_eq!(link.host.tcp_read(peer, 4000).len(), 3000);
    assert_eq!(link.host.tcp_status(peer).state, TcpState::HalfClosed);
}

/// FIN_WAIT_2 ends twenty seconds after its beginning, whatever the peer sends.
#[test]
fn a_half_closed_connection_is_forgotten() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, _) = link.connect();
    link.device.tcp_close(id);
    link.run_until(link.now + Duration::from_secs(15));
    assert_eq!(link.device.tcp_status(id).state, TcpState::Open);
    link.run_until(link.now + Duration::from_secs(6));
    assert_eq!(link.device.tcp_status(id).state, TcpState::Closed);
}

/// Four segments that come together are answered one by one.
#[test]
fn every_segment_is_answered() {
    let mut link = Link::new(Faults::default(), 1);
    let (_, peer) = link.connect();
    let from = link.sent.len();
    link.host.tcp_write(peer, &numbered(4 * 1340));
    link.run_until(link.now + Duration::from_millis(50));
    assert_eq!(link.payloads(from).len(), 2);
}

#[test]
fn an_ack_waits_a_quarter_of_a_second_or_for_a_second_segment() {
    let mut link = Link::new(Faults::default(), 1);
    let (_, peer) = link.connect();
    let from = link.sent.len();
    let begin = link.now;
    link.host.tcp_write(peer, b"one");
    link.run_until(begin + Duration::from_secs(1));
    // 20 ms on the way, then 250.
    assert_eq!(link.payloads(from), [(begin.micros() / 1000 + 270, 0)]);
    let (from, begin) = (link.sent.len(), link.now);
    link.host.tcp_write(peer, &numbered(2 * 1340));
    link.run_until(begin + Duration::from_millis(100));
    assert_eq!(link.payloads(from), [(begin.micros() / 1000 + 20, 0)]);
}

#[test]
fn small_writes_wait_for_the_answer_to_the_first() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, _) = link.connect();
    let from = link.sent.len();
    for piece in [&b"GET /"[..], b" HTTP/1.1", b"\r\n\r\n"] {
        link.device.tcp_write(id, piece);
        link.step();
    }
    link.run_until(link.now + Duration::from_secs(1));
    let sizes: Vec<usize> = link.payloads(from).iter().map(|(_, len)| *len).collect();
    assert_eq!(sizes, [5, 13]);
}

#[test]
fn three_duplicate_acks_bring_the_lost_segment_at_once() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, _) = link.connect();
    // Open the congestion window.
    link.device.tcp_write(id, &numbered(20_000));
    link.run_until(link.now + Duration::from_secs(2));
    let from = link.sent.len();
    let begin = link.now;
    link.cut = true;
    link.device.tcp_write(id, &numbered(1340));
    link.step();
    link.cut = false;
    link.device.tcp_write(id, &numbered(5 * 1340));
    link.run_until(begin + Duration::from_millis(200));
    let again = link
        .payloads(from)
        .into_iter()
        .filter(|(_, len)| *len == 1340);
    let times: Vec<u64> = again.map(|(at, _)| at - begin.micros() / 1000).collect();
    assert_eq!(
        times,
        [0, 0, 0, 0, 0, 0, 40],
        "the seventh is the first again"
    );
}

#[test]
fn a_closed_window_is_probed_ever_more_slowly() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, _) = link.connect();
    // The host reads nothing: its 32 KiB fill up.
    let all = numbered(60_000);
    let mut written = 0;
    for _ in 0..400 {
        written += link.device.tcp_write(id, &all[written..]);
        link.run_until(link.now + Duration::from_millis(10));
    }
    let from = link.sent.len();
    link.run_until(link.now + Duration::from_secs(60));
    let probes = link.payloads(from);
    assert!(probes.iter().all(|(_, len)| *len == 1), "{probes:?}");
    let gaps: Vec<u64> = probes.windows(2).map(|two| two[1].0 - two[0].0).collect();
    assert!(gaps.ends_with(&[6000, 12_000, 24_000]), "{gaps:?}");
}

#[test]
fn probes_of_an_idle_connection_find_a_dead_peer() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, _) = link.connect();
    link.device.tcp_keepalive(
        id,
        Some(Keepalive {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
        }),
    );
    link.run_until(link.now + Duration::from_secs(120));
    assert_eq!(
        link.device.tcp_status(id).state,
        TcpState::Open,
        "it answers"
    );
    link.cut = true;
    link.run_until(link.now + Duration::from_secs(120));
    assert_eq!(link.device.tcp_status(id).state, TcpState::Closed);
}

#[test]
fn closing_with_unread_data_resets() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, peer) = link.connect();
    link.host.tcp_write(peer, b"never read");
    link.run_until(link.now + Duration::from_secs(1));
    link.device.tcp_close(id);
    link.run_until(link.now + Duration::from_secs(1));
    assert_eq!(link.host.tcp_status(peer).state, TcpState::Closed);
}

#[test]
fn both_sides_close() {
    let mut link = Link::new(Faults::default(), 1);
    let (id, peer) = link.connect();
    link.device.tcp_write(id, b"bye");
    link.device.tcp_close(id);
    link.run_until(link.now + Duration::from_secs(1));
    assert_eq!(link.host.tcp_read(peer, 10), b"bye");
    assert_eq!(link.host.tcp_status(peer).state, TcpState::HalfClosed);
    link.host.tcp_close(peer);
    link.run_until(link.now + Duration::from_secs(30));
    assert_eq!(
        link.device.tcp_status(id).state,
        TcpState::Closed,
        "forgotten"
    );
    assert_eq!(link.device.next_wake(link.now), None);
}
