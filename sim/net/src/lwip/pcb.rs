//! A connection's control block, and what it sends.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use airbench_clock::Instant;

use super::config::LwipConfig;
use super::segment::Outgoing;
use crate::stack::{Keepalive, TcpError};

/// States of RFC 793 that an outgoing connection goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Closed,
    SynSent,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

/// Sequence numbers compare modulo 2^32.
pub(super) fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// `from <= seq <= to`.
pub(super) fn between(seq: u32, from: u32, to: u32) -> bool {
    !before(seq, from) && !before(to, seq)
}

/// A segment that waits to be sent or acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) seq: u32,
    pub(super) data: Vec<u8>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) push: bool,
}

impl Queued {
    /// Sequence numbers it takes.
    pub(super) fn len(&self) -> u32 {
        self.data.len() as u32 + u32::from(self.syn) + u32::from(self.fin)
    }

    pub(super) fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len())
    }
}

/// A control block. Names are lwIP's where it has one.
#[derive(Debug)]
pub(super) struct Pcb {
    pub(super) config: LwipConfig,
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
    pub(super) state: State,
    /// Why it is closed, if nobody closed it.
    pub(super) error: Option<TcpError>,
    /// Largest segment to send.
    pub(super) mss: u32,
    /// When the latest segment came from the peer.
    pub(super) heard: Instant,
    /// A state that ends by itself, and since when.
    pub(super) lingers: Option<(State, Instant)>,

    // Receiver.
    pub(super) rcv_nxt: u32,
    pub(super) rcv_wnd: u32,
    pub(super) rcv_ann_wnd: u32,
    pub(super) rcv_ann_right_edge: u32,
    pub(super) scaled: bool,
    pub(super) snd_scale: u8,
    /// Received and not read.
    pub(super) received: VecDeque<u8>,
    /// How often something was added to it.
    pub(super) arrivals: u32,
    /// Segments above a gap, by sequence number.
    pub(super) out_of_order: Vec<(u32, Vec<u8>, bool)>,
    pub(super) ack_now: bool,
    /// An ACK is due then at the latest.
    pub(super) ack_delayed: Option<Instant>,

    // Retransmission.
    /// When the retransmission timer was started.
    pub(super) timer: Option<Instant>,
    pub(super) rto: u32,
    pub(super) nrtx: u32,
    /// Smoothed round trip (times 8) and its variation (times 4), in ticks.
    pub(super) sa: i32,
    pub(super) sv: i32,
    /// When the segment being timed was sent, and its sequence number.
    pub(super) rttest: Option<(Instant, u32)>,
    pub(super) dupacks: u32,
    pub(super) lastack: u32,
    pub(super) fast_recovery: bool,
    /// Since when a closed window is waited for, and which probe of it comes next.
    pub(super) persist: Option<(Instant, usize)>,
    /// Probes of an idle connection, and how many in a row were not answered.
    pub(super) keepalive: Option<Keepalive>,
    pub(super) probes_sent: u32,
    pub(super) next_probe: Option<Instant>,

    // Sender.
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
    pub(super) snd_nxt: u32,
    pub(super) snd_wl1: u32,
    pub(super) snd_wl2: u32,
    pub(super) snd_lbb: u32,
    pub(super) snd_wnd: u32,
    pub(super) snd_wnd_max: u32,
    pub(super) unsent: VecDeque<Queued>,
    pub(super) unacked: VecDeque<Queued>,
    /// Closed by the user: nothing is read any more, and a FIN is queued.
    pub(super) closed: bool,
}

impl Pcb {
    /// It is over, for this reason.
    pub(super) fn fail(&mut self, error: TcpError) {
        self.state = State::Closed;
        self.error = Some(error);
    }

    /// A block that begins to connect.
    pub(super) fn connect(
        config: LwipConfig,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        iss: u32,
    ) -> Self {
        let window = config.window.min(u32::from(u16::MAX));
        let syn = Queued {
            seq: iss,
            data: Vec::new(),
            syn: true,
            fin: false,
            push: false,
        };
        Self {
            config,
            local,
            remote,
            state: State::SynSent,
            error: None,
            // RFC 1122's default until the peer names its own.
            mss: u32::from(config.mss).min(536),
            heard: Instant::ZERO,
            lingers: None,
            rcv_nxt: 0,
            rcv_wnd: window,
            rcv_ann_wnd: window,
            rcv_ann_right_edge: 0,
            scaled: false,
            snd_scale: 0,
            received: VecDeque::new(),
            arrivals: 0,
            out_of_order: Vec::new(),
            ack_now: false,
            ack_delayed: None,
            timer: None,
            rto: config.first_rto,
            nrtx: 0,
            sa: 0,
            sv: config.first_rto.cast_signed(),
            rttest: None,
            dupacks: 0,
            lastack: iss,
            fast_recovery: false,
            persist: None,
            keepalive: None,
            probes_sent: 0,
            next_probe: None,
            cwnd: 1,
            ssthresh: config.send_buffer as u32,
            snd_nxt: iss,
            snd_wl1: 0,
            snd_wl2: iss,
            snd_lbb: iss.wrapping_add(1),
            snd_wnd: config.window,
            snd_wnd_max: config.window,
            unsent: VecDeque::from([syn]),
            unacked: VecDeque::new(),
            closed: false,
        }
    }

    /// Bytes written and not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        let queued = self.unsent.iter().chain(&self.unacked);
        queued.map(|segment| segment.data.len()).sum()
    }

    /// Bytes that can be written.
    pub(super) fn writable(&self) -> usize {
        let open = matches!(self.state, State::Established | State::CloseWait);
        if open && !self.closed {
            let room = self.config.send_buffer;
            room.saturating_sub(self.unacknowledged())
        } else {
            0
        }
    }

    /// Queues bytes; gives how many found room. Small writes fill up the last
    /// segment that has not left.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.writable());
        // Never more than half of the largest window the peer has had.
        let largest = match self.snd_wnd_max / 2 {
            0 => self.mss,
            half => self.mss.min(half),
        } as usize;
        let mut rest = &bytes[..taken];
        while !rest.is_empty() {
            let space = match self.unsent.back() {
                Some(last) if !last.syn && !last.fin => largest.saturating_sub(last.data.len()),
                _ => 0,
            };
            let (piece, next) =
                rest.split_at(rest.len().min(if space > 0 { space } else { largest }));
            match self.unsent.back_mut().filter(|_| space > 0) {
                Some(last) => last.data.extend_from_slice(piece),
                None => self.unsent.push_back(Queued {
                    seq: self.snd_lbb,
                    data: piece.to_vec(),
                    syn: false,
                    fin: false,
                    push: false,
                }),
            }
            self.snd_lbb = self.snd_lbb.wrapping_add(piece.len() as u32);
            rest = next;
        }
        if let (true, Some(last)) = (taken > 0, self.unsent.back_mut()) {
            last.push = true;
        }
        taken
    }

    /// Takes up to `max` received bytes; a window that has opened enough is told
    /// to the peer.
    pub(super) fn read(&mut self, max: usize) -> Vec<u8> {
        let count = max.min(self.received.len());
        let bytes: Vec<u8> = self.received.drain(..count).collect();
        self.rcv_wnd = (self.rcv_wnd + count as u32).min(self.config.window);
        let threshold = (self.config.window / 3).min(4 * u32::from(self.config.mss));
        let receives = self.state > State::SynSent && self.state < State::TimeWait;
        if receives && self.announce() >= threshold {
            self.ack_now = true;
        }
        bytes
    }

    /// Recalculates the window to announce; by how much its right edge moves.
    pub(super) fn announce(&mut self) -> u32 {
        let edge = self.rcv_nxt.wrapping_add(self.rcv_wnd);
        let step = (self.config.window / 2).min(self.mss);
        if !before(edge, self.rcv_ann_right_edge.wrapping_add(step)) {
            self.rcv_ann_wnd = self.rcv_wnd;
            return edge.wrapping_sub(self.rcv_ann_right_edge);
        }
        // Too little to speak of, and the edge never moves back.
        self.rcv_ann_wnd = if before(self.rcv_ann_right_edge, self.rcv_nxt) {
            0
        } else {
            self.rcv_ann_right_edge.wrapping_sub(self.rcv_nxt)
        };
        0
    }

    /// Queues a FIN behind what was written.
    pub(super) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.state = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => {
                self.state = State::Closed;
                return;
            }
        };
        match self.unsent.back_mut() {
            Some(last) if !last.syn && !last.fin => last.fin = true,
            _ => self.unsent.push_back(Queued {
                seq: self.snd_lbb,
                data: Vec::new(),
                syn: false,
                fin: true,
                push: false,
            }),
        }
        self.snd_lbb = self.snd_lbb.wrapping_add(1);
    }

    /// Nagle's algorithm lets the next segment go.
    fn nagle_lets_go(&self) -> bool {
        let fin = self.closed;
        let full = |segment: &Queued| segment.data.len() as u32 >= self.mss;
        self.unacked.is_empty()
            || fin
            || self.fast_recovery
            || self.unsent.len() > 1
            || self.unsent.front().is_some_and(full)
            || self.unacknowledged() >= self.config.send_buffer
    }

    /// Sends what windows and Nagle allow, and an ACK that is due.
    pub(super) fn output(&mut self, now: Instant, send: &mut impl FnMut(Outgoing<'_>)) {
        let window = self.snd_wnd.min(self.cwnd);
        let fits = |pcb: &Self, window: u32| {
            pcb.unsent.front().is_some_and(|segment| {
                segment
                    .seq
                    .wrapping_sub(pcb.lastack)
                    .wrapping_add(segment.data.len() as u32)
                    <= window
            })
        };
        if self.ack_now && !fits(self, window) {
            self.acknowledge(send);
        }
        while fits(self, window) && self.nagle_lets_go() {
            let Some(segment) = self.unsent.pop_front() else {
                break;
            };
            self.transmit(&segment, now, send);
            if before(self.snd_nxt, segment.end()) {
                self.snd_nxt = segment.end();
            }
            if segment.len() > 0 {
                let at = self
                    .unacked
                    .partition_point(|other| before(other.seq, segment.seq));
                self.unacked.insert(at, segment);
            }
        }
        let blocked = self.persist.is_none()
            && self.state > State::SynSent
            && self.unacked.is_empty()
            && !self.unsent.is_empty()
            && !fits(self, self.snd_wnd);
        if blocked {
            self.persist = Some((now, 0));
        }
        if self.ack_now {
            self.acknowledge(send);
        }
    }

    /// An ACK without data.
    fn acknowledge(&mut self, send: &mut impl FnMut(Outgoing<'_>)) {
        self.ack_now = false;
        self.ack_delayed = None;
        self.rcv_ann_right_edge = self.rcv_nxt.wrapping_add(self.rcv_ann_wnd);
        send(self.bare(self.snd_nxt));
    }

    /// A segment without data or flags, as of now.
    fn bare(&self, seq: u32) -> Outgoing<'static> {
        Outgoing {
            window: self.header_window(false),
            ..Outgoing::bare(self.local, self.remote, seq, self.rcv_nxt)
        }
    }

    fn header_window(&self, syn: bool) -> u16 {
        let shift = if self.scaled && !syn {
            self.config.window_shift
        } else {
            0
        };
        u16::try_from(self.rcv_ann_wnd >> shift).unwrap_or(u16::MAX)
    }

    fn transmit(&mut self, segment: &Queued, now: Instant, send: &mut impl FnMut(Outgoing<'_>)) {
        let connecting = self.state == State::SynSent;
        if !connecting {
            self.ack_now = false;
            self.ack_delayed = None;
        }
        self.rcv_ann_right_edge = self.rcv_nxt.wrapping_add(self.rcv_ann_wnd);
        self.timer.get_or_insert(now);
        self.rttest.get_or_insert((now, segment.seq));
        let options = segment
            .syn
            .then_some((self.config.mss, self.config.window_shift));
        send(Outgoing {
            ack: (!connecting).then_some(self.rcv_nxt),
            syn: segment.syn,
            fin: segment.fin,
            push: segment.push,
            window: self.header_window(segment.syn),
            options,
            data: &segment.data,
            ..self.bare(segment.seq)
        });
    }

    /// One byte into a closed window, or the bare FIN.
    pub(super) fn probe(&mut self, send: &mut impl FnMut(Outgoing<'_>)) {
        let Some(segment) = self.unacked.front().or(self.unsent.front()) else {
            return;
        };
        // The peer may acknowledge the byte and still not open its window.
        let end = segment.seq.wrapping_add(1);
        if before(self.snd_nxt, end) {
            self.snd_nxt = end;
        }
        send(Outgoing {
            fin: segment.fin && segment.data.is_empty(),
            data: &segment.data[..segment.data.len().min(1)],
            ..self.bare(segment.seq)
        });
    }

    /// A byte the peer has already, which it must answer.
    pub(super) fn keep_alive(&self, send: &mut impl FnMut(Outgoing<'_>)) {
        send(self.bare(self.snd_nxt.wrapping_sub(1)));
    }

    /// A RST that takes the connection down at the peer.
    pub(super) fn reset(&self, send: &mut impl FnMut(Outgoing<'_>)) {
        send(Outgoing {
            rst: true,
            window: self.config.reset_window(),
            ..self.bare(self.snd_nxt)
        });
    }

    /// Everything in flight is to be sent again.
    pub(super) fn retransmit_all(&mut self) {
        while let Some(segment) = self.unacked.pop_back() {
            self.unsent.push_front(segment);
        }
        self.nrtx += 1;
        self.rttest = None;
    }

    /// The first segment in flight is to be sent again.
    pub(super) fn retransmit_first(&mut self) {
        if let Some(segment) = self.unacked.pop_front() {
            self.unsent.push_front(segment);
            self.nrtx += 1;
            self.rttest = None;
        }
    }

    /// The smoothed time-out in ticks.
    pub(super) fn smoothed(&self) -> u32 {
        ((self.sa >> 3) + self.sv).max(1).cast_unsigned()
    }
}
