//! What is expected of the server's view.

use std::time::Duration;

use airbench_trace::{Event, Kind};
use cucumber::then;

use super::Span;
use crate::bench::Wanted;
use crate::peer::parse_hex;
use crate::scenario::{Scenario, StepError, StepResult};

fn message(kind: Kind, prefix: &str, payload: Vec<u8>, whole: bool, what: String) -> Wanted {
    let mut start = prefix.as_bytes().to_vec();
    start.push(b' ');
    Wanted::new(what, move |event: &Event| {
        let Some(bytes) = event.bytes.strip_prefix(start.as_slice()) else {
            return false;
        };
        let found = if whole {
            bytes == payload
        } else {
            bytes
                .windows(payload.len().max(1))
                .any(|window| window == payload)
        };
        event.kind == kind && found
    })
}

/// Waits for a WebSocket connection at the server.
#[then(expr = "the server sees a connection to {string} within {span}")]
async fn handshake_step(s: &mut Scenario, path: String, span: Span) -> StepResult {
    let start = format!("GET {path} ");
    let wanted = Wanted::new(format!("a connection to {path}"), move |event: &Event| {
        event.kind == Kind::Handshake && event.text().starts_with(&start)
    });
    s.expect(wanted, span.0).await.map(drop)
}

/// Waits for a handshake with a header such as `Auth: Basic%20X`; names are
/// compared without case.
#[then(expr = "the server sees the header {string} within {span}")]
async fn header_step(s: &mut Scenario, header: String, span: Span) -> StepResult {
    let (name, value) = header
        .split_once(':')
        .ok_or("write a header as `Name: value`")?;
    let line = format!("{}: {}", name.trim().to_lowercase(), value.trim());
    let wanted = Wanted::new(format!("the header {line:?}"), move |event: &Event| {
        event.kind == Kind::Handshake && event.text().lines().any(|have| have == line)
    });
    s.expect(wanted, span.0).await.map(drop)
}

/// Waits for a message, whatever is in it.
#[then(expr = "the server receives a message within {span}")]
async fn any_message_step(s: &mut Scenario, span: Span) -> StepResult {
    let wanted = Wanted::new("a message at the server", |event: &Event| {
        event.kind == Kind::MessageIn
    });
    s.expect(wanted, span.0).await.map(drop)
}

/// Waits for a text message at the server that contains the text.
#[then(expr = "the server receives text with {string} within {span}")]
async fn text_step(s: &mut Scenario, text: String, span: Span) -> StepResult {
    let what = format!("text with {text:?} at the server");
    s.expect(
        message(Kind::MessageIn, "text", text.into_bytes(), false, what),
        span.0,
    )
    .await
    .map(drop)
}

/// Waits for exactly this text message at the server.
#[then(expr = "the server receives the text {string} within {span}")]
async fn exact_text_step(s: &mut Scenario, text: String, span: Span) -> StepResult {
    let what = format!("the text {text:?} at the server");
    s.expect(
        message(Kind::MessageIn, "text", text.into_bytes(), true, what),
        span.0,
    )
    .await
    .map(drop)
}

/// Waits for exactly these bytes as a binary message at the server.
#[then(expr = "the server receives the bytes {string} within {span}")]
async fn bytes_step(s: &mut Scenario, hex: String, span: Span) -> StepResult {
    let what = format!("the bytes {hex} at the server");
    s.expect(
        message(Kind::MessageIn, "binary", parse_hex(&hex)?, true, what),
        span.0,
    )
    .await
    .map(drop)
}

/// Sees to it that the server gets no message for a while.
#[then(expr = "the server receives nothing for {span}")]
async fn nothing_step(s: &mut Scenario, span: Span) -> StepResult {
    let wanted = Wanted::new("a message at the server", |event: &Event| {
        event.kind == Kind::MessageIn
    });
    s.expect_not(wanted, span.0).await
}

/// Waits for a connection to end at the server.
#[then(expr = "the server sees the connection end within {span}")]
async fn closed_step(s: &mut Scenario, span: Span) -> StepResult {
    let wanted = Wanted::new("the end of a connection", |event: &Event| {
        event.kind == Kind::Closed
    });
    s.expect(wanted, span.0).await.map(drop)
}

/// Waits for a UDP datagram at the errDump server that contains the text.
#[then(expr = "the errDump server receives {string} within {span}")]
async fn datagram_step(s: &mut Scenario, text: String, span: Span) -> StepResult {
    let what = format!("a datagram with {text:?}");
    let wanted = Wanted::new(what, move |event: &Event| {
        event.kind == Kind::Datagram && event.text().contains(&text)
    });
    s.expect(wanted, span.0).await.map(drop)
}

/// Messages of one kind so far.
async fn count(s: &mut Scenario, kind: Kind) -> Result<u64, StepError> {
    Ok(s.events()
        .await?
        .iter()
        .filter(|event| event.kind == kind)
        .count() as u64)
}

/// Counts the messages the server received in the whole scenario.
#[then(expr = "the server has received {int} message(s)")]
async fn received_step(s: &mut Scenario, wanted: u64) -> StepResult {
    let seen = count(s, Kind::MessageIn).await?;
    if seen == wanted {
        return Ok(());
    }
    Err(s
        .failure(&format!(
            "the server received {seen} messages, not {wanted}"
        ))
        .await)
}

/// Counts the messages the server received in the whole scenario.
#[then(expr = "the server has received at least {int} message(s)")]
async fn received_at_least_step(s: &mut Scenario, wanted: u64) -> StepResult {
    let seen = count(s, Kind::MessageIn).await?;
    if seen >= wanted {
        return Ok(());
    }
    Err(s
        .failure(&format!(
            "the server received {seen} messages, not {wanted} or more"
        ))
        .await)
}

/// Compares what the server received, sent, and what reached the script; what
/// is under way is given 5 s to arrive.
#[then(expr = "every message was echoed to the script")]
async fn all_echoed_step(s: &mut Scenario) -> StepResult {
    if !lost(s).await?.is_empty() {
        s.run_for(Duration::from_secs(5)).await?;
    }
    let text = lost(s).await?;
    if text.is_empty() {
        Ok(())
    } else {
        Err(s.failure(&text).await)
    }
}

/// What is wrong with the echoes so far, if anything.
async fn lost(s: &mut Scenario) -> Result<String, StepError> {
    let received = count(s, Kind::MessageIn).await?;
    let sent = count(s, Kind::MessageOut).await?;
    let delivered = s.delivered().await?;
    if received == sent && sent == delivered && received > 0 {
        return Ok(String::new());
    }
    Ok(format!(
        "the server received {received} and sent {sent} messages, {delivered} reached the script"
    ))
}
