//! Bytes of a client, from its first request on: heads, frames, messages.
#![no_main]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use airbench_airtun::{Clock, Server, Silent, Sleep};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Nothing is ever late.
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn date(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

const UPGRADE: &[u8] = b"GET /ws/echo2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n";

fuzz_target!(|data: &[u8]| {
    // An odd first byte: the handshake has been done.
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    // `/api` waits for its backend, which no clock ends here.
    if rest.windows(4).any(|four| four.eq_ignore_ascii_case(b"/api")) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 22);
        let program = Server::new(Arc::new(NoClock), Arc::new(Silent));
        let serving = tokio::spawn(async move { program.serve(server).await });
        if first % 2 == 1 {
            client.write_all(UPGRADE).await.unwrap();
        }
        let _ = client.write_all(rest).await;
        let _ = client.shutdown().await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        drop(client);
        serving.await.unwrap();
    });
});
