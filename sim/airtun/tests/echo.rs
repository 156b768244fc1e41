//! The echo semantics as a function; recorded exchanges are in `exchanges.rs`.

use airbench_airtun::echo;
use proptest::prelude::*;

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
