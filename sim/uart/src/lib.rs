//! A UART as the EC618 sees it: bytes take their time on the line, arrive in a
//! receive cache, and raise a notification when the line falls idle.
//!
//! # Model
//! A [`Port`] is the device's end. A peer sends bytes ([`Port::send_to_device`]);
//! each arrives one character time after the one before. Bytes that arrive are
//! counted into the cache lazily: reading first catches up with the clock. The
//! port notifies when the line has been silent for [`Tunables::idle`], and
//! while streaming when the cache holds more than its size (facts D.3). What
//! the device writes leaves in chunks at line rate ([`Port::poll`]). While the chip
//! sleeps a port hears nothing, or loses the burst that wakes it ([`Ear`]).
//!
//! A [`SoftPort`] is the same for a UART that the firmware makes of pins and timers.
//!
//! # Not modelled
//! * Bit errors and line breaks; a peer at another baud rate loses everything
//!   ([`Lost::Framing`]).
//! * Flow control.
//! * A burst that has begun when the chip falls asleep is still received.

#![forbid(unsafe_code)]

mod framing;
mod incoming;
mod port;
mod soft;

pub use framing::{Framing, FramingError, Parity};
pub use port::{Ear, Lost, Output, Port, Tunables};
pub use soft::{SoftOutput, SoftPort, SoftSetup};
