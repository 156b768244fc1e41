//! Times as logs write them.

use airbench_clock::Instant;
use jiff::civil::{Date, Time};

/// Reads `2026-01-31 12:00:00.123`, `2026/01/31 12:00:00.000123` or with a `T`; the
/// time as if it were UTC, and what follows it.
pub(crate) fn date_time(text: &str) -> Option<(Instant, &str)> {
    let (year, rest) = number(text, 4)?;
    let rest = rest.strip_prefix(['-', '/'])?;
    let (month, rest) = number(rest, 2)?;
    let rest = rest.strip_prefix(['-', '/'])?;
    let (day, rest) = number(rest, 2)?;
    let rest = rest.strip_prefix([' ', 'T'])?;
    let (nanos, rest) = time(rest)?;
    let date = Date::new(year as i16, month as i8, day as i8).ok()?;
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_secs() / 86_400;
    let days = u64::try_from(days).ok()?;
    Some((
        Instant::from_nanos(days * 86_400 * 1_000_000_000 + nanos),
        rest,
    ))
}

/// `12:00:00.123456`, in nanoseconds of the day.
fn time(text: &str) -> Option<(u64, &str)> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, mut rest) = number(rest.strip_prefix(':')?, 2)?;
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let mut digits = fraction[..len.min(9)].to_owned();
        while digits.len() < 9 {
            digits.push('0');
        }
        nanos = digits.parse().ok()?;
        rest = &fraction[len..];
    }
    // A leap second counts as the one before.
    let time = Time::new(hour as i8, minute as i8, second.min(59) as i8, nanos).ok()?;
    let of_day = time.duration_since(Time::midnight()).as_nanos();
    Some((u64::try_from(of_day).ok()?, rest))
}

fn number(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (head, rest) = text.split_at_checked(digits)?;
    let plain = head.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| head.parse().ok().map(|value| (value, rest)))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stamps_of_several_tools() {
        let read = |text| date_time(text).map(|(at, rest)| (at.nanos(), rest));
        let noon = 1_767_268_800_000_000_000;
        assert_eq!(
            read("2026-01-01 12:00:00.5] x"),
            Some((noon + 500_000_000, "] x"))
        );
        assert_eq!(
            read("2026/01/01 12:00:00.000001 y"),
            Some((noon + 1000, " y"))
        );
        assert_eq!(read("2026-01-01T12:00:00"), Some((noon, "")));
        assert_eq!(read("2026-13-01 12:00:00"), None);
        assert_eq!(read("2026-01-01 1é:00:00"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = date_time(&text);
        }
    }
}
