//! Files that are written over nothing else.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The file is somebody else's.
#[derive(Debug, thiserror::Error)]
#[error("{} exists and is no {kind}; it is not overwritten", path.display())]
pub struct Foreign {
    path: PathBuf,
    kind: &'static str,
}

/// Whether an output may be written here: there is nothing, or a file of the same
/// `kind`, which begins with `magic`.
pub fn may_replace(path: &Path, magic: &[u8], kind: &'static str) -> Result<(), Foreign> {
    let mut begin = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(magic.len() as u64).read_to_end(&mut begin));
    let foreign = read.is_ok() && !begin.is_empty() && begin != magic;
    // A pipe or a device has nothing to lose.
    if foreign && path.is_file() {
        return Err(Foreign {
            path: path.to_owned(),
            kind,
        });
    }
    Ok(())
}
