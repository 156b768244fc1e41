//! IP between the device and the simulated internet.
//!
//! # Model
//! [`IpStack`] is the seam: what the firmware's network adapter asks of a
//! TCP/IP stack, with packets in and out as bytes. [`LwipStack`] is the device's:
//! a TCP of our own with lwIP's algorithms and the EC618's constants.
//! [`SmolStack`] implements the seam with smoltcp; it is the hosts' stack, and
//! carries the device's UDP. [`Resolver`] is the firmware's DNS client with its
//! retry ladder; [`dns`] holds the messages.
//!
//! # Not modelled
//! * Connections to the device; the fork's socket hibernation.
//! * IPv6, ICMP, NAT.

#![forbid(unsafe_code)]

pub mod dns;
mod lwip;
mod phy;
mod ports;
mod resolver;
mod smol;
mod stack;

pub use lwip::{LwipConfig, LwipStack};
pub use resolver::{LineLevel, Lookup, Resolver};
pub use smol::{Shape, SmolStack};
pub use stack::{IpStack, Keepalive, TcpError, TcpId, TcpState, TcpStatus, UdpId};
