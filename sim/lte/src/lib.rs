//! The cellular side: a modem that attaches, and a radio link that impairs.
//!
//! # Model
//! [`Modem`] walks from power-on over SIM detection, attach and network time to
//! an IP address, each step after a configurable time. [`Link`] carries packets
//! between device and core network and impairs each direction apart: loss by
//! three models, duplication, corruption, reordering, delay with jitter, rate,
//! traces, queues, slots, MTU, outages; all of it changeable at any moment.
//! [`Rrc`] says when the radio is there for a packet, [`Nat`] which packets the
//! carrier lets through, [`Rlf`] what an outage does to the connection. A
//! [`Profile`] holds the numbers of all of them, with their sources.
//!
//! # Not modelled
//! The physical layer: a radio condition is a set of numbers.

#![forbid(unsafe_code)]

mod link;
mod modem;
mod nat;
mod profile;
mod rlf;
mod rrc;

pub use link::{
    Chain, Chance, Direction, Discipline, Distribution, Drop, Flapping, FourState, GilbertElliott,
    Handover, Link, LinkConfig, Lost, OPPORTUNITY, Path, Slot, TableError, Trace, TraceError,
    normal,
};
pub use modem::{Auto, Cell, Modem, ModemConfig, ModemEvent};
pub use nat::{Expiry, Nat, NatConfig, Passage};
pub use profile::{Carrier, Dns, Profile, ProfileError, ServerFate, builtin_names};
pub use rlf::{Rlf, RlfConfig, RlfEvent};
pub use rrc::{FastRelease, Rrc, RrcConfig, RrcEvent};
