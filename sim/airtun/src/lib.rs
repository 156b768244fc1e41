//! A clone of openLuat's airtun WebSocket server: `/ws/echo` and `/ws/echo2`.
//!
//! # Model
//! [`echo::reply`] is the pure semantics of `/ws/echo`, with the Java stack's
//! lenient JSON reader and its pretty-printer ([`nutz`]). [`Server`] serves both
//! endpoints over any byte stream: the binary `airtun` puts it on real sockets,
//! the simulator on in-memory streams. It knows nothing of the simulator; time
//! comes through [`Clock`], and what happens goes to an [`Observer`].
//!
//! # Not modelled
//! * Jetty's header spelling (`Upgrade: WebSocket`), error pages, and the exact
//!   close reasons of protocol errors.
//! * `permessage-deflate` and other extensions (LuatOS offers none).
//! * `/ws/airtun`, `/api`, static files, MQTT.

#![forbid(unsafe_code)]

mod clock;
pub mod echo;
pub mod nutz;
mod observe;
mod server;
pub mod tls;
mod ws;

pub use clock::{Clock, Sleep, TokioClock};
pub use observe::{Event, Observer, Opcode, Silent};
pub use server::Server;
