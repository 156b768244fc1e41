//! What is expected of the board.

use airbench_trace::{Event, Kind, Source};
use cucumber::then;
use regex::Regex;

use super::Span;
use crate::bench::Wanted;
use crate::peer::{escapes, parse_hex};
use crate::scenario::{Scenario, StepResult};

/// Text of a step; `\t` and the like are understood.
fn plain(text: &str) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&escapes(text)?).into_owned())
}

fn line_with(text: &str) -> Result<Wanted, String> {
    let wanted = plain(text)?;
    Ok(Wanted::new(
        format!("a log line with {wanted:?}"),
        move |event: &Event| event.kind == Kind::Line && event.text().contains(&wanted),
    ))
}

fn of_kind(what: String, source: Source, kind: Kind, text: String) -> Wanted {
    Wanted::new(what, move |event: &Event| {
        event.source == source && event.kind == kind && event.text().contains(&text)
    })
}

/// Waits for a log line that contains the text, since the latest When.
#[then(expr = "the log shows {string} within {span}")]
async fn log_shows_step(s: &mut Scenario, text: String, span: Span) -> StepResult {
    s.expect(line_with(&text)?, span.0).await.map(drop)
}

/// Waits for a log line that matches a regular expression.
#[then(expr = "the log matches {string} within {span}")]
async fn log_matches_step(s: &mut Scenario, pattern: String, span: Span) -> StepResult {
    let regex = Regex::new(&pattern).map_err(|error| format!("{pattern:?}: {error}"))?;
    let wanted = Wanted::new(
        format!("a log line matching {pattern:?}"),
        move |event: &Event| event.kind == Kind::Line && regex.is_match(&event.text()),
    );
    s.expect(wanted, span.0).await.map(drop)
}

/// Lets time pass; no log line may contain the text, since the latest When.
#[then(expr = "the log does not show {string} for {span}")]
async fn log_shows_not_step(s: &mut Scenario, text: String, span: Span) -> StepResult {
    s.expect_not(line_with(&text)?, span.0).await
}

/// Counts the log lines of the whole scenario that contain the text.
#[then(expr = "the log has shown {string} {int} time(s)")]
async fn log_count_step(s: &mut Scenario, text: String, count: usize) -> StepResult {
    let wanted = line_with(&text)?;
    let seen = s
        .events()
        .await?
        .iter()
        .filter(|event| (wanted.matches)(event))
        .count();
    if seen == count {
        return Ok(());
    }
    Err(s
        .failure(&format!(
            "{} was seen {seen} times, not {count}",
            wanted.what
        ))
        .await)
}

/// Compares the boot lines, one per row, with what the log begins with.
#[then(expr = "the log begins with:")]
async fn log_begins_step(s: &mut Scenario, step: &cucumber::gherkin::Step) -> StepResult {
    let text = step
        .docstring
        .as_deref()
        .ok_or("a doc string with the lines must follow")?;
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let events = s.events().await?;
    let seen: Vec<String> = events
        .iter()
        .filter(|event| event.kind == Kind::Line)
        .take(lines.len())
        .map(|event| event.text().into_owned())
        .collect();
    if seen == lines {
        return Ok(());
    }
    Err(s
        .failure(&format!(
            "the log begins with\n  {}\nnot with\n  {}",
            seen.join("\n  "),
            lines.join("\n  ")
        ))
        .await)
}

/// Waits for text on a UART's transmit line; chunks are joined.
#[then(expr = "UART{int} sends {string} within {span}")]
async fn uart_sends_step(s: &mut Scenario, id: u8, text: String, span: Span) -> StepResult {
    let bytes = escapes(&text)?;
    s.expect(sends(id, bytes, format!("{text:?} on UART{id}"))?, span.0)
        .await
        .map(drop)
}

/// Waits for bytes in hexadecimal on a UART's transmit line.
#[then(expr = "UART{int} sends the bytes {string} within {span}")]
async fn uart_sends_bytes_step(s: &mut Scenario, id: u8, hex: String, span: Span) -> StepResult {
    let bytes = parse_hex(&hex)?;
    s.expect(sends(id, bytes, format!("{hex} on UART{id}"))?, span.0)
        .await
        .map(drop)
}

/// Recognises bytes in what a UART sends, across chunks.
fn sends(id: u8, bytes: Vec<u8>, what: String) -> Result<Wanted, String> {
    let source = Source::uart(id).ok_or_else(|| format!("there is no UART{id}"))?;
    let seen = std::sync::Mutex::new(Vec::new());
    Ok(Wanted::new(what, move |event: &Event| {
        if event.source != source || event.kind != Kind::Tx {
            return false;
        }
        // Only a panic in this very closure could have poisoned the lock.
        let mut seen = seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.extend_from_slice(&event.bytes);
        seen.windows(bytes.len().max(1))
            .any(|window| window == bytes)
    }))
}

/// Sees to it that a UART stays silent for a while.
#[then(expr = "UART{int} sends nothing for {span}")]
async fn uart_silent_step(s: &mut Scenario, id: u8, span: Span) -> StepResult {
    let source = Source::uart(id).ok_or_else(|| format!("there is no UART{id}"))?;
    let wanted = Wanted::new(format!("anything on UART{id}"), move |event: &Event| {
        event.source == source && event.kind == Kind::Tx
    });
    s.expect_not(wanted, span.0).await
}

/// Waits for a reset; the reason is software, watchdog or reset-key.
#[then(expr = "the board resets by {word} within {span}")]
async fn resets_step(s: &mut Scenario, reason: String, span: Span) -> StepResult {
    let text = format!("reset {reason}");
    let wanted = of_kind(
        format!("a reset by {reason}"),
        Source::Board,
        Kind::Power,
        text,
    );
    s.expect(wanted, span.0).await.map(drop)
}

/// Sees to it that the board does not reset for a while.
#[then(expr = "the board does not reset for {span}")]
async fn resets_not_step(s: &mut Scenario, span: Span) -> StepResult {
    let wanted = of_kind("a reset".into(), Source::Board, Kind::Power, "reset".into());
    s.expect_not(wanted, span.0).await
}

/// Waits for the script to end with an error that contains the text.
#[then(expr = "the script fails with {string} within {span}")]
async fn script_fails_step(s: &mut Scenario, text: String, span: Span) -> StepResult {
    let text = plain(&text)?;
    let what = format!("a script error with {text:?}");
    s.expect(
        of_kind(what, Source::Board, Kind::ScriptError, text),
        span.0,
    )
    .await
    .map(drop)
}

/// Looks back: no error has ended the script so far.
#[then(expr = "the script has not failed")]
async fn script_has_not_failed_step(s: &mut Scenario) -> StepResult {
    let events = s.events().await?;
    match events.iter().find(|event| event.kind == Kind::ScriptError) {
        None => Ok(()),
        Some(event) => Err(s.failure(&format!("the script has failed: {event}")).await),
    }
}

/// Waits for a state of the modem: sim-ready, no-sim, pin-wanted, refused, pdp-active, time-sync, link-up, link-down, rrc-connected, rrc-idle.
#[then(expr = "the modem reports {word} within {span}")]
async fn modem_step(s: &mut Scenario, state: String, span: Span) -> StepResult {
    let what = format!("modem state {state}");
    s.expect(of_kind(what, Source::Modem, Kind::State, state), span.0)
        .await
        .map(drop)
}

/// Waits for a pin to be driven to a level (0 or 1) by the script.
#[then(expr = "pin {int} is driven to {int} within {span}")]
async fn pin_step(s: &mut Scenario, pin: u8, level: u8, span: Span) -> StepResult {
    let text = format!("gpio{pin} {level}");
    let what = format!("pin {pin} at {level}");
    s.expect(of_kind(what, Source::Board, Kind::State, text), span.0)
        .await
        .map(drop)
}

/// Looks back: the script has used nothing that is not modelled.
#[then(expr = "everything the script used is modelled")]
async fn modelled_step(s: &mut Scenario) -> StepResult {
    let events = s.events().await?;
    match events.iter().find(|event| event.kind == Kind::NotModelled) {
        None => Ok(()),
        Some(event) => Err(s.failure(&format!("not modelled: {}", event.text())).await),
    }
}

/// Waits for bytes that a UART lost, for a reason: overflow, framing or closed.
#[then(expr = "UART{int} loses bytes by {word} within {span}")]
async fn uart_loses_step(s: &mut Scenario, id: u8, reason: String, span: Span) -> StepResult {
    let source = Source::uart(id).ok_or_else(|| format!("there is no UART{id}"))?;
    s.expect(
        of_kind(format!("loss by {reason}"), source, Kind::Lost, reason),
        span.0,
    )
    .await
    .map(drop)
}

/// Runs on for a while; neither the script nor the board may end in it.
#[then(expr = "the board runs for {span}")]
async fn runs_step(s: &mut Scenario, span: Span) -> StepResult {
    let wanted = Wanted::new("the end of the script or a reset", |event: &Event| {
        let reset = event.kind == Kind::Power && event.bytes.starts_with(b"reset");
        event.kind == Kind::ScriptError || (reset && event.bytes != b"reset reset-key")
    });
    s.expect_not(wanted, span.0).await
}
