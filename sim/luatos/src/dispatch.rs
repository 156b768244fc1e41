//! From messages of the bus to Lua: callbacks, `sys.publish`, timers.

use airbench_lua32::Kind;

use crate::args::{Call, Results};
use crate::libs::{
    errdump, ftp, gpio, http, libgnss, mobile, mqtt, repl, rtos, sms, socket, soft_uart, uart,
    websocket,
};
use crate::message::{Arg, Message};

/// Handles one message inside `rtos.receive`.
pub(crate) fn handle(cx: &mut Call<'_>, message: Message) -> Results {
    match message {
        Message::Timer(key) => match cx.host().timers.handle(key) {
            Some((id, repeat)) => rtos::push_timer(cx, id, repeat),
            None => Ok(0),
        },
        Message::UartReceive(id, len) => uart::on_receive(cx, id, len),
        Message::UartSent(id) => uart::on_sent(cx, id),
        Message::SoftUartReceive(end) => soft_uart::on_receive(cx, end),
        Message::SoftUartSent => soft_uart::on_sent(cx),
        Message::Gpio(pin, level, stable) => gpio::on_interrupt(cx, pin, level, stable),
        Message::Pulse(pin, us) => gpio::on_pulse(cx, pin, us),
        Message::Sms(sms) => sms::on_message(cx, sms),
        Message::Repl(line) => repl::on_line(cx, &line),
        Message::Topic(topic, args) => {
            publish(cx, &topic, &args)?;
            Ok(0)
        }
        Message::WebSocket(id, notice) => websocket::on_notice(cx, id, notice),
        Message::WebSocketTimer(id, timer) => websocket::on_timer(cx, id, timer),
        Message::Socket(id, code, parameter) => socket::on_event(cx, id, code, parameter),
        Message::Mqtt(id, notice) => mqtt::on_notice(cx, id, notice),
        Message::Gnss(callback, bytes) => libgnss::on_callback(cx, callback, &bytes),
        Message::Http(id, notice) => http::on_notice(cx, id, notice),
        Message::Modem(event, address) => mobile::on_modem(cx, event, address),
        Message::ErrDump(work) => errdump::on_work(cx, work),
        Message::Ftp(outcome) => ftp::on_outcome(cx, outcome),
        Message::Publish(topic, args) => {
            publish(cx, topic, &args)?;
            Ok(0)
        }
    }
}

/// Calls the global `sys_pub`, if `sys` was loaded.
pub(crate) fn publish(cx: &mut Call<'_>, topic: &str, args: &[Arg]) -> Results {
    if cx.get_global("sys_pub") != Kind::Function {
        cx.pop(1);
        return Ok(0);
    }
    cx.push_bytes(topic.as_bytes());
    for arg in args {
        match arg {
            Arg::Integer(n) => cx.push_integer(*n),
            Arg::Text(text) => cx.push_bytes(text.as_bytes()),
            Arg::Boolean(b) => cx.push_boolean(*b),
            Arg::Float(x) => cx.push_number(*x),
            Arg::Held(held) => cx.push_ref(*held),
            Arg::WebSocket(id) => websocket::push(cx, *id),
        }
    }
    cx.call(1 + i32::try_from(args.len()).unwrap_or(0), 0)?;
    Ok(0)
}
