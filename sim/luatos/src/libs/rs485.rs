//! The direction pin of an RS-485 transceiver, which the UART driver switches.
//!
//! It is driven to the sending level with every write, and back some
//! milliseconds after the port has run empty; only then the script is told that
//! all was sent. A write within that time is cut off by the switch.

use std::time::Duration;

use airbench_clock::Instant;

use crate::args::{Args, Call};
use crate::libs::gpio;
use crate::runtime::Runtime;

/// Real pins; what the firmware calls no pin is far above.
const PINS: i32 = 32;
/// What a turn of `uart.wait485`'s loop takes: some twenty cycles at 204 MHz.
const WAIT_TURN: Duration = Duration::from_nanos(100);

/// A direction pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rs485 {
    pin: u8,
    /// The level at which the transceiver listens.
    rx_level: u8,
    /// From the last byte to the switch.
    delay: Duration,
    /// When the switch is due.
    pub(super) due: Option<Instant>,
}

/// Arguments 8 to 10 of `uart.setup`; the delay is cut to milliseconds and is one
/// at the least.
pub(super) fn arguments(cx: &Call<'_>, baud: i32) -> Result<Option<Rs485>, airbench_lua32::Raise> {
    let pin = cx.opt_integer(8, -1)?;
    let rx_level = u8::from(cx.opt_integer(9, 0)? != 0);
    let us = cx.opt_integer(10, 12_000_000 / baud.max(1))?;
    let ms = u64::try_from(us / 1000).unwrap_or(0).max(1);
    let Some(pin) = u8::try_from(pin).ok().filter(|_| pin < PINS) else {
        return Ok(None);
    };
    Ok(Some(Rs485 {
        pin,
        rx_level,
        delay: Duration::from_millis(ms),
        due: None,
    }))
}

impl Rs485 {
    /// The transceiver listens.
    pub(super) fn listen(self, rt: &mut Runtime) {
        gpio::drive_output(rt, self.pin, self.rx_level);
    }

    /// The transceiver sends.
    pub(super) fn talk(self, rt: &mut Runtime) {
        gpio::drive_output(rt, self.pin, 1 - self.rx_level);
    }

    /// The port has run empty.
    pub(super) fn drained(&mut self, now: Instant) {
        self.due = Some(now + self.delay);
    }
}

/// Turns of the loop that waits this long.
pub(super) fn turns(wait: Duration) -> i32 {
    i32::try_from(wait.as_nanos() / WAIT_TURN.as_nanos()).unwrap_or(i32::MAX)
}
