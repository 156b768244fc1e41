//! The writer: `JsonFormat.full()` (facts sheet section 3).

use std::fmt::Write;

use super::{Map, Value};

/// The text of an object: three spaces per level, one pair per line, lists
/// inline.
pub fn render(map: &Map) -> String {
    let mut out = String::with_capacity(128);
    object(&mut out, map, 0);
    out
}

fn line(out: &mut String, level: usize) {
    out.push('\n');
    for _ in 0..level {
        out.push_str("   ");
    }
}

fn object(out: &mut String, map: &Map, level: usize) {
    out.push('{');
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        line(out, level + 1);
        string(out, key);
        out.push_str(": ");
        self::value(out, value, level + 1);
    }
    line(out, level);
    out.push('}');
}

fn value(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(text) => out.push_str(text),
        Value::Text(text) => string(out, text),
        Value::Map(map) => object(out, map, level),
        Value::List(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                self::value(out, item, level);
            }
            out.push(']');
        }
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' | '\u{B}' => out.push_str("\\t"),
            '\u{C}' => out.push_str("\\f"),
            '\u{8}' => out.push_str("\\b"),
            c if c < ' '
                || ('\u{80}'..='\u{9F}').contains(&c)
                || ('\u{2000}'..='\u{20FF}').contains(&c) =>
            {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
