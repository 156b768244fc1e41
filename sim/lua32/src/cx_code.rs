//! Calls, chunks, libraries, and number printing.

use std::ffi::{CStr, CString, c_int, c_void};

use crate::bytecode::{self, Corrupt};
use crate::cx::{Cx, Kind, Raise};
use crate::{cx_load, ffi};

/// The beginning of one this VM can run: Lua 5.3, sizes of the device.
const HEADER: &[u8] = b"\x1BLua\x53\0\x19\x93\r\n\x1A\n\x04\x04\x04\x04\x04";

impl<H: 'static> Cx<'_, H> {
    // --- calls and code ----------------------------------------------------

    /// Calls the function below `args` arguments; `results` < 0 keeps all. An
    /// error leaves its value on the stack, to be passed on or popped.
    pub fn call(&mut self, args: i32, results: i32) -> Result<(), Raise> {
        assert!(self.top() > args, "function and arguments are on the stack");
        // SAFETY: checked above; the call is protected, so nothing is jumped
        // over.
        let status = unsafe { ffi::lua32_call(self.l, args, results) };
        if status == ffi::OK {
            Ok(())
        } else {
            Err(Raise::Value)
        }
    }

    /// Pushes the compiled chunk, or the message of a syntax error with `Err`.
    /// `name` is Lua's chunk name (`@main.lua`).
    pub fn load(&mut self, code: &[u8], name: &str) -> Result<(), Raise> {
        self.room();
        if let Some(word) = Self::damage(code) {
            let shown = name.trim_start_matches(['@', '=']);
            self.push_bytes(format!("{shown}: {word} precompiled chunk").as_bytes());
            return Err(Raise::Value);
        }
        let name = CString::new(name.replace('\0', "")).expect("NUL bytes were removed");
        // SAFETY: pointer and length describe `code`; loading is protected.
        let status =
            unsafe { ffi::lua32_load(self.l, code.as_ptr().cast(), code.len(), name.as_ptr()) };
        if status == ffi::OK {
            Ok(())
        } else {
            Err(Raise::Value)
        }
    }

    /// What is wrong with byte code that Lua would stumble over. The header it
    /// judges itself, in its own words.
    pub(crate) fn damage(code: &[u8]) -> Option<&'static str> {
        if !code.starts_with(HEADER) {
            return None;
        }
        match bytecode::check(code) {
            Ok(()) => None,
            Err(Corrupt::Truncated) => Some("truncated"),
            Err(Corrupt::Broken) => Some("corrupted"),
        }
    }

    /// Pops a value and makes it the globals of the chunk at `index`.
    pub fn set_environment(&mut self, index: i32) {
        // SAFETY: a loaded chunk's first upvalue is its environment; one that
        // has none leaves the value, which the check below removes.
        let set = unsafe { ffi::lua_setupvalue(self.l, index, 1) };
        if set.is_null() {
            self.pop(1);
        }
    }

    /// The Lua function on top as a precompiled chunk of the device.
    pub fn dump(&mut self, strip_debug: bool) -> Option<Vec<u8>> {
        unsafe extern "C" fn write(
            _: *mut ffi::LuaState,
            bytes: *const c_void,
            len: usize,
            out: *mut c_void,
        ) -> c_int {
            // SAFETY: `out` is the vector below, `bytes` are `len` bytes of Lua's.
            unsafe {
                let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), len);
                (*out.cast::<Vec<u8>>()).extend_from_slice(bytes);
            }
            0
        }
        if self.kind(-1) != Kind::Function {
            return None;
        }
        let mut out: Vec<u8> = Vec::new();
        // SAFETY: a function on top; the writer neither raises nor keeps.
        let done = unsafe {
            let data = (&raw mut out).cast();
            ffi::lua32_dump(self.l, write, data, c_int::from(strip_debug))
        };
        (done != 0).then_some(out)
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

    /// Chunk name of the function that called the running one, and the line in
    /// it: -1 in C and in stripped code.
    pub fn caller(&mut self) -> Option<(Vec<u8>, i32)> {
        self.room();
        // SAFETY: room for one value was made; native state.
        let line = unsafe { ffi::lua32_caller(self.l) };
        if line < -1 {
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
        self.call(0, 0)?;
        cx_load::open(self);
        Ok(())
    }

    /// Pushes the table of one of PUC's C libraries.
    pub fn open_stock(&mut self, name: &str) -> Result<(), Raise> {
        self.room();
        // SAFETY: room made.
        unsafe { ffi::lua32_push_open_stock(self.l) };
        self.push_bytes(name.as_bytes());
        self.call(1, 1)
    }

    /// Lua's name of a value's kind, whatever class the value is of.
    pub fn kind_name(&self, index: i32) -> String {
        // SAFETY: typename returns a static string for every kind.
        unsafe {
            let kind = if self.valid(index) {
                ffi::lua_type(self.l, index)
            } else {
                -1
            };
            CStr::from_ptr(ffi::lua_typename(self.l, kind))
                .to_string_lossy()
                .into_owned()
        }
    }
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
