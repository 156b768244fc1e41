//! Pages for requests that are none of a WebSocket: what kind, in which character
//! set, and what becomes of the connection (Jetty 9.4's ErrorHandler).

use std::sync::Arc;
use std::time::Duration;

use airbench_airtun::{Server, Silent, TokioClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The answer to one request after which the connection is still open or not.
async fn ask(request: &str) -> (String, bool) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let clock = Arc::new(TokioClock::default());
    tokio::spawn(async move { Server::new(clock, Arc::new(Silent)).serve(server).await });
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Time stands still until all tasks wait: the whole answer, or the end.
    let silence = tokio::time::sleep(Duration::from_secs(1));
    tokio::pin!(silence);
    let open = loop {
        tokio::select! {
            read = client.read_buf(&mut answer) => if read.unwrap() == 0 { break false },
            () = &mut silence => break true,
        }
    };
    (String::from_utf8_lossy(&answer).into_owned(), open)
}

async fn page(fields: &str) -> String {
    let request = format!("GET /n\u{e9}pe HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    ask(&request).await.0
}

/// The type, or what stands in its place, and the last line of the body.
async fn kind(fields: &str) -> String {
    let answer = page(fields).await;
    let line = answer.lines().find(|line| line.starts_with("Content-Type"));
    line.unwrap_or("nothing").to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_client_chooses_the_kind_of_page() {
    for (accept, expected) in [
        ("", "text/html;charset=iso-8859-1"),
        ("Accept: */*\r\n", "text/html;charset=iso-8859-1"),
        (
            "Accept: */*, text/plain\r\n",
            "text/plain;charset=iso-8859-1",
        ),
        (
            "Accept: text/plain;q=0.5, text/html;q=0.9\r\n",
            "text/html;charset=iso-8859-1",
        ),
        ("Accept: text/json\r\n", "text/json"),
        (
            "Accept: image/png\r\nAccept: application/json\r\n",
            "application/json",
        ),
    ] {
        assert_eq!(kind(accept).await, format!("Content-Type: {expected}"));
    }
    for accept in ["image/png", "", "text/html;q=0"] {
        let answer = page(&format!("Accept: {accept}\r\n")).await;
        assert!(answer.contains("Content-Length: 0\r\n"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_chooses_the_character_set() {
    let answer = page("Accept-Charset: utf-8\r\n").await;
    assert!(answer.contains("Content-Type: text/html;charset=utf-8\r\n"));
    assert!(answer.contains("charset=UTF-8\"/>") && answer.contains("/n\u{e9}pe"));
    let answer = page("Accept-Charset: martian, us-ascii\r\n").await;
    assert!(answer.contains("charset=us-ascii\r\n") && answer.contains("/n?pe"));
    let answer = page("Accept-Charset: ebcdic\r\n").await;
    assert!(answer.contains("Content-Length: 0\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_page_does_not_wait_for_the_body() {
    let post = "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    let (answer, open) = ask(post).await;
    assert!(
        answer.contains("\r\nConnection: close\r\nServer"),
        "{answer}"
    );
    assert!(!open);
    let (answer, open) = ask(&format!("{post}hello")).await;
    assert!(!answer.contains("Connection") && open, "{answer}");
    let chunks = "POST /nope HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    assert!(!ask(chunks).await.1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_100_is_answered_and_left() {
    let (answer, open) = ask("GET /nope HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(answer.contains("\r\nConnection: close\r\nServer") && !open);
}
