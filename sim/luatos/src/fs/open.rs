//! Open files.

use super::space::Space;
use super::{FsError, Mount, inline_file};
use crate::config::Core;
use crate::fs::ram::Opened;
use crate::runtime::{Level, Runtime};

/// Most files open at the same time.
const OPEN: usize = 16;
const OPEN_NEW: usize = 32;
/// Most of them in `/luadb/`.
const OPEN_IMAGE: usize = 7;

/// What `f:seek` counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whence {
    Start,
    Position,
    End,
}

/// Where the content is.
#[derive(Debug)]
enum Body {
    /// On the root: a copy, which nobody else sees before it is closed.
    Root {
        content: Vec<u8>,
        space: Space,
        dirty: bool,
        /// The last write failed: closing leaves the file as it was.
        failed: bool,
    },
    /// In this slot of `/ram/`.
    Ram(usize),
    /// In read-only memory.
    Fixed(Vec<u8>),
}

/// An open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    mount: Mount,
    /// As it was opened, and below its mount.
    full: String,
    path: String,
    body: Body,
    /// In `/ram/` it wraps below zero.
    position: i64,
    readable: bool,
    writable: bool,
    append: bool,
}

impl OpenFile {
    /// The path it was opened with.
    pub(crate) fn full_path(&self) -> &str {
        &self.full
    }

    fn fixed(mount: Mount, full: &str, path: &str, content: Vec<u8>) -> Self {
        Self {
            mount,
            full: full.to_owned(),
            path: path.to_owned(),
            body: Body::Fixed(content),
            position: 0,
            readable: true,
            writable: false,
            append: false,
        }
    }

    /// Where a seek leads; `Err` is a failure, with what becomes of the position.
    fn target(&self, size: i64, whence: Whence, offset: i64, core: Core) -> Result<i64, i64> {
        let plain = match whence {
            Whence::Start => offset,
            Whence::Position => self.position + offset,
            Whence::End => size + offset,
        };
        let v1112 = !core.is_new();
        match self.mount {
            Mount::Root if (0..=i64::from(i32::MAX)).contains(&plain) => Ok(plain),
            Mount::Root => Err(self.position),
            // Its end is measured backwards, and nothing is checked.
            Mount::Ram if v1112 && whence == Whence::End => Ok((size - offset) as i32 as i64),
            Mount::Ram if v1112 => Ok(plain as i32 as i64),
            Mount::Luadb | Mount::Image(_) if v1112 => match whence {
                Whence::End => Ok(size),
                _ if plain < 0 => Err(plain),
                _ => Ok(plain),
            },
            Mount::Inline if v1112 && whence == Whence::End && offset <= size => Ok(size - offset),
            Mount::Inline if v1112 && plain < 0 => Err(self.position),
            Mount::Inline if v1112 => Ok(plain),
            Mount::Luadb | Mount::Image(_) if whence == Whence::End => {
                Ok((size - offset).clamp(0, size))
            }
            _ => Ok(plain.clamp(0, size)),
        }
    }
}

/// What a mode of littlefs' port asks for.
struct Mode {
    create: bool,
    truncate: bool,
    append: bool,
    read: bool,
}

/// Modes it does not know only read.
fn root_mode(mode: &str) -> Mode {
    let mode_of = |create, truncate, append, read| Mode {
        create,
        truncate,
        append,
        read,
    };
    match mode {
        "r+" | "r+b" | "rb+" => mode_of(true, false, false, true),
        "w" | "wb" | "w+" | "w+b" | "wb+" => mode_of(true, true, false, true),
        "a" | "ab" => mode_of(true, false, true, false),
        "a+" | "a+b" | "ab+" => mode_of(true, false, true, true),
        _ => mode_of(false, false, false, true),
    }
}

impl Runtime {
    /// Opens a file in one of fopen's modes; says so where it cannot.
    pub(crate) fn open_file(&mut self, path: &str, mode: &str) -> Option<u32> {
        let most = if self.config.core.is_new() {
            OPEN_NEW
        } else {
            OPEN
        };
        if let Some(file) = self.try_open(path, mode) {
            let id = self.files.add(file);
            if self.files.len() <= most {
                return Some(id);
            }
            // Opened, which may have emptied it, and closed again.
            let _ = self.close_file(id);
            let line = format!("vfs fopen {path} {mode} too many open file!!!");
            self.lib_line(Level::Error, &line);
        }
        // A chip that is going down says nothing.
        if self.crashed.is_none() {
            self.lib_line(Level::Debug, &format!("vfs fopen {path} {mode} not found"));
        }
        None
    }

    fn try_open(&mut self, path: &str, mode: &str) -> Option<OpenFile> {
        let (mount, rest) = self.mount_of(path);
        match mount {
            Mount::Root => self.open_root(path, rest, mode),
            Mount::Ram => self.open_ram(path, rest, mode),
            Mount::Inline => {
                let content = matches!(mode, "r" | "rb")
                    .then(|| inline_file(self.config.core, rest))
                    .flatten()?;
                Some(OpenFile::fixed(mount, path, rest, content))
            }
            Mount::Luadb | Mount::Image(_) => self.open_image(mount, path, rest, mode),
            Mount::Wild => {
                self.read_file(path);
                None
            }
        }
    }

    fn open_root(&mut self, path: &str, rest: &str, mode: &str) -> Option<OpenFile> {
        if self.root_lost || rest.is_empty() || rest.ends_with('/') {
            return None;
        }
        let mode = root_mode(mode);
        if self.flash.root.is_folder(rest) {
            self.crash(&format!("{path} is a folder and was opened as a file"));
            return None;
        }
        if mode.create {
            self.flash.root.create(rest).ok()?;
        }
        let content = if mode.truncate {
            Vec::new()
        } else {
            self.flash.root.read(rest)?.to_vec()
        };
        Some(OpenFile {
            mount: Mount::Root,
            full: path.to_owned(),
            path: rest.to_owned(),
            body: Body::Root {
                space: Space::of(content.len()),
                content,
                dirty: mode.truncate,
                failed: false,
            },
            position: 0,
            readable: mode.read,
            writable: mode.create,
            append: mode.append,
        })
    }

    fn open_ram(&mut self, path: &str, rest: &str, mode: &str) -> Option<OpenFile> {
        match self.ram.open(rest, mode) {
            Opened::At {
                slot,
                position,
                writable,
            } => Some(OpenFile {
                mount: Mount::Ram,
                full: path.to_owned(),
                path: rest.to_owned(),
                body: Body::Ram(slot),
                position: position as i64,
                readable: true,
                writable,
                append: false,
            }),
            Opened::No => None,
            Opened::TooMany(line) => {
                self.lib_line(Level::Error, line);
                None
            }
            Opened::UnknownMode => {
                self.lib_line(Level::Error, &format!("fs unkown open mode {mode}"));
                None
            }
        }
    }

    /// A mode that writes is told off; V1112 opens the file all the same.
    fn open_image(&mut self, mount: Mount, path: &str, rest: &str, mode: &str) -> Option<OpenFile> {
        if !matches!(mode, "r" | "rb" | "r+" | "rb+") {
            let line = format!("luadb /luadb is readonly {rest} {mode}");
            self.lib_line(Level::Warn, &line);
            if self.config.core.is_new() {
                return None;
            }
        }
        let content = self.image(mount)?.get(rest)?.to_vec();
        let open = self.files.iter().filter(|(_, file)| file.mount == mount);
        if open.count() >= OPEN_IMAGE {
            return None;
        }
        Some(OpenFile::fixed(mount, path, rest, content))
    }

    /// The whole content of an open file as its handle sees it.
    fn open_content(&self, id: u32) -> &[u8] {
        match self.files.get(id).map(|file| &file.body) {
            Some(Body::Root { content, .. } | Body::Fixed(content)) => content,
            Some(Body::Ram(slot)) => self.ram.content(*slot),
            None => &[],
        }
    }

    /// How long an open file is.
    pub(crate) fn open_size(&self, id: u32) -> usize {
        self.open_content(id).len()
    }

    /// Ends a run of writes to a file on the root.
    fn flush_open(&mut self, id: u32) -> bool {
        let Some(Body::Root { content, space, .. }) =
            self.files.get_mut(id).map(|file| &mut file.body)
        else {
            return true;
        };
        self.flash.root.flush(space, content.len())
    }

    /// Up to `len` bytes from the position.
    pub(crate) fn read_open(&mut self, id: u32, len: usize) -> Vec<u8> {
        self.flush_open(id);
        let Some(file) = self.files.get(id) else {
            return Vec::new();
        };
        if !file.readable {
            let why = format!("{} is open for appending only and was read", file.full);
            self.crash(&why);
            return Vec::new();
        }
        let content = self.open_content(id);
        // A position below zero is one far behind the end.
        let start = usize::try_from(file.position).unwrap_or(usize::MAX);
        let start = start.min(content.len());
        let end = start.saturating_add(len).min(content.len());
        let bytes = content[start..end].to_vec();
        if let Some(file) = self.files.get_mut(id) {
            file.position += bytes.len() as i64;
        }
        bytes
    }

    /// A line with its end, or what is left; `None` at the end.
    pub(crate) fn read_line_open(&mut self, id: u32) -> Option<Vec<u8>> {
        let position = self.files.get(id)?.position;
        let content = self.open_content(id);
        let rest = content.get(usize::try_from(position).ok()?..)?;
        let len = rest.iter().position(|b| *b == b'\n');
        let len = len.map_or(rest.len(), |at| at + 1);
        Some(self.read_open(id, len.max(1))).filter(|line| !line.is_empty())
    }

    /// The position is at the end.
    pub(crate) fn at_end(&self, id: u32) -> bool {
        let position = self.files.get(id).map(|file| file.position);
        position == i64::try_from(self.open_size(id)).ok()
    }

    /// Moves; the new position, as Lua's integers show it.
    pub(crate) fn seek_open(&mut self, id: u32, whence: Whence, offset: i64) -> Option<i32> {
        self.flush_open(id);
        let size = self.open_size(id) as i64;
        let core = self.config.core;
        let file = self.files.get_mut(id)?;
        let target = file.target(size, whence, offset, core);
        let (Ok(position) | Err(position)) = target;
        file.position = position;
        target.is_ok().then_some(position as i32)
    }

    /// Writes at the position; false if the file cannot take it.
    pub(crate) fn write_open(&mut self, id: u32, bytes: &[u8]) -> bool {
        let free = self.system_heap.free();
        let Some(file) = self.files.get_mut(id) else {
            return false;
        };
        if !file.writable {
            let full = file.full.clone();
            return self.refuse_write(id, &full, bytes);
        }
        if file.append {
            file.position = match &file.body {
                Body::Root { content, .. } => content.len() as i64,
                _ => file.position,
            };
        }
        let Ok(at) = usize::try_from(file.position) else {
            return false;
        };
        match &mut file.body {
            Body::Root {
                content,
                space,
                dirty,
                failed,
            } => {
                if at + bytes.len() > i32::MAX as usize {
                    return false;
                }
                // A gap before the position is filled with zeros first.
                let start = at.min(content.len());
                let wanted = at - start + bytes.len();
                let size = content.len();
                let taken = self.flash.root.reserve(space, start, wanted, size);
                if content.len() < start + taken {
                    content.resize(start + taken, 0);
                }
                let stored = (start + taken).saturating_sub(at);
                if stored > 0 {
                    content[at..at + stored].copy_from_slice(&bytes[..stored]);
                }
                file.position += stored as i64;
                *dirty = true;
                *failed = taken < wanted;
                !*failed
            }
            Body::Ram(slot) => {
                let slot = *slot;
                file.position += bytes.len() as i64;
                self.write_ram(slot, at, bytes, free)
            }
            Body::Fixed(_) => bytes.is_empty(),
        }
    }

    fn write_ram(&mut self, slot: usize, at: usize, bytes: &[u8], free: usize) -> bool {
        let before = self.ram.content(slot).len();
        let written = self.ram.write(slot, at, bytes, free);
        let after = self.ram.content(slot).len();
        self.system_heap.resized(before, after);
        if !written {
            let line = if self.config.core.is_new() {
                "fs out of memory when malloc ram_file_block_t"
            } else {
                "fs /ram out of sys memory!!"
            };
            self.lib_line(Level::Warn, line);
        }
        written
    }

    /// A write where the handle only reads.
    fn refuse_write(&mut self, id: u32, path: &str, bytes: &[u8]) -> bool {
        match self.files.get(id).map(|file| &file.body) {
            Some(Body::Root { .. }) => {
                self.crash(&format!("{path} is open for reading only and was written"));
                false
            }
            Some(Body::Ram(slot)) => {
                let name = self.mount_of(path).1;
                let line = format!("fs readonly fd {slot}!! path {name}");
                self.lib_line(Level::Warn, &line);
                false
            }
            _ => bytes.is_empty(),
        }
    }

    /// What was written reaches the volume. Errors are not seen on V1112.
    pub(crate) fn sync_file(&mut self, id: u32) -> Result<(), FsError> {
        let Some(file) = self.files.get_mut(id) else {
            return Ok(());
        };
        let Body::Root {
            content,
            space,
            dirty,
            failed,
        } = &mut file.body
        else {
            return Ok(());
        };
        if !*dirty || *failed || self.root_lost {
            self.flash.root.release(space);
            return Ok(());
        }
        if !self.flash.root.flush(space, content.len()) {
            self.flash.root.release(space);
            return Err(FsError::NoSpace);
        }
        *dirty = false;
        let committed = self
            .flash
            .root
            .commit_file(&file.path, content.clone(), space);
        *space = Space::of(content.len());
        committed
    }

    /// Closes a file. Neither a handle that was closed before nor what could not
    /// be written is an error to V1112.
    pub(crate) fn close_file(&mut self, id: u32) -> Result<(), FsError> {
        let synced = self.sync_file(id);
        if let Some(file) = self.files.remove(id)
            && let Body::Ram(slot) = file.body
        {
            self.ram.close(slot);
        }
        synced
    }

    /// Writes a whole file; false if it could not be opened. Only the new core
    /// tells that the content found no room.
    pub(crate) fn write_file(&mut self, path: &str, mode: &str, bytes: &[u8]) -> bool {
        let Some(id) = self.open_file(path, mode) else {
            return false;
        };
        self.write_open(id, bytes);
        let closed = self.close_file(id);
        closed.is_ok() || !self.config.core.is_new()
    }
}
