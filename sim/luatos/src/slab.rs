//! Objects by number, for handles that Lua holds.

use std::collections::BTreeMap;

/// Objects by number; numbers are never reused, so that a stale handle finds
/// nothing instead of something else.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    items: BTreeMap<u32, T>,
    next: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            next: 1,
        }
    }
}

impl<T> Slab<T> {
    pub(crate) fn add(&mut self, item: T) -> u32 {
        let id = self.next;
        self.next += 1;
        self.items.insert(id, item);
        id
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.items.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.items.get_mut(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        self.items.remove(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.items.iter().map(|(id, item)| (*id, item))
    }
}
