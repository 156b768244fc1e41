//! Captures of other people's tools, read into airbench's events.
//!
//! # Model
//! A capture comes from a place ([`Vantage`]): a server, a tap on a UART, a log
//! port. [`read`] recognises its format and gives a [`Part`]: events on the
//! capture's own clock, what cannot be seen from there, and what was wrong with the
//! file. [`merge`] puts several on one clock by what they share. [`link`] says what
//! the packets of a server tell about the device's link.
//!
//! Nothing is made up: a direction, a time or a payload that the capture does not
//! have stays unknown.
//!
//! # Not modelled
//! * TLS 1.3 and cipher suites without authenticated encryption are not decrypted.
//! * IP fragments; HTTP bodies; MQTT beyond packet types and topics.
//! * Logic analysers' files, and a board's raw log stream.

#![forbid(unsafe_code)]

mod app;
mod detect;
mod error;
pub mod link;
pub mod merge;
mod packets;
mod serial;
mod stamps;
mod tcp;
mod tls;
mod websocket;

pub use detect::{Format, read};
pub use error::ImportError;

use airbench_trace::Event;
use serde::{Deserialize, Serialize};

/// Where a capture was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// Packets at the server.
    Server,
    /// The bytes of a UART.
    Uart,
    /// The device's log.
    Log,
}

impl Vantage {
    /// What cannot be seen from there.
    pub fn blind_to(self) -> &'static str {
        match self {
            Self::Server => {
                "the radio link, the device's UARTs and log, packets lost on their way here"
            }
            Self::Uart => "the network, the device's log, bytes its receiver lost",
            Self::Log => {
                "the bytes of UARTs and connections, as far as the script does not print them"
            }
        }
    }
}

/// What a capture's times are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// Nanoseconds since 1970, UTC.
    Utc,
    /// Wall-clock time of an unknown zone, counted as if it were UTC.
    Local,
}

/// One capture.
#[derive(Debug, Clone)]
pub struct Part {
    /// The file, as the user named it.
    pub name: String,
    /// Its format.
    pub format: Format,
    /// Where it was made.
    pub vantage: Vantage,
    /// What its times are.
    pub clock: Clock,
    /// What happened, times since 1970 on that clock, in their order.
    pub events: Vec<Event>,
    /// What the packets tell about the link; of a server's capture only.
    pub link: Option<link::LinkView>,
    /// What was wrong with the file, with places, and what was left out.
    pub remarks: Vec<String>,
}

/// What the user says about a capture that it does not say itself.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The UART's number; 1 unless given.
    pub uart: Option<u8>,
    /// In two-way captures the first end is the device, not its peer.
    pub swap: bool,
    /// Lines of an NSS key log.
    pub keys: Vec<String>,
    /// The format, instead of what the content looks like.
    pub format: Option<Format>,
}
