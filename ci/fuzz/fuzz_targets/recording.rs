//! Recordings: any bytes as a file, and as events behind a good header.
#![no_main]

use airbench_trace::file::{Reader, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Reader::open::<serde_json::Value>(data);
    let mut file = Writer::new(Vec::new(), &"header")
        .and_then(Writer::finish)
        .unwrap();
    file.extend_from_slice(data);
    if let Ok((_, mut reader)) = Reader::open::<String>(&file[..]) {
        while let Ok(Some(_)) = reader.next_event() {}
    }
});
