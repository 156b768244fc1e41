//! One connection: requests until one of them makes it a WebSocket.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::FutureExt;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::http::answer::{Page, bare, empty, wants_close};
use crate::http::head::{self, Head, has_token};
use crate::http::target::{self, Target};
use crate::http::{Refusal, answer};
use crate::server::Shared;
use crate::ws::frame::{self, opcode};
use crate::ws::{Endpoint, Session};
use crate::{Clock, Event, Opcode, nutz};

/// Jetty's policy: silence this long ends a connection without a word.
const IDLE: Duration = Duration::from_secs(300);
/// How long the original's `/api` waits for a backend it does not reach.
const API_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest body that `/api` takes.
const API_LIMIT: u64 = 2048;
/// After the last byte: what a peer may still send, and for how long.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_BYTES: usize = 16 << 20;
/// RFC 6455, 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What becomes of a connection after an answer.
enum Next {
    Request,
    End,
    WebSocket(Endpoint),
}

/// A connection whose TLS, if any, is taken off.
pub(crate) struct Connection<S> {
    stream: S,
    /// Read and not worked off.
    bytes: Vec<u8>,
    shared: Arc<Shared>,
}

/// Ends a connection: FIN at once, then whatever the peer still sends is thrown
/// away. Unread bytes would make the kernel send RST, and the last answer might
/// be lost.
pub(crate) async fn finish<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, clock: &dyn Clock) {
    // A peer that is gone needs no goodbye.
    let _ = stream.shutdown().await;
    let mut patience = clock.sleep(LINGER);
    let mut waste = vec![0; 4096];
    let mut total = 0;
    while total < LINGER_BYTES {
        tokio::select! {
            biased;
            read = stream.read(&mut waste) => match read {
                Ok(len) if len > 0 => total += len,
                _ => return,
            },
            () = &mut patience => return,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            shared,
        }
    }

    /// Serves it to its end.
    pub(crate) async fn serve(mut self) {
        if self.shared.faults().refuse {
            return finish(&mut self.stream, &*self.shared.clock).await;
        }
        loop {
            let head = match self.head().await {
                Ok(Some(head)) => head,
                Ok(None) => break,
                Err(refusal) => {
                    let _ = self.write(&bare(&refusal)).await;
                    break;
                }
            };
            if self.shared.faults().stall {
                self.hang().await;
                break;
            }
            match self.answer(&head).await {
                Next::Request => {}
                Next::End => break,
                Next::WebSocket(endpoint) => return self.upgrade(&head, endpoint).await,
            }
        }
        finish(&mut self.stream, &*self.shared.clock).await;
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Reads more; false at the end, or after a long silence.
    async fn read(&mut self) -> bool {
        let mut idle = self.shared.clock.sleep(IDLE);
        let mut stopping = self.shared.stopping();
        tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.bytes) => matches!(read, Ok(len) if len > 0),
            () = &mut idle => {
                self.bytes.clear();
                false
            }
            _ = stopping.wait_for(|stop| *stop) => {
                self.bytes.clear();
                false
            }
        }
    }

    /// Takes what comes and answers nothing, as a process that hangs: no idle time
    /// ends it.
    async fn hang(&mut self) {
        let mut stopping = self.shared.stopping();
        let mut waste = vec![0; 4096];
        loop {
            tokio::select! {
                biased;
                read = self.stream.read(&mut waste) => if !matches!(read, Ok(1..)) { return },
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// The next head; none if the client has nothing more to say.
    async fn head(&mut self) -> Result<Option<Head>, Refusal> {
        loop {
            if let Some((head, len)) = head::parse(&self.bytes)? {
                self.bytes.drain(..len);
                return Ok(Some(head));
            }
            if !self.read().await {
                // A head that breaks off is a bad one.
                return match self.bytes.is_empty() {
                    true => Ok(None),
                    false => Err(Refusal::bad_request()),
                };
            }
        }
    }

    /// Answers a request, in Jetty's order of checks.
    async fn answer(&mut self, head: &Head) -> Next {
        if let Some(expect) = head.first("Expect").filter(|_| !head.old) {
            let known = ["100-continue", "102-processing"];
            if !known.iter().any(|known| has_token(expect, known)) {
                return self.refuse(&Refusal::new(417, "Expectation Failed")).await;
            }
        }
        let upgrading = !head.old && head.first("Upgrade").is_some();
        let connection = head.all("Connection").last().unwrap_or_default();
        if upgrading && !has_token(connection, "upgrade") {
            return self.refuse(&Refusal::bad_request()).await;
        }
        if head.target == b"*" {
            return self.page(head, b"*", Page::of(400)).await;
        }
        let target = match target::parse(&head.target) {
            Ok(target) => target,
            Err(refusal) => return self.refuse(&refusal).await,
        };
        match websocket(head, &target) {
            Some(endpoint) => match handshake(head) {
                Ok(()) => Next::WebSocket(endpoint),
                Err(page) => self.page(head, &target.raw, page).await,
            },
            None => self.servlet(head, &target).await,
        }
    }

    async fn refuse(&mut self, refusal: &Refusal) -> Next {
        let _ = self.write(&bare(refusal)).await;
        Next::End
    }

    /// Jetty does not wait for a body: what is not there when the page is made
    /// ends the connection, and so does a client that waits to be asked for it.
    async fn page(&mut self, head: &Head, raw: &[u8], mut page: Page) -> Next {
        let expect = head.first("Expect").unwrap_or_default();
        let asks = !head.old && has_token(expect, "100-continue");
        page.closes |= asks || !self.skip_body(head).await;
        let sent = self.write(&page.render(head, raw)).await;
        let ends = sent.is_err() || page.closes || wants_close(head);
        if ends { Next::End } else { Next::Request }
    }

    /// What is no WebSocket goes to the servlet, which knows `/api` only.
    async fn servlet(&mut self, head: &Head, target: &Target) -> Next {
        if head.method == "TRACE" {
            let sent = self.write(&empty(403)).await;
            return if sent.is_ok() && !wants_close(head) {
                Next::Request
            } else {
                Next::End
            };
        }
        if target.path.starts_with("/api/") {
            return self.api(head, target).await;
        }
        let raw = String::from_utf8_lossy(&target.raw);
        let status = if raw.contains("..") || raw.contains(':') {
            403
        } else {
            404
        };
        self.page(head, &target.raw, Page::of(status)).await
    }

    async fn api(&mut self, head: &Head, target: &Target) -> Next {
        if head.length.is_some_and(|length| length > API_LIMIT) {
            return self.page(head, &target.raw, Page::of(403)).await;
        }
        let length = head.length.unwrap_or(0) as usize;
        while self.bytes.len() < length {
            if !self.read().await {
                return Next::End;
            }
        }
        let json = head.first("Content-Type").is_some_and(|kind| {
            String::from_utf8_lossy(kind)
                .to_ascii_lowercase()
                .contains("json")
        });
        let body = String::from_utf8_lossy(&self.bytes[..length]).into_owned();
        if json && nutz::parse(&body).is_err() {
            return self.page(head, &target.raw, Page::of(403)).await;
        }
        self.shared.clock.sleep(API_TIMEOUT).await;
        let page = Page {
            message: "AsyncContext timeout".to_owned(),
            ..Page::of(500)
        };
        self.page(head, &target.raw, page).await
    }

    /// Reads what has arrived, without waiting; false if nothing has.
    fn read_ready(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.bytes).now_or_never();
        matches!(read, Some(Ok(len)) if len > 0)
    }

    /// Reads past the body; false if it was not all there.
    async fn skip_body(&mut self, head: &Head) -> bool {
        if head.chunked {
            return self.skip_chunks().await;
        }
        let mut left = head.length.unwrap_or(0);
        loop {
            let here = left.min(self.bytes.len() as u64);
            self.bytes.drain(..here as usize);
            left -= here;
            if left == 0 {
                return true;
            }
            if !self.read_ready() {
                return false;
            }
        }
    }

    async fn skip_chunks(&mut self) -> bool {
        loop {
            let Some(line) = self.line().await else {
                return false;
            };
            let digits = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(digits, 16) else {
                return false;
            };
            if size == 0 {
                // The trailer ends with an empty line.
                while self.line().await.is_some_and(|line| !line.is_empty()) {}
                return true;
            }
            let mut left = size.saturating_add(2);
            while left > 0 {
                let here = left.min(self.bytes.len());
                self.bytes.drain(..here);
                left -= here;
                if left > 0 && !self.read_ready() {
                    return false;
                }
            }
        }
    }

    /// A line of a chunked body.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.bytes.len() > head::LIMIT || !self.read_ready() {
                return None;
            }
        }
    }

    /// Answers the handshake and speaks WebSocket from then on.
    async fn upgrade(mut self, head: &Head, endpoint: Endpoint) {
        let connection = self.shared.next_connection();
        self.shared
            .observer
            .observe(connection, Event::Handshake(&shown(head)));
        let key = head.first("Sec-WebSocket-Key").unwrap_or_default();
        let accept = BASE64.encode(&Sha1::new().chain_update(key).chain_update(GUID).finalize());
        let closing = wants_close(head);
        let date = httpdate::fmt_http_date(self.shared.clock.date());
        let faults = self.shared.faults();
        if faults.handshake_ms > 0 {
            let span = Duration::from_millis(faults.handshake_ms);
            self.shared.clock.sleep(span).await;
        }
        let mut answer = answer::switching(&date, &accept, closing);
        if let Some(text) = &faults.greeting {
            frame::write(&mut answer, opcode::TEXT, text.as_bytes());
            let event = Event::Sent(Opcode::Text, text.as_bytes());
            self.shared.observer.observe(connection, event);
        }
        let sent = self.write(&answer).await;
        if sent.is_err() || closing || head.first("Expect").is_some() {
            self.shared
                .observer
                .observe(connection, Event::Closed("eof"));
            return finish(&mut self.stream, &*self.shared.clock).await;
        }
        let session = Session {
            endpoint,
            connection,
            shared: Arc::clone(&self.shared),
        };
        session.serve(self.stream, self.bytes).await;
    }
}

/// The endpoint a request wants a WebSocket to, as Jetty sees it.
fn websocket(head: &Head, target: &Target) -> Option<Endpoint> {
    let upgrade = head.first("Upgrade")?;
    let connection = head.first("Connection")?;
    let wanted = head.method.eq_ignore_ascii_case("GET")
        && !head.old
        && upgrade.eq_ignore_ascii_case(b"websocket")
        && has_token(connection, "upgrade");
    match target.path.as_str() {
        _ if !wanted => None,
        "/ws/echo" => Some(Endpoint::Echo),
        "/ws/echo2" => Some(Endpoint::Echo2),
        "/ws/airtun" => Some(Endpoint::Airtun),
        _ => None,
    }
}

/// What is wrong with a handshake, if anything.
fn handshake(head: &Head) -> Result<(), Page> {
    let host = String::from_utf8_lossy(head.first("Host").unwrap_or_default());
    if host.contains([' ', '"', '\\', '<', '>']) {
        let message = "Unable to accept websocket due to mangled URI";
        let path = String::from_utf8_lossy(&head.target);
        return Err(Page {
            message: format!("java.io.IOException: {message}"),
            causes: vec![
                format!("java.io.IOException: {message}"),
                format!(
                    "java.net.URISyntaxException: Illegal character in authority at index \
                     5: ws://{host}{path}"
                ),
            ],
            closes: true,
            ..Page::of(500)
        });
    }
    let version = head.first("Sec-WebSocket-Version");
    let version = version.or_else(|| head.first("Sec-WebSocket-Draft"));
    let text = version.map(|value| String::from_utf8_lossy(value).into_owned());
    let number = match text.as_deref().map(|text| (text, text.parse::<i32>())) {
        None => -1,
        Some((_, Ok(number))) => number,
        Some((text, Err(_))) => {
            let message = format!("java.lang.NumberFormatException: For input string: \"{text}\"");
            return Err(Page {
                causes: vec![message.clone()],
                message,
                closes: true,
                ..Page::of(500)
            });
        }
    };
    if number != 13 {
        return Err(Page {
            message: "Unsupported websocket version specification".to_owned(),
            fields: vec![("Sec-WebSocket-Version", "13".to_owned())],
            ..Page::of(400)
        });
    }
    if head.first("Sec-WebSocket-Key").is_none() {
        let message = "Missing request header 'Sec-WebSocket-Key'".to_owned();
        return Err(Page {
            causes: vec![format!(
                "org.eclipse.jetty.http.BadMessageException: 400: {message}"
            )],
            message,
            closes: true,
            ..Page::of(400)
        });
    }
    Ok(())
}

/// Request line and fields as text, for the observer.
fn shown(head: &Head) -> String {
    let target = String::from_utf8_lossy(&head.target);
    let mut text = format!("{} {target} HTTP/1.1", head.method);
    for (name, value) in &head.fields {
        let (name, value) = (name.to_ascii_lowercase(), String::from_utf8_lossy(value));
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{name}: {value}");
    }
    text
}
