//! LuaDB images; what is read must be written and read as the same.
#![no_main]

use airbench_luatos::luadb;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(scripts) = luadb::read(data)
        && let Ok(image) = luadb::write(&scripts)
    {
        assert_eq!(luadb::read(&image), Ok(scripts));
    }
});
