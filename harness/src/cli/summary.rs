//! The lines at the end of a run.

use std::collections::BTreeSet;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};
use airbench_world::World;

use crate::duration;

/// What the events of a run add up to, beyond what the world counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// The latest reply of the server.
    last_reply: Option<Instant>,
    /// Errors that ended the script, the first few, and how often each did.
    pub(super) errors: Vec<(String, u64)>,
    /// Host names nobody in the simulated internet has.
    unknown_hosts: BTreeSet<String>,
    /// `host:port` where nothing listens.
    no_services: BTreeSet<String>,
    /// Resets by the watchdog.
    pub(super) watchdog: u64,
    /// What took the chip down, and updates its boot loader refused.
    pub(super) troubles: Vec<String>,
}

impl Tally {
    pub(super) fn count(&mut self, event: &Event) {
        match (event.source, event.kind) {
            (Source::Server, Kind::MessageOut) => self.last_reply = Some(event.time),
            (Source::Board, Kind::ScriptError) => {
                let text = event.text().replace("\r\n", "\n");
                let known = self.errors.iter().position(|(known, _)| *known == text);
                match known {
                    Some(place) => self.errors[place].1 += 1,
                    None if self.errors.len() < 3 => self.errors.push((text, 1)),
                    None => {}
                }
            }
            (Source::Server, Kind::State) => {
                let text = event.text();
                let after = |start| text.strip_prefix(start).map(str::to_owned);
                self.unknown_hosts.extend(after("unknown host "));
                self.no_services.extend(after("no service "));
            }
            (Source::Board, Kind::Power) if event.bytes == b"reset watchdog" => self.watchdog += 1,
            (Source::Board, Kind::Power | Kind::State) => {
                let text = event.text();
                let trouble = ["crash: ", "update refused: "];
                let told = trouble.iter().any(|start| text.starts_with(start));
                if told && self.troubles.len() < 3 {
                    self.troubles.push(format!("{} at {}", text, event.time));
                }
            }
            _ => {}
        }
    }
}

/// Replies younger than this at the end of a run may still be under way.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// One line of the summary, on standard error. It has the form of a C library's
/// log line, so that tools which read a console can tell it from the script's.
pub(super) fn say(text: &str) {
    for line in text.lines() {
        errln!("I/airbench {line}");
    }
}

/// Prints the summary.
pub(super) fn print(world: &mut World, tally: &Tally, seed: u64, wall: Duration) {
    let span = world.now().since(Instant::ZERO);
    let speed = span.as_secs_f64() / wall.as_secs_f64().max(1e-9);
    let stats = world.stats();
    errln!("");
    say(&format!("device time  {}", duration::show(span)));
    say(&format!(
        "wall time    {}  ({speed:.0} times faster)",
        duration::show(wall)
    ));
    let missing = stats.messages_out.saturating_sub(stats.delivered);
    let recent = tally
        .last_reply
        .is_some_and(|at| world.now().since(at) < UNDER_WAY);
    let (lost, under_way) = if recent && missing == 1 {
        (0, 1)
    } else {
        (missing, 0)
    };
    let under_way = if under_way > 0 { ", 1 under way" } else { "" };
    say(&format!(
        "echoes       {} received, {lost} lost{under_way}",
        stats.delivered
    ));
    say(&format!(
        "packets      {} up, {} down, {} lost",
        stats.packets_up, stats.packets_down, stats.packets_lost
    ));
    say(&format!("resets       {}", world.board().resets()));
    say(&format!("seed         {seed}"));
    say(&format!("hash         {}", world.hash()));
    let unmodelled = world.board_mut().unmodelled();
    if unmodelled.is_empty() {
        say("not modelled nothing the script used");
    }
    for (name, count) in unmodelled {
        say(&format!("not modelled {name} ({count} calls)"));
    }
    for host in &tally.unknown_hosts {
        say(&format!(
            "unknown host {host:?}: lead it to a server of airbench with --host {host}=SERVICE \
             (airtun, mqtt, http, ftp, ntp, echo) or to a real one with {host}=tcp:ADDRESS:PORT"
        ));
    }
    for place in &tally.no_services {
        say(&format!(
            "no service   {place}: nothing listens there; --host NAME=SERVICE:PORT adds a port"
        ));
    }
    for trouble in &tally.troubles {
        say(trouble);
    }
    for (error, count) in &tally.errors {
        let times = if *count > 1 {
            format!(" ({count} times)")
        } else {
            String::new()
        };
        say(&format!("script error{times} {error}"));
    }
    if tally.watchdog > 0 {
        say(&format!("watchdog     {} resets", tally.watchdog));
    }
}
