//! What an HTTP server may send to the device, in pieces of any size.
#![no_main]

use airbench_luatos::fuzz::http_response;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (u8, &[u8])| {
    http_response(data.1, data.0.into());
});
