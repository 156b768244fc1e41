//! What the slow timer does to a control block, and when it has to.

use super::config::{BACKOFF, OUT_OF_ORDER_TIMEOUTS, PERSIST};
use super::pcb::{Pcb, State};
use super::segment::Outgoing;

/// What a tick leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The block lives on.
    Stays,
    /// It is given up or has ended.
    Ends,
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

    /// The tick after which it is given up, if it has used all its retries: the
    /// next one.
    fn gives_up(&self) -> Option<u64> {
        (self.nrtx >= self.retries())
            .then_some(self.timer? + 1)
            .filter(|_| self.persist.is_none())
    }

    fn retransmits(&self) -> Option<u64> {
        let waits = self.persist.is_none() && !self.unacked.is_empty();
        Some(self.timer.filter(|_| waits)? + u64::from(self.rto))
    }

    fn probes_window(&self) -> Option<u64> {
        let (since, probe) = self.persist?;
        Some(since + u64::from(PERSIST[probe.min(PERSIST.len() - 1)]))
    }

    fn probes_peer(&self) -> Option<u64> {
        let keepalive = self.keepalive?;
        let idle = self.config.ticks(keepalive.idle);
        let interval = self.config.ticks(keepalive.interval).max(1);
        let open = matches!(self.state, State::Established | State::CloseWait);
        let probes = u64::from(self.probes_sent.min(keepalive.count));
        open.then_some(self.heard + idle + probes * interval + 1)
    }

    fn lingers_until(&self) -> Option<u64> {
        let span = match self.state {
            State::FinWait2 => self.config.fin_wait,
            State::TimeWait | State::LastAck => 2 * self.config.segment_lifetime,
            _ => return None,
        };
        Some(self.heard + self.config.ticks(span) + 1)
    }

    fn forgets_out_of_order(&self) -> Option<u64> {
        let wait = u64::from(self.rto * OUT_OF_ORDER_TIMEOUTS);
        (!self.out_of_order.is_empty()).then_some(self.heard + wait)
    }

    /// The next tick that does something.
    pub(super) fn next_tick(&self) -> Option<u64> {
        let ticks = [
            self.gives_up(),
            self.retransmits(),
            self.probes_window(),
            self.probes_peer(),
            self.lingers_until(),
            self.forgets_out_of_order(),
        ];
        ticks.into_iter().flatten().min()
    }

    /// Works off one tick.
    pub(super) fn slow_tick(&mut self, tick: u64, send: &mut impl FnMut(Outgoing<'_>)) -> Fate {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= tick);
        if due(self.gives_up()) || due(self.lingers_until()) {
            return Fate::Ends;
        }
        if due(self.probes_window()) {
            self.probe(send);
            let probe = self.persist.map_or(0, |(_, probe)| probe + 1);
            self.persist = Some((tick, probe.min(PERSIST.len() - 1)));
        } else if due(self.retransmits()) {
            self.time_out(tick);
        }
        if due(self.probes_peer()) {
            let all = self.keepalive.is_some_and(|k| self.probes_sent >= k.count);
            if all {
                return Fate::Resets;
            }
            self.probes_sent += 1;
            self.keep_alive(send);
        }
        if due(self.forgets_out_of_order()) {
            self.out_of_order.clear();
        }
        Fate::Stays
    }

    /// Nothing was acknowledged in time. While connecting, the time-out is not
    /// doubled.
    fn time_out(&mut self, tick: u64) {
        if self.state != State::SynSent {
            let step = BACKOFF[(self.nrtx as usize).min(BACKOFF.len() - 1)];
            // lwIP keeps it in sixteen bits.
            self.rto = (self.smoothed() << step).min(0x7FFF);
        }
        self.timer = Some(tick);
        let window = self.cwnd.min(self.snd_wnd);
        self.ssthresh = (window / 2).max(2 * self.mss);
        self.cwnd = self.mss;
        self.retransmit_all();
    }
}
