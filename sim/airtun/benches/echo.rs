//! Round trips over one TCP connection on loopback: this server's `/ws/echo2` and
//! `/ws/echo` beside a bare tokio-tungstenite echo. `cargo bench -p airbench-airtun`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use airbench_airtun::{Server, Silent, TokioClock};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

const ROUND_TRIPS: u32 = 20_000;
const REPEAT: usize = 7;
const TEXT: &str = r#"{"action":"echo","msg":"Tue Sep  3 20:12:03 2024"}"#;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().await.expect("a client");
    stream.set_nodelay(true).expect("an open socket");
    stream
}

async fn airtun() -> SocketAddr {
    let (listener, address) = listen().await;
    let server = Server::new(Arc::new(TokioClock::default()), Arc::new(Silent));
    tokio::spawn(async move {
        loop {
            let (server, stream) = (server.clone(), accept(&listener).await);
            tokio::spawn(async move { server.serve(stream).await });
        }
    });
    address
}

async fn bare() -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let stream = accept(&listener).await;
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream)
                    .await
                    .expect("a handshake");
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Round trips per second of the same client.
async fn measure(address: SocketAddr, path: &str) -> f64 {
    let stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("an open socket");
    let url = format!("ws://{address}{path}");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream)
        .await
        .expect("a handshake");
    let begin = Instant::now();
    for _ in 0..ROUND_TRIPS {
        socket.send(Message::text(TEXT)).await.expect("it reads");
        assert!(matches!(socket.next().await, Some(Ok(Message::Text(_)))));
    }
    f64::from(ROUND_TRIPS) / begin.elapsed().as_secs_f64()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (ours, theirs) = (airtun().await, bare().await);
        let cases = [
            ("bare tokio-tungstenite", theirs, "/"),
            ("airtun /ws/echo2", ours, "/ws/echo2"),
            ("airtun /ws/echo", ours, "/ws/echo"),
        ];
        let mut speeds = [const { Vec::new() }; 3];
        for _ in 0..REPEAT {
            // Side by side: all feel the same noise of the machine.
            for ((_, address, path), speeds) in cases.iter().zip(&mut speeds) {
                speeds.push(measure(*address, path).await);
            }
        }
        let mut bare = f64::NAN;
        for ((name, ..), speeds) in cases.iter().zip(&mut speeds) {
            speeds.sort_by(f64::total_cmp);
            let (best, median) = (speeds[REPEAT - 1], speeds[REPEAT / 2]);
            bare = if bare.is_nan() { median } else { bare };
            let ratio = median / bare;
            println!("{name:24} {best:7.0} round trips a second (median {median:.0}, {ratio:.2}x)");
        }
    });
}
