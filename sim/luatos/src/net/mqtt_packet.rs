//! MQTT 3.1.1 packets as the firmware's libemqtt writes and reads them.

/// Packet types, already in the upper half of the first byte.
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x60;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const UNSUBACK: u8 = 0xB0;
pub(crate) const PINGRESP: u8 = 0xD0;
pub(crate) const SERVER_DISCONNECT: u8 = 0xE0;

/// `PINGREQ` and `DISCONNECT` whole.
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) client: Vec<u8>,
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
    pub(crate) clean: bool,
    pub(crate) will: Option<Will>,
}

/// A last will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return;
        }
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    put_length(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

/// CONNECT.
pub(crate) fn connect(identity: &Identity, keepalive: u16) -> Vec<u8> {
    let mut flags = 0;
    if identity.clean {
        flags |= 0x02;
    }
    if let Some(will) = &identity.will {
        flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
    }
    if !identity.user.is_empty() {
        flags |= 0x80;
    }
    if !identity.password.is_empty() {
        flags |= 0x40;
    }
    let mut body = Vec::new();
    put_text(&mut body, b"MQTT");
    body.push(4);
    body.push(flags);
    body.extend_from_slice(&keepalive.to_be_bytes());
    put_text(&mut body, &identity.client);
    if let Some(will) = &identity.will {
        put_text(&mut body, &will.topic);
        put_text(&mut body, &will.payload);
    }
    for text in [&identity.user, &identity.password] {
        if !text.is_empty() {
            put_text(&mut body, text);
        }
    }
    packet(0x10, &body)
}

/// PUBLISH; the id goes with qos 1 and 2.
pub(crate) fn publish(topic: &[u8], payload: &[u8], qos: u8, retain: bool, id: u16) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
    put_text(&mut body, topic);
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    body.extend_from_slice(payload);
    packet(PUBLISH | qos << 1 | u8::from(retain), &body)
}

/// SUBSCRIBE (with a qos) or UNSUBSCRIBE for one topic. V1112 writes the length
/// as a single byte, whatever it is.
pub(crate) fn subscription(topic: &[u8], qos: Option<u8>, id: u16, new: bool) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    put_text(&mut body, topic);
    body.extend(qos);
    let first = if qos.is_some() { 0x82 } else { 0xA2 };
    if new {
        return packet(first, &body);
    }
    let mut out = vec![first, body.len() as u8];
    out.extend_from_slice(&body);
    out
}

/// PUBACK and its like.
pub(crate) fn acknowledgement(kind: u8, id: u16) -> Vec<u8> {
    // PUBREL alone has a reserved bit set.
    let first = if kind == PUBREL { kind | 2 } else { kind };
    [vec![first, 2], id.to_be_bytes().to_vec()].concat()
}

/// A packet at the beginning of a buffer: its bytes, and where its variable
/// header begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) len: usize,
    pub(crate) body: usize,
}

/// Finds the first packet; `None` while it is incomplete.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let mut length = 0usize;
    for (index, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let body = index + 2;
            let len = body + length;
            return (bytes.len() >= len).then_some(Head { len, body });
        }
    }
    None
}

/// Topic, payload and id of a PUBLISH. V1112 computes places in eight bits:
/// topics beyond 248 bytes give a wrong payload.
pub(crate) fn read_publish(
    packet: &[u8],
    body: usize,
    new: bool,
) -> Option<(Vec<u8>, Vec<u8>, u16)> {
    let len = usize::from(u16::from_be_bytes([
        *packet.get(body)?,
        *packet.get(body + 1)?,
    ]));
    let topic = packet.get(body + 2..body + 2 + len)?.to_vec();
    let qos = packet[0] >> 1 & 3;
    let cut = |place: usize| if new { place } else { place & 0xFF };
    let id_at = cut(body + 2 + len);
    let start = cut(body + 2 + len + if qos > 0 { 2 } else { 0 });
    let payload = packet.get(start..).unwrap_or_default().to_vec();
    let id = match packet.get(id_at..id_at + 2) {
        Some(bytes) if qos > 0 => u16::from_be_bytes([bytes[0], bytes[1]]),
        _ => 0,
    };
    Some((topic, payload, id))
}

/// The id of an acknowledgement.
pub(crate) fn read_id(packet: &[u8], body: usize) -> u16 {
    match packet.get(body..body + 2) {
        Some(bytes) => u16::from_be_bytes([bytes[0], bytes[1]]),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn connect_is_written_as_the_standard_has_it() {
        let identity = Identity {
            client: b"c".to_vec(),
            user: b"u".to_vec(),
            password: b"p".to_vec(),
            clean: true,
            will: None,
        };
        let expected = b"\x10\x13\0\x04MQTT\x04\xC2\0\xF0\0\x01c\0\x01u\0\x01p";
        assert_eq!(connect(&identity, 240), expected);
    }

    proptest! {
        #[test]
        fn what_is_published_is_read_back(
            topic in proptest::collection::vec(any::<u8>(), 1..200),
            payload in proptest::collection::vec(any::<u8>(), 0..3000),
            qos in 0u8..3, id: u16,
        ) {
            let bytes = publish(&topic, &payload, qos, false, id);
            let head = head(&bytes).unwrap();
            prop_assert_eq!(head.len, bytes.len());
            let got = read_publish(&bytes, head.body, false).unwrap();
            prop_assert_eq!(got, (topic, payload, if qos > 0 { id } else { 0 }));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            if let Some(head) = head(&bytes) {
                let _ = read_publish(&bytes[..head.len], head.body, false);
                let _ = read_id(&bytes[..head.len], head.body);
            }
        }
    }
}
