//! What is done to the board and its surroundings.

use airbench_lte::Path;
use airbench_world::Action;
use cucumber::when;

use super::Span;
use crate::peer::{escapes, parse_hex};
use crate::scenario::{Scenario, StepResult};

/// Gives the board power; it boots.
#[when(expr = "the board is powered on")]
async fn power_on_step(s: &mut Scenario) -> StepResult {
    s.power_on().await
}

/// Takes the power away.
#[when(expr = "the power is cut")]
async fn power_off_step(s: &mut Scenario) -> StepResult {
    s.act(Action::PowerOff).await
}

/// Presses the reset key.
#[when(expr = "the reset key is pressed")]
async fn reset_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Reset).await
}

/// Lets time pass.
#[when(expr = "{span} pass(es)")]
async fn pass_step(s: &mut Scenario, span: Span) -> StepResult {
    s.run_for(span.0).await
}

/// Nothing passes over the air from now on, and nobody is told.
#[when(expr = "the radio link goes down")]
async fn link_down_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Outage(true)).await
}

/// Ends an outage.
#[when(expr = "the radio link comes back")]
async fn link_up_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Outage(false)).await
}

/// An outage of the radio link; afterwards it is over.
#[when(expr = "the radio link is down for {span}")]
async fn outage_step(s: &mut Scenario, span: Span) -> StepResult {
    s.act(Action::Outage(true)).await?;
    let since = s.keep_since();
    s.run_for(span.0).await?;
    s.act(Action::Outage(false)).await?;
    s.restore_since(since);
    Ok(())
}

/// Sets one-way delay, jitter and loss (in percent) of both directions.
#[when(expr = "the radio link has {int} ms delay, {int} ms jitter and {float} % loss")]
async fn impair_step(s: &mut Scenario, delay: u32, jitter: u32, loss: f64) -> StepResult {
    let path = Path {
        latency_ms: delay.into(),
        jitter_ms: jitter.into(),
        loss: loss / 100.0,
        ..Path::default()
    };
    s.set_link_path(true, path.clone()).await?;
    s.set_link_path(false, path).await
}

/// The network drops the data context and takes the device back afterwards.
#[when(expr = "the network drops the connection for {span}")]
async fn lose_context_step(s: &mut Scenario, span: Span) -> StepResult {
    s.act(Action::lose_context_for(span.0)).await
}

/// The network drops the data context for good.
#[when(expr = "the network drops the connection")]
async fn lose_context_for_good_step(s: &mut Scenario) -> StepResult {
    s.act(Action::LoseContext(None)).await
}

/// Puts the SIM into its slot.
#[when(expr = "the SIM is put in")]
async fn sim_in_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Sim(true)).await
}

/// Takes the SIM out of its slot.
#[when(expr = "the SIM is taken out")]
async fn sim_out_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Sim(false)).await
}

/// Stops the echo server: its connections are reset, new ones refused.
#[when(expr = "the server stops")]
async fn server_stop_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Server(false)).await
}

/// Starts the echo server again.
#[when(expr = "the server starts")]
async fn server_start_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Server(true)).await
}

/// Stops the echo server and starts it again after a while.
#[when(expr = "the server restarts within {span}")]
async fn server_restart_step(s: &mut Scenario, span: Span) -> StepResult {
    s.act(Action::Server(false)).await?;
    let since = s.keep_since();
    s.run_for(span.0).await?;
    s.act(Action::Server(true)).await?;
    s.restore_since(since);
    Ok(())
}

/// Sends text to a UART of the board (\n, \r, \xNN are understood).
#[when(expr = "UART{int} receives {string}")]
async fn uart_step(s: &mut Scenario, id: u8, text: String) -> StepResult {
    let bytes = escapes(&text)?;
    s.act(Action::Uart {
        id,
        bytes,
        baud: None,
    })
    .await
}

/// Sends bytes in hexadecimal to a UART of the board.
#[when(expr = "UART{int} receives the bytes {string}")]
async fn uart_bytes_step(s: &mut Scenario, id: u8, hex: String) -> StepResult {
    let bytes = parse_hex(&hex)?;
    s.act(Action::Uart {
        id,
        bytes,
        baud: None,
    })
    .await
}

/// Sends text to a UART at a baud rate of the peer's own.
#[when(expr = "UART{int} receives {string} at {int} baud")]
async fn uart_at_step(s: &mut Scenario, id: u8, text: String, baud: u32) -> StepResult {
    let bytes = escapes(&text)?;
    s.act(Action::Uart {
        id,
        bytes,
        baud: Some(baud),
    })
    .await
}

/// Drives a pin high.
#[when(expr = "pin {int} goes high")]
async fn pin_high_step(s: &mut Scenario, pin: u8) -> StepResult {
    s.act(Action::Pin(pin, 1)).await
}

/// Drives a pin low.
#[when(expr = "pin {int} goes low")]
async fn pin_low_step(s: &mut Scenario, pin: u8) -> StepResult {
    s.act(Action::Pin(pin, 0)).await
}
