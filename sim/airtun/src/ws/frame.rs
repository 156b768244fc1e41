//! Frames, checked in Jetty's order and refused in its words.

/// Why a connection is ended: close code and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    pub(super) fn protocol(reason: impl Into<String>) -> Self {
        Self::new(1002, reason)
    }
}

/// RFC 6455, 5.2.
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

/// A frame of a client, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// What is asked of frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Largest message, in bytes.
    pub(crate) limit: usize,
    /// A message has begun that is not complete.
    pub(crate) fragmented: bool,
}

/// The first frame in these bytes and its length; `None` if more must arrive.
/// The latest read began at `fresh`, which one of Jetty's errors shows.
pub(crate) fn parse(
    bytes: &[u8],
    fresh: usize,
    rules: Rules,
) -> Result<Option<(Frame, usize)>, Failure> {
    let Some(first) = bytes.first().copied() else {
        return Ok(None);
    };
    let (fin, code) = (first & 0x80 != 0, first & 15);
    check_first(first, rules.fragmented)?;
    let Some(second) = bytes.get(1).copied() else {
        return Ok(None);
    };
    let (len, mut at) = match second & 0x7F {
        126 => match bytes.get(2..4) {
            Some(two) => (i32::from(u16::from_be_bytes([two[0], two[1]])), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(eight) => {
                let half = |four: &[u8]| i32::from_be_bytes([four[0], four[1], four[2], four[3]]);
                // Jetty folds the upper half into the lower one.
                (half(&eight[..4]) | half(&eight[4..]), 10)
            }
            None => return Ok(None),
        },
        short => (i32::from(short), 2),
    };
    check_length(code, len, rules.limit)?;
    let masked = second & 0x80 != 0;
    let mut mask = [0; 4];
    if masked {
        let Some(four) = bytes.get(at..at + 4) else {
            return Ok(None);
        };
        mask.copy_from_slice(four);
        at += 4;
    }
    let Ok(len) = usize::try_from(len) else {
        return match bytes.len() > at {
            true => Err(negative(at.saturating_sub(fresh), len)),
            false => Ok(None),
        };
    };
    let Some(payload) = bytes.get(at..at + len) else {
        return Ok(None);
    };
    if !masked {
        return Err(Failure::protocol(
            "Client MUST mask all frames (RFC-6455: Section 5.1)",
        ));
    }
    let payload = unmask(payload, mask);
    let frame = Frame {
        fin,
        opcode: code,
        payload,
    };
    Ok(Some((frame, at + len)))
}

fn unmask(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    payload
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, key)| byte ^ key)
        .collect()
}

/// What Java's buffers say to a negative length, read at this offset.
fn negative(offset: usize, len: i32) -> Failure {
    let sum = i64::from(len) + offset as i64;
    let what = if sum < 0 {
        format!("newLimit < 0: ({sum} < 0)")
    } else {
        format!("capacity < 0: ({len} < 0)")
    };
    Failure::new(1011, format!("java.lang.IllegalArgumentException: {what}"))
}

fn name(code: u8) -> &'static str {
    match code {
        opcode::TEXT => "TEXT",
        opcode::BINARY => "BINARY",
        opcode::CLOSE => "CLOSE",
        opcode::PING => "PING",
        _ => "PONG",
    }
}

fn check_first(first: u8, fragmented: bool) -> Result<(), Failure> {
    let (fin, code) = (first & 0x80 != 0, first & 15);
    match code {
        opcode::TEXT | opcode::BINARY if fragmented => {
            let name = name(code);
            return Err(Failure::protocol(format!(
                "Unexpected {name} frame, was expecting CONTINUATION"
            )));
        }
        opcode::CONTINUATION if !fragmented => {
            return Err(Failure::protocol("CONTINUATION frame without prior !FIN"));
        }
        opcode::CLOSE | opcode::PING | opcode::PONG if !fin => {
            let upper = name(code);
            let (head, tail) = upper.split_at(1);
            let title = format!("{head}{}", tail.to_lowercase());
            return Err(Failure::protocol(format!(
                "Fragmented {title} Frame [{upper}]"
            )));
        }
        3..=7 | 11.. => return Err(Failure::protocol(format!("Unknown opcode: {code}"))),
        _ => {}
    }
    for (number, bit) in [(1, 0x40), (2, 0x20), (3, 0x10)] {
        if first & bit != 0 {
            return Err(Failure::protocol(format!(
                "RSV{number} not allowed to be set"
            )));
        }
    }
    Ok(())
}

fn check_length(code: u8, len: i32, limit: usize) -> Result<(), Failure> {
    match code {
        opcode::CLOSE if len == 1 => {
            Err(Failure::protocol("Invalid close frame payload length, [1]"))
        }
        opcode::CLOSE | opcode::PING | opcode::PONG if len > 125 => Err(Failure::protocol(
            format!("Invalid control frame payload length, [{len}] cannot exceed [125]"),
        )),
        opcode::TEXT | opcode::BINARY if usize::try_from(len).is_ok_and(|len| len > limit) => {
            Err(too_large(code, len as usize, limit))
        }
        _ => Ok(()),
    }
}

pub(super) fn too_large(code: u8, len: usize, limit: usize) -> Failure {
    let kind = if code == opcode::TEXT {
        "Text"
    } else {
        "Binary"
    };
    Failure::new(
        1009,
        format!("{kind} message size [{len}] exceeds maximum size [{limit}]"),
    )
}

/// Appends a message in frames of at most `size` bytes.
pub(super) fn write_pieces(out: &mut Vec<u8>, code: u8, payload: &[u8], size: usize) {
    let last = payload.len().div_ceil(size) - 1;
    for (number, piece) in payload.chunks(size).enumerate() {
        let code = if number == 0 {
            code
        } else {
            opcode::CONTINUATION
        };
        let fin = if number == last { 0x80 } else { 0 };
        write_first(out, fin | code, piece);
    }
}

/// Appends a server's frame.
pub(crate) fn write(out: &mut Vec<u8>, code: u8, payload: &[u8]) {
    write_first(out, 0x80 | code, payload);
}

fn write_first(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// A close frame's payload; without a code it has none.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A client's close frame is in order.
pub(crate) fn check_close(payload: &[u8]) -> Result<(), Failure> {
    let [high, low, reason @ ..] = payload else {
        return Ok(());
    };
    let code = u16::from_be_bytes([*high, *low]);
    let what = match code {
        ..1000 | 5000.. => format!("Out of range close status code: {code}"),
        1005 | 1006 | 1015 => format!("Frame forbidden close status code: {code}"),
        1004 | 1016..=2999 => format!("RFC6455 and IANA Undefined close status code: {code}"),
        _ if super::utf8::Utf8::default().push(reason).is_err() => {
            return Err(Failure::new(1007, "Invalid Close Reason"));
        }
        _ => return Ok(()),
    };
    Err(Failure::protocol(what))
}
