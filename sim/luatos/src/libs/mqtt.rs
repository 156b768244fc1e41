//! `mqtt`: the Lua side.

use std::time::Duration;

use airbench_lua32::{Kind, Raise};

use crate::args::{Args, Call, Results};
use crate::dispatch;
use crate::libs::socket::{CELLULAR, opt_pem, set_debug};
use crate::libs::{Library, zbuff};
use crate::message::Arg;
use crate::net::mqtt::{BUFFER, Notice};
use crate::net::mqtt_packet::{self as packet, Identity, Will};
use crate::net::mqtt_websocket::is_url;
use crate::net::{Certificates, Owner, Security, Target};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "mqtt",
    functions: &[
        ("create", create),
        ("auth", auth),
        ("keepalive", keepalive),
        ("on", on),
        ("connect", connect),
        ("autoreconn", autoreconn),
        ("publish", publish),
        ("subscribe", subscribe),
        ("unsubscribe", unsubscribe),
        ("disconnect", disconnect),
        ("close", close),
        ("ready", ready),
        ("will", will),
        ("debug", debug),
        ("state", state),
    ],
    constants: &[],
};

/// Class of client objects.
const CLASS: u32 = 7;
/// How long a connect of the new core may take, unless the script says.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of the C structure on V1112, and of the new core's, which has a websocket's
/// in it.
const SIZE: usize = 872;
const NEW_SIZE: usize = 10_216;
/// Longest client id, user name and password.
const TEXT: usize = 191;

/// Registers the class; objects reach every function of the library.
pub(crate) fn open(cx: &mut Call<'_>) {
    cx.push_table(0, 2);
    cx.get_global("mqtt");
    cx.make_method_index();
    cx.set_field(-2, "__index");
    cx.push_bytes(b"MQTTCTRL*");
    cx.set_field(-2, "__name");
    cx.set_class(CLASS);
}

fn this(cx: &mut Call<'_>) -> Result<u32, Raise> {
    let id = cx.to_object(1, CLASS);
    id.ok_or_else(|| Raise::Argument(1, format!("MQTTCTRL* expected, got {}", cx.type_name(1))))
}

/// `true`, or a table of certificates; what is wrong with it, if anything.
fn security(cx: &mut Call<'_>) -> Security {
    if cx.kind(4) != Kind::Table {
        let on = cx.kind(4) == Kind::Boolean && cx.to_boolean(4);
        return if on { Security::Any } else { Security::Plain };
    }
    let mut verify = 2;
    if cx.get_field(4, "verify") == Kind::Number {
        verify = cx.to_integer(-1).unwrap_or(2);
    }
    cx.pop(1);
    let mut text = |name: &str| {
        cx.get_field(4, name);
        let text = match cx.kind(-1) {
            Kind::String => opt_pem(cx, -1),
            _ => None,
        };
        cx.pop(1);
        text
    };
    Security::Checked(Box::new(Certificates {
        verify: verify == 2,
        authority: text("server_cert"),
        certificate: text("client_cert"),
        key: text("client_key"),
    }))
}

/// `mqtt.create(adapter, host, port, tls, options)`.
fn create(cx: &mut Call<'_>) -> Results {
    let default = cx.host().default_adapter;
    let adapter = cx.opt_integer(1, default)?;
    let host = if cx.is_integer(2) {
        String::new()
    } else {
        cx.check_text(2)?
    };
    // A URL has its own port, or its scheme's.
    let url = cx.host().config.core.is_new() && is_url(&host);
    let port = if url { 0 } else { cx.check_integer(3)? as u16 };
    let security = security(cx);
    let mut capacity = BUFFER;
    let mut patience = PATIENCE;
    if cx.kind(5) == Kind::Table {
        if cx.get_field(5, "rxSize") == Kind::Number {
            let size = cx.to_number(-1).unwrap_or(0.0);
            if size > 0.0 {
                capacity = size as usize;
            }
        }
        cx.pop(1);
        if cx.get_field(5, "conn_timeout") == Kind::Number {
            let seconds = cx.to_number(-1).unwrap_or(0.0) as u16;
            patience = Duration::from_secs(seconds.clamp(5, 120).into());
        }
        cx.pop(1);
    }
    let target = Target {
        host,
        port,
        security,
        udp: false,
        local_port: 0,
        keepalive: None,
    };
    let rt = cx.host();
    if !(0..10).contains(&adapter) {
        rt.lib_line(Level::Error, "mqtt 尚无已注册的网络适配器");
        return Ok(0);
    }
    let created = (adapter == CELLULAR).then(|| rt.mqtt_create(target.clone(), capacity, patience));
    let Some(id) = created.flatten() else {
        rt.say_no_adapter(adapter);
        rt.lib_line(Level::Warn, "mqtt network_alloc_ctrl fail");
        rt.lib_line(Level::Error, "mqtt mqtt init FAID ret -1");
        return Ok(0);
    };
    if !rt.mqtt_address(id, &target) {
        rt.lib_line(Level::Error, "mqtt 设置mqtt参数失败");
        rt.mqtt_release(id);
        return Ok(0);
    }
    let size = if cx.host().config.core.is_new() {
        NEW_SIZE
    } else {
        SIZE
    };
    cx.push_sized_object(CLASS, id, size);
    cx.push_value(-1);
    let pin = cx.make_ref();
    if let Some(client) = cx.host().mqtts.get_mut(id) {
        client.pin = Some(pin);
    }
    Ok(1)
}

/// A C string of limited length.
fn text(cx: &Call<'_>, index: i32) -> Result<Vec<u8>, Raise> {
    let mut text = if cx.is_none_or_nil(index) {
        Vec::new()
    } else {
        cx.check_bytes(index)?
    };
    text.truncate(text.iter().position(|b| *b == 0).unwrap_or(text.len()));
    text.truncate(TEXT);
    Ok(text)
}

/// `c:auth(id, user, password, clean)`.
fn auth(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let identity = Identity {
        client: text(cx, 2)?,
        user: text(cx, 3)?,
        password: text(cx, 4)?,
        clean: cx.kind(5) != Kind::Boolean || cx.to_boolean(5),
        will: None,
    };
    if let Some(client) = cx.host().mqtts.get_mut(id) {
        client.authenticate(identity);
    }
    if cx.host().config.core.is_new() {
        cx.push_boolean(true);
        return Ok(1);
    }
    Ok(0)
}

fn keepalive(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let seconds = cx.opt_integer(2, 240)?.clamp(15, 600);
    if let Some(client) = cx.host().mqtts.get_mut(id) {
        client.keepalive = seconds as u16;
    }
    Ok(0)
}

fn on(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let callback = cx.keep_function(2);
    let old = match cx.host().mqtts.get_mut(id) {
        Some(client) => std::mem::replace(&mut client.callback, callback),
        None => callback,
    };
    if let Some(old) = old {
        cx.drop_ref(old);
    }
    Ok(0)
}

fn connect(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let rt = cx.host();
    let begun = rt.mqtt_connect(id);
    if !begun {
        rt.lib_line(Level::Error, "mqtt socket connect ret=-1\n");
        rt.mqtt_close_socket(id);
    }
    cx.push_boolean(begun);
    Ok(1)
}

fn disconnect(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    cx.host().mqtt_disconnect(id);
    cx.push_boolean(true);
    Ok(1)
}

fn close(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    for held in cx.host().mqtt_close(id).into_iter().flatten() {
        cx.drop_ref(held);
    }
    Ok(0)
}

fn autoreconn(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let on = (cx.kind(2) == Kind::Boolean).then(|| cx.to_boolean(2));
    let ms = cx.opt_integer(3, 3000)?.max(1000);
    if let Some(client) = cx.host().mqtts.get_mut(id) {
        let on = on.unwrap_or(client.reconnect.is_some());
        client.reconnect = on.then(|| Duration::from_millis(ms.unsigned_abs().into()));
    }
    Ok(0)
}

/// `c:publish(topic, payload, qos, retain)`: the message id, or nothing.
fn publish(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let mut topic = cx.check_bytes(2)?;
    topic.truncate(topic.iter().position(|b| *b == 0).unwrap_or(topic.len()));
    let payload = if let Some(buffer) = zbuff::arg(cx, 3) {
        zbuff::with(cx, buffer, |b| b.slice(0, b.used()))
    } else if let Some(bytes) = cx.to_bytes(3) {
        bytes.to_vec()
    } else {
        cx.host()
            .lib_line(Level::Debug, "mqtt only support string or zbuff");
        Vec::new()
    };
    let asked = cx.opt_integer(4, 0)? as u8;
    let retain = cx.opt_integer(5, 0)? as u8 != 0;
    let qos = if asked > 2 { 0 } else { asked };
    let rt = cx.host();
    let message = if qos > 0 { rt.mqtt_next_id(id) } else { 0 };
    let bytes = packet::publish(&topic, &payload, qos, retain, message);
    if !rt.mqtt_transmit(id, &bytes) {
        return Ok(0);
    }
    if asked == 0 {
        rt.mqtt_sent(id, 0);
    }
    cx.push_integer(message.into());
    Ok(1)
}

/// Sends one SUBSCRIBE or UNSUBSCRIBE; the message id if it went out.
fn send_subscription(cx: &mut Call<'_>, id: u32, topic: &[u8], qos: Option<u8>) -> Option<u16> {
    let rt = cx.host();
    let message = rt.mqtt_next_id(id);
    let bytes = packet::subscription(topic, qos, message, rt.config.core.is_new());
    rt.mqtt_transmit(id, &bytes).then_some(message)
}

fn push_id(cx: &mut Call<'_>, message: Option<u16>) -> Results {
    match message {
        Some(message) => {
            cx.push_integer(message.into());
            Ok(1)
        }
        None => Ok(0),
    }
}

/// `c:subscribe(topic or {topic = qos}, qos)`.
fn subscribe(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    match cx.kind(2) {
        Kind::String | Kind::Number => {
            let topic = cx.check_bytes(2)?;
            let qos = cx.opt_integer(3, 0)? as u8;
            let qos = if qos > 2 { 0 } else { qos };
            let message = send_subscription(cx, id, &topic, Some(qos));
            push_id(cx, message)
        }
        Kind::Table => {
            let mut list = Vec::new();
            cx.push_nil();
            while cx.next(2) {
                // A copy: converting a number key in place would confuse `next`.
                cx.push_value(-2);
                let topic = cx.to_bytes(-1).unwrap_or_default().to_vec();
                cx.pop(1);
                if !cx.is_none_or_nil(-1) && cx.to_number(-1).is_none() {
                    let text = format!("number expected, got {}", cx.type_name(-1));
                    return Err(Raise::Argument(-1, text));
                }
                list.push((topic, cx.to_integer(-1).unwrap_or(0) as u8));
                cx.pop(1);
            }
            let mut last = Some(0);
            for (topic, qos) in list {
                let sent = send_subscription(cx, id, &topic, Some(qos));
                last = last.and(sent);
            }
            push_id(cx, last)
        }
        _ => push_id(cx, Some(0)),
    }
}

/// `c:unsubscribe(topic or {topics})`; V1112 gives nothing for a table.
fn unsubscribe(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let new = cx.host().config.core.is_new();
    match cx.kind(2) {
        Kind::String | Kind::Number => {
            let topic = cx.check_bytes(2)?;
            let message = send_subscription(cx, id, &topic, None);
            push_id(cx, message)
        }
        Kind::Table => {
            let mut last = None;
            for index in 1..=cx.raw_len(2) {
                cx.get_item(2, index as i32);
                let Some(topic) = cx.to_bytes(-1).map(<[u8]>::to_vec) else {
                    let text = format!("string expected, got {}", cx.type_name(-1));
                    return Err(Raise::Argument(-1, text));
                };
                cx.pop(1);
                last = send_subscription(cx, id, &topic, None);
            }
            push_id(cx, last.filter(|_| new))
        }
        _ => push_id(cx, new.then_some(0)),
    }
}

fn state(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let state = cx.host().mqtts.get(id).map_or(0, |client| client.state());
    cx.push_integer(state);
    Ok(1)
}

fn debug(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    set_debug(cx, Owner::Mqtt(id));
    Ok(0)
}

fn ready(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let state = cx.host().mqtts.get(id).map_or(0, |client| client.state());
    cx.push_boolean(state == 3);
    Ok(1)
}

/// `c:will(topic, payload, qos, retain)`.
fn will(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let (topic, payload) = (cx.check_bytes(2)?, cx.check_bytes(3)?);
    let qos = cx.opt_integer(4, 0)? as u8;
    let will = Will {
        topic,
        payload,
        qos: if qos > 2 { 0 } else { qos },
        retain: cx.opt_integer(5, 0)? as u8 != 0,
    };
    let kept = cx.host().mqtts.get_mut(id).is_some_and(|client| {
        client.identity.will = Some(will);
        true
    });
    cx.push_boolean(kept);
    Ok(1)
}

/// Pushes the flags of a received message. V1112 takes them from whatever
/// packet came last, and `dup` as a bare bit.
fn push_flags(cx: &mut Call<'_>, id: u32, first: u8, message: u16) {
    let new = cx.host().config.core.is_new();
    let first = if new {
        first
    } else {
        cx.host().mqtts.get(id).map_or(0, |client| client.latest())
    };
    cx.push_table(0, 4);
    let dup = if new { first >> 3 & 1 } else { first & 8 };
    for (name, value) in [("qos", first >> 1 & 3), ("retain", first & 1), ("dup", dup)] {
        cx.push_integer(value.into());
        cx.set_field(-2, name);
    }
    if new {
        cx.push_integer(message.into());
        cx.set_field(-2, "message_id");
    }
}

/// Pushes event name and arguments; how many there are, and the topic that
/// follows.
fn push_notice(cx: &mut Call<'_>, id: u32, notice: Notice) -> Option<(i32, Option<&'static str>)> {
    let new = cx.host().config.core.is_new();
    let old_topic = |topic| if new { None } else { Some(topic) };
    let name = |cx: &mut Call<'_>, name: &str| cx.push_bytes(name.as_bytes());
    Some(match notice {
        Notice::ConnAck => {
            name(cx, "conack");
            (1, old_topic("MQTT_CONNACK"))
        }
        Notice::Received(topic, payload, first, message) => {
            name(cx, "recv");
            cx.push_bytes(&topic);
            cx.push_bytes(&payload);
            push_flags(cx, id, first, message);
            (4, None)
        }
        Notice::Sent(message) => {
            name(cx, "sent");
            cx.push_integer(message.into());
            (2, None)
        }
        Notice::Disconnect => {
            let code = cx.host().mqtts.get(id).map_or(0, |client| client.error());
            name(cx, "disconnect");
            if new {
                cx.push_integer(code);
            } else {
                cx.push_number(code as f32);
            }
            (2, old_topic("MQTT_DISCONNECT"))
        }
        Notice::Close => {
            name(cx, "close");
            (1, None)
        }
        Notice::SubAck(code) => {
            name(cx, "suback");
            cx.push_boolean(code <= 2);
            cx.push_integer(code.into());
            (3, None)
        }
        Notice::UnsubAck => {
            name(cx, "unsuback");
            (1, None)
        }
        Notice::Pong => {
            name(cx, "pong");
            (1, Some("MQTT_PONG"))
        }
        Notice::Error(what, number) => {
            name(cx, "error");
            name(cx, what);
            cx.push_integer(number);
            (3, None)
        }
        Notice::Ping | Notice::Reconnect | Notice::Late => return None,
    })
}

/// The broker has not consented in time: the script hears of it, then the
/// connection ends as every other.
fn on_late(cx: &mut Call<'_>, id: u32) -> Results {
    let Some(line) = cx.host().mqtts.get(id).map(|client| client.late_line()) else {
        return Ok(0);
    };
    cx.host().lib_line(Level::Warn, &line);
    on_notice(cx, id, Notice::Error("timeout", 0))?;
    cx.host().mqtt_close_socket(id);
    Ok(0)
}

/// A client's notice reaches Lua: `fn(client, event, …)`, then a topic.
pub(crate) fn on_notice(cx: &mut Call<'_>, id: u32, notice: Notice) -> Results {
    match notice {
        Notice::Ping => {
            cx.host().mqtt_transmit(id, &packet::PINGREQ);
            return Ok(0);
        }
        Notice::Reconnect => {
            let rt = cx.host();
            let line = rt.mqtts.get(id).map(|client| client.again_line());
            if let Some(line) = line.filter(|_| rt.config.core.is_new()) {
                rt.lib_line(Level::Info, &line);
            }
            if !rt.mqtt_connect(id) {
                rt.lib_line(Level::Info, "mqtt reconnect init socket ret=-1\n");
                rt.mqtt_close_socket(id);
            }
            return Ok(0);
        }
        Notice::Late => return on_late(cx, id),
        _ => {}
    }
    let client = cx.host().mqtts.get(id);
    let Some((callback, pin)) = client.and_then(|c| Some((c.callback?, c.pin?))) else {
        return Ok(0);
    };
    cx.push_ref(callback);
    cx.push_ref(pin);
    let disconnect = notice == Notice::Disconnect;
    let code = cx.host().mqtts.get(id).map_or(0, |client| client.error());
    let Some((args, topic)) = push_notice(cx, id, notice) else {
        return Ok(0);
    };
    cx.call(args + 1, 0)?;
    if let Some(topic) = topic {
        let mut args = vec![Arg::Held(pin)];
        if disconnect {
            args.push(Arg::Float(code as f32));
        }
        dispatch::publish(cx, topic, &args)?;
    }
    Ok(0)
}
