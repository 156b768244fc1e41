//! Answers: Jetty's error pages, and the upgrade.

use super::Refusal;
use super::head::Head;

/// Identification of the Java stack.
const SERVER: &str = "Server: Jetty(9.4.48.v20220622)\r\n";

/// The words of a status.
fn words(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        417 => "Expectation Failed",
        _ => "Server Error",
    }
}

/// The page for a head that could not be read; the connection ends with it.
pub(crate) fn bare(refusal: &Refusal) -> Vec<u8> {
    let Refusal { status, reason } = refusal;
    let body = format!("<h1>Bad Message {status}</h1><pre>reason: {reason}</pre>");
    let len = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/html;charset=iso-8859-1\r\n\
         Content-Length: {len}\r\nConnection: close\r\n{SERVER}\r\n{body}"
    )
    .into_bytes()
}

/// An answer without a body.
pub(crate) fn empty(status: u16) -> Vec<u8> {
    let words = words(status);
    format!("HTTP/1.1 {status} {words}\r\nContent-Length: 0\r\n{SERVER}\r\n").into_bytes()
}

/// An error page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) message: String,
    /// Exceptions, each with its cause behind it. Their stacks are not shown.
    pub(crate) causes: Vec<String>,
    /// Fields before all others.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The server ends the connection for its own reasons.
    pub(crate) closes: bool,
}

/// Character sets of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Latin1,
    Utf8,
    Ascii,
}

impl Charset {
    /// What the client accepts, `None` if it is none of ours: Jetty asks Java for one
    /// after the other, and the last that exists stays.
    fn accepted(head: &Head) -> Option<Self> {
        let names = by_quality(head, "Accept-Charset", |_| 0);
        if names.is_empty() {
            return Some(Self::Latin1);
        }
        let mut chosen = None;
        for name in names {
            match name.to_ascii_lowercase().as_str() {
                "*" => return Some(Self::Utf8),
                "utf-8" | "utf8" => chosen = Some(Self::Utf8),
                "iso-8859-1" | "latin1" => chosen = Some(Self::Latin1),
                "us-ascii" | "ascii" => chosen = Some(Self::Ascii),
                _ => {}
            }
        }
        chosen
    }

    fn name(self) -> &'static str {
        match self {
            Self::Latin1 => "ISO-8859-1",
            Self::Utf8 => "UTF-8",
            Self::Ascii => "US-ASCII",
        }
    }

    fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Latin1 => latin1(text),
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Ascii => {
                let plain = |c: char| if c.is_ascii() { c as u8 } else { b'?' };
                text.chars().map(plain).collect()
            }
        }
    }
}

impl Page {
    /// The page of a status, with its own words.
    pub(crate) fn of(status: u16) -> Self {
        Self {
            status,
            message: words(status).to_owned(),
            ..Self::default()
        }
    }

    /// The answer, as the client wants to have it.
    pub(crate) fn render(&self, head: &Head, raw_path: &[u8]) -> Vec<u8> {
        let status = self.status;
        let mut text = format!("HTTP/1.1 {status} {}\r\n", words(status));
        let wish = if wants_close(head) {
            (!self.closes && !head.old).then_some("close")
        } else {
            head.old.then_some("keep-alive")
        };
        if let Some(wish) = wish {
            text += &format!("Connection: {wish}\r\n");
        }
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        let body = self.body(head, raw_path);
        if let Some((kind, body)) = &body {
            text += "Cache-Control: must-revalidate,no-cache,no-store\r\n";
            if !kind.is_empty() {
                text += &format!("Content-Type: {kind}\r\n");
            }
            text += &format!("Content-Length: {}\r\n", body.len());
        } else {
            text += "Content-Length: 0\r\n";
        }
        if self.closes {
            text += "Connection: close\r\n";
        }
        text = text + SERVER + "\r\n";
        let mut answer = text.into_bytes();
        if head.method != "HEAD" {
            answer.extend(body.into_iter().flat_map(|(_, body)| body));
        }
        answer
    }

    /// Type and bytes of the body; none for methods that get no page.
    fn body(&self, head: &Head, raw_path: &[u8]) -> Option<(String, Vec<u8>)> {
        if !["GET", "POST", "HEAD"].contains(&head.method.as_str()) {
            return None;
        }
        let uri = String::from_utf8_lossy(raw_path).into_owned();
        let typed = |kind: &str, charset: Charset, text: &str| {
            let kind = format!("{kind};charset={}", charset.name().to_ascii_lowercase());
            (kind, charset.encode(text))
        };
        Some(match (accepted(head), Charset::accepted(head)) {
            (Some(Kind::Html), Some(charset)) => {
                typed("text/html", charset, &self.html(&escape(&uri), charset))
            }
            (Some(Kind::Plain), Some(charset)) => typed("text/plain", charset, &self.plain(&uri)),
            (Some(Kind::Json(kind)), Some(_)) => (kind, self.json(&uri).into_bytes()),
            _ => (String::new(), Vec::new()),
        })
    }

    fn html(&self, uri: &str, charset: Charset) -> String {
        let charset = charset.name();
        let (status, message) = (self.status, escape(&self.message));
        let causes: String = self
            .causes
            .iter()
            .map(|cause| format!("<tr><th>CAUSED BY:</th><td>{}</td></tr>\n", escape(cause)))
            .collect();
        format!(
            "<html>\n<head>\n<meta http-equiv=\"Content-Type\" \
             content=\"text/html;charset={charset}\"/>\n<title>Error {status} {message}</title>\n\
             </head>\n<body><h2>HTTP ERROR {status} {message}</h2>\n<table>\n\
             <tr><th>URI:</th><td>{uri}</td></tr>\n<tr><th>STATUS:</th><td>{status}</td></tr>\n\
             <tr><th>MESSAGE:</th><td>{message}</td></tr>\n\
             <tr><th>SERVLET:</th><td>AirTun</td></tr>\n{causes}</table>\n\
             <hr/><a href=\"https://eclipse.org/jetty\">Powered by Jetty:// 9.4.48.v20220622</a>\
             <hr/>\n\n</body>\n</html>\n"
        )
    }

    fn plain(&self, uri: &str) -> String {
        let (status, message) = (self.status, &self.message);
        format!(
            "HTTP ERROR {status} {message}\nURI: {uri}\nSTATUS: {status}\nMESSAGE: {message}\n\
             SERVLET: AirTun\n"
        )
    }

    fn json(&self, uri: &str) -> String {
        let (status, message) = (self.status, quoted(&self.message));
        let uri = quoted(uri);
        format!(
            "{{\n\"servlet\":\"AirTun\",\n\"message\":\"{message}\",\n\"url\":\"{uri}\",\n\
             \"status\":\"{status}\"\n}}"
        )
    }
}

/// The connection ends with the answer.
pub(crate) fn wants_close(head: &Head) -> bool {
    let has = |token| {
        head.all("Connection")
            .any(|value| super::head::has_token(value, token))
    };
    if head.old {
        !has("keep-alive")
    } else {
        has("close")
    }
}

/// Kinds of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Html,
    Plain,
    /// With the type as it was asked for.
    Json(String),
}

/// What the fields of a name list, the best first: by quality, then by `rank`,
/// then in their order. Nothing of quality 0.
fn by_quality(head: &Head, name: &str, rank: fn(&str) -> u8) -> Vec<String> {
    let fields: Vec<_> = head.all(name).map(String::from_utf8_lossy).collect();
    let mut list = Vec::new();
    for entry in fields.iter().flat_map(|field| field.split(',')) {
        let (mut text, mut quality) = (String::new(), 1.0);
        for part in entry.split(';').map(str::trim) {
            match part.strip_prefix("q=") {
                Some(number) => quality = number.parse().unwrap_or(1.0),
                None if text.is_empty() => text += part,
                // A kind with parameters is another kind.
                None => text += &format!(";{part}"),
            }
        }
        if quality > 0.0 && !text.is_empty() {
            list.push((quality, text));
        }
    }
    let quality = |(quality, text): &(f32, String)| (*quality, rank(text));
    list.sort_by(|a, b| {
        quality(b)
            .partial_cmp(&quality(a))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    list.into_iter().map(|(_, text)| text).collect()
}

/// The page a client wants most of those there are; without a wish it is HTML.
fn accepted(head: &Head) -> Option<Kind> {
    if head.first("Accept").is_none() {
        return Some(Kind::Html);
    }
    let specific = |kind: &str| match kind {
        "*" | "*/*" => 0,
        kind if kind.ends_with("/*") => 1,
        kind if !kind.contains(';') => 2,
        _ => 3,
    };
    let kinds = by_quality(head, "Accept", specific);
    kinds.into_iter().find_map(|kind| match kind.as_str() {
        "text/html" | "text/*" | "*/*" => Some(Kind::Html),
        "text/plain" => Some(Kind::Plain),
        "application/json" | "text/json" => Some(Kind::Json(kind)),
        _ => None,
    })
}

/// For JSON: made safe for XML first, then quotes and backslashes.
fn quoted(text: &str) -> String {
    escape(text).replace('\\', "\\\\")
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&apos;",
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// ISO 8859-1; what it does not have is a question mark.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect()
}

/// The answer that turns the connection into a WebSocket.
pub(crate) fn switching(date: &str, accept: &str, closes: bool) -> Vec<u8> {
    let close = if closes { "Connection: close\r\n" } else { "" };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\n{close}Date: {date}\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{SERVER}Upgrade: WebSocket\r\n\r\n"
    )
    .into_bytes()
}
