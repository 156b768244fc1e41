//! `airbench run --pcap` and `airbench ladder`, as processes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::{Block, PcapNgReader};

/// The Decryption Secrets Block.
const SECRETS: u32 = 10;
/// First byte of a TLS record with application data.
const APPLICATION_DATA: u8 = 23;

fn airbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_airbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn capture(name: &str, arguments: &[&str]) -> Vec<Block<'static>> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/firmware/ws-echo");
    let (firmware, path) = (firmware.to_str().unwrap(), path.to_str().unwrap());
    let fixed = ["run", firmware, "--quiet", "--pcap", path];
    let output = airbench(&[&fixed[..], arguments].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block() {
        blocks.push(block.unwrap().into_owned());
    }
    blocks
}

fn packets<'a>(
    blocks: &'a [Block<'static>],
) -> impl Iterator<Item = &'a EnhancedPacketBlock<'static>> {
    blocks.iter().filter_map(|block| match block {
        Block::EnhancedPacket(packet) => Some(packet),
        _ => None,
    })
}

/// The first byte of a packet's TCP payload.
fn tcp_payload(packet: &[u8]) -> Option<u8> {
    let tcp = packet.get(20..).filter(|_| packet[9] == 6)?;
    tcp.get(usize::from(tcp[12] >> 4) * 4).copied()
}

#[test]
fn keys_stand_before_the_data_they_decrypt() {
    let blocks = capture("keys.pcapng", &["--for", "30s"]);
    let Block::InterfaceDescription(interface) = &blocks[0] else {
        panic!("no interface first: {:?}", blocks[0]);
    };
    assert_eq!(interface.linktype, DataLink::RAW);
    let secrets = |block: &Block<'_>| matches!(block, Block::Unknown(b) if b.type_ == SECRETS);
    let data = |block: &Block<'_>| match block {
        Block::EnhancedPacket(packet) => tcp_payload(&packet.data) == Some(APPLICATION_DATA),
        _ => false,
    };
    let keys = blocks.iter().position(secrets).expect("there are keys");
    let first = blocks.iter().position(data).expect("there are data");
    assert!(keys < first);
    let Block::Unknown(block) = &blocks[keys] else {
        panic!("just found")
    };
    let text = String::from_utf8_lossy(&block.value);
    assert!(text.contains("CLIENT_RANDOM "), "{text}");
    let comments = packets(&blocks).flat_map(|packet| &packet.options);
    let linked = |option: &EnhancedPacketOption<'_>| matches!(option, EnhancedPacketOption::Comment(text) if text.contains("modem link-up"));
    assert!(
        comments.into_iter().any(linked),
        "modem events are comments"
    );
}

#[test]
fn packets_are_whole_and_in_order_of_time() {
    let blocks = capture("order.pcapng", &["--for", "2m", "--lte", "cat1-cell-edge"]);
    let times: Vec<_> = packets(&blocks).map(|packet| packet.timestamp).collect();
    assert!(times.len() > 20);
    assert!(times.is_sorted());
    // 2024-09-03, the default start.
    assert_eq!(times[0].as_secs() / 86_400, 19_969);
    for packet in packets(&blocks) {
        assert_eq!(packet.data[0] >> 4, 4, "IPv4");
        assert_eq!(packet.original_len as usize, packet.data.len());
        let length = u16::from_be_bytes([packet.data[2], packet.data[3]]);
        assert_eq!(usize::from(length), packet.data.len());
        let outbound = packet.data[12..16] == [10, 64, 12, 34];
        let flag = if outbound { 2 } else { 1 };
        assert_eq!(packet.options[0], EnhancedPacketOption::Flags(flag));
    }
}

#[test]
fn a_capture_does_not_change_the_run() {
    let hash = |arguments: &[&str]| {
        let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/firmware/ws-echo");
        let fixed = ["run", firmware.to_str().unwrap(), "--quiet", "--for", "5m"];
        let output = airbench(&[&fixed[..], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("airbench hash"));
        line.expect("a summary").to_owned()
    };
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("same.pcapng");
    assert_eq!(hash(&[]), hash(&["--pcap", path.to_str().unwrap()]));
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let path = "/nonexistent/folder/a.pcapng";
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/firmware/ws-echo");
    let output = airbench(&["run", "--pcap", path, firmware.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains(&format!("cannot write the capture {path}: No such file")),
        "{text}"
    );
}

#[test]
fn nothing_else_is_overwritten() {
    let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("overwritten");
    std::fs::create_dir_all(&here).unwrap();
    let script = here.join("main.lua");
    let code = "print('mine')";
    std::fs::write(&script, code).unwrap();
    let (here, path) = (here.to_str().unwrap(), script.to_str().unwrap());
    for arguments in [
        ["--pcap", path, "--for", "1s"],
        ["--record", path, "--for", "1s"],
        ["--pcap", "same.x", "--record", "same.x"],
    ] {
        let output = airbench(&[&["run", here][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(std::fs::read_to_string(&script).unwrap(), code);
}

#[test]
fn the_ladder_agrees_with_its_constants() {
    let output = airbench(&["ladder"]);
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
}
