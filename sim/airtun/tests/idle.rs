//! Connections on which nothing happens, on a clock of their own: tokio's, which
//! jumps to the next timer when every task waits.

use std::sync::Arc;
use std::time::Duration;

use airbench_airtun::{Server, Silent, TokioClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

fn open() -> DuplexStream {
    let (client, server) = tokio::io::duplex(1 << 20);
    let clock = Arc::new(TokioClock::default());
    tokio::spawn(async move { Server::new(clock, Arc::new(Silent)).serve(server).await });
    client
}

async fn head(client: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(client.read_u8().await.expect("a head"));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All that still comes, and how long it took.
async fn rest(client: &mut DuplexStream) -> (Vec<u8>, Duration) {
    let begin = Instant::now();
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.expect("the end");
    (bytes, begin.elapsed())
}

const UPGRADE: &[u8] = b"GET /ws/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_silent_websocket_is_told_so_and_closed() {
    let mut client = open();
    client.write_all(UPGRADE).await.unwrap();
    head(&mut client).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    // A ping from the client counts as activity.
    client.write_all(&[0x89, 0x80, 1, 2, 3, 4]).await.unwrap();
    let mut pong = [0; 2];
    client.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, [0x8A, 0]);
    let (bytes, span) = rest(&mut client).await;
    let reason = "java.util.concurrent.TimeoutException: Idle timeout expired: 300000/300000 ms";
    assert_eq!(bytes[..4], [0x88, 2 + reason.len() as u8, 3, 0xE9]);
    assert_eq!(String::from_utf8_lossy(&bytes[4..]), reason);
    assert_eq!(span.as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_ends_without_a_word() {
    for request in ["", "GET / HT", "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut client = open();
        client.write_all(request.as_bytes()).await.unwrap();
        if request.ends_with("\r\n\r\n") {
            let head = head(&mut client).await;
            assert!(head.starts_with("HTTP/1.1 404"), "{head}");
            client.read_exact(&mut [0; 453]).await.unwrap();
        }
        let (bytes, span) = rest(&mut client).await;
        assert_eq!(
            (bytes.as_slice(), span.as_secs()),
            (&b""[..], 300),
            "{request}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_backend_that_is_not_there_is_waited_for() {
    let mut client = open();
    let begin = Instant::now();
    client
        .write_all(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        .await
        .unwrap();
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 500 Server Error\r\n"), "{head}");
    assert_eq!(begin.elapsed().as_secs(), 30);
}

/// A byte a minute keeps the connection, but a head has an end.
#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_no_more_room_than_others() {
    let mut client = open();
    client.write_all(b"GET /").await.unwrap();
    let mut sent = 5;
    while client.write_all(b"aaaaaaaaaaaaaaaa").await.is_ok() && sent < 100_000 {
        sent += 16;
        tokio::time::sleep(Duration::from_secs(60)).await;
        if sent > 8_300 {
            break;
        }
    }
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\n"), "{head}");
}
