//! How much room littlefs' metadata takes, commit by commit.
//!
//! A folder is a chain of metadata pairs. A pair is two blocks that take turns in
//! holding one log of commits; a commit that no longer fits has the pair
//! compacted into its other block, and what is then more than half a block is
//! cut in two. That decides how many small files a partition holds, so the log
//! is kept here as littlefs 2.4 keeps it, the version in the EC618's SDK; only
//! the bytes themselves are not. Evidence: the SDK's `lfs.c`, and its results
//! on random operations.
//!
//! Not modelled: moving worn blocks, the second superblock that littlefs makes
//! after 201 compactions of the root, and compactions that come too early because
//! a stale read cache hides that a block is erased (up to 5 % fewer entries).

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{BLOCK, FsError};

/// Bytes programmed at once: every commit is padded to a multiple of them.
const PROG: usize = 256;
/// The tag before every entry of the log.
const TAG: usize = 4;
/// A checksum with its tag, and no entry lies behind this.
const CHECKSUM: usize = 8;
const LOG_END: usize = BLOCK - CHECKSUM;
/// A pair's address: what a folder's entry and the link to the next pair hold.
pub(super) const ADDRESS: usize = 8;
/// A link with its tag.
const LINK: usize = TAG + ADDRESS;
/// State of a move or of an orphaned pair, which some commits carry along.
const MOVE_STATE: usize = TAG + 12;
/// The root's first entry: magic `littlefs`, and the parameters.
const SUPERBLOCK: usize = TAG + 8 + TAG + 24;
/// What a block must keep free for link, checksum and state.
const RESERVE: usize = 36;
/// A pair never has more entries.
const ENTRIES: usize = 0xff;

/// A name in a folder, and the bytes its entry holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Item {
    name: String,
    payload: usize,
}

impl Item {
    fn size(&self) -> usize {
        2 * TAG + self.name.len() + self.payload
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    items: Vec<Item>,
    /// Bytes of its block in use.
    log: usize,
    /// It is the root's first.
    superblock: bool,
}

/// The pairs of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chain {
    pairs: Vec<Pair>,
}

/// What a commit may use and is bound to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Blocks that hold nothing.
    pub(super) free: usize,
    /// Another folder's pairs follow the chain's last one.
    pub(super) linked: bool,
}

fn aligned(size: usize) -> usize {
    size.next_multiple_of(PROG)
}

/// littlefs sorts names by their bytes, but a longer name before the one it
/// begins with.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    if a.starts_with(b) || b.starts_with(a) {
        return b.len().cmp(&a.len());
    }
    a.cmp(b)
}

impl Chain {
    /// A new folder's single pair.
    pub(super) fn new(superblock: bool) -> Self {
        let first = if superblock { SUPERBLOCK } else { LINK };
        Self {
            pairs: vec![Pair {
                items: Vec::new(),
                log: aligned(TAG + first + CHECKSUM),
                superblock,
            }],
        }
    }

    /// Pairs it consists of; each is two blocks.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The pair a name is in, or would be put into: the first with a name
    /// behind it.
    fn place(&self, name: &str) -> usize {
        let behind = |pair: &Pair| {
            let last = pair.items.last();
            last.is_some_and(|item| order(&item.name, name) != Ordering::Less)
        };
        let found = self.pairs.iter().position(behind);
        found.unwrap_or(self.pairs.len() - 1)
    }

    /// Adds a commit of `bytes` to a pair; `change` is what it says.
    fn commit(
        &mut self,
        at: usize,
        bytes: usize,
        room: Room,
        change: impl FnOnce(&mut Vec<Item>),
    ) -> Result<(), FsError> {
        let linked = room.linked || at + 1 < self.pairs.len();
        let pair = &mut self.pairs[at];
        if pair.log + bytes <= LOG_END {
            change(&mut pair.items);
            pair.log = aligned(pair.log + bytes + CHECKSUM);
            return Ok(());
        }
        let mut items = pair.items.clone();
        change(&mut items);
        let mut free = room.free;
        let pairs = compact(&items, pair.superblock, linked, &mut free)?;
        self.pairs.splice(at..=at, pairs);
        Ok(())
    }

    /// An entry for a name that was not there: an empty file's, or a folder's.
    pub(super) fn insert(
        &mut self,
        name: &str,
        folder: bool,
        mut room: Room,
    ) -> Result<(), FsError> {
        let at = self.place(name);
        let last = at + 1 == self.pairs.len();
        let payload = if folder { ADDRESS } else { 0 };
        let mut bytes = 3 * TAG + name.len() + payload;
        if folder {
            room.free = room.free.checked_sub(2).ok_or(FsError::NoSpace)?;
            if last {
                bytes += LINK;
            } else {
                let end = self.pairs.len() - 1;
                self.commit(end, LINK + MOVE_STATE, room, |_| {})?;
            }
        }
        self.commit(at, bytes, room, |items| put(items, name, payload))
    }

    /// The entry of a name gets other content.
    pub(super) fn update(&mut self, name: &str, payload: usize, room: Room) -> Result<(), FsError> {
        let at = self.place(name);
        self.commit(at, TAG + payload, room, |items| {
            take(items, name);
            put(items, name, payload);
        })
    }

    /// The name goes; an emptied pair goes with it.
    pub(super) fn remove(&mut self, name: &str, folder: bool, room: Room) -> Result<(), FsError> {
        let at = self.place(name);
        let alone = self.pairs[at].items.len() == 1;
        if alone && at > 0 {
            self.commit(at - 1, LINK, room, |_| {})?;
            self.pairs.remove(at);
            return Ok(());
        }
        let bytes = TAG + if folder { MOVE_STATE } else { 0 };
        self.commit(at, bytes, room, |items| {
            take(items, name);
        })
    }

    /// The pair behind this chain was taken out of the list of all pairs.
    pub(super) fn relink(&mut self, room: Room) -> Result<(), FsError> {
        let end = self.pairs.len() - 1;
        self.commit(end, LINK + MOVE_STATE, room, |_| {})
    }

    /// An entry moves here from another pair, with what it holds.
    pub(super) fn adopt(&mut self, name: &str, payload: usize, room: Room) -> Result<(), FsError> {
        let at = self.place(name);
        let bytes = 3 * TAG + name.len() + payload + MOVE_STATE;
        self.commit(at, bytes, room, |items| {
            take(items, name);
            put(items, name, payload);
        })
    }

    /// An entry has moved away.
    pub(super) fn release(&mut self, name: &str, room: Room) -> Result<(), FsError> {
        self.remove(name, true, room)
    }

    /// Renames within the chain; false if the names lie in different pairs.
    pub(super) fn rename(&mut self, from: &str, to: &str, room: Room) -> Result<bool, FsError> {
        let at = self.place(from);
        if self.place(to) != at {
            return Ok(false);
        }
        let payload = self.payload(from);
        let replaced = self.pairs[at].items.iter().any(|item| item.name == to);
        let bytes = (4 + usize::from(replaced)) * TAG + to.len() + payload;
        self.commit(at, bytes, room, |items| {
            take(items, from);
            take(items, to);
            put(items, to, payload);
        })?;
        Ok(true)
    }

    /// Bytes the entry of a name holds.
    pub(super) fn payload(&self, name: &str) -> usize {
        let items = &self.pairs[self.place(name)].items;
        let item = items.iter().find(|item| item.name == name);
        item.map_or(0, |item| item.payload)
    }
}

fn take(items: &mut Vec<Item>, name: &str) {
    items.retain(|item| item.name != name);
}

fn put(items: &mut Vec<Item>, name: &str, payload: usize) {
    let at = items.partition_point(|item| order(&item.name, name) == Ordering::Less);
    let name = name.to_owned();
    items.insert(at, Item { name, payload });
}

/// Writes a pair anew; whatever is more than half a block, or more entries than
/// a pair may have, is halved into pairs of their own as long as there are
/// blocks for them.
fn compact(
    items: &[Item],
    superblock: bool,
    linked: bool,
    free: &mut usize,
) -> Result<Vec<Pair>, FsError> {
    let first = usize::from(superblock);
    let size_of = |end: usize| {
        let items = items[..end].iter().map(Item::size).sum::<usize>();
        items + first * SUPERBLOCK
    };
    let mut end = items.len();
    let mut behind: Vec<Pair> = Vec::new();
    while end + first > 1 {
        let size = size_of(end);
        if end + first < ENTRIES && size <= BLOCK / 2 {
            break;
        }
        let middle = (end + first) / 2 - first;
        let linked = linked || !behind.is_empty();
        match split(&items[middle..end], linked, free) {
            Ok(mut pairs) => {
                pairs.append(&mut behind);
                behind = pairs;
                end = middle;
            }
            // Without a free pair a block may be filled to the brim.
            Err(FsError::NoSpace) if size <= BLOCK - RESERVE => break,
            Err(error) => return Err(error),
        }
    }
    let link = if linked || !behind.is_empty() {
        LINK
    } else {
        0
    };
    let log = TAG + size_of(end) + link;
    if log > LOG_END {
        return Err(FsError::NoSpace);
    }
    let pair = Pair {
        items: items[..end].to_vec(),
        log: aligned(log + CHECKSUM),
        superblock,
    };
    behind.insert(0, pair);
    Ok(behind)
}

fn split(items: &[Item], linked: bool, free: &mut usize) -> Result<Vec<Pair>, FsError> {
    *free = free.checked_sub(2).ok_or(FsError::NoSpace)?;
    compact(items, false, linked, free)
}
