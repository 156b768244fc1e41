//! Libraries whose hardware has no model: their calls are accepted, logged as
//! events, and called not modelled once each.

use airbench_trace::{Kind, Source};

use crate::args::{Args, Call, Results};

/// How a library answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// As if the hardware were there: graphics, sound.
    True,
    /// As if it were not there: storage, other networks, sensors.
    False,
}

const LIBRARIES: &[(&str, Answer)] = &[
    ("lcd", Answer::True),
    ("u8g2", Answer::True),
    ("eink", Answer::True),
    ("fonts", Answer::True),
    ("audio", Answer::True),
    ("codec", Answer::True),
    ("i2s", Answer::True),
    ("lora", Answer::True),
    ("ir", Answer::True),
    ("w5500", Answer::False),
    ("sensor", Answer::False),
    ("sfud", Answer::False),
    ("fatfs", Answer::False),
];

/// Calls of this library are accepted.
pub(crate) fn is_accepted(library: &str) -> bool {
    LIBRARIES.iter().any(|(name, _)| *name == library)
}

/// Stands for a function of such a library.
pub(crate) fn call(cx: &mut Call<'_>) -> Results {
    cx.push_own_value();
    let name = cx.check_text(-1)?;
    cx.pop(1);
    let library = name.split('.').next().unwrap_or_default();
    let answer = LIBRARIES.iter().find(|(known, _)| *known == library);
    let rt = cx.host();
    let calls = rt.unmodelled.entry(name.clone()).or_default();
    *calls += 1;
    if *calls == 1 {
        rt.record(Source::Board, Kind::NotModelled, name.as_bytes());
        let line = format!("W/{library} not modelled: {name} is accepted and does nothing");
        rt.line(line);
    } else {
        rt.record(Source::Board, Kind::State, format!("accepted {name}"));
    }
    push_values(
        cx,
        &name,
        answer.is_none_or(|(_, answer)| *answer == Answer::True),
    )
}

/// What scripts go on to compute with where a lone boolean would not do: the
/// values the firmware gives without the hardware.
fn push_values(cx: &mut Call<'_>, name: &str, answer: bool) -> Results {
    match name {
        "sensor.dht1x" => {
            cx.push_integer(0);
            cx.push_integer(0);
            cx.push_boolean(false);
            return Ok(3);
        }
        "sensor.ds18b20" => {
            cx.push_integer(0);
            cx.push_boolean(false);
            return Ok(2);
        }
        "lcd.getSize" => {
            cx.push_integer(0);
            cx.push_integer(0);
            return Ok(2);
        }
        "u8g2.GetDisplayWidth" | "u8g2.GetDisplayHeight" | "u8g2.begin" => cx.push_integer(0),
        "fonts.list" => cx.push_table(0, 0),
        _ => cx.push_boolean(answer),
    }
    Ok(1)
}
