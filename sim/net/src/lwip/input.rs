//! What a control block makes of a segment from its peer.

use airbench_clock::Instant;

use super::pcb::{Pcb, State, before, between};
use super::segment::Segment;
use crate::stack::TcpError;

/// Most pieces kept above a gap.
const PIECES: usize = 64;

/// What came of a segment beyond the block itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// It belongs to no connection of ours: a RST answers it.
    Refuse,
    /// Data came after the user has closed: the connection is reset.
    Abort,
}

impl Pcb {
    /// Takes a segment in.
    pub(super) fn input(&mut self, segment: Segment, now: Instant) -> Verdict {
        if segment.rst {
            self.reset_arrived(&segment);
            return Verdict::Fine;
        }
        if self.state == State::TimeWait {
            return self.late_segment(&segment, now);
        }
        if self.state == State::SynSent {
            self.hear(now);
            return self.answer_to_syn(&segment, now);
        }
        if segment.syn {
            // The peer may have lost its memory; its answer to this will tell.
            self.ack_now = true;
            return Verdict::Fine;
        }
        self.hear(now);
        let unread = self.received.len();
        self.receive(segment, now);
        if self.received.len() > unread {
            self.arrivals = self.arrivals.wrapping_add(1);
            // What comes in order after the user has closed is lost, and the
            // peer must know.
            if self.closed {
                return Verdict::Abort;
            }
        }
        Verdict::Fine
    }

    /// The peer lives.
    fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.probes_sent = 0;
        self.next_probe = None;
    }

    fn reset_arrived(&mut self, segment: &Segment) {
        let acceptable = match self.state {
            State::SynSent => segment.ack == Some(self.snd_nxt),
            State::TimeWait => false,
            _ => segment.seq == self.rcv_nxt,
        };
        if acceptable {
            self.fail(TcpError::Reset);
        } else if self.state > State::SynSent {
            let edge = self.rcv_nxt.wrapping_add(self.rcv_wnd);
            self.ack_now |= between(segment.seq, self.rcv_nxt, edge);
        }
    }

    fn late_segment(&mut self, segment: &Segment, now: Instant) -> Verdict {
        let edge = self.rcv_nxt.wrapping_add(self.rcv_wnd);
        if segment.syn && between(segment.seq, self.rcv_nxt, edge) {
            return Verdict::Refuse;
        }
        if segment.fin && !segment.syn {
            self.lingers = Some((State::TimeWait, now));
        }
        self.ack_now |= segment.len() > 0;
        Verdict::Fine
    }

    fn answer_to_syn(&mut self, segment: &Segment, now: Instant) -> Verdict {
        let acknowledges = segment.ack == Some(self.lastack.wrapping_add(1));
        if !segment.syn || !acknowledges {
            if segment.ack.is_none() {
                return Verdict::Fine;
            }
            // A half-open connection at the peer: it is reset, and the SYN goes
            // out again without waiting, if one is left.
            if self.nrtx < self.config.syn_retries {
                self.timer = Some(now);
                self.retransmit_all();
            }
            return Verdict::Refuse;
        }
        let ack = self.lastack.wrapping_add(1);
        self.rcv_nxt = segment.seq.wrapping_add(1);
        self.rcv_ann_right_edge = self.rcv_nxt;
        self.lastack = ack;
        self.snd_wnd = u32::from(segment.window);
        self.snd_wnd_max = self.snd_wnd;
        self.snd_wl1 = segment.seq.wrapping_sub(1);
        let offered = match segment.mss {
            None => 536,
            Some(0) => self.config.mss,
            Some(mss) => mss,
        };
        self.mss = u32::from(offered.min(self.config.mss));
        if let Some(shift) = segment.window_shift {
            self.scaled = true;
            self.snd_scale = shift;
            self.rcv_wnd = self.config.window;
            self.rcv_ann_wnd = self.config.window;
        }
        self.cwnd = (4 * self.mss).min((2 * self.mss).max(4380));
        self.state = State::Established;
        self.drop_acknowledged(ack);
        self.nrtx = 0;
        self.timer = None;
        self.ack_now = true;
        Verdict::Fine
    }

    fn drop_acknowledged(&mut self, ack: u32) {
        for queue in [&mut self.unacked, &mut self.unsent] {
            while queue.front().is_some_and(|first| !before(ack, first.end())) {
                queue.pop_front();
            }
        }
    }

    fn receive(&mut self, segment: Segment, now: Instant) {
        let (seq, len) = (segment.seq, segment.len());
        if let Some(ack) = segment.ack {
            self.acknowledged(&segment, ack, now);
            self.measure(ack, now);
        }
        if len > 0 && self.state < State::CloseWait {
            self.take_data(segment, now);
        } else if len > 0 {
            self.ack_now = true;
        } else if !between(
            seq,
            self.rcv_nxt,
            self.rcv_nxt.wrapping_add(self.rcv_wnd.max(1) - 1),
        ) {
            // A keep-alive, or an old packet.
            self.ack_now = true;
        }
        self.advance_close();
    }

    /// States that follow from what has been acknowledged.
    fn advance_close(&mut self) {
        let all = self.closed && self.unsent.is_empty() && self.unacked.is_empty();
        if !all {
            return;
        }
        self.state = match self.state {
            State::FinWait1 => State::FinWait2,
            State::Closing => State::TimeWait,
            State::LastAck => State::Closed,
            state => state,
        };
    }

    fn acknowledged(&mut self, segment: &Segment, ack: u32, now: Instant) {
        let right_edge = self.snd_wnd.wrapping_add(self.snd_wl2);
        self.update_window(segment, ack, now);
        if !before(self.lastack, ack) {
            let same_edge = self.snd_wl2.wrapping_add(self.snd_wnd) == right_edge;
            let duplicate =
                segment.len() == 0 && same_edge && self.timer.is_some() && ack == self.lastack;
            if duplicate {
                self.duplicate_ack(now);
            } else {
                self.dupacks = 0;
            }
            return;
        }
        if !between(ack, self.lastack.wrapping_add(1), self.snd_nxt) {
            // It acknowledges what was never sent.
            self.ack_now = true;
            return;
        }
        if std::mem::take(&mut self.fast_recovery) {
            self.cwnd = self.ssthresh;
        }
        self.nrtx = 0;
        self.rto = self.smoothed();
        self.dupacks = 0;
        self.lastack = ack;
        let step = if self.cwnd < self.ssthresh {
            self.mss
        } else {
            self.mss * self.mss / self.cwnd.max(1)
        };
        self.cwnd = self.cwnd.saturating_add(step);
        self.drop_acknowledged(ack);
        self.timer = (!self.unacked.is_empty()).then_some(now);
    }

    fn update_window(&mut self, segment: &Segment, ack: u32, now: Instant) {
        let window = u32::from(segment.window) << self.snd_scale;
        let newer = before(self.snd_wl1, segment.seq)
            || (self.snd_wl1 == segment.seq && before(self.snd_wl2, ack))
            || (self.snd_wl2 == ack && window > self.snd_wnd);
        if !newer {
            return;
        }
        self.snd_wnd = window;
        self.snd_wnd_max = self.snd_wnd_max.max(window);
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = ack;
        if window == 0 {
            self.persist.get_or_insert((now, 0));
        } else if self.persist.take().is_some() && self.timer.is_some() {
            // The retransmission timer stood still meanwhile.
            self.timer = Some(now);
        }
    }

    fn duplicate_ack(&mut self, now: Instant) {
        self.dupacks += 1;
        if self.dupacks > 3 {
            self.cwnd = self.cwnd.saturating_add(self.mss);
        } else if self.dupacks == 3 && !self.fast_recovery && !self.unacked.is_empty() {
            self.retransmit_first();
            self.ssthresh = (self.cwnd.min(self.snd_wnd) / 2).max(2 * self.mss);
            self.cwnd = self.ssthresh + 3 * self.mss;
            self.fast_recovery = true;
            self.timer = Some(now);
        }
    }

    /// Van Jacobson's estimate, in whole ticks.
    fn measure(&mut self, ack: u32, now: Instant) {
        let Some((began, _)) = self.rttest.filter(|(_, seq)| before(*seq, ack)) else {
            return;
        };
        // Never less than a tick, in the chip's fork.
        let ticks = now.since(began).as_nanos() / self.config.tick.as_nanos().max(1);
        let measured = i32::try_from(ticks).unwrap_or(i32::MAX >> 4).max(1);
        let error = measured - (self.sa >> 3);
        self.sa += error;
        self.sv += error.abs() - (self.sv >> 2);
        self.rto = self.smoothed();
        self.rttest = None;
    }

    /// Data or a FIN: in order, above a gap, or old.
    fn take_data(&mut self, mut segment: Segment, now: Instant) {
        let edge = self.rcv_nxt.wrapping_add(self.rcv_wnd);
        let old = self.rcv_nxt.wrapping_sub(segment.seq);
        if before(segment.seq, self.rcv_nxt) {
            if old >= segment.len() {
                self.ack_now = true;
                return;
            }
            segment.data.drain(..(old as usize).min(segment.data.len()));
            segment.seq = self.rcv_nxt;
        }
        if !before(segment.seq, edge) {
            self.ack_now = true;
            return;
        }
        let room = edge.wrapping_sub(segment.seq) as usize;
        if segment.data.len() + usize::from(segment.fin) > room {
            segment.data.truncate(room);
            segment.fin = false;
        }
        if segment.seq != self.rcv_nxt {
            self.keep_above_gap(segment);
            self.ack_now = true;
            return;
        }
        self.deliver(&segment.data, segment.fin);
        self.close_gap();
        self.announce();
        self.acknowledge_later(now);
    }

    fn deliver(&mut self, data: &[u8], fin: bool) {
        self.received.extend(data);
        self.rcv_nxt = self.rcv_nxt.wrapping_add(data.len() as u32);
        self.rcv_wnd = self.rcv_wnd.saturating_sub(data.len() as u32);
        if fin {
            self.rcv_nxt = self.rcv_nxt.wrapping_add(1);
            self.ack_now = true;
            let all = self.unsent.is_empty() && self.unacked.is_empty();
            self.state = match self.state {
                State::Established => State::CloseWait,
                State::FinWait1 if all => State::TimeWait,
                State::FinWait1 => State::Closing,
                State::FinWait2 => State::TimeWait,
                state => state,
            };
        }
    }

    fn keep_above_gap(&mut self, segment: Segment) {
        let at = self
            .out_of_order
            .partition_point(|(seq, ..)| before(*seq, segment.seq));
        let same = self
            .out_of_order
            .get(at)
            .is_some_and(|(seq, data, _)| *seq == segment.seq && data.len() >= segment.data.len());
        // lwIP trims what overlaps, so that a window's worth is the most; here the
        // pieces are kept as they came, up to as many bytes.
        let kept: usize = self
            .out_of_order
            .iter()
            .map(|(_, data, _)| data.len())
            .sum();
        let fits = kept + segment.data.len() <= self.config.window as usize
            && self.out_of_order.len() < PIECES;
        if !same && fits {
            let entry = (segment.seq, segment.data, segment.fin);
            self.out_of_order.insert(at, entry);
        }
    }

    /// What waited above the gap and now is in order.
    fn close_gap(&mut self) {
        while let Some((seq, ..)) = self.out_of_order.first() {
            if before(self.rcv_nxt, *seq) || self.state > State::FinWait2 {
                return;
            }
            let (seq, data, fin) = self.out_of_order.remove(0);
            let skip = self.rcv_nxt.wrapping_sub(seq) as usize;
            let end = data.len() as u32 + u32::from(fin);
            if (skip as u32) < end {
                self.deliver(&data[skip.min(data.len())..], fin);
            }
        }
    }

    /// Every second segment is acknowledged at once.
    fn acknowledge_later(&mut self, now: Instant) {
        if self.ack_delayed.take().is_some() {
            self.ack_now = true;
        } else if !self.ack_now {
            self.ack_delayed = Some(now + self.config.ack_delay);
        }
    }
}
