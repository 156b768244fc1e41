//! From captures of the field to a scenario that fails, with the programs of the
//! project: `airbench import`, `airbench replay`, `cucumber`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const AIRBENCH: &str = env!("CARGO_BIN_EXE_airbench");
const CUCUMBER: &str = env!("CARGO_BIN_EXE_cucumber");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("airbench-field-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(command: &mut Command) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

fn airbench(at: &Path, arguments: &[&str]) -> (i32, String) {
    run(Command::new(AIRBENCH).args(arguments).current_dir(at))
}

/// The fixture is a capture of the server (TLS with its keys in the file) and the log
/// of a tap, whose clock is 812 days off.
fn import(at: &Path) -> String {
    let field = root().join("fixtures/field/two-bursts");
    let file = |name: &str| field.join(name).display().to_string();
    let (code, text) = airbench(
        at,
        &[
            "import",
            &file("server.pcapng"),
            &file("uart.log"),
            "-o",
            "field.abtrace",
        ],
    );
    assert_eq!(code, 0, "{text}");
    text
}

#[test]
fn a_capture_becomes_a_scenario_that_fails_until_the_firmware_is_mended() {
    let at = folder("two-bursts");
    let text = import(&at);
    assert!(text.contains("6 messages to the server"), "{text}");
    assert!(text.contains("8 bursts to the device"), "{text}");
    assert!(text.contains("-70163280.038 s, known to 0.004 s"), "{text}");
    let buggy = root()
        .join("fixtures/firmware/uart-bridge")
        .display()
        .to_string();
    let fixed = root()
        .join("fixtures/firmware/uart-bridge-fixed")
        .display()
        .to_string();
    let replay = |firmware: &str, more: &[&str]| {
        let mut arguments = vec!["replay", "field.abtrace", "--firmware", firmware];
        arguments.extend(more);
        airbench(&at, &arguments)
    };
    let (code, text) = replay(&fixed, &[]);
    assert!(code == 0 && text.contains("NOT SEEN"), "{text}");
    let (code, text) = replay(&buggy, &["--emit-feature", "two-bursts.feature"]);
    assert!(code == 1 && text.contains("REPRODUCED"), "{text}");
    assert!(text.contains("shrunk       2 of 8 stimuli"), "{text}");
    assert!(text.contains("fails it with 20 of 20 seeds"), "{text}");
    let feature = std::fs::read_to_string(at.join("two-bursts.feature")).unwrap();
    let cucumber = |text: &str, seed: u64| {
        std::fs::write(at.join("tried.feature"), text).unwrap();
        let mut command = Command::new(CUCUMBER);
        let seed = seed.to_string();
        command
            .args(["--features", "tried.feature", "--seed", &seed])
            .current_dir(&at);
        run(&mut command)
    };
    let mended = feature.replace(&buggy, &fixed);
    // Without what came from outside, the second burst so soon, the bug sleeps.
    let apart = feature
        .replace("And 4 ms pass", "And 3 s pass")
        .replace("And 5 ms pass", "And 3 s pass");
    assert_ne!(feature, apart);
    for seed in [1, 7, 20] {
        let (code, text) = cucumber(&feature, seed);
        assert!(
            code == 1 && text.contains("the server received 1 messages"),
            "{text}"
        );
        let (code, text) = cucumber(&mended, seed);
        assert_eq!(code, 0, "{text}");
        let (code, text) = cucumber(&apart, seed);
        assert_eq!(code, 0, "{text}");
    }
    std::fs::remove_dir_all(at).unwrap();
}

/// A reporter; `again` is what its author forgot.
fn reporter(again: &str) -> String {
    format!(
        r#"PROJECT, VERSION = "reporter", "1.0.0"
        sys = require("sys")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            local c = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo2")
            {again}
            c:on(function(_, event) if event == "conack" then sys.publish("UP") end end)
            c:connect()
            sys.waitUntil("UP")
            local number = 0
            while true do
                number = number + 1
                c:send("report " .. number)
                sys.wait(15000)
            end
        end)
        sys.run()"#
    )
}

/// Nothing but the server's packets: the outage is inferred from its repetitions.
#[test]
fn an_outage_that_a_device_does_not_get_over_is_found_in_packets_alone() {
    let at = folder("outage");
    let write = |name: &str, text: &str| std::fs::write(at.join(name), text).unwrap();
    write("buggy.lua", &reporter(""));
    write("fixed.lua", &reporter("c:autoreconn(true, 3000)"));
    let outage = "first_ms = 100000\nup_ms = 3600000\ndown_ms = 900000\n";
    write(
        "field.toml",
        &format!("about = 'x'\n[link.flapping]\n{outage}"),
    );
    let run = [
        "run",
        "buggy.lua",
        "--for",
        "40m",
        "--quiet",
        "--lte",
        "field.toml",
    ];
    let capture = ["--pcap", "server.pcapng", "--pcap-at", "server"];
    assert_eq!(airbench(&at, &[&run[..], &capture].concat()).0, 0);
    let (code, text) = airbench(&at, &["import", "server.pcapng", "-o", "field.abtrace"]);
    assert!(
        code == 0 && text.contains("nothing came any more"),
        "{text}"
    );
    let replay = ["replay", "field.abtrace", "--firmware"];
    let emit = ["buggy.lua", "--emit-feature", "outage.feature"];
    let (code, text) = airbench(&at, &[&replay[..], &emit].concat());
    assert!(code == 1 && text.contains("REPRODUCED"), "{text}");
    assert!(text.contains("fails it with 20 of 20 seeds"), "{text}");
    let feature = std::fs::read_to_string(at.join("outage.feature")).unwrap();
    let there: String = feature
        .lines()
        .filter(|line| !line.contains("radio link goes") && !line.contains("radio link comes"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(there, feature);
    let mended = feature.replace("buggy.lua", "fixed.lua");
    for (text, expected) in [(&feature, 1), (&mended, 0), (&there, 0)] {
        std::fs::write(at.join("tried.feature"), text).unwrap();
        let mut command = Command::new(CUCUMBER);
        let (code, said) = self::run(
            command
                .args(["--features", "tried.feature"])
                .current_dir(&at),
        );
        assert_eq!(code, expected, "{text}\n{said}");
    }
    std::fs::remove_dir_all(at).unwrap();
}

#[test]
fn traces_can_be_looked_at_cut_and_compared() {
    let at = folder("trace");
    import(&at);
    let (code, text) = airbench(&at, &["trace", "stat", "field.abtrace"]);
    assert!(code == 0 && text.contains("not seen from there"), "{text}");
    let (_, lines) = airbench(&at, &["trace", "export", "field.abtrace"]);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["kind"], "network");
    let cut = [
        "trace",
        "cut",
        "field.abtrace",
        "--from",
        "20s",
        "--to",
        "30s",
        "-o",
        "part.abtrace",
    ];
    assert_eq!(airbench(&at, &cut).0, 0);
    let (_, some) = airbench(&at, &["trace", "cat", "part.abtrace"]);
    assert!(some.lines().count() < lines.lines().count() && !some.is_empty());
    let (code, text) = airbench(&at, &["trace", "diff", "field.abtrace", "part.abtrace"]);
    assert!(code == 1 && text.contains("DIFFERENT at event 1"), "{text}");
    std::fs::remove_dir_all(at).unwrap();
}

#[test]
fn what_is_no_capture_is_said_so() {
    let at = folder("wrong");
    let wrong = |name: &str, bytes: &[u8]| {
        std::fs::write(at.join(name), bytes).unwrap();
        airbench(&at, &["import", name])
    };
    let (code, text) = wrong("a.bin", b"\x00\x01nonsense");
    assert!(
        code == 2 && text.contains("a.bin: unknown format"),
        "{text}"
    );
    let (code, text) = wrong("b.pcapng", &[0x0A, 0x0D, 0x0D, 0x0A, 9, 9]);
    assert!(code == 2 && text.contains("b.pcapng: "), "{text}");
    let (code, text) = airbench(&at, &["import", "missing.pcap"]);
    assert!(code == 2 && text.contains("missing.pcap"), "{text}");
    import(&at);
    let (code, text) = airbench(&at, &["replay", "field.abtrace"]);
    assert!(code == 2 && text.contains("--firmware PATH"), "{text}");
    let (code, text) = airbench(&at, &["import", "field.abtrace"]);
    assert!(
        code == 2 && text.contains("no recording of airtun's"),
        "{text}"
    );
    let (code, text) = airbench(&at, &["import", "missing.pcap"]);
    assert!(code == 2 && text.contains("missing.pcap"), "{text}");
    // A torn file gives what it has.
    let whole = std::fs::read(root().join("fixtures/field/two-bursts/server.pcapng")).unwrap();
    let (code, text) = wrong("torn.pcapng", &whole[..whole.len() * 2 / 3]);
    assert!(
        code == 0 && text.contains("those before are used"),
        "{text}"
    );
    std::fs::remove_dir_all(at).unwrap();
}
