//! Two stacks and a wire: connections, names, silence.

use std::net::{Ipv4Addr, SocketAddrV4};

use airbench_clock::Instant;
use airbench_net::{
    IpStack, LineLevel, LwipConfig, LwipStack, Resolver, Shape, SmolStack, TcpState, dns,
};
use proptest::prelude::*;

const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 64, 12, 34);
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

struct Pair {
    device: LwipStack,
    host: SmolStack,
    now: Instant,
    connected: bool,
}

impl Pair {
    fn new() -> Self {
        let mut device = LwipStack::new(LwipConfig::default(), 1);
        let mut host = SmolStack::new(Shape::host(), 2);
        device.set_address(Some(DEVICE));
        host.set_address(Some(HOST));
        host.listen(80);
        Self {
            device,
            host,
            now: Instant::ZERO,
            connected: true,
        }
    }

    /// Exchanges packets until both are quiet.
    fn settle(&mut self) {
        loop {
            self.device.poll(self.now);
            self.host.poll(self.now);
            let mut moved = false;
            while let Some(packet) = self.device.transmit() {
                moved = true;
                if self.connected {
                    self.host.receive(packet);
                }
            }
            while let Some(packet) = self.host.transmit() {
                moved = true;
                if self.connected {
                    self.device.receive(packet);
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Jumps to the next wake-up; false if nobody wants one before `end`.
    fn advance(&mut self, end: Instant) -> bool {
        let wakes = [
            self.device.next_wake(self.now),
            self.host.next_wake(self.now),
        ];
        match wakes.into_iter().flatten().min() {
            Some(at) if at <= end => {
                self.now = self.now.max(at);
                true
            }
            _ => false,
        }
    }
}

#[test]
fn bytes_flow_and_acknowledgement_is_seen() {
    let mut pair = Pair::new();
    let id = pair
        .device
        .tcp_connect(SocketAddrV4::new(HOST, 80), 0)
        .unwrap();
    pair.settle();
    assert_eq!(pair.device.tcp_status(id).state, TcpState::Open);
    let (peer, port) = pair.host.accept().unwrap();
    assert_eq!(port, 80);
    assert_eq!(pair.device.tcp_write(id, b"hello"), 5);
    assert_eq!(pair.device.tcp_status(id).unacknowledged, 5);
    pair.settle();
    assert_eq!(pair.host.tcp_read(peer, 100), b"hello");
    while pair.device.tcp_status(id).unacknowledged > 0 {
        assert!(
            pair.advance(Instant::from_millis(1000)),
            "the host's delayed ACK comes"
        );
        pair.settle();
    }
    pair.host.tcp_close(peer);
    pair.settle();
    assert_eq!(pair.device.tcp_status(id).state, TcpState::HalfClosed);
}

#[test]
fn a_port_nobody_listens_on_refuses() {
    let mut pair = Pair::new();
    let id = pair
        .device
        .tcp_connect(SocketAddrV4::new(HOST, 81), 0)
        .unwrap();
    pair.settle();
    assert_eq!(pair.device.tcp_status(id).state, TcpState::Closed);
}

#[test]
fn a_black_hole_ends_a_connect_after_the_timeout() {
    let mut pair = Pair::new();
    pair.connected = false;
    let id = pair
        .device
        .tcp_connect(SocketAddrV4::new(HOST, 80), 0)
        .unwrap();
    pair.settle();
    while pair.device.tcp_status(id).state == TcpState::Connecting {
        assert!(pair.advance(Instant::from_millis(200_000)));
        pair.settle();
    }
    // Six SYNs, 3 s apart.
    assert_eq!(pair.now, Instant::from_millis(18_000));
}

#[test]
fn a_lookup_climbs_the_ladder_and_gives_up() {
    let mut stack = LwipStack::new(LwipConfig::default(), 1);
    stack.set_address(Some(DEVICE));
    let mut resolver = Resolver::default();
    resolver.set_server(2, Some(Ipv4Addr::new(10, 0, 0, 53)));
    resolver.set_server(3, Some(Ipv4Addr::new(10, 0, 1, 53)));
    let mut now = Instant::ZERO;
    let id = resolver.start(now, "nowhere.example", &mut stack);
    let lookup = loop {
        match resolver.poll(now, &mut stack) {
            Some(lookup) => break lookup,
            None => now = resolver.next_wake().unwrap(),
        }
    };
    assert_eq!((lookup.id, lookup.addresses.len()), (id, 0));
    // Two servers, three tries each, 6 s by the client's one-second look.
    assert_eq!(now, Instant::from_millis(12_000));
    let lines = resolver.take_lines();
    assert_eq!(
        lines[0],
        (
            LineLevel::Debug,
            "DNS nowhere.example state 0 id 1 ipv6 0 use dns server2, try 0".to_owned()
        )
    );
    assert_eq!(
        lines.last(),
        Some(&(LineLevel::Info, "DNS dns all done ,now stop".to_owned()))
    );
    assert_eq!(lines.len(), 8);
}

#[test]
fn questions_and_answers_agree() {
    let question = dns::question(7, "echo.airtun.air32.cn").unwrap();
    let answer = dns::answer(&question, |name| {
        (name == "echo.airtun.air32.cn").then(|| vec![HOST])
    })
    .unwrap();
    assert_eq!(
        dns::read_answer(7, &answer),
        Some(dns::Answer::Addresses(vec![HOST], 60))
    );
    assert_eq!(dns::read_answer(8, &answer), None);
    let unknown = dns::answer(&question, |_| None).unwrap();
    assert_eq!(dns::read_answer(7, &unknown), Some(dns::Answer::Nothing));
}

proptest! {
    #[test]
    fn no_bytes_make_the_stack_or_dns_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut pair = Pair::new();
        pair.device.receive(bytes.clone());
        pair.host.receive(bytes.clone());
        pair.settle();
        let _ = dns::answer(&bytes, |_| None);
        let _ = dns::read_answer(1, &bytes);
    }
}

#[test]
fn a_datagram_longer_than_a_packet_is_fragmented_and_put_together() {
    let mut pair = Pair::new();
    let server = pair.host.udp_open(12_425);
    let client = pair.device.udp_open(0);
    let long: Vec<u8> = (0..8400u32).map(|i| i as u8).collect();
    let to = SocketAddrV4::new(HOST, 12_425);
    assert!(pair.device.udp_send(client, to, &long));
    pair.settle();
    let (_, got) = pair.host.udp_receive(server).expect("it arrives whole");
    assert_eq!(got, long);
}
