//! Texts: what terminal programs, taps and log viewers write.

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};

use crate::stamps::date_time;
use crate::{Hints, ImportError};

/// Events of a text, and remarks about lines that were passed over.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) events: Vec<Event>,
    pub(crate) remarks: Vec<String>,
    passed_over: u32,
}

/// Most remarks about single lines; the others are counted.
const REMARKS: u32 = 5;

impl Lines {
    fn pass_over(&mut self, number: usize, why: &str) {
        self.passed_over += 1;
        if self.passed_over <= REMARKS {
            self.remarks
                .push(format!("line {number}: {why}; passed over"));
        }
    }

    fn finish(mut self, nothing: &'static str) -> Result<Self, ImportError> {
        if self.passed_over > REMARKS {
            let more = self.passed_over - REMARKS;
            self.remarks.push(format!("{more} more lines passed over"));
        }
        if self.events.is_empty() {
            return Err(ImportError::Empty(nothing));
        }
        Ok(self)
    }

    /// Bytes that belong to the event before, if it is of the same kind and time.
    fn push(&mut self, event: Event) {
        if let Some(last) = self.events.last_mut()
            && (last.time, last.source, last.kind) == (event.time, event.source, event.kind)
            && event.kind != Kind::Line
        {
            last.bytes.extend(event.bytes);
            last.len = last.bytes.len() as u32;
            return;
        }
        self.events.push(event);
    }
}

/// UTF-8 or, failing that, GBK, as tools on Chinese Windows write.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // A file cut in the middle of a character is UTF-8 still.
        Err(error) if error.valid_up_to() + 4 > bytes.len() => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        Err(_) => encoding_rs::GBK.decode(bytes).0.into_owned(),
    }
}

/// The UART's source.
fn uart(hints: &Hints) -> Source {
    Source::uart(hints.uart.unwrap_or(1)).unwrap_or(Source::Uart1)
}

/// Whether the device receives what goes this way.
fn kind(to_device: bool, hints: &Hints) -> Kind {
    if to_device == hints.swap {
        Kind::Tx
    } else {
        Kind::Rx
    }
}

/// Bytes as pairs of hexadecimal digits between blanks; none if something else is
/// there.
fn hex(text: &str) -> Option<Vec<u8>> {
    let byte = |word: &str| {
        let two = word.len() == 2;
        two.then(|| u8::from_str_radix(word, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split_ascii_whitespace().map(byte).collect();
    bytes.filter(|bytes| !bytes.is_empty())
}

/// `socat -x -v A B`: `> TIME length=N from=F to=T`, then the bytes, up to 16 a line,
/// in hexadecimal and as text. `>` goes from A, the peer, to B, the device.
pub(crate) fn socat(text: &str, hints: &Hints) -> Result<Lines, ImportError> {
    let mut lines = Lines::default();
    // The event being read, and how many bytes it still lacks.
    let mut open: Option<(Event, usize)> = None;
    for (index, line) in text.lines().enumerate() {
        if let Some((at, to_device, len)) = socat_head(line) {
            if let Some((_, missing)) = open.take() {
                lines.pass_over(
                    index + 1,
                    &format!("the block before lacks {missing} bytes"),
                );
            }
            let event = Event::new(at, uart(hints), kind(to_device, hints), Vec::new());
            open = (len > 0).then_some((event, len));
            continue;
        }
        if line.trim_matches('-').trim().is_empty() {
            continue;
        }
        let Some((event, missing)) = &mut open else {
            lines.pass_over(index + 1, "no block has begun");
            continue;
        };
        // Three columns a byte, then the text.
        let here = (*missing).min(16);
        let bytes = line.get(..here * 3).and_then(hex);
        let Some(bytes) = bytes.filter(|bytes| bytes.len() == here) else {
            lines.pass_over(index + 1, "not the hexadecimal bytes that were announced");
            continue;
        };
        event.bytes.extend(bytes);
        *missing -= here;
        if *missing == 0
            && let Some((mut event, _)) = open.take()
        {
            event.len = event.bytes.len() as u32;
            lines.push(event);
        }
    }
    if let Some((_, missing)) = open {
        let end = text.lines().count();
        lines.pass_over(end, &format!("the last block lacks {missing} bytes"));
    }
    lines.finish("socat has written no data")
}

/// Time, direction and length of a socat block.
pub(crate) fn socat_head(line: &str) -> Option<(Instant, bool, usize)> {
    let (to_device, rest) = match line.strip_prefix("> ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("< ")?),
    };
    let (at, rest) = date_time(rest)?;
    let length = rest.trim_start().strip_prefix("length=")?;
    let digits = length.split_ascii_whitespace().next()?;
    Some((at, to_device, digits.parse().ok()?))
}

/// LLCOM's daily log (Serilog's lines): `TIME ZONE [INF] <-text` for what the PC
/// sends and `->` for what it gets, each followed by `[DBG] [HEX]` with the bytes.
pub(crate) fn llcom(text: &str, hints: &Hints) -> Result<Lines, ImportError> {
    let mut lines = Lines::default();
    let mut way = None;
    for (index, line) in text.lines().enumerate() {
        let Some((at, message)) = llcom_line(line) else {
            // Texts may have line ends of their own; the bytes come later.
            continue;
        };
        let plain = message.trim_start_matches("Raw");
        if plain.starts_with("<-") || plain.starts_with("->") {
            way = Some(plain.starts_with("<-"));
        } else if let Some((_, digits)) = message.split_once("HEX]") {
            match (way, hex(digits)) {
                (Some(to_device), Some(bytes)) => {
                    lines.push(Event::new(at, uart(hints), kind(to_device, hints), bytes));
                }
                (None, _) => lines.pass_over(index + 1, "bytes without a direction"),
                (_, None) => lines.pass_over(index + 1, "not hexadecimal"),
            }
        }
    }
    lines.finish("LLCOM has logged no bytes (its log level must include debug)")
}

/// Time (as on the wall) and message of a Serilog line.
pub(crate) fn llcom_line(line: &str) -> Option<(Instant, &str)> {
    let (at, rest) = date_time(line)?;
    let rest = rest.trim_start();
    let (zone, rest) = rest.split_once(' ')?;
    let known = zone.starts_with(['+', '-']) && zone.len() == 6;
    let level = rest.starts_with("[INF] ") || rest.starts_with("[DBG] ");
    (known && level).then(|| (at, &rest[6..]))
}

/// Luatools: `[TIME][UPTIME] line of the device's log`.
pub(crate) fn luatools(text: &str) -> Result<Lines, ImportError> {
    let mut lines = Lines::default();
    for (index, line) in text.lines().enumerate() {
        match luatools_line(line) {
            Some((at, _, message)) => {
                lines.push(Event::new(
                    at,
                    Source::Console,
                    Kind::Line,
                    message.trim_start(),
                ));
            }
            // A line of the device may break.
            None => match lines.events.last_mut() {
                Some(last) if !line.trim().is_empty() => {
                    last.bytes.push(b'\n');
                    last.bytes.extend_from_slice(line.as_bytes());
                    last.len = last.bytes.len() as u32;
                }
                Some(_) => {}
                None => lines.pass_over(index + 1, "no time stamps"),
            },
        }
    }
    lines.finish("Luatools has logged no line")
}

/// Time, uptime in milliseconds and message of Luatools.
pub(crate) fn luatools_line(line: &str) -> Option<(Instant, u64, &str)> {
    let (at, rest) = date_time(line.strip_prefix('[')?)?;
    let (uptime, message) = rest.strip_prefix("][")?.split_once(']')?;
    let (seconds, millis) = uptime.split_once('.')?;
    let digits = |text: &str| text.parse::<u64>().ok();
    Some((at, digits(seconds)? * 1000 + digits(millis)?, message))
}

/// Lines of a tap: `[TIME] RX text` or `[TIME] TX text`, seen from the device;
/// `RX:` and `<` or `>` count as well, and bytes may be written as `hex:65 63`.
pub(crate) fn stamped(text: &str, hints: &Hints) -> Result<Lines, ImportError> {
    let mut lines = Lines::default();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let Some((at, to_device, data)) = stamped_line(line) else {
            lines.pass_over(index + 1, "neither a time nor a direction");
            continue;
        };
        let bytes = match data.strip_prefix("hex:").map(hex) {
            Some(Some(bytes)) => bytes,
            Some(None) => {
                lines.pass_over(index + 1, "not hexadecimal");
                continue;
            }
            None => unescape(data),
        };
        lines.push(Event::new(at, uart(hints), kind(to_device, hints), bytes));
    }
    lines.finish("no line has a time and a direction")
}

/// Time, direction and data of a tap's line.
pub(crate) fn stamped_line(line: &str) -> Option<(Instant, bool, &str)> {
    let bracket = line.starts_with('[');
    let (at, rest) = date_time(line.strip_prefix('[').unwrap_or(line))?;
    let rest = if bracket {
        rest.strip_prefix(']')?
    } else {
        rest
    };
    let rest = rest.trim_start();
    let words = [
        ("RX", true),
        ("TX", false),
        ("<<", true),
        (">>", false),
        ("<", true),
        (">", false),
    ];
    let (word, to_device) = words.iter().find(|(word, _)| rest.starts_with(word))?;
    let data = rest[word.len()..].trim_start_matches(':');
    Some((at, *to_device, data.strip_prefix(' ').unwrap_or(data)))
}

/// `\r`, `\n`, `\t`, `\\` and `\xNN`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let mut chars = rest.chars();
        let (byte, used) = match chars.next() {
            Some('r') => (Some(b'\r'), 1),
            Some('n') => (Some(b'\n'), 1),
            Some('t') => (Some(b'\t'), 1),
            Some('\\') => (Some(b'\\'), 1),
            Some('x') => {
                let code = rest
                    .get(1..3)
                    .and_then(|two| u8::from_str_radix(two, 16).ok());
                (code, 3)
            }
            _ => (None, 0),
        };
        out.push(byte.unwrap_or(b'\\'));
        rest = if byte.is_some() { &rest[used..] } else { rest };
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(lines: &Lines) -> Vec<String> {
        let show = |event: &Event| {
            format!(
                "{} {} {}",
                event.source.name(),
                event.kind.name(),
                event.text()
            )
        };
        lines.events.iter().map(show).collect()
    }

    #[test]
    fn socats_blocks() {
        let text = "> 2026/01/31 12:00:00.000100  length=6 from=0 to=5\n 22 65 63 68 6f 22                                \"echo\"\n--\n< 2026/01/31 12:00:01.000100  length=17 from=0 to=16\n 30 31 32 33 34 35 36 37 38 39 30 31 32 33 34 35  0123456789012345\n 0a                                               .\n--\n";
        let lines = socat(text, &Hints::default()).unwrap();
        assert_eq!(
            shown(&lines),
            ["uart1 rx \"echo\"", "uart1 tx 0123456789012345\n"]
        );
        assert!(lines.remarks.is_empty(), "{:?}", lines.remarks);
        let swapped = Hints {
            swap: true,
            uart: Some(2),
            ..Hints::default()
        };
        assert_eq!(
            shown(&socat(text, &swapped).unwrap())[0],
            "uart2 tx \"echo\""
        );
        let torn = socat(&text[..text.len() - 70], &Hints::default()).unwrap();
        assert_eq!(shown(&torn).len(), 1);
        assert_eq!(torn.remarks.len(), 1);
    }

    #[test]
    fn llcoms_hexadecimal_lines_count() {
        let text = "2026-01-31 12:00:00.100 +08:00 [INF] [SRART]Logs by LLCOM.\n\
            2026-01-31 12:00:01.100 +08:00 [INF] <-echo\n\
            2026-01-31 12:00:01.101 +08:00 [DBG] [HEX]65 63 68 6F\n\
            2026-01-31 12:00:02.100 +08:00 [INF] ->ok\n\
            2026-01-31 12:00:02.101 +08:00 [DBG] [HEX]6F 6B\n";
        let lines = llcom(text, &Hints::default()).unwrap();
        assert_eq!(shown(&lines), ["uart1 rx echo", "uart1 tx ok"]);
    }

    #[test]
    fn luatools_in_both_encodings() {
        let text = "[2026-01-31 12:00:00.100][000000041.282] D/user.tag\t温度 21\nsecond\n";
        let (gbk, ..) = encoding_rs::GBK.encode(text);
        for bytes in [text.as_bytes(), &gbk] {
            let lines = luatools(&decode(bytes)).unwrap();
            assert_eq!(shown(&lines), ["console line D/user.tag\t温度 21\nsecond"]);
        }
    }

    #[test]
    fn a_taps_lines() {
        let text = "[2026-01-31 12:00:00.100] RX hello\\r\\n\n2026-01-31 12:00:00.200 TX: hex:00 ff\nnonsense\n";
        let lines = stamped(text, &Hints::default()).unwrap();
        assert_eq!(lines.events[0].bytes, b"hello\r\n");
        assert_eq!(
            (lines.events[1].kind, &lines.events[1].bytes[..]),
            (Kind::Tx, &[0, 255][..])
        );
        assert_eq!(lines.remarks.len(), 1);
        assert_eq!(unescape("a\\x4"), b"a\\x4");
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "([<>] 2026/01/31 12:00:00\\.1 length=[0-9]{1,3}\n|[ 0-9a-fé]{0,60}\n|2026-01-31 12:00:00\\.1 \\+08:00 \\[DBG\\] .{0,20}\n|\\[2026-01-31 12:00:00\\.1\\].{0,30}\n){0,12}") {
            let hints = Hints::default();
            let _ = (socat(&text, &hints), llcom(&text, &hints), luatools(&text), stamped(&text, &hints));
        }
    }
}
