//! LTE profiles.
#![no_main]

use airbench_lte::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Profile::parse("fuzz", text);
});
