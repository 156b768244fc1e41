//! What an API function sees: its arguments, the stack, and the host.

use std::borrow::Cow;
use std::ffi::c_int;
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

/// Lua's number of the string type.
const STRING: c_int = 4;

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
pub struct Ref(pub(crate) c_int);

/// The view an API function has of the VM: positive indices are arguments,
/// negative ones count from the top of the stack.
pub struct Cx<'a, H: 'static> {
    pub(crate) shared: &'a Shared<H>,
    pub(crate) l: *mut LuaState,
    _host: PhantomData<&'a mut H>,
}

impl<'a, H: 'static> Cx<'a, H> {
    pub(crate) fn new(shared: &'a Shared<H>, l: *mut LuaState) -> Self {
        Self {
            shared,
            l,
            _host: PhantomData,
        }
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

    /// Changes the heap limit, in device bytes; the peak counts anew. Of what
    /// is in use, `hidden` bytes are not shown to the script.
    pub fn set_heap_limit(&mut self, limit: usize, hidden: usize) {
        // SAFETY: plain counters, touched by this thread only.
        unsafe {
            let ctl = self.shared.ctl.get();
            (*ctl).limit = limit;
            (*ctl).hidden = hidden;
            if let Some(arena) = (*self.shared.arena.get()).as_mut() {
                arena.peak = (*ctl).used;
            }
        }
    }

    /// The collector's pause in percent, as `collectgarbage("setpause")`.
    pub fn set_gc_pause(&mut self, percent: i32) {
        // SAFETY: sets a number.
        unsafe { ffi::lua32_set_pause(self.l, percent) };
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
        let kind = if self.valid(index) {
            unsafe { ffi::lua_type(self.l, index) }
        } else {
            -1
        };
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

    pub(crate) fn valid(&self, index: i32) -> bool {
        index == ffi::REGISTRY || (index != 0 && index.unsigned_abs() as i32 <= self.top())
    }

    /// What error messages call the value at `index`: a class by its name,
    /// anything else by Lua's name of its kind.
    pub fn type_name(&self, index: i32) -> Cow<'static, str> {
        if matches!(self.kind(index), Kind::Userdata | Kind::Table) {
            self.room();
            // SAFETY: there is room for the field, which is on top if its kind
            // is not nil, and a string's bytes live as long as it is there.
            let name = unsafe {
                match ffi::luaL_getmetafield(self.l, index, c"__name".as_ptr()) {
                    0 => None,
                    kind => {
                        let mut len = 0;
                        let text = ffi::lua_tolstring(self.l, -1, &raw mut len);
                        let name = (kind == STRING).then(|| {
                            let bytes = std::slice::from_raw_parts(text.cast(), len);
                            String::from_utf8_lossy(bytes).into_owned()
                        });
                        ffi::lua_settop(self.l, -2);
                        name
                    }
                }
            };
            if let Some(name) = name {
                return Cow::Owned(name);
            }
        }
        Cow::Borrowed(match self.kind(index) {
            Kind::None => "no value",
            Kind::Nil => "nil",
            Kind::Boolean => "boolean",
            Kind::LightUserdata => "light userdata",
            Kind::Userdata => "userdata",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Table => "table",
            Kind::Function => "function",
            Kind::Thread => "thread",
        })
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
        if self.valid(index) {
            unsafe { ffi::lua_topointer(self.l, index) as usize as u32 }
        } else {
            0
        }
    }

    /// Border of a table or length of a string, without metamethods.
    pub fn raw_len(&self, index: i32) -> usize {
        // SAFETY: guarded by `valid`.
        if self.valid(index) {
            unsafe { ffi::lua_rawlen(self.l, index) }
        } else {
            0
        }
    }

    /// Raw equality of two stack values.
    pub fn raw_equal(&self, a: i32, b: i32) -> bool {
        // SAFETY: guarded by `valid`.
        self.valid(a) && self.valid(b) && unsafe { ffi::lua_rawequal(self.l, a, b) } != 0
    }

    // --- pushing -----------------------------------------------------------

    pub(crate) fn room(&self) {
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
            (*self.shared.arena.get())
                .as_ref()
                .is_some_and(|a| a.fits(bytes.len(), used))
        };
        let bytes = if fits {
            bytes
        } else {
            &bytes[..bytes.len().min(1 << 20)]
        };
        // SAFETY: room was made; native state, so nothing raises.
        unsafe { ffi::lua_pushlstring(self.l, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// Pushes the null light userdata (`json.null`).
    pub fn push_null(&mut self) {
        self.room();
        // SAFETY: as in `push_nil`.
        unsafe { ffi::lua_pushlightuserdata(self.l, null_mut()) };
    }

    /// Pushes a light userdata with this address.
    pub fn push_light(&mut self, address: u32) {
        self.room();
        // SAFETY: as in `push_nil`; the address is a number to Lua.
        unsafe { ffi::lua_pushlightuserdata(self.l, address as usize as *mut _) };
    }

    /// The address of a light userdata.
    pub fn to_light(&self, index: i32) -> Option<u32> {
        if self.kind(index) != Kind::LightUserdata {
            return None;
        }
        // SAFETY: the kind was checked; only the low 32 bits are kept.
        Some(unsafe { ffi::lua_touserdata(self.l, index) as usize as u32 })
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
}
