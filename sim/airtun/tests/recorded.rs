//! The echo semantics against recorded exchanges with the real Java server.

use airbench_airtun::echo;
use proptest::prelude::*;
use serde_json::Value;

/// Cases the sheet calls undefined: the depth of the Java stack.
const UNDEFINED: &[&str] = &["json.deep_"];

/// The payload of one masked client text frame, or `None` for other frames.
fn unmask(frame: &[u8]) -> Option<String> {
    if frame.first()? != &0x81 || frame[1] & 0x80 == 0 {
        return None;
    }
    let (len, start) = match frame[1] & 0x7f {
        126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
        127 => return None,
        n => (usize::from(n), 2),
    };
    let (mask, data) = frame[start..].split_at(4);
    let bytes = data
        .iter()
        .take(len)
        .enumerate()
        .map(|(i, b)| b ^ mask[i % 4])
        .collect();
    String::from_utf8(bytes).ok()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

#[test]
fn replies_are_the_recorded_ones() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/oracle/airtun/cases.jsonl"
    );
    let Ok(cases) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no recorded cases at {path}");
        return;
    };
    let mut compared = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        let json = ["json", "num2", "lua."]
            .iter()
            .any(|topic| name.starts_with(topic));
        let skipped = UNDEFINED.iter().any(|prefix| name.starts_with(prefix));
        let sent = case["sent"].as_array().map_or(&[][..], Vec::as_slice);
        if !json || skipped || sent.len() != 1 || case["path"] != "/ws/echo" {
            continue;
        }
        let Some(text) = sent[0]["hex"].as_str().and_then(|h| unmask(&hex(h))) else {
            continue;
        };
        let expected = case["received"][0]["text"].as_str();
        assert_eq!(echo::reply(&text).as_deref(), expected, "{name}: {text}");
        compared += 1;
    }
    assert!(compared > 150, "only {compared} cases were compared");
}

#[test]
fn the_tutorial_message_is_answered_pretty_printed() {
    assert_eq!(
        echo::reply(r#"{"action":"echo","msg":"hi","n":1}"#).unwrap(),
        "{\n   \"action\": \"echo\",\n   \"msg\": \"hi\",\n   \"n\": 1,\n   \"server\": \"airtun\"\n}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let _ = echo::reply(&text);
    }

    #[test]
    fn no_json_like_text_makes_the_reader_panic(text in "[\\[\\]{}:,\"'0-9eE.xlf/* \\\\-]{0,60}") {
        let _ = echo::reply(&format!("{{action:'echo',a:{text}}}"));
    }

    /// What the server sent comes back unchanged when sent again.
    #[test]
    fn replies_are_fixed_points(key in "[a-z]{1,8}", text in "[ -~]{0,20}", n in any::<i32>(), cents in 1u32..100_000) {
        // Larger and smaller fractions come back in exponent form, which the
        // server reads as another type.
        let f = f64::from(cents) / 100.0;
        let message = serde_json::json!({"action": "echo", key: text, "n": n, "f": f});
        if let Some(reply) = echo::reply(&message.to_string()) {
            prop_assert_eq!(echo::reply(&reply), Some(reply.clone()));
        }
    }
}
