//! Messages to the echo server: what it answers, it answers to again.
#![no_main]

use airbench_airtun::{echo, nutz};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(reply) = echo::reply(text) {
        // Numbers may change their type on the way back; the object may not.
        assert!(matches!(nutz::parse(&reply), Ok(Some(_))), "{reply}");
    }
});
