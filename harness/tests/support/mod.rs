//! A board for one script.

use airbench_clock::Instant;
use airbench_lte::Profile;
use airbench_luatos::{Core, Scripts};
use airbench_trace::{Kind, Retention};
use airbench_world::{Action, Setup, World};

/// The world of a script after twenty seconds on a good network.
pub(crate) fn world(core: Core, code: &str) -> World {
    let mut scripts = Scripts::default();
    scripts.add("main.lua", code.as_bytes().to_vec());
    let mut setup = Setup::new(scripts, Profile::load("lab").unwrap());
    setup.core = core;
    let mut world = World::new(&setup, Retention::All);
    world.act(&Action::PowerOn).unwrap();
    world.run_until(Instant::from_millis(20_000)).unwrap();
    world
}

/// The lines it gives in that time.
pub(crate) fn run(core: Core, code: &str) -> Vec<String> {
    let world = world(core, code);
    let lines = world.log().since(0).filter(|e| e.kind == Kind::Line);
    lines.map(|event| event.text().into_owned()).collect()
}
