//! What an API function sees: its arguments, the stack, and the host.

use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::ptr::null_mut;

use crate::ffi::{self, LuaState};
use crate::vm::{Memory, Shared};

/// An API function. Results are pushed; the value is their number.
pub type Func<H> = fn(&mut Cx<'_, H>) -> Result<usize, Raise>;

/// An error on its way to Lua.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raise {
    /// A message; the position of the Lua caller is put in front.
    Message(String),
    /// A message, raised as it is.
    Plain(String),
    /// A bad argument: its number (from 1) and what is wrong with it.
    Argument(i32, String),
    /// The value on top of the stack, as it is.
    Value,
}

/// The kinds of Lua values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such argument.
    None,
    /// `nil`.
    Nil,
    /// A boolean.
    Boolean,
    /// A bare pointer such as `json.null`.
    LightUserdata,
    /// An integer or a float.
    Number,
    /// A byte string.
    String,
    /// A table.
    Table,
    /// A Lua or API function.
    Function,
    /// A full userdata.
    Userdata,
    /// A coroutine.
    Thread,
}

/// A value kept alive in the registry, such as a callback.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy, Hash)]
pub struct Ref(c_int);

/// The payload of an object made by [`Cx::push_object`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Object {
    class: u32,
    id: u32,
}

/// The view an API function has of the VM: positive indices are arguments,
/// negative ones count from the top of the stack.
pub struct Cx<'a, H: 'static> {
    shared: &'a Shared<H>,
    l: *mut LuaState,
    _host: PhantomData<&'a mut H>,
}

impl<'a, H: 'static> Cx<'a, H> {
    pub(crate) fn new(shared: &'a Shared<H>, l: *mut LuaState) -> Self {
        Self { shared, l, _host: PhantomData }
    }

    /// What the VM works on: the value lent to the current resume.
    pub fn host(&mut self) -> &mut H {
        let host = self.shared.host.get();
        assert!(!host.is_null(), "API functions run only inside Vm::resume");
        // SAFETY: set from `&mut H` by the resume under way; the borrow is
        // tied to `&mut self`, and `suspend` needs `&mut self`, so no
        // reference lives across a suspension or beside another.
        unsafe { &mut *host }
    }

    /// Stops the whole VM here; returns at the next [`crate::Vm::resume`].
    pub fn suspend(&mut self) {
        let yielder = self.shared.yielder.get();
        // SAFETY: the yielder lives on the coroutine's stack as long as the
        // coroutine runs, and this code runs on that stack.
        unsafe { (*yielder).suspend(()) };
    }

    /// VM instructions executed since the VM was made.
    pub fn instructions(&mut self) -> u64 {
        // SAFETY: `l` is the running thread of a live VM.
        unsafe { ffi::lua32_instructions(self.l) }
    }

    /// Memory figures in device bytes.
    pub fn memory(&self) -> Memory {
        self.shared.memory()
    }

    /// Changes the heap limit, in device bytes; the peak counts anew.
    pub fn set_heap_limit(&mut self, limit: usize) {
        // SAFETY: plain counters, touched by this thread only.
        unsafe {
            let ctl = self.shared.ctl.get();
            (*ctl).limit = limit;
            if let Some(arena) = (*self.shared.arena.get()).as_mut() {
                arena.peak = (*ctl).used;
            }
        }
    }

    /// A full collection; finalisers run later, outside this call.
    pub fn collect(&mut self) {
        // SAFETY: an emergency collection raises nothing.
        unsafe { ffi::lua32_full_gc(self.l) };
    }

    // --- reading -----------------------------------------------------------

    /// Number of values on the function's stack; at entry, its arguments.
    pub fn top(&self) -> i32 {
        // SAFETY: reading the stack size touches nothing else.
        unsafe { ffi::lua_gettop(self.l) }
    }

    /// The kind of the value at `index`.
    pub fn kind(&self, index: i32) -> Kind {
        // SAFETY: lua_type takes any acceptable index and answers "none"
        // beyond the top; negative ones are checked by `valid`.
        let kind = if self.valid(index) { unsafe { ffi::lua_type(self.l, index) } } else { -1 };
        match kind {
            0 => Kind::Nil,
            1 => Kind::Boolean,
            2 => Kind::LightUserdata,
            3 => Kind::Number,
            4 => Kind::String,
            5 => Kind::Table,
            6 => Kind::Function,
            7 => Kind::Userdata,
            8 => Kind::Thread,
            _ => Kind::None,
        }
    }

    fn valid(&self, index: i32) -> bool {
        index == ffi::REGISTRY || (index != 0 && index.unsigned_abs() as i32 <= self.top())
    }

    /// Lua's name of the kind at `index`, as error messages print it.
    pub fn type_name(&self, index: i32) -> &'static str {
        match self.kind(index) {
            Kind::None => "no value",
            Kind::Nil => "nil",
            Kind::Boolean => "boolean",
            Kind::LightUserdata | Kind::Userdata => "userdata",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Table => "table",
            Kind::Function => "function",
            Kind::Thread => "thread",
        }
    }

    /// Absent or `nil`.
    pub fn is_none_or_nil(&self, index: i32) -> bool {
        matches!(self.kind(index), Kind::None | Kind::Nil)
    }

    /// A number of the integer subtype.
    pub fn is_integer(&self, index: i32) -> bool {
        // SAFETY: guarded by `valid`.
        self.valid(index) && unsafe { ffi::lua_isinteger(self.l, index) } != 0
    }

    /// An API function rather than a Lua one.
    pub fn is_native_function(&self, index: i32) -> bool {
        // SAFETY: guarded by `valid`.
        self.valid(index) && unsafe { ffi::lua_iscfunction(self.l, index) } != 0
    }

    /// The value as an integer, if it converts exactly (numeric strings do).
    pub fn to_integer(&self, index: i32) -> Option<i32> {
        let mut ok = 0;
        if !self.valid(index) {
            return None;
        }
        // SAFETY: a valid index; the conversion neither allocates nor raises.
        let value = unsafe { ffi::lua_tointegerx(self.l, index, &raw mut ok) };
        (ok != 0).then_some(value)
    }

    /// The value as a float, if it is a number or a numeric string.
    pub fn to_number(&self, index: i32) -> Option<f32> {
        let mut ok = 0;
        if !self.valid(index) {
            return None;
        }
        // SAFETY: as in `to_integer`.
        let value = unsafe { ffi::lua_tonumberx(self.l, index, &raw mut ok) };
        (ok != 0).then_some(value)
    }

    /// Lua's truth of the value.
    pub fn to_boolean(&self, index: i32) -> bool {
        // SAFETY: guarded by `valid`.
        self.valid(index) && unsafe { ffi::lua_toboolean(self.l, index) } != 0
    }

    /// The bytes of a string (or number, which is converted in place). The
    /// borrow keeps the stack as it is, and so the string alive.
    pub fn to_bytes(&self, index: i32) -> Option<&[u8]> {
        if !matches!(self.kind(index), Kind::String | Kind::Number) {
            return None;
        }
        let mut len = 0;
        // SAFETY: a valid index of a convertible value; allocation cannot
        // raise in native state, and the collector stands still.
        unsafe {
            let bytes = ffi::lua_tolstring(self.l, index, &raw mut len);
            Some(std::slice::from_raw_parts(bytes.cast(), len))
        }
    }

    /// The address the value prints with (`%p`), for values that have one.
    pub fn address(&self, index: i32) -> u32 {
        // SAFETY: guarded by `valid`; only the low 32 bits are kept.
        if self.valid(index) { unsafe { ffi::lua_topointer(self.l, index) as usize as u32 } } else { 0 }
    }

    /// Border of a table or length of a string, without metamethods.
    pub fn raw_len(&self, index: i32) -> usize {
        // SAFETY: guarded by `valid`.
        if self.valid(index) { unsafe { ffi::lua_rawlen(self.l, index) } } else { 0 }
    }

    /// Raw equality of two stack values.
    pub fn raw_equal(&self, a: i32, b: i32) -> bool {
        // SAFETY: guarded by `valid`.
        self.valid(a) && self.valid(b) && unsafe { ffi::lua_rawequal(self.l, a, b) } != 0
    }

    // --- pushing -----------------------------------------------------------

    fn room(&self) {
        // SAFETY: growing the stack is always allowed; it fails only when the
        // thread already holds a million slots.
        let ok = unsafe { ffi::lua_checkstack(self.l, 2) };
        assert!(ok != 0, "Lua stack exhausted inside an API function");
    }

    /// Pushes `nil`.
    pub fn push_nil(&mut self) {
        self.room();
        // SAFETY: room for one value was made.
        unsafe { ffi::lua_pushnil(self.l) };
    }

    /// Pushes an integer.
    pub fn push_integer(&mut self, value: i32) {
        self.room();
        // SAFETY: as in `push_nil`.
        unsafe { ffi::lua_pushinteger(self.l, value) };
    }

    /// Pushes a float.
    pub fn push_number(&mut self, value: f32) {
        self.room();
        // SAFETY: as in `push_nil`.
        unsafe { ffi::lua_pushnumber(self.l, value) };
    }

    /// Pushes a boolean.
    pub fn push_boolean(&mut self, value: bool) {
        self.room();
        // SAFETY: as in `push_nil`.
        unsafe { ffi::lua_pushboolean(self.l, c_int::from(value)) };
    }

    /// Pushes a string. What exceeds any device's memory is cut off, so that
    /// the allocation cannot fail under a Rust frame; the heap limit then
    /// raises `not enough memory` when the function returns.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.room();
        // SAFETY: arena and control block live as long as the VM.
        let fits = unsafe {
            let used = (*self.shared.ctl.get()).used;
            (*self.shared.arena.get()).as_ref().is_some_and(|a| a.fits(bytes.len(), used))
        };
        let bytes = if fits { bytes } else { &bytes[..bytes.len().min(1 << 20)] };
        // SAFETY: room was made; native state, so nothing raises.
        unsafe { ffi::lua_pushlstring(self.l, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// Pushes the null light userdata (`json.null`).
    pub fn push_null(&mut self) {
        self.room();
        // SAFETY: as in `push_nil`.
        unsafe { ffi::lua_pushlightuserdata(self.l, null_mut()) };
    }

    /// Pushes an API function.
    pub fn push_function(&mut self, func: Func<H>) {
        self.room();
        // SAFETY: as in `push_nil`; `entry` turns the address back.
        unsafe { ffi::lua32_push_function(self.l, func as *const _) };
    }

    /// Pops a value and pushes an API function that carries it.
    pub fn push_function_with(&mut self, func: Func<H>) {
        assert!(self.top() > 0, "the value is on top");
        self.room();
        // SAFETY: a value on top, room made; `entry` turns the address back.
        unsafe { ffi::lua32_push_function_with(self.l, func as *const _) };
    }

    /// Pushes the value the running function carries (`nil` if it has none).
    pub fn push_own_value(&mut self) {
        self.room();
        // SAFETY: an upvalue index beyond the closure's reads as none, which
        // pushes nil.
        unsafe { ffi::lua32_push_own_value(self.l) };
    }

    /// Pushes a copy of the value at `index` (`nil` if there is none).
    pub fn push_value(&mut self, index: i32) {
        if self.valid(index) {
            self.room();
            // SAFETY: valid index, room made.
            unsafe { ffi::lua_pushvalue(self.l, index) };
        } else {
            self.push_nil();
        }
    }

    /// Pushes the running coroutine; true for the main one.
    pub fn push_thread(&mut self) -> bool {
        self.room();
        // SAFETY: room made.
        unsafe { ffi::lua_pushthread(self.l) != 0 }
    }

    /// Removes `n` values from the top.
    pub fn pop(&mut self, n: i32) {
        self.set_top(self.top() - n);
    }

    /// Cuts the stack to `n` values, or fills it up with `nil`.
    pub fn set_top(&mut self, n: i32) {
        let n = n.max(0);
        // SAFETY: growing is preceded by a check for room.
        unsafe {
            assert!(ffi::lua_checkstack(self.l, n) != 0, "Lua stack exhausted");
            ffi::lua_settop(self.l, n);
        }
    }

    /// Moves the top value to position `index` from the bottom.
    pub fn insert(&mut self, index: i32) {
        assert!(index >= 1 && index <= self.top(), "insert inside the stack");
        // SAFETY: index checked.
        unsafe { ffi::lua_rotate(self.l, index, 1) };
    }

    // --- tables ------------------------------------------------------------

    /// Pushes a new table with room for `array` and `hash` entries.
    pub fn push_table(&mut self, array: i32, hash: i32) {
        self.room();
        // SAFETY: room made; native state.
        unsafe { ffi::lua_createtable(self.l, array, hash) };
    }

    fn table(&self, index: i32) {
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
        if index > 0 || index == ffi::REGISTRY { index } else { self.top() + index + 1 }
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
        self.get_field_of_registry(name);
        self.kind(-1)
    }

    fn get_field_of_registry(&mut self, name: &str) {
        self.push_bytes(name.as_bytes());
        // SAFETY: the registry is a table, the key a string.
        unsafe { ffi::lua_rawget(self.l, ffi::REGISTRY) };
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
        self.room();
        // SAFETY: room made; the block is as large as `Object`, aligned to 16.
        unsafe {
            let block = ffi::lua_newuserdata(self.l, size_of::<Object>());
            block.cast::<Object>().write(Object { class, id });
        }
        self.get_field_of_registry(&class_key(class));
        assert_eq!(self.kind(-1), Kind::Table, "class {class} was registered");
        // SAFETY: a table on top of a userdata.
        unsafe { ffi::lua_setmetatable(self.l, -2) };
    }

    /// The id of an object of `class`, or `None` for anything else.
    pub fn to_object(&mut self, index: i32, class: u32) -> Option<u32> {
        let index = self.absolute(index);
        if self.kind(index) != Kind::Userdata || self.raw_len(index) != size_of::<Object>() {
            return None;
        }
        self.room();
        // SAFETY: a userdata at a valid index, room made.
        if unsafe { ffi::lua_getmetatable(self.l, index) } == 0 {
            return None;
        }
        self.get_field_of_registry(&class_key(class));
        let same = self.raw_equal(-1, -2);
        self.pop(2);
        // SAFETY: the metatable proves that `push_object` wrote an Object
        // (debug.setmetatable could forge it; the size was checked, and the
        // ids are only looked up in the host's tables).
        same.then(|| unsafe { ffi::lua_touserdata(self.l, index).cast::<Object>().read().id })
    }

    // --- calls and code ----------------------------------------------------

    /// Calls the function below `args` arguments; `results` < 0 keeps all. An
    /// error leaves its value on the stack, to be passed on or popped.
    pub fn call(&mut self, args: i32, results: i32) -> Result<(), Raise> {
        assert!(self.top() > args, "function and arguments are on the stack");
        // SAFETY: checked above; the call is protected, so nothing is jumped
        // over.
        let status = unsafe { ffi::lua32_call(self.l, args, results) };
        match status {
            ffi::OK => Ok(()),
            ffi::ERRMEM => Err(Raise::Value),
            _ => Err(Raise::Value),
        }
    }

    /// Pushes the compiled chunk, or the message of a syntax error with `Err`.
    /// `name` is Lua's chunk name (`@main.lua`).
    pub fn load(&mut self, code: &[u8], name: &str) -> Result<(), Raise> {
        self.room();
        let name = CString::new(name.replace('\0', "")).expect("NUL bytes were removed");
        // SAFETY: pointer and length describe `code`; loading is protected.
        let status = unsafe {
            ffi::lua32_load(self.l, code.as_ptr().cast(), code.len(), name.as_ptr())
        };
        match status {
            ffi::OK => Ok(()),
            ffi::ERRSYNTAX => Err(Raise::Value),
            _ => Err(Raise::Value),
        }
    }

    /// Removes line numbers and names from the Lua function on top.
    pub fn strip_debug(&mut self) {
        // SAFETY: the glue looks at the kind of the value itself.
        unsafe { ffi::lua32_strip(self.l) };
    }

    /// Replaces the top value by its `tostring`, with metamethods.
    pub fn tostring(&mut self) -> Result<(), Raise> {
        self.room();
        // SAFETY: room made.
        unsafe { ffi::lua32_push_tostring(self.l) };
        let at = self.top() - 1;
        self.insert(at);
        self.call(1, 1)
    }

    /// Pops a thread and gives the traceback of it, beginning with `message`.
    pub fn traceback(&mut self, message: &str) -> Result<Vec<u8>, Raise> {
        // SAFETY: `insert` needs the function below the thread.
        unsafe {
            self.room();
            ffi::lua32_push_traceback(self.l);
        }
        let at = self.top() - 1;
        self.insert(at);
        self.push_bytes(message.as_bytes());
        self.call(2, 1)?;
        let text = self.to_bytes(-1).unwrap_or_default().to_vec();
        self.pop(1);
        Ok(text)
    }

    /// Chunk name and line of the Lua function that called the running one,
    /// where it has debug information.
    pub fn caller(&mut self) -> Option<(Vec<u8>, i32)> {
        self.room();
        // SAFETY: room for one value was made; native state.
        let line = unsafe { ffi::lua32_caller(self.l) };
        if line < 0 {
            return None;
        }
        let source = self.to_bytes(-1)?.to_vec();
        self.pop(1);
        Some((source, line))
    }

    /// Opens Lua's base library into the globals.
    pub fn open_base(&mut self) -> Result<(), Raise> {
        self.room();
        // SAFETY: room made.
        unsafe { ffi::lua32_push_open_base(self.l) };
        self.call(0, 0)
    }

    /// Pushes the table of one of PUC's C libraries.
    pub fn open_stock(&mut self, name: &str) -> Result<(), Raise> {
        self.room();
        // SAFETY: room made.
        unsafe { ffi::lua32_push_open_stock(self.l) };
        self.push_bytes(name.as_bytes());
        self.call(1, 1)
    }

    /// Turns the table on top into a read-only library object. The table must
    /// hold the member names in order at 1..n beside the members themselves.
    pub fn make_rotable(&mut self) {
        self.table(-1);
        self.room();
        // SAFETY: a table on top, room made; native state.
        unsafe { ffi::lua32_rotable(self.l) };
    }

    /// Makes the library object on top the source of string methods.
    pub fn use_for_string_methods(&mut self) {
        assert_eq!(self.kind(-1), Kind::Userdata, "a library object is on top");
        unsafe {
            // SAFETY: room made; native state.
            assert!(ffi::lua_checkstack(self.l, 4) != 0, "room for four values");
            ffi::lua32_string_methods(self.l);
        }
    }

    /// Lua's own name of a kind, from C; for tests of the mirror in Rust.
    pub fn c_type_name(&self, index: i32) -> String {
        // SAFETY: typename returns a static string for every kind.
        unsafe {
            let kind = if self.valid(index) { ffi::lua_type(self.l, index) } else { -1 };
            CStr::from_ptr(ffi::lua_typename(self.l, kind)).to_string_lossy().into_owned()
        }
    }
}

fn class_key(class: u32) -> String {
    format!("class {class}")
}

/// `value` under a C format with one float conversion, as the firmware prints
/// it. Longer results are cut at 511 bytes.
pub fn format_number(format: &str, value: f64) -> String {
    let format = CString::new(format.replace('\0', "")).expect("NUL bytes were removed");
    let mut out = [0u8; 512];
    // SAFETY: the buffer's size is passed; the formatter reads one double.
    let len = unsafe {
        ffi::lua32_format_number(out.as_mut_ptr().cast(), out.len(), format.as_ptr(), value)
    };
    let len = usize::try_from(len).unwrap_or(0).min(out.len() - 1);
    String::from_utf8_lossy(&out[..len]).into_owned()
}
