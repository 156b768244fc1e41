//! The message bus between drivers and the Lua task.

use std::net::Ipv4Addr;

use airbench_lte::ModemEvent;
use airbench_lua32::Ref;

use crate::libs::sms::Sms;
use crate::libs::{errdump, libgnss};
use crate::net::{ftp, http, mqtt, websocket};

/// An argument of a message that becomes `sys.publish`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    Integer(i32),
    Text(String),
    Boolean(bool),
    Float(f32),
    /// A websocket client, by number.
    WebSocket(u32),
    /// A value kept for Lua.
    Held(Ref),
}

/// One entry of the bus, handled inside `rtos.receive`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// An rtos timer fired; its key in [`crate::timers::Timers`].
    Timer(u64),
    /// Bytes wait on a UART: id and length.
    UartReceive(u8, i32),
    /// Everything written to a UART has left.
    UartSent(u8),
    /// The soft UART has received; true: a burst has ended.
    SoftUartReceive(bool),
    /// A write to the soft UART has left.
    SoftUartSent,
    /// A pin's interrupt: pin, level, and whether it had to be stable.
    Gpio(u8, u8, bool),
    /// The length of a pulse on a pin, in microseconds.
    Pulse(u8, f32),
    /// `sys.publish` of a topic the script chose.
    Topic(String, Vec<Arg>),
    /// A short message has come.
    Sms(Sms),
    /// A line for the REPL.
    Repl(Vec<u8>),
    /// `sys.publish` from C.
    Publish(&'static str, Vec<Arg>),
    /// A websocket client's event.
    WebSocket(u32, websocket::Notice),
    /// A timer of a websocket client.
    WebSocketTimer(u32, websocket::Timer),
    /// A control block's event: code and parameter.
    Socket(u32, i32, i32),
    /// An MQTT client's event.
    Mqtt(u32, mqtt::Notice),
    /// A callback of `libgnss.on` and its bytes.
    Gnss(libgnss::Callback, Vec<u8>),
    /// An HTTP request's event.
    Http(u32, http::Notice),
    /// The modem's event, with the device's address.
    Modem(ModemEvent, Ipv4Addr),
    /// errDump's work on the Lua thread.
    ErrDump(errdump::Work),
    /// What the FTP client has done.
    Ftp(ftp::Outcome),
}
