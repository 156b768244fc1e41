//! The plaintext of a connection: HTTP heads and WebSocket messages.

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};

use crate::tcp::{Way, network};

/// Longest head, and longest message, that is put together.
const HEAD: usize = 64 * 1024;
const MESSAGE: usize = 16 << 20;

/// What a connection's plaintext is.
#[derive(Debug, Default)]
enum State {
    /// Heads of HTTP.
    #[default]
    Http,
    /// Messages.
    WebSocket,
    /// Something else, or HTTP that is of no interest any more.
    Other,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    bytes: Vec<u8>,
    /// Type and data of a message that has begun.
    message: Option<(u8, Vec<u8>)>,
}

/// Reads the plaintext of a connection.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    state: State,
    sides: [Side; 2],
    /// The request whose answer has not come.
    request: Option<String>,
    closed: bool,
}

impl Plain {
    /// Bytes in order.
    pub(crate) fn take(&mut self, at: Instant, way: Way, bytes: &[u8], events: &mut Vec<Event>) {
        if matches!(self.state, State::Other) {
            return;
        }
        self.sides[way as usize].bytes.extend_from_slice(bytes);
        if matches!(self.state, State::Http) {
            self.heads(at, way, events);
        }
        if matches!(self.state, State::WebSocket) {
            // The server's first frame may have come with its consent.
            while self.frame(at, Way::Up, events) || self.frame(at, Way::Down, events) {}
        }
    }

    /// Bytes are missing: nothing after them can be understood.
    pub(crate) fn lose(&mut self) {
        self.state = State::Other;
        self.sides = Default::default();
    }

    /// The connection has ended.
    pub(crate) fn end(&mut self, at: Instant, how: &str, events: &mut Vec<Event>) {
        if matches!(self.state, State::WebSocket) && !std::mem::replace(&mut self.closed, true) {
            events.push(Event::new(at, Source::Server, Kind::Closed, how));
        }
    }

    fn heads(&mut self, at: Instant, way: Way, events: &mut Vec<Event>) {
        let side = &mut self.sides[way as usize];
        let Some(end) = side.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            let likely = [&b"GET "[..], b"POST", b"PUT ", b"HEAD", b"DELE", b"HTTP"];
            let begins = |word: &&[u8]| word.starts_with(&side.bytes[..side.bytes.len().min(4)]);
            if side.bytes.len() > HEAD || !likely.iter().any(begins) {
                self.lose();
            }
            return;
        };
        let head: Vec<u8> = side.bytes.drain(..end + 4).collect();
        match way {
            Way::Up => match request(&head) {
                Some(text) => {
                    events.push(network(
                        at,
                        &format!("http {}", text.lines().next().unwrap_or_default()),
                    ));
                    self.request = Some(text);
                }
                None => self.lose(),
            },
            Way::Down => self.answer(at, &head, events),
        }
    }

    fn answer(&mut self, at: Instant, head: &[u8], events: &mut Vec<Event>) {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let status = response.parse(head).ok().and(response.code);
        let Some(status) = status else {
            return self.lose();
        };
        events.push(network(at, &format!("http {status}")));
        match (status, self.request.take()) {
            (101, Some(request)) => {
                events.push(Event::new(at, Source::Server, Kind::Handshake, request));
                self.state = State::WebSocket;
            }
            // What follows is a body, whose length is of no interest.
            _ => self.lose(),
        }
    }

    /// The next whole frame of one side; false if there is none.
    fn frame(&mut self, at: Instant, way: Way, events: &mut Vec<Event>) -> bool {
        let side = &mut self.sides[way as usize];
        let Some((opcode, fin, payload, used)) = decode(&side.bytes) else {
            if side.bytes.len() > MESSAGE {
                self.lose();
            }
            return false;
        };
        side.bytes.drain(..used);
        match opcode {
            0 => {
                if let Some((_, data)) = &mut side.message
                    && data.len() + payload.len() <= MESSAGE
                {
                    data.extend(payload);
                }
            }
            1 | 2 => side.message = Some((opcode, payload)),
            8 => {
                let how = match payload.get(..2) {
                    Some(code) => {
                        let reason = String::from_utf8_lossy(&payload[2..]);
                        format!("{} {reason}", u16::from_be_bytes([code[0], code[1]]))
                    }
                    None => "without a code".to_owned(),
                };
                let who = if way == Way::Up { "client" } else { "server" };
                events.push(network(
                    at,
                    &format!("websocket close by {who}: {}", how.trim()),
                ));
                return true;
            }
            9 | 10 => {
                let what = if opcode == 9 { "ping" } else { "pong" };
                let who = if way == Way::Up { "client" } else { "server" };
                events.push(network(at, &format!("websocket {what} by {who}")));
                return true;
            }
            _ => {}
        }
        if fin && let Some((kind, data)) = side.message.take() {
            let mut bytes = if kind == 1 {
                b"text ".to_vec()
            } else {
                b"binary ".to_vec()
            };
            bytes.extend(data);
            let kind = if way == Way::Up {
                Kind::MessageIn
            } else {
                Kind::MessageOut
            };
            events.push(Event::new(at, Source::Server, kind, bytes));
        }
        true
    }
}

/// Request line and fields, names in lower case, one per line.
fn request(head: &[u8]) -> Option<String> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(head).ok()?;
    let mut text = format!("{} {} HTTP/1.1", request.method?, request.path?);
    for field in request.headers.iter() {
        let value = String::from_utf8_lossy(field.value);
        text += &format!("\n{}: {value}", field.name.to_ascii_lowercase());
    }
    Some(text)
}

/// Opcode, FIN, unmasked payload and length of the first frame.
fn decode(bytes: &[u8]) -> Option<(u8, bool, Vec<u8>, usize)> {
    let [first, second, ..] = *bytes else {
        return None;
    };
    let (mut at, len) = match second & 0x7F {
        126 => (
            4,
            u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        len => (2, u64::from(len)),
    };
    let mask: Option<[u8; 4]> = match second & 0x80 {
        0 => None,
        _ => {
            at += 4;
            Some(bytes.get(at - 4..at)?.try_into().ok()?)
        }
    };
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    let mut payload = bytes.get(at..end)?.to_vec();
    if let Some(mask) = mask {
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
    }
    Some((first & 0x0F, first & 0x80 != 0, payload, end))
}
