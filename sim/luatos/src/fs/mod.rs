//! The firmware's file systems and open files.
//!
//! Mounted, in the firmware's order: the root partition (littlefs), `/lua/`
//! (modules in the firmware), `/ram/`, `/luadb/` (the flashed scripts).
//!
//! A written file reaches its folder when it is closed, as on littlefs: a reset
//! before that loses what was written.

mod volume;

pub use volume::Volume;
pub(crate) use volume::{BLOCK, FsError, ROOT_BLOCKS};

/// Blocks of the key-value store: 64 KiB.
pub(crate) const FSKV_BLOCKS: usize = 16;

use std::cmp::Ordering;

use crate::config::{Core, Scripts};
use crate::libs::inline;
use crate::runtime::{Level, Runtime};

/// Most files open at the same time.
const OPEN: usize = 16;

/// Where a path lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mount {
    Root,
    Inline,
    Ram,
    Luadb,
}

impl Mount {
    /// All mounts with prefix and file-system name, in mounting order.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Root, "", "ec618"),
        (Self::Inline, "/lua/", "inline"),
        (Self::Ram, "/ram/", "ram"),
        (Self::Luadb, "/luadb/", "luadb"),
    ];

    /// The mount of a path and the rest of it; the latest mount wins.
    pub(crate) fn of(path: &str) -> (Self, &str) {
        Self::ALL
            .iter()
            .rev()
            .find_map(|(mount, prefix, _)| Some((*mount, path.strip_prefix(prefix)?)))
            .unwrap_or((Self::Root, path))
    }
}

/// An open file. It works on a copy of the content.
#[derive(Debug)]
pub(crate) struct OpenFile {
    mount: Mount,
    path: String,
    content: Vec<u8>,
    position: usize,
    writable: bool,
    readable: bool,
    append: bool,
    dirty: bool,
}

impl OpenFile {
    /// Up to `len` bytes from the position.
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        if !self.readable {
            return Vec::new();
        }
        let start = self.position.min(self.content.len());
        let end = start.saturating_add(len).min(self.content.len());
        self.position = end;
        self.content[start..end].to_vec()
    }

    /// A line with its end, or what is left; `None` at the end.
    pub(crate) fn read_line(&mut self) -> Option<Vec<u8>> {
        let rest = self
            .content
            .get(self.position..)
            .filter(|r| !r.is_empty())?;
        let len = rest.iter().position(|b| *b == b'\n');
        Some(self.read(len.map_or(usize::MAX, |at| at + 1)))
    }

    /// The position is at the end.
    pub(crate) fn at_end(&self) -> bool {
        self.position == self.content.len()
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Moves; false before the beginning. The new core keeps within the files of
    /// the firmware itself.
    pub(crate) fn seek(&mut self, whence: usize, offset: i64, core: Core) -> bool {
        let base = [0, self.position, self.content.len()][whence.min(2)];
        let mut target = base as i64 + offset;
        if core.is_new() && self.mount == Mount::Inline {
            target = target.clamp(0, self.content.len() as i64);
        }
        match usize::try_from(target) {
            Ok(position) => {
                self.position = position;
                true
            }
            Err(_) => false,
        }
    }
}

impl Runtime {
    /// The content of a file, as a fresh open would see it.
    pub(crate) fn read_file(&mut self, path: &str) -> Option<Vec<u8>> {
        let (mount, rest) = Mount::of(path);
        match mount {
            Mount::Root => self.flash.root.read(rest).map(<[u8]>::to_vec),
            Mount::Ram => self.ram.read(rest).map(<[u8]>::to_vec),
            Mount::Luadb => self.config.scripts.get(rest).map(<[u8]>::to_vec),
            Mount::Inline => inline::modules(self.config.core)
                .iter()
                .find(|(name, _)| rest.strip_suffix(".lua") == Some(name))
                .map(|(_, code)| code.as_bytes().to_vec()),
        }
    }

    /// Opens a file in one of fopen's modes; says so where it cannot.
    pub(crate) fn open_file(&mut self, path: &str, mode: &str) -> Option<u32> {
        let file = self.try_open(path, mode);
        if file.is_some() && self.files.len() >= OPEN {
            let line = format!("vfs fopen {path} {mode} too many open file!!!");
            self.lib_line(Level::Error, &line);
        } else if let Some(file) = file {
            return Some(self.files.add(file));
        }
        self.lib_line(Level::Debug, &format!("vfs fopen {path} {mode} not found"));
        None
    }

    /// littlefs' reading of a mode: `r+` creates, unknown ones only read.
    fn try_open(&mut self, path: &str, mode: &str) -> Option<OpenFile> {
        let (mount, rest) = Mount::of(path);
        if rest.is_empty() || rest.ends_with('/') {
            return None;
        }
        let plain: String = mode.chars().filter(|c| *c != 'b').collect();
        let (create, truncate, append) = match plain.as_str() {
            "r+" => (true, false, false),
            "w" | "w+" => (true, true, false),
            "a" | "a+" => (true, false, true),
            _ => (false, false, false),
        };
        if create {
            let volume = match mount {
                Mount::Root => &mut self.flash.root,
                Mount::Ram => &mut self.ram,
                Mount::Luadb | Mount::Inline => return None,
            };
            volume.create(rest).ok()?;
        }
        let content = self.read_file(path)?;
        Some(OpenFile {
            mount,
            path: rest.to_owned(),
            content: if truncate { Vec::new() } else { content },
            position: 0,
            writable: create,
            readable: plain != "a",
            append,
            dirty: truncate,
        })
    }

    /// Writes at the position; false if the file cannot take it.
    pub(crate) fn write_open(&mut self, id: u32, bytes: &[u8]) -> bool {
        let Some(file) = self.files.get_mut(id).filter(|file| file.writable) else {
            return false;
        };
        if file.append {
            file.position = file.content.len();
        }
        let end = file.position + bytes.len();
        let size = end.max(file.content.len());
        let fits = match file.mount {
            Mount::Root => self.flash.root.has_room(&file.path, size),
            _ => size <= self.system_heap.free() + file.content.len(),
        };
        if !fits {
            return false;
        }
        file.content.resize(size, 0);
        file.content[file.position..end].copy_from_slice(bytes);
        file.position = end;
        file.dirty = true;
        true
    }

    /// What was written reaches the volume.
    pub(crate) fn sync_file(&mut self, id: u32) {
        let Some(file) = self.files.get_mut(id).filter(|file| file.dirty) else {
            return;
        };
        file.dirty = false;
        let volume = match file.mount {
            Mount::Root => &mut self.flash.root,
            _ => &mut self.ram,
        };
        let before = volume.read(&file.path).map_or(0, <[u8]>::len);
        // The room was checked when the bytes were written.
        let written = volume.write(&file.path, file.content.clone()).is_ok();
        if written && file.mount == Mount::Ram {
            self.system_heap.resized(before, file.content.len());
        }
    }

    /// Closes a file; false if it was closed before.
    pub(crate) fn close_file(&mut self, id: u32) -> bool {
        self.sync_file(id);
        self.files.remove(id).is_some()
    }

    /// Writes a whole file; false if it could not be opened.
    pub(crate) fn write_file(&mut self, path: &str, mode: &str, bytes: &[u8]) -> bool {
        let Some(id) = self.open_file(path, mode) else {
            return false;
        };
        self.write_open(id, bytes);
        self.close_file(id);
        true
    }

    /// The volume of a path that can be changed.
    pub(crate) fn volume<'a>(&mut self, path: &'a str) -> Option<(&mut Volume, &'a str)> {
        let (mount, rest) = Mount::of(path);
        match mount {
            Mount::Root => Some((&mut self.flash.root, rest)),
            Mount::Ram => Some((&mut self.ram, rest)),
            Mount::Inline | Mount::Luadb => None,
        }
    }

    /// Names in a folder; true: a folder.
    pub(crate) fn list_folder(&mut self, path: &str) -> Vec<(String, bool)> {
        match Mount::of(path) {
            (Mount::Luadb, "") => names(&self.config.scripts),
            (Mount::Inline, "") => inline::modules(self.config.core)
                .iter()
                .map(|(name, _)| (format!("{name}.luac"), false))
                .collect(),
            (Mount::Root, rest) => {
                let mut entries = self.flash.root.list(rest).unwrap_or_default();
                entries.sort_by(|(a, _), (b, _)| littlefs_order(a, b));
                entries
            }
            (Mount::Ram, rest) => self.ram.list(rest).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

/// littlefs lists names by their bytes, but a longer name before the one it
/// begins with.
fn littlefs_order(a: &str, b: &str) -> Ordering {
    if a.starts_with(b) || b.starts_with(a) {
        return b.len().cmp(&a.len());
    }
    a.cmp(b)
}

/// Whether `offset` of `io.lsdir` counts `.` and `..`, which are not shown.
pub(crate) fn counts_dots(path: &str) -> bool {
    matches!(Mount::of(path), (Mount::Root, _))
}

fn names(scripts: &Scripts) -> Vec<(String, bool)> {
    scripts
        .iter()
        .map(|(name, _)| (name.to_owned(), false))
        .collect()
}
