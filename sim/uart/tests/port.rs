//! Line timing, idle notification, overflow, mismatch.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_uart::{Ear, Framing, Lost, Output, Port, Tunables};
use proptest::prelude::*;

fn port() -> Port {
    let mut port = Port::new(Tunables::default());
    port.open(Instant::ZERO, Framing::default(), 2048);
    port
}

/// Runs the port until it has nothing left to do.
fn drain(port: &mut Port) -> Vec<(Instant, Output)> {
    let mut outputs = Vec::new();
    let mut now = Instant::ZERO;
    while let Some(at) = port.next_wake() {
        now = now.max(at);
        while let Some(output) = port.poll(now) {
            outputs.push((now, output));
        }
    }
    outputs
}

#[test]
fn six_bytes_at_115200_take_521_microseconds_and_notify_one_millisecond_later() {
    let mut port = port();
    port.send_to_device(Instant::ZERO, b"\"echo\"".to_vec(), None, Ear::Awake);
    let outputs = drain(&mut port);
    let end = Instant::from_nanos(520_833);
    assert_eq!(
        outputs,
        [(end + Duration::from_millis(1), Output::Receive(6))]
    );
    assert_eq!(port.read(end, 100), b"\"echo\"");
}

#[test]
fn bytes_trickle_in_one_character_time_apart() {
    let mut port = port();
    port.send_to_device(Instant::ZERO, vec![b'x'; 10], None, Ear::Awake);
    assert_eq!(port.rx_size(Instant::from_nanos(86_805)), 1);
    assert_eq!(port.rx_size(Instant::from_nanos(86_804 * 4)), 3);
    assert_eq!(port.rx_size(Instant::from_millis(1)), 10);
}

#[test]
fn a_gap_shorter_than_the_idle_time_merges_two_bursts() {
    let mut port = port();
    port.send_to_device(Instant::ZERO, b"ab".to_vec(), None, Ear::Awake);
    port.send_to_device(
        Instant::from_nanos(900_000),
        b"cd".to_vec(),
        None,
        Ear::Awake,
    );
    let receives: Vec<_> = drain(&mut port)
        .into_iter()
        .map(|(_, output)| output)
        .collect();
    assert_eq!(receives, [Output::Receive(4)]);
}

#[test]
fn streaming_beyond_the_cache_size_notifies_early_and_drops_past_the_maximum() {
    let mut port = port();
    port.send_to_device(Instant::ZERO, vec![0; 10_000], None, Ear::Awake);
    let outputs = drain(&mut port);
    assert_eq!(outputs[0].1, Output::Receive(2049));
    let lost: usize = outputs
        .iter()
        .map(|(_, output)| {
            if let Output::Lost(Lost::Overflow, n) = output {
                *n
            } else {
                0
            }
        })
        .sum();
    assert_eq!(lost, 10_000 - 8192);
}

#[test]
fn a_peer_at_another_rate_is_not_understood() {
    let mut port = port();
    let slow = Framing {
        baud: 9600,
        ..Framing::default()
    };
    port.send_to_device(Instant::ZERO, b"hello".to_vec(), Some(slow), Ear::Awake);
    assert_eq!(
        drain(&mut port).pop().unwrap().1,
        Output::Lost(Lost::Framing, 5)
    );
}

#[test]
fn what_the_device_writes_leaves_at_line_rate() {
    let mut port = port();
    assert!(port.write(Instant::ZERO, &[7; 300]));
    let outputs = drain(&mut port);
    assert_eq!(
        outputs[0],
        (
            Instant::ZERO + Framing::default().characters(256),
            Output::Sent(vec![7; 256])
        )
    );
    assert_eq!(outputs[1].1, Output::Sent(vec![7; 44]));
    assert_eq!(outputs[2].1, Output::Drained);
}

proptest! {
    /// Every byte arrives once, in order, or is reported lost; and a port that
    /// is asked only at its wake-ups misses no notification.
    #[test]
    fn bytes_are_conserved(bursts in prop::collection::vec((0u64..20_000, 1usize..3000), 1..8)) {
        let mut port = port();
        let (mut sent, mut now, mut got, mut lost) = (0usize, Instant::ZERO, Vec::new(), 0usize);
        for (gap, len) in bursts {
            now += Duration::from_micros(gap);
            port.send_to_device(now, (sent..sent + len).map(|i| i as u8).collect(), None, Ear::Awake);
            sent += len;
        }
        let mut clock = Instant::ZERO;
        while let Some(at) = port.next_wake() {
            clock = clock.max(at);
            while let Some(output) = port.poll(clock) {
                match output {
                    Output::Receive(_) => got.extend(port.read(clock, usize::MAX)),
                    Output::Lost(Lost::Overflow, n) => lost += n,
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        prop_assert_eq!(lost, 0, "a reader that keeps up loses nothing");
        prop_assert_eq!(got, (0..sent).map(|i| i as u8).collect::<Vec<_>>());
    }
}
