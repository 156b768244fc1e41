//! The sectors of a FOTA package, as the boot loader unpacks them.
#![no_main]

use airbench_luatos::fuzz::fota_sectors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    fota_sectors(data);
});
