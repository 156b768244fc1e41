//! HTTP responses, piece by piece. The header block is read by `httparse`;
//! what the body's end is, is the firmware's affair.

/// Longest header block the firmware takes.
pub(crate) const HEADERS: usize = 8191;

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// After this many more bytes.
    Length(u64),
    Chunked(Chunk),
    /// When the server closes.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size,
    Data(u64),
    /// The line end behind the data.
    End,
    Trailer,
}

/// What a piece of input led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More input is needed.
    More,
    /// Header lines are too long for the buffer.
    TooLong,
    /// Status, headers in order, and the length if one is stated.
    Head(u16, Vec<(String, Vec<u8>)>, Option<u64>),
    /// A piece of the body.
    Piece(Vec<u8>),
    /// The message is complete.
    Done,
}

/// Where the firmware finds the end of a header block: at the first two line
/// ends in a row.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let pairs: [&[u8]; 3] = [b"\r\n\r\n", b"\n\n", b"\r\r"];
    (0..bytes.len()).find(|at| pairs.iter().any(|pair| bytes[*at..].starts_with(pair)))
}

/// A response being read.
#[derive(Debug, Default)]
pub(crate) struct Response {
    buffer: Vec<u8>,
    body: Option<Body>,
    status: u16,
    done: bool,
    /// The bytes make no sense; the firmware just goes on collecting.
    broken: bool,
}

impl Response {
    /// Adds what arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.done {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The bytes that are not worked off yet.
    pub(crate) fn peek(&self) -> &[u8] {
        &self.buffer
    }

    /// Bytes that are not worked off yet.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The header block has been read.
    pub(crate) fn has_head(&self) -> bool {
        self.body.is_some()
    }

    /// The body ends when the server closes.
    pub(crate) fn ends_with_close(&self) -> bool {
        self.body == Some(Body::Close)
    }

    /// The next step.
    pub(crate) fn next(&mut self) -> Progress {
        if self.broken && self.buffer.len() > HEADERS {
            return Progress::TooLong;
        }
        if self.done || self.broken {
            return Progress::More;
        }
        match self.body {
            None => self.head(),
            Some(Body::Length(0)) => self.finish(),
            Some(Body::Length(left)) => {
                let piece = self.take(left);
                self.body = Some(Body::Length(left - piece.len() as u64));
                piece_or_more(piece)
            }
            Some(Body::Close) => {
                let piece = self.take(u64::MAX);
                piece_or_more(piece)
            }
            Some(Body::Chunked(chunk)) => self.chunk(chunk),
        }
    }

    fn finish(&mut self) -> Progress {
        self.done = true;
        Progress::Done
    }

    fn take(&mut self, most: u64) -> Vec<u8> {
        let len = self
            .buffer
            .len()
            .min(usize::try_from(most).unwrap_or(usize::MAX));
        self.buffer.drain(..len).collect()
    }

    fn head(&mut self) -> Progress {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&self.buffer) {
            // The whole block must fit, its end too.
            Ok(httparse::Status::Complete(len)) if len > HEADERS => Progress::TooLong,
            Ok(httparse::Status::Partial) if self.buffer.len() > HEADERS => Progress::TooLong,
            Ok(httparse::Status::Partial) => Progress::More,
            Err(_) => {
                self.broken = true;
                self.next()
            }
            Ok(httparse::Status::Complete(len)) => {
                let status = response.code.unwrap_or(0);
                let list: Vec<(String, Vec<u8>)> = response
                    .headers
                    .iter()
                    .map(|header| (header.name.to_owned(), header.value.to_vec()))
                    .collect();
                let (body, length) = body_of(status, &list);
                self.buffer.drain(..len);
                self.status = status;
                self.body = Some(body);
                Progress::Head(status, list, length)
            }
        }
    }

    /// A line without its end, if a whole one is there.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.windows(2).position(|two| two == b"\r\n")?;
        let line = self.buffer.drain(..end + 2).take(end).collect();
        Some(line)
    }

    fn chunk(&mut self, chunk: Chunk) -> Progress {
        let next = match chunk {
            Chunk::Data(0) => Chunk::End,
            Chunk::Data(left) => {
                let piece = self.take(left);
                self.body = Some(Body::Chunked(Chunk::Data(left - piece.len() as u64)));
                return piece_or_more(piece);
            }
            Chunk::End => match self.line() {
                Some(_) => Chunk::Size,
                None if self.buffer.len() > HEADERS => return Progress::TooLong,
                None => return Progress::More,
            },
            Chunk::Size => match self.line() {
                Some(line) => {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    let digits = text.split(';').next().unwrap_or_default().trim();
                    match u64::from_str_radix(digits, 16) {
                        Ok(0) => Chunk::Trailer,
                        Ok(size) => Chunk::Data(size),
                        Err(_) => {
                            self.broken = true;
                            return self.next();
                        }
                    }
                }
                None if self.buffer.len() > HEADERS => return Progress::TooLong,
                None => return Progress::More,
            },
            Chunk::Trailer => match self.line() {
                Some(line) if line.is_empty() => return self.finish(),
                Some(_) => Chunk::Trailer,
                None if self.buffer.len() > HEADERS => return Progress::TooLong,
                None => return Progress::More,
            },
        };
        self.body = Some(Body::Chunked(next));
        self.next()
    }
}

fn piece_or_more(piece: Vec<u8>) -> Progress {
    if piece.is_empty() {
        Progress::More
    } else {
        Progress::Piece(piece)
    }
}

/// How a body ends, and the length a header states.
fn body_of(status: u16, headers: &[(String, Vec<u8>)]) -> (Body, Option<u64>) {
    let find = |name: &str| {
        let header = headers.iter().rfind(|(n, _)| n.eq_ignore_ascii_case(name));
        header.map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned())
    };
    let length = find("content-length").and_then(|text| text.parse().ok());
    let chunked =
        find("transfer-encoding").is_some_and(|text| text.eq_ignore_ascii_case("chunked"));
    let empty = matches!(status, 100..=199 | 204 | 304);
    let body = match length {
        _ if chunked => Body::Chunked(Chunk::Size),
        Some(length) => Body::Length(length),
        None if empty => Body::Length(0),
        None => Body::Close,
    };
    (body, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], cut: usize) -> (u16, Vec<u8>, bool) {
        let mut response = Response::default();
        let (mut status, mut body, mut done) = (0, Vec::new(), false);
        for piece in bytes.chunks(cut.max(1)) {
            response.push(piece);
            loop {
                match response.next() {
                    Progress::Head(code, ..) => status = code,
                    Progress::Piece(piece) => body.extend(piece),
                    Progress::Done => done = true,
                    Progress::More | Progress::TooLong => break,
                }
            }
        }
        (status, body, done)
    }

    #[test]
    fn lengths_chunks_and_no_body_end_where_they_should() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcXX";
        assert_eq!(read(text, 1), (200, b"abc".to_vec(), true));
        let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(read(text, 2), (200, b"abcde".to_vec(), true));
        assert_eq!(read(b"HTTP/1.1 204 No\r\n\r\n", 5), (204, Vec::new(), true));
        assert_eq!(
            read(b"HTTP/1.1 200 OK\r\n\r\nabc", 99),
            (200, b"abc".to_vec(), false)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, cut in 1usize..50) {
            let _ = read(&bytes, cut);
        }

        #[test]
        fn pieces_do_not_matter(body: Vec<u8>, cut in 1usize..50) {
            let mut text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            text.extend(&body);
            prop_assert_eq!(read(&text, cut), (200, body, true));
        }
    }
}
