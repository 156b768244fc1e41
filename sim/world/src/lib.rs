//! A board, a radio link and a small internet, in one virtual time.
//!
//! # Model
//! A [`World`] is made from a [`Setup`], which is everything that decides a run:
//! two worlds with the same setup and the same [`Action`]s have the same event
//! hash. [`World::run_until`] jumps from one due time to the next. Behind the
//! carrier stands an [`internet`](Setup::names) of hosts reached by name; the
//! airtun server, the MQTT broker and the HTTP origin among them are real async
//! programs on in-memory streams and virtual time.
//!
//! # Not modelled
//! More than one board. A name mapped to a real server leaves the simulation:
//! such a run keeps pace with the wall clock and does not repeat.

#![forbid(unsafe_code)]

mod action;
mod capture;
mod cloud;
mod console;
mod fault;
mod guest;
mod internet;
mod pipe;
mod radio;
mod relay;
mod service;
mod setup;
mod virtual_clock;
mod world;

pub use action::Action;
pub use capture::{Capture, TapAt};
pub use cloud::origin::Route;
pub use console::Console;
pub use fault::Fault;
pub use setup::{DEFAULT_EPOCH, Destination, Setup, SetupError};
pub use world::{Stats, World, WorldError};
