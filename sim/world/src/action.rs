//! What can be done to a world from outside.

use std::time::Duration;

use airbench_airtun::Faults;
use airbench_lte::{Carrier, Cell, Direction, Flapping, NatConfig, Path};
use serde::{Deserialize, Serialize};

/// Something a person, a test or a fault does. Actions are recorded, so that a
/// replay can do them again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Gives the board power.
    PowerOn,
    /// Takes the board's power away.
    PowerOff,
    /// Presses the reset key.
    Reset,
    /// Puts the SIM in or takes it out.
    Sim(bool),
    /// Begins or ends an outage of the radio link.
    Outage(bool),
    /// The network drops the data context; it comes back after this many
    /// milliseconds, or never.
    LoseContext(Option<u64>),
    /// Changes one direction of the link; true is up.
    Link(bool, Box<Path>),
    /// The link comes and goes from now on, or no longer.
    Flapping(Option<Flapping>),
    /// Changes what the device measures of its cell.
    Cell(Cell),
    /// Changes the carrier's address translation.
    Nat(NatConfig),
    /// Changes what else the carrier does.
    Carrier(Carrier),
    /// What the airtun server does wrong from now on.
    Faults(Faults),
    /// Stops or starts the airtun server; its connections are reset.
    Server(bool),
    /// Takes the servers' machines off the network without a word, or puts them
    /// back: what they had is forgotten.
    Host(bool),
    /// A peer sends bytes to a UART, at this baud rate or the device's own.
    Uart {
        /// LuatOS id of the port.
        id: u8,
        /// What is sent.
        bytes: Vec<u8>,
        /// The peer's baud rate, if it differs.
        baud: Option<u32>,
    },
    /// The MQTT broker publishes a message: topic, payload, qos, retain.
    Publish(String, Vec<u8>, u8, bool),
    /// A voltage in mV (or the chip's temperature in 0.001 degrees) on an ADC
    /// channel.
    Adc(i32, i32),
    /// A short message arrives: sender and text.
    Sms(String, String),
    /// Drives a pin to a level.
    Pin(u8, u8),
}

impl Action {
    /// The data context is lost and comes back after `span`.
    pub fn lose_context_for(span: Duration) -> Self {
        Self::LoseContext(u64::try_from(span.as_millis()).ok())
    }

    /// The direction a link change concerns.
    pub(crate) fn direction(up: bool) -> Direction {
        if up { Direction::Up } else { Direction::Down }
    }
}
