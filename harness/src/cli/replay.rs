//! `airbench replay`: of a run's recording, or of a capture from the field.

use std::path::PathBuf;
use std::process::ExitCode;

use airbench_clock::Instant;
use airbench_trace::Event;
use clap::Args;

use super::{Failure, field};
use crate::{duration, recording};

/// Options of `airbench replay`.
#[derive(Args)]
pub(super) struct Options {
    /// A file written by `airbench run --record`, or by `airbench import`.
    pub(super) file: PathBuf,
    /// The firmware that replays a capture (as PATH of `airbench run`); default: the
    /// project's.
    #[arg(long, value_name = "PATH")]
    pub(super) firmware: Option<PathBuf>,
    /// Lua code block of a Markdown firmware.
    #[arg(long, value_name = "N")]
    pub(super) block: Option<usize>,
    /// Folder with libraries that Luatools would add; repeatable.
    #[arg(long, value_name = "DIR")]
    pub(super) lib: Vec<PathBuf>,
    /// Lead a host name to a service, as ws.example.com=airtun; repeatable.
    #[arg(long, value_name = "NAME=SERVICE")]
    pub(super) host: Vec<String>,
    /// LTE profile that a capture's replay begins with; the capture's round trip and
    /// outages are put on top.
    #[arg(long, value_name = "PROFILE", default_value = "lab")]
    pub(super) lte: String,
    /// Seed of a capture's replay.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Write the failure that a capture shows as a scenario, with as few stimuli as
    /// it needs, and try it with 20 seeds.
    #[arg(long, value_name = "FILE")]
    pub(super) emit_feature: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let (header, events) = recording::read(&options.file)?;
    if let Some(head) = header.capture {
        return field::replay(options, head, events);
    }
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
