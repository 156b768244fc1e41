//! IP packets to both stacks, in the middle of a connection, and DNS messages both
//! ways.
#![no_main]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use airbench_clock::Instant;
use airbench_net::{IpStack, LwipConfig, LwipStack, Shape, SmolStack, dns};
use libfuzzer_sys::fuzz_target;

const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 64, 12, 34);
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// What one moment may cause at most; a storm would never end.
const PACKETS: usize = 1000;

fuzz_target!(|data: &[u8]| {
    let mut device = LwipStack::new(LwipConfig::default(), 1);
    let mut host = SmolStack::new(Shape::host(), 2);
    device.set_address(Some(DEVICE));
    host.set_address(Some(HOST));
    host.listen(80);
    let id = device
        .tcp_connect(SocketAddrV4::new(HOST, 80), 0)
        .expect("an address");
    let mut now = Instant::ZERO;
    // The first byte says how the rest is cut into packets.
    let (piece, data) = data
        .split_first()
        .map_or((1, data), |(n, rest)| (usize::from(*n) + 1, rest));
    for packet in data.chunks(piece) {
        now = now + Duration::from_millis(100);
        device.tcp_write(id, packet);
        // With the right addresses the packet gets further.
        let mut aimed = packet.to_vec();
        if let Some(addresses) = aimed.get_mut(12..20) {
            addresses[..4].copy_from_slice(&HOST.octets());
            addresses[4..].copy_from_slice(&DEVICE.octets());
        }
        device.receive(aimed);
        host.receive(packet.to_vec());
        let mut count = 0;
        loop {
            device.poll(now);
            host.poll(now);
            let (up, down) = (device.transmit(), host.transmit());
            if up.is_none() && down.is_none() {
                break;
            }
            count += 1;
            assert!(count < PACKETS, "the stacks do not come to rest");
            up.map(|packet| host.receive(packet)).unwrap_or_default();
            down.map(|packet| device.receive(packet))
                .unwrap_or_default();
        }
        device.tcp_read(id, piece);
    }
    let _ = dns::answer(data, |_| Some(vec![Ipv4Addr::LOCALHOST]));
    let _ = dns::read_answer(1, data);
});
