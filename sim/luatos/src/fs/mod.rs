//! The firmware's file systems.
//!
//! Mounted, in the firmware's order: the root partition (littlefs), `/lua/`
//! (modules in the firmware), `/ram/`, `/luadb/` (the flashed scripts); and what
//! a script mounts.
//!
//! What is written to the root reaches its folder when the file is closed: a
//! reset before that loses it.

mod metadata;
mod open;
mod ram;
mod space;
mod tree;
mod volume;

pub(crate) use open::{OpenFile, Whence};
pub(crate) use ram::Ram;
pub use volume::Volume;

use crate::config::Scripts;
use crate::libs::inline;
use crate::luadb;
use crate::runtime::{Level, Runtime};

/// Bytes of a flash block.
pub(crate) const BLOCK: usize = 4096;
/// Blocks of the root partition: 288 KiB (FLASH_FS_REGION of the BSP).
pub(crate) const ROOT_BLOCKS: usize = 72;
/// Blocks of the key-value store: 64 KiB.
pub(crate) const FSKV_BLOCKS: usize = 16;
/// Longest name of one path component, littlefs' own limit on this build.
const NAME: usize = 63;
/// Most mounts.
const MOUNTS: usize = 8;
const MOUNTS_NEW: usize = 16;
/// After so many failed assertions littlefs' port formats the root.
const ASSERTS: u32 = 10;

/// littlefs' error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FsError {
    NoEntry = -2,
    Exists = -17,
    NotFolder = -20,
    IsFolder = -21,
    NotEmpty = -39,
    Invalid = -22,
    NoSpace = -28,
    NameTooLong = -36,
    Corrupt = -84,
    /// Of those file systems that give no reason.
    Failed = -1,
}

/// Where a path lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mount {
    Root,
    Inline,
    Ram,
    Luadb,
    /// A LuaDB image that a script has mounted, by number.
    Image(usize),
    /// `lfs2` takes the text it is given for an address: every use crashes.
    Wild,
}

/// A mount: where, and the name of its file system.
#[derive(Debug, Clone)]
pub(crate) struct MountPoint {
    pub(crate) prefix: String,
    pub(crate) fs: &'static str,
    pub(crate) mount: Mount,
}

impl MountPoint {
    fn new(prefix: &str, fs: &'static str, mount: Mount) -> Self {
        Self {
            prefix: prefix.to_owned(),
            fs,
            mount,
        }
    }
}

/// The mounts after a boot.
pub(crate) fn first_mounts(scripts: &Scripts) -> Vec<MountPoint> {
    let mut mounts = vec![
        MountPoint::new("", "ec618", Mount::Root),
        MountPoint::new("/lua/", "inline", Mount::Inline),
        MountPoint::new("/ram/", "ram", Mount::Ram),
    ];
    if scripts.damage().is_none() {
        mounts.push(MountPoint::new("/luadb/", "luadb", Mount::Luadb));
    }
    mounts
}

/// Files of the firmware itself: byte code in spite of the suffix.
fn inline_file(core: crate::Core, name: &str) -> Option<Vec<u8>> {
    let modules = inline::modules(core);
    let stem = name.strip_suffix(".lua")?;
    let (_, code) = modules.iter().find(|(known, _)| *known == stem)?;
    Some(code.clone())
}

impl Runtime {
    /// The mount of a path and the rest of it; the latest mount wins.
    pub(crate) fn mount_of<'a>(&self, path: &'a str) -> (Mount, &'a str) {
        let of = |point: &MountPoint| Some((point.mount, path.strip_prefix(&*point.prefix)?));
        let found = self.mounts.iter().rev().find_map(of);
        found.unwrap_or((Mount::Root, path))
    }

    /// The files of a read-only mount.
    pub(crate) fn image(&self, mount: Mount) -> Option<&Scripts> {
        match mount {
            Mount::Luadb => Some(&self.config.scripts),
            Mount::Image(number) => self.images.get(number),
            _ => None,
        }
    }

    /// `fs.mount`: 0, or an error code.
    pub(crate) fn mount(&mut self, bus: &[u8], kind: &str, prefix: &str) -> i32 {
        let number = self.images.len();
        let (fs, mount) = match kind {
            "ec618" => ("ec618", Mount::Root),
            "inline" => ("inline", Mount::Inline),
            "ram" => ("ram", Mount::Ram),
            "lfs2" => ("lfs2", Mount::Wild),
            "luadb" => ("luadb", Mount::Image(number)),
            _ => {
                self.lib_line(Level::Error, &format!("vfs no such filesystem {kind}"));
                return -1;
            }
        };
        let most = if self.config.core.is_new() {
            MOUNTS_NEW
        } else {
            MOUNTS
        };
        if self.mounts.len() >= most {
            self.lib_line(Level::Error, "vfs too many filesystem mounted!!");
            return -2;
        }
        if mount == Mount::Image(number) {
            match luadb::read(bus) {
                Ok(scripts) => self.images.push(scripts),
                Err(error) => {
                    self.lib_line(Level::Warn, &format!("luadb {error}"));
                    self.lib_line(Level::Debug, "vfs mount error ret -1");
                    return -1;
                }
            }
        }
        self.mounts.push(MountPoint::new(prefix, fs, mount));
        0
    }

    /// The content of a file, as a fresh open would see it.
    pub(crate) fn read_file(&mut self, path: &str) -> Option<Vec<u8>> {
        let (mount, rest) = self.mount_of(path);
        match mount {
            Mount::Root if self.root_lost => None,
            Mount::Root => self.flash.root.read(rest).map(<[u8]>::to_vec),
            Mount::Ram => self.ram.read(rest).map(<[u8]>::to_vec),
            Mount::Inline => inline_file(self.config.core, rest),
            Mount::Luadb | Mount::Image(_) => self.image(mount)?.get(rest).map(<[u8]>::to_vec),
            Mount::Wild => {
                self.crash(&format!(
                    "{path}: an lfs2 mount has no flash chip behind it"
                ));
                None
            }
        }
    }

    /// Removes a file, or an empty folder of the root.
    pub(crate) fn remove_path(&mut self, path: &str) -> Result<(), FsError> {
        let (mount, rest) = self.mount_of(path);
        if let Some(line) = self.still_open("remove: file", path, mount, rest) {
            self.lib_line(Level::Warn, &line);
            return Err(FsError::Failed);
        }
        match mount {
            Mount::Root => self.root()?.remove(rest),
            Mount::Ram if self.ram.remove(rest) => Ok(()),
            _ => Err(FsError::Failed),
        }
    }

    /// Renames within one file system.
    pub(crate) fn rename_path(&mut self, from: &str, to: &str) -> Result<(), FsError> {
        let ((mount, old), (target, new)) = (self.mount_of(from), self.mount_of(to));
        if mount != target {
            return Err(FsError::Failed);
        }
        let what = if mount == Mount::Ram && !self.is_open(from) {
            "rename: file"
        } else {
            "rename: source file"
        };
        if let Some(line) = self.still_open(what, from, mount, old) {
            self.lib_line(Level::Warn, &line);
            return Err(FsError::Failed);
        }
        match mount {
            Mount::Root => self.root()?.rename(old, new),
            Mount::Ram if self.ram.rename(old, new) => Ok(()),
            _ => Err(FsError::Failed),
        }
    }

    fn is_open(&self, path: &str) -> bool {
        self.files.iter().any(|(_, file)| file.full_path() == path)
    }

    /// What the new core says of a file that is open.
    fn still_open(&self, what: &str, path: &str, mount: Mount, rest: &str) -> Option<String> {
        if !self.config.core.is_new() {
            return None;
        }
        if self.is_open(path) {
            return Some(format!("vfs {what} {path} is still open"));
        }
        let inside = (mount == Mount::Ram).then(|| self.ram.open_inside(rest))??;
        Some(format!("fs {what} {inside} is still open"))
    }

    /// The root's volume, unless it was formatted since the boot: then it is not
    /// mounted any more.
    fn root(&mut self) -> Result<&mut Volume, FsError> {
        if self.root_lost {
            return Err(FsError::Corrupt);
        }
        Ok(&mut self.flash.root)
    }

    /// Makes a folder.
    pub(crate) fn make_folder(&mut self, path: &str) -> Result<(), FsError> {
        let (mount, rest) = self.mount_of(path);
        match mount {
            // Its buffer holds 63 characters; one is no name.
            Mount::Root if rest.len() > NAME || rest.len() < 2 => Err(FsError::NoEntry),
            Mount::Root => self.root()?.make_folder(rest),
            Mount::Ram if !self.ram.make_folder(rest) => Err(FsError::Failed),
            _ => Ok(()),
        }
    }

    /// Removes a folder; on the root a file as well.
    pub(crate) fn remove_folder(&mut self, path: &str) -> Result<(), FsError> {
        let (mount, rest) = self.mount_of(path);
        match mount {
            Mount::Root => self.root()?.remove(rest),
            Mount::Ram if !self.ram.remove_folder(rest) => Err(FsError::Failed),
            _ => Ok(()),
        }
    }

    /// `io.dexist`: a mount, or a folder.
    pub(crate) fn folder_exists(&mut self, path: &str) -> bool {
        if self.mounts.iter().any(|point| point.prefix == path) {
            return true;
        }
        let (mount, rest) = self.mount_of(path);
        match mount {
            Mount::Root => self.root().is_ok_and(|root| root.is_folder(rest)),
            Mount::Ram => self.ram.folder_exists(rest),
            _ => {
                self.lib_line(Level::Debug, "vfs such mount not support opendir");
                false
            }
        }
    }

    /// Names in a folder; true: a folder.
    pub(crate) fn list_folder(&mut self, path: &str) -> Vec<(String, bool)> {
        let (mount, rest) = self.mount_of(path);
        match mount {
            Mount::Root => {
                let listed = self.root().ok().and_then(|root| root.list(rest));
                listed.unwrap_or_default()
            }
            Mount::Ram => self.ram.list(rest),
            Mount::Inline => {
                self.lib_line(Level::Debug, "vfs such mount not support lsdir");
                Vec::new()
            }
            _ => {
                let files = self.image(mount).into_iter().flat_map(Scripts::iter);
                files.map(|(name, _)| (name.to_owned(), false)).collect()
            }
        }
    }

    /// Formats what is mounted at exactly this prefix; false if nothing there can
    /// be. The root stays unmounted until the next reset.
    pub(crate) fn format(&mut self, prefix: &str) -> bool {
        let mut points = self.mounts.iter().rev();
        let point = points.find(|point| point.prefix == prefix);
        if point.map(|point| point.mount) == Some(Mount::Root) {
            self.flash.root.format();
            self.root_lost = true;
            return true;
        }
        let line = format!("vfs no such mount point {prefix}");
        self.lib_line(Level::Error, &line);
        false
    }

    /// A failed assertion of littlefs' port, which takes the chip down. The new
    /// core runs on other chips' ports, where such a call just fails.
    pub(crate) fn crash(&mut self, why: &str) {
        if self.config.core.is_new() {
            return;
        }
        self.flash.fs_asserts += 1;
        if self.flash.fs_asserts.is_multiple_of(ASSERTS) {
            self.flash.root.format();
        }
        self.crashed.get_or_insert_with(|| why.to_owned());
    }
}
