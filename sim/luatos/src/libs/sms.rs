//! `sms`: short messages.

use airbench_lua32::{Kind, Ref};
use airbench_trace::{Kind as EventKind, Source};

use crate::args::{Args, Call, Results};
use crate::dispatch;
use crate::libs::Library;
use crate::message::{Arg, Message};
use crate::rtc::from_unix;
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "sms",
    functions: &[
        ("send", send),
        ("setNewSmsCb", set_callback),
        ("autoLong", auto_long),
        ("clearLong", clear_long),
    ],
    constants: &[],
};

/// Longest text in bytes.
const TEXT: usize = 140;
/// Parts of long messages that are kept.
const PARTS: usize = 128;

/// A message, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sms {
    /// Sender.
    pub phone: String,
    /// Text.
    pub text: String,
    /// Reference, number and count of parts; zeros for a single message.
    pub part: (i32, i32, i32),
}

/// The library's state.
#[derive(Debug)]
pub(crate) struct Messages {
    callback: Option<Ref>,
    merge: bool,
    parts: Vec<Sms>,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            callback: None,
            merge: true,
            parts: Vec::new(),
        }
    }
}

impl Runtime {
    /// A message arrives from the network.
    pub fn receive_sms(&mut self, sms: Sms) {
        if self.mobile.is_registered() {
            self.bus.push_back(Message::Sms(sms));
        }
    }
}

/// `sms.send(phone, text, auto)`: whether the modem took it.
fn send(cx: &mut Call<'_>) -> Results {
    let mut phone = cx.check_text(1)?;
    let text = cx.check_text(2)?;
    let auto = cx.kind(3) != Kind::Boolean || cx.to_boolean(3);
    let rt = cx.host();
    if text.is_empty() {
        rt.lib_line(Level::Info, "sms sms is emtry");
        return Ok(0);
    }
    if text.len() > TEXT {
        let line = format!("sms sms is too long {}", text.len());
        rt.lib_line(Level::Info, &line);
        return Ok(0);
    }
    let mut pdu_mode = !text.is_ascii();
    if pdu_mode {
        rt.lib_line(Level::Debug, "sms found non-ASCII char, using PDU mode");
    }
    if !(3..=29).contains(&phone.len()) {
        let line = format!("sms phone is too short or too long!! {}", phone.len());
        rt.lib_line(Level::Info, &line);
        return Ok(0);
    }
    let gateway = phone.len() >= 15 && phone.starts_with("10");
    if gateway {
        rt.lib_line(Level::Info, "sms sms gateway mode");
        pdu_mode = true;
    } else if auto {
        phone = national(&phone, pdu_mode);
    }
    rt.lib_line(Level::Debug, &format!("sms phone [{phone}]"));
    let mut code = 0;
    if pdu_mode {
        let pdu = encode(&phone, &text, gateway);
        rt.lib_line(Level::Debug, &format!("sms PDU {pdu}"));
        if !phone.bytes().all(|c| c.is_ascii_hexdigit()) {
            code = -2;
        }
    }
    rt.lib_line(Level::Debug, &format!("sms sms ret {code}"));
    if code == 0 {
        rt.record(
            Source::Modem,
            EventKind::State,
            format!("sms to {phone}: {text}"),
        );
    }
    cx.push_boolean(code == 0);
    Ok(1)
}

/// The number as the firmware corrects it.
fn national(phone: &str, pdu_mode: bool) -> String {
    let cut = |from: usize| phone.get(from..).unwrap_or_default().to_owned();
    let bytes = phone.as_bytes();
    if pdu_mode {
        if bytes[0] == b'+' {
            cut(1)
        } else if bytes[0] != b'8' && bytes[1] != b'6' {
            format!("86{phone}")
        } else {
            phone.to_owned()
        }
    } else if bytes[0] == b'+' {
        cut(3)
    } else if phone.starts_with("86") {
        cut(2)
    } else {
        phone.to_owned()
    }
}

/// A SUBMIT PDU in UCS-2, as hexadecimal text.
fn encode(phone: &str, text: &str, gateway: bool) -> String {
    let kind = if gateway { "81" } else { "91" };
    let mut pdu = format!("000100{:02X}{kind}", phone.len());
    for pair in phone.as_bytes().chunks(2) {
        pdu.push(pair.get(1).map_or('F', |c| char::from(*c)));
        pdu.push(char::from(pair[0]));
    }
    let body: String = text
        .encode_utf16()
        .map(|unit| format!("{unit:04X}"))
        .collect();
    pdu.push_str(&format!("0008{:02X}{body}", body.len() / 2));
    pdu
}

fn set_callback(cx: &mut Call<'_>) -> Results {
    let callback = cx.keep_function(1);
    if let Some(old) = std::mem::replace(&mut cx.host().sms.callback, callback) {
        cx.drop_ref(old);
    }
    Ok(0)
}

/// A boolean sets; so does any integer, always to true.
fn auto_long(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::Boolean {
        cx.host().sms.merge = cx.to_boolean(1);
    } else if cx.is_integer(1) {
        cx.host().sms.merge = true;
    }
    let merge = cx.host().sms.merge;
    cx.push_boolean(merge);
    Ok(1)
}

fn clear_long(cx: &mut Call<'_>) -> Results {
    let dropped = std::mem::take(&mut cx.host().sms.parts).len();
    cx.push_integer(dropped as i32);
    Ok(1)
}

/// Keeps a part; the whole message once its parts add up. The firmware adds the
/// part numbers: one that came twice spoils the sum.
fn merge(rt: &mut Runtime, sms: Sms) -> Option<Sms> {
    let (reference, number, count) = sms.part;
    if rt.sms.parts.len() >= PARTS {
        rt.lib_line(Level::Error, "sms too many long-sms!!");
        return None;
    }
    rt.sms.parts.push(sms.clone());
    let own = |part: &&Sms| part.part.0 == reference;
    let sum: i32 = rt.sms.parts.iter().filter(own).map(|p| p.part.1).sum();
    if sum != count * (count + 1) / 2 {
        let line = format!("sms long-sms, wait more frags {number}/{count}");
        rt.lib_line(Level::Info, &line);
        return None;
    }
    rt.lib_line(Level::Info, "sms long-sms is ok");
    let mut parts: Vec<Sms> = rt.sms.parts.iter().filter(own).cloned().collect();
    parts.sort_by_key(|part| part.part.1);
    rt.sms.parts.retain(|part| part.part.0 != reference);
    Some(Sms {
        text: parts.into_iter().map(|part| part.text).collect(),
        ..sms
    })
}

/// A message reaches Lua: a topic is queued, the callback runs at once.
pub(crate) fn on_message(cx: &mut Call<'_>, sms: Sms) -> Results {
    let rt = cx.host();
    let coding = if sms.text.is_ascii() { 0 } else { 2 };
    rt.lib_line(Level::Debug, &format!("sms dcs {coding} | 0 | 0 | 0"));
    let sms = if sms.part.2 > 0 && rt.sms.merge {
        match merge(rt, sms) {
            Some(whole) => whole,
            None => return Ok(0),
        }
    } else {
        sms
    };
    let date = from_unix(cx.host().unix_time() + 8 * 3600);
    cx.push_table(0, 0);
    let (reference, number, count) = sms.part;
    for (name, value) in [
        ("refNum", reference),
        ("seqNum", number),
        ("maxNum", count),
        ("year", (date.year % 100) as i32),
        ("mon", date.month as i32),
        ("day", date.day as i32),
        ("hour", date.hour as i32),
        ("min", date.minute as i32),
        ("sec", date.second as i32),
        ("tz", 32),
    ] {
        cx.push_integer(value);
        cx.set_field(-2, name);
    }
    let metas = cx.make_ref();
    let args = [
        Arg::Text(sms.phone.clone()),
        Arg::Text(sms.text.clone()),
        Arg::Held(metas),
    ];
    dispatch::publish(cx, "SMS_INC", &args)?;
    if let Some(callback) = cx.host().sms.callback {
        cx.push_ref(callback);
        cx.push_bytes(sms.phone.as_bytes());
        cx.push_bytes(sms.text.as_bytes());
        cx.push_ref(metas);
        cx.call(3, 0)?;
    }
    cx.drop_ref(metas);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_pdu_comes_out() {
        let expected = "0001000D91683114161232F40008064F60597D0041";
        assert_eq!(encode("8613416121234", "你好A", false), expected);
    }
}
