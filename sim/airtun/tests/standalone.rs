//! What the binary does for people with boards: certificates, recordings, captures,
//! an orderly end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use airbench_trace::file::Reader;
use airbench_trace::{Event, Kind};
use futures_util::{SinkExt, StreamExt};
use pcap_file::pcapng::{Block, PcapNgReader};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    plain: SocketAddr,
    secure: SocketAddr,
}

impl Running {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_airtun"))
            .args(["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut addresses = Vec::new();
        for _ in 0..2 {
            let line = lines.next_line().await.unwrap().unwrap();
            let rest = line.split("://").nth(1).unwrap();
            addresses.push(rest.split('/').next().unwrap().parse().unwrap());
        }
        Self {
            child,
            lines,
            plain: addresses[0],
            secure: addresses[1],
        }
    }

    /// A TLS connection that asks for this name.
    async fn connect(&self, name: &str) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.secure).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(airbench_luatos::tls_client());
        connector.connect(name, stream).await.unwrap()
    }

    /// Asks the process to stop and awaits its end.
    async fn stop(&mut self) {
        let pid = self.child.id().unwrap().to_string();
        let done = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(done.unwrap().success());
        assert!(self.child.wait().await.unwrap().success());
    }
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn certificate(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let shown = stream.get_ref().1.peer_certificates();
    shown.unwrap()[0].clone().into_owned()
}

fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let parsed = webpki::EndEntityCert::try_from(certificate).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    parsed.verify_is_valid_for_subject_name(&name).is_ok()
}

/// Object identifiers of public keys in DER: RSA and elliptic curves.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];

#[tokio::test]
async fn made_certificates_have_the_key_that_was_asked_for() {
    let has = |cert: &CertificateDer<'_>, id: &[u8]| cert.windows(id.len()).any(|w| w == id);
    let plain = Running::start(&[]).await;
    let shown = certificate(&plain.connect("localhost").await);
    assert!(has(&shown, EC) && !has(&shown, RSA));
    assert!(is_for(&shown, "echo.airtun.air32.cn"));
    let rsa = Running::start(&["--key-type", "rsa", "--host", "here.example"]).await;
    let shown = certificate(&rsa.connect("here.example").await);
    assert!(has(&shown, RSA) && is_for(&shown, "here.example"));
    let wrong = Running::start(&["--wrong-certificate"]).await;
    let shown = certificate(&wrong.connect("localhost").await);
    assert!(is_for(&shown, "wrong.invalid") && !is_for(&shown, "localhost"));
}

#[tokio::test]
async fn the_certificate_follows_the_name_a_client_asks_for() {
    let mut arguments = Vec::new();
    for name in ["first.example", "second.example"] {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (cert, key) = (
            scratch(&format!("{name}.pem")),
            scratch(&format!("{name}.key")),
        );
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        for (option, path) in [("--cert", cert), ("--key", key)] {
            arguments.push(option.to_owned());
            arguments.push(path.to_str().unwrap().to_owned());
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Running::start(&arguments).await;
    for (asked, shown) in [
        ("first.example", "first.example"),
        ("second.example", "second.example"),
        ("third.example", "first.example"),
    ] {
        let certificate = certificate(&server.connect(asked).await);
        assert!(is_for(&certificate, shown), "{asked}");
    }
}

#[tokio::test]
async fn an_end_is_orderly_and_nothing_seen_is_lost() {
    let (record, pcap) = (scratch("server.trace"), scratch("server.pcapng"));
    let arguments = [
        "--record",
        record.to_str().unwrap(),
        "--pcap",
        pcap.to_str().unwrap(),
    ];
    let mut server = Running::start(&arguments).await;
    let stream = server.connect("localhost").await;
    let url = format!("wss://{}/ws/echo2", server.secure);
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    // A connection that never asked for anything holds nobody up.
    let _idle = TcpStream::connect(server.plain).await.unwrap();
    let end = tokio::spawn(async move { socket.next().await });
    server.stop().await;
    match end.await.unwrap().unwrap().unwrap() {
        Message::Close(Some(frame)) => {
            assert_eq!(
                (u16::from(frame.code), frame.reason.as_str()),
                (1001, "Shutdown")
            );
        }
        other => panic!("{other:?}"),
    }
    let mut log = Vec::new();
    while let Some(line) = server.lines.next_line().await.unwrap() {
        log.push(line);
    }
    assert_eq!(log[0], "#1 GET /ws/echo2 HTTP/1.1");
    assert_eq!(
        log[1..],
        [
            "#1 < text one",
            "#1 > text 3 bytes",
            "#1 < text two",
            "#1 > text 3 bytes",
            "#1 closed: 1001 Shutdown"
        ]
    );

    let file = std::fs::File::open(record).unwrap();
    let opened = Reader::open(std::io::BufReader::new(file));
    let (header, mut reader): (serde_json::Value, _) = opened.unwrap();
    assert_eq!(header["vantage"], "server");
    let events: Vec<Event> = std::iter::from_fn(|| reader.next_event().unwrap()).collect();
    let kinds: Vec<Kind> = events.iter().map(|event| event.kind).collect();
    use Kind::{Closed, Handshake, MessageIn, MessageOut};
    assert_eq!(
        kinds,
        [
            Handshake, MessageIn, MessageOut, MessageIn, MessageOut, Closed
        ]
    );
    assert_eq!(events[3].text(), "text two");
    check_capture(&pcap, server.secure.port());
}

#[tokio::test]
async fn files_are_written_over_nothing_else() {
    let script = scratch("main.lua");
    std::fs::write(&script, "print(1)").unwrap();
    let script = script.to_str().unwrap();
    for (arguments, text) in [
        (["--record", script, "--pcap", "/tmp/x"], "is no recording"),
        (
            ["--record", "/tmp/x", "--pcap", script],
            "is no pcapng capture",
        ),
        (["--record", script, "--pcap", script], "name the same file"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_airtun"))
            .args(arguments)
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(text), "{error}");
    }
    assert_eq!(std::fs::read_to_string(script).unwrap(), "print(1)");
}

/// Keys come before data, sequence numbers have no gaps, and the connection ends.
fn check_capture(path: &std::path::Path, port: u16) {
    let mut reader = PcapNgReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let (mut keys, mut next, mut data, mut ends) = (0, [0_u32; 2], [0; 2], 0);
    while let Some(block) = reader.next_block() {
        match block.unwrap() {
            Block::Unknown(_) => keys += 1,
            Block::EnhancedPacket(packet) => {
                let parsed = etherparse::SlicedPacket::from_ip(&packet.data).unwrap();
                let Some(etherparse::TransportSlice::Tcp(tcp)) = parsed.transport else {
                    panic!("no TCP");
                };
                let server = tcp.source_port() == port;
                if !server && tcp.destination_port() != port {
                    continue;
                }
                let side = usize::from(server);
                assert_eq!(tcp.sequence_number(), next[side], "side {side}");
                let payload = tcp.payload();
                data[side] += payload.len();
                next[side] += payload.len() as u32 + u32::from(tcp.syn()) + u32::from(tcp.fin());
                ends += u32::from(tcp.fin());
                // Application data needs its keys.
                assert!(payload.first() != Some(&23) || keys >= 1, "no keys");
            }
            _ => {}
        }
    }
    assert!(data[0] > 300 && data[1] > 300, "{data:?}");
    assert!(ends >= 1, "no end");
}
