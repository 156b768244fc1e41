//! `airbench trace`: looking at recordings and captures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::file::{self, Writer};
use airbench_trace::{Event, output};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Failure;
use crate::duration::{self, show};
use crate::recording::{self, Header};

/// Options of `airbench trace`.
#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the events, one a line.
    Cat {
        /// A recording or capture.
        file: PathBuf,
    },
    /// Print where it comes from, and how many events of each kind it has.
    Stat {
        /// A recording or capture.
        file: PathBuf,
    },
    /// Print the events as JSON Lines; bytes that are no UTF-8 are hexadecimal.
    Export {
        /// A recording or capture.
        file: PathBuf,
    },
    /// Keep the events of a span of time.
    Cut {
        /// A recording or capture.
        file: PathBuf,
        /// From this time on, as 90s.
        #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "0s")]
        from: Duration,
        /// Up to this time.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        to: Option<Duration>,
        /// Where the result goes.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Print the first event in which two differ; exit code 1 if there is one.
    Diff {
        /// A recording or capture.
        one: PathBuf,
        /// Another.
        other: PathBuf,
    },
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    match &options.command {
        Command::Cat { file } => {
            for event in recording::read(file)?.1 {
                outln!("{event}");
            }
        }
        Command::Stat { file } => stat(file)?,
        Command::Export { file } => {
            for event in recording::read(file)?.1 {
                outln!("{}", line(&event));
            }
        }
        Command::Cut {
            file,
            from,
            to,
            output,
        } => cut(file, *from, *to, output)?,
        Command::Diff { one, other } => return diff(one, other),
    }
    Ok(ExitCode::SUCCESS)
}

/// An event as a JSON object.
fn line(event: &Event) -> serde_json::Value {
    let mut object = json!({
        "time_ns": event.time.nanos(),
        "source": event.source.name(),
        "kind": event.kind.name(),
        "len": event.len,
    });
    match std::str::from_utf8(&event.bytes) {
        _ if event.bytes.is_empty() => {}
        Ok(text) => object["text"] = text.into(),
        Err(_) => {
            let hex: String = event
                .bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            object["hex"] = hex.into();
        }
    }
    object
}

fn stat(path: &Path) -> Result<(), Failure> {
    let (header, events) = recording::read(path)?;
    outln!("written by   airbench {}", header.tool);
    if let Some(setup) = &header.setup {
        let count = setup.scripts.iter().count();
        outln!("run          seed {}, {count} scripts", setup.seed);
    }
    for part in header.capture.iter().flat_map(|head| &head.parts) {
        outln!(
            "part         {}: {}, {} events",
            part.name,
            part.format,
            part.events
        );
        outln!(
            "             not seen from there: {}",
            part.vantage.blind_to()
        );
    }
    let end = events.last().map_or(Instant::ZERO, |event| event.time);
    outln!(
        "events       {} over {}",
        events.len(),
        show(end.since(Instant::ZERO))
    );
    let mut counts: BTreeMap<(&str, &str), (usize, u64)> = BTreeMap::new();
    for event in &events {
        let (count, bytes) = counts
            .entry((event.source.name(), event.kind.name()))
            .or_default();
        *count += 1;
        *bytes += u64::from(event.len);
    }
    for ((source, kind), (count, bytes)) in counts {
        outln!("             {source:<8} {kind:<12} {count:>9} {bytes:>12} bytes");
    }
    Ok(())
}

fn cut(path: &Path, from: Duration, to: Option<Duration>, out: &Path) -> Result<(), Failure> {
    if output::same_file(path, out) {
        return Err(Failure::Usage(
            "the result cannot replace what is read".to_owned(),
        ));
    }
    output::may_replace(out, &file::MAGIC, "recording")?;
    let (header, events) = recording::read(path)?;
    let header = Header {
        // Without its beginning a run cannot be run again.
        setup: None,
        ..header
    };
    let failed = |error| Failure::Write {
        path: out.to_owned(),
        error,
    };
    let target = BufWriter::new(File::create(out).map_err(failed)?);
    let mut writer = Writer::new(target, &header).map_err(failed)?;
    let (first, last) = (Instant::ZERO + from, to.map(|to| Instant::ZERO + to));
    for event in &events {
        if event.time >= first && last.is_none_or(|last| event.time <= last) {
            writer.write(event).map_err(failed)?;
        }
    }
    writer.finish().map_err(failed)?;
    Ok(())
}

fn diff(one: &Path, other: &Path) -> Result<ExitCode, Failure> {
    let (left, right) = (recording::read(one)?.1, recording::read(other)?.1);
    let Some(difference) = recording::first_difference(&left, &right) else {
        outln!("same: {} events", left.len());
        return Ok(ExitCode::SUCCESS);
    };
    let show = |event: &Option<Event>| {
        event
            .as_ref()
            .map_or("(the end)".to_owned(), Event::to_string)
    };
    outln!("DIFFERENT at event {}:", difference.number);
    for event in &difference.before {
        outln!("           {event}");
    }
    outln!("one        {}", show(&difference.recorded));
    outln!("other      {}", show(&difference.replayed));
    Ok(ExitCode::FAILURE)
}
