//! The binary on real sockets: plain and TLS, both services, wrong inputs.

use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

const AIRTUN: &str = env!("CARGO_BIN_EXE_airtun");

/// A running server and the addresses it printed.
struct Running {
    _child: Child,
    plain: String,
    secure: String,
}

fn command() -> Command {
    let mut command = Command::new(AIRTUN);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn start() -> Running {
    let mut child = command()
        .args(["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut address = async || {
        let line = lines.next_line().await.unwrap().unwrap();
        let rest = line.split("://").nth(1).unwrap().to_owned();
        rest.split('/').next().unwrap().to_owned()
    };
    let (plain, secure) = (address().await, address().await);
    // The lines that follow are read and dropped, so that the pipe never fills.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Running {
        _child: child,
        plain,
        secure,
    }
}

#[tokio::test]
async fn echo_and_echo2_answer_over_plain_sockets() {
    let server = start().await;
    let stream = TcpStream::connect(&server.plain).await.unwrap();
    let (mut socket, response) = client_async(format!("ws://{}/ws/echo", server.plain), stream)
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    socket.send(Message::text("not json")).await.unwrap();
    socket
        .send(Message::text(r#"{action:'echo',n:1e3}"#))
        .await
        .unwrap();
    let reply = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(
        reply,
        "{\n   \"action\": \"echo\",\n   \"n\": 1E+3,\n   \"server\": \"airtun\"\n}"
    );

    let stream = TcpStream::connect(&server.plain).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{}/ws/echo2", server.plain), stream)
        .await
        .unwrap();
    socket.send(Message::binary(vec![1, 2, 255])).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::binary(vec![1, 2, 255])
    );
    socket.send(Message::binary(vec![0; 65_537])).await.unwrap();
    match socket.next().await.unwrap().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_over_tls() {
    let server = start().await;
    let config = airbench_luatos::tls_client();
    let stream = TcpStream::connect(&server.secure).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap();
    let (mut socket, _) = client_async(format!("wss://{}/ws/echo", server.secure), stream)
        .await
        .unwrap();
    socket
        .send(Message::text(r#"{"action":"echo"}"#))
        .await
        .unwrap();
    assert!(
        socket
            .next()
            .await
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap()
            .contains("airtun")
    );
}

#[tokio::test]
async fn other_requests_are_refused() {
    let server = start().await;
    for (path, status) in [("/ws/nowhere", 404), ("/ws/echo/", 404)] {
        let stream = TcpStream::connect(&server.plain).await.unwrap();
        let error = client_async(format!("ws://{}{path}", server.plain), stream)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_and_an_unreadable_certificate_are_named() {
    let server = start().await;
    let output = command()
        .args(["--listen", &server.plain])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains(&format!("cannot listen on {}", server.plain)),
        "{text}"
    );
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--cert",
        "/nonexistent.pem",
        "--key",
        "/nonexistent.pem",
    ];
    let output = command().args(arguments).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("cannot use certificate /nonexistent.pem"),
        "{text}"
    );
}
