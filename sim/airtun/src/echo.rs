//! What `/ws/echo` answers.

use crate::nutz::{self, Value};

/// The reply to a text message on `/ws/echo`, or `None`: the real server
/// answers `{"action":"echo",…}` with the same object and a member `server`,
/// and everything else with silence.
pub fn reply(text: &str) -> Option<String> {
    let mut map = nutz::parse(text).ok()??;
    let action = match map.get("action")? {
        Value::List(list) => list.first()?,
        other => other,
    };
    if *action != Value::Text("echo".to_owned()) {
        return None;
    }
    map.put("server".to_owned(), Value::Text("airtun".to_owned()));
    Some(nutz::render(&map))
}
