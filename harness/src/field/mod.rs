//! From a field capture to a failing scenario.
//!
//! # Model
//! A [`Capture`] is what importers made of other tools' files. [`stimuli`] are what
//! it shows from outside: bytes to UARTs, and outages that the server's packets
//! betray. [`rerun`] does them to a simulated device at their times, counted from the
//! moment the device's connection stood. [`failure`] says what is wrong in the
//! capture as an expectation that a healthy device fulfils; the same failure in the
//! re-run is a reproduction. [`shrink`] finds the fewest stimuli that do it, and
//! [`feature`] writes them down in Gherkin.
//!
//! # Not modelled
//! Replaying a server's answers byte for byte: our own server answers.

pub mod capture;
pub mod compare;
pub mod failure;
pub mod feature;
pub mod rerun;
pub mod shrink;
pub mod stimuli;

pub use capture::{Capture, CaptureHead};
pub use failure::Failure;
pub use stimuli::{Stimuli, Stimulus};
