//! One WebSocket connection.

pub(crate) mod frame;
mod message;
mod utf8;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::connection::finish;
use crate::server::Shared;
use crate::{Event, Opcode, echo};
use frame::{Failure, Rules, check_close, close_payload, opcode};
use message::{Incoming, Messages};

/// Which of the services a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Answers `{"action":"echo"}` objects.
    Echo,
    /// Returns text and binary messages as they are.
    Echo2,
    /// The original's own service, which fails as soon as it is reached.
    Airtun,
}

/// Jetty's policy: silence this long ends a connection.
const IDLE: Duration = Duration::from_secs(300);
/// Jetty's policy: largest message, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 65_536;

/// What Java says where `/ws/airtun` begins.
const NO_SESSION: &str =
    "Cannot invoke \"javax.websocket.Session.getId()\" because \"this.session\" is null";

/// How a connection is served.
pub(crate) struct Session {
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: u64,
    pub(crate) shared: Arc<Shared>,
}

/// What a read led to.
enum Read {
    Bytes,
    End,
    Idle(Duration),
    /// The server stops.
    Stop,
}

impl Session {
    /// Serves the connection until either side ends it; `bytes` came behind the
    /// handshake.
    pub(crate) async fn serve<S>(self, mut stream: S, bytes: Vec<u8>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let end = self.run(&mut stream, bytes).await;
        self.observe(Event::Closed(&end));
        finish(&mut stream, &*self.shared.clock).await;
    }

    async fn run<S>(&self, stream: &mut S, mut bytes: Vec<u8>) -> String
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.endpoint == Endpoint::Airtun {
            return close(stream, &Failure::new(1011, NO_SESSION)).await;
        }
        let mut messages = Messages::new(self.endpoint, self.shared.limit);
        let mut fresh = 0;
        let mut active = self.shared.clock.now();
        let mut idle = self.shared.clock.sleep(IDLE);
        let mut stopping = self.shared.stopping();
        loop {
            if let Some(end) = self.work(stream, &mut messages, &mut bytes, fresh).await {
                return end;
            }
            fresh = bytes.len();
            let read = loop {
                tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => break Read::Stop,
                    read = stream.read_buf(&mut bytes) => break match read {
                        Ok(0) => Read::End,
                        Ok(_) => Read::Bytes,
                        Err(_) => return "eof".to_owned(),
                    },
                    () = &mut idle => {
                        let silent = self.shared.clock.now() - active;
                        if silent >= IDLE {
                            break Read::Idle(silent);
                        }
                        idle = self.shared.clock.sleep(IDLE - silent);
                    }
                }
            };
            active = self.shared.clock.now();
            match read {
                Read::Bytes => {}
                // The client has only closed its half: Jetty goes away too.
                Read::End => {
                    close(stream, &Failure::new(1001, "")).await;
                    return "eof".to_owned();
                }
                Read::Stop => {
                    close(stream, &Failure::new(1001, "Shutdown")).await;
                    return "1001 Shutdown".to_owned();
                }
                Read::Idle(silent) => {
                    close(stream, &Failure::new(1001, idle_reason(silent))).await;
                    return "1001 idle timeout".to_owned();
                }
            }
        }
    }

    /// Works off the frames that are complete; a text is why it ended.
    async fn work<S>(
        &self,
        stream: &mut S,
        messages: &mut Messages,
        bytes: &mut Vec<u8>,
        fresh: usize,
    ) -> Option<String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut used = 0;
        let end = loop {
            let rules = Rules {
                limit: self.shared.limit,
                fragmented: messages.is_fragmented(),
            };
            let parsed = frame::parse(&bytes[used..], fresh.saturating_sub(used), rules);
            let incoming = match parsed {
                Ok(None) => break None,
                Ok(Some((frame, len))) => {
                    used += len;
                    messages.take(frame)
                }
                Err(failure) => Err(failure),
            };
            let faults = self.shared.faults();
            if faults.stall {
                // Nothing is looked at any more, whatever it is.
                used = bytes.len();
                break None;
            }
            let end = match incoming {
                Ok(Incoming::Text(_) | Incoming::Binary(_))
                    if faults.close_after > 0 && messages.count() > faults.close_after =>
                {
                    Some("ended by a fault".to_owned())
                }
                Ok(incoming) => self.answer(stream, incoming).await,
                Err(failure) => Some(close(stream, &failure).await),
            };
            if end.is_some() {
                break end;
            }
        };
        bytes.drain(..used);
        end
    }

    /// Handles what came; a text is why the connection ended.
    async fn answer<S>(&self, stream: &mut S, incoming: Incoming) -> Option<String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match incoming {
            Incoming::Nothing => None,
            Incoming::Ping(payload) => send(stream, opcode::PONG, &payload).await,
            Incoming::Close(payload) => {
                if let Err(failure) = check_close(&payload) {
                    return Some(close(stream, &failure).await);
                }
                send(stream, opcode::CLOSE, &payload).await;
                let text = match payload.as_slice() {
                    [high, low, reason @ ..] => {
                        let code = u16::from_be_bytes([*high, *low]);
                        format!("{code} {}", String::from_utf8_lossy(reason))
                    }
                    _ => "1005".to_owned(),
                };
                Some(text.trim_end().to_owned())
            }
            Incoming::Text(text) => {
                self.observe(Event::Received(Opcode::Text, text.as_bytes()));
                let reply = match self.endpoint {
                    Endpoint::Echo => echo::reply(&text)?,
                    _ => text,
                };
                self.observe(Event::Sent(Opcode::Text, reply.as_bytes()));
                self.reply(stream, opcode::TEXT, reply.as_bytes()).await
            }
            Incoming::Binary(payload) => {
                let event = Event::Received(Opcode::Binary, &payload);
                self.observe(event);
                if self.endpoint == Endpoint::Echo {
                    return None;
                }
                let event = Event::Sent(Opcode::Binary, &payload);
                self.observe(event);
                self.reply(stream, opcode::BINARY, &payload).await
            }
        }
    }
}

impl Session {
    fn observe(&self, event: Event<'_>) {
        self.shared.observer.observe(self.connection, event);
    }

    /// Sends an answer, whole unless a fault wants it in pieces.
    async fn reply<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        code: u8,
        payload: &[u8],
    ) -> Option<String> {
        let size = self.shared.faults().fragment;
        if size == 0 || payload.len() <= size {
            return send(stream, code, payload).await;
        }
        let mut out = Vec::new();
        frame::write_pieces(&mut out, code, payload, size);
        write(stream, &out).await
    }
}

fn idle_reason(silent: Duration) -> String {
    let ms = silent.as_millis();
    format!("java.util.concurrent.TimeoutException: Idle timeout expired: {ms}/300000 ms")
}

/// Sends one frame; a text is why that failed.
async fn send<S: AsyncWrite + Unpin>(stream: &mut S, code: u8, payload: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(payload.len() + 10);
    frame::write(&mut out, code, payload);
    write(stream, &out).await
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Option<String> {
    let sent = match stream.write_all(bytes).await {
        Ok(()) => stream.flush().await,
        Err(error) => Err(error),
    };
    sent.err().map(|error| error.to_string())
}

/// Ends the connection with a close frame; gives its text.
async fn close<S: AsyncWrite + Unpin>(stream: &mut S, failure: &Failure) -> String {
    let Failure { code, reason } = failure;
    // The connection ends either way.
    let _ = send(stream, opcode::CLOSE, &close_payload(*code, reason)).await;
    format!("{code} {reason}").trim_end().to_owned()
}
