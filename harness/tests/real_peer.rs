//! A WebSocket server of the test's own on a real socket, which sends what
//! airtun never does: a ping with a payload and a message in pieces. The run
//! keeps pace with the wall.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

const SCRIPT: &str = r#"_G.sys = require("sys")
sys.taskInit(function()
    sys.waitUntil("IP_READY")
    local wsc = websocket.create(nil, "ws://peer.example/ws")
    wsc:headers("X-Own: header\r\n")
    wsc:on(function(_, event, data, fin, opcode)
        log.info("ws", event, data, fin, opcode)
        if event == "conack" then wsc:send("go") end
    end)
    wsc:connect()
end)
sys.run()"#;

/// Bytes up to and with an empty line.
fn request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    bytes
}

/// One frame of the client.
fn frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut rest = vec![0; 4 + usize::from(head[1] & 0x7F)];
    stream.read_exact(&mut rest).unwrap();
    [&head[..], &rest].concat()
}

/// Serves one client; gives its request and its pong.
fn serve(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().unwrap();
    let request = String::from_utf8(request(&mut stream)).unwrap();
    let consent =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    stream.write_all(consent).unwrap();
    // What comes with the answer is lost on the device: it speaks first.
    frame(&mut stream);
    stream.write_all(b"\x89\x03abc").unwrap();
    let pong = frame(&mut stream);
    stream.write_all(b"\x01\x02he\x80\x03llo").unwrap();
    // Until the client goes.
    let _ = stream.read_to_end(&mut Vec::new());
    (request, pong)
}

/// The console of a run against the server, and what the server saw.
fn run(core: &str) -> (String, String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(&listener));
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("real-peer-{core}.lua"));
    std::fs::write(&script, SCRIPT).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_airbench"))
        .arg("run")
        .arg(&script)
        .args(["--for", "8s", "--lte", "lab", "--firmware-profile", core])
        .arg("--host")
        .arg(format!("peer.example=tcp:{address}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (request, frame) = server.join().unwrap();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        request,
        frame,
    )
}

#[test]
fn pings_with_a_payload_and_messages_in_pieces() {
    let new = thread::spawn(|| run("new"));
    let (console, request, pong) = run("v1112");
    assert!(request.starts_with("GET /ws HTTP/1.1\r\nHost: peer.example:80\r\nX-Own: header\r\n"));
    // V1112 answers without the payload, takes every frame for the last one and
    // knows no continuations.
    assert_eq!(pong, b"\x8A\x80\x00\x01\x02\x03");
    assert!(console.contains("I/user.ws\trecv\the\t1\t1"), "{console}");
    assert!(
        console.contains("E/websocket unkown optcode 02X"),
        "{console}"
    );
    assert!(console.contains("I/user.ws\tdisconnect"), "{console}");

    let (console, _, pong) = new.join().unwrap();
    assert_eq!(pong, b"\x8A\x83\x00\x01\x02\x03aca");
    assert!(console.contains("I/user.ws recv he 0 1"), "{console}");
    assert!(console.contains("I/user.ws recv llo 1 0"), "{console}");
}
