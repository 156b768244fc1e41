//! Moving a world on: as fast as possible, or with the wall clock.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use airbench_clock::Instant;
use airbench_world::{Action, World, WorldError};

use crate::duration;
use crate::peer::{Timed, Typed};

/// Virtual time between two looks at the wall clock, for the progress line.
const SLICE: Duration = Duration::from_secs(600);
/// Wall time between two progress lines.
const REFRESH: Duration = Duration::from_millis(200);

/// A flag that Ctrl-C raises, so that a run ends with its summary and a whole
/// recording. A second Ctrl-C ends the process.
pub(super) fn on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    // Without a handler Ctrl-C still ends the process, only less tidily.
    let _ = ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    stop
}

/// Bytes that scripts send, merged and in order of time.
#[derive(Default)]
pub(super) struct Schedule(Vec<(Duration, u8, Vec<u8>)>);

impl Schedule {
    pub(super) fn add(&mut self, uart: u8, timed: Timed) {
        self.0
            .extend(timed.into_iter().map(|(at, bytes)| (at, uart, bytes)));
        self.0.sort_by_key(|(at, _, _)| *at);
    }

    /// What is due at or before `until`, taken out.
    fn take_until(&mut self, until: Instant) -> Option<(Instant, Action)> {
        let at = Instant::ZERO + self.0.first()?.0;
        if at > until {
            return None;
        }
        let (_, id, bytes) = self.0.remove(0);
        Some((
            at,
            Action::Uart {
                id,
                bytes,
                baud: None,
            },
        ))
    }
}

/// Runs to `end` as fast as possible; `progress` shows a line on a terminal.
pub(super) fn flat_out(
    world: &mut World,
    mut schedule: Schedule,
    end: Instant,
    progress: bool,
    stop: &AtomicBool,
) -> Result<(), WorldError> {
    let show = progress && std::io::stderr().is_terminal();
    let begin = std::time::Instant::now();
    let mut shown = begin;
    while world.now() < end && !stop.load(Ordering::Relaxed) {
        let until = (world.now() + SLICE).min(end);
        while let Some((at, action)) = schedule.take_until(until) {
            world.run_until(at)?;
            world.act(&action)?;
        }
        world.run_until(until)?;
        if show && shown.elapsed() > REFRESH {
            shown = std::time::Instant::now();
            let done = world.now().since(Instant::ZERO);
            let all = end.since(Instant::ZERO);
            super::whisper(&format!(
                "\r{} of {} ",
                duration::show(done),
                duration::show(all)
            ));
            let _ = std::io::stderr().flush();
        }
    }
    if show && shown != begin {
        super::whisper(&format!("\r{:40}\r", ""));
    }
    Ok(())
}

/// Runs with the wall clock, taking what is typed, until `end`.
pub(super) fn with_the_wall(
    world: &mut World,
    mut schedule: Schedule,
    end: Instant,
    typed: &Receiver<Typed>,
    stop: &AtomicBool,
) -> Result<(), WorldError> {
    let begin = std::time::Instant::now();
    // What is typed before the script has set the port up waits: a pipe has no
    // other way to know when.
    let mut held: Vec<Typed> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let wall = Instant::ZERO + begin.elapsed();
        let until = wall.min(end);
        while let Some((at, action)) = schedule.take_until(until) {
            world.run_until(at)?;
            world.act(&action)?;
        }
        world.run_until(until)?;
        held.extend(typed.try_iter());
        for (id, bytes) in std::mem::take(&mut held) {
            if world.board_mut().uart_is_open(id) {
                world.act(&Action::Uart {
                    id,
                    bytes,
                    baud: None,
                })?;
            } else {
                held.push((id, bytes));
            }
        }
        if until >= end {
            return Ok(());
        }
        let next = world.next_wake().unwrap_or(Instant::FAR).min(end);
        let next = schedule
            .0
            .first()
            .map_or(next, |(at, _, _)| next.min(Instant::ZERO + *at));
        let pause = next.since(Instant::ZERO + begin.elapsed());
        match typed.recv_timeout(pause.min(REFRESH)) {
            Ok(bytes) => held.push(bytes),
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody can type any more; the board goes on.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause.min(REFRESH)),
        }
    }
    Ok(())
}
