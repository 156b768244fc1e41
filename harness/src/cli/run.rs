//! `airbench run`, and the main job.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::output::{may_replace, same_file};
use airbench_trace::{Event, Retention};
use airbench_world::{Action, Console, Setup, TapAt, World};

use super::pace::{self, Schedule};
use super::summary::{self, Tally};
use super::{Failure, RunOptions, setup};
use crate::capture::PcapFile;
use crate::peer::{self, Peer, Terminal, Typed};
use crate::recording::Recorder;
use crate::vcd::VcdFile;
use crate::{duration, flash};

/// Device time of a run that says nothing about it.
const DEFAULT_SPAN: Duration = Duration::from_secs(60);
/// Device time of the main job …
const MAIN_SPAN: Duration = Duration::from_secs(24 * 3600);
/// … of which so much is shown.
const MAIN_SHOWN: Duration = Duration::from_secs(35);

/// Device time of a script that does not compile.
const SYNTAX_SPAN: Duration = Duration::from_secs(1);
/// A script that has computed this long at the end of a run hangs.
const HANG: Duration = Duration::from_secs(10);

/// The main job: the built-in firmware for a day.
pub(super) fn main_job() -> Result<ExitCode, Failure> {
    outln!("airbench: the built-in firmware (fixtures/firmware/ws-echo) on a simulated Air780E\n");
    let options = RunOptions {
        span: Some(MAIN_SPAN),
        ..RunOptions::default()
    };
    execute(&options, Some(Instant::ZERO + MAIN_SHOWN))
}

/// Runs a firmware.
pub(super) fn run(options: &RunOptions) -> Result<ExitCode, Failure> {
    execute(options, None)
}

/// Prints events as they happen.
fn printer(
    setup: &Setup,
    options: &RunOptions,
    shown_until: Option<Instant>,
) -> impl FnMut(&Event) + Send + use<> {
    let mut console = Console::new(setup.epoch);
    let (quiet, all) = (options.quiet, options.events);
    // Standard output belongs to a UART's peer if one is wired to it.
    let piped = pipes(options) > 0;
    let live = live(options, setup);
    let mut out: Box<dyn Write + Send> = if piped {
        Box::new(std::io::stderr())
    } else {
        Box::new(BufWriter::new(std::io::stdout()))
    };
    let mut first = true;
    let mut told = false;
    move |event| {
        if quiet {
            return;
        }
        let line = console.line(event);
        if shown_until.is_some_and(|until| event.time > until) {
            if !told {
                told = true;
                let _ = writeln!(out, "… and so on; `airbench run` shows all of it")
                    .and_then(|()| out.flush());
            }
            return;
        }
        let text = match line {
            Some(line) => line,
            None if all => event.to_string().into_bytes(),
            None => return,
        };
        // A closed pipe (`| head`) ends the output, not the run.
        let _ = out.write_all(&text).and_then(|()| out.write_all(b"\n"));
        if first || live {
            first = false;
            let _ = out.flush();
        }
    }
}

/// The peers asked for, with the UART each belongs to.
fn peers(options: &RunOptions) -> impl Iterator<Item = (u8, &Peer)> {
    let slots = [
        (0, &options.uart0),
        (1, &options.uart1),
        (2, &options.uart2),
        (4, &options.uart4),
        (0x20, &options.vuart),
    ];
    slots
        .into_iter()
        .filter_map(|(id, peer)| peer.as_ref().map(|peer| (id, peer)))
}

/// UARTs wired to standard input and output.
fn pipes(options: &RunOptions) -> usize {
    peers(options)
        .filter(|(_, peer)| matches!(peer, Peer::Stdio))
        .count()
}

/// Somebody outside the simulation is at the other end.
fn is_live(peer: &Peer) -> bool {
    matches!(peer, Peer::Stdio | Peer::Pty)
}

/// The run keeps pace with the wall clock.
fn live(options: &RunOptions, setup: &Setup) -> bool {
    options.realtime || setup.is_live() || peers(options).any(|(_, peer)| is_live(peer))
}

/// Wires the peers up; gives what must stay alive.
fn attach(
    world: &mut World,
    options: &RunOptions,
    typed: &Sender<Typed>,
) -> Result<(Schedule, Vec<Terminal>), Failure> {
    let mut schedule = Schedule::default();
    let mut terminals = Vec::new();
    for (uart, peer) in peers(options) {
        match peer {
            Peer::Script(path) => schedule.add(uart, peer::read_script(path)?),
            Peer::Stdio => peer::attach_stdio(world, uart, typed.clone()),
            Peer::Pty => {
                let terminal = peer::attach_pty(world, uart, typed.clone())?;
                let name = match uart {
                    0x20 => "VUART_0".to_owned(),
                    uart => format!("UART{uart}"),
                };
                errln!("airbench: {name} is {}", terminal.path);
                terminals.push(terminal);
            }
        }
    }
    Ok((schedule, terminals))
}

/// What a run writes is written over nothing else.
fn check_outputs(options: &RunOptions) -> Result<(), Failure> {
    if let Some(path) = &options.record {
        may_replace(path, &airbench_trace::file::MAGIC, "recording")?;
    }
    if let Some(path) = &options.pcap {
        may_replace(path, &airbench_trace::pcapng::MAGIC, "pcapng capture")?;
    }
    if let Some(path) = &options.vcd {
        may_replace(path, &crate::vcd::MAGIC, "waveform of airbench's")?;
    }
    let outputs = [
        ("--pcap", &options.pcap),
        ("--record", &options.record),
        ("--vcd", &options.vcd),
    ];
    for (index, (name, path)) in outputs.iter().enumerate() {
        let same = |other: &&(&str, &Option<PathBuf>)| match (path, other.1) {
            (Some(path), Some(other)) => same_file(path, other),
            _ => false,
        };
        if let Some((other, _)) = outputs[..index].iter().find(same) {
            return Err(Failure::Usage(format!(
                "{other} and {name} name the same file"
            )));
        }
    }
    Ok(())
}

fn execute(options: &RunOptions, shown_until: Option<Instant>) -> Result<ExitCode, Failure> {
    if pipes(options) > 1 {
        return Err(Failure::Usage(
            "only one UART can be wired to stdio; use pty or script:FILE for the others".into(),
        ));
    }
    let project = options.project()?;
    let setup = setup(options, &project, None)?;
    check_outputs(options)?;
    let syntax = options.syntax_error(&project, &setup);
    if setup.flash.scripts.is_some() {
        errln!(
            "airbench: the flash file has scripts that an update installed; they run, not those given"
        );
    }
    let mut world = World::new(&setup, Retention::Last(1));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let counting = Arc::clone(&tally);
    world.add_sink(move |event| {
        counting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(event);
    });
    let recorder = match &options.record {
        Some(path) => Some(Recorder::start(
            path,
            &setup,
            &mut world,
            live(options, &setup),
        )?),
        None => None,
    };
    let pcap = options.pcap.as_deref();
    let place = match options.pcap_at.as_str() {
        "server" => TapAt::Server,
        _ => TapAt::Radio,
    };
    let pcap = pcap.map(|path| PcapFile::start(path, place, setup.epoch, &mut world));
    let pcap = pcap.transpose()?;
    let vcd = options.vcd.as_deref();
    let vcd = vcd.map(|path| VcdFile::start(path, &mut world));
    let vcd = vcd.transpose()?;
    world.add_sink(printer(&setup, options, shown_until));
    let (typed, typing) = channel();
    let (schedule, _terminals) = attach(&mut world, options, &typed)?;
    drop(typed);

    let live = live(options, &setup);
    let end = match options.span {
        Some(span) => Instant::ZERO + span,
        None if live => Instant::FAR,
        None => Instant::ZERO + DEFAULT_SPAN,
    };
    // A script that does not compile is run for the firmware's own words only.
    let end = if syntax.is_some() {
        end.min(Instant::ZERO + SYNTAX_SPAN)
    } else {
        end
    };
    let stop = pace::on_interrupt();
    let begin = std::time::Instant::now();
    world.act(&Action::PowerOn)?;
    let outcome = if live {
        pace::with_the_wall(&mut world, schedule, end, &typing, &stop)
    } else {
        pace::flat_out(
            &mut world,
            schedule,
            end,
            options.quiet || shown_until.is_some(),
            &stop,
        )
    };
    let wall = begin.elapsed();
    if let Some(recorder) = recorder {
        recorder.finish(&world)?;
    }
    if let Some(vcd) = vcd {
        vcd.finish(&world)?;
    }
    if let Some(pcap) = pcap {
        pcap.finish()?;
    }
    world.flush_sinks();
    if let Some(path) = options.flash(&project) {
        flash::write(&path, world.board().flash())?;
    }
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    summary::print(&mut world, &tally, setup.seed, wall);
    outcome?;
    if let Some(error) = syntax {
        summary::say(&error.to_string());
        return Ok(ExitCode::from(2));
    }
    let busy = world.board().busy_for();
    if busy > HANG {
        let busy = duration::show(busy);
        errln!("airbench: the script hangs: it has waited for nothing for {busy}");
    }
    let unmodelled = !world.board_mut().unmodelled().is_empty();
    if options.strict && unmodelled {
        errln!("airbench: --strict: the script uses functions that are not modelled");
    }
    let failed = busy > HANG
        || tally.watchdog > 0
        || !tally.troubles.is_empty()
        || !tally.errors.is_empty()
        || (options.strict && unmodelled);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
