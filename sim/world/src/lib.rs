//! A board, a radio link and a small internet, in one virtual time.
//!
//! # Model
//! A [`World`] is made from a [`Setup`], which is everything that decides a run:
//! two worlds with the same setup and the same [`Action`]s have the same event
//! hash. [`World::run_until`] jumps from one due time to the next. Behind the
//! carrier stands an [`internet`](Setup::names) of hosts reached by name; the
//! airtun server among them is the real axum program on in-memory streams and
//! virtual time.
//!
//! # Not modelled
//! More than one board; hosts outside the process.

#![forbid(unsafe_code)]

mod action;
mod console;
mod guest;
mod internet;
mod pipe;
mod setup;
mod virtual_clock;
mod world;

pub use action::Action;
pub use console::Console;
pub use setup::{DEFAULT_EPOCH, Setup, SetupError};
pub use world::{Stats, World, WorldError};
