//! `airbench replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use airbench_clock::Instant;
use airbench_trace::Event;
use clap::Args;

use super::Failure;
use crate::{duration, recording};

/// Options of `airbench replay`.
#[derive(Args)]
pub(super) struct Options {
    /// A file written by `airbench run --record`.
    file: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let replay = recording::replay(&options.file)?;
    let span = duration::show(replay.end.since(Instant::ZERO));
    let tool = env!("CARGO_PKG_VERSION");
    if replay.tool != tool {
        outln!("recorded by airbench {}, this is {tool}", replay.tool);
    }
    let Some(difference) = replay.difference else {
        outln!(
            "same: {} events over {span} of device time",
            replay.compared
        );
        return Ok(ExitCode::SUCCESS);
    };
    outln!(
        "DIFFERENT at event {} of {}:",
        difference.number,
        replay.compared
    );
    for event in &difference.before {
        outln!("           {event}");
    }
    let show = |event: &Option<Event>| {
        event
            .as_ref()
            .map_or("(the end)".to_owned(), Event::to_string)
    };
    outln!("recorded   {}", show(&difference.recorded));
    outln!("replayed   {}", show(&difference.replayed));
    Ok(ExitCode::FAILURE)
}
