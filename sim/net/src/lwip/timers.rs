//! A control block's timers. The chip's fork starts each one for itself when it is
//! needed, so none waits for a common tick.

use airbench_clock::Instant;

use super::config::{OUT_OF_ORDER_TIMEOUTS, PERSIST, backed_off};
use super::pcb::{Pcb, State};
use super::segment::Outgoing;

/// What timers lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The block lives on.
    Stays,
    /// It has ended.
    Ends,
    /// It is given up without a word to the peer.
    GivenUp,
    /// It is given up, and the peer is told.
    Resets,
}

impl Pcb {
    /// How often what it sends is repeated before it is given up.
    fn retries(&self) -> u32 {
        if self.state == State::SynSent {
            self.config.syn_retries
        } else {
            self.config.data_retries
        }
    }

    fn retransmits(&self) -> Option<Instant> {
        let waits = self.persist.is_none() && !self.unacked.is_empty();
        Some(self.timer.filter(|_| waits)? + self.config.tick * self.rto)
    }

    fn probes_window(&self) -> Option<Instant> {
        let (since, probe) = self.persist?;
        Some(since + self.config.tick * PERSIST[probe.min(PERSIST.len() - 1)])
    }

    fn probes_peer(&self) -> Option<Instant> {
        let keepalive = self.keepalive?;
        let open = matches!(self.state, State::Established | State::CloseWait);
        let next = self.next_probe.unwrap_or(self.heard + keepalive.idle);
        open.then_some(next)
    }

    fn lingers_until(&self) -> Option<Instant> {
        let (state, since) = self.lingers?;
        let span = match state {
            State::FinWait2 => self.config.fin_wait,
            _ => 2 * self.config.segment_lifetime,
        };
        Some(since + span)
    }

    fn forgets_out_of_order(&self) -> Option<Instant> {
        let wait = self.config.tick * self.rto * OUT_OF_ORDER_TIMEOUTS;
        (!self.out_of_order.is_empty()).then_some(self.heard + wait)
    }

    /// When the next timer runs out.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        Instant::earliest([
            self.retransmits(),
            self.probes_window(),
            self.probes_peer(),
            self.lingers_until(),
            self.forgets_out_of_order(),
        ])
    }

    /// States that end by themselves do so from their beginning on, whatever the
    /// peer still sends.
    pub(super) fn watch_state(&mut self, now: Instant) {
        let ends = matches!(
            self.state,
            State::FinWait2 | State::TimeWait | State::LastAck
        );
        if self.lingers.map(|(state, _)| state) != ends.then_some(self.state) {
            self.lingers = ends.then_some((self.state, now));
        }
    }

    /// Works off the timers that have run out.
    pub(super) fn run_timers(&mut self, now: Instant, send: &mut impl FnMut(Outgoing<'_>)) -> Fate {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.lingers_until()) {
            return Fate::Ends;
        }
        if due(self.probes_window()) {
            self.probe(send);
            let probe = self.persist.map_or(0, |(_, probe)| probe + 1);
            self.persist = Some((now, probe.min(PERSIST.len() - 1)));
        } else if due(self.retransmits()) {
            // The last repetition is waited for as the others are.
            if self.nrtx >= self.retries() {
                return Fate::GivenUp;
            }
            self.time_out(now);
        }
        if due(self.probes_peer()) {
            let interval = self.keepalive.map_or(self.config.tick, |k| k.interval);
            if self.keepalive.is_some_and(|k| self.probes_sent >= k.count) {
                return Fate::Resets;
            }
            self.probes_sent += 1;
            self.next_probe = Some(now + interval.max(self.config.tick));
            self.keep_alive(send);
        }
        if due(self.forgets_out_of_order()) {
            self.out_of_order.clear();
        }
        Fate::Stays
    }

    /// Nothing was acknowledged in time. While connecting, the time-out is not
    /// doubled.
    fn time_out(&mut self, now: Instant) {
        if self.state != State::SynSent {
            self.rto = backed_off(self.smoothed(), self.nrtx).min(0x7FFF);
        }
        self.timer = Some(now);
        let window = self.cwnd.min(self.snd_wnd);
        self.ssthresh = (window / 2).max(2 * self.mss);
        self.cwnd = self.mss;
        self.retransmit_all();
    }
}
