//! `cucumber`: runs a project's scenarios.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    airbench::cli::cucumber()
}
