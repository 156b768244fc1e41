//! A user's firmware: a folder, a script, an image, an archive, or a document.

use std::path::{Path, PathBuf};

use airbench_luatos::{Scripts, fota, luadb};

use crate::document;
use crate::soc::{self, SocError};

/// Why a firmware could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The path does not exist or cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A FOTA package, which is for a running firmware.
    #[error(
        "{0} is an update package, not a firmware: a script takes it in with fota.file() or an HTTP download; `airbench pack` without --fota writes an image that can be run"
    )]
    Package(PathBuf),
    /// A folder without a main script.
    #[error("{0} has no main.lua; a firmware folder needs one")]
    NoMain(PathBuf),
    /// A document without a program.
    #[error(
        "{path} has no fenced code block with sys.run() in it; a document must hold a whole program in ``` fences"
    )]
    NoProgram {
        /// Which document.
        path: PathBuf,
    },
    /// A block that is not there.
    #[error(
        "{path} has {count} block(s) with sys.run(), so --block must be 1 to {count}, not {block}"
    )]
    NoSuchBlock {
        /// Which document.
        path: PathBuf,
        /// Which block was asked for.
        block: usize,
        /// How many there are.
        count: usize,
    },
    /// An archive without usable scripts.
    #[error("{path}: {error}")]
    Soc {
        /// Which archive.
        path: PathBuf,
        /// Why.
        error: SocError,
    },
    /// `--block` for something that is no document.
    #[error("--block is for text documents; {0} is a firmware of its own")]
    BlockForFirmware(PathBuf),
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })
}

/// Loads a firmware and the library folders it needs.
///
/// * a folder with `main.lua` or `main.luac`: its files, as Luatools flashes them;
/// * a `.lua` or `.luac` file: it becomes the main script;
/// * a LuaDB image (`script.bin`), or a `.soc` archive with one in it;
/// * anything else is a document: its `block`-th fenced block that contains
///   `sys.run()` (the first if none is asked for).
pub fn load(path: &Path, block: Option<usize>, libs: &[PathBuf]) -> Result<Scripts, LoadError> {
    let kind = std::fs::metadata(path).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })?;
    let content = if kind.is_dir() {
        Vec::new()
    } else {
        read(path)?
    };
    let has = |name: &str| path.extension().is_some_and(|extension| extension == name);
    let mut scripts = Scripts::default();
    let mut document = false;
    if kind.is_dir() {
        add_folder(&mut scripts, path, false)?;
        if scripts.get("main.lua").is_none() && scripts.get("main.luac").is_none() {
            return Err(LoadError::NoMain(path.to_owned()));
        }
    } else if fota::is_package(&content) {
        return Err(LoadError::Package(path.to_owned()));
    } else if luadb::is_image(&content) {
        scripts = mount(&content);
    } else if soc::is_archive(&content) || has("soc") {
        scripts = mount(
            &soc::script_image(&content).map_err(|error| LoadError::Soc {
                path: path.to_owned(),
                error,
            })?,
        );
    } else if has("bin") {
        // An image that is none is the firmware's affair as well.
        scripts = mount(&content);
    } else if content.starts_with(b"\x1bLua") || has("luac") {
        scripts.add("main.luac", content);
    } else if has("lua") {
        scripts.add("main.lua", content);
    } else {
        document = true;
        let text = String::from_utf8_lossy(&content).into_owned();
        scripts.add(
            "main.lua",
            document::program(path, &text, block)?.into_bytes(),
        );
    }
    if block.is_some() && !document {
        return Err(LoadError::BlockForFirmware(path.to_owned()));
    }
    for lib in libs {
        add_folder(&mut scripts, lib, true)?;
    }
    Ok(scripts)
}

/// Folders with scripts in a project's folder: they are not flashed.
/// Those given as libraries do not count.
pub fn left_out(path: &Path, libs: &[PathBuf]) -> Vec<PathBuf> {
    let has_scripts = |folder: &Path| {
        let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.any(|file| is_script(&file.path()))
    };
    let same = |a: &Path, b: &Path| a.canonicalize().ok() == b.canonicalize().ok();
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|folder| folder.is_dir() && has_scripts(folder))
        .filter(|folder| !libs.iter().any(|lib| same(lib, folder)))
        .collect();
    folders.sort();
    folders
}

/// The scripts of library folders alone.
pub fn load_libraries(folders: &[PathBuf]) -> Result<Scripts, LoadError> {
    let mut scripts = Scripts::default();
    for folder in folders {
        add_folder(&mut scripts, folder, true)?;
    }
    Ok(scripts)
}

/// The script partition with this image; a damaged one is the firmware's
/// business.
fn mount(image: &[u8]) -> Scripts {
    luadb::read(image).unwrap_or_else(|error| Scripts::damaged(&error))
}

/// Files of a project folder that are about it, not for the device.
fn is_for_the_device(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let about = ["toml", "md", "feature", "abtrace", "soc", "binpkg"];
    path.is_file() && !name.starts_with('.') && !about.contains(&&*extension)
}

fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "lua" || e == "luac")
}

/// Adds a folder's files (of a library folder only the scripts), by name, so
/// that runs repeat.
fn add_folder(scripts: &mut Scripts, folder: &Path, library: bool) -> Result<(), LoadError> {
    let failed = |error| LoadError::Read {
        path: folder.to_owned(),
        error,
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| is_for_the_device(path) && (is_script(path) || !library))
        .collect();
    files.sort();
    for file in files {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        scripts.add(&name, read(&file)?);
    }
    Ok(())
}
