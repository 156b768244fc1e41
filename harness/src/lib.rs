//! The harness around the simulator: projects, runs, recordings, scenarios.
//!
//! # Model
//! [`project`] finds a user's firmware, [`config`] its `airbench.toml`. [`cli`]
//! holds the commands of the `airbench` binary. Scenarios talk to a
//! [`bench::Bench`]; the simulator ([`bench::SimBench`]) is the first. [`steps`]
//! is the vocabulary, [`gherkin`] finds and runs features. [`field`] leads from a
//! capture made in the field to a failing scenario.
//!
//! # Not modelled
//! Boards: the Bench trait has one implementation so far.

#![forbid(unsafe_code)]

pub mod bench;
pub mod capture;
pub mod cli;
pub mod config;
pub mod coverage;
mod document;
pub mod duration;
pub mod field;
pub mod flash;
pub mod gherkin;
pub mod peer;
pub mod project;
pub mod recording;
pub mod scenario;
pub mod soc;
pub mod steps;
pub mod vcd;
