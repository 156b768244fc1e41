//! `--vcd FILE`: UART lines bit by bit and what the modem is doing, for GTKWave,
//! PulseView and the like.
//!
//! A line is drawn from the events of its bytes: `rx` stands at its first bit, `tx`
//! at its last, the line parameters are those of the latest setup or, for a peer
//! that sends at a rate of its own, the peer's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};
use airbench_uart::{Framing, Parity};
use airbench_world::{Action, World};
use vcd::{IdCode, TimescaleUnit, VarType, Writer};

/// What a file of ours begins with.
pub(crate) const MAGIC: [u8; 8] = *b"$comment";

/// Why a waveform could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the waveform {path}: {error}")]
pub struct VcdError {
    /// Which file.
    path: PathBuf,
    /// Why.
    error: io::Error,
}

/// UARTs with lines; the one over USB has none.
const UARTS: [(Source, &str); 4] = [
    (Source::Uart0, "uart0"),
    (Source::Uart1, "uart1"),
    (Source::Uart2, "uart2"),
    (Source::Uart4, "uart4"),
];

/// What the modem's wires follow: name, what raises it, what lowers it.
const MODEM: [(&str, &[&str], &[&str]); 4] = [
    ("sim", &["sim-ready"], &["no-sim"]),
    ("registered", &["pdp-active"], &["link-down", "refused"]),
    ("ip", &["link-up"], &["link-down"]),
    (
        "rrc",
        &["rrc-connected", "rrc-reestablished"],
        &["rrc-idle", "out-of-service"],
    ),
];

/// One direction of a UART.
#[derive(Clone, Copy)]
struct Line {
    wire: IdCode,
    framing: Framing,
    /// The latest character ends then.
    free: u64,
}

/// What a variable changes to.
enum Value {
    Level(bool),
    Text(String),
}

/// The file while it is written.
struct Waveform<W: Write> {
    /// `None` after a failure.
    writer: Option<Writer<W>>,
    failure: Option<io::Error>,
    /// rx and tx of each of [`UARTS`].
    lines: Vec<[Line; 2]>,
    power: IdCode,
    modem: Vec<IdCode>,
    state: IdCode,
    /// A peer's own rate, for the bytes that follow.
    peer: Option<(Source, u32)>,
    /// Not written yet: what was sent is told when it has left.
    /// By time and number.
    changes: BTreeMap<(u64, u64), (IdCode, Value)>,
    count: u64,
    written: u64,
}

impl<W: Write> Waveform<W> {
    fn new(inner: W) -> io::Result<Self> {
        let mut writer = Writer::new(inner);
        writer.comment(concat!("airbench ", env!("CARGO_PKG_VERSION")))?;
        writer.timescale(1, TimescaleUnit::NS)?;
        writer.add_module("board")?;
        let mut wires = Vec::new();
        for (_, name) in UARTS {
            let rx = writer.add_wire(1, &format!("{name}_rx"))?;
            wires.push([rx, writer.add_wire(1, &format!("{name}_tx"))?]);
        }
        let power = writer.add_wire(1, "power")?;
        let mut modem = Vec::new();
        for (name, ..) in MODEM {
            modem.push(writer.add_wire(1, name)?);
        }
        let state = writer.add_var(VarType::String, 1, "modem", None)?;
        writer.upscope()?;
        writer.enddefinitions()?;
        writer.timestamp(0)?;
        for wire in wires.iter().flatten() {
            writer.change_scalar(*wire, true)?;
        }
        for wire in modem.iter().chain([&power]) {
            writer.change_scalar(*wire, false)?;
        }
        let line = |wire| Line {
            wire,
            framing: Framing::default(),
            free: 0,
        };
        Ok(Self {
            writer: Some(writer),
            failure: None,
            lines: wires.into_iter().map(|pair| pair.map(line)).collect(),
            power,
            modem,
            state,
            peer: None,
            changes: BTreeMap::new(),
            count: 0,
            written: 0,
        })
    }

    fn plan(&mut self, at: u64, variable: IdCode, value: Value) {
        self.count += 1;
        self.changes.insert((at, self.count), (variable, value));
    }

    fn change(&mut self, at: u64, wire: IdCode, high: bool) {
        self.plan(at, wire, Value::Level(high));
    }

    /// Draws characters on a line; they begin at `from`, or when the line is free.
    fn draw(&mut self, uart: usize, direction: usize, from: u64, framing: Framing, bytes: &[u8]) {
        let Line { wire, free, .. } = self.lines[uart][direction];
        let begin = from.max(free);
        let bits = u64::from(framing.bits());
        let at = |bit: u64| begin + bit * 1_000_000_000 / u64::from(framing.baud);
        let mut level = true;
        for (index, byte) in bytes.iter().enumerate() {
            let first = index as u64 * bits;
            for (bit, high) in levels(*byte, framing).into_iter().enumerate() {
                if high != level {
                    level = high;
                    self.change(at(first + bit as u64), wire, high);
                }
            }
        }
        self.lines[uart][direction].free = at(bytes.len() as u64 * bits);
    }

    fn uart(&mut self, uart: usize, event: &Event) {
        let at = event.time.nanos();
        match event.kind {
            Kind::State => {
                if let Ok(framing) = event.text().parse() {
                    for line in &mut self.lines[uart] {
                        line.framing = framing;
                    }
                }
            }
            Kind::Rx => {
                let mut framing = self.lines[uart][0].framing;
                let own = self
                    .peer
                    .take()
                    .filter(|(source, _)| *source == event.source);
                framing.baud = own.map_or(framing.baud, |(_, baud)| baud).max(1);
                self.draw(uart, 0, at, framing, &event.bytes);
            }
            Kind::Tx => {
                let framing = self.lines[uart][1].framing;
                let took = framing.characters(event.bytes.len());
                let from = at.saturating_sub(took.as_nanos() as u64);
                self.draw(uart, 1, from, framing, &event.bytes);
            }
            _ => {}
        }
    }

    fn event(&mut self, event: &Event) {
        let at = event.time.nanos();
        if let Some(uart) = UARTS.iter().position(|(source, _)| *source == event.source) {
            self.uart(uart, event);
        }
        match (event.source, event.kind) {
            (Source::Bench, Kind::Action) => {
                let action = serde_json::from_slice(&event.bytes);
                self.peer = match action {
                    Ok(Action::Uart { id, baud, .. }) => Source::uart(id).zip(baud),
                    _ => None,
                };
            }
            // A chip that writes its dump has power.
            (Source::Board, Kind::Power) if !event.text().starts_with("crash") => {
                let on = event.text().starts_with("boot");
                self.change(at, self.power, on);
                if !on {
                    for wire in self.modem.clone() {
                        self.change(at, wire, false);
                    }
                }
            }
            (Source::Modem, Kind::State) => self.modem_event(at, &event.text()),
            _ => {}
        }
        // A chunk that has left may have begun so long ago.
        let slowest = self
            .lines
            .iter()
            .map(|[_, tx]| tx.framing.characters(CHUNK));
        let margin = slowest.max().unwrap_or_default().as_nanos() as u64;
        self.write_until(at.saturating_sub(margin));
    }

    fn modem_event(&mut self, at: u64, name: &str) {
        for (index, (_, raise, lower)) in MODEM.iter().enumerate() {
            if raise.contains(&name) {
                self.change(at, self.modem[index], true);
            } else if lower.contains(&name) {
                self.change(at, self.modem[index], false);
            }
        }
        self.plan(at, self.state, Value::Text(name.to_owned()));
    }

    fn write_until(&mut self, end: u64) {
        while let Some(first) = self.changes.first_entry().filter(|c| c.key().0 <= end) {
            let ((at, _), (variable, value)) = first.remove_entry();
            self.write(at, |writer| match value {
                Value::Level(high) => writer.change_scalar(variable, high),
                Value::Text(text) => writer.change_string(variable, &text),
            });
        }
    }

    /// Writes, unless writing has failed before.
    fn write(&mut self, at: u64, change: impl FnOnce(&mut Writer<W>) -> io::Result<()>) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        // What began before a change of the line's rate may come late.
        let at = at.max(self.written);
        let stamp = if self.written == at {
            Ok(())
        } else {
            writer.timestamp(at)
        };
        self.written = at;
        if let Err(error) = stamp.and_then(|()| change(writer)) {
            self.failure = Some(error);
            self.writer = None;
        }
    }

    fn finish(&mut self, end: Instant) -> io::Result<()> {
        self.write_until(u64::MAX);
        self.write(end.nanos(), |_| Ok(()));
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.writer.as_mut().map_or(Ok(()), Writer::flush)
    }
}

/// Most bytes of a `tx` event.
const CHUNK: usize = 256;

/// The levels of one character, bit by bit: start, data from the lowest, parity,
/// stop.
fn levels(byte: u8, framing: Framing) -> Vec<bool> {
    let data: Vec<bool> = (0..framing.data_bits)
        .map(|bit| u16::from(byte) >> bit & 1 == 1)
        .collect();
    let odd = data.iter().filter(|bit| **bit).count() % 2 == 1;
    let parity = match framing.parity {
        Parity::None => None,
        Parity::Odd => Some(!odd),
        Parity::Even => Some(odd),
    };
    let stop = std::iter::repeat_n(true, framing.stop_bits.into());
    std::iter::once(false)
        .chain(data)
        .chain(parity)
        .chain(stop)
        .collect()
}

type Shared = Arc<Mutex<Waveform<BufWriter<File>>>>;

/// A waveform being written.
pub struct VcdFile {
    path: PathBuf,
    shared: Shared,
}

impl VcdFile {
    /// Begins a waveform of `world`, before its first event.
    pub fn start(path: &Path, world: &mut World) -> Result<Self, VcdError> {
        let failed = |error| VcdError {
            path: path.to_owned(),
            error,
        };
        let file = File::create(path).map_err(failed)?;
        let waveform = Waveform::new(BufWriter::new(file)).map_err(failed)?;
        let shared = Arc::new(Mutex::new(waveform));
        let sink = Arc::clone(&shared);
        world.add_sink(move |event| {
            sink.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .event(event);
        });
        Ok(Self {
            path: path.to_owned(),
            shared,
        })
    }

    /// Ends it at the world's time.
    pub fn finish(self, world: &World) -> Result<(), VcdError> {
        let mut waveform = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        waveform.finish(world.now()).map_err(|error| VcdError {
            path: self.path.clone(),
            error,
        })
    }
}
