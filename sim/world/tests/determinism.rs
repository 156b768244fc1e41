//! A world is decided by its setup and the actions on it, by nothing else.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::Profile;
use airbench_luatos::Scripts;
use airbench_trace::{Hash, Retention};
use airbench_world::{Action, Setup, World};
use proptest::prelude::*;

fn setup(firmware: &str, profile: &str, seed: u64) -> Setup {
    let path = format!(
        "{}/../../fixtures/firmware/{firmware}/main.lua",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut scripts = Scripts::default();
    scripts.add("main.lua", std::fs::read(path).unwrap());
    let mut setup = Setup::new(scripts, Profile::load(profile).unwrap());
    setup.seed = seed;
    setup
}

const SPAN: Duration = Duration::from_secs(120);

/// Runs two minutes, stopping at the given times (in ms), typing at one.
fn run(setup: &Setup, stops: &[u64]) -> Hash {
    let mut world = World::new(setup, Retention::Last(8));
    world.act(&Action::PowerOn).unwrap();
    for stop in stops {
        world.run_until(Instant::from_millis(*stop)).unwrap();
    }
    world.run_until(Instant::from_millis(60_000)).unwrap();
    world
        .act(&Action::Uart {
            id: 1,
            bytes: b"\"echo\"".to_vec(),
            baud: None,
        })
        .unwrap();
    world.run_until(Instant::ZERO + SPAN).unwrap();
    world.hash()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// How often somebody looks does not change what happens.
    #[test]
    fn the_hash_does_not_depend_on_how_a_run_is_cut_into_pieces(
        mut stops in prop::collection::vec(1u64..60_000, 0..40),
        seed in 0u64..1000,
        profile in prop::sample::select(airbench_lte::builtin_names()),
    ) {
        stops.sort_unstable();
        let setup = setup("uart-bridge", profile, seed);
        prop_assert_eq!(run(&setup, &stops), run(&setup, &[]));
    }
}

#[test]
fn seed_profile_and_script_each_change_the_hash() {
    let base = run(&setup("ws-echo", "cat1-good", 1), &[]);
    assert_eq!(base, run(&setup("ws-echo", "cat1-good", 1), &[]));
    assert_ne!(base, run(&setup("ws-echo", "cat1-good", 2), &[]));
    assert_ne!(base, run(&setup("ws-echo", "lab", 1), &[]));
    assert_ne!(base, run(&setup("uart-bridge", "cat1-good", 1), &[]));
}

#[test]
fn every_profile_gets_the_device_on_line_or_says_why_not() {
    for profile in airbench_lte::builtin_names() {
        let mut world = World::new(&setup("ws-echo", profile, 3), Retention::All);
        world.act(&Action::PowerOn).unwrap();
        world.run_until(Instant::from_millis(60_000)).unwrap();
        let stays_out = [
            "no-sim",
            "sim-pin",
            "registration-denied",
            "registration-flaky",
        ];
        let wanted = !stays_out.contains(&profile);
        assert_eq!(world.board().is_online(), wanted, "{profile}");
    }
}
