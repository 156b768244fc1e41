//! Tables, globals, the registry, and objects of the host's.

use crate::cx::{Cx, Kind, Ref};
use crate::ffi;

/// The payload of an object made by [`Cx::push_object`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Object {
    class: u32,
    id: u32,
}

impl<H: 'static> Cx<'_, H> {
    // --- tables ------------------------------------------------------------

    /// Pushes a new table with room for `array` and `hash` entries.
    pub fn push_table(&mut self, array: i32, hash: i32) {
        self.room();
        // SAFETY: room made; native state.
        unsafe { ffi::lua_createtable(self.l, array, hash) };
    }

    pub(crate) fn table(&self, index: i32) {
        assert_eq!(self.kind(index), Kind::Table, "raw access needs a table");
    }

    /// Pops key and value (value on top) into the table at `index`, raw.
    /// A `nil` or NaN key is dropped: Lua would raise, and Rust must not.
    pub fn raw_set(&mut self, index: i32) {
        self.table(index);
        let nan = self.to_number(-2).is_some_and(f32::is_nan) && self.kind(-2) == Kind::Number;
        if self.is_none_or_nil(-2) || nan {
            self.pop(2);
        } else {
            // SAFETY: a table and a legal key; native state.
            unsafe { ffi::lua_rawset(self.l, index) };
        }
    }

    /// `table[name] = top`, raw; pops the value.
    pub fn set_field(&mut self, index: i32, name: &str) {
        let index = self.absolute(index);
        self.push_bytes(name.as_bytes());
        let at = self.top() - 1;
        self.insert(at);
        self.raw_set(index);
    }

    /// `table[n] = top`, raw; pops the value.
    pub fn set_item(&mut self, index: i32, n: i32) {
        self.table(index);
        // SAFETY: a table; an integer key is always legal; native state.
        unsafe { ffi::lua_rawseti(self.l, index, n) };
    }

    /// Pushes `table[name]`, raw.
    pub fn get_field(&mut self, index: i32, name: &str) -> Kind {
        let index = self.absolute(index);
        self.table(index);
        self.push_bytes(name.as_bytes());
        // SAFETY: a table, and a key on top.
        unsafe { ffi::lua_rawget(self.l, index) };
        self.kind(-1)
    }

    /// Pushes `table[n]`, raw.
    pub fn get_item(&mut self, index: i32, n: i32) -> Kind {
        self.table(index);
        self.room();
        // SAFETY: a table, room made.
        unsafe { ffi::lua_rawgeti(self.l, index, n) };
        self.kind(-1)
    }

    /// Steps through a table: pops a key (`nil` to begin), pushes the next key
    /// and value, or nothing at the end. The key must be one this returned.
    pub fn next(&mut self, index: i32) -> bool {
        self.table(index);
        self.room();
        // SAFETY: a table, and by contract a key of it: the table must not be
        // given new keys between the steps, which no API function does.
        unsafe { ffi::lua_next(self.l, index) != 0 }
    }

    fn absolute(&self, index: i32) -> i32 {
        if index > 0 || index == ffi::REGISTRY {
            index
        } else {
            self.top() + index + 1
        }
    }

    /// Pushes the globals table.
    pub fn push_globals(&mut self) {
        self.room();
        // SAFETY: LUA_RIDX_GLOBALS is 2 in every Lua 5.3 registry.
        unsafe { ffi::lua_rawgeti(self.l, ffi::REGISTRY, 2) };
    }

    /// Pushes the global `name`, raw.
    pub fn get_global(&mut self, name: &str) -> Kind {
        self.push_globals();
        let kind = self.get_field(-1, name);
        let at = self.top() - 1;
        self.insert(at);
        self.pop(1);
        kind
    }

    /// Pops the top value into the global `name`.
    pub fn set_global(&mut self, name: &str) {
        self.push_globals();
        let at = self.top() - 1;
        self.insert(at);
        self.set_field(at, name);
        self.pop(1);
    }

    // --- the registry ------------------------------------------------------

    /// Pops the top value into the registry.
    pub fn make_ref(&mut self) -> Ref {
        // SAFETY: a value is on top; native state.
        Ref(unsafe { ffi::luaL_ref(self.l, ffi::REGISTRY) })
    }

    /// Pushes a kept value.
    pub fn push_ref(&mut self, reference: Ref) {
        self.room();
        // SAFETY: an integer key of the registry; an unknown one gives nil.
        unsafe { ffi::lua_rawgeti(self.l, ffi::REGISTRY, reference.0) };
    }

    /// Lets a kept value go.
    pub fn drop_ref(&mut self, reference: Ref) {
        // SAFETY: `reference` came from `make_ref`.
        unsafe { ffi::luaL_unref(self.l, ffi::REGISTRY, reference.0) };
    }

    /// Pushes a named slot of the registry.
    pub fn get_registry(&mut self, name: &str) -> Kind {
        self.push_bytes(name.as_bytes());
        // SAFETY: the registry is a table, the key a string.
        unsafe { ffi::lua_rawget(self.l, ffi::REGISTRY) };
        self.kind(-1)
    }

    /// Pops the top value into a named slot of the registry.
    pub fn set_registry(&mut self, name: &str) {
        self.push_bytes(name.as_bytes());
        let at = self.top() - 1;
        self.insert(at);
        // SAFETY: the registry is a table, the key a string.
        unsafe { ffi::lua_rawset(self.l, ffi::REGISTRY) };
    }

    // --- objects -----------------------------------------------------------

    /// Pops the table on top: the metatable of objects of `class`.
    pub fn set_class(&mut self, class: u32) {
        self.set_registry(&class_key(class));
    }

    /// Pushes an object: an id of the host's, typed by `class`.
    pub fn push_object(&mut self, class: u32, id: u32) {
        self.push_sized_object(class, id, size_of::<Object>());
    }

    /// The same, taking as many bytes of Lua's memory as the firmware's structure.
    pub fn push_sized_object(&mut self, class: u32, id: u32, size: usize) {
        self.room();
        // SAFETY: room made; the block is at least as large as `Object`, aligned to 16.
        unsafe {
            let block = ffi::lua_newuserdata(self.l, size.max(size_of::<Object>()));
            block.cast::<Object>().write(Object { class, id });
        }
        self.get_registry(&class_key(class));
        assert_eq!(self.kind(-1), Kind::Table, "class {class} was registered");
        // SAFETY: a table on top of a userdata.
        unsafe { ffi::lua_setmetatable(self.l, -2) };
    }

    /// The id of an object of `class`, or `None` for anything else.
    pub fn to_object(&mut self, index: i32, class: u32) -> Option<u32> {
        let index = self.absolute(index);
        if self.kind(index) != Kind::Userdata || self.raw_len(index) < size_of::<Object>() {
            return None;
        }
        self.room();
        // SAFETY: a userdata at a valid index, room made.
        if unsafe { ffi::lua_getmetatable(self.l, index) } == 0 {
            return None;
        }
        self.get_registry(&class_key(class));
        let same = self.raw_equal(-1, -2);
        self.pop(2);
        // SAFETY: the metatable proves that `push_object` wrote an Object
        // (debug.setmetatable could forge it; the size was checked, and the
        // ids are only looked up in the host's tables).
        same.then(|| unsafe {
            ffi::lua_touserdata(self.l, index)
                .cast::<Object>()
                .read()
                .id
        })
    }
}

fn class_key(class: u32) -> String {
    format!("class {class}")
}
