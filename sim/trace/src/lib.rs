//! The one event log: what happened, when, where, with which bytes.
//!
//! # Model
//! Everything a user can see of a run is an [`Event`]: console lines, UART
//! bytes, modem states, packets, WebSocket messages. A [`Log`] numbers and
//! hashes them, keeps those that were asked for, and hands them to sinks. The
//! same run gives the same 128-bit hash. Ciphertext is random by nature, so the
//! hash covers an event's bytes only where they are plaintext
//! ([`Kind::is_opaque`]); of the rest it covers the length.
//!
//! The file format is in `docs/trace-format.md`, code in [`file`].
//!
//! # Not modelled
//! Compression and merging of recordings.

#![forbid(unsafe_code)]

mod event;
pub mod file;
mod log;
pub mod output;
pub mod pcapng;

pub use event::{Event, Kind, Source};
pub use log::{Hash, Log, Retention};
