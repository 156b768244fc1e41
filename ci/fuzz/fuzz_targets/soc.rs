//! `.soc` archives.
#![no_main]

use airbench::soc;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = soc::script_image(data);
});
