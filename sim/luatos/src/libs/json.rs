//! `json`: lua-cjson with the firmware's changes.

use crate::args::{Args, Call, Results};
use crate::libs::{Constant, Library, json_decode, json_encode};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "json",
    functions: &[("encode", encode), ("decode", decode)],
    constants: &[("null", Constant::Null)],
};

/// Nesting allowed both ways.
pub(crate) const DEPTH: usize = 1000;

/// Text on success, `nil, message` on failure.
fn encode(cx: &mut Call<'_>) -> Results {
    if cx.top() == 0 {
        cx.push_nil();
        cx.push_bytes(b"Cannot serialise function: type not supported");
        return Ok(2);
    }
    let format = cx
        .to_bytes(2)
        .map(|text| String::from_utf8_lossy(text).into_owned());
    match json_encode::encode(cx, 1, format.as_deref()) {
        Ok(text) => {
            cx.push_bytes(&text);
            Ok(1)
        }
        Err(message) if message == json_encode::OUT_OF_MEMORY => {
            cx.host()
                .lib_line(Level::Error, "json json encode failed by memory less");
            cx.push_nil();
            Ok(1)
        }
        Err(message) => {
            cx.push_nil();
            cx.push_bytes(message.as_bytes());
            Ok(2)
        }
    }
}

/// `value, 1` on success, `nil, false, message` on failure.
fn decode(cx: &mut Call<'_>) -> Results {
    let result = if cx.top() == 1 {
        match cx.check_bytes(1) {
            Ok(text) => json_decode::decode(cx, &text),
            Err(_) => Err(format!(
                "bad argument #1 to '?' (string expected, got {})",
                cx.type_name(1)
            )),
        }
    } else {
        Err("bad argument #1 to '?' (expected 1 argument)".to_owned())
    };
    match result {
        Ok(()) => {
            cx.push_integer(1);
            Ok(2)
        }
        Err(message) => {
            cx.push_nil();
            cx.push_boolean(false);
            cx.push_bytes(message.as_bytes());
            Ok(3)
        }
    }
}
