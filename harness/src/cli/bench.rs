//! wip
use super::Failure;
use clap::Args;
use std::process::ExitCode;
/// Options.
#[derive(Args)]
pub(super) struct Options {}
pub(super) fn run(_: &Options) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
