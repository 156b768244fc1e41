//! One WebSocket connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{Clock, Event, Observer, Opcode, echo};

/// Which of the two services a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Answers `{"action":"echo"}` objects.
    Echo,
    /// Returns text and binary messages as they are.
    Echo2,
}

/// Jetty's policy: silence this long ends a connection.
const IDLE: Duration = Duration::from_secs(300);
/// Jetty's policy: largest message, in bytes.
const MESSAGE_LIMIT: usize = 65_536;

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        // The defaults reserve 128 KiB per connection; device messages are short.
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT))
}

/// Serves the connection until either side ends it.
pub(crate) async fn serve<S>(
    stream: S,
    endpoint: Endpoint,
    connection: u64,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await;
    let mut active = clock.now();
    let mut idle = clock.sleep(IDLE);
    let end = loop {
        let message = tokio::select! {
            biased;
            message = socket.next() => message,
            () = &mut idle => {
                let silent = clock.now() - active;
                if silent < IDLE {
                    idle = clock.sleep(IDLE - silent);
                    continue;
                }
                close(&mut socket, CloseCode::Away, &idle_reason(silent)).await;
                break "1001 idle timeout".to_owned();
            }
        };
        active = clock.now();
        match message {
            Some(Ok(message)) => {
                if let Some(end) =
                    answer(&mut socket, endpoint, message, connection, &*observer).await
                {
                    break end;
                }
            }
            Some(Err(error)) => break fail(&mut socket, error).await,
            None => break "eof".to_owned(),
        }
    };
    observer.observe(connection, Event::Closed(&end));
}

fn idle_reason(silent: Duration) -> String {
    let ms = silent.as_millis();
    format!("java.util.concurrent.TimeoutException: Idle timeout expired: {ms}/300000 ms")
}

/// Handles one message; a text is why the connection ended.
async fn answer<S>(
    socket: &mut WebSocketStream<S>,
    endpoint: Endpoint,
    message: Message,
    connection: u64,
    observer: &dyn Observer,
) -> Option<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opcode = match message {
        Message::Text(_) => Opcode::Text,
        Message::Binary(_) => Opcode::Binary,
        Message::Close(frame) => {
            // tungstenite answers with the same frame; flush it out.
            let _ = socket.flush().await;
            return Some(frame.map_or_else(
                || "1005".to_owned(),
                |f| {
                    format!("{} {}", u16::from(f.code), f.reason)
                        .trim_end()
                        .to_owned()
                },
            ));
        }
        // Pings are answered by tungstenite when the socket is next flushed.
        _ => return socket.flush().await.err().map(|error| error.to_string()),
    };
    let payload = message.into_data();
    observer.observe(connection, Event::Received(opcode, &payload));
    let reply = match endpoint {
        // tungstenite checked that text is UTF-8.
        Endpoint::Echo if opcode == Opcode::Text => {
            echo::reply(&String::from_utf8_lossy(&payload)).map(Message::text)?
        }
        Endpoint::Echo => return None,
        Endpoint::Echo2 if opcode == Opcode::Text => {
            Message::text(String::from_utf8_lossy(&payload).into_owned())
        }
        Endpoint::Echo2 => Message::binary(payload),
    };
    let bytes = reply.clone().into_data();
    observer.observe(connection, Event::Sent(opcode, &bytes));
    socket
        .send(reply)
        .await
        .err()
        .map(|error| error.to_string())
}

/// Ends a connection after an error, with the close code Jetty uses.
async fn fail<S>(socket: &mut WebSocketStream<S>, error: Error) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let reason = format!("Text message size [{size}] exceeds maximum size [{max_size}]");
            close(socket, CloseCode::Size, &reason).await;
            format!("1009 {reason}")
        }
        Error::Utf8(what) => {
            close(socket, CloseCode::Invalid, "Not valid UTF8!").await;
            format!("1007 {what}")
        }
        // The client has only closed its half: Jetty says that it goes away too.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            close(socket, CloseCode::Away, "").await;
            "eof".to_owned()
        }
        Error::Protocol(what) => {
            close(socket, CloseCode::Protocol, &what.to_string()).await;
            format!("1002 {what}")
        }
        Error::ConnectionClosed | Error::AlreadyClosed => "eof".to_owned(),
        other => other.to_string(),
    }
}

async fn close<S>(socket: &mut WebSocketStream<S>, code: CloseCode, reason: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // The connection ends either way.
    let _ = socket.close(Some(frame)).await;
}
