//! How fast a server's capture is read: `cargo bench -p airbench-import`.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use airbench_import::{Hints, read};
use etherparse::PacketBuilder;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};

const DEVICES: u8 = 20;
/// Messages of a device; each is two segments and two acknowledgements.
const MESSAGES: u32 = 5_000;
const REPEAT: usize = 5;

/// What a WebSocket begins with.
const REQUEST: &[u8] = b"GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n";
const CONSENT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

/// One connection's two sequence numbers.
struct Talk {
    device: u8,
    next: [u32; 2],
}

impl Talk {
    fn packet(&mut self, up: bool, payload: &[u8]) -> Vec<u8> {
        let (device, server) = ([10, 0, 0, self.device], [10, 0, 1, 1]);
        let (from, to) = if up {
            (device, server)
        } else {
            (server, device)
        };
        let ports = if up { (50_000, 80) } else { (80, 50_000) };
        let side = usize::from(!up);
        let builder = PacketBuilder::ipv4(from, to, 64)
            .tcp(ports.0, ports.1, self.next[side], 8000)
            .ack(self.next[1 - side]);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).expect("memory takes it");
        self.next[side] = self.next[side].wrapping_add(payload.len() as u32);
        bytes
    }
}

/// A capture of devices that send reports of `size` bytes and get them back.
fn capture(size: usize) -> (Vec<u8>, u32) {
    let header = PcapHeader {
        datalink: DataLink::RAW,
        ts_resolution: TsResolution::NanoSecond,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).expect("memory takes it");
    let mut count = 0;
    let mut put = |bytes: Vec<u8>| {
        count += 1;
        let packet = PcapPacket {
            timestamp: Duration::from_micros(u64::from(count) * 100),
            orig_len: bytes.len() as u32,
            data: Cow::Owned(bytes),
        };
        writer.write_packet(&packet).expect("memory takes it");
    };
    let mut talks: Vec<Talk> = (1..=DEVICES)
        .map(|device| Talk {
            device,
            next: [1, 1],
        })
        .collect();
    for talk in &mut talks {
        put(talk.packet(true, REQUEST));
        put(talk.packet(false, CONSENT));
    }
    let mut frame = vec![0x82, 0xFE];
    frame.extend((size as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(vec![b'x'; size]);
    let answer = [&[0x82, 126][..], &frame[2..4], &frame[8..]].concat();
    for _ in 0..MESSAGES {
        for talk in &mut talks {
            put(talk.packet(true, &frame));
            put(talk.packet(false, &[]));
            put(talk.packet(false, &answer));
            put(talk.packet(true, &[]));
        }
    }
    (writer.into_writer(), count)
}

fn main() {
    for size in [126, 1200] {
        let (bytes, packets) = capture(size);
        let mut best = Duration::MAX;
        for _ in 0..REPEAT {
            let begin = Instant::now();
            let part = read("bench", &bytes[..], &Hints::default()).expect("it is a capture");
            best = best.min(begin.elapsed());
            assert!(part.events.len() as u32 > MESSAGES * u32::from(DEVICES) * 2);
        }
        let seconds = best.as_secs_f64();
        println!(
            "messages of {size:4} bytes   {:6.0} MB/s   {:9.0} packets/s",
            bytes.len() as f64 / seconds / 1e6,
            f64::from(packets) / seconds
        );
    }
}
