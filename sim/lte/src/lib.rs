//! The cellular side: a modem that attaches, and a radio link that impairs.
//!
//! # Model
//! [`Modem`] walks from power-on over SIM detection, attach and network time to
//! an IP address, each step after a configurable time. [`Link`] carries packets
//! between device and core network: latency, jitter, loss, rate with a bounded
//! queue, and outage, each direction apart and changeable at any moment.
//! A [`Profile`] holds the numbers of both, with their sources.
//!
//! # Not modelled
//! RRC states, DRX, cell information, handover, NAT, reordering, duplication,
//! corruption, trace-driven rate.

#![forbid(unsafe_code)]

mod link;
mod modem;
mod profile;

pub use link::{Direction, Drop, Link, LinkConfig, Path};
pub use modem::{Modem, ModemConfig, ModemEvent};
pub use profile::{Profile, ProfileError, builtin_names};
