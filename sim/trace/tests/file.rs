//! Recordings: what is written is read back, damage is named, a torn tail
//! loses the last event only.

use airbench_clock::Instant;
use airbench_trace::file::{ReadError, Reader, Writer};
use airbench_trace::{Event, Kind, Log, Retention, Source};
use proptest::prelude::*;

fn event() -> impl Strategy<Value = Event> {
    let source = (0u8..11).prop_map(|n| Source::from_number(n).unwrap());
    let kind = (0u8..17).prop_map(|n| Kind::from_number(n).unwrap());
    (
        any::<u64>(),
        source,
        kind,
        prop::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|(t, source, kind, bytes)| {
            Event::new(Instant::from_nanos(t), source, kind, bytes)
        })
}

fn record(events: &[Event]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &"header").unwrap();
    for event in events {
        writer.write(event).unwrap();
    }
    writer.finish().unwrap()
}

fn read(file: &[u8]) -> Result<Vec<Event>, ReadError> {
    let (header, mut reader) = Reader::open::<String>(file)?;
    assert_eq!(header, "header");
    let mut events = Vec::new();
    while let Some(event) = reader.next_event()? {
        events.push(event);
    }
    Ok(events)
}

proptest! {
    #[test]
    fn recordings_read_back(events in prop::collection::vec(event(), 0..20)) {
        prop_assert_eq!(read(&record(&events)).unwrap(), events);
    }

    #[test]
    fn a_torn_tail_loses_only_the_last_event(events in prop::collection::vec(event(), 1..8), cut in 1usize..8) {
        let file = record(&events);
        let read = read(&file[..file.len() - cut]).unwrap();
        prop_assert_eq!(&read[..], &events[..events.len() - 1]);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = record(&[]);
        file.extend_from_slice(&bytes);
        let _ = read(&file);
        let _ = Reader::open::<String>(&bytes[..]);
    }

    #[test]
    fn a_flipped_bit_in_an_event_is_noticed(event in event(), bit in 0usize..112) {
        let clean = record(&[]);
        let mut file = record(std::slice::from_ref(&event));
        file[clean.len() + 4 + bit / 8] ^= 1 << (bit % 8);
        let damaged = matches!(read(&file), Err(ReadError::Record { .. }));
        prop_assert!(damaged);
    }
}

#[test]
fn other_files_are_refused_by_name() {
    assert!(matches!(
        read(b"PK\x03\x04 something else"),
        Err(ReadError::NotARecording)
    ));
    let mut file = record(&[]);
    file[8] = 9;
    assert!(matches!(read(&file), Err(ReadError::Version(9))));
}

#[test]
fn the_hash_covers_plaintext_and_of_packets_the_length() {
    let hash = |kind, bytes: &[u8]| {
        let mut log = Log::new(Retention::Last(1));
        log.push(Event::new(
            Instant::from_millis(1),
            Source::Link,
            kind,
            bytes,
        ));
        log.hash()
    };
    assert_ne!(hash(Kind::Line, b"one"), hash(Kind::Line, b"two"));
    assert_eq!(hash(Kind::PacketUp, b"one"), hash(Kind::PacketUp, b"two"));
    assert_ne!(hash(Kind::PacketUp, b"one"), hash(Kind::PacketUp, b"three"));
}
