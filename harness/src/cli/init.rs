//! `airbench init`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::config::{FEATURE, FILE, TEMPLATE};

/// Options of `airbench init`.
#[derive(Args)]
pub(super) struct Options {
    /// Folder of the project.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let file = options.folder.join(FILE);
    if file.exists() {
        return Err(Failure::Usage(format!(
            "{} is there already; nothing was changed",
            file.display()
        )));
    }
    let features = options.folder.join("features");
    write(&features.join("boot.feature"), FEATURE)?;
    write(&file, TEMPLATE)?;
    outln!(
        "wrote {} and {}",
        file.display(),
        features.join("boot.feature").display()
    );
    outln!(
        "next: put your main.lua beside it (or change [firmware] path), then `airbench run` and `cucumber`"
    );
    Ok(ExitCode::SUCCESS)
}

/// Writes a file unless it exists, with its folder.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::Write {
        path: path.to_owned(),
        error,
    };
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
