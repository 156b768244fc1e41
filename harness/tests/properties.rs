//! Properties of what scripts compute with: JSON, packed numbers, buffers, and
//! numbers as text, against independent readers and models.

mod support;

use std::fmt::Write;

use airbench_luatos::Core;
use proptest::prelude::*;
use serde_json::Value;
use support::run;

/// What the script printed behind `> `.
fn answers(code: &str) -> Vec<String> {
    // It must not end: the device would boot and answer again.
    let code = format!("{code}\nwhile true do rtos.receive(-1) end");
    let lines = run(Core::V1112, &code);
    let answers = lines.iter().filter_map(|line| line.strip_prefix("> "));
    answers.map(str::to_owned).collect()
}

/// Bytes as a Lua string.
fn quoted(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
    format!("\"{digits}\"")
}

/// A value as a Lua expression.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "json.null".to_owned(),
        Value::String(text) => quoted(text.as_bytes()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(lua).collect();
            format!("{{{}}}", items.join(","))
        }
        Value::Object(members) => {
            let pair = |(key, value): (&String, &Value)| {
                format!("[{}]={}", quoted(key.as_bytes()), lua(value))
            };
            let members: Vec<String> = members.iter().map(pair).collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// Values that survive: no empty tables (an array or an object?), no floats
/// (seven digits), no objects whose keys look like numbers.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[^\\x00]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z/\"\\\\]{1,6}", inner, 1..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Another reader reads what `json.encode` writes, and `json.decode` reads
    /// what another writer wrote.
    #[test]
    fn json_agrees_with_another_reader_and_writer(value in values()) {
        let code = format!(
            "print('> ' .. json.encode({})) print('> ' .. json.encode((json.decode({}))))",
            lua(&value),
            quoted(value.to_string().as_bytes()),
        );
        // `print` cuts long lines.
        prop_assume!(value.to_string().len() < 100);
        for text in answers(&code) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value.clone());
        }
    }

    /// What is packed is unpacked, and has the bytes Rust gives it.
    #[test]
    fn packed_numbers_come_back(
        items in prop::collection::vec((0usize..6, any::<i32>()), 1..8),
        big: bool,
    ) {
        let mut format = String::from(if big { ">" } else { "<" });
        let (mut arguments, mut expected, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for (code, number) in items {
            let (letter, width, value) = [
                ('c', 1, i64::from(number as i8)),
                ('b', 1, i64::from(number as u8)),
                ('h', 2, i64::from(number as i16)),
                ('H', 2, i64::from(number as u16)),
                ('i', 4, i64::from(number)),
                ('I', 4, i64::from(number)),
            ][code];
            format.push(letter);
            arguments.push(number.to_string());
            expected.push(value.to_string());
            let mut part = number.to_le_bytes()[..width].to_vec();
            if big {
                part.reverse();
            }
            bytes.extend(part);
        }
        let code = format!(
            "local s = pack.pack('{format}', {}) print('> ' .. s:toHex()) print('> ' .. table.concat({{select(2, pack.unpack(s, '{format}'))}}, ' '))",
            arguments.join(", ")
        );
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        prop_assert_eq!(answers(&code), [hex, expected.join(" ")]);
    }

    /// A buffer does what a vector with a cursor does.
    #[test]
    fn a_buffer_is_a_vector_with_a_cursor(
        length in 1usize..24,
        steps in prop::collection::vec((0u8..6, 0usize..30, prop::collection::vec(any::<u8>(), 0..9)), 1..14),
    ) {
        let mut model = (vec![0u8; length], 0usize);
        let mut code = format!("local b = zbuff.create({length})\n");
        let mut expected = Vec::new();
        for (step, at, bytes) in steps {
            let (data, cursor) = &mut model;
            match step {
                0 => {
                    let taken = bytes.len().min(data.len() - *cursor);
                    data[*cursor..*cursor + taken].copy_from_slice(&bytes[..taken]);
                    *cursor += taken;
                    let _ = writeln!(code, "b:write({})", quoted(&bytes));
                }
                1 => {
                    *cursor = at.min(data.len());
                    let _ = writeln!(code, "b:seek({at})");
                }
                2 => {
                    *cursor += at.min(data.len() - *cursor);
                    let _ = writeln!(code, "b:read({at})");
                }
                3 => {
                    let end = at + bytes.len();
                    if end > data.len() {
                        data.resize(data.len() + end, 0);
                    }
                    data[at..end].copy_from_slice(&bytes);
                    *cursor = (*cursor).max(end);
                    let _ = writeln!(code, "b:copy({at}, {})", quoted(&bytes));
                }
                4 => {
                    data.resize(at + 1, 0);
                    *cursor = (*cursor).min(at + 1);
                    let _ = writeln!(code, "b:resize({})", at + 1);
                }
                _ => {
                    let start = at.min(data.len());
                    data[start..].fill(0x5A);
                    let _ = writeln!(code, "b:set({start}, 0x5A)");
                }
            }
            let hex: String = data.iter().map(|byte| format!("{byte:02X}")).collect();
            expected.push(format!("{cursor} {hex}"));
            code.push_str("print('> ' .. b:used() .. ' ' .. b:toStr():toHex())\n");
        }
        prop_assert_eq!(answers(&code), expected);
    }

    /// Integers print as they are, floats with seven digits, of which the
    /// firmware's printf gets the last one or two wrong.
    #[test]
    fn numbers_print_as_what_they_are(integer: i32, mantissa in 1.0f32..10.0, exponent in -4i32..9) {
        let float = mantissa * 10f32.powi(exponent);
        let code = format!("print('> ' .. {integer}) print('> ' .. {float:e})");
        let answers = answers(&code);
        prop_assert_eq!(&answers[0], &integer.to_string());
        let printed: f64 = answers[1].parse().unwrap();
        let error = (printed - f64::from(float)).abs() / f64::from(float);
        prop_assert!(error < 1e-5, "{} for {}", answers[1], float);
    }
}
