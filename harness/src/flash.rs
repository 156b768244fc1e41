//! A board's flash in a file, from run to run: JSON, so that it can be looked at.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use airbench_luatos::Flash;

/// Why a flash file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// It cannot be read.
    #[error("cannot read the flash file {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is a folder or a device.
    #[error("{path} is no file; name a file that keeps the flash, or one that is not there yet")]
    NoFile {
        /// What was named.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{path} is no flash file of airbench: {error}; delete it to begin with an empty flash")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// It cannot be written.
    #[error("cannot write the flash file {path}: {error}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// What a file holds; nothing if there is none yet.
pub fn read(path: &Path) -> Result<Option<Flash>, FlashError> {
    if path.exists() && !path.is_file() {
        return Err(FlashError::NoFile {
            path: path.to_owned(),
        });
    }
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(FlashError::Read {
                path: path.to_owned(),
                error,
            });
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| FlashError::Content {
            path: path.to_owned(),
            error,
        })
}

/// Keeps a flash.
pub fn write(path: &Path, flash: &Flash) -> Result<(), FlashError> {
    let text = serde_json::to_vec(flash).expect("a flash has only string keys");
    std::fs::write(path, text).map_err(|error| FlashError::Write {
        path: path.to_owned(),
        error,
    })
}
