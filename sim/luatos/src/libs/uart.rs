//! `uart`: setup, data, callbacks.

use airbench_clock::Instant;
use airbench_lua32::{Kind, Raise, Ref};
use airbench_trace::{Kind as EventKind, Source};
use airbench_uart::{Ear, Framing, Output, Parity, Port, Tunables};

use crate::args::{Args, Call, Results};
use crate::libs::rs485::{self, Rs485};
use crate::libs::{Library, libgnss, soft_uart, zbuff};
use crate::message::Message;
use crate::runtime::{Level, Runtime, Wait, suspend};

pub(crate) const LIBRARY: Library = Library {
    name: "uart",
    functions: &[
        ("setup", setup),
        ("on", on),
        ("read", read),
        ("rx", rx),
        ("write", write),
        ("tx", tx),
        ("rxSize", rx_size),
        ("rx_size", rx_size),
        ("rxClear", rx_clear),
        ("close", close),
        ("exist", exist),
        ("wait485", wait485),
        ("createSoft", soft_uart::create),
    ],
    constants: &[],
};

/// Receive notifications that may wait on the bus per UART; more are dropped.
const PENDING: u32 = 6;
/// The firmware raises smaller receive caches to this and lowers larger ones.
const CACHE: std::ops::RangeInclusive<i32> = 2048..=8192;
/// Most bytes of one `uart.read`.
const READ_LIMIT: u32 = 65_536;
/// The virtual UART over USB.
const VUART: u8 = 0x20;

/// One serial port with its callbacks.
#[derive(Debug)]
struct Slot {
    id: u8,
    port: Port,
    pending: u32,
    on_receive: Option<Ref>,
    on_sent: Option<Ref>,
    /// A callback was ever given: before that the driver tells nobody.
    heard: [bool; 2],
    rs485: Option<Rs485>,
}

/// The serial ports of a device.
#[derive(Debug)]
pub struct Uarts {
    slots: Vec<Slot>,
    pub(super) soft: soft_uart::Soft,
}

impl Uarts {
    pub(crate) fn new(tunables: Tunables) -> Self {
        let slot = |id| Slot {
            id,
            port: Port::new(tunables),
            pending: 0,
            on_receive: None,
            on_sent: None,
            heard: [false; 2],
            rs485: None,
        };
        Self {
            slots: [0, 1, 2, 3, soft_uart::ID, VUART].map(slot).into(),
            soft: soft_uart::Soft::default(),
        }
    }

    /// Callbacks of a port; those of the soft one once it was created.
    fn slot(&mut self, id: u8) -> Option<&mut Slot> {
        if id == soft_uart::ID && !self.soft.known {
            return None;
        }
        // Every id from the USB port's on leads to it.
        let id = id.min(VUART);
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    /// The line model of a real port; ids 0 to 3 and 0x20 exist.
    fn port(&mut self, id: u8) -> Option<&mut Port> {
        let real = id != soft_uart::ID;
        self.slot(id).filter(|_| real).map(|slot| &mut slot.port)
    }

    /// Something written is still on its way out.
    pub(crate) fn is_sending(&self) -> bool {
        let ports = self.slots.iter().any(|slot| slot.port.queued() > 0);
        ports || self.soft.port.queued() > 0
    }

    /// A port is set up.
    pub fn is_open(&mut self, id: u8) -> bool {
        if id == soft_uart::ID {
            return self.soft.port.setup().is_some();
        }
        self.port(id).is_some_and(|port| port.framing().is_some())
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        // Most ports are quiet most of the time.
        let busy = |slot: &&Slot| slot.rs485.is_some() || !slot.port.is_quiet();
        let real = self.slots.iter().filter(busy).filter_map(|slot| {
            let switch = slot.rs485.and_then(|rs485| rs485.due);
            Instant::earliest([slot.port.next_wake(), switch])
        });
        real.chain(self.soft.next_wake()).min()
    }
}

/// What light sleep makes of a port: UART1's receiver wakes the chip, and at low
/// rates it loses nothing (the firmware's demo `uart_wakeup`).
fn ear(id: u8, framing: Option<Framing>) -> Ear {
    let baud = framing.map(|framing| framing.baud);
    match id {
        1 if matches!(baud, Some(600 | 1200 | 2400 | 4800 | 9600)) => Ear::Awake,
        1 => Ear::Wakes,
        _ => Ear::Deaf,
    }
}

impl Runtime {
    /// A peer begins to send. False if there is no such port.
    pub fn send_to_uart(
        &mut self,
        now: Instant,
        id: u8,
        bytes: &[u8],
        framing: Option<Framing>,
    ) -> bool {
        let asleep = self.sleeps_lightly(now);
        if id == soft_uart::ID {
            if asleep {
                let text = format!("{} asleep", bytes.len());
                self.record(Source::Uart4, EventKind::Lost, text);
            } else {
                let port = &mut self.uarts.soft.port;
                port.send_to_device(now, bytes.to_vec(), framing);
            }
            return true;
        }
        let Some(port) = self.uarts.port(id) else {
            return false;
        };
        let ear = if asleep {
            ear(id, port.framing())
        } else {
            Ear::Awake
        };
        port.send_to_device(now, bytes.to_vec(), framing, ear);
        true
    }

    /// Lets the ports work until `now`.
    pub(crate) fn drive_uarts(&mut self, now: Instant) {
        self.drive_soft_uart(now);
        for index in 0..self.uarts.slots.len() {
            while let Some(output) = self.uarts.slots[index].port.poll(now) {
                let slot = &mut self.uarts.slots[index];
                let id = slot.id;
                // Only real UARTs and the USB one have an event source.
                let source = Source::uart(id).unwrap_or(Source::Board);
                match output {
                    Output::Woken if slot.pending < PENDING && slot.heard[0] => {
                        slot.pending += 1;
                        self.bus.push_back(Message::UartReceive(id, -1));
                    }
                    Output::Receive(len) if slot.pending < PENDING && slot.heard[0] => {
                        slot.pending += 1;
                        // A notification about nothing means "sent" to its handler.
                        self.bus
                            .push_back(match i32::try_from(len).unwrap_or(i32::MAX) {
                                0 => Message::UartSent(id),
                                len => Message::UartReceive(id, len),
                            });
                    }
                    Output::Receive(_) | Output::Woken => {}
                    Output::Sent(bytes) => self.record(source, EventKind::Tx, bytes),
                    Output::Drained => match &mut slot.rs485 {
                        Some(rs485) => rs485.drained(now),
                        None => self.tell_sent(index),
                    },
                    Output::Lost(why, count) => {
                        let text = format!("{count} {why:?}").to_lowercase();
                        self.record(source, EventKind::Lost, text);
                    }
                }
            }
            self.switch_rs485(index, now);
        }
    }

    /// Everything written to a port has left, as far as the driver can tell.
    fn tell_sent(&mut self, index: usize) {
        let slot = &self.uarts.slots[index];
        if slot.heard[1] {
            self.bus.push_back(Message::UartSent(slot.id));
        }
    }

    /// The transceiver listens again when its time has come.
    fn switch_rs485(&mut self, index: usize, now: Instant) {
        let Some(rs485) = &mut self.uarts.slots[index].rs485 else {
            return;
        };
        if rs485.due.is_some_and(|at| at <= now) {
            rs485.due = None;
            rs485.listen(self);
            self.tell_sent(index);
        }
    }
}

/// The driver is to tell of what it receives, as `uart.on` would make it.
pub(crate) fn listen(rt: &mut Runtime, id: u8) {
    if let Some(slot) = rt.uarts.slot(id) {
        slot.heard[0] = true;
    }
}

/// The id is truncated to eight bits before anybody looks at it.
fn id(cx: &Call<'_>) -> Result<u8, Raise> {
    Ok(cx.check_integer(1)? as u8)
}

pub(crate) fn exists(id: u8) -> bool {
    id <= 3 || id >= VUART
}

fn setup(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    let baud = cx.opt_integer(2, 115_200)?;
    let data_bits = cx.opt_integer(3, 8)?;
    let stop = cx.to_number(4).unwrap_or(1.0);
    let parity = match cx.opt_integer(5, 0)? {
        1 => Parity::Odd,
        2 => Parity::Even,
        _ => Parity::None,
    };
    let asked = cx.opt_integer(7, 1024)?;
    let cache = asked.clamp(*CACHE.start(), *CACHE.end());
    let framing = Framing {
        baud: u32::try_from(baud).unwrap_or(0).max(1),
        data_bits: u8::try_from(data_bits).unwrap_or(8).clamp(5, 9),
        stop_bits: if (stop - 1.0).abs() < f32::EPSILON {
            1
        } else {
            2
        },
        parity,
    };
    let rs485 = rs485::arguments(cx, baud)?;
    let rt = cx.host();
    if id == soft_uart::ID {
        let opened = soft_uart::setup(rt, framing, asked, rs485);
        if opened {
            rt.record(Source::Uart4, EventKind::State, framing.to_string());
        }
        cx.push_integer(if opened { 0 } else { -1 });
        return Ok(1);
    }
    let now = rt.now();
    let opened = match rt.uarts.port(id) {
        Some(port) => {
            port.open(now, framing, usize::try_from(cache).unwrap_or(2048));
            true
        }
        None => false,
    };
    if !opened {
        rt.line("luat_uart_setup 209:uart.setup FAIL!!!");
    } else if id < VUART {
        if let Some(source) = Source::uart(id) {
            rt.record(source, EventKind::State, framing.to_string());
        }
        if let Some(slot) = rt.uarts.slot(id) {
            slot.rs485 = rs485;
        }
        if let Some(rs485) = rs485 {
            rs485.listen(rt);
        }
        let line = format!("Uart_BaseInitEx 1049:uart {id} rx cache {cache} dma 512");
        rt.line(line);
    }
    cx.push_integer(if opened { 0 } else { -1 });
    Ok(1)
}

fn on(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    let event = cx.check_bytes(2)?;
    let callback = cx.keep_function(3);
    let old = match cx.host().uarts.slot(id) {
        None => {
            if let Some(callback) = callback {
                cx.drop_ref(callback);
            }
            cx.push_bytes(b"no such uart id");
            return Ok(1);
        }
        Some(slot) => match event.as_slice() {
            b"receive" | b"recv" => {
                slot.heard[0] |= callback.is_some();
                std::mem::replace(&mut slot.on_receive, callback)
            }
            b"sent" => {
                slot.heard[1] |= callback.is_some();
                std::mem::replace(&mut slot.on_sent, callback)
            }
            _ => callback,
        },
    };
    if let Some(old) = old {
        cx.drop_ref(old);
    }
    Ok(0)
}

/// A receive notification reaches Lua.
pub(crate) fn on_receive(cx: &mut Call<'_>, id: u8, len: i32) -> Results {
    let callback = cx.host().uarts.slot(id).and_then(|slot| {
        slot.pending = slot.pending.saturating_sub(1);
        slot.on_receive
    });
    libgnss::on_uart(cx.host(), id);
    if let Some(callback) = callback {
        cx.push_ref(callback);
        cx.push_integer(id.into());
        cx.push_integer(len);
        cx.call(2, 0)?;
    }
    Ok(0)
}

/// Everything written has left.
pub(crate) fn on_sent(cx: &mut Call<'_>, id: u8) -> Results {
    if let Some(callback) = cx.host().uarts.slot(id).and_then(|slot| slot.on_sent) {
        cx.push_ref(callback);
        cx.push_integer(id.into());
        cx.call(1, 0)?;
    }
    Ok(0)
}

/// Takes up to `max` bytes; a read that empties the cache makes room for new
/// notifications.
pub(crate) fn take(rt: &mut Runtime, id: u8, max: usize) -> Vec<u8> {
    if id == soft_uart::ID {
        return rt.uarts.soft.port.read(max);
    }
    let now = rt.now();
    let Some(slot) = rt.uarts.slot(id) else {
        return Vec::new();
    };
    let bytes = slot.port.read(now, max);
    if bytes.len() < max {
        slot.pending = 0;
    }
    bytes
}

fn read(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    // A negative length is a huge one.
    let mut max = cx.opt_integer(2, 1024)?.cast_unsigned();
    if cx.kind(3) == Kind::Userdata {
        let buffer = zbuff::check(cx, 3)?;
        let room = zbuff::with(cx, buffer, |b| b.room());
        let wanted = usize::try_from(max).unwrap_or(usize::MAX).min(room);
        let bytes = take(cx.host(), id, wanted);
        zbuff::with(cx, buffer, |b| b.write(&bytes));
        cx.push_integer(i32::try_from(bytes.len()).unwrap_or(0));
        return Ok(1);
    }
    if max > READ_LIMIT {
        let line = format!("uart uart read length too much {max}, change to {READ_LIMIT}");
        cx.host().lib_line(Level::Error, &line);
        max = READ_LIMIT;
    }
    let bytes = match usize::try_from(max) {
        Ok(max @ 1..) => take(cx.host(), id, max),
        _ => Vec::new(),
    };
    cx.push_bytes(&bytes);
    Ok(1)
}

/// Appends everything that waits to a zbuff.
fn rx(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    if cx.kind(2) != Kind::Userdata {
        cx.push_integer(0);
        return Ok(1);
    }
    let buffer = zbuff::check(cx, 2)?;
    let bytes = take(cx.host(), id, usize::MAX);
    zbuff::with(cx, buffer, |b| b.append(&bytes));
    cx.push_integer(i32::try_from(bytes.len()).unwrap_or(0));
    Ok(1)
}

/// Writes and gives what the firmware returns.
pub(crate) fn send(rt: &mut Runtime, id: u8, bytes: &[u8]) -> i32 {
    if id == soft_uart::ID && rt.uarts.soft.known {
        return soft_uart::send(rt, bytes);
    }
    if !exists(id) {
        return -1;
    }
    let now = rt.now();
    if let Some(rs485) = rt.uarts.slot(id).and_then(|slot| slot.rs485) {
        rs485.talk(rt);
    }
    // The driver's cache grows as long as there is memory.
    let free = rt.system_heap.free();
    let sent = rt
        .uarts
        .port(id)
        .is_some_and(|port| port.queued() + bytes.len() <= free && port.write(now, bytes));
    if sent {
        rt.touch_outside();
        i32::try_from(bytes.len()).unwrap_or(i32::MAX)
    } else {
        0
    }
}

fn write(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    let mut bytes = match zbuff::arg(cx, 2) {
        // From the cursor to the end of the allocation, not the used part.
        Some(buffer) => zbuff::with(cx, buffer, |b| b.tail()),
        None if cx.kind(2) == Kind::Userdata => {
            zbuff::check(cx, 2)?;
            Vec::new()
        }
        // What is no text is none.
        None => cx.to_bytes(2).map(<[u8]>::to_vec).unwrap_or_default(),
    };
    if let Some(len) = cx.to_integer(3).filter(|_| cx.is_integer(3)) {
        bytes.truncate(usize::try_from(len).unwrap_or(0));
    }
    let sent = send(cx.host(), id, &bytes);
    cx.push_integer(sent);
    Ok(1)
}

fn tx(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    let bytes = match zbuff::arg(cx, 2) {
        None => Vec::new(),
        Some(buffer) => {
            let start = usize::try_from(cx.opt_integer(3, 0)?).unwrap_or(usize::MAX);
            let len = cx
                .to_integer(4)
                .map(|len| usize::try_from(len).unwrap_or(0));
            zbuff::with(cx, buffer, |b| b.slice(start, len.unwrap_or(b.used())))
        }
    };
    let sent = if bytes.is_empty() {
        0
    } else {
        send(cx.host(), id, &bytes)
    };
    cx.push_integer(sent);
    Ok(1)
}

fn rx_size(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    let rt = cx.host();
    let now = rt.now();
    let size = match id {
        soft_uart::ID => rt.uarts.soft.port.rx_size(),
        _ => rt.uarts.port(id).map_or(0, |port| port.rx_size(now)),
    };
    cx.push_integer(i32::try_from(size).unwrap_or(i32::MAX));
    Ok(1)
}

fn rx_clear(cx: &mut Call<'_>) -> Results {
    with_port(cx, Port::clear, |soft| {
        soft.port.read(usize::MAX);
    })
}

fn close(cx: &mut Call<'_>) -> Results {
    with_port(cx, Port::close, soft_uart::Soft::close)
}

/// Does something to the port of the first argument, if it exists.
fn with_port(
    cx: &mut Call<'_>,
    work: fn(&mut Port, Instant),
    soft: fn(&mut soft_uart::Soft),
) -> Results {
    let id = id(cx)?;
    let rt = cx.host();
    let now = rt.now();
    if id == soft_uart::ID {
        soft(&mut rt.uarts.soft);
    } else if let Some(port) = rt.uarts.port(id) {
        work(port, now);
    }
    Ok(0)
}

fn exist(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    let soft = id == soft_uart::ID && cx.host().uarts.soft.known;
    cx.push_boolean(exists(id) || soft);
    Ok(1)
}

/// Waits until everything written has left and switches the transceiver: how
/// often it has looked. 0 without one.
fn wait485(cx: &mut Call<'_>) -> Results {
    let id = id(cx)?;
    let slot = cx.host().uarts.slot(id);
    let found = slot.and_then(|slot| Some((slot.rs485.as_mut()?, slot.port.drained_at())));
    let Some((rs485, drained)) = found.filter(|_| id < VUART) else {
        cx.push_integer(0);
        return Ok(1);
    };
    rs485.due = None;
    let rs485 = *rs485;
    let now = cx.host().now();
    let until = drained.unwrap_or(now).max(now);
    suspend(cx, Wait::Until(until));
    rs485.listen(cx.host());
    cx.push_integer(rs485::turns(until.since(now)));
    Ok(1)
}
