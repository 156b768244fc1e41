//! `/ram/`: files in the system heap, gone at a reset.
//!
//! V1112 has eight nameless slots without folders, and modes of its own. The core
//! of 2026 has up to 512 files and folders.

use crate::config::Core;

/// Longest name of V1112, and longest path of the new core.
const NAME: usize = 31;
const PATH: usize = 127;
/// The new core takes memory in blocks.
const PIECE: usize = 4096;

#[derive(Debug)]
struct Node {
    name: String,
    folder: bool,
    data: Vec<u8>,
    /// Handles on it.
    open: usize,
}

/// The nodes by slot.
#[derive(Debug)]
pub(crate) struct Ram {
    new: bool,
    nodes: Vec<Option<Node>>,
}

/// What opening found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// The slot, where the handle stands, and whether it may write.
    At {
        slot: usize,
        position: usize,
        writable: bool,
    },
    No,
    /// No slot is free: what the new core says then.
    TooMany(&'static str),
    /// The new core does not know the mode.
    UnknownMode,
}

/// A path of the new core: no slashes at the ends or doubled, no dots.
fn normal(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == "." || part == ".." {
            return None;
        }
        parts.push(part);
    }
    let path = parts.join("/");
    (path.len() <= PATH).then_some(path)
}

impl Ram {
    /// Empty, as after every reset.
    pub(crate) fn new(core: Core) -> Self {
        let slots = if core.is_new() { 512 } else { 8 };
        Self {
            new: core.is_new(),
            nodes: (0..slots).map(|_| None).collect(),
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        let named = |node: &Option<Node>| node.as_ref().is_some_and(|node| node.name == name);
        self.nodes.iter().position(named)
    }

    fn node(&self, slot: usize) -> Option<&Node> {
        self.nodes.get(slot)?.as_ref()
    }

    /// The path as names in here are written.
    fn key(&self, path: &str) -> Option<String> {
        if self.new {
            normal(path)
        } else {
            (path.len() <= NAME).then(|| path.to_owned())
        }
    }

    fn is_folder(&self, key: &str) -> bool {
        let node = self.find(key).and_then(|slot| self.node(slot));
        key.is_empty() || node.is_some_and(|node| node.folder)
    }

    /// Takes a free slot.
    fn make(&mut self, name: String, folder: bool) -> Option<usize> {
        let slot = self.nodes.iter().position(Option::is_none)?;
        self.nodes[slot] = Some(Node {
            name,
            folder,
            data: Vec::new(),
            open: 0,
        });
        Some(slot)
    }

    /// Opens in one of fopen's modes.
    pub(super) fn open(&mut self, path: &str, mode: &str) -> Opened {
        let Some(key) = self.key(path).filter(|key| !key.is_empty()) else {
            return Opened::No;
        };
        let opened = if self.new {
            self.open_new(&key, mode)
        } else {
            self.open_v1112(&key, mode)
        };
        if let Opened::At { slot, .. } = opened
            && let Some(node) = &mut self.nodes[slot]
        {
            node.open += 1;
        }
        opened
    }

    /// `w` truncates only with a `+`, `a` needs the file, and every handle may do
    /// everything.
    fn open_v1112(&mut self, key: &str, mode: &str) -> Opened {
        let found = self.find(key);
        let at = |slot, position| Opened::At {
            slot,
            position,
            writable: true,
        };
        match mode {
            "r" | "rb" => found.map_or(Opened::No, |slot| at(slot, 0)),
            "a" | "ab" | "a+" | "ab+" => match found.map(|slot| (slot, self.size(slot))) {
                Some((slot, size)) => at(slot, size),
                None => Opened::No,
            },
            "w" | "wb" | "w+" | "wb+" | "r+" | "rb+" => {
                let slot = found.or_else(|| self.make(key.to_owned(), false));
                let Some(slot) = slot else { return Opened::No };
                if let ("w+" | "wb+", Some(node)) = (mode, &mut self.nodes[slot]) {
                    node.data.clear();
                }
                at(slot, 0)
            }
            _ => Opened::No,
        }
    }

    fn open_new(&mut self, key: &str, mode: &str) -> Opened {
        let plain = mode.replace('b', "");
        if !matches!(plain.as_str(), "r" | "r+" | "w" | "w+" | "a" | "a+")
            || mode.matches('b').count() > 1
            || mode.starts_with('b')
        {
            return Opened::UnknownMode;
        }
        let found = self.find(key);
        if found.is_some() && self.is_folder(key) {
            return Opened::No;
        }
        let creates = !plain.starts_with('r');
        let slot = match found {
            Some(slot) => slot,
            None if creates && self.is_folder(super::tree::parts(key).0) => {
                match self.make(key.to_owned(), false) {
                    Some(slot) => slot,
                    None => return Opened::TooMany("fs too many ram nodes >= 512"),
                }
            }
            None => return Opened::No,
        };
        if let (true, Some(node)) = (plain.starts_with('w'), &mut self.nodes[slot]) {
            node.data.clear();
        }
        let position = if plain.starts_with('a') {
            self.size(slot)
        } else {
            0
        };
        Opened::At {
            slot,
            position,
            writable: plain != "r",
        }
    }

    /// A handle on the slot was closed.
    pub(super) fn close(&mut self, slot: usize) {
        if let Some(node) = &mut self.nodes[slot] {
            node.open = node.open.saturating_sub(1);
        }
    }

    /// The content of a slot; nothing once its file was removed.
    pub(super) fn content(&self, slot: usize) -> &[u8] {
        self.node(slot).map_or(&[], |node| &node.data)
    }

    fn size(&self, slot: usize) -> usize {
        self.content(slot).len()
    }

    /// Writes at a position if the heap has `free` bytes for it. The gap behind
    /// the old end reads as zeros.
    pub(super) fn write(&mut self, slot: usize, at: usize, bytes: &[u8], free: usize) -> bool {
        let Some(Some(node)) = self.nodes.get_mut(slot) else {
            return false;
        };
        let size = at.saturating_add(bytes.len()).max(node.data.len());
        let more = if self.new {
            size.div_ceil(PIECE)
                .saturating_sub(node.data.len().div_ceil(PIECE))
                * PIECE
        } else if size > node.data.len() {
            // One block, and the old one stays until the new one is filled.
            size
        } else {
            0
        };
        if more > free {
            return false;
        }
        node.data.resize(size, 0);
        node.data[at..at + bytes.len()].copy_from_slice(bytes);
        true
    }

    /// The content of a file.
    pub(super) fn read(&self, path: &str) -> Option<&[u8]> {
        let node = self.node(self.find(&self.key(path)?)?)?;
        (!node.folder).then_some(node.data.as_slice())
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes
            .iter()
            .flatten()
            .map(|node| node.data.len())
            .sum()
    }

    /// The path below `/ram/` of an open file at or inside this path.
    pub(super) fn open_inside(&self, path: &str) -> Option<String> {
        let key = self.key(path)?;
        let inside = |node: &&Node| {
            let rest = node.name.strip_prefix(&key);
            node.open > 0 && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let node = self.nodes.iter().flatten().find(inside)?;
        Some(node.name.clone())
    }

    /// Removes a file. V1112 calls it a success whatever happens.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        let found = self.key(path).and_then(|key| self.find(&key));
        let removable = found.filter(|slot| self.node(*slot).is_some_and(|node| !node.folder));
        if let Some(slot) = removable {
            self.nodes[slot] = None;
        }
        !self.new || removable.is_some()
    }

    /// Renames. V1112 does so even to a name that exists, and a file that does
    /// not.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        let (Some(old), Some(new)) = (self.key(from), self.key(to)) else {
            return false;
        };
        if !self.new {
            if let Some(node) = self.find(&old).and_then(|slot| self.nodes[slot].as_mut()) {
                node.name = new;
            }
            return true;
        }
        if old == new {
            return self.find(&old).is_some();
        }
        self.may_rename(&old, &new) && self.rename_all(&old, &new)
    }

    fn may_rename(&self, old: &str, new: &str) -> bool {
        let Some(moved) = self.find(old).and_then(|slot| self.node(slot)) else {
            return false;
        };
        let inside = new.strip_prefix(old).is_some_and(|r| r.starts_with('/'));
        let target = self.find(new).and_then(|slot| self.node(slot));
        let replaces = target.is_none_or(|target| {
            target.folder == moved.folder && (!target.folder || self.is_empty(new))
        });
        !new.is_empty() && !inside && replaces && self.is_folder(super::tree::parts(new).0)
    }

    fn rename_all(&mut self, old: &str, new: &str) -> bool {
        let renamed = |name: &str| {
            let rest = name.strip_prefix(old)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{new}{rest}"))
        };
        let names = self.nodes.iter().flatten().map(|node| &node.name);
        if names
            .filter_map(|name| renamed(name))
            .any(|name| name.len() > PATH)
        {
            return false;
        }
        if let Some(slot) = self.find(new) {
            self.nodes[slot] = None;
        }
        for node in self.nodes.iter_mut().flatten() {
            if let Some(name) = renamed(&node.name) {
                node.name = name;
            }
        }
        true
    }

    fn is_empty(&self, key: &str) -> bool {
        let inside = |node: &Node| node.name.strip_prefix(key)?.strip_prefix('/').map(|_| ());
        !self
            .nodes
            .iter()
            .flatten()
            .any(|node| inside(node).is_some())
    }

    /// Makes a folder and those above it. V1112 has none and says nothing.
    pub(super) fn make_folder(&mut self, path: &str) -> bool {
        if !self.new {
            return true;
        }
        let Some(key) = self.key(path) else {
            return false;
        };
        let ends = key.match_indices('/').map(|(at, _)| at).chain([key.len()]);
        for end in ends.collect::<Vec<_>>() {
            let folder = &key[..end];
            let made = self.is_folder(folder)
                || (self.find(folder).is_none() && self.make(folder.to_owned(), true).is_some());
            if !made {
                return false;
            }
        }
        true
    }

    /// Removes an empty folder.
    pub(super) fn remove_folder(&mut self, path: &str) -> bool {
        if !self.new {
            return true;
        }
        let found = self.key(path).filter(|key| !key.is_empty());
        let Some(key) = found.filter(|key| self.is_folder(key) && self.is_empty(key)) else {
            return false;
        };
        if let Some(slot) = self.find(&key) {
            self.nodes[slot] = None;
        }
        true
    }

    /// There is such a folder.
    pub(super) fn folder_exists(&self, path: &str) -> bool {
        self.key(path).is_some_and(|key| self.is_folder(&key))
    }

    /// Names by slot; true: a folder. V1112 shows all files whatever the path.
    pub(super) fn list(&self, path: &str) -> Vec<(String, bool)> {
        let Some(folder) = self.key(path) else {
            return Vec::new();
        };
        let shown = |node: &Node| {
            if !self.new {
                return Some((node.name.clone(), false));
            }
            let (parent, name) = super::tree::parts(&node.name);
            (parent == folder).then(|| (name.to_owned(), node.folder))
        };
        self.nodes.iter().flatten().filter_map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(opened: &Opened) -> usize {
        match opened {
            Opened::At { slot, .. } => *slot,
            other => panic!("not open: {other:?}"),
        }
    }

    #[test]
    fn v1112_truncates_only_with_a_plus() {
        let mut ram = Ram::new(Core::V1112);
        let at = slot(&ram.open("f", "w"));
        assert!(ram.write(at, 0, b"hello", 1000));
        slot(&ram.open("f", "wb"));
        assert_eq!(ram.read("f"), Some(&b"hello"[..]));
        slot(&ram.open("f", "wb+"));
        assert_eq!(ram.read("f"), Some(&b""[..]));
        assert_eq!(ram.open("f", "w+b"), Opened::No);
        assert_eq!(ram.open("missing", "a"), Opened::No);
        assert_eq!(ram.open(&"n".repeat(32), "w"), Opened::No);
        for n in 1..8 {
            slot(&ram.open(&n.to_string(), "w"));
        }
        assert_eq!(ram.open("ninth", "w"), Opened::No);
    }

    #[test]
    fn the_new_core_has_folders() {
        let mut ram = Ram::new(Core::New);
        assert_eq!(ram.open("a/b", "w"), Opened::No);
        assert!(ram.make_folder("/a//deep/"));
        let at = slot(&ram.open("a/deep/f", "w"));
        assert_eq!(ram.list("a"), vec![("deep".to_owned(), true)]);
        assert_eq!(ram.open_inside("a"), Some("a/deep/f".to_owned()));
        assert!(!ram.remove_folder("a"));
        ram.close(at);
        assert!(ram.rename("a", "b"));
        assert_eq!(ram.read("b/deep/f"), Some(&b""[..]));
        assert!(!ram.rename("b", "b/deep/c"));
    }
}
