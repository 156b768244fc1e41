//! What a WebSocket server, and an MQTT broker, may send to the device.
#![no_main]

use airbench_luatos::fuzz::{mqtt_packets, websocket_frames};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    websocket_frames(data);
    mqtt_packets(data);
});
