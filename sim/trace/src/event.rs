//! Events and their vocabulary.

use std::fmt;

use airbench_clock::Instant;

/// Where an event was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Source {
    /// The simulation itself.
    World = 0,
    /// Board: power, reset, watchdog.
    Board = 1,
    /// The firmware's log channel (Luatools' view).
    Console = 2,
    /// UART 0 (DBG_UART).
    Uart0 = 3,
    /// UART 1 (MAIN_UART).
    Uart1 = 4,
    /// UART 2 (AUX_UART).
    Uart2 = 5,
    /// The virtual UART over USB.
    Vuart = 6,
    /// The modem's control plane.
    Modem = 7,
    /// The radio link.
    Link = 8,
    /// A server in the simulated internet.
    Server = 9,
    /// The person or script at the bench.
    Bench = 10,
    /// The UART that `uart.createSoft` makes of pins.
    Uart4 = 11,
}

impl Source {
    const ALL: [Self; 12] = [
        Self::World,
        Self::Board,
        Self::Console,
        Self::Uart0,
        Self::Uart1,
        Self::Uart2,
        Self::Vuart,
        Self::Modem,
        Self::Link,
        Self::Server,
        Self::Bench,
        Self::Uart4,
    ];

    /// The source with this number in the file format.
    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.get(usize::from(n)).copied()
    }

    /// The UART with this LuatOS id (0 to 2, 4 for the soft one, 0x20 for the virtual one).
    pub fn uart(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Uart0),
            1 => Some(Self::Uart1),
            2 => Some(Self::Uart2),
            4 => Some(Self::Uart4),
            0x20 => Some(Self::Vuart),
            _ => None,
        }
    }

    /// Short lower-case name, as printed and as used in tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::Board => "board",
            Self::Console => "console",
            Self::Uart0 => "uart0",
            Self::Uart1 => "uart1",
            Self::Uart2 => "uart2",
            Self::Vuart => "vuart",
            Self::Modem => "modem",
            Self::Link => "link",
            Self::Server => "server",
            Self::Bench => "bench",
            Self::Uart4 => "uart4",
        }
    }
}

/// What kind of thing happened. The bytes of each kind are described here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// One record of the log channel; the text.
    Line = 0,
    /// Power, boot, reset; a word such as `power-on` or `reset watchdog`.
    Power = 1,
    /// Bytes that arrived at the device.
    Rx = 2,
    /// Bytes that left the device.
    Tx = 3,
    /// Bytes lost at the device's receiver.
    Lost = 4,
    /// A modem state; a word.
    State = 5,
    /// An IP packet from the device; opaque.
    PacketUp = 6,
    /// An IP packet to the device; opaque.
    PacketDown = 7,
    /// A packet the link lost; direction and reason, as `up outage`.
    PacketDrop = 8,
    /// A server's handshake: request line and headers as received.
    Handshake = 9,
    /// A WebSocket message a server got: `text` or `binary`, a space, payload.
    MessageIn = 10,
    /// A WebSocket message a server sent; form as above.
    MessageOut = 11,
    /// A server's connection ended; `code reason` or `eof`.
    Closed = 12,
    /// A UDP datagram a server got; payload.
    Datagram = 13,
    /// A firmware function that is not modelled; its name.
    NotModelled = 14,
    /// The script ended or failed; the message.
    ScriptError = 15,
    /// Something done from outside (a fault, a button); a sentence.
    Action = 16,
    /// What a capture shows of connections: `tcp 1 reset`, `http GET / HTTP/1.1`.
    Network = 17,
}

impl Kind {
    const ALL: [Self; 18] = [
        Self::Line,
        Self::Power,
        Self::Rx,
        Self::Tx,
        Self::Lost,
        Self::State,
        Self::PacketUp,
        Self::PacketDown,
        Self::PacketDrop,
        Self::Handshake,
        Self::MessageIn,
        Self::MessageOut,
        Self::Closed,
        Self::Datagram,
        Self::NotModelled,
        Self::ScriptError,
        Self::Action,
        Self::Network,
    ];

    /// The kind with this number in the file format.
    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.get(usize::from(n)).copied()
    }

    /// Its bytes may be ciphertext, so only their length counts in the hash.
    pub fn is_opaque(self) -> bool {
        matches!(self, Self::PacketUp | Self::PacketDown)
    }

    /// Short lower-case name, as printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Power => "power",
            Self::Rx => "rx",
            Self::Tx => "tx",
            Self::Lost => "lost",
            Self::State => "state",
            Self::PacketUp => "packet-up",
            Self::PacketDown => "packet-down",
            Self::PacketDrop => "packet-drop",
            Self::Handshake => "handshake",
            Self::MessageIn => "message-in",
            Self::MessageOut => "message-out",
            Self::Closed => "closed",
            Self::Datagram => "datagram",
            Self::NotModelled => "not-modelled",
            Self::ScriptError => "script-error",
            Self::Action => "action",
            Self::Network => "network",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: Instant,
    /// Where.
    pub source: Source,
    /// What.
    pub kind: Kind,
    /// Length of the bytes; they themselves may be left out of opaque events.
    pub len: u32,
    /// The bytes; see [`Kind`].
    pub bytes: Vec<u8>,
}

impl Event {
    /// An event with all its bytes.
    pub fn new(time: Instant, source: Source, kind: Kind, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            time,
            source,
            kind,
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            bytes,
        }
    }

    /// An opaque event that keeps only the length of its bytes.
    pub fn sized(time: Instant, source: Source, kind: Kind, len: usize) -> Self {
        Self {
            time,
            source,
            kind,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            bytes: Vec::new(),
        }
    }

    /// The bytes as text, invalid UTF-8 replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

impl fmt::Display for Event {
    /// One line: time, source, kind, and the bytes, escaped where unprintable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{:>12}] {:<7} {:<12} ",
            self.time.to_string(),
            self.source.name(),
            self.kind.name()
        )?;
        if self.kind.is_opaque() {
            return write!(f, "{} bytes", self.len);
        }
        for c in self.text().chars() {
            match c {
                '\t' => f.write_str("\\t")?,
                c if c.is_control() || c == char::REPLACEMENT_CHARACTER => {
                    write!(f, "{}", c.escape_default())?;
                }
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}
