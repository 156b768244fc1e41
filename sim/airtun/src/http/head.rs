//! Request heads, read as Jetty's parser reads them: its tolerance and its words.

use super::Refusal;

/// Bytes of a head that Jetty takes; more is refused. (Its buffer has 8192; what
/// counts depends on reads. Measured with one long header.)
pub(crate) const LIMIT: usize = 8207;
/// Bytes of a request line with its target.
const LINE_LIMIT: usize = 8190;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// As it was sent.
    pub(crate) target: Vec<u8>,
    /// HTTP/1.0, which has no upgrades and closes by itself.
    pub(crate) old: bool,
    /// Names as they were sent, values without blanks around.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// Bytes of the body, if they are stated.
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
}

impl Head {
    /// The first field of this name.
    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// All fields of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }
}

/// A field's value holds this token.
pub(crate) fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn illegal(byte: u8) -> Refusal {
    let what = match byte {
        b' ' => "SPACE=' '".to_owned(),
        b'\t' => "HTAB=0x9".to_owned(),
        b'\n' => "LF=\\n".to_owned(),
        b'\r' => "CR=\\r".to_owned(),
        0x80.. => format!("OTEXT=0x{byte:x}"),
        0..=0x1F | 0x7F => format!("CNTL=0x{byte:x}"),
        _ if byte.is_ascii_alphabetic() => format!("ALPHA='{}'", char::from(byte)),
        _ if byte.is_ascii_digit() => format!("DIGIT='{}'", char::from(byte)),
        _ => format!("VCHAR='{}'", char::from(byte)),
    };
    Refusal::new(400, format!("Illegal character {what}"))
}

/// Bytes one after the other, line ends made one.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte, a line end being LF; `None` if more must arrive.
    fn next(&mut self) -> Result<Option<u8>, Refusal> {
        let Some(byte) = self.bytes.get(self.at).copied() else {
            return Ok(None);
        };
        self.at += 1;
        match byte {
            b'\r' => match self.bytes.get(self.at) {
                None => Ok(None),
                Some(b'\n') => {
                    self.at += 1;
                    Ok(Some(b'\n'))
                }
                Some(_) => Err(Refusal::new(400, "Bad EOL")),
            },
            b'\n' | b'\t' => Ok(Some(byte)),
            0..=0x1F | 0x7F => Err(illegal(byte)),
            _ => Ok(Some(byte)),
        }
    }
}

fn too_large() -> Refusal {
    Refusal::new(431, "Request Header Fields Too Large")
}

/// Returns from a parser that wants more bytes.
macro_rules! next {
    ($reader:expr) => {
        match $reader.next()? {
            Some(byte) => byte,
            None => return Ok(None),
        }
    };
}

/// The first head in these bytes and its length; `None` if more must arrive.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    let mut reader = Reader { bytes, at: 0 };
    let mut head = Head::default();
    let Some(()) = request_line(&mut reader, &mut head)? else {
        return match bytes.len() {
            LINE_LIMIT.. if head.target.is_empty() => Err(too_large()),
            LINE_LIMIT.. => Err(Refusal::new(414, "URI Too Long")),
            _ => Ok(None),
        };
    };
    let done = fields(&mut reader, &mut head)?.is_some();
    if if done { reader.at } else { bytes.len() } > LIMIT {
        return Err(too_large());
    }
    if !done {
        return Ok(None);
    }
    if !head.old && head.first("Host").is_none() {
        return Err(Refusal::new(400, "No Host"));
    }
    Ok(Some((head, reader.at)))
}

fn request_line(reader: &mut Reader<'_>, head: &mut Head) -> Result<Option<()>, Refusal> {
    let mut byte = next!(reader);
    while byte == b'\n' {
        byte = next!(reader);
    }
    while byte != b' ' || head.method.is_empty() {
        match byte {
            b'\n' => return Err(Refusal::new(400, "No URI")),
            _ if is_token(byte) => head.method.push(char::from(byte)),
            _ => return Err(illegal(byte)),
        }
        byte = next!(reader);
    }
    while byte == b' ' {
        byte = next!(reader);
    }
    while byte != b' ' {
        match byte {
            b'\n' if head.target.is_empty() => return Err(Refusal::new(400, "No URI")),
            b'\n' => return Err(Refusal::new(505, "HTTP/0.9 not supported")),
            b'\t' => return Err(illegal(byte)),
            _ => head.target.push(byte),
        }
        if head.target.len() > LINE_LIMIT {
            return Err(Refusal::new(414, "URI Too Long"));
        }
        byte = next!(reader);
    }
    while byte == b' ' {
        byte = next!(reader);
    }
    let mut version = Vec::new();
    while byte != b'\n' {
        if byte == b' ' || byte == b'\t' {
            return Err(illegal(byte));
        }
        version.push(byte.to_ascii_uppercase());
        byte = next!(reader);
    }
    head.old = match version.as_slice() {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        b"" => return Err(Refusal::new(400, "HTTP/0.9 not supported")),
        b"HTTP/2.0" => return Err(Refusal::new(426, "Upgrade Required")),
        b"HTTP/0.9" => return Err(Refusal::new(505, "Unsupported Version")),
        _ => return Err(Refusal::new(505, "Unknown Version")),
    };
    Ok(Some(()))
}

fn fields(reader: &mut Reader<'_>, head: &mut Head) -> Result<Option<()>, Refusal> {
    loop {
        let mut byte = next!(reader);
        match byte {
            b'\n' => break,
            b' ' | b'\t' | b':' => return Err(Refusal::new(400, "Header Folding")),
            _ => {}
        }
        let mut name = String::new();
        while byte != b':' {
            if !is_token(byte) {
                return Err(illegal(byte));
            }
            name.push(char::from(byte));
            byte = next!(reader);
        }
        let mut value = Vec::new();
        byte = next!(reader);
        while byte != b'\n' {
            value.push(byte);
            byte = next!(reader);
        }
        let value = value.trim_ascii().to_vec();
        check(head, &name, &value)?;
        head.fields.push((name, value));
    }
    let coded = head.all("Transfer-Encoding").last().map(<[u8]>::to_vec);
    if let Some(coding) = coded {
        let last = coding
            .rsplit(|byte| *byte == b',')
            .next()
            .unwrap_or_default();
        if !last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::new(400, "Bad Transfer-Encoding, chunked not last"));
        }
        head.chunked = true;
    }
    Ok(Some(()))
}

/// What Jetty checks of a field as it reads it.
fn check(head: &mut Head, name: &str, value: &[u8]) -> Result<(), Refusal> {
    let coded = "Transfer-Encoding and Content-Length";
    if name.eq_ignore_ascii_case("Content-Length") {
        if head.length.is_some() {
            return Err(Refusal::new(400, "Multiple Content-Lengths"));
        }
        if head.first("Transfer-Encoding").is_some() {
            return Err(Refusal::new(400, coded));
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::new(400, "Invalid Content-Length Value"));
        }
        let digits = String::from_utf8_lossy(value);
        head.length = Some(digits.parse().map_err(|_| Refusal::bad_request())?);
    }
    if name.eq_ignore_ascii_case("Transfer-Encoding") && head.length.is_some() {
        return Err(Refusal::new(400, coded));
    }
    if name.eq_ignore_ascii_case("Host") {
        check_host(value)?;
    }
    Ok(())
}

/// A port must be one.
fn check_host(value: &[u8]) -> Result<(), Refusal> {
    let text = String::from_utf8_lossy(value);
    // A literal IPv6 address has colons of its own.
    let after = text.rfind(']').map_or(&*text, |end| &text[end..]);
    match after.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_err() => Err(Refusal::new(400, "Bad HostPort")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match parse(text.as_bytes()) {
            Err(refusal) => format!("{} {}", refusal.status, refusal.reason),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn jettys_words_for_what_it_does_not_take() {
        for (text, words) in [
            ("hello world\r\n", "505 HTTP/0.9 not supported"),
            ("GET / \r\n", "400 HTTP/0.9 not supported"),
            ("GET\r\n", "400 No URI"),
            (" GET", "400 Illegal character SPACE=' '"),
            ("\x16\x03\x01", "400 Illegal character CNTL=0x16"),
            ("G(T / HTTP/1.1\r\n", "400 Illegal character VCHAR='('"),
            ("GET / HTTP/2.0\r\n", "426 Upgrade Required"),
            ("GET / HTTP/3\r\n", "505 Unknown Version"),
            ("GET / HTTP/1.1\r\n: x\r\n", "400 Header Folding"),
            (
                "GET / HTTP/1.1\r\nA b: x\r\n",
                "400 Illegal character SPACE=' '",
            ),
            ("GET / HTTP/1.1\r\nA\r\n", "400 Illegal character LF=\\n"),
            ("GET / HTTP/1.1\r\nHost: x:y\r\n\r\n", "400 Bad HostPort"),
            (
                "GET / HTTP/1.1\r\nContent-Length: -1\r\n",
                "400 Invalid Content-Length Value",
            ),
            ("GET / HTTP/1.1\r\n\r\n", "400 No Host"),
            ("GET / HTTP/1.1\rX", "400 Bad EOL"),
        ] {
            assert_eq!(refused(text), words, "{text:?}");
        }
    }

    #[test]
    fn a_head_has_no_more_than_jettys_bytes() {
        let head = |len: usize| {
            let rest = "GET / HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n".len();
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n",
                "a".repeat(len - rest)
            )
        };
        assert!(parse(head(LIMIT).as_bytes()).is_ok_and(|head| head.is_some()));
        assert_eq!(
            refused(&head(LIMIT + 1)),
            "431 Request Header Fields Too Large"
        );
        let method = "A".repeat(9000);
        assert_eq!(refused(&method), "431 Request Header Fields Too Large");
        let endless = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
        assert_eq!(refused(&endless), "414 URI Too Long");
    }
}
