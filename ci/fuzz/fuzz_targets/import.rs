//! Captures of other tools: no panic, no hang, whatever the file says.
#![no_main]

use airbench_import::{Format, Hints, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let formats = Format::ALL.map(Some);
    let format = formats.get(usize::from(*choice)).copied().flatten();
    let hints = Hints {
        format,
        keys: vec![String::from_utf8_lossy(&bytes[..bytes.len() / 4]).into_owned()],
        ..Hints::default()
    };
    if let Ok(part) = read("x", bytes, &hints) {
        airbench_import::merge::merge(vec![part.clone(), part]);
    }
});
