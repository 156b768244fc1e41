//! A failure as a scenario that people read.

use std::fmt::Write;
use std::time::Duration;

use airbench_world::Action;

use super::failure::ANSWER;
use super::{Capture, Failure, Stimulus};
use crate::duration::show;

/// What a feature is written of.
pub struct Story<'a> {
    /// What was captured.
    pub capture: &'a Capture,
    /// The firmware, as the feature is to name it.
    pub firmware: &'a str,
    /// The LTE profile.
    pub profile: &'a str,
    /// Round trip of the link in milliseconds, if the capture tells.
    pub trip_ms: Option<f64>,
    /// The stimuli that are needed.
    pub list: &'a [Stimulus],
    /// What fails.
    pub failure: &'a Failure,
    /// The name of the capture's file.
    pub trace: &'a str,
    /// The path of the connection.
    pub path: Option<&'a str>,
}

/// Bytes as a step writes them: between quotes that they do not have.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text += "\\\\",
                '\n' => text += "\\n",
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                c if c.is_control() => {
                    let _ = write!(text, "\\x{:02x}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if text.contains('"') && !text.contains('\'') {
        format!("'{text}'")
    } else {
        format!("\"{}\"", text.replace('"', "\\x22"))
    }
}

/// A span as a step writes it.
fn span(span: Duration) -> String {
    let micros = span.as_micros();
    if micros.is_multiple_of(1_000_000) {
        format!("{} s", micros / 1_000_000)
    } else {
        format!("{} ms", micros.div_ceil(1000))
    }
}

/// The feature's text.
pub fn write(story: &Story<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = head(&mut out, story);
    let _ = steps(&mut out, story);
    out
}

fn head(out: &mut String, story: &Story<'_>) -> std::fmt::Result {
    writeln!(out, "Feature: What {} shows", story.trace)?;
    writeln!(out, "  Captured:")?;
    for part in &story.capture.head.parts {
        let name = std::path::Path::new(&part.name);
        let name = name
            .file_name()
            .map_or_else(|| part.name.clone(), |n| n.to_string_lossy().into_owned());
        writeln!(
            out,
            "  * {name} ({}); not seen from there: {}",
            part.format,
            part.vantage.blind_to()
        )?;
    }
    let (all, kept) = (story.capture.events.len(), story.list.len());
    writeln!(
        out,
        "  {all} events, of which {kept} stimuli are needed to see the failure:"
    )?;
    writeln!(out, "  {}.", story.failure.describe(story.list))?;
    writeln!(out)
}

fn steps(out: &mut String, story: &Story<'_>) -> std::fmt::Result {
    let title = match story.failure {
        Failure::Unanswered(_) => "Every burst brings the server its message",
        Failure::Silent(_) => "The server hears of the device again",
    };
    writeln!(out, "  @needs.uart @needs.lte.impair\n  Scenario: {title}")?;
    writeln!(
        out,
        "    Given the firmware {}",
        quoted(story.firmware.as_bytes())
    )?;
    writeln!(
        out,
        "    And the LTE profile {}",
        quoted(story.profile.as_bytes())
    )?;
    writeln!(out, "    When the board is powered on")?;
    if let Some(trip) = story.trip_ms {
        let half = (trip / 2.0).max(1.0).round();
        writeln!(out, "    And the radio link is impaired both ways:")?;
        writeln!(out, "      \"\"\"\n      latency_ms = {half}\n      \"\"\"")?;
    }
    let mut now = Duration::ZERO;
    if let Some(path) = story.path {
        writeln!(
            out,
            "    Then the server sees a connection to {} within 180 s",
            quoted(path.as_bytes())
        )?;
    } else {
        writeln!(out, "    And 30 s pass")?;
    }
    for (index, stimulus) in story.list.iter().enumerate() {
        let word = if index == 0 { "When" } else { "And" };
        let wait = stimulus.at.saturating_sub(now);
        now = stimulus.at;
        if wait >= Duration::from_millis(1) {
            writeln!(out, "    {word} {} pass", span(wait))?;
            writeln!(out, "    And {}", action(&stimulus.action))?;
        } else {
            writeln!(out, "    {word} {}", action(&stimulus.action))?;
        }
    }
    match story.failure {
        Failure::Unanswered(_) => {
            let wanted = story.failure.wanted(story.list);
            writeln!(out, "    And {} pass", span(ANSWER))?;
            writeln!(
                out,
                "    Then the server has received at least {wanted} messages"
            )
        }
        Failure::Silent(since) => {
            let wait = since.saturating_sub(now);
            if wait >= Duration::from_millis(1) {
                writeln!(out, "    And {} pass", span(wait))?;
            }
            writeln!(
                out,
                "    Then the server receives a message within {}",
                show(super::failure::PATIENCE)
            )
        }
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Uart { id, bytes, .. } => format!("UART{id} receives {}", quoted(bytes)),
        Action::Outage(true) => "the radio link goes down".to_owned(),
        Action::Outage(false) => "the radio link comes back".to_owned(),
        // Stimuli of captures are of these two kinds.
        other => format!("{other:?}"),
    }
}
