//! MQTT over a websocket, as the broker takes it: the bytes of binary messages
//! are one stream, whatever their borders (MQTT 3.1.1, section 6).

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

/// The header that names the protocol spoken within.
const PROTOCOL: &str = "Sec-WebSocket-Protocol";

/// Consents to `mqtt` if the client asks for it, and else as well.
#[expect(
    clippy::result_large_err,
    reason = "tungstenite's callback is of this type"
)]
fn consent(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if request.headers().contains_key(PROTOCOL) {
        let name = HeaderValue::from_static("mqtt");
        response.headers_mut().insert(PROTOCOL, name);
    }
    Ok(response)
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

/// Does the handshake; the stream of bytes within, or `None` if it failed.
pub(super) async fn accept<S>(stream: S) -> Option<impl AsyncRead + AsyncWrite + Unpin>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let socket = accept_hdr_async(stream, consent).await.ok()?;
    let (sink, stream) = socket.split();
    let pieces = stream.filter_map(|message| async {
        match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(broken(error))),
        }
    });
    let frames = sink
        .with(|bytes: Bytes| async { Ok::<_, Error>(Message::Binary(bytes)) })
        .sink_map_err(broken);
    Some(tokio::io::join(
        StreamReader::new(Box::pin(pieces)),
        SinkWriter::new(CopyToBytes::new(Box::pin(frames))),
    ))
}
