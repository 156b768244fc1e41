//! Small Lua programs against their recorded output, where the recordings are
//! at hand: firmware V1112 and the core of 2026.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use airbench_clock::Instant;
use airbench_lte::Profile;
use airbench_luatos::{Core, Scripts};
use airbench_trace::{Kind, Retention};
use airbench_world::{Action, Setup, World};
use regex::Regex;
use serde_json::Value;

/// Programs whose recording shows the PC it was made on, not the device.
const KNOWN: &[(Core, &str)] = &[
    // The PC keeps `string.dump` and has no limit of 64 timers.
    (Core::New, "string.dump_absent"),
    (Core::New, "sys.timer_exhaustion"),
    (Core::New, "sys.timer_exhaustion_64"),
];

/// What comes before a program, on one line: `out(…)` prints its arguments as a
/// record, every odd byte as `\xNN`; `done()` ends the program.
const PRELUDE: &str = r##"PROJECT="diffcorpus" VERSION="1.0.0" if not sys then _G.sys=require("sys") end if not sysplus then _G.sysplus=require("sysplus") end do local print,tostring,select,gsub,format,byte,concat=print,tostring,select,string.gsub,string.format,string.byte,table.concat local function escape(s) return (gsub(gsub(s,"\\","\\x5C"),"[^%g ]",function(c) return format("\\x%02X",byte(c)) end)) end _G.out=function(...) local t={} for i=1,select("#",...) do t[i]=tostring((select(i,...))) end local s=escape(concat(t," ")) while #s>300 do print("CASE~"..s:sub(1,300)) s=s:sub(301) end print("CASE "..s) end _G.done=function() print("CASE_END") if os.exit then os.exit(0) end end end print("CASE_BEGIN") "##;

/// The firmware's main script for one program.
fn program(case: &Value) -> String {
    let code = case["lua"].as_str().unwrap();
    if case["mode"] == "main" {
        return format!("{PRELUDE}\n{code}\n");
    }
    let quoted: String = code.bytes().map(|byte| format!("\\{byte:03}")).collect();
    format!(
        r#"{PRELUDE}
sys.taskInit(function()
    sys.wait(20)
    local f, e = load("{quoted}", "@t.lua", "t", setmetatable({{out = out}}, {{__index = _G}}))
    if not f then out("!COMPILE " .. tostring(e)) else
        local ok, err = pcall(f)
        if not ok then out("!ERR " .. tostring(err)) end
    end
    print("CASE_END")
end)
sys.run()"#
    )
}

/// What the recordings leave out of a console: the C side's own lines.
static LEFT_OUT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[DIWE]/[A-Za-z0-9_.\-]+ |^CASE").unwrap());

fn escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'\\' => "\\x5C".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02X}"),
        })
        .collect()
}

/// The records a program gives, or its console.
fn run(case: &Value, core: Core) -> Vec<String> {
    let mut scripts = Scripts::default();
    scripts.add("main.lua", program(case).into_bytes());
    for (name, text) in case["files"].as_object().into_iter().flatten() {
        scripts.add(name, text.as_str().unwrap().as_bytes().to_vec());
    }
    let mut setup = Setup::new(scripts, Profile::load("no-sim").unwrap());
    setup.core = core;
    let mut world = World::new(&setup, Retention::All);
    world.act(&Action::PowerOn).unwrap();
    let ended = |world: &World| {
        world
            .log()
            .last(1)
            .any(|event| event.bytes == b"CASE_END" || event.text().contains("Lua VM exit!!"))
    };
    while !ended(&world) && world.now() < Instant::from_millis(600_000) {
        let Some(next) = world.next_wake() else { break };
        world.run_until(next).unwrap();
    }
    let (mut records, mut console, mut part) = (Vec::new(), Vec::new(), String::new());
    let mut begun = false;
    for event in world.log().since(0).filter(|e| e.kind == Kind::Line) {
        let text = event.text();
        if text == "CASE_BEGIN" {
            (begun, part) = (true, String::new());
            (records, console) = (Vec::new(), Vec::new());
        } else if text == "CASE_END" {
            break;
        } else if let Some(text) = text.strip_prefix("CASE~") {
            part.push_str(text);
        } else if let Some(text) = text.strip_prefix("CASE ") {
            records.push(std::mem::take(&mut part) + text);
        }
        let lines = event.bytes.split(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate().filter(|_| begun) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = String::from_utf8_lossy(line);
            let own = text.starts_with("E/main ") || text.get(2..7) == Some("user.");
            // A record's first line has its time before it, so it is never empty.
            let dropped = (text.is_empty() && index > 0) || text.contains("VM exit");
            if !dropped && (own || !LEFT_OUT.is_match(&text)) {
                console.push(escaped(line));
            }
        }
    }
    let shown = if case["capture"] == "console" {
        console
    } else {
        records
    };
    shown
        .into_iter()
        .map(|line| {
            line.replace("[string \"main.lua\"]", "main.lua")
                .replace("/luadb/main.lua", "main.lua")
        })
        .collect()
}

/// What a program must print under a core; nothing if nobody recorded it.
fn expected(case: &Value, core: Core) -> Option<Vec<&str>> {
    let field = match core {
        Core::V1112 if case["profile"] == "new" => "expect_v1112",
        _ => "expect",
    };
    let lines = case[field].as_array()?;
    Some(lines.iter().map(|v| v.as_str().unwrap()).collect())
}

fn compare(core: Core) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle/lua/cases.jsonl");
    let Ok(cases) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no recorded programs at {}", path.display());
        return;
    };
    let known: BTreeSet<&str> = KNOWN
        .iter()
        .filter(|(of, _)| *of == core)
        .map(|(_, name)| *name)
        .collect();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let Some(expected) = expected(&case, core) else {
            continue;
        };
        let got = run(&case, core);
        compared += 1;
        let name = case["name"].as_str().unwrap();
        let differs = got != expected;
        if differs != known.contains(name) {
            wrong.push(format!("{name}: want {expected:?}\n     got  {got:?}"));
        }
    }
    let report = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "{} of {compared} are not as the list says:\n{report}",
        wrong.len()
    );
    assert!(compared > 500, "only {compared} programs were compared");
}

#[test]
fn programs_print_what_v1112_printed() {
    compare(Core::V1112);
}

#[test]
fn programs_print_what_the_new_core_printed() {
    compare(Core::New);
}
