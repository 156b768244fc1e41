//! Console lines as Luatools prints them.

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};

/// Turns events into Luatools' lines:
/// `[2024-09-03 20:12:07.350][000000000.237] I/main …`.
#[derive(Debug, Clone)]
pub struct Console {
    /// UTC milliseconds at the world's beginning.
    epoch_ms: i64,
    /// The board's latest boot; device uptime counts from there.
    boot: Instant,
}

/// Luatools shows the PC's local time; ours is China's, where the users are.
const PC_ZONE_MS: i64 = 8 * 3600 * 1000;

impl Console {
    /// A console for a world that began at `epoch` (UTC seconds).
    pub fn new(epoch: i64) -> Self {
        Self {
            epoch_ms: epoch * 1000 + PC_ZONE_MS,
            boot: Instant::ZERO,
        }
    }

    /// The line of an event, if it is one of the console.
    pub fn line(&mut self, event: &Event) -> Option<Vec<u8>> {
        match (event.source, event.kind) {
            (Source::Board, Kind::Power) if event.bytes.starts_with(b"boot") => {
                self.boot = event.time;
                None
            }
            (Source::Console, Kind::Line) => {
                let uptime = event.time.since(self.boot).as_millis();
                let stamp = format!(
                    "[{}][{:09}.{:03}] ",
                    self.date(event.time),
                    uptime / 1000,
                    uptime % 1000
                );
                let mut line = stamp.into_bytes();
                line.extend_from_slice(&event.bytes);
                Some(line)
            }
            _ => None,
        }
    }

    fn date(&self, at: Instant) -> String {
        let ms = self.epoch_ms + i64::try_from(at.millis()).unwrap_or(i64::MAX / 2);
        airbench_luatos::format_date_ms(ms)
    }
}
