//! `airbench import`.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use airbench_import::link::LinkView;
use airbench_import::{Format, Hints, Part};
use airbench_trace::{Kind, file, output};
use clap::Args;

use super::Failure;
use crate::duration::show;
use crate::field::Capture;

/// Options of `airbench import`.
#[derive(Args)]
pub(super) struct Options {
    /// Captures: pcap, pcapng or `airtun --record` of the server, socat -x -v, LLCOM or other logs of a
    /// UART, Luatools' log; several are put on one clock.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where the result goes.
    #[arg(long, short, value_name = "FILE", default_value = "capture.abtrace")]
    output: PathBuf,
    /// Number of the UART that was tapped.
    #[arg(long, value_name = "ID", default_value_t = 1)]
    uart: u8,
    /// In two-way captures of a UART the first end is the device.
    #[arg(long)]
    swap: bool,
    /// Key log (SSLKEYLOGFILE) of the server's TLS.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The format, if it is not recognised: pcap, pcapng, socat, llcom, luatools,
    /// stamped, airtun.
    #[arg(long = "as", value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
}

fn format(name: &str) -> Result<Format, String> {
    let known = Format::ALL.into_iter().find(|format| format.name() == name);
    known.ok_or_else(|| {
        let names: Vec<_> = Format::ALL.map(Format::name).into();
        format!("one of {}", names.join(", "))
    })
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    output::may_replace(&options.output, &file::MAGIC, "recording")?;
    let mut hints = Hints {
        uart: Some(options.uart),
        swap: options.swap,
        format: options.format,
        ..Hints::default()
    };
    if let Some(path) = &options.keys {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
        hints.keys.push(text);
    }
    let mut parts = Vec::new();
    for path in &options.files {
        let wrong =
            |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
        let input = File::open(path).map_err(|error| wrong(&error))?;
        let name = path.display().to_string();
        let part = airbench_import::read(&name, input, &hints).map_err(|error| wrong(&error))?;
        tell(&part);
        parts.push(part);
    }
    let capture = Capture::of(parts);
    clocks(&capture);
    if let Some(link) = &capture.head.link {
        tell_link(link);
    }
    capture.write(&options.output)?;
    let span = capture.events.last().map_or(Duration::ZERO, |event| {
        event.time.since(airbench_clock::Instant::ZERO)
    });
    let written = options.output.display();
    outln!(
        "written      {written}: {} events over {}",
        capture.events.len(),
        show(span)
    );
    outln!("go on with   airbench replay {written} --firmware PATH");
    Ok(ExitCode::SUCCESS)
}

/// What a part holds.
fn tell(part: &Part) {
    let count = |kind: Kind| {
        part.events
            .iter()
            .filter(|event| event.kind == kind)
            .count()
    };
    let kinds = [
        (Kind::Rx, "bursts to the device"),
        (Kind::Tx, "bursts from the device"),
        (Kind::Line, "log lines"),
        (Kind::Handshake, "WebSockets"),
        (Kind::MessageIn, "messages to the server"),
        (Kind::MessageOut, "messages from the server"),
        (Kind::Network, "events of connections"),
    ];
    let list: Vec<String> = kinds
        .iter()
        .map(|(kind, name)| (count(*kind), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    outln!(
        "{:<12} {}: {}",
        part.name,
        part.format.name(),
        list.join(", ")
    );
    outln!(
        "             not seen from there: {}",
        part.vantage.blind_to()
    );
    for remark in &part.remarks {
        outln!("             {remark}");
    }
}

fn clocks(capture: &Capture) {
    for fit in capture
        .head
        .clocks
        .iter()
        .filter(|fit| fit.error != Some(0))
    {
        let seconds = fit.offset as f64 / 1e9;
        match fit.error {
            Some(error) => outln!(
                "clock        {}: {seconds:+.3} s, known to {:.3} s, by {} events that both have seen (drift {:.1} ppm)",
                fit.name,
                error as f64 / 1e9,
                fit.shared,
                fit.drift_ppm
            ),
            None => outln!(
                "clock        {}: nothing that both have seen; its times are taken as they are, and may be wrong by hours",
                fit.name
            ),
        }
    }
}

/// What the packets tell of the link.
pub(super) fn tell_link(link: &LinkView) {
    let trip = link.shortest_trip_us.map_or_else(
        || "unknown".to_owned(),
        |trip| format!("{:.1} ms", trip as f64 / 1e3),
    );
    outln!(
        "link         round trip at least {trip} ({} handshakes measured); of the server's {} segments {} were repeated, of the device's {} arrived twice or late {}",
        link.handshakes,
        link.down.0,
        link.down.1,
        link.up.0,
        link.up.1
    );
    for silence in &link.silences {
        let (heard, from) = (silence.heard, Duration::from_nanos(silence.from));
        let heard = show(Duration::from_nanos(heard));
        match silence.until {
            Some(until) => outln!(
                "             nothing came for {} from {} on, though the server repeated itself (last heard at {heard})",
                show(Duration::from_nanos(until.saturating_sub(silence.from))),
                show(from)
            ),
            None => outln!(
                "             nothing came any more from {} on, though the server repeated itself (last heard at {heard})",
                show(from)
            ),
        }
    }
}
