//! `socket`: the Lua side of the control blocks.

use std::net::Ipv4Addr;
use std::time::Duration;

use airbench_lua32::{Func, Kind, Raise};
use airbench_net::Keepalive;

use crate::args::{Args, Call, Results};
use crate::libs::{Library, zbuff};
use crate::net::ctrl::Listener;
use crate::net::{Certificates, Owner, stage};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "socket",
    functions: FUNCTIONS,
    constants: &[],
};

const FUNCTIONS: &[(&str, Func<Runtime>)] = &[
    ("create", create),
    ("debug", debug),
    ("config", config),
    ("linkup", linkup),
    ("connect", connect),
    ("listen", listen),
    ("accept", accept),
    ("discon", discon),
    ("close", close),
    ("tx", tx),
    ("rx", rx),
    ("read", read),
    ("wait", wait),
    ("state", state),
    ("release", release),
    ("setDNS", set_dns),
    ("sslLog", |_| Ok(0)),
    ("localIP", local_ip),
    ("remoteIP", remote_ip),
    ("adapter", adapter),
    ("sntp", sntp),
    ("ntptm", ntptm),
    ("sntp_port", sntp_port),
    ("dft", default_adapter),
    ("close_all", close_all),
    ("rx_cache", rx_cache),
];

/// Class of control blocks.
const CLASS: u32 = 6;
/// Callbacks get a control block as a bare pointer: this plus its number.
const LIGHT: u32 = 0x0C10_0000;
/// The adapter of the cellular network, and the only one.
pub(crate) const CELLULAR: i32 = 1;
/// Adapters of a core have numbers below this.
fn adapters(rt: &Runtime) -> i32 {
    if rt.config.core.is_new() { 19 } else { 10 }
}

/// Registers the class; objects have no methods.
pub(crate) fn open(cx: &mut Call<'_>) {
    cx.push_table(0, 2);
    cx.push_function(|cx| {
        if let Some(id) = cx.to_object(1, CLASS) {
            let_go(cx, id);
        }
        Ok(0)
    });
    cx.set_field(-2, "__gc");
    cx.push_bytes(b"NWCTRL*");
    cx.set_field(-2, "__name");
    cx.set_class(CLASS);
}

/// The control block of argument 1: the object, or the pointer a callback got.
fn this(cx: &mut Call<'_>) -> Option<u32> {
    let id = match cx.to_light(1) {
        Some(address) => address.checked_sub(LIGHT),
        None => cx.to_object(1, CLASS),
    };
    id.filter(|id| cx.host().ctrl_exists(*id))
}

fn let_go(cx: &mut Call<'_>, id: u32) {
    if let Some(Listener::Function(callback)) = cx.host().ctrl_release(id) {
        cx.drop_ref(callback);
    }
}

/// `socket.create(adapter, callback or task name)`.
fn create(cx: &mut Call<'_>) -> Results {
    let default = cx.host().default_adapter;
    let number = cx.opt_integer(1, default)?;
    let listener = match cx.kind(2) {
        Kind::Function => {
            cx.push_value(2);
            Listener::Function(cx.make_ref())
        }
        Kind::String | Kind::Number => {
            let mut name = cx.check_bytes(2)?;
            name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
            Listener::Task(name)
        }
        _ => Listener::Topic,
    };
    let created = if number == CELLULAR {
        let created = cx.host().ctrl_create(listener.clone());
        if created.is_none() {
            cx.host().say_no_ctrl("socket");
        }
        created
    } else {
        if (0..adapters(cx.host())).contains(&number) {
            let rt = cx.host();
            rt.line(format!(
                "network_alloc_ctrl 1363:adapter index {number} is invalid!"
            ));
            rt.lib_line(Level::Debug, "socket create fail");
        }
        None
    };
    match created {
        Some(id) => cx.push_object(CLASS, id),
        None => {
            if let Listener::Function(callback) = listener {
                cx.drop_ref(callback);
            }
            cx.push_nil();
        }
    }
    Ok(1)
}

/// A certificate or key is one only if it is a string.
pub(crate) fn opt_pem(cx: &Call<'_>, index: i32) -> Option<Vec<u8>> {
    match cx.kind(index) {
        Kind::String | Kind::Number => cx.to_bytes(index).map(<[u8]>::to_vec),
        _ => None,
    }
}

/// `config(ctrl, port, udp, tls, idle, interval, count, ca, cert, key, pwd)`.
fn config(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let port = cx.opt_integer(2, 0)? as u16;
    let idle = cx.opt_integer(5, 0)?;
    let (interval, count) = (cx.opt_integer(6, 0)? as u8, cx.opt_integer(7, 0)? as u8);
    let keepalive = u64::try_from(idle).ok().filter(|idle| *idle > 0);
    let keepalive = keepalive.map(|idle| Keepalive {
        idle: Duration::from_secs(idle),
        interval: Duration::from_secs(interval.into()),
        count: count.into(),
    });
    let flag = |index| cx.kind(index) == Kind::Boolean && cx.to_boolean(index);
    let udp = flag(3);
    let certificates = flag(4).then(|| {
        let authority = opt_pem(cx, 8);
        let certificate = opt_pem(cx, 9);
        Certificates {
            verify: authority.is_some() || certificate.is_some(),
            authority,
            certificate,
            key: opt_pem(cx, 10),
        }
    });
    cx.host()
        .ctrl_config(id, port, udp, certificates, keepalive);
    cx.push_boolean(true);
    Ok(1)
}

fn push_pair(cx: &mut Call<'_>, pair: (bool, bool)) -> Results {
    cx.push_boolean(pair.0);
    cx.push_boolean(pair.1);
    Ok(2)
}

fn linkup(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let up = cx.host().ctrl_linkup(id);
    push_pair(cx, (true, up))
}

/// An integer is an address with its first octet in the lowest byte.
fn address_of(number: i32) -> Ipv4Addr {
    Ipv4Addr::from(number.to_le_bytes())
}

fn connect(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let (host, shown) = if cx.is_integer(2) {
        let address = address_of(cx.check_integer(2)?);
        (address.to_string(), String::new())
    } else {
        let host = cx.check_text(2)?;
        (host.clone(), host)
    };
    let port = cx.check_integer(3)? as u16;
    let rt = cx.host();
    rt.lib_line(Level::Debug, &format!("socket connect to {shown},{port}"));
    let accepted = rt.ctrl_connect(id, &host, port);
    push_pair(cx, (accepted, false))
}

fn listen(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let pair = cx.host().ctrl_listen(id);
    push_pair(cx, pair)
}

/// The chip serves one client per listening block: there is no new one.
fn accept(cx: &mut Call<'_>) -> Results {
    if this(cx).is_none() {
        return Ok(0);
    }
    cx.push_boolean(true);
    cx.push_nil();
    Ok(2)
}

fn discon(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let closed = cx.host().ctrl_discon(id);
    push_pair(cx, (true, closed))
}

fn close(cx: &mut Call<'_>) -> Results {
    if let Some(id) = this(cx) {
        cx.host().ctrl_close(id);
    }
    Ok(0)
}

fn release(cx: &mut Call<'_>) -> Results {
    if let Some(id) = this(cx) {
        let_go(cx, id);
    }
    Ok(0)
}

/// `tx(ctrl, data, ip, port)`: ok, full, acknowledged.
fn tx(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let data = match cx.kind(2) {
        Kind::String | Kind::Number => cx.check_bytes(2)?,
        _ => {
            let buffer = zbuff::check(cx, 2)?;
            zbuff::with(cx, buffer, |b| b.slice(0, b.used()))
        }
    };
    let address = if cx.is_integer(3) {
        Some(address_of(cx.check_integer(3)?))
    } else if cx.kind(3) == Kind::String {
        Some(cx.check_text(3)?.parse().unwrap_or(Ipv4Addr::UNSPECIFIED))
    } else {
        None
    };
    let port = cx.opt_integer(4, 0)? as u16;
    cx.opt_integer(5, 0)?;
    let to = address.map(|address| (address, port));
    let sent = cx.host().ctrl_send(id, &data, to);
    cx.push_boolean(sent);
    // After a failure the firmware leaves this one to chance, mostly true.
    cx.push_boolean(!sent);
    cx.push_boolean(false);
    Ok(3)
}

/// The sender of a datagram: a zero byte and the address; the port.
fn push_sender(cx: &mut Call<'_>, from: Option<(Ipv4Addr, u16)>) {
    match from {
        Some((address, port)) => {
            let mut bytes = vec![0];
            bytes.extend_from_slice(&address.octets());
            cx.push_bytes(&bytes);
            cx.push_integer(port.into());
        }
        None => {
            cx.push_nil();
            cx.push_nil();
        }
    }
}

/// The bytes a limit leaves of those pending; says so where it is less.
fn limited(cx: &mut Call<'_>, index: i32, pending: usize) -> usize {
    let limit = cx
        .is_integer(index)
        .then(|| cx.to_integer(index).unwrap_or(0));
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit) if pending > limit => {
            let line = format!("socket 待数据数据长度 {pending} 限制读取长度 {limit}");
            cx.host().lib_line(Level::Debug, &line);
            limit
        }
        _ => pending,
    }
}

/// `rx(ctrl, zbuff, flag, limit)`: ok, length, sender's address and port.
fn rx(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let pending = cx.host().ctrl_pending(id);
    let waiting = pending.unwrap_or(0);
    cx.push_boolean(pending.is_some());
    if waiting == 0 || !matches!(cx.kind(2), Kind::Userdata) {
        cx.push_integer(i32::try_from(waiting).unwrap_or(i32::MAX));
        return Ok(2);
    }
    let Some(buffer) = zbuff::arg(cx, 2) else {
        return Err(Raise::Argument(2, "ZBUFF* expected, got userdata".into()));
    };
    let mut len = limited(cx, 4, waiting);
    let (room, spare) = zbuff::with(cx, buffer, |b| (b.room(), b.spare));
    if len > room + spare {
        let line = format!("socket zbuff自动扩容失败, 减少接收到数据长度 {len} -> {room}");
        cx.host().lib_line(Level::Warn, &line);
        len = room;
    }
    if len == 0 {
        cx.push_integer(0);
        return Ok(2);
    }
    let (bytes, from) = cx.host().ctrl_read(id, len);
    zbuff::with(cx, buffer, |b| b.append(&bytes));
    cx.push_integer(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    push_sender(cx, from);
    Ok(4)
}

/// `read(ctrl, len)`: ok, bytes, and for datagrams the sender.
fn read(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let Some(pending) = cx.host().ctrl_pending(id) else {
        cx.push_boolean(false);
        return Ok(1);
    };
    let positive = cx.to_integer(2).is_some_and(|len| len > 0);
    let len = if positive {
        limited(cx, 2, pending)
    } else {
        pending
    };
    cx.push_boolean(true);
    if len == 0 {
        cx.push_bytes(b"");
        return Ok(2);
    }
    let (bytes, from) = cx.host().ctrl_read(id, len);
    cx.push_bytes(&bytes);
    if from.is_none() {
        return Ok(2);
    }
    push_sender(cx, from);
    Ok(4)
}

fn wait(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let pair = cx.host().ctrl_wait(id);
    push_pair(cx, pair)
}

/// `socket.debug(ctrl, on)`: only a boolean does anything.
fn debug(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    set_debug(cx, Owner::Ctrl(id));
    Ok(0)
}

/// Sets an object's debug output by the second argument.
pub(crate) fn set_debug(cx: &mut Call<'_>, owner: Owner) {
    if cx.kind(2) == Kind::Boolean {
        let on = cx.to_boolean(2);
        cx.host().socket_debug(owner, on);
    }
}

fn state(cx: &mut Call<'_>) -> Results {
    let Some(id) = this(cx) else { return Ok(0) };
    let stage = cx.host().ctrl_stage(id).unwrap_or(0);
    let name = usize::try_from(stage)
        .ok()
        .and_then(|at| stage::NAMES.get(at));
    cx.push_integer(stage);
    cx.push_bytes(name.unwrap_or(&"未知").as_bytes());
    Ok(2)
}

/// `setDNS(adapter, slot from 1, address)`.
fn set_dns(cx: &mut Call<'_>) -> Results {
    let default = cx.host().default_adapter;
    let number = cx.opt_integer(1, default)?;
    let slot = cx.opt_integer(2, 1)?;
    let address = if cx.is_integer(3) {
        address_of(cx.check_integer(3)?)
    } else {
        cx.check_text(3)?.parse().unwrap_or(Ipv4Addr::UNSPECIFIED)
    };
    if !(0..adapters(cx.host())).contains(&number) {
        cx.push_boolean(false);
        return Ok(1);
    }
    if let (CELLULAR, Ok(slot @ 1..=4)) = (number, usize::try_from(slot)) {
        let server = (!address.is_unspecified()).then_some(address);
        cx.host().network.set_dns(slot - 1, server);
    }
    cx.push_boolean(true);
    Ok(1)
}

/// Address, mask, gateway, IPv6; nothing without a network.
fn local_ip(cx: &mut Call<'_>) -> Results {
    let default = cx.host().default_adapter;
    let number = cx.opt_integer(1, default)?;
    let address = cx.host().network.address();
    let Some(address) = address.filter(|_| number == CELLULAR) else {
        return Ok(0);
    };
    for text in [&address.to_string(), "255.255.255.255", "0.0.0.0"] {
        cx.push_bytes(text.as_bytes());
    }
    cx.push_nil();
    Ok(4)
}

/// Up to four addresses DNS gave, filled up with nil.
fn remote_ip(cx: &mut Call<'_>) -> Results {
    let addresses = match this(cx) {
        Some(id) => cx.host().ctrl_addresses(id),
        None => Vec::new(),
    };
    for index in 0..4 {
        match addresses.get(index) {
            Some(address) => cx.push_bytes(address.to_string().as_bytes()),
            None => cx.push_nil(),
        }
    }
    Ok(4)
}

/// `adapter(number)`: ready, number; without one the first that is ready.
fn adapter(cx: &mut Call<'_>) -> Results {
    let number = cx.opt_integer(1, -1)?;
    let up = cx.host().network.is_up();
    let count = adapters(cx.host());
    let (ready, number) = if (1..count).contains(&number) {
        (up && number == CELLULAR, number)
    } else if up {
        (true, CELLULAR)
    } else {
        (false, count - 1)
    };
    cx.push_boolean(ready);
    cx.push_integer(number);
    Ok(2)
}

/// `dft(adapter)` of the new core: sets the default; gives it and the adapter
/// registered last.
fn default_adapter(cx: &mut Call<'_>) -> Results {
    if cx.is_integer(1) {
        let id = cx.check_integer(1)?;
        if (0..adapters(cx.host())).contains(&id) {
            cx.host().default_adapter = id;
        }
    }
    let default = cx.host().default_adapter;
    cx.push_integer(default);
    cx.push_integer(CELLULAR);
    Ok(2)
}

/// `rx_cache(segments)` of the new core: the number in force. The receive window
/// of its own lwIP follows it; the EC618's lwIP is the SDK's, which does not.
fn rx_cache(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::Number {
        let wanted = cx.check_integer(1)? & 0xFF;
        if (6..=48).contains(&wanted) {
            cx.host().rx_cache = wanted;
        }
    }
    let segments = cx.host().rx_cache;
    cx.push_integer(segments);
    Ok(1)
}

/// `close_all(adapter)` of the new core: whether there could be such an adapter.
fn close_all(cx: &mut Call<'_>) -> Results {
    let id = cx.to_integer(1).filter(|_| cx.kind(1) == Kind::Number);
    let count = adapters(cx.host());
    let known = id.is_some_and(|id| (0..count).contains(&(id & 0xFF)));
    if known && id.is_some_and(|id| id & 0xFF == CELLULAR) {
        let rt = cx.host();
        for ctrl in rt.ctrl_ids() {
            rt.ctrl_cut(ctrl);
        }
        rt.mqtt_cut_all();
        rt.websocket_cut_all();
    }
    cx.push_boolean(known);
    Ok(1)
}

/// `sntp(server or servers, adapter)`: no result; a topic tells.
fn sntp(cx: &mut Call<'_>) -> Results {
    match cx.kind(1) {
        Kind::String | Kind::Number => {
            let server = cx.check_text(1)?;
            cx.host().sntp_server(0, server);
        }
        Kind::Table => {
            for index in 0..cx.raw_len(1).min(3) {
                cx.get_item(1, index as i32 + 1);
                if !matches!(cx.kind(-1), Kind::String | Kind::Number) {
                    let text = format!("string expected, got {}", cx.type_name(-1));
                    return Err(Raise::Argument(-1, text));
                }
                let server = cx.check_text(-1)?;
                cx.pop(1);
                cx.host().sntp_server(index, server);
            }
        }
        _ => {}
    }
    let number = cx.opt_integer(2, CELLULAR)?;
    cx.host().sntp_start(number == CELLULAR || number == -1);
    Ok(0)
}

fn ntptm(cx: &mut Call<'_>) -> Results {
    let times = cx.host().sntp_times();
    cx.push_table(0, 0);
    for (name, value) in times.fields() {
        cx.push_integer(value);
        cx.set_field(-2, name);
    }
    if times.valid {
        cx.push_boolean(true);
        cx.set_field(-2, "vaild");
    }
    Ok(1)
}

fn sntp_port(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::Number {
        let port = cx.check_integer(1)? as u16;
        if port != 0 {
            cx.host().sntp.port = port;
        }
    }
    let port = cx.host().sntp.port;
    cx.push_integer(port.into());
    Ok(1)
}

/// An event of a control block reaches Lua.
pub(crate) fn on_event(cx: &mut Call<'_>, id: u32, code: i32, parameter: i32) -> Results {
    let listener = cx.host().ctrls.get(id).map(|ctrl| ctrl.listener.clone());
    let args = match listener {
        // Released in the meantime.
        None => return Ok(0),
        Some(Listener::Function(callback)) => {
            cx.push_ref(callback);
            cx.push_light(LIGHT + id);
            1
        }
        Some(Listener::Task(name)) => {
            if cx.get_global("sys_send") != Kind::Function {
                return Ok(0);
            }
            cx.push_bytes(&name);
            1
        }
        Some(Listener::Topic) => {
            if cx.get_global("sys_pub") != Kind::Function {
                return Ok(0);
            }
            cx.push_bytes(b"NWCTRL*");
            cx.push_integer(CELLULAR);
            cx.push_integer(id as i32);
            3
        }
    };
    cx.push_integer(code);
    cx.push_integer(parameter);
    cx.call(args + 2, 0)?;
    Ok(0)
}
