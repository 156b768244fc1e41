//! One file system: names, contents, and how much room they take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bytes of a flash block.
pub(crate) const BLOCK: usize = 4096;
/// Blocks of the root partition: 288 KiB (FLASH_FS_REGION of the BSP).
pub(crate) const ROOT_BLOCKS: usize = 72;
/// Files up to this size lie inside their folder's metadata. littlefs allows an
/// eighth of a block at most.
const INLINE: usize = BLOCK / 8;
/// Longest name of one path component, littlefs' own limit on this build.
const NAME: usize = 63;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    /// A file's content.
    File(Vec<u8>),
    /// A folder.
    Folder,
}

/// A tree of files with a size limit, as littlefs keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    blocks: usize,
    entries: BTreeMap<String, Entry>,
}

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
}

/// A path as the volume's key: components joined by single slashes.
fn key(path: &str) -> Result<String, FsError> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ if part.len() > NAME => return Err(FsError::NameTooLong),
            _ => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn parent(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Volume {
    /// An empty volume of this many blocks.
    pub(crate) fn new(blocks: usize) -> Self {
        Self {
            blocks,
            entries: BTreeMap::new(),
        }
    }

    /// Its size in blocks.
    pub(crate) fn capacity(&self) -> usize {
        self.blocks
    }

    fn folder_exists(&self, key: &str) -> bool {
        key.is_empty() || self.entries.get(key) == Some(&Entry::Folder)
    }

    /// The content of a file.
    pub(crate) fn read(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(&key(path).ok()?) {
            Some(Entry::File(content)) => Some(content),
            _ => None,
        }
    }

    /// Makes sure that a file exists.
    pub(crate) fn create(&mut self, path: &str) -> Result<(), FsError> {
        let key = key(path)?;
        match self.entries.get(&key) {
            Some(Entry::File(_)) => return Ok(()),
            Some(Entry::Folder) => return Err(FsError::IsFolder),
            None if key.is_empty() => return Err(FsError::IsFolder),
            None => {}
        }
        if !self.folder_exists(parent(&key)) {
            return Err(FsError::NoEntry);
        }
        self.entries.insert(key, Entry::File(Vec::new()));
        Ok(())
    }

    /// Replaces a file's content; all of it or nothing.
    pub(crate) fn write(&mut self, path: &str, content: Vec<u8>) -> Result<(), FsError> {
        self.create(path)?;
        if !self.has_room(path, content.len()) {
            return Err(FsError::NoSpace);
        }
        self.entries.insert(key(path)?, Entry::File(content));
        Ok(())
    }

    /// A file of this size would fit in place of what is at `path`.
    pub(crate) fn has_room(&self, path: &str, size: usize) -> bool {
        let old = self.read(path).map_or(0, <[u8]>::len);
        self.used_blocks() - blocks(old) + blocks(size) <= self.blocks
    }

    /// Blocks in use: two for every folder's metadata, the root's included.
    pub(crate) fn used_blocks(&self) -> usize {
        let of = |entry: &Entry| match entry {
            Entry::File(content) => blocks(content.len()),
            Entry::Folder => 2,
        };
        2 + self.entries.values().map(of).sum::<usize>()
    }

    /// Removes a file or an empty folder.
    pub(crate) fn remove(&mut self, path: &str) -> Result<(), FsError> {
        let key = key(path)?;
        match self.entries.get(&key) {
            None if key.is_empty() => Err(FsError::Invalid),
            None => Err(FsError::NoEntry),
            Some(Entry::Folder) if self.children(&key).next().is_some() => Err(FsError::NotEmpty),
            Some(_) => {
                self.entries.remove(&key);
                Ok(())
            }
        }
    }

    /// Moves a file or a folder with all that is in it.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), FsError> {
        let (from, to) = (key(from)?, key(to)?);
        let moved = self.entries.get(&from).ok_or(FsError::NoEntry)?.clone();
        if !self.folder_exists(parent(&to)) {
            return Err(FsError::NoEntry);
        }
        match (&moved, self.entries.get(&to)) {
            _ if from == to => return Ok(()),
            (Entry::Folder, Some(Entry::File(_))) => return Err(FsError::NotFolder),
            (Entry::File(_), Some(Entry::Folder)) => return Err(FsError::IsFolder),
            (Entry::Folder, Some(Entry::Folder)) if self.children(&to).next().is_some() => {
                return Err(FsError::NotEmpty);
            }
            _ => {}
        }
        let prefix = format!("{from}/");
        let inside: Vec<String> = self
            .entries
            .keys()
            .filter(|key| **key == from || key.starts_with(&prefix))
            .cloned()
            .collect();
        for old in inside {
            if let Some(entry) = self.entries.remove(&old) {
                self.entries
                    .insert(format!("{to}{}", &old[from.len()..]), entry);
            }
        }
        Ok(())
    }

    /// Makes a folder.
    pub(crate) fn make_folder(&mut self, path: &str) -> Result<(), FsError> {
        let key = key(path)?;
        if key.is_empty() || self.entries.contains_key(&key) {
            return Err(FsError::Exists);
        }
        if !self.folder_exists(parent(&key)) {
            return Err(FsError::NoEntry);
        }
        if self.used_blocks() + 2 > self.blocks {
            return Err(FsError::NoSpace);
        }
        self.entries.insert(key, Entry::Folder);
        Ok(())
    }

    fn children<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        self.entries
            .iter()
            .filter(move |(key, _)| parent(key) == folder)
            .map(|(key, entry)| (key.rsplit('/').next().unwrap_or(key), entry))
    }

    /// Names in a folder, in littlefs' order, which is by name; true: a folder.
    pub(crate) fn list(&self, path: &str) -> Option<Vec<(String, bool)>> {
        let key = key(path).ok().filter(|key| self.folder_exists(key))?;
        let entry = |(name, entry): (&str, &Entry)| (name.to_owned(), *entry == Entry::Folder);
        Some(self.children(&key).map(entry).collect())
    }

    /// Forgets everything.
    pub(crate) fn format(&mut self) {
        self.entries.clear();
    }

    /// All files with their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File(content) => Some((path.as_str(), content.as_slice())),
            Entry::Folder => None,
        })
    }
}

/// Blocks a file of this size takes beside its folder's metadata.
fn blocks(size: usize) -> usize {
    if size <= INLINE {
        0
    } else {
        size.div_ceil(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_hold_files_and_refuse_to_vanish() {
        let mut volume = Volume::new(ROOT_BLOCKS);
        assert_eq!(volume.write("/d/a", b"1".to_vec()), Err(FsError::NoEntry));
        volume.make_folder("/d/").unwrap();
        volume.write("/d/a", b"1".to_vec()).unwrap();
        assert_eq!(volume.list("d"), Some(vec![("a".to_owned(), false)]));
        assert_eq!(volume.remove("/d"), Err(FsError::NotEmpty));
        volume.rename("/d", "/e").unwrap();
        assert_eq!(volume.read("e/a"), Some(&b"1"[..]));
    }

    #[test]
    fn the_partition_is_full_at_its_size() {
        let mut volume = Volume::new(ROOT_BLOCKS);
        let most = (ROOT_BLOCKS - 2) * BLOCK;
        assert_eq!(
            volume.write("/big", vec![0; most + 1]),
            Err(FsError::NoSpace)
        );
        volume.write("/big", vec![0; most]).unwrap();
        assert_eq!(volume.make_folder("/d"), Err(FsError::NoSpace));
        volume.write("/small", vec![0; INLINE]).unwrap();
    }
}
