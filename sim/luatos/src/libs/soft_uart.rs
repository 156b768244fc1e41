//! `uart.createSoft`: the one UART that is made of pins, timers and software.

use airbench_clock::Instant;
use airbench_trace::{Kind as EventKind, Source};
use airbench_uart::{Framing, SoftOutput, SoftPort, SoftSetup};

use crate::args::{Args, Call, Results};
use crate::libs::rs485::Rs485;
use crate::message::Message;
use crate::runtime::{Level, Runtime};

/// The first id that no real UART has.
pub(crate) const ID: u8 = 4;
/// Hardware timers that can serve one.
const TIMERS: [u8; 4] = [0, 1, 2, 4];

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    /// Created: ticks added to every bit, of sender and receiver.
    Taken { adjust: [i32; 2] },
    /// Closed and set up again without being created: its timers stay off.
    Dead,
}

/// The soft UART of a device.
#[derive(Debug, Default)]
pub(crate) struct Soft {
    pub(super) port: SoftPort,
    state: State,
    /// From the first `createSoft` on the id exists, whatever became of it.
    pub(super) known: bool,
    /// A write before the set-up never leaves, nor does any after it.
    stuck: bool,
    rs485: Option<Rs485>,
}

impl Soft {
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.port.next_wake()
    }

    /// Sets up; false if it was never created.
    pub(super) fn open(&mut self, framing: Framing, cache: i32) -> bool {
        let adjust = match self.state {
            State::Taken { adjust } => adjust,
            // Its timers are off: nothing comes, nothing goes.
            State::Free if self.known => {
                self.state = State::Dead;
                return true;
            }
            State::Free => return false,
            State::Dead => return true,
        };
        self.port.open(SoftSetup {
            framing,
            buffer: 2 * usize::try_from(cache).unwrap_or(0),
            tx_adjust: adjust[0],
            rx_adjust: adjust[1],
        });
        true
    }

    pub(super) fn close(&mut self) {
        self.port.close();
        self.state = State::Free;
        self.stuck = false;
        self.rs485 = None;
    }
}

/// `uart.createSoft(tx pin, tx timer, rx pin, rx timer, tx adjust, rx adjust)`:
/// the id, or nil.
pub(super) fn create(cx: &mut Call<'_>) -> Results {
    let soft = &mut cx.host().uarts.soft;
    if soft.state != State::Free {
        cx.push_nil();
        return Ok(1);
    }
    soft.known = true;
    // A wrong argument raises when the place is taken already.
    soft.state = State::Taken { adjust: [0; 2] };
    let line = format!("uart find free uart id, {ID}");
    cx.host().lib_line(Level::Debug, &line);
    let mut numbers = [255, 255, 255, 255, 0, 0];
    for (number, index) in numbers.iter_mut().zip(1..) {
        *number = cx.opt_integer(index, *number)?;
    }
    let [_, tx_timer, _, rx_timer, tx_adjust, rx_adjust] = numbers;
    let known = [tx_timer, rx_timer].map(|timer| TIMERS.contains(&(timer as u8)));
    let soft = &mut cx.host().uarts.soft;
    if known == [true; 2] {
        soft.state = State::Taken {
            adjust: [tx_adjust, rx_adjust],
        };
        // One timer for both is not refused, but the sender never works.
        soft.stuck = tx_timer as u8 == rx_timer as u8;
        cx.push_integer(ID.into());
    } else {
        soft.state = State::Free;
        cx.push_nil();
    }
    Ok(1)
}

/// Sets the soft UART up: 0, or -1.
pub(super) fn setup(rt: &mut Runtime, framing: Framing, cache: i32, rs485: Option<Rs485>) -> bool {
    let bytes = 2 * usize::try_from(cache).unwrap_or(0);
    if bytes > rt.system_heap.free() {
        rt.lib_line(Level::Error, "uart soft uart no mem!");
        rt.uarts.soft.close();
        return false;
    }
    let opened = rt.uarts.soft.open(framing, cache);
    rt.uarts.soft.rs485 = rs485;
    if let Some(rs485) = rs485 {
        rs485.listen(rt);
    }
    if !opened {
        rt.line("luat_uart_setup 209:uart.setup FAIL!!!");
    }
    opened
}

/// Queues a write: 0, or -1 without memory.
pub(super) fn send(rt: &mut Runtime, bytes: &[u8]) -> i32 {
    let now = rt.now();
    let free = rt.system_heap.free();
    let soft = &mut rt.uarts.soft;
    if soft.port.queued() + bytes.len() > free {
        return -1;
    }
    soft.stuck |= soft.port.setup().is_none();
    if !soft.stuck && !bytes.is_empty() {
        soft.port.write(now, bytes);
        if let Some(rs485) = soft.rs485 {
            rs485.talk(rt);
        }
        rt.touch_outside();
    }
    0
}

impl Runtime {
    /// Lets the soft UART work until `now`.
    pub(super) fn drive_soft_uart(&mut self, now: Instant) {
        let source = Source::Uart4;
        while let Some(output) = self.uarts.soft.port.poll(now) {
            match output {
                SoftOutput::Received(end) => self.bus.push_back(Message::SoftUartReceive(end)),
                SoftOutput::Sent(bytes) => {
                    self.record(source, EventKind::Tx, bytes);
                    self.bus.push_back(Message::SoftUartSent);
                }
                SoftOutput::Lost(why, count) => {
                    let text = format!("{count} {why:?}").to_lowercase();
                    self.record(source, EventKind::Lost, text);
                }
            }
        }
    }
}

/// Bytes came: how many, is counted now. The end of a burst is told even if they
/// were read already.
pub(crate) fn on_receive(cx: &mut Call<'_>, end: bool) -> Results {
    let waiting = cx.host().uarts.soft.port.rx_size();
    if waiting == 0 && !end {
        return Ok(0);
    }
    super::uart::on_receive(cx, ID, i32::try_from(waiting).unwrap_or(i32::MAX))
}

/// A write has left: the next one starts, or the script is told.
pub(crate) fn on_sent(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    let now = rt.now();
    if rt.uarts.soft.port.start(now) {
        rt.touch_outside();
        return Ok(0);
    }
    if let Some(rs485) = rt.uarts.soft.rs485 {
        rs485.listen(rt);
    }
    super::uart::on_sent(cx, ID)
}
