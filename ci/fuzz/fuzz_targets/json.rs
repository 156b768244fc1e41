//! The firmware's JSON reader, in Lua: what it reads it writes, and reads again.
#![no_main]

use airbench_clock::Instant;
use airbench_lte::Profile;
use airbench_luatos::Scripts;
use airbench_trace::{Kind, Retention};
use airbench_world::{Action, Setup, World};
use libfuzzer_sys::fuzz_target;

const MAIN: &[u8] = br#"
local text = io.readFile("/luadb/input.json") or ""
local value = json.decode(text)
if value ~= nil then
    local again = json.encode(value)
    if again then json.decode(again) end
end
log.info("read")
"#;

fuzz_target!(|data: &[u8]| {
    let mut scripts = Scripts::default();
    scripts.add("main.lua", MAIN.to_vec());
    scripts.add("input.json", data.to_vec());
    let mut world = World::new(
        &Setup::new(scripts, Profile::load("lab").unwrap()),
        Retention::All,
    );
    world.act(&Action::PowerOn).unwrap();
    world.run_until(Instant::from_millis(1000)).unwrap();
    // Out of memory is an answer too; silence is not.
    let lines = world
        .log()
        .since(0)
        .filter(|event| event.kind == Kind::Line);
    assert!(lines.count() > 7, "the script said nothing");
});
