//! Byte code from outside: checked, loaded and written again, not run.
#![no_main]

use airbench_luatos::compile;
use libfuzzer_sys::fuzz_target;

/// The head of a dump with 32-bit numbers, so that what follows it is reached.
const HEAD: &[u8] = b"\x1bLuaS\0\x19\x93\r\n\x1a\n\x04\x04\x04\x04\x04\x78\x56\0\0\0\x40\xb9\x43";

fuzz_target!(|data: &[u8]| {
    let _ = compile(&[HEAD, data].concat(), "fuzz.luac", false);
    let _ = compile(data, "fuzz.luac", true);
});
