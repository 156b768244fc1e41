//! `airbench`: runs LuatOS firmware on a simulated Air780E.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    airbench::cli::main()
}
