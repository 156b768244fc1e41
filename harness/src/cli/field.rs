//! `airbench replay` of a capture.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use airbench_trace::{Event, Kind};
use airbench_world::Setup;

use super::replay::Options;
use super::{Failure, RunOptions, import, setup};
use crate::duration::show;
use crate::field::compare::{self, Comparison, Divergence, Output};
use crate::field::feature::{self, Story};
use crate::field::rerun::{Rerun, RerunError, rerun};
use crate::field::{self, Capture, CaptureHead, Stimuli, Stimulus};

/// Seeds with which an emitted scenario is tried.
const SEEDS: u64 = 20;
/// When the first stimulus of an emitted scenario comes, if that is early enough.
const SOON: Duration = Duration::from_secs(5);
/// Events shown around a divergence.
const AROUND: usize = 6;

pub(super) fn replay(
    options: &Options,
    head: CaptureHead,
    events: Vec<Event>,
) -> Result<ExitCode, Failure> {
    let capture = Capture { head, events };
    let stimuli = Stimuli::of(&capture);
    let setup = prepare(options, &capture)?;
    tell_stimuli(&capture, &stimuli);
    let found = field::Failure::of(&capture.events, &stimuli);
    for failure in &found {
        outln!("failure      {}", failure.describe(&stimuli.list));
    }
    let watch = found.iter().map(|failure| failure.watch(&stimuli.list));
    let end = watch.max().unwrap_or_default().max(stimuli.end);
    let run = again(&setup, &stimuli, &stimuli.list, end)?;
    tell_comparison(&compare::compare(&capture, &stimuli, &run), &run);
    let same = |failure: &&field::Failure| failure.shows(&stimuli.list, &run.events, run.anchor);
    let Some(failure) = found.iter().find(same) else {
        outln!(
            "{}",
            match found.is_empty() {
                true => "no failure   the capture shows none that airbench knows",
                false => "NOT SEEN     the firmware does not fail so in the simulator",
            }
        );
        return Ok(ExitCode::SUCCESS);
    };
    outln!("REPRODUCED   {}", failure.describe(&stimuli.list));
    if let Some(path) = &options.emit_feature {
        emit(options, &capture, &setup, &stimuli, failure, path)?;
    }
    Ok(ExitCode::FAILURE)
}

/// The world of the replay: the firmware on the captured link.
fn prepare(options: &Options, capture: &Capture) -> Result<Setup, Failure> {
    let run = RunOptions {
        path: options.firmware.clone(),
        block: options.block,
        lib: options.lib.clone(),
        host: options.host.clone(),
        lte: Some(options.lte.clone()),
        seed: Some(options.seed),
        ..RunOptions::default()
    };
    let project = run.project()?;
    if run.path.is_none() && project.firmware.path.is_none() {
        let what =
            "a capture has no firmware in it; name the one that was captured with --firmware PATH";
        return Err(Failure::Usage(what.to_owned()));
    }
    let mut setup = setup(&run, &project, None)?;
    if let Some(error) = run.syntax_error(&project, &setup) {
        return Err(error);
    }
    if let Some(half) = half_trip(capture) {
        setup.profile.link.up.latency_ms = half;
        setup.profile.link.down.latency_ms = half;
    }
    Ok(setup)
}

/// The latency of either direction, in milliseconds: the capture shows their sum
/// only.
fn half_trip(capture: &Capture) -> Option<f64> {
    let trip = capture.head.link.as_ref()?.shortest_trip_us?;
    Some((trip as f64 / 2000.0).max(1.0).round())
}

fn again(
    setup: &Setup,
    stimuli: &Stimuli,
    list: &[Stimulus],
    end: Duration,
) -> Result<Rerun, Failure> {
    rerun(setup, stimuli, list, end).map_err(|error| match error {
        RerunError::World(error) => Failure::World(error),
        other => Failure::Usage(other.to_string()),
    })
}

fn tell_stimuli(capture: &Capture, stimuli: &Stimuli) {
    if let Some(link) = &capture.head.link {
        import::tell_link(link);
    }
    let what = match stimuli.connected {
        true => "the device's first WebSocket",
        false => "the capture's beginning (it shows no WebSocket; the device gets 30 s to start)",
    };
    outln!(
        "stimuli      {} over {}, counted from {what}",
        stimuli.list.len(),
        show(stimuli.end)
    );
    if stimuli.early > 0 {
        outln!("             {} before it are left out", stimuli.early);
    }
}

fn tell_comparison(comparison: &Comparison, run: &Rerun) {
    let (captured, given) = comparison.counts;
    outln!(
        "outputs      {captured} captured, {given} in the replay, {} alike (digits and times within 5 s do not count)",
        comparison.matched
    );
    let tell = |what: &str, output: &Output| {
        let bytes = String::from_utf8_lossy(&output.bytes);
        outln!(
            "{what} {} {:.100}",
            output.source.name(),
            bytes.escape_debug().to_string()
        );
        let at = run.anchor + output.at;
        let index = run.events.partition_point(|event| event.time <= at);
        let shown = |event: &&Event| !event.kind.is_opaque() && event.kind != Kind::State;
        let near: Vec<&Event> = run.events[..index].iter().filter(shown).collect();
        for event in &near[near.len().saturating_sub(AROUND)..] {
            outln!("             {event}");
        }
    };
    match &comparison.divergence {
        None => {}
        Some(Divergence::Missing(output)) => tell(
            &format!(
                "DIFFERENT    at {} the capture has what the replay has not:",
                show(output.at)
            ),
            output,
        ),
        Some(Divergence::Extra(output)) => tell(
            &format!(
                "DIFFERENT    at {} the replay gives what the capture has not:",
                show(output.at)
            ),
            output,
        ),
    }
}

fn emit(
    options: &Options,
    capture: &Capture,
    setup: &Setup,
    stimuli: &Stimuli,
    failure: &field::Failure,
    path: &Path,
) -> Result<(), Failure> {
    let mut runs = 0;
    let mut fails = |list: &[Stimulus]| {
        // A link that never comes back would be another reason to fail.
        if field::stimuli::ends_down(list) {
            return Ok(false);
        }
        runs += 1;
        let end = failure.watch(list);
        // A failure that needs a lucky seed makes a poor scenario.
        for seed in [setup.seed, setup.seed + 1, setup.seed + 2] {
            let setup = Setup {
                seed,
                ..setup.clone()
            };
            let run = again(&setup, stimuli, list, end)?;
            if !failure.shows(list, &run.events, run.anchor) {
                return Ok(false);
            }
        }
        Ok::<_, Failure>(true)
    };
    let list = field::shrink::shrink(&stimuli.list, &mut fails, |left| {
        errln!("shrinking    {left} stimuli still fail");
    })?;
    let list = match failure {
        // It begins at a moment of its own.
        field::Failure::Silent(_) => list,
        field::Failure::Unanswered(_) => field::shrink::hasten(list, SOON, &mut fails)?,
    };
    outln!(
        "shrunk       {} of {} stimuli, {runs} trials",
        list.len(),
        stimuli.list.len()
    );
    let mut failing = 0;
    for seed in 1..=SEEDS {
        let setup = Setup {
            seed,
            ..setup.clone()
        };
        let run = again(&setup, stimuli, &list, failure.watch(&list))?;
        failing += u64::from(failure.shows(&list, &run.events, run.anchor));
    }
    let firmware = options
        .firmware
        .as_ref()
        .map(|path| path.display().to_string());
    let connection = capture
        .events
        .iter()
        .find(|event| event.kind == Kind::Handshake);
    let request = connection.map(|event| event.text().into_owned());
    let text = feature::write(&Story {
        capture,
        firmware: firmware.as_deref().unwrap_or("."),
        profile: &options.lte,
        trip_ms: half_trip(capture).map(|half| half * 2.0),
        list: &list,
        failure,
        trace: &options.file.display().to_string(),
        path: request.as_deref().and_then(|text| text.split(' ').nth(1)),
    });
    std::fs::write(path, text).map_err(|error| Failure::Write {
        path: path.to_owned(),
        error,
    })?;
    outln!(
        "written      {}; this firmware fails it with {failing} of {SEEDS} seeds",
        path.display()
    );
    Ok(())
}
