//! `airbench run --vcd`, as a process, read back by sampling the lines.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

use airbench::vcd::VcdFile;
use airbench_clock::Instant;
use airbench_lte::Profile;
use airbench_luatos::Scripts;
use airbench_trace::Retention;
use airbench_world::{Action, Setup, World};
use vcd::{Command as Entry, IdCode, Parser, Value};

/// A wire's name, and when it changed to what.
type Wire = (String, IdCode, Vec<(u64, bool)>);

/// Level changes of every wire, and the modem's words.
struct Waveform {
    wires: Vec<Wire>,
    words: Vec<(u64, String)>,
}

impl Waveform {
    fn read(path: &Path) -> Self {
        let mut parser = Parser::new(BufReader::new(File::open(path).unwrap()));
        let header = parser.parse_header().unwrap();
        let board = header.find_scope(&["board"]).unwrap();
        let wires = board.items.iter().filter_map(|item| match item {
            vcd::ScopeItem::Var(var) => Some((var.reference.clone(), var.code, Vec::new())),
            _ => None,
        });
        let mut waveform = Self {
            wires: wires.collect(),
            words: Vec::new(),
        };
        let mut now = 0;
        for entry in parser {
            match entry.unwrap() {
                Entry::Timestamp(at) => {
                    assert!(at >= now, "time runs backwards at {at}");
                    now = at;
                }
                Entry::ChangeScalar(id, value) => {
                    let wire = waveform.wires.iter_mut().find(|(_, code, _)| *code == id);
                    wire.unwrap().2.push((now, value == Value::V1));
                }
                Entry::ChangeString(_, word) => waveform.words.push((now, word)),
                _ => {}
            }
        }
        waveform
    }

    fn changes(&self, name: &str) -> &[(u64, bool)] {
        let wire = self.wires.iter().find(|(wire, ..)| wire == name);
        &wire.unwrap().2
    }

    fn level(&self, name: &str, at: u64) -> bool {
        let changes = self.changes(name);
        let before = changes.partition_point(|(time, _)| *time <= at);
        changes[before - 1].1
    }

    /// What a receiver of 8E1 at this rate reads from `from` nanoseconds on; each
    /// bit is looked at in its middle.
    fn characters(&self, name: &str, baud: u64, from: u64) -> Vec<u8> {
        let bit = |start: u64, number: u64| start + (2 * number + 1) * 500_000_000 / baud;
        let mut text = Vec::new();
        let mut now = from;
        loop {
            let falls = |(at, high): &&(u64, bool)| *at >= now && !high;
            let Some(&(start, _)) = self.changes(name).iter().find(falls) else {
                return text;
            };
            let bits: Vec<bool> = (1..=10).map(|n| self.level(name, bit(start, n))).collect();
            let byte = (0..8).fold(0, |byte, n| byte | u8::from(bits[n]) << n);
            assert_eq!(bits[8], byte.count_ones() % 2 == 1, "parity of {byte:02X}");
            assert!(bits[9], "stop bit of {byte:02X}");
            text.push(byte);
            now = bit(start, 10);
        }
    }
}

fn run(name: &str, script: &str, peer: &str, arguments: &[&str]) -> Waveform {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("main.lua"), script).unwrap();
    fs::write(folder.join("peer"), peer).unwrap();
    let path = folder.join("a.vcd");
    let peer = format!("script:{}", folder.join("peer").display());
    let output = Command::new(env!("CARGO_BIN_EXE_airbench"))
        .arg("run")
        .arg(&folder)
        .args(["--quiet", "--uart1", &peer, "--vcd"])
        .arg(&path)
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    Waveform::read(&path)
}

#[test]
fn both_lines_carry_the_bytes_bit_by_bit() {
    let script = r#"sys = require("sys")
        uart.setup(1, 9600, 8, 1, uart.Even)
        uart.on(1, "receive", function(id, len) uart.write(id, uart.read(id, len)) end)
        sys.run()"#;
    let sent: Vec<u8> = (0..=255).chain(*b"the modem speaks in between").collect();
    let hex: String = sent.iter().map(|byte| format!("{byte:02X} ")).collect();
    // 283 characters take 0.32 s, in which the modem attaches.
    let waveform = run(
        "lines",
        script,
        &format!("2400ms hex {hex}\n"),
        &["--for", "5s"],
    );
    assert_eq!(waveform.characters("uart1_rx", 9600, 0), sent);
    assert_eq!(waveform.characters("uart1_tx", 9600, 0), sent);
    let first = waveform.changes("uart1_rx")[1].0;
    assert_eq!(first, 2_400_000_000, "the first bit leaves when it is sent");
    let words: Vec<&str> = waveform
        .words
        .iter()
        .map(|(_, word)| word.as_str())
        .collect();
    assert_eq!(words[..2], ["sim-ready", "number-read"]);
    let up = waveform.changes("ip").iter().find(|(_, high)| *high);
    let told = waveform.words.iter().find(|(_, word)| word == "link-up");
    assert_eq!(up.map(|(at, _)| at), told.map(|(at, _)| at));
    assert!(up.is_some());
}

#[test]
fn a_peer_at_another_rate_is_drawn_at_its_own() {
    let mut scripts = Scripts::default();
    let code = b"uart.setup(1, 115200, 8, 1, uart.Even) require('sys').run()";
    scripts.add("main.lua", code.to_vec());
    let setup = Setup::new(scripts, Profile::load("lab").unwrap());
    let mut world = World::new(&setup, Retention::Last(1));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("rates.vcd");
    let file = VcdFile::start(&path, &mut world).unwrap();
    world.act(&Action::PowerOn).unwrap();
    world.run_until(Instant::from_millis(1000)).unwrap();
    world
        .act(&Action::Uart {
            id: 1,
            bytes: b"slow".to_vec(),
            baud: Some(4800),
        })
        .unwrap();
    world.run_until(Instant::from_millis(2000)).unwrap();
    file.finish(&world).unwrap();
    let waveform = Waveform::read(&path);
    assert_eq!(waveform.characters("uart1_rx", 4800, 0), b"slow");
    assert_eq!(waveform.changes("uart1_tx").len(), 1, "idle throughout");
}
