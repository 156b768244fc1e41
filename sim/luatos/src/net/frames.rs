//! WebSocket bytes as the firmware writes and reads them (facts G.3, G.4).

/// The firmware's constant masking key.
const MASK: [u8; 4] = [0, 1, 2, 3];
/// The firmware's constant handshake key.
const KEY: &str = "w4v7O6xFTi36lq3RNcgctw==";
/// First payload length that is refused.
const TOO_LARGE: usize = 65_535;

/// Frame types the firmware sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 1,
    Binary = 2,
    Ping = 9,
    Pong = 10,
}

/// One masked, final frame; `None` if the payload is too large. The length
/// variable has 16 bits: longer data is cut, not refused, on the way there.
pub(crate) fn encode(opcode: Opcode, payload: &[u8]) -> Option<Vec<u8>> {
    let payload = if payload.len() > TOO_LARGE {
        &payload[..payload.len() % 65_536]
    } else {
        payload
    };
    if payload.len() >= TOO_LARGE {
        return None;
    }
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.push(0x80 | opcode as u8);
    match u8::try_from(payload.len()) {
        Ok(len @ 0..=125) => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    Some(frame)
}

/// A frame from the server. The mask bit is ignored, as the firmware does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// More bytes are needed.
    Incomplete,
    /// A length the firmware refuses; `None` for one of 64 bits.
    TooLarge(Option<usize>),
    /// A whole frame: opcode, start and end of its payload.
    Whole(u8, usize, usize),
}

/// Looks at the first frame of a buffer. A payload above `limit` is refused as soon
/// as its length is there.
pub(crate) fn decode(buffer: &[u8], limit: usize) -> Frame {
    let [first, second, ..] = *buffer else {
        return Frame::Incomplete;
    };
    let (start, len) = match second & 0x7F {
        127 => return Frame::TooLarge(None),
        126 => match buffer.get(2..4) {
            Some(len) => (4, usize::from(u16::from_be_bytes([len[0], len[1]]))),
            None => return Frame::Incomplete,
        },
        len => (2, usize::from(len)),
    };
    if len > limit {
        return Frame::TooLarge(Some(len));
    }
    if buffer.len() < start + len {
        return Frame::Incomplete;
    }
    Frame::Whole(first & 0x0F, start, start + len)
}

/// The three writes of the handshake.
pub(super) fn handshake(host: &str, port: u16, path: &str, headers: &[u8]) -> Vec<Vec<u8>> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    let tail = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let mut writes = vec![head.into_bytes()];
    if !headers.is_empty() {
        writes.push(headers.to_vec());
    }
    writes.push(tail.into_bytes());
    writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mask_is_constant() {
        assert_eq!(
            encode(Opcode::Text, b"AAAA").unwrap(),
            b"\x81\x84\x00\x01\x02\x03A@CB"
        );
    }

    #[test]
    fn lengths_around_the_limits() {
        assert_eq!(encode(Opcode::Binary, &[0; 125]).unwrap()[1], 0x80 | 125);
        assert_eq!(
            encode(Opcode::Binary, &[0; 126]).unwrap()[1..4],
            [0x80 | 126, 0, 126]
        );
        assert!(encode(Opcode::Text, &[0; 65_534]).is_some());
        assert_eq!(encode(Opcode::Text, &[0; 65_535]), None);
        assert_eq!(encode(Opcode::Text, &[0; 65_546]).unwrap()[1], 0x80 | 10);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Frame::Whole(_, start, end) = decode(&bytes, 200) {
                prop_assert!(start <= end && end <= bytes.len());
            }
        }
    }
}
