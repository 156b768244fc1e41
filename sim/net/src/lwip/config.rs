//! What the EC618's TCP is dimensioned with, and why we believe it.

use std::time::Duration;

/// Dimensions of the device's TCP.
///
/// The chip links a closed fork of lwIP 2.0.3 whose configuration header is
/// public (luatos-soc-2022, `lwip_config_ec6180h00.h`). Sources of a fork with the
/// same macros (`ENABLE_PSIF`, `LWIP_TIMER_ON_DEMOND`) and the same added fields
/// have been published; its back-off and timers are taken from there, the rest
/// from the public releases. That it is the very fork of the EC618 is an
/// inference. Where the sources leave something open, the field says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LwipConfig {
    /// `TCP_MSS`: announced, and never exceeded.
    pub mss: u16,
    /// `TCP_WND`: the receive window in bytes; user-settable on the chip, six
    /// segments unless set.
    pub window: u32,
    /// `TCP_SND_BUF`: bytes written but not acknowledged; 20 segments in user
    /// code.
    pub send_buffer: usize,
    /// `TCP_RCV_SCALE`: shift announced in the window scale option
    /// (`LWIP_WND_SCALE` is 1).
    pub window_shift: u8,
    /// `TCP_SLOW_INTERVAL`: the unit of all long timers.
    pub tick: Duration,
    /// `TCP_DELAY_ACK_TIMER`. The fork starts its timers on demand, so it runs
    /// from the segment, not to the next tick.
    pub ack_delay: Duration,
    /// First retransmission time-out in ticks: lwIP's `LWIP_TCP_RTO_TIME` of 3 s.
    pub first_rto: u32,
    /// `TCP_SYNMAXRTX`: a SYN is repeated so often.
    pub syn_retries: u32,
    /// `TCP_DEFRTX`: data and FINs are repeated so often; 4 to 12 can be set.
    pub data_retries: u32,
    /// `TCP_MSL`: TIME_WAIT lasts twice as long.
    pub segment_lifetime: Duration,
    /// `TCP_FIN_WAIT_TIMEOUT`: how long a closed connection waits for the peer's
    /// FIN.
    pub fin_wait: Duration,
    /// `IP_DEFAULT_TTL`.
    pub ttl: u8,
}

impl Default for LwipConfig {
    fn default() -> Self {
        Self {
            mss: 1340,
            window: 6 * 1340,
            send_buffer: 20 * 1340,
            window_shift: 1,
            tick: Duration::from_millis(500),
            ack_delay: Duration::from_millis(250),
            first_rto: 6,
            syn_retries: 5,
            data_retries: 6,
            segment_lifetime: Duration::from_millis(2500),
            fin_wait: Duration::from_secs(20),
            ttl: 255,
        }
    }
}

/// Left shifts of the smoothed time-out, by the number of retransmissions: the
/// fork's (with `ENABLE_PSIF`), which doubles every second time only. The public
/// releases have 1 2 3 4 5 6 7.
const BACKOFF: [u32; 13] = [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7];
/// Ticks between probes of a closed window.
pub(super) const PERSIST: [u32; 7] = [3, 6, 12, 24, 48, 96, 120];
/// Out-of-order segments are kept for so many time-outs.
pub(super) const OUT_OF_ORDER_TIMEOUTS: u32 = 6;

/// The time-out in ticks after so many retransmissions.
pub(super) fn backed_off(smoothed: u32, retransmissions: u32) -> u32 {
    smoothed << BACKOFF[(retransmissions as usize).min(BACKOFF.len() - 1)]
}

impl LwipConfig {
    /// The window in a RST: always the whole one.
    pub(super) fn reset_window(&self) -> u16 {
        u16::try_from(self.window >> self.window_shift).unwrap_or(u16::MAX)
    }

    /// When SYNs into a black hole leave, and when the attempt is given up, from
    /// the first SYN on: the time-out is not doubled while connecting.
    pub fn connect_ladder(&self) -> (Vec<Duration>, Duration) {
        let step = self.tick * self.first_rto;
        let sent = (0..=self.syn_retries).map(|n| step * n).collect();
        (sent, step * (self.syn_retries + 1))
    }

    /// When data written into a black hole leave, and when the connection is
    /// given up, from the first transmission on. `smoothed` is the
    /// retransmission time-out in ticks that measured round trips have left.
    pub fn data_ladder(&self, smoothed: u32) -> (Vec<Duration>, Duration) {
        let mut at = 0;
        let mut sent = vec![Duration::ZERO];
        let mut rto = smoothed;
        for retry in 0..self.data_retries {
            at += rto;
            sent.push(self.tick * at);
            rto = backed_off(smoothed, retry);
        }
        (sent, self.tick * (at + rto))
    }
}
