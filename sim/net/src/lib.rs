//! IP between the device and the simulated internet.
//!
//! # Model
//! [`IpStack`] is the seam: what the firmware's network adapter asks of a
//! TCP/IP stack, with packets in and out as bytes. [`SmolStack`] implements it
//! with smoltcp and serves as the hosts' stack too. [`Resolver`] is the
//! firmware's DNS client with its retry ladder; [`dns`] holds the messages.
//!
//! # Not modelled
//! * The EC618's lwIP timers: the device runs smoltcp with MSS 1340, a window
//!   of six segments and a delayed ACK of 250 ms (see [`Shape::device`]).
//! * IPv6, ICMP, fragmentation, NAT.

#![forbid(unsafe_code)]

pub mod dns;
mod phy;
mod resolver;
mod smol;
mod stack;

pub use resolver::{LineLevel, Lookup, Resolver};
pub use smol::{Shape, SmolStack};
pub use stack::{IpStack, TcpId, TcpState, TcpStatus, UdpId};
