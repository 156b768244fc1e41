//! Every deterministic recorded exchange with the real Java stack, over real
//! sockets: frames byte for byte, heads in any order and case of names.

use std::collections::BTreeMap;
use std::sync::Arc;

use airbench_airtun::{Server, Silent, TokioClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Cases that are not compared, and why; a `.` or `_` at the end stands for all that
/// begin so.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "json.deep_arr_2000",
        "undefined: the depth of the Java stack",
    ),
    (
        "json.deep_arr_3000",
        "undefined: the depth of the Java stack",
    ),
    (
        "json.deep_arr_6000",
        "undefined: the depth of the Java stack",
    ),
    ("json.deep_obj_2000", "undefined: Java was still at work"),
    ("pmd.", "extensions are not modelled"),
    ("ext.", "extensions are not modelled"),
    ("hs.ext_pmd_", "extensions are not modelled"),
    ("hs.ext_two_pmd", "extensions are not modelled"),
    ("hs.ext_frame", "extensions are not modelled"),
    ("hs.ext_deflate_frame", "extensions are not modelled"),
    ("hs.ext_fragment", "extensions are not modelled"),
    ("idle.", "on a clock of its own: idle.rs"),
    ("multi.no_crosstalk", "two connections: a test of its own"),
];

/// Pages with a Java stack trace, which is not shown: compared up to there.
const STACKS: &[&str] = &["hs.no_key", "hs.version_8_13", "hs.host_bad"];

/// The recorder's own key.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .expect("recordings are in hexadecimal")
}

/// A client's frame.
fn frame(opcode: u8, payload: &[u8], fin: bool) -> Vec<u8> {
    let mut out = vec![opcode | if fin { 0x80 } else { 0 }];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    out
}

fn message(len: usize, c: char) -> Vec<u8> {
    let (head, tail) = (r#"{"action":"echo","p":""#, r#""}"#);
    let fill = len - head.len() - tail.len();
    let many: String = std::iter::repeat_n(c, fill / c.len_utf8()).collect();
    let rest = "y".repeat(fill % c.len_utf8());
    format!("{head}{many}{rest}{tail}").into_bytes()
}

/// Writes too long to be recorded in full, by the case's name.
fn rebuilt(name: &str) -> Vec<Vec<u8>> {
    let number = |prefix: &str| -> Option<usize> {
        name.strip_prefix(prefix)?
            .trim_end_matches("_bytes")
            .parse()
            .ok()
    };
    let split =
        |at: usize, whole: &[u8]| [frame(1, &whole[..at], false), frame(0, &whole[at..], true)];
    if let Some(len) = number("size.text_multibyte_") {
        return vec![frame(1, &message(len, '中'), true)];
    }
    if let Some(len) = number("size.text_") {
        return vec![frame(1, &message(len, 'x'), true)];
    }
    if let Some(depth) = number("json.deep_arr_") {
        let list = "[".repeat(depth) + &"]".repeat(depth);
        let text = format!(r#"{{"action":"echo","a":{list}}}"#);
        return vec![frame(1, text.as_bytes(), true)];
    }
    if let Some(depth) = number("json.deep_obj_") {
        let object = r#"{"k":"#.repeat(depth) + "1" + &"}".repeat(depth);
        let text = format!(r#"{{"action":"echo","a":{object}}}"#);
        return vec![frame(1, text.as_bytes(), true)];
    }
    if let Some(len) = number("size.frag_total_") {
        return vec![split(30_000, &message(len, 'x')).concat()];
    }
    match name {
        "size.frag_first_60000_then_10000" => split(60_000, &message(70_000, 'x')).to_vec(),
        "size.array_expand_65423" => {
            let list = vec!["1"; 32_700].join(",");
            vec![frame(
                1,
                format!(r#"{{"action":"echo","a":[{list}]}}"#).as_bytes(),
                true,
            )]
        }
        "size.escape_expand_60024" => {
            let text = "\u{1}".repeat(60_000);
            vec![frame(
                1,
                format!(r#"{{"action":"echo","s":"{text}"}}"#).as_bytes(),
                true,
            )]
        }
        "frame.binary_65537" => vec![frame(2, &[b'b'; 65_537], true)],
        "echo2.bin_65536" => vec![frame(2, &[b'x'; 65_536], true)],
        "echo2.bin_frag_65537" => {
            vec![
                [
                    frame(2, &[b'a'; 40_000], false),
                    frame(0, &[b'b'; 25_537], true),
                ]
                .concat(),
            ]
        }
        "json.str_long_key" => {
            let key = "k".repeat(1000);
            vec![frame(
                1,
                format!(r#"{{"action":"echo","{key}":1}}"#).as_bytes(),
                true,
            )]
        }
        other => panic!("no recipe for {other}"),
    }
}

/// One thing the client does.
enum Act {
    Write(Vec<u8>),
    HalfClose,
}

fn acts(case: &Value) -> Vec<Act> {
    let name = case["name"].as_str().expect("cases have names");
    let mut long = None;
    let sent = case["sent"].as_array().expect("what was sent").iter();
    sent.filter_map(|item| {
        if item["shutdown"].is_string() {
            return Some(Act::HalfClose);
        }
        if let Some(text) = item["hex"].as_str() {
            return Some(Act::Write(hex(text)));
        }
        // A pause between two writes: the second comes when the first is out.
        let want = item["sha256"].as_str()?;
        let rest = long.get_or_insert_with(|| rebuilt(name).into_iter());
        let bytes = rest.next().expect("a write for each recorded one");
        assert_eq!(sha256(&bytes), want, "{name}: the recipe is wrong");
        Some(Act::Write(bytes))
    })
    .collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}

/// A server's frame, its head included.
#[derive(Debug, PartialEq)]
struct Received {
    head: Vec<u8>,
    payload: Vec<u8>,
}

async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut head = vec![0; 2];
    stream.read_exact(&mut head).await.ok()?;
    let more = match head[1] {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut rest = vec![0; more];
    stream.read_exact(&mut rest).await.ok()?;
    head.extend(&rest);
    let len = match more {
        0 => usize::from(head[1]),
        _ => rest
            .iter()
            .fold(0, |len, byte| len << 8 | usize::from(*byte)),
    };
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Received { head, payload })
}

fn same_frame(recorded: &Value, got: &Received) -> bool {
    let head = recorded["hdr"].as_str().map(hex);
    let text = String::from_utf8_lossy(&got.payload);
    let body = if let Some(bytes) = recorded["hex"].as_str() {
        hex(bytes) == got.payload
    } else if let Some(sum) = recorded["sha256"].as_str() {
        sha256(&got.payload) == sum
    } else {
        recorded["text"] == *text
    };
    head.as_deref() == Some(&got.head) && body
}

async fn open(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:18048\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    stream
}

/// Reads a head up to its blank line.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn ends(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 64]).await, Ok(0))
}

async fn websocket(address: std::net::SocketAddr, case: &Value) -> Result<(), String> {
    let mut stream = open(address, case["path"].as_str().expect("a path")).await;
    let got = head(&mut stream).await;
    if !got.starts_with("HTTP/1.1 101 ") {
        return Err(format!("no upgrade: {got}"));
    }
    for act in acts(case) {
        let done = match act {
            Act::Write(bytes) => stream.write_all(&bytes).await,
            Act::HalfClose => stream.shutdown().await,
        };
        // The server may have ended it already: its frames tell.
        if done.is_err() {
            break;
        }
    }
    let recorded = case["received"].as_array().expect("what was received");
    let probed = case["alive_after"] == false;
    if probed {
        let _ = stream.write_all(&frame(9, b"", true)).await;
    }
    for wanted in recorded {
        let Some(got) = receive(&mut stream).await else {
            return Err(format!("the end instead of {wanted}"));
        };
        if !same_frame(wanted, &got) {
            let text = String::from_utf8_lossy(&got.payload).into_owned();
            return Err(format!("{:02x?} {text} instead of {wanted}", got.head));
        }
    }
    if case["eof"] == "FIN" {
        return match ends(&mut stream).await {
            true => Ok(()),
            false => Err("no FIN at the end".to_owned()),
        };
    }
    // Order is kept: if the pong comes next, nothing else was to come.
    let _ = stream.write_all(&frame(9, b"alive", true)).await;
    match receive(&mut stream).await {
        Some(pong) if pong.payload == b"alive" => Ok(()),
        other => Err(format!("{other:?} instead of the pong")),
    }
}

/// Status line, and fields by name; dates differ.
fn fields(head: &str, without: &[&str]) -> (String, BTreeMap<String, Vec<String>>) {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default().to_owned();
    let mut fields = BTreeMap::<String, Vec<String>>::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = name.to_ascii_lowercase();
        if name != "date" && !without.contains(&name.as_str()) {
            fields
                .entry(name)
                .or_default()
                .push(value.trim().to_owned());
        }
    }
    (status, fields)
}

async fn http(address: std::net::SocketAddr, case: &Value) -> Result<(), String> {
    let name = case["name"].as_str().expect("a name");
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    let request = case["request"].as_str().expect("a request");
    let bytes: Vec<u8> = request.chars().map(|c| c as u32 as u8).collect();
    let _ = stream.write_all(&bytes).await;
    let got = head(&mut stream).await;
    let recorded = case["response_head"].as_str().expect("a head");
    let stack = STACKS.contains(&name);
    let without: &[&str] = if stack { &["content-length"] } else { &[] };
    if fields(&got, without) != fields(recorded, without) {
        return Err(format!("{got} instead of {recorded}"));
    }
    let wanted = case["response_body"].as_str().expect("a body");
    let ending = case["eof"] == "FIN";
    let mut body = Vec::new();
    if ending {
        let _ = stream.read_to_end(&mut body).await;
    } else {
        body.resize(case["body_len"].as_u64().expect("a length") as usize, 0);
        let _ = stream.read_exact(&mut body).await;
    }
    let text = String::from_utf8_lossy(&body);
    let same = if stack {
        let up_to = wanted.find("<h3>").unwrap_or(wanted.len());
        text.starts_with(&wanted[..up_to])
    } else {
        text == wanted
    };
    if !same {
        return Err(format!("{text} instead of {wanted}"));
    }
    if !ending && !got.starts_with("HTTP/1.1 101") {
        // The connection is open: another request is answered.
        let again = b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n";
        let _ = stream.write_all(again).await;
        let next = head(&mut stream).await;
        if !next.starts_with("HTTP/1.1 404") {
            return Err(format!("{next} to a second request"));
        }
    }
    Ok(())
}

async fn listen() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = Server::new(Arc::new(TokioClock::default()), Arc::new(Silent));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move { server.serve(stream).await });
        }
    });
    address
}

#[tokio::test]
async fn recorded_exchanges_are_repeated() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/oracle/airtun/cases.jsonl"
    );
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no recorded cases at {path}");
        return;
    };
    let address = listen().await;
    let (mut compared, mut wrong, mut left) = (0, Vec::new(), 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("a case per line");
        let name = case["name"].as_str().expect("a name").to_owned();
        let left_out = |(pattern, _): &(&str, &str)| match pattern.ends_with(['.', '_']) {
            true => name.starts_with(pattern),
            false => name == *pattern,
        };
        if LEFT_OUT.iter().any(left_out) {
            left += 1;
            continue;
        }
        let done = match case["kind"].as_str() {
            Some("ws") => websocket(address, &case).await,
            Some("http") => http(address, &case).await,
            other => panic!("{name}: {other:?}"),
        };
        compared += 1;
        if let Err(what) = done {
            wrong.push(format!("{name}: {what}"));
        }
    }
    println!("{compared} compared, {left} left out");
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared >= 330, "only {compared}");
}

#[tokio::test]
async fn connections_do_not_hear_each_other() {
    let address = listen().await;
    let (mut one, mut two) = (
        open(address, "/ws/echo").await,
        open(address, "/ws/echo").await,
    );
    head(&mut one).await;
    head(&mut two).await;
    let text = frame(1, br#"{"action":"echo","n":1}"#, true);
    one.write_all(&text).await.expect("it reads");
    two.write_all(&frame(9, b"two", true))
        .await
        .expect("it reads");
    assert_eq!(receive(&mut one).await.map(|got| got.head[0]), Some(0x81));
    let pong = receive(&mut two).await.map(|got| got.payload);
    assert_eq!(pong.as_deref(), Some(&b"two"[..]));
}
