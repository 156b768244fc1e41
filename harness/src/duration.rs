//! Spans of time as people write them.

use std::time::Duration;

/// Reads `90s`, `24h`, `1h30m`, `500ms`, `2 seconds`. The message says what is
/// understood.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(complaint(text));
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| complaint(text))?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "us" => 1e-6,
            "ms" | "millisecond" | "milliseconds" => 1e-3,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return Err(complaint(text)),
        };
        rest = rest[letters..].trim_start();
        total += Duration::try_from_secs_f64(number * seconds).map_err(|_| complaint(text))?;
    }
    if total > Duration::from_secs(100 * 366 * 86_400) {
        return Err(format!("{text:?} is more than a hundred years"));
    }
    Ok(total)
}

fn complaint(text: &str) -> String {
    format!("{text:?} is no span of time; write for example 500ms, 90s, 15m, 1h30m or 24h")
}

/// A span for people: `1.5 s`, `24 h`, `320 ms`.
pub fn show(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.3} s", seconds)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("24h", 86_400_000),
            ("2 seconds", 2_000),
            ("1.5 s", 1_500),
            ("1 min 5 s", 65_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "h", "12", "5 parsecs", "-1s", "1e9h", "99999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
