//! The binary as its users meet it: runs, recordings, wrong inputs, terminals.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const AIRBENCH: &str = env!("CARGO_BIN_EXE_airbench");
const CUCUMBER: &str = env!("CARGO_BIN_EXE_cucumber");

/// A folder of this test's own, emptied first.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn fixture(name: &str) -> String {
    format!("{}/../fixtures/firmware/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn airbench(folder: &Path, arguments: &[&str]) -> Output {
    run(AIRBENCH, folder, arguments)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The value of a line of the summary.
fn summary(output: &Output, key: &str) -> String {
    let text = stderr(output);
    let line = text
        .lines()
        .filter_map(|line| line.strip_prefix("I/airbench "))
        .find(|line| line.starts_with(key))
        .unwrap_or_else(|| panic!("no {key} in {text}"));
    line[key.len()..].trim().to_owned()
}

#[test]
fn two_processes_with_the_same_seed_have_the_same_hash() {
    let here = folder("hash");
    let hash = |seed: &str| {
        let output = airbench(
            &here,
            &[
                "run",
                &fixture("ws-echo"),
                "--for",
                "30m",
                "-q",
                "--seed",
                seed,
            ],
        );
        assert!(output.status.success(), "{}", stderr(&output));
        summary(&output, "hash")
    };
    assert_eq!(hash("7"), hash("7"));
    assert_ne!(hash("7"), hash("8"));
}

#[test]
fn the_verbatim_tutorials_run_for_a_day() {
    let seed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/seed/000_18ab5fbfb07442c7.txt");
    if !seed.exists() {
        eprintln!("SKIPPED: the tutorial is not at {}", seed.display());
        return;
    }
    let here = folder("verbatim");
    let path = seed.to_str().unwrap();
    let output = airbench(
        &here,
        &[
            "run", path, "--block", "1", "--for", "24h", "-q", "--strict",
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(summary(&output, "echoes"), "5760 received, 0 lost");
    std::fs::write(
        here.join("uart.txt"),
        "10s send \"\\\"echo\\\"\"\n+5s send \"echo\"\n",
    )
    .unwrap();
    let arguments = [
        "run",
        path,
        "--block",
        "2",
        "--for",
        "1m",
        "--uart1",
        "script:uart.txt",
        "--strict",
    ];
    let output = airbench(&here, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(summary(&output, "echoes"), "1 received, 0 lost");
    assert!(
        stdout(&output).contains("I/user.UART透传成功 进行数据发送"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_recording_replays_and_a_changed_one_is_told_apart() {
    let here = folder("replay");
    let firmware = fixture("uart-bridge");
    std::fs::write(here.join("uart.txt"), "10s send \"\\\"echo\\\"\"\n").unwrap();
    let arguments = [
        "run",
        &firmware,
        "--for",
        "1m",
        "-q",
        "--uart1",
        "script:uart.txt",
        "--record",
        "run.abtrace",
    ];
    assert!(airbench(&here, &arguments).status.success());
    let replay = airbench(&here, &["replay", "run.abtrace"]);
    assert!(replay.status.success(), "{}", stdout(&replay));
    assert!(stdout(&replay).starts_with("same: "), "{}", stdout(&replay));

    // Another script in the header: the replay must notice where it departs.
    let mut bytes = std::fs::read(here.join("run.abtrace")).unwrap();
    let digits = b"115200".map(|digit| digit.to_string()).join(",");
    let at = bytes
        .windows(digits.len())
        .position(|window| window == digits.as_bytes())
        .unwrap();
    bytes[at + 1] = b'8'; // 115200 baud becomes 195200
    bytes[at] = b'4';
    std::fs::write(here.join("changed.abtrace"), &bytes).unwrap();
    let replay = airbench(&here, &["replay", "changed.abtrace"]);
    assert_eq!(replay.status.code(), Some(1), "{}", stdout(&replay));
    assert!(
        stdout(&replay).contains("DIFFERENT at event"),
        "{}",
        stdout(&replay)
    );

    std::fs::write(here.join("torn.abtrace"), &bytes[..40]).unwrap();
    assert_eq!(
        airbench(&here, &["replay", "torn.abtrace"]).status.code(),
        Some(2)
    );
}

#[test]
fn wrong_inputs_get_one_clear_message_and_exit_code_2() {
    let here = folder("wrong");
    std::fs::write(here.join("bad.lua"), "local x = = 1\n").unwrap();
    std::fs::write(here.join("text.md"), "no code here\n").unwrap();
    std::fs::write(here.join("bad.toml"), "about = 'x'\n[link.up]\nloss = 7\n").unwrap();
    std::fs::write(here.join("uart.txt"), "10s shout \"x\"\n").unwrap();
    std::fs::create_dir(here.join("empty")).unwrap();
    std::fs::write(here.join("project.toml"), "[firmwear]\npath = '.'\n").unwrap();
    let good = fixture("ws-echo");
    let cases: &[(&[&str], &str)] = &[
        (&["run", "missing"], "cannot read missing"),
        (&["run", "empty"], "has no main.lua"),
        (&["run", "bad.lua"], "syntax error in bad.lua: main.lua:1:"),
        (&["run", "text.md"], "no fenced code block with sys.run()"),
        (
            &["run", &good, "--block", "1"],
            "--block is for text documents",
        ),
        (&["run", &good, "--lte", "mars"], "no LTE profile \"mars\""),
        (&["run", &good, "--lte", "bad.toml"], "link.up.loss is 7"),
        (&["run", &good, "--for", "soon"], "no span of time"),
        (&["run", &good, "--start-time", "now"], "no date and time"),
        (
            &["run", &good, "--uart1", "tty"],
            "a peer is stdio, pty, or script:FILE",
        ),
        (
            &["run", &good, "--uart1", "script:uart.txt"],
            "uart.txt:1: unknown verb",
        ),
        (
            &["run", &good, "--host", "x=mars"],
            "write airtun, mqtt or http",
        ),
        (
            &["run", &good, "--record", "no/such/folder/x"],
            "cannot write the recording",
        ),
        (&["run", "--config", "project.toml"], "firmwear"),
        (&["run", "--no-such-option"], "unexpected argument"),
        (&["replay", "bad.lua"], "not an airbench recording"),
    ];
    for (arguments, message) in cases {
        let output = airbench(&here, arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(message),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            !stderr(&output).contains("panicked"),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn scripts_that_misbehave_end_with_a_message() {
    let here = folder("misbehave");
    let script = |name: &str, code: &str| {
        std::fs::write(here.join(name), code).unwrap();
        let output = airbench(&here, &["run", name, "--for", "24h", "-q"]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stderr(&output));
        stderr(&output)
    };
    let hang = script("hang.lua", "while true do end");
    assert!(hang.contains("without returning to sys.run()"), "{hang}");
    let flood = script(
        "flood.lua",
        "while true do log.info('flood', ('x'):rep(100)) end",
    );
    assert!(flood.contains("without returning to sys.run()"), "{flood}");
    let code = "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end";
    std::fs::write(here.join("memory.lua"), code).unwrap();
    let output = airbench(&here, &["run", "memory.lua", "--for", "10s", "-q"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("script error not enough memory"),
        "{}",
        stderr(&output)
    );
    let code = "local s = ('x'):rep(10000000)";
    std::fs::write(here.join("frame.lua"), code).unwrap();
    let output = airbench(&here, &["run", "frame.lua", "--for", "10s", "-q"]);
    assert!(
        stderr(&output).contains("not enough memory"),
        "{}",
        stderr(&output)
    );
    std::fs::write(
        here.join("strict.lua"),
        "pcall(lcd.init) require('sys').run()",
    )
    .unwrap();
    let arguments = ["run", "strict.lua", "--for", "1s", "-q"];
    assert!(airbench(&here, &arguments).status.success());
    let output = airbench(
        &here,
        &["run", "strict.lua", "--for", "1s", "-q", "--strict"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("not modelled lcd.init (1 calls)"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_missing_library_is_named_and_found_with_lib() {
    let here = folder("lib");
    std::fs::create_dir(here.join("libs")).unwrap();
    std::fs::write(here.join("libs/libnet.lua"), "return {answer = 42}\n").unwrap();
    std::fs::write(
        here.join("main.lua"),
        "log.info('lib', require('libnet').answer)\n",
    )
    .unwrap();
    let output = airbench(&here, &["run", "main.lua", "--for", "1s"]);
    assert!(
        stderr(&output).contains("module 'libnet' not found"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("--lib DIR"), "{}", stderr(&output));
    let output = airbench(&here, &["run", "main.lua", "--for", "1s", "--lib", "libs"]);
    assert!(
        stdout(&output).contains("I/user.lib\t42"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_terminal_on_a_pty_talks_to_the_uart_in_real_time() {
    let here = folder("pty");
    let code = "uart.setup(1, 115200)\n\
        uart.on(1, 'receive', function(id, len) uart.write(id, 'got ' .. uart.read(id, len)) end)\n\
        uart.write(1, 'ready\\n')\n\
        while true do rtos.receive(rtos.INF_TIMEOUT) end";
    std::fs::write(here.join("main.lua"), code).unwrap();
    let mut child = Command::new(AIRBENCH)
        .args(["run", "main.lua", "--uart1", "pty", "--for", "60s"])
        .current_dir(&here)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let path = line
        .trim()
        .strip_prefix("airbench: UART1 is ")
        .expect(&line)
        .to_owned();
    let mut terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut read = |wanted: &str| {
        let mut seen = String::new();
        let mut byte = [0];
        while !seen.ends_with(wanted) {
            terminal.read_exact(&mut byte).unwrap();
            seen.push(char::from(byte[0]));
        }
        if wanted == "ready\n" {
            terminal.write_all(b"hello").unwrap();
        }
    };
    read("ready\n");
    read("got hello");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn standard_input_and_output_can_be_a_uart() {
    let here = folder("stdio");
    let code = "uart.setup(1, 115200)\n\
        uart.on(1, 'receive', function(id, len) uart.write(id, uart.read(id, len):upper()) end)\n\
        uart.write(1, '?')\n\
        while true do rtos.receive(rtos.INF_TIMEOUT) end";
    std::fs::write(here.join("main.lua"), code).unwrap();
    let mut child = Command::new(AIRBENCH)
        .args(["run", "main.lua", "--uart1", "stdio", "--for", "60s"])
        .current_dir(&here)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut bytes = [0; 1];
    output.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"?", "the port is open");
    input.write_all(b"abc").unwrap();
    let mut bytes = [0; 3];
    output.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ABC");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_new_project_runs_its_first_feature() {
    let here = folder("init");
    let output = airbench(&here, &["init"]);
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::copy(
        format!("{}/main.lua", fixture("ws-echo")),
        here.join("main.lua"),
    )
    .unwrap();
    let output = airbench(&here, &["run", "--for", "30s", "-q"]);
    assert_eq!(summary(&output, "echoes"), "2 received, 0 lost");
    let output = run(
        CUCUMBER,
        &here,
        &["--junit", "report.xml", "--json", "report.json"],
    );
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("1 scenario (1 passed)"),
        "{}",
        stdout(&output)
    );
    assert!(
        std::fs::read_to_string(here.join("report.xml"))
            .unwrap()
            .contains("<testsuite")
    );
    assert!(
        std::fs::read_to_string(here.join("report.json"))
            .unwrap()
            .contains("It boots and gets on-line")
    );
    let again = airbench(&here, &["init"]);
    assert_eq!(
        again.status.code(),
        Some(2),
        "an existing project is not overwritten"
    );
}

#[test]
fn a_failed_step_says_what_was_awaited_and_how_to_repeat_it() {
    let here = folder("failed");
    std::fs::create_dir(here.join("features")).unwrap();
    let feature = "Feature: F\n  Scenario: never\n    When the board is powered on\n    Then the log shows \"unicorn\" within 2 s\n";
    std::fs::write(here.join("features/f.feature"), feature).unwrap();
    let output = run(CUCUMBER, &here, &["--seed", "5"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let text = stdout(&output);
    assert!(
        text.contains("a log line with \"unicorn\" did not come within 2.0 s"),
        "{text}"
    );
    assert!(text.contains("the last 1"), "{text}");
    assert!(text.contains("--name '^never$' --seed 5"), "{text}");
    let feature = "Feature: F\n  Scenario: typo\n    When the bord is powered on\n";
    std::fs::write(here.join("features/f.feature"), feature).unwrap();
    assert_eq!(
        run(CUCUMBER, &here, &[]).status.code(),
        Some(1),
        "an unknown step fails"
    );
    let feature = "Feature: F\n  @needs.wings\n  Scenario: s\n    When the board is powered on\n";
    std::fs::write(here.join("features/f.feature"), feature).unwrap();
    let output = run(CUCUMBER, &here, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("unknown capability \"wings\""),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_vocabulary_is_listed() {
    let output = run(CUCUMBER, &folder("steps"), &["--steps"]);
    assert!(output.status.success());
    assert!(
        stdout(&output).contains("When  the server restarts within {span}"),
        "{}",
        stdout(&output)
    );
}

/// The README's table of libraries is what `airbench api` prints.
#[test]
fn the_readme_shows_what_is_modelled() {
    let here = folder("api");
    let output = airbench(&here, &["api"]);
    assert!(output.status.success());
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&stdout(&output)),
        "put this into the README:\n{}",
        stdout(&output)
    );
}

#[test]
fn a_project_is_checked_before_it_runs() {
    let here = folder("coverage");
    let code = "uart.setup(1, 9600)\nlcd.init('x')\nuart.nonsense()\n";
    std::fs::write(here.join("main.lua"), code).unwrap();
    let output = airbench(&here, &["coverage", "."]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    for line in [
        "uart.nonsense                not in this firmware     main.lua:3 (1x)",
        "3 functions used: 1 modelled, 1 accepted, 0 not modelled, 1 not in this firmware",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let output = airbench(&here, &["coverage", &fixture("ws-echo")]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(
        airbench(&here, &["coverage", "missing"]).status.code(),
        Some(2)
    );
}

/// Source, image, byte code: the same device in all of them.
#[test]
fn a_packed_project_runs_as_its_sources_do() {
    let here = folder("pack");
    let log = |path: &str| {
        let output = airbench(&here, &["run", path, "--for", "1m"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_ne!(summary(&output, "echoes"), "0 received, 0 lost");
        stdout(&output)
    };
    let source = log(&fixture("ws-echo"));
    for options in [&[][..], &["--luac"], &["--luac", "--strip"]] {
        let mut arguments = vec!["pack", "FIXTURE", "-o", "script.bin"];
        let fixture = fixture("ws-echo");
        arguments[1] = &fixture;
        arguments.extend(options);
        let output = airbench(&here, &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let lines = |text: &str| text.lines().filter(|line| line.contains("user.")).count();
        assert_eq!(lines(&log("script.bin")), lines(&source), "{options:?}");
    }
    let cut = &std::fs::read(here.join("script.bin")).unwrap()[..60];
    std::fs::write(here.join("cut.bin"), cut).unwrap();
    let output = airbench(&here, &["run", "cut.bin", "--for", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("vfs mount error ret -1"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_flash_file_keeps_files_from_run_to_run() {
    let here = folder("flash");
    let code =
        "local f = io.open('/n', 'a') f:write('x') f:close() log.info('size', io.fileSize('/n'))";
    std::fs::write(here.join("main.lua"), code).unwrap();
    for size in ["size\t1", "size\t2"] {
        let arguments = ["run", ".", "--for", "1s", "--flash", "flash.json"];
        let output = airbench(&here, &arguments);
        assert!(stdout(&output).contains(size), "{}", stdout(&output));
    }
    std::fs::write(here.join("flash.json"), "{}").unwrap();
    let output = airbench(&here, &["run", ".", "--flash", "flash.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("no flash file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_summary_names_what_is_not_there() {
    let here = folder("hints");
    std::fs::create_dir(here.join("lib")).unwrap();
    std::fs::write(here.join("lib/other.lua"), "return {}").unwrap();
    let script = r#"sys = require("sys") sysplus = require("sysplus")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            http.request("GET", "http://echo.airtun.air32.cn:81/").wait()
            http.request("GET", "http://nowhere.example/").wait()
        end)
        sys.run()"#;
    std::fs::write(here.join("main.lua"), script).unwrap();
    let output = airbench(&here, &["run", ".", "--for", "30s", "--lte", "lab"]);
    assert!(summary(&output, "left out").starts_with("./lib: "));
    assert!(summary(&output, "no service").starts_with("echo.airtun.air32.cn:81: "));
    assert!(summary(&output, "unknown host").starts_with("\"nowhere.example\": "));
}
