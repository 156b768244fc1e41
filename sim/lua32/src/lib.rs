//! Lua 5.3.6 as the EC618 firmware builds it: 32-bit integers and floats, the
//! firmware's number printing, a fixed hash seed, read-only library objects.
//!
//! # Model
//! A [`Vm`] runs its script on a native stack of its own. An API function may
//! call [`Cx::suspend`] anywhere, and so may the instruction hook: the whole VM
//! stops, [`Vm::resume`] returns, and the next resume goes on at the same
//! place. No Lua yield is involved, so it works inside callbacks, `pcall` and
//! coroutines alike.
//!
//! The heap is counted in device bytes and limited; see [`Memory`]. Rust frames
//! are never jumped over by a Lua error: `c/glue.c` tells how.
//!
//! # Not modelled
//! * `io`, `os`, `package`, `require`: the runtime above provides them.
//! * The exact layout of the device's heap: sizes are the device's, addresses
//!   and fragmentation are not.
//!
//! This is the one crate of airbench with `unsafe` code.

mod arena;
mod bytecode;
mod cx;
mod cx_code;
mod cx_load;
mod cx_tables;
mod ffi;
mod rotable;
mod vm;

pub use arena::ArenaError;
pub use cx::{Cx, Func, Kind, Raise, Ref};
pub use cx_code::format_number;
pub use rotable::{Member, Members};
pub use vm::{Config, Memory, Step, Vm, VmError};
