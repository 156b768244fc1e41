//! The system heap: what lies outside the Lua VM's own pool.
//!
//! Its allocator is closed; figures and growth are kept as plain byte counts.
//! Counted are zbuffs and bytes queued for UARTs and sockets. Control blocks
//! and TLS sessions are not.

/// Size, as device logs show it.
const TOTAL: usize = 277_872;
/// In use after the libraries are loaded, in a device log.
const AT_START: usize = 53_984;
/// The most in use by then.
const PEAK_AT_START: usize = 81_264;

/// What is in use beyond the firmware's own needs.
#[derive(Debug, Default)]
pub(crate) struct SystemHeap {
    extra: usize,
    peak: usize,
}

impl SystemHeap {
    /// Bytes that can still be had.
    pub(crate) fn free(&self) -> usize {
        TOTAL - AT_START - self.extra.min(TOTAL - AT_START)
    }

    /// A block grew or shrank from `old` to `new` bytes.
    pub(crate) fn resized(&mut self, old: usize, new: usize) {
        self.extra = self.extra.saturating_sub(old) + new;
        self.peak = self.peak.max(self.extra);
    }

    /// Total, used and most ever used, as `rtos.meminfo("sys")`.
    pub(crate) fn figures(&self) -> [usize; 3] {
        let used = AT_START + self.extra;
        [TOTAL, used, PEAK_AT_START.max(AT_START + self.peak)]
    }
}
