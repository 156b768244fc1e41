//! What the airtun server does wrong on purpose.

use airbench_airtun::Faults;
use airbench_world::Action;
use cucumber::when;

use super::Span;
use crate::scenario::{Scenario, StepResult};

/// Adds a fault to those there are.
async fn add(s: &mut Scenario, change: impl FnOnce(&mut Faults)) -> StepResult {
    change(&mut s.faults);
    let faults = s.faults.clone();
    s.act(Action::Faults(faults)).await
}

/// The server answers nothing and closes nothing from now on.
#[when(expr = "the server stalls")]
async fn stall_step(s: &mut Scenario) -> StepResult {
    add(s, |faults| faults.stall = true).await
}

/// The server ends new connections before it reads a request.
#[when(expr = "the server refuses connections")]
async fn refuse_step(s: &mut Scenario) -> StepResult {
    add(s, |faults| faults.refuse = true).await
}

/// The server answers so many messages; the next ends the connection without a close frame.
#[when(expr = "the server ends the connection after {int} message(s)")]
async fn close_after_step(s: &mut Scenario, messages: u64) -> StepResult {
    add(s, |faults| faults.close_after = messages).await
}

/// The server takes so much longer to answer a handshake.
#[when(expr = "the server takes {span} for a handshake")]
async fn slow_step(s: &mut Scenario, span: Span) -> StepResult {
    let ms = u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    add(s, |faults| faults.handshake_ms = ms).await
}

/// The server answers in frames with so many bytes at most.
#[when(expr = "the server answers in frames of {int} byte(s)")]
async fn fragment_step(s: &mut Scenario, bytes: usize) -> StepResult {
    add(s, |faults| faults.fragment = bytes).await
}

/// The server sends a message in the same write as the handshake's answer.
#[when(expr = "the server greets with {string}")]
async fn greeting_step(s: &mut Scenario, text: String) -> StepResult {
    add(s, |faults| faults.greeting = Some(text)).await
}

/// The servers' machines vanish from the network: no FIN, no RST.
#[when(expr = "the server's machine vanishes")]
async fn vanish_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Host(false)).await
}

/// They are back, and remember no connection.
#[when(expr = "the server's machine is back")]
async fn return_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Host(true)).await
}

/// The server shows another host's certificate, long expired, to new TLS connections.
#[when(expr = "the server shows a wrong certificate")]
async fn certificate_step(s: &mut Scenario) -> StepResult {
    add(s, |faults| faults.wrong_certificate = true).await
}

/// The server does nothing wrong any more.
#[when(expr = "the server behaves")]
async fn behave_step(s: &mut Scenario) -> StepResult {
    add(s, |faults| *faults = Faults::default()).await
}
