//! The LuatOS runtime on the EC618, emulated: firmware V1112 and, as a profile,
//! the core of 2026.
//!
//! # Model
//! [`Runtime`] is everything behind the Lua VM: message bus, RTOS timers,
//! UARTs, pins and buses, file systems, network adapter and its clients
//! (websocket, mqtt, http, socket, sntp), errDump, watchdog, RTC, power. A board
//! owns it together with the VM that [`vm`] makes, lends it to the VM for every
//! resume, and lets its drivers work in between ([`Runtime::drive`]). Time is an
//! argument; the runtime adds the CPU time of what Lua computes.
//!
//! The scheduler `sys` and its companion `sysplus` are Lua, as on the board.
//! [`Core`] says which firmware it is; [`exports`] what its image offers.
//!
//! # Not modelled
//! Every function that [`api`] calls not modelled: calling one raises an error
//! that says so, and the call is counted. Besides: CPU time inside C functions,
//! EC keys of `rsa`, and FOTA packages that change the firmware itself.

#![forbid(unsafe_code)]

mod args;
mod boot;
mod config;
mod devices;
mod dispatch;
pub mod exports;
mod flash;
pub mod fota;
mod fs;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod heap;
mod libs;
pub mod luadb;
mod message;
mod net;
mod rtc;
mod runtime;
mod slab;
mod timers;

pub use boot::{Counting, ScriptError, check, compile, vm, vm_counting};
pub use config::{Config, Core, Identity, PowerOnReason, Scripts, Tunables};
pub use devices::{Bus, Device, DeviceError};
pub use flash::{Flash, Otp};
pub use fs::Volume;
pub use libs::modem_settings::ModemWish;
pub use libs::pm::{WakeSource, WakeUp};
pub use libs::sms::Sms;
pub use libs::wlan::AccessPoint;
pub use libs::{Modelled, api};
pub use net::{Secrets, tls_client};
pub use rtc::{format_date_ms, http_date, to_unix as unix_time};
pub use runtime::{Exit, Runtime, Wait};
