//! A UART made of pins, timer interrupts and software, as the firmware's
//! `uart.createSoft` makes one.
//!
//! Its receiver samples bits, looks at no stop bit, and collects bytes in a stage
//! of 128 that is handed over when it is full or the line has been silent for 40
//! bits. Its sender appends two high bits to every byte and never computes a
//! parity. A peer at another rate is not heard; a real one would be, as garbage.

use std::collections::VecDeque;
use std::time::Duration;

use airbench_clock::Instant;

use crate::incoming::Incoming;
use crate::{Framing, Lost, Parity};

/// Ticks of the timers per second.
const CLOCK: u32 = 26_000_000;
/// Bytes of the stage.
const STAGE: usize = 128;

/// How a soft UART is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftSetup {
    /// Line parameters.
    pub framing: Framing,
    /// Bytes the receive buffer holds.
    pub buffer: usize,
    /// Ticks added to every bit that is sent.
    pub tx_adjust: i32,
    /// Ticks added to every bit that is received.
    pub rx_adjust: i32,
}

impl SoftSetup {
    /// A bit in ticks.
    fn ticks(&self, adjust: i32) -> u64 {
        let ticks = CLOCK / self.framing.baud.max(1);
        u64::from(ticks.saturating_add_signed(adjust).max(1))
    }

    /// `bits` bits of so many ticks.
    fn span(ticks: u64, bits: u64) -> Duration {
        Duration::from_nanos(ticks * bits * 1_000_000_000 / u64::from(CLOCK))
    }

    /// One byte on the line with its start bit and the high ones after it.
    fn sent(&self, count: usize) -> Duration {
        let high = if self.framing.stop_bits == 2 { 3 } else { 2 };
        let bits = 1 + u64::from(self.framing.data_bits) + high;
        Self::span(self.ticks(self.tx_adjust), bits * count as u64)
    }

    /// Silence that ends a burst.
    fn silence(&self) -> Duration {
        let bits = if self.framing.stop_bits == 2 { 60 } else { 40 };
        Self::span(self.ticks(0), bits)
    }

    /// Bits are sampled in their middle: a receiver hears a sender whose rate is
    /// within 3 %.
    fn hears(&self, peer: Framing) -> bool {
        let (own, other) = (
            CLOCK as u64,
            u64::from(peer.baud) * self.ticks(self.rx_adjust),
        );
        own.abs_diff(other) * 100 <= own.max(other) * 3
    }

    /// The parity bit of a byte from this peer is the one expected.
    fn parity_fits(&self, byte: u8, peer: Framing) -> bool {
        let ones = byte.count_ones() % 2 == 1;
        let bit = |parity| match parity {
            // In its place the peer's stop bit is high.
            Parity::None => true,
            Parity::Odd => !ones,
            Parity::Even => ones,
        };
        self.framing.parity == Parity::None || bit(self.framing.parity) == bit(peer.parity)
    }
}

/// What a soft UART does on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoftOutput {
    /// Bytes were moved to the buffer; true: at the end of a burst.
    Received(bool),
    /// One queued write has left on the line.
    Sent(Vec<u8>),
    /// Bytes were lost.
    Lost(Lost, usize),
}

/// The device's end of a line that software serves.
#[derive(Debug, Default)]
pub struct SoftPort {
    setup: Option<SoftSetup>,
    incoming: Incoming,
    stage: Vec<u8>,
    buffer: Vec<u8>,
    /// When the burst under way has ended, if nothing more comes.
    ends: Option<Instant>,
    queue: VecDeque<Vec<u8>>,
    /// When the write at the head of the queue has left.
    leaving: Option<Instant>,
}

impl SoftPort {
    /// Begins to listen. What is queued stays.
    pub fn open(&mut self, setup: SoftSetup) {
        self.setup = Some(setup);
        self.stage.clear();
        self.buffer.clear();
        self.ends = None;
    }

    /// Stops; everything is gone.
    pub fn close(&mut self) {
        *self = Self {
            incoming: std::mem::take(&mut self.incoming),
            ..Self::default()
        };
    }

    /// How it is set up.
    pub fn setup(&self) -> Option<SoftSetup> {
        self.setup
    }

    /// The peer starts to send; its parameters match if none are given.
    pub fn send_to_device(&mut self, now: Instant, bytes: Vec<u8>, framing: Option<Framing>) {
        let own = self.setup.map(|setup| setup.framing);
        let framing = framing.or(own).unwrap_or_default();
        self.incoming.send(now, bytes, framing, None);
    }

    /// Queues a write; the first starts at once.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) {
        self.queue.push_back(bytes.to_vec());
        if self.queue.len() == 1 {
            self.start(now);
        }
    }

    /// The firmware starts the next write; false if none is left.
    pub fn start(&mut self, now: Instant) -> bool {
        let next = self.queue.front().zip(self.setup);
        self.leaving = next.map(|(bytes, setup)| now + setup.sent(bytes.len()));
        next.is_some()
    }

    /// Bytes written that have not left yet.
    pub fn queued(&self) -> usize {
        self.queue.iter().map(Vec::len).sum()
    }

    /// Bytes in the buffer.
    pub fn rx_size(&self) -> usize {
        self.buffer.len()
    }

    /// Takes up to `max` bytes of the buffer.
    pub fn read(&mut self, max: usize) -> Vec<u8> {
        self.buffer.drain(..max.min(self.buffer.len())).collect()
    }

    /// When the last bit of the next byte is sampled, and the byte's framing.
    fn next_byte(&self) -> Option<(Instant, u8, Framing)> {
        let burst = self.incoming.bursts.front()?;
        let byte = *burst.bytes.get(burst.taken)?;
        let begin = burst.start + burst.framing.characters(burst.taken);
        let own = self.setup.map_or(burst.framing, |setup| setup.framing);
        let bits = u64::from(own.data_bits) + u64::from(own.parity != Parity::None);
        let ticks = u64::from(CLOCK / burst.framing.baud.max(1));
        // The first sample comes 17/16 of a bit after the falling edge.
        let at = begin + SoftSetup::span(ticks, bits) + SoftSetup::span(ticks, 1) / 16;
        Some((at, byte, burst.framing))
    }

    fn step_over(&mut self) {
        if let Some(burst) = self.incoming.bursts.front_mut() {
            burst.taken += 1;
            if burst.taken == burst.bytes.len() {
                self.incoming.bursts.pop_front();
            }
        }
    }

    /// The stage goes to the buffer, all of it or nothing.
    fn hand_over(&mut self, setup: SoftSetup) -> Option<SoftOutput> {
        let count = self.stage.len();
        if count + self.buffer.len() > setup.buffer {
            self.stage.clear();
            return Some(SoftOutput::Lost(Lost::Overflow, count));
        }
        self.buffer.append(&mut self.stage);
        None
    }

    /// The next thing it does by itself up to `now`.
    pub fn poll(&mut self, now: Instant) -> Option<SoftOutput> {
        if self.leaving.is_some_and(|at| at <= now) {
            self.leaving = None;
            return self.queue.pop_front().map(SoftOutput::Sent);
        }
        loop {
            let next = self.next_byte().filter(|(at, ..)| *at <= now);
            let ended = self.ends.filter(|end| *end <= now);
            match (next, ended) {
                (Some((at, byte, framing)), ended) if ended.is_none_or(|end| at <= end) => {
                    if let Some(output) = self.take(at, byte, framing) {
                        return Some(output);
                    }
                }
                (_, Some(_)) => {
                    self.ends = None;
                    let setup = self.setup?;
                    let lost = self.hand_over(setup);
                    return Some(lost.unwrap_or(SoftOutput::Received(true)));
                }
                _ => return None,
            }
        }
    }

    /// A byte has been sampled.
    fn take(&mut self, at: Instant, byte: u8, framing: Framing) -> Option<SoftOutput> {
        self.step_over();
        let Some(setup) = self.setup else {
            return Some(SoftOutput::Lost(Lost::Closed, 1));
        };
        if !setup.hears(framing) {
            return Some(SoftOutput::Lost(Lost::Framing, 1));
        }
        self.ends = Some(at + setup.silence());
        if !setup.parity_fits(byte, framing) {
            // The byte is dropped, and what came before it handed over at once.
            self.hand_over(setup);
            return Some(SoftOutput::Received(true));
        }
        self.stage.push(byte);
        if self.stage.len() < STAGE {
            return None;
        }
        let lost = self.hand_over(setup);
        Some(lost.unwrap_or(SoftOutput::Received(false)))
    }

    /// When it has something to do by itself.
    pub fn next_wake(&self) -> Option<Instant> {
        let byte = self.next_byte().map(|(at, ..)| at);
        Instant::earliest([self.leaving, self.ends, byte])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(buffer: usize, parity: Parity) -> SoftPort {
        let mut port = SoftPort::default();
        port.open(SoftSetup {
            framing: Framing {
                baud: 9600,
                parity,
                ..Framing::default()
            },
            buffer,
            tx_adjust: 0,
            rx_adjust: 0,
        });
        port
    }

    fn run(port: &mut SoftPort) -> Vec<(Instant, SoftOutput)> {
        let mut outputs = Vec::new();
        while let Some(at) = port.next_wake() {
            while let Some(output) = port.poll(at) {
                outputs.push((at, output));
            }
        }
        outputs
    }

    #[test]
    fn a_burst_ends_after_forty_bits_of_silence() {
        let mut port = port(2048, Parity::None);
        port.send_to_device(Instant::ZERO, b"hi".to_vec(), None);
        let outputs = run(&mut port);
        let [(at, SoftOutput::Received(true))] = outputs.as_slice() else {
            panic!("{outputs:?}");
        };
        // Eighteen and a bit for the last sample, then forty bits of 104.2 us.
        assert_eq!(at.nanos() / 1_000_000, 6);
        assert_eq!(port.read(10), b"hi");
    }

    #[test]
    fn a_full_stage_is_handed_over_and_may_find_no_room() {
        let mut port = port(200, Parity::None);
        port.send_to_device(Instant::ZERO, vec![b'x'; 256], None);
        let outputs = run(&mut port);
        let kinds: Vec<_> = outputs.into_iter().map(|(_, output)| output).collect();
        let expected = [
            SoftOutput::Received(false),
            SoftOutput::Lost(Lost::Overflow, 128),
            SoftOutput::Received(true),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(port.rx_size(), 128);
    }

    #[test]
    fn eleven_bits_a_byte_whatever_the_parity() {
        let mut port = port(200, Parity::Even);
        port.write(Instant::ZERO, &[0; 96]);
        let outputs = run(&mut port);
        // 96 bytes of 11 bits of 2708 ticks.
        let expected = 96 * 11 * 2708 * 1_000_000_000 / 26_000_000;
        assert_eq!(outputs[0].0.nanos(), expected);
    }

    #[test]
    fn a_wrong_parity_drops_the_byte() {
        let mut port = port(200, Parity::Even);
        let peer = Framing {
            baud: 9600,
            ..Framing::default()
        };
        // One bit set: even parity wants a 1, which the stop bit gives.
        port.send_to_device(Instant::ZERO, vec![1, 3], Some(peer));
        run(&mut port);
        assert_eq!(port.read(10), [1]);
    }
}
