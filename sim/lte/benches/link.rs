//! Packets through the link beside str0m-netem, with the features both have, and
//! through everything this link has. `cargo bench -p airbench-lte`.

use std::hint::black_box;
use std::time::{Duration, Instant as Wall};

use airbench_clock::Instant;
use airbench_lte::{Direction, Discipline, Distribution, FourState, GilbertElliott};
use airbench_lte::{Link, LinkConfig, Path};
use str0m_netem::{
    Bitrate, DataSize, GilbertElliot, Input, Netem, NetemConfig, Output, Probability,
};

const PACKETS: u64 = 1_000_000;
const REPEAT: usize = 7;
/// Time between packets: 100 bytes each 100 µs are 8 Mbit/s.
const GAP: Duration = Duration::from_micros(100);

/// What both have: latency, correlated jitter, bursts of losses, doubles, rate
/// with a byte queue.
fn common() -> Path {
    Path {
        latency_ms: 35.0,
        jitter_ms: 7.0,
        jitter_correlation: 0.25,
        gilbert_elliott: Some(GilbertElliott {
            p: 0.01,
            r: 0.5,
            bad_loss: 1.0,
            good_loss: 0.0,
        }),
        duplicate: 0.001,
        rate_bps: 10_000_000,
        queue_bytes: 65_536,
        ..Path::default()
    }
}

fn everything() -> Path {
    Path {
        distribution: Distribution::ParetoNormal,
        gilbert_elliott: None,
        four_state: Some(FourState {
            p13: 0.01,
            p31: 0.2,
            p32: 0.1,
            p23: 0.5,
            p14: 0.002,
        }),
        corrupt: 0.001,
        corrupt_correlation: 0.25,
        duplicate_correlation: 0.25,
        reorder: 0.01,
        reorder_correlation: 0.5,
        packet_overhead: 20,
        cell_size: 48,
        cell_overhead: 5,
        queue: Discipline::Codel,
        ..common()
    }
}

/// Nanoseconds per packet through our link, and how many arrived.
fn ours(path: Path) -> (f64, u64) {
    let config = LinkConfig {
        up: path,
        ..LinkConfig::default()
    };
    let mut link = Link::new(config, 42);
    let mut arrived = 0;
    let begin = Wall::now();
    for n in 0..PACKETS {
        let now = Instant::ZERO + GAP * n as u32;
        link.send(now, now, Direction::Up, black_box(vec![0; 100]));
        while let Some(packet) = link.receive(now) {
            black_box(packet);
            arrived += 1;
        }
        while link.take_lost().is_some() {}
    }
    (nanos(begin), arrived)
}

/// The same through str0m-netem.
fn theirs() -> (f64, u64) {
    let config = NetemConfig::new()
        .latency(Duration::from_millis(35))
        .jitter(Duration::from_millis(7))
        .delay_correlation(Probability::new(0.25))
        .loss(
            GilbertElliot::new()
                .good_duration(100.0)
                .bad_duration(2.0)
                .loss_in_bad(Probability::ONE)
                .loss_in_good(Probability::ZERO),
        )
        .duplicate(Probability::new(0.001))
        .link(Bitrate::kbps(10_000), DataSize::bytes(65_536))
        .seed(42);
    let mut netem: Netem<Vec<u8>> = Netem::new(config);
    let zero = Wall::now();
    let mut arrived = 0;
    let begin = Wall::now();
    for n in 0..PACKETS {
        let now = zero + GAP * n as u32;
        netem.handle_input(Input::Packet(now, black_box(vec![0; 100])));
        while let Some(output) = netem.poll_output() {
            if let Output::Packet(packet) = output {
                black_box(packet);
                arrived += 1;
            }
        }
    }
    (nanos(begin), arrived)
}

fn nanos(begin: Wall) -> f64 {
    begin.elapsed().as_nanos() as f64 / PACKETS as f64
}

fn main() {
    let mut rows: [(&str, Vec<f64>, u64); 4] = [
        ("str0m-netem, its features", Vec::new(), 0),
        ("this link, the same features", Vec::new(), 0),
        ("this link, every feature", Vec::new(), 0),
        ("this link, latency only", Vec::new(), 0),
    ];
    for _ in 0..REPEAT {
        // Side by side: all feel the same noise of the machine.
        let plain = Path {
            latency_ms: 35.0,
            ..Path::default()
        };
        let results = [theirs(), ours(common()), ours(everything()), ours(plain)];
        for (row, (cost, arrived)) in rows.iter_mut().zip(results) {
            row.1.push(cost);
            row.2 = arrived;
        }
    }
    for (name, mut costs, arrived) in rows {
        costs.sort_by(f64::total_cmp);
        let (best, median) = (costs[0], costs[REPEAT / 2]);
        println!("{name:30} {best:6.0} ns a packet (median {median:.0}), {arrived} arrived");
    }
}
