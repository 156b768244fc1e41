//! Small Lua programs against their recorded output (firmware V1112), where
//! the recordings are at hand. Topics whose libraries are not modelled yet are
//! left to a later day; the list of known differences must stay true.

use std::collections::BTreeMap;
use std::path::Path;

use airbench_clock::Instant;
use airbench_lte::Profile;
use airbench_luatos::Scripts;
use airbench_trace::{Kind, Retention};
use airbench_world::{Action, Setup, World};
use serde_json::Value;

/// Topics whose programs use modelled libraries only.
const TOPICS: &[&str] = &[
    "number", "math", "format", "string", "strext", "table", "order", "utf8", "bit32", "os",
    "json", "zbuff", "sys", "sysplus", "co", "lang", "rotable", "error", "rtos",
];

/// Programs that need what is not modelled.
const KNOWN: &[&str] = &[
    "os.remove_missing",
    "zbuff.framebuffer_bits",
    "zbuff.framebuffer_line",
    "zbuff.framebuffer_circle",
    "zbuff.setframebuffer",
];

/// Runs one program in a task, as the recordings were made, and prints what it
/// gives to `out` as lines `OUT …`, every odd byte as `\xNN`.
fn program(case: &Value) -> String {
    let code = case["lua"].as_str().unwrap();
    let quoted: String = code.bytes().map(|byte| format!("\\{byte:03}")).collect();
    format!(
        r##"_G.sys = require("sys") _G.sysplus = require("sysplus")
local print, tostring, select, gsub, format, byte = print, tostring, select, string.gsub, string.format, string.byte
local function escape(s)
    return (gsub(gsub(s, "\\", "\\x5C"), "[^%g ]", function(c) return format("\\x%02X", byte(c)) end))
end
local function out(...)
    local t = {{}}
    for i = 1, select("#", ...) do t[i] = tostring((select(i, ...))) end
    local s = escape(table.concat(t, " "))
    while #s > 300 do print("PART" .. s:sub(1, 300)) s = s:sub(301) end
    print("OUT" .. s)
end
sys.taskInit(function()
    sys.wait(20)
    local env = setmetatable({{out = out}}, {{__index = _G}})
    local f, e = load("{quoted}", "@t.lua", "t", env)
    if not f then out("!COMPILE " .. tostring(e)) else
        local ok, err = pcall(f)
        if not ok then out("!ERR " .. tostring(err)) end
    end
    print("DONE")
end)
sys.run()"##
    )
}

/// The lines a program gives.
fn run(case: &Value) -> Vec<String> {
    let mut scripts = Scripts::default();
    scripts.add("main.lua", program(case).into_bytes());
    let setup = Setup::new(scripts, Profile::load("no-sim").unwrap());
    let mut world = World::new(&setup, Retention::All);
    world.act(&Action::PowerOn).unwrap();
    let done = |world: &World| world.log().last(1).any(|event| event.bytes == b"DONE");
    while !done(&world) && world.now() < Instant::from_millis(600_000) {
        let Some(next) = world.next_wake() else { break };
        world.run_until(next).unwrap();
    }
    let (mut lines, mut part) = (Vec::new(), String::new());
    for event in world
        .log()
        .since(0)
        .filter(|event| event.kind == Kind::Line)
    {
        let text = event.text().into_owned();
        if let Some(text) = text.strip_prefix("PART") {
            part.push_str(text);
        } else if let Some(text) = text.strip_prefix("OUT") {
            lines.push(std::mem::take(&mut part) + text);
        }
    }
    lines
}

#[test]
fn programs_print_what_the_firmware_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle/lua/cases.jsonl");
    let Ok(cases) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no recorded programs at {}", path.display());
        return;
    };
    let mut wrong = BTreeMap::new();
    let mut compared = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (name, topic) = (
            case["name"].as_str().unwrap(),
            case["topic"].as_str().unwrap(),
        );
        let task = case["mode"].is_null() || case["mode"] == "task";
        if !TOPICS.contains(&topic) || !task || case["capture"] == "console" {
            continue;
        }
        let v1112 = &case["expect_v1112"];
        let expected = match (v1112.is_null(), case["profile"] == "new") {
            (false, true) => v1112,
            (true, true) => continue,
            _ => &case["expect"],
        };
        let expected: Vec<&str> = expected
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect();
        let got = run(&case);
        compared += 1;
        if got != expected {
            wrong.insert(
                name.to_owned(),
                format!("want {expected:?}\n     got  {got:?}"),
            );
        }
    }
    for known in KNOWN {
        assert!(
            wrong.remove(*known).is_some(),
            "{known} is right now: take it off the list"
        );
    }
    let report: Vec<String> = wrong
        .iter()
        .map(|(name, what)| format!("{name}: {what}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        report.join("\n")
    );
    assert!(compared > 300, "only {compared} programs were compared");
}
