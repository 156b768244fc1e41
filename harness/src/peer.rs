//! What is wired to a UART: a script, this terminal, or a pseudo-terminal.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use airbench_trace::{Event, Kind, Source};
use airbench_world::World;
use pty_process::blocking::{Pts, Pty};

use crate::duration;

/// What was asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Standard input and output.
    Stdio,
    /// A pseudo-terminal that a serial terminal opens.
    Pty,
    /// A file of timed lines.
    Script(PathBuf),
}

impl std::str::FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "stdio" => Ok(Self::Stdio),
            None if text == "pty" => Ok(Self::Pty),
            Some(("script", path)) if !path.is_empty() => Ok(Self::Script(path.into())),
            _ => Err("a peer is stdio, pty, or script:FILE".to_owned()),
        }
    }
}

/// Why a peer could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The script could not be read.
    #[error("cannot read the UART script {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line of the script that means nothing.
    #[error(
        "{path}:{line}: {what}; a line reads `10s send \"text\\n\"` or `+500ms hex 0D 0A` (+ counts from the line before)"
    )]
    Script {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// No pseudo-terminal.
    #[error("cannot make a pseudo-terminal: {0}")]
    Pty(String),
}

/// Bytes a script sends, each at its time since power-on.
pub type Timed = Vec<(Duration, Vec<u8>)>;

/// Reads a UART script.
pub fn read_script(path: &Path) -> Result<Timed, PeerError> {
    let text = std::fs::read_to_string(path).map_err(|error| PeerError::Read {
        path: path.to_owned(),
        error,
    })?;
    let mut timed = Timed::new();
    let mut last = Duration::ZERO;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |what: String| PeerError::Script {
            path: path.to_owned(),
            line: number + 1,
            what,
        };
        let (time, rest) = line
            .split_once(char::is_whitespace)
            .ok_or_else(|| bad("no verb".into()))?;
        let (relative, time) = time
            .strip_prefix('+')
            .map_or((false, time), |time| (true, time));
        let time = duration::parse(time).map_err(bad)?;
        let at = if relative { last + time } else { time };
        if at < last {
            return Err(bad("the time lies before the line above".into()));
        }
        let rest = rest.trim();
        let bytes = match rest.split_once(char::is_whitespace).unwrap_or((rest, "")) {
            ("send", text) => unescape(text.trim()).map_err(bad)?,
            ("hex", digits) => parse_hex(digits).map_err(bad)?,
            (verb, _) => return Err(bad(format!("unknown verb {verb:?}"))),
        };
        timed.push((at, bytes));
        last = at;
    }
    Ok(timed)
}

/// A string in double quotes with `\n \r \t \0 \" \\ \xNN`.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .ok_or_else(|| format!("{text} is not in double quotes"))?;
    escapes(inner)
}

/// Text with `\n \r \t \0 \" \\ \xNN` in it.
pub fn escapes(inner: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next() {
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some('0') => bytes.push(0),
            Some(c @ ('"' | '\\')) => bytes.push(c as u8),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                bytes.push(
                    u8::from_str_radix(&digits, 16)
                        .map_err(|_| format!("\\x{digits} is no byte"))?,
                );
            }
            other => {
                return Err(format!(
                    "unknown escape \\{}",
                    other.map_or_else(String::new, String::from)
                ));
            }
        }
    }
    Ok(bytes)
}

/// Bytes written as hexadecimal digits; spaces do not count.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| {
            c.to_digit(16)
                .ok_or_else(|| format!("{c:?} is no hexadecimal digit"))
        })
        .collect::<Result<_, _>>()?;
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hexadecimal digits".to_owned());
    }
    Ok(digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect())
}

/// Bytes somebody typed into UART `0`.
pub type Typed = (u8, Vec<u8>);

/// Forwards bytes from a reader until it ends.
fn forward(uart: u8, mut input: impl Read + Send + 'static, typed: Sender<Typed>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok(len @ 1..) = input.read(&mut buffer) {
            if typed.send((uart, buffer[..len].to_vec())).is_err() {
                return;
            }
        }
    });
}

/// Writes what the device sends on a UART to `output`.
fn tap(world: &mut World, uart: u8, mut output: impl Write + Send + 'static) {
    let source = Source::uart(uart);
    world.add_sink(move |event: &Event| {
        if event.kind == Kind::Tx && Some(event.source) == source {
            // A terminal that went away is no reason to stop the run.
            let _ = output.write_all(&event.bytes).and_then(|()| output.flush());
        }
    });
}

/// Wires this process's standard input and output to a UART.
pub fn attach_stdio(world: &mut World, uart: u8, typed: Sender<Typed>) {
    tap(world, uart, std::io::stdout());
    forward(uart, std::io::stdin(), typed);
}

/// Our end of a pseudo-terminal.
struct Master(Arc<Pty>);

impl Read for Master {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::read(&*self.0, buffer)?)
    }
}

impl Write for Master {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::io::write(&*self.0, bytes)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A pseudo-terminal wired to a UART. Its other end stays open as long as this
/// lives, so that a terminal may come and go.
pub struct Terminal {
    /// What a serial terminal opens.
    pub path: String,
    _other_end: Pts,
}

/// Makes a pseudo-terminal and wires it to a UART.
pub fn attach_pty(
    world: &mut World,
    uart: u8,
    typed: Sender<Typed>,
) -> Result<Terminal, PeerError> {
    let failed = |error: &dyn std::fmt::Display| PeerError::Pty(error.to_string());
    let (pty, other_end) = pty_process::blocking::open().map_err(|error| failed(&error))?;
    let path = rustix::pty::ptsname(&pty, Vec::new()).map_err(|error| failed(&error))?;
    // No echo, no line discipline: a wire carries bytes.
    let mut settings = rustix::termios::tcgetattr(&pty).map_err(|error| failed(&error))?;
    settings.make_raw();
    rustix::termios::tcsetattr(&pty, rustix::termios::OptionalActions::Now, &settings)
        .map_err(|error| failed(&error))?;
    let pty = Arc::new(pty);
    tap(world, uart, Master(Arc::clone(&pty)));
    forward(uart, Master(pty), typed);
    Ok(Terminal {
        path: path.to_string_lossy().into_owned(),
        _other_end: other_end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_bytes_are_read() {
        assert_eq!(
            unescape(r#""\"echo\"\r\n\x00é""#).unwrap(),
            "\"echo\"\r\n\0é".as_bytes()
        );
        assert!(unescape("echo").is_err());
        assert!(unescape(r#""\q""#).is_err());
        assert_eq!(parse_hex("0D 0a ff").unwrap(), [13, 10, 255]);
        assert!(parse_hex("0D0").is_err());
    }

    #[test]
    fn peers_are_named() {
        assert_eq!("pty".parse(), Ok(Peer::Pty));
        assert_eq!("script:a.txt".parse(), Ok(Peer::Script("a.txt".into())));
        assert!("tty".parse::<Peer>().is_err());
        assert!("script:".parse::<Peer>().is_err());
    }
}
