//! The C API of the 32-bit Lua and of the glue in `c/`, as Rust sees it.

use std::ffi::{c_char, c_int, c_void};

/// An opaque Lua thread.
#[repr(C)]
pub(crate) struct LuaState {
    _opaque: [u8; 0],
}

pub(crate) type Entry = unsafe extern "C" fn(*mut LuaState, *const c_void) -> c_int;
/// Mirror of `lua32_member` in `c/glue.h`.
#[repr(C)]
pub(crate) struct Member {
    pub(crate) kind: c_int,
    pub(crate) integer: i32,
    pub(crate) number: f32,
    pub(crate) func: *const c_void,
    pub(crate) text: *const c_char,
    pub(crate) text_len: usize,
}

pub(crate) type Find =
    unsafe extern "C" fn(*const c_void, *const c_char, usize, *mut Member) -> c_int;
pub(crate) type At = unsafe extern "C" fn(*const c_void, usize, *mut Member) -> c_int;
pub(crate) type Writer =
    unsafe extern "C" fn(*mut LuaState, *const c_void, usize, *mut c_void) -> c_int;
pub(crate) type Hook = unsafe extern "C" fn(*mut LuaState);

/// Mirror of `lua32_ctl` in `c/glue.h`; the layouts must agree.
#[repr(C)]
pub(crate) struct Ctl {
    pub(crate) entry: Entry,
    pub(crate) hook: Hook,
    pub(crate) find: Find,
    pub(crate) at: At,
    pub(crate) instructions: u64,
    pub(crate) arg: c_int,
    pub(crate) native: c_int,
    pub(crate) gc_outer: c_int,
    pub(crate) used: usize,
    pub(crate) limit: usize,
    pub(crate) hidden: usize,
    pub(crate) random: u64,
    pub(crate) pattern_steps: c_int,
    pub(crate) interval: c_int,
}

pub(crate) const RAISE_AT: c_int = -1;
pub(crate) const RAISE_VALUE: c_int = -2;
pub(crate) const RAISE_ARG: c_int = -3;

pub(crate) const MEMBER_FUNCTION: c_int = 0;
pub(crate) const MEMBER_NAMED: c_int = 1;
pub(crate) const MEMBER_INTEGER: c_int = 2;
pub(crate) const MEMBER_NUMBER: c_int = 3;
pub(crate) const MEMBER_NULL: c_int = 4;
pub(crate) const MEMBER_NIL: c_int = 5;

pub(crate) const REGISTRY: c_int = -1_000_000 - 1000;
pub(crate) const OK: c_int = 0;

pub(crate) type Alloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;

unsafe extern "C" {
    pub(crate) fn lua_newstate(f: Alloc, ud: *mut c_void) -> *mut LuaState;
    pub(crate) fn lua_gettop(l: *mut LuaState) -> c_int;
    pub(crate) fn lua_settop(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_pushvalue(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_rotate(l: *mut LuaState, index: c_int, n: c_int);
    pub(crate) fn lua_checkstack(l: *mut LuaState, n: c_int) -> c_int;
    pub(crate) fn lua_type(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_typename(l: *mut LuaState, kind: c_int) -> *const c_char;
    pub(crate) fn lua_isinteger(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_tonumberx(l: *mut LuaState, index: c_int, ok: *mut c_int) -> f32;
    pub(crate) fn lua_tointegerx(l: *mut LuaState, index: c_int, ok: *mut c_int) -> i32;
    pub(crate) fn lua_toboolean(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_tolstring(l: *mut LuaState, index: c_int, len: *mut usize) -> *const c_char;
    pub(crate) fn lua_touserdata(l: *mut LuaState, index: c_int) -> *mut c_void;
    pub(crate) fn lua_topointer(l: *mut LuaState, index: c_int) -> *const c_void;
    pub(crate) fn lua_rawlen(l: *mut LuaState, index: c_int) -> usize;
    pub(crate) fn lua_rawequal(l: *mut LuaState, a: c_int, b: c_int) -> c_int;
    pub(crate) fn lua_pushnil(l: *mut LuaState);
    pub(crate) fn lua_pushnumber(l: *mut LuaState, n: f32);
    pub(crate) fn lua_pushinteger(l: *mut LuaState, n: i32);
    pub(crate) fn lua_pushboolean(l: *mut LuaState, b: c_int);
    pub(crate) fn lua_pushlstring(l: *mut LuaState, s: *const c_char, len: usize) -> *const c_char;
    pub(crate) fn lua_pushlightuserdata(l: *mut LuaState, p: *mut c_void);
    pub(crate) fn lua_createtable(l: *mut LuaState, array: c_int, hash: c_int);
    pub(crate) fn lua_newuserdata(l: *mut LuaState, size: usize) -> *mut c_void;
    pub(crate) fn lua_getmetatable(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_setmetatable(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_rawget(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn lua_rawgeti(l: *mut LuaState, index: c_int, n: i32) -> c_int;
    pub(crate) fn lua_rawset(l: *mut LuaState, index: c_int);
    pub(crate) fn lua_rawseti(l: *mut LuaState, index: c_int, n: i32);
    pub(crate) fn lua_next(l: *mut LuaState, index: c_int) -> c_int;
    pub(crate) fn luaL_ref(l: *mut LuaState, t: c_int) -> c_int;
    pub(crate) fn luaL_unref(l: *mut LuaState, t: c_int, r: c_int);

    pub(crate) fn lua32_set_control(l: *mut LuaState, ctl: *mut Ctl);
    pub(crate) fn lua32_control(l: *mut LuaState) -> *mut Ctl;
    pub(crate) fn lua32_enter_native(l: *mut LuaState);
    pub(crate) fn lua32_push_function(l: *mut LuaState, func: *const c_void);
    pub(crate) fn lua32_push_function_with(l: *mut LuaState, func: *const c_void);
    pub(crate) fn lua32_push_own_value(l: *mut LuaState);
    pub(crate) fn lua32_call(l: *mut LuaState, nargs: c_int, nresults: c_int) -> c_int;
    pub(crate) fn lua32_load(
        l: *mut LuaState,
        text: *const c_char,
        len: usize,
        chunk: *const c_char,
    ) -> c_int;
    pub(crate) fn lua32_dump(
        l: *mut LuaState,
        write: Writer,
        data: *mut c_void,
        strip: c_int,
    ) -> c_int;
    pub(crate) fn lua32_full_gc(l: *mut LuaState);
    pub(crate) fn luaL_getmetafield(l: *mut LuaState, object: c_int, name: *const c_char) -> c_int;
    pub(crate) fn lua_setupvalue(l: *mut LuaState, func: c_int, n: c_int) -> *const c_char;
    pub(crate) fn lua32_set_hook(l: *mut LuaState, interval: c_int);
    pub(crate) fn lua32_instructions(l: *mut LuaState) -> u64;
    pub(crate) fn lua32_rotable(l: *mut LuaState, members: *const c_void);
    pub(crate) fn lua32_method_index(l: *mut LuaState);
    pub(crate) fn lua32_set_pause(l: *mut LuaState, percent: c_int);
    pub(crate) fn lua32_string_methods(l: *mut LuaState);
    pub(crate) fn lua32_push_tostring(l: *mut LuaState);
    pub(crate) fn lua32_push_open_base(l: *mut LuaState);
    pub(crate) fn lua32_push_open_stock(l: *mut LuaState);
    pub(crate) fn lua32_caller(l: *mut LuaState) -> c_int;
    pub(crate) fn lua32_format_number(
        out: *mut c_char,
        size: usize,
        format: *const c_char,
        value: f64,
    ) -> c_int;
}
