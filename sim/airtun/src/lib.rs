//! A clone of openLuat's airtun WebSocket server: `/ws/echo` and `/ws/echo2`.
//!
//! # Model
//! [`echo::reply`] is the pure semantics of `/ws/echo`, with the Java stack's
//! lenient JSON reader and its pretty-printer ([`nutz`]). [`Server`] serves both
//! endpoints over any byte stream: the binary `airtun` puts it on real sockets,
//! the simulator on in-memory streams. It knows nothing of the simulator; time
//! comes through [`Clock`], and what happens goes to an [`Observer`].
//!
//! HTTP and WebSocket are read by our own parsers, because the original's order
//! of checks, its words and its tolerance are the point; no library has them.
//!
//! # Not modelled
//! * The stack traces below some of Jetty's error pages.
//! * `permessage-deflate` and other extensions (LuatOS offers none).
//! * What stands behind `/ws/airtun` and `/api`, static files, MQTT.

#![forbid(unsafe_code)]

mod capture;
mod clock;
mod connection;
pub mod echo;
mod faults;
mod http;
pub mod nutz;
mod observe;
mod record;
mod server;
pub mod tls;
mod ws;

pub use capture::{Capture, Tapped};
pub use clock::{Clock, Sleep, TokioClock};
pub use faults::Faults;
pub use observe::{Event, Observer, Opcode, Silent};
pub use record::{Recording, entry};
pub use server::Server;
