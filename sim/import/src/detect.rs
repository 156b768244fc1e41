//! Which format a capture has, and reading it.

use std::io::{BufReader, Cursor, Read};
use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::{Event, file, pcapng};
use serde::Deserialize;

use crate::packets::{self, Damage, Entry};
use crate::serial::{self, Lines};
use crate::tcp::{Flows, network};
use crate::{Clock, Hints, ImportError, Part, Vantage};

/// Formats of captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// libpcap's.
    Pcap,
    /// pcapng.
    Pcapng,
    /// `socat -x -v`.
    Socat,
    /// LLCOM's daily log.
    Llcom,
    /// Luatools' log.
    Luatools,
    /// Lines with time and direction.
    Stamped,
    /// What `airtun --record` writes.
    Airtun,
}

impl Format {
    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
            Self::Socat => "socat",
            Self::Llcom => "llcom",
            Self::Luatools => "luatools",
            Self::Stamped => "stamped",
            Self::Airtun => "airtun",
        }
    }

    /// Where such captures are made.
    fn vantage(self) -> Vantage {
        match self {
            Self::Pcap | Self::Pcapng | Self::Airtun => Vantage::Server,
            Self::Luatools => Vantage::Log,
            Self::Socat | Self::Llcom | Self::Stamped => Vantage::Uart,
        }
    }

    /// What their times are.
    fn clock(self) -> Clock {
        match self.vantage() {
            Vantage::Server => Clock::Utc,
            Vantage::Uart | Vantage::Log => Clock::Local,
        }
    }

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pcap,
        Self::Pcapng,
        Self::Socat,
        Self::Llcom,
        Self::Luatools,
        Self::Stamped,
        Self::Airtun,
    ];

    /// What the first bytes look like.
    fn of(start: &[u8]) -> Option<Self> {
        if start.starts_with(&pcapng::MAGIC) {
            return Some(Self::Pcapng);
        }
        if start.starts_with(&file::MAGIC) {
            return Some(Self::Airtun);
        }
        if let Some(magic) = start.get(..4) {
            let words = [0xA1B2_C3D4u32, 0xA1B2_3C4D];
            let is = |word: &u32| magic == word.to_be_bytes() || magic == word.to_le_bytes();
            if words.iter().any(is) {
                return Some(Self::Pcap);
            }
        }
        let text = serial::decode(start);
        text.lines().find_map(|line| {
            if serial::socat_head(line).is_some() {
                Some(Self::Socat)
            } else if serial::llcom_line(line).is_some() {
                Some(Self::Llcom)
            } else if serial::luatools_line(line).is_some() {
                Some(Self::Luatools)
            } else {
                serial::stamped_line(line).map(|_| Self::Stamped)
            }
        })
    }
}

/// How much is looked at to recognise a format.
const START: u64 = 64 * 1024;
/// Longest text that is read.
const TEXT: u64 = 1 << 30;

/// Reads a capture; `name` is for reports.
pub fn read(name: &str, mut input: impl Read, hints: &Hints) -> Result<Part, ImportError> {
    let mut start = Vec::new();
    (&mut input).take(START).read_to_end(&mut start)?;
    let format = hints.format.or_else(|| Format::of(&start));
    let format = format.ok_or_else(|| {
        ImportError::Format(String::from_utf8_lossy(&start[..start.len().min(24)]).into_owned())
    })?;
    let input = Cursor::new(start).chain(input);
    let mut part = match format {
        Format::Pcap | Format::Pcapng => packets_of(format, input, hints)?,
        Format::Airtun => recording_of(input)?,
        _ => text_of(format, input, hints)?,
    };
    name.clone_into(&mut part.name);
    put_in_order(&mut part);
    Ok(part)
}

/// A part whose name is still to be given.
fn part(format: Format, events: Vec<Event>, remarks: Vec<String>) -> Part {
    Part {
        name: String::new(),
        format,
        vantage: format.vantage(),
        clock: format.clock(),
        events,
        link: None,
        remarks,
    }
}

/// A recording of the server: what it saw, at its own times.
fn recording_of(input: impl Read) -> Result<Part, ImportError> {
    #[derive(Deserialize)]
    struct Head {
        vantage: Option<String>,
        began_ms: Option<u64>,
    }
    let damaged = |error: file::ReadError| ImportError::Damaged {
        offset: 0,
        what: error.to_string(),
    };
    let (head, mut reader) = file::Reader::open::<Head>(BufReader::new(input)).map_err(damaged)?;
    if head.vantage.as_deref() != Some("server") {
        return Err(ImportError::Empty(
            "it is no recording of airtun's; `airbench replay` takes those of runs and captures",
        ));
    }
    let began = Duration::from_millis(head.began_ms.unwrap_or(0));
    let (mut events, mut remarks) = (Vec::new(), Vec::new());
    loop {
        match reader.next_event() {
            Ok(Some(mut event)) => {
                event.time += began;
                events.push(event);
            }
            Ok(None) => break,
            Err(error) => {
                remarks.push(format!(
                    "{error}; the {} events before are used",
                    events.len()
                ));
                break;
            }
        }
    }
    if events.is_empty() {
        return Err(ImportError::Empty("the server saw no connection"));
    }
    Ok(part(Format::Airtun, events, remarks))
}

fn text_of(format: Format, input: impl Read, hints: &Hints) -> Result<Part, ImportError> {
    let mut bytes = Vec::new();
    input.take(TEXT).read_to_end(&mut bytes)?;
    let text = serial::decode(&bytes);
    let Lines {
        events, remarks, ..
    } = match format {
        Format::Socat => serial::socat(&text, hints),
        Format::Llcom => serial::llcom(&text, hints),
        Format::Luatools => serial::luatools(&text),
        _ => serial::stamped(&text, hints),
    }?;
    Ok(part(format, events, remarks))
}

fn packets_of(format: Format, input: impl Read, hints: &Hints) -> Result<Part, ImportError> {
    let mut flows = Flows::default();
    for line in &hints.keys {
        flows.keys.add(line);
    }
    let (mut frames, mut unknown, mut end) = (0u64, 0u64, Instant::ZERO);
    let take = |entry: Entry<'_>| match entry {
        Entry::Keys(text) => flows.keys.add(&text),
        Entry::Frame(at, link, frame) => {
            frames += 1;
            end = end.max(at);
            match packets::slice(link, frame) {
                Some(packet) => flows.packet(at, &packet),
                None => unknown += 1,
            }
        }
    };
    let input = BufReader::with_capacity(1 << 20, input);
    let ended = match format {
        Format::Pcap => packets::pcap(input, take),
        _ => packets::pcapng(input, take),
    };
    if let Err(Damage(what)) = &ended
        && frames == 0
    {
        return Err(ImportError::Damaged {
            offset: 0,
            what: what.clone(),
        });
    }
    let (mut events, link, mut remarks) = flows.finish();
    if let Err(Damage(what)) = ended {
        remarks.push(format!(
            "{what} after {frames} packets; those before are used"
        ));
    }
    if unknown > 0 {
        remarks.push(format!(
            "{unknown} of {frames} packets are no IP, or of an unknown link type"
        ));
    }
    if events.is_empty() {
        return Err(ImportError::Empty("no TCP connection"));
    }
    // Until then nothing else happened.
    events.push(network(end, "end of the capture"));
    Ok(Part {
        link: Some(link),
        ..part(format, events, remarks)
    })
}

/// Clocks jump; what came later in the file happened later. A jump back is told.
fn put_in_order(part: &mut Part) {
    let mut latest = Instant::ZERO;
    let mut jumps = 0;
    let order = |event: &mut Event| {
        if event.time < latest {
            jumps += 1;
            event.time = latest;
        }
        latest = event.time;
    };
    part.events.iter_mut().for_each(order);
    if jumps > 0 {
        let text = format!("{jumps} times are before the one above them; taken as the same time");
        part.remarks.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use airbench_trace::{Kind, Source};

    #[test]
    fn a_recording_of_airtun_has_unix_times() {
        let head = std::collections::BTreeMap::from([("vantage", "server")]);
        let mut writer = file::Writer::new(Vec::new(), &head).expect("memory takes it");
        let at = Instant::from_millis(5);
        let event = Event::new(at, Source::Server, Kind::MessageIn, "text hello");
        writer.write(&event).expect("memory takes it");
        let bytes = writer.finish().expect("memory takes it");
        let part = read("x", &bytes[..], &Hints::default()).expect("it is one");
        assert_eq!(
            (part.format, part.vantage),
            (Format::Airtun, Vantage::Server)
        );
        assert_eq!(part.events, [event]);
        // Torn anywhere: what is whole counts.
        for end in 0..bytes.len() {
            let torn = read("x", &bytes[..end], &Hints::default());
            assert!(torn.is_err(), "{end}");
        }
    }

    #[test]
    fn a_clock_that_jumps_back_is_told() {
        let text = "[2026-01-31 12:00:05.000] RX a\n[2026-01-31 12:00:01.000] RX b\n";
        let part = read("x", text.as_bytes(), &Hints::default()).expect("two lines");
        assert!(
            part.remarks[0].contains("1 times are before"),
            "{:?}",
            part.remarks
        );
        assert!(part.events[0].time <= part.events[1].time);
    }
}
