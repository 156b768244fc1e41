//! `websocket`: the Lua side.

use std::time::Duration;

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::dispatch;
use crate::libs::socket::set_debug;
use crate::libs::{Library, zbuff};
use crate::message::Arg;
use crate::net::Owner;
use crate::net::frames::{self, Opcode};
use crate::net::websocket::{Notice, Timer, split_url};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "websocket",
    functions: &[
        ("create", create),
        ("on", on),
        ("connect", connect),
        ("autoreconn", autoreconn),
        ("send", send),
        ("close", close),
        ("ready", ready),
        ("headers", headers),
        ("debug", debug),
    ],
    constants: &[],
};

/// Class of client objects.
/// Bytes of the C structure with its receive buffer, on V1112 and in the new core.
const SIZE: usize = 4624;
const NEW_SIZE: usize = 8748;
const CLASS: u32 = 2;
/// Keep-alive unless the script asks for another, in seconds.
const KEEPALIVE: i32 = 60;
/// Shortest reconnect interval, in milliseconds.
const RECONNECT: i32 = 1000;
/// Longest name plus value of a header given in a table.
const HEADER: usize = 256;
/// Adapters there may be; one of them is there.
const ADAPTERS: i32 = 10;
/// Longest header block.
const HEADERS: usize = 1023;

/// Registers the class; objects reach every function of the library.
pub(crate) fn open(cx: &mut Call<'_>) {
    cx.push_table(0, 2);
    cx.get_global("websocket");
    cx.make_method_index();
    cx.set_field(-2, "__index");
    cx.push_bytes(b"WS*");
    cx.set_field(-2, "__name");
    cx.set_class(CLASS);
}

/// Pushes the object of a client; one is kept as long as the client lives.
pub(crate) fn push(cx: &mut Call<'_>, id: u32) {
    match cx.host().websockets.get(id).and_then(|client| client.pin) {
        Some(pin) => cx.push_ref(pin),
        None => cx.push_nil(),
    }
}

/// The client of a method call; a closed one is 0, which no table knows.
fn this(cx: &mut Call<'_>) -> Result<u32, airbench_lua32::Raise> {
    let id = cx.to_object(1, CLASS);
    id.ok_or_else(|| {
        let got = cx.type_name(1);
        airbench_lua32::Raise::Argument(1, format!("WS* expected, got {got}"))
    })
}

/// `websocket.create(adapter, url, keepalive, ipv6)`.
fn create(cx: &mut Call<'_>) -> Results {
    let default = cx.host().default_adapter;
    let adapter = cx.opt_integer(1, default)?;
    let url = cx.check_text(2)?;
    let keepalive = match cx.to_integer(3) {
        Some(seconds @ 1..) => seconds,
        _ => KEEPALIVE,
    };
    if !(0..ADAPTERS).contains(&adapter) {
        return Ok(0);
    }
    let keepalive = Duration::from_secs(keepalive.unsigned_abs().into());
    let id = (adapter == 1)
        .then(|| cx.host().websocket_create(split_url(&url), keepalive))
        .flatten();
    let Some(id) = id else {
        let rt = cx.host();
        rt.say_no_adapter(adapter);
        rt.lib_line(Level::Warn, "websocket network_alloc_ctrl fail");
        rt.lib_line(Level::Error, "websocket websocket init FAID ret -1");
        return Ok(0);
    };
    let size = if cx.host().config.core.is_new() {
        NEW_SIZE
    } else {
        SIZE
    };
    cx.push_sized_object(CLASS, id, size);
    cx.push_value(-1);
    let pin = cx.make_ref();
    if let Some(client) = cx.host().websockets.get_mut(id) {
        client.pin = Some(pin);
    }
    Ok(1)
}

fn on(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let callback = cx.keep_function(2);
    let old = match cx.host().websockets.get_mut(id) {
        Some(client) => std::mem::replace(&mut client.callback, callback),
        None => callback,
    };
    if let Some(old) = old {
        cx.drop_ref(old);
    }
    Ok(0)
}

/// True whatever comes of it.
fn connect(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    cx.host().websocket_connect(id);
    cx.push_boolean(true);
    Ok(1)
}

fn autoreconn(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let on = cx.to_boolean(2);
    let ms = cx.opt_integer(3, 3000)?.max(RECONNECT);
    if let Some(client) = cx.host().websockets.get_mut(id) {
        client.reconnect = on.then(|| Duration::from_millis(ms.unsigned_abs().into()));
    }
    Ok(0)
}

/// `wsc:send(data, opt)`: on V1112 the result is upside down.
fn send(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let data = if let Some(buffer) = zbuff::arg(cx, 2) {
        zbuff::with(cx, buffer, |b| b.slice(0, b.used()))
    } else if let Some(bytes) = cx.to_bytes(2) {
        bytes.to_vec()
    } else {
        cx.host()
            .lib_line(Level::Debug, "websocket only support string or zbuff");
        return Ok(0);
    };
    let opcode = if cx.is_integer(3) && cx.to_integer(3) == Some(1) {
        Opcode::Binary
    } else {
        Opcode::Text
    };
    let rt = cx.host();
    let new = rt.config.core.is_new();
    let failed = if rt.websocket_ready(id) {
        match frames::encode(opcode, &data) {
            Some(frame) => rt.websocket_transmit(id, opcode, &frame) == new,
            None => {
                rt.lib_line(
                    Level::Error,
                    &format!("websocket pkg too large {}", data.len()),
                );
                false
            }
        }
    } else {
        rt.lib_line(Level::Info, "websocket not ready yet");
        false
    };
    cx.push_boolean(failed);
    Ok(1)
}

fn debug(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    set_debug(cx, Owner::WebSocket(id));
    Ok(0)
}

fn ready(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let ready = cx.host().websocket_ready(id);
    cx.push_boolean(ready);
    Ok(1)
}

fn close(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if let Some(client) = cx.host().websocket_close(id) {
        for reference in [client.callback, client.pin].into_iter().flatten() {
            cx.drop_ref(reference);
        }
    }
    Ok(0)
}

/// `wsc:headers(table or string)`.
fn headers(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let block = match cx.kind(2) {
        Kind::Table => match table_headers(cx) {
            Some(block) => block,
            None => return Ok(0),
        },
        Kind::String => cx.check_bytes(2)?,
        _ => return Ok(0),
    };
    if block.len() > HEADERS {
        let line = format!("websocket headers too large size {}", block.len());
        cx.host().lib_line(Level::Warn, &line);
        return Ok(0);
    }
    if let Some(client) = cx.host().websockets.get_mut(id) {
        client.headers = block;
    }
    cx.push_boolean(true);
    Ok(1)
}

/// `Name:Value` lines: no space after the colon, and `* - . _` and spaces of
/// the value percent-encoded, as V1112 writes them.
fn table_headers(cx: &mut Call<'_>) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    cx.push_nil();
    while cx.next(2) {
        // Copies: converting a number key in place would confuse `next`.
        cx.push_value(-2);
        let name = cx.to_bytes(-1).unwrap_or_default().to_vec();
        cx.pop(1);
        let value = cx.to_bytes(-1).unwrap_or_default().to_vec();
        cx.pop(1);
        let bad = name.is_empty() || value.is_empty() || name.len() + value.len() > HEADER;
        block.extend_from_slice(&name);
        block.push(b':');
        let full = !bad && (HEADERS + 1).saturating_sub(block.len()) < value.len() * 2;
        if bad || full {
            let line = format!(
                "websocket bad header {} {}{}",
                String::from_utf8_lossy(&name),
                String::from_utf8_lossy(&value),
                if full { ", too large" } else { "" }
            );
            cx.host().lib_line(Level::Warn, &line);
            cx.pop(1);
            return None;
        }
        for byte in value {
            if b"*-._ ".contains(&byte) {
                block.extend_from_slice(format!("%{byte:02X}").as_bytes());
            } else {
                block.push(byte);
            }
        }
        block.extend_from_slice(b"\r\n");
    }
    Some(block)
}

/// A timer's work.
pub(crate) fn on_timer(cx: &mut Call<'_>, id: u32, timer: Timer) -> Results {
    match timer {
        Timer::Ping => cx.host().websocket_ping(id),
        Timer::Reconnect => cx.host().websocket_connect(id),
    }
    Ok(0)
}

/// A client's notice reaches Lua: `fn(wsc, event, data, fin, opcode)`.
pub(crate) fn on_notice(cx: &mut Call<'_>, id: u32, notice: Notice) -> Results {
    let callback = cx
        .host()
        .websockets
        .get(id)
        .and_then(|client| client.callback);
    let conack = notice == Notice::ConnAck;
    if matches!(notice, Notice::Received(..)) {
        cx.host().delivered += 1;
    }
    if let Some(callback) = callback {
        cx.push_ref(callback);
        push(cx, id);
        let args = match notice {
            Notice::ConnAck => event(cx, "conack"),
            Notice::Sent => event(cx, "sent"),
            Notice::Disconnect => event(cx, "disconnect"),
            Notice::Error(what) => {
                event(cx, "error");
                cx.push_bytes(what.as_bytes());
                cx.push_integer(0);
                4
            }
            Notice::Received(payload, fin, opcode) => {
                event(cx, "recv");
                cx.push_bytes(&payload);
                cx.push_integer(fin.into());
                cx.push_integer(opcode.into());
                5
            }
        };
        cx.call(args, 0)?;
    }
    if conack && callback.is_some() {
        dispatch::publish(cx, "WEBSOCKET_CONNACK", &[Arg::WebSocket(id)])?;
    }
    Ok(0)
}

fn event(cx: &mut Call<'_>, name: &str) -> i32 {
    cx.push_bytes(name.as_bytes());
    2
}
