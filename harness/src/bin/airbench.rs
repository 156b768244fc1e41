//! `airbench`: runs LuatOS firmware on a simulated Air780E.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A run makes and drops some hundred small blocks per simulated second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    airbench::cli::main()
}
