//! A tree of files and folders, by path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FsError;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    /// A file's content.
    File(Vec<u8>),
    /// A folder.
    Folder,
}

/// Files and folders; the keys are paths, components joined by single slashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// The folder of a key, and its last component.
pub(super) fn parts(key: &str) -> (&str, &str) {
    key.rsplit_once('/').unwrap_or(("", key))
}

impl Tree {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The content of a file.
    pub(super) fn file(&self, key: &str) -> Option<&Vec<u8>> {
        match self.entries.get(key)? {
            Entry::File(content) => Some(content),
            Entry::Folder => None,
        }
    }

    /// There is such a folder; the root always is.
    pub(super) fn is_folder(&self, key: &str) -> bool {
        key.is_empty() || self.entries.get(key) == Some(&Entry::Folder)
    }

    pub(super) fn put(&mut self, key: String, entry: Entry) {
        self.entries.insert(key, entry);
    }

    /// A new entry may be put here: true; there is a file already: false.
    pub(super) fn vacant_for_file(&self, key: &str) -> Result<bool, FsError> {
        match self.entries.get(key) {
            Some(Entry::File(_)) => Ok(false),
            Some(Entry::Folder) => Err(FsError::IsFolder),
            None if key.is_empty() => Err(FsError::IsFolder),
            None => self.parent_of(key).map(|()| true),
        }
    }

    /// A folder may be made here.
    pub(super) fn vacant_for_folder(&self, key: &str) -> Result<(), FsError> {
        if key.is_empty() || self.entries.contains_key(key) {
            return Err(FsError::Exists);
        }
        self.parent_of(key)
    }

    /// Every folder above is one.
    fn parent_of(&self, key: &str) -> Result<(), FsError> {
        let (parent, _) = parts(key);
        if self.is_folder(parent) {
            return Ok(());
        }
        let mut at = parent;
        while !at.is_empty() {
            if self.file(at).is_some() {
                return Err(FsError::NotFolder);
            }
            at = parts(at).0;
        }
        Err(FsError::NoEntry)
    }

    /// The entry can be taken away: a file, or an empty folder.
    pub(super) fn removable(&self, key: &str) -> Result<&Entry, FsError> {
        match self.entries.get(key) {
            None if key.is_empty() => Err(FsError::Invalid),
            None => {
                self.parent_of(key)?;
                Err(FsError::NoEntry)
            }
            Some(Entry::Folder) if self.children(key).next().is_some() => Err(FsError::NotEmpty),
            Some(entry) => Ok(entry),
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// A rename can be done.
    pub(super) fn movable(&self, from: &str, to: &str) -> Result<(), FsError> {
        let moved = self.entries.get(from).ok_or(FsError::NoEntry)?;
        self.parent_of(to)?;
        match (moved, self.entries.get(to)) {
            _ if from == to => Ok(()),
            (Entry::Folder, Some(Entry::File(_))) => Err(FsError::NotFolder),
            (Entry::File(_), Some(Entry::Folder)) => Err(FsError::IsFolder),
            (Entry::Folder, Some(Entry::Folder)) if self.children(to).next().is_some() => {
                Err(FsError::NotEmpty)
            }
            (Entry::Folder, _) if to.strip_prefix(from).is_some_and(|r| r.starts_with('/')) => {
                Err(FsError::Invalid)
            }
            _ => Ok(()),
        }
    }

    /// Moves an entry with all that is in it.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let prefix = format!("{from}/");
        let inside = |key: &&String| **key == from || key.starts_with(&prefix);
        let inside: Vec<String> = self.entries.keys().filter(inside).cloned().collect();
        for old in inside {
            if let Some(entry) = self.entries.remove(&old) {
                let new = format!("{to}{}", &old[from.len()..]);
                self.entries.insert(new, entry);
            }
        }
    }

    /// Names and entries in a folder, by name.
    pub(super) fn children<'a>(
        &'a self,
        folder: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let of = move |(key, entry): (&'a String, &'a Entry)| {
            let (parent, name) = parts(key);
            (parent == folder).then_some((name, entry))
        };
        self.entries.iter().filter_map(of)
    }

    /// All paths and entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        let borrow = |(key, entry)| (String::as_str(key), entry);
        self.entries.iter().map(borrow)
    }
}
