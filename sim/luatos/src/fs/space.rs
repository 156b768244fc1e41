//! Blocks an open file takes before it is closed.
//!
//! littlefs never overwrites: what is written goes into fresh blocks, and the
//! file keeps its old ones until it is closed. Blocks of a file form a list in
//! which block n also holds the addresses of earlier ones, so its capacity
//! varies.

use super::BLOCK;

/// Files up to this size lie inside their folder's metadata: the least of cache
/// size, an eighth of a block, and 1022.
pub(super) const INLINE: usize = 256;

/// The block a byte of a file lies in: the first holds 4096 bytes, block n 4 less
/// for each address it holds, one and one more for every factor of two in n.
fn index(position: usize) -> usize {
    let mut block: usize = 0;
    let mut end = BLOCK;
    while position >= end {
        block += 1;
        end += BLOCK - 4 * (block.trailing_zeros() as usize + 1);
    }
    block
}

/// First byte of a block of a file.
fn start(block: usize) -> usize {
    let capacity = |n: usize| match n {
        0 => BLOCK,
        n => BLOCK - 4 * (n.trailing_zeros() as usize + 1),
    };
    (0..block).map(capacity).sum()
}

/// Blocks that a closed file of this size takes beside its metadata.
pub(super) fn blocks(size: usize) -> usize {
    if size <= INLINE {
        0
    } else {
        index(size - 1) + 1
    }
}

/// What an open file has written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Space {
    /// Its content is in blocks, not in metadata.
    outlined: bool,
    /// The first fresh block, and the size, of what is written but not closed.
    dirty: Option<(usize, usize)>,
    /// The first fresh block, and the end, of the writes since the last seek.
    run: Option<(usize, usize)>,
}

impl Space {
    /// A file as it was opened.
    pub(super) fn of(size: usize) -> Self {
        Self {
            outlined: size > INLINE,
            ..Self::default()
        }
    }

    /// Blocks that nobody but the open file holds.
    pub(super) fn fresh(&self) -> usize {
        let dirty = self.dirty.map_or(0, |(first, size)| blocks(size) - first);
        let run = self
            .run
            .map_or(0, |(first, end)| index(end - 1) + 1 - first);
        dirty + run
    }

    /// What `fs.fsstat` adds for it: it counts shared blocks again.
    pub(super) fn counted(&self) -> usize {
        let dirty = self.dirty.map_or(0, |(_, size)| blocks(size));
        let run = self.run.map_or(0, |(_, end)| index(end - 1) + 1);
        dirty + run
    }

    /// Writes at a position as much as `free` blocks take. `size` is the file's
    /// before. Returns how many bytes.
    pub(super) fn write(&mut self, at: usize, len: usize, size: usize, free: usize) -> usize {
        let end = at + len;
        if len == 0 || (!self.outlined && end.max(size) <= INLINE) {
            return len;
        }
        let mut free = free;
        if !self.outlined {
            // The content moves out of the metadata into a block.
            let Some(left) = free.checked_sub(1) else {
                return 0;
            };
            free = left;
            self.outlined = true;
            self.run = Some((0, size.max(at).clamp(1, BLOCK)));
        }
        let first = index(at);
        let (first, mut block) = match self.run {
            Some((first, end)) => (first, index(end - 1)),
            // Its first block is a copy of what the file has there.
            None if free == 0 => return 0,
            None => {
                free -= 1;
                (first, first)
            }
        };
        let last = index(end - 1);
        block = block.max(first) + free.min(last.saturating_sub(block));
        let written = start(block + 1).min(end).max(at);
        let before = self.run.map_or(0, |(_, end)| end);
        self.run = Some((first, written.max(before).max(1)));
        written - at
    }

    /// What ends a run of writes: a seek, a read, a close. The rest of the file
    /// behind them is copied. False if there is no room for that.
    pub(super) fn flush(&mut self, size: usize, free: usize) -> bool {
        let Some((first, end)) = self.run else {
            return true;
        };
        let copied = blocks(size).saturating_sub(index(end - 1) + 1);
        if copied > free {
            return false;
        }
        self.run = None;
        let first = self.dirty.map_or(first, |(old, _)| old.min(first));
        self.dirty = Some((first.min(blocks(size)), size));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes measured on the SDK's littlefs.
    #[test]
    fn blocks_of_a_file() {
        let cases = [
            (256, 0),
            (257, 1),
            (4096, 1),
            (4097, 2),
            (8188, 2),
            (8189, 3),
            (100_000, 25),
            (200_000, 49),
            (286_180, 70),
            (286_181, 71),
        ];
        for (size, expected) in cases {
            assert_eq!(blocks(size), expected, "{size} bytes");
        }
    }

    #[test]
    fn an_append_copies_the_last_block() {
        let mut space = Space::of(5000);
        assert_eq!(space.write(5000, 100, 5000, 1), 100);
        assert_eq!(space.fresh(), 1);
        assert_eq!(space.write(5100, 5000, 5100, 0), 8188 - 5100);
    }
}
