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

/// Two paths lead to the same file, however they are written.
pub fn same_file(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| {
        path.canonicalize().ok().or_else(|| {
            let folder = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            Some(folder.canonicalize().ok()?.join(path.file_name()?))
        })
    };
    one == other || whole(one).is_some_and(|path| Some(path) == whole(other))
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
