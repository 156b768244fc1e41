//! The server's faults over real sockets, seen by an ordinary client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use airbench_airtun::{Faults, Server, Silent, TokioClock};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Error, Message};

async fn listen(faults: Faults) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(Arc::new(TokioClock::default()), Arc::new(Silent));
    server.set_faults(faults);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move { server.serve(stream).await });
        }
    });
    address
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn connect(faults: Faults) -> Result<Socket, Error> {
    let address = listen(faults).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/ws/echo2");
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    Ok(socket)
}

#[tokio::test]
async fn answers_in_pieces_are_one_message() {
    let faults = Faults {
        fragment: 3,
        ..Faults::default()
    };
    let mut socket = connect(faults).await.unwrap();
    socket.send(Message::text("0123456789")).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::text("0123456789"));
}

#[tokio::test]
async fn a_greeting_follows_the_handshake_in_one_write() {
    let faults = Faults {
        greeting: Some("hello".into()),
        ..Faults::default()
    };
    let address = listen(faults).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 4096];
    let len = stream.read(&mut bytes).await.unwrap();
    assert!(bytes[..len].starts_with(b"HTTP/1.1 101 "));
    assert!(bytes[..len].ends_with(b"\r\n\r\n\x81\x05hello"));
}

#[tokio::test]
async fn a_connection_ends_without_a_word_after_some_messages() {
    let faults = Faults {
        close_after: 2,
        ..Faults::default()
    };
    let mut socket = connect(faults).await.unwrap();
    for n in 0..2 {
        socket.send(Message::text(n.to_string())).await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Message::text(n.to_string())
        );
    }
    socket.send(Message::text("2")).await.unwrap();
    assert!(!matches!(socket.next().await, Some(Ok(_))));
}

#[tokio::test]
async fn a_server_may_refuse_or_stall() {
    let refuse = Faults {
        refuse: true,
        ..Faults::default()
    };
    assert!(connect(refuse).await.is_err());
    let stall = Faults {
        stall: true,
        ..Faults::default()
    };
    let waiting = tokio::time::timeout(Duration::from_millis(300), connect(stall));
    assert!(waiting.await.is_err(), "neither an answer nor an end");
}

/// A stalled server is not disturbed by frames that it would refuse.
#[tokio::test]
async fn a_stalled_server_bears_bad_frames() {
    let stall = Faults {
        stall: true,
        ..Faults::default()
    };
    let (mut client, far) = tokio::io::duplex(1 << 20);
    let server = Server::new(Arc::new(TokioClock::default()), Arc::new(Silent));
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(far).await });
    let request = "GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 4096];
    let len = client.read(&mut head).await.unwrap();
    assert!(head[..len].starts_with(b"HTTP/1.1 101 "));
    server.set_faults(stall);
    client.write_all(&[0x83, 0x80, 1, 2, 3, 4]).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(200), client.read(&mut head));
    assert!(silence.await.is_err(), "an answer");
}
