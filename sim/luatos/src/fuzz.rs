//! The readers of what servers send, for fuzz targets: bytes in, no panic, no
//! hang, and no more kept than the firmware's buffers hold.

use crate::net::frames::{Frame, decode};
use crate::net::http_parse::{Progress, Response};
use crate::net::mqtt_packet::{head, read_id, read_publish};

/// Frames of a WebSocket server, one behind the other; how many there were.
pub fn websocket_frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Frame::Whole(_, start, end) = decode(bytes, usize::MAX) {
        assert!(start <= end, "a payload ends before it begins");
        bytes = &bytes[end..];
        count += 1;
    }
    count
}

/// An HTTP response that arrives in pieces of `piece` bytes; the length of its
/// body.
pub fn http_response(bytes: &[u8], piece: usize) -> usize {
    let mut response = Response::default();
    let mut body = 0;
    for part in bytes.chunks(piece.max(1)) {
        response.push(part);
        loop {
            match response.next() {
                Progress::Piece(bytes) => body += bytes.len(),
                Progress::Head(..) => {}
                Progress::More => break,
                Progress::TooLong | Progress::Done => return body,
            }
        }
    }
    body
}

/// Packets of an MQTT broker, one behind the other; how many there were.
pub fn mqtt_packets(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(packet) = head(bytes) {
        for new in [false, true] {
            read_publish(&bytes[..packet.len], packet.body, new);
        }
        read_id(&bytes[..packet.len], packet.body);
        bytes = &bytes[packet.len..];
        count += 1;
    }
    count
}

/// The common data of a FOTA package; the length of the image in them.
pub fn fota_sectors(bytes: &[u8]) -> usize {
    crate::fota::unpack(bytes).map_or(0, |image| image.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_messages_are_counted() {
        assert_eq!(websocket_frames(b"\x81\x02hi\x89\x00"), 2);
        assert_eq!(mqtt_packets(b"\x20\x02\0\0\x30\x03\0\x01t"), 2);
        let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        for piece in 1..response.len() {
            assert_eq!(http_response(response, piece), 2, "pieces of {piece}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            piece in 1usize..40,
        ) {
            websocket_frames(&bytes);
            mqtt_packets(&bytes);
            http_response(&bytes, piece);
            let head: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            prop_assert!(http_response(&[head, &bytes].concat(), piece) <= bytes.len());
        }
    }
}
