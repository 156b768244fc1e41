//! The link's features one by one, through whole packets.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::{
    Direction, Discipline, Distribution, Drop, Flapping, Link, LinkConfig, Path, Slot, Trace,
};
use proptest::prelude::*;

fn link(path: Path) -> Link {
    let (up, down) = (path.clone(), path);
    Link::new(
        LinkConfig {
            up,
            down,
            ..LinkConfig::default()
        },
        1,
    )
}

fn send(link: &mut Link, ms: u64, packet: Vec<u8>) {
    let at = Instant::from_millis(ms);
    link.send(at, at, Direction::Up, packet);
}

/// Everything that arrives, with its time.
fn arrivals(link: &mut Link) -> Vec<(Instant, Vec<u8>)> {
    let mut seen = Vec::new();
    while let Some(at) = link.next_wake() {
        while let Some((_, packet)) = link.receive(at) {
            seen.push((at, packet));
        }
    }
    seen
}

fn times(link: &mut Link) -> Vec<u64> {
    arrivals(link).iter().map(|(at, _)| at.millis()).collect()
}

fn losses(link: &mut Link) -> Vec<Drop> {
    std::iter::from_fn(|| link.take_lost())
        .map(|lost| lost.reason)
        .collect()
}

#[test]
fn rate_spaces_packets_and_latency_shifts_them() {
    let mut link = link(Path {
        latency_ms: 10.0,
        rate_bps: 1_000_000,
        ..Path::default()
    });
    (0..3).for_each(|_| send(&mut link, 0, vec![0; 1250]));
    assert_eq!(times(&mut link), [20, 30, 40]);
}

#[test]
fn a_full_queue_drops_at_its_end_or_at_its_head() {
    let path = |queue| Path {
        rate_bps: 1_000_000,
        queue_bytes: 2500,
        queue,
        ..Path::default()
    };
    for (queue, wanted) in [(Discipline::Tail, [0, 1, 2]), (Discipline::Head, [0, 3, 4])] {
        let mut link = link(path(queue));
        send(&mut link, 0, vec![0; 1250]);
        // The first is on the air, the others wait.
        link.receive(Instant::ZERO);
        (1..5).for_each(|n| send(&mut link, 1, vec![n; 1250]));
        let order: Vec<u8> = arrivals(&mut link).iter().map(|(_, p)| p[0]).collect();
        assert_eq!(order, wanted, "{queue:?}");
        assert_eq!(losses(&mut link), [Drop::Queue, Drop::Queue]);
    }
}

/// A sender at twice the rate: without control the queue stands at its limit,
/// with it the waiting time comes down to the neighbourhood of its target.
#[test]
fn codel_keeps_the_waiting_time_down() {
    let waiting = |queue| {
        let mut link = link(Path {
            rate_bps: 8_000_000,
            queue_bytes: 1_000_000,
            queue,
            ..Path::default()
        });
        let mut seen = Vec::new();
        // 1000 bytes each 0.9 ms for twenty seconds: 1.1 times what the air takes.
        for n in 0..22_222u64 {
            let at = Instant::ZERO + Duration::from_micros(n * 900);
            while let Some(due) = link.next_wake().filter(|due| *due <= at) {
                while let Some((_, packet)) = link.receive(due) {
                    let sent = u64::from_le_bytes(packet[..8].try_into().unwrap());
                    seen.push(due.nanos() / 1000 - sent);
                }
            }
            let mut packet = (n * 900).to_le_bytes().to_vec();
            packet.resize(1000, 0);
            link.send(at, at, Direction::Up, packet);
        }
        let reasons = losses(&mut link);
        let late = &seen[seen.len() / 2..];
        (late.iter().sum::<u64>() / late.len() as u64, reasons)
    };
    let (tail, reasons) = waiting(Discipline::Tail);
    assert!(tail > 900_000, "{tail} us");
    assert!(reasons.iter().all(|reason| *reason == Drop::Queue));
    let (codel, reasons) = waiting(Discipline::Codel);
    assert!(codel < 60_000, "{codel} us");
    assert!(reasons.contains(&Drop::Codel));
}

#[test]
fn jitter_stays_in_its_bounds_and_keeps_order_unless_told_otherwise() {
    for overtaking in [false, true] {
        let mut link = link(Path {
            latency_ms: 50.0,
            jitter_ms: 20.0,
            overtaking,
            ..Path::default()
        });
        (0..1000u16).for_each(|n| send(&mut link, n.into(), n.to_le_bytes().to_vec()));
        let seen = arrivals(&mut link);
        assert_eq!(seen.len(), 1000);
        let numbers: Vec<u16> = seen
            .iter()
            .map(|(_, packet)| u16::from_le_bytes([packet[0], packet[1]]))
            .collect();
        assert_eq!(numbers.is_sorted(), !overtaking);
        for ((at, _), number) in seen.iter().zip(numbers) {
            let delay = at.since(Instant::from_millis(number.into()));
            assert!((30..=70).contains(&delay.as_millis()), "{delay:?}");
        }
    }
}

#[test]
fn a_reordered_packet_takes_no_time() {
    let mut link = link(Path {
        latency_ms: 10.0,
        reorder: 1.0,
        gap: 5,
        ..Path::default()
    });
    (1..=10).for_each(|n| send(&mut link, 0, vec![n]));
    let order: Vec<u8> = arrivals(&mut link).iter().map(|(_, p)| p[0]).collect();
    assert_eq!(order, [5, 10, 1, 2, 3, 4, 6, 7, 8, 9]);
}

/// netem's order: the double is made before the damage, and each of the two is
/// damaged on its own.
#[test]
fn doubles_are_damaged_apart() {
    let mut link = link(Path {
        duplicate: 1.0,
        corrupt: 1.0,
        ..Path::default()
    });
    send(&mut link, 0, vec![0; 1000]);
    let seen = arrivals(&mut link);
    let flipped = |packet: &[u8]| packet.iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|(_, packet)| flipped(packet) == 1));
    assert_ne!(seen[0].1, seen[1].1);
}

#[test]
fn large_packets_fall_into_a_black_hole() {
    let mut link = link(Path {
        mtu: 1340,
        ..Path::default()
    });
    send(&mut link, 0, vec![0; 1340]);
    send(&mut link, 0, vec![0; 1341]);
    assert_eq!(arrivals(&mut link).len(), 1);
    assert_eq!(losses(&mut link), [Drop::Mtu]);
}

#[test]
fn slots_let_bursts_through() {
    let mut link = link(Path {
        slot: Some(Slot {
            min_ms: 100.0,
            packets: 2,
            ..Slot::default()
        }),
        ..Path::default()
    });
    (0..5).for_each(|_| send(&mut link, 5, vec![0]));
    assert_eq!(times(&mut link), [105, 105, 205, 205, 305]);
}

#[test]
fn a_trace_says_when_the_air_is_free() {
    let mut link = link(Path {
        latency_ms: 1.0,
        trace: Trace::parse("10\n10\n50").unwrap(),
        ..Path::default()
    });
    (0..4).for_each(|_| send(&mut link, 0, vec![0; 1500]));
    assert_eq!(times(&mut link), [11, 11, 51, 61]);
}

#[test]
fn outages_come_by_hand_and_by_plan() {
    let mut link = link(Path::default());
    link.set_outage(true);
    send(&mut link, 0, vec![0]);
    link.set_outage(false);
    send(&mut link, 0, vec![0]);
    assert_eq!(arrivals(&mut link).len(), 1);
    link.set_flapping(
        Instant::ZERO,
        Some(Flapping {
            first_ms: 10.0,
            up_ms: 30.0,
            down_ms: 20.0,
            ..Flapping::default()
        }),
    );
    (1..100).for_each(|ms| send(&mut link, ms, vec![0]));
    let up = times(&mut link);
    assert!(
        up.iter().all(|ms| !matches!(ms, 10..=29 | 60..=79)),
        "{up:?}"
    );
    assert_eq!(up.len(), 59);
}

/// Congestion is marked where the transport reads it, and the header's sum
/// stays right.
#[test]
fn ecn_marks_instead_of_losing() {
    let mut link = link(Path {
        loss: 1.0,
        ecn: true,
        ..Path::default()
    });
    let mut packet = vec![
        0x45, 2, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    let sum = |packet: &[u8]| {
        let words = packet
            .chunks(2)
            .map(|two| u32::from(two[0]) << 8 | u32::from(two[1]));
        let total: u32 = words.sum();
        (total & 0xFFFF) + (total >> 16)
    };
    let check = !(sum(&packet) as u16);
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    send(&mut link, 0, packet.clone());
    packet[1] = 0;
    send(&mut link, 0, packet);
    let seen = arrivals(&mut link);
    assert_eq!(seen.len(), 1, "the other was not capable");
    assert_eq!(seen[0].1[1] & 3, 3);
    assert_eq!(sum(&seen[0].1), 0xFFFF);
}

fn any_path() -> impl Strategy<Value = Path> {
    let distribution = prop_oneof![
        Just(Distribution::Uniform),
        Just(Distribution::Normal),
        Just(Distribution::Pareto),
        Just(Distribution::ParetoNormal)
    ];
    let queue = prop_oneof![
        Just(Discipline::Tail),
        Just(Discipline::Head),
        Just(Discipline::Codel)
    ];
    (
        (0.0..200.0, 0.0..50.0, distribution, 0.0..0.9, any::<bool>()),
        (0.0..0.3, 0.0..0.3, 0.0..0.3, 0.0..0.3),
        (0u64..2_000_000, 0u64..20_000, queue, 0u32..1500),
    )
        .prop_map(|(delay, chances, air)| Path {
            latency_ms: delay.0,
            jitter_ms: delay.1,
            distribution: delay.2,
            jitter_correlation: delay.3,
            overtaking: delay.4,
            loss: chances.0,
            duplicate: chances.1,
            corrupt: chances.2,
            reorder: chances.3,
            rate_bps: air.0,
            queue_bytes: air.1,
            queue: air.2,
            mtu: air.3,
            ..Path::default()
        })
}

proptest! {
    /// What happens does not depend on when anybody looks, and no packet is
    /// forgotten: it arrives, or its loss is told.
    #[test]
    fn looking_changes_nothing(path in any_path(), gaps in prop::collection::vec(0u64..30, 1..60)) {
        let run = |looks: bool| {
            let mut link = link(path.clone());
            let (mut at, mut seen) = (0, Vec::new());
            for (n, gap) in gaps.iter().enumerate() {
                at += gap;
                if looks {
                    for due in at.saturating_sub(*gap)..at {
                        let due = Instant::from_millis(due);
                        while let Some((way, packet)) = link.receive(due) {
                            seen.push((way, packet));
                        }
                    }
                }
                let now = Instant::from_millis(at);
                let way = if n % 3 == 0 { Direction::Down } else { Direction::Up };
                link.send(now, now, way, vec![n as u8; 40 + n * 20]);
            }
            seen.extend(std::iter::from_fn(|| {
                let due = link.next_wake()?;
                Some(std::iter::from_fn(|| link.receive(due)).collect::<Vec<_>>())
            }).flatten());
            let lost = losses(&mut link);
            prop_assert!(seen.len() + lost.len() >= gaps.len());
            // A packet that waits meets the queue as it is then; all else must
            // be the same.
            let of = |way| seen.iter().filter(|(of, _)| *of == way).cloned().collect::<Vec<_>>();
            Ok((of(Direction::Up), of(Direction::Down), lost.len()))
        };
        if path.queue_bytes == 0 {
            prop_assert_eq!(run(false)?, run(true)?);
        } else {
            run(true)?;
        }
    }

    /// No text makes a profile's reader panic, and what it accepts can be used.
    #[test]
    fn every_accepted_path_carries_packets(path in any_path()) {
        let checked = path.check();
        let mut link = link(path);
        send(&mut link, 0, vec![0; 100]);
        let seen = arrivals(&mut link).len() + losses(&mut link).len();
        prop_assert!(checked.is_err() || seen > 0);
    }
}
