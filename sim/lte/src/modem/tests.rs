//! Time-lines of the modem.

use super::*;

fn run(modem: &mut Modem) -> Vec<(u64, ModemEvent)> {
    let mut seen = Vec::new();
    while let Some(at) = modem.next_wake() {
        while let Some(event) = modem.poll(at) {
            seen.push((at.millis(), event));
        }
    }
    seen
}

#[test]
fn the_default_time_line() {
    let mut modem = Modem::new(ModemConfig::default(), 1);
    modem.power_on(Instant::ZERO);
    assert_eq!(
        run(&mut modem),
        [
            (1200, ModemEvent::SimReady),
            (1320, ModemEvent::NumberRead),
            (2500, ModemEvent::PdpActive),
            (2502, ModemEvent::BearerActive),
            (2503, ModemEvent::LinkUp),
            (2560, ModemEvent::TimeSync),
        ]
    );
    assert!(modem.is_up());
}

#[test]
fn without_a_sim_there_is_no_address() {
    let mut modem = Modem::new(
        ModemConfig {
            sim: false,
            ..ModemConfig::default()
        },
        1,
    );
    modem.power_on(Instant::ZERO);
    assert_eq!(run(&mut modem), [(1200, ModemEvent::SimMissing)]);
    modem.set_sim(Instant::from_millis(5000), true);
    assert_eq!(run(&mut modem), [], "nobody looks");
    modem.restart(Instant::from_millis(6000));
    assert_eq!(
        run(&mut modem).last().map(|(_, event)| *event),
        Some(ModemEvent::TimeSync)
    );
    assert!(modem.is_up());
}

/// The Air780EPM's log of its `setAuto(10000, …)` demo.
#[test]
fn the_modem_looks_for_a_sim_when_it_was_told_to() {
    let mut modem = Modem::new(ModemConfig::default(), 1);
    modem.power_on(Instant::ZERO);
    run(&mut modem);
    let auto = Auto {
        sim: Some(Duration::from_secs(10)),
        network: None,
    };
    modem.set_auto(Instant::from_millis(3000), auto);
    modem.set_sim(Instant::from_millis(31_000), false);
    let mut seen = Vec::new();
    while let Some(at) = modem.next_wake().filter(|at| at.millis() < 55_000) {
        if at.millis() > 45_000 && !modem.config().sim {
            modem.set_sim(Instant::from_millis(45_000), true);
        }
        while let Some(event) = modem.poll(at) {
            seen.push((at.millis(), event));
        }
    }
    assert_eq!(
        seen[..7],
        [
            (31_000, ModemEvent::SimMissing),
            (31_200, ModemEvent::LinkDown),
            (41_000, ModemEvent::SimCheck),
            (41_178, ModemEvent::SimMissing),
            (51_178, ModemEvent::SimCheck),
            (51_524, ModemEvent::SimReady),
            (51_644, ModemEvent::NumberRead),
        ]
    );
    assert!(modem.is_up());
}

#[test]
fn a_sim_that_has_answered_is_not_looked_for() {
    let config = ModemConfig {
        pin: "1234".to_owned(),
        ..ModemConfig::default()
    };
    let mut modem = Modem::new(config, 1);
    modem.power_on(Instant::ZERO);
    let auto = Auto {
        sim: Some(Duration::from_secs(10)),
        network: None,
    };
    modem.set_auto(Instant::from_millis(500), auto);
    assert_eq!(run(&mut modem), [(1200, ModemEvent::SimLocked)]);
    modem.set_auto(Instant::from_millis(1300), auto);
    assert_eq!(run(&mut modem), [], "it waits for the PIN");
    modem.unlock(Instant::from_millis(1500));
    assert_eq!(run(&mut modem).len(), 6, "one attach");
}

#[test]
fn restarts_do_not_multiply_refusals() {
    let config = ModemConfig {
        reject_cause: 17,
        ..ModemConfig::default()
    };
    let mut modem = Modem::new(config, 1);
    modem.power_on(Instant::ZERO);
    let mut refusals = 0;
    for second in 0..120 {
        let now = Instant::from_millis(second * 1000);
        if second % 20 == 10 {
            modem.restart(now);
        }
        while let Some(event) = modem.poll(now) {
            refusals += u32::from(event == ModemEvent::Rejected(17));
        }
    }
    assert!((10..14).contains(&refusals), "{refusals}");
}

#[test]
fn without_a_cell_an_attach_waits() {
    let mut modem = Modem::new(ModemConfig::default(), 1);
    modem.set_service(Instant::ZERO, false);
    modem.power_on(Instant::ZERO);
    run(&mut modem);
    assert!(!modem.is_up());
    modem.set_on_band(Instant::from_millis(5000), false);
    modem.set_service(Instant::from_millis(9000), true);
    assert_eq!(run(&mut modem), []);
    modem.set_on_band(Instant::from_millis(20_000), true);
    let events = run(&mut modem);
    assert!(events.contains(&(21_303, ModemEvent::LinkUp)), "{events:?}");
}

#[test]
fn a_stack_without_a_network_is_restarted_when_it_was_told_to() {
    let mut modem = Modem::new(ModemConfig::default(), 1);
    modem.power_on(Instant::ZERO);
    run(&mut modem);
    let auto = Auto {
        sim: None,
        network: Some(Duration::from_secs(60)),
    };
    modem.set_auto(Instant::from_millis(3000), auto);
    modem.lose_context(Instant::from_millis(10_000), None);
    let events = run(&mut modem);
    assert!(events.contains(&(71_803, ModemEvent::LinkUp)), "{events:?}");
}

#[test]
fn a_lost_context_comes_back_when_told_to() {
    let mut modem = Modem::new(ModemConfig::default(), 1);
    modem.power_on(Instant::ZERO);
    run(&mut modem);
    modem.lose_context(Instant::from_millis(10_000), Some(Duration::from_secs(4)));
    let events = run(&mut modem);
    assert_eq!(events.first(), Some(&(10_000, ModemEvent::LinkDown)));
    assert!(events.contains(&(15_303, ModemEvent::LinkUp)), "{events:?}");
}

#[test]
fn a_search_after_an_outage_takes_its_time() {
    let config = ModemConfig {
        search_ms: 7000,
        ..ModemConfig::default()
    };
    let mut modem = Modem::new(config, 1);
    modem.power_on(Instant::ZERO);
    modem.set_service(Instant::ZERO, false);
    run(&mut modem);
    assert!(!modem.is_up());
    modem.set_service(Instant::from_millis(60_000), true);
    let seen = run(&mut modem);
    assert_eq!(seen[0], (68_300, ModemEvent::PdpActive));
}
