//! TLS keys for captures: what lets Wireshark read a device's connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use rustls::KeyLog;

/// Keys of a device's TLS connections, in the format of NSS key logs. They are
/// kept only while somebody captures.
#[derive(Debug, Default)]
pub struct Secrets {
    wanted: AtomicBool,
    lines: Mutex<Vec<String>>,
}

impl Secrets {
    /// Keys are kept from now on.
    pub fn keep(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// The keys since the last call, a line each, without line ends.
    pub fn take(&self) -> Vec<String> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *lines)
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if self.will_log(label) {
            let line = format!(
                "{label} {} {}",
                HEXLOWER.encode(client_random),
                HEXLOWER.encode(secret)
            );
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(line);
        }
    }

    fn will_log(&self, _: &str) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}
