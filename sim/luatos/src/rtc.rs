//! The real-time clock, and calendar arithmetic for it.

use airbench_clock::Instant;

use crate::config::Config;
use crate::flash::Flash;

/// What the RTC shows before anybody set it: 2000-01-01 00:00:00 UTC plus
/// uptime (unverified; the SDK library is closed).
const FACTORY: i64 = 946_684_800;

/// The RTC. It runs on through resets, and stops for nothing here.
#[derive(Debug)]
pub(crate) struct Rtc {
    epoch: i64,
    /// Seconds to add to the world's UTC.
    pub(crate) offset: i64,
    /// Time zone in quarter hours, for `os.date` only.
    pub(crate) timezone: i32,
    /// The zone the SDK keeps with its clock, in quarter hours: known from the
    /// first time the clock is set.
    pub(crate) sdk_zone: i32,
}

impl Rtc {
    pub(crate) fn new(config: &Config, flash: &Flash, boot: Instant) -> Self {
        let factory = || FACTORY - config.epoch - (boot.nanos() / 1_000_000_000) as i64;
        Self {
            epoch: config.epoch,
            offset: flash.rtc_offset.unwrap_or_else(factory),
            timezone: 32,
            sdk_zone: if config.core.is_new() { 32 } else { 0 },
        }
    }

    /// The world's UTC seconds at `now`.
    pub(crate) fn network_time(&self, now: Instant) -> i64 {
        self.epoch + (now.nanos() / 1_000_000_000) as i64
    }

    /// UTC seconds by the RTC.
    pub(crate) fn utc(&self, now: Instant) -> i64 {
        self.network_time(now) + self.offset
    }
}

/// A calendar date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    /// 0 is Sunday.
    pub(crate) weekday: i64,
    /// 0 is January 1st.
    pub(crate) yearday: i64,
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; the
/// month may lie outside 1..=12.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    // Years that begin in March put the leap day last.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// UTC seconds of a date; every field may be out of range.
pub fn to_unix(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> i64 {
    days(year, month, 1) * 86_400 + (day - 1) * 86_400 + hour * 3600 + minute * 60 + second
}

/// The date of UTC seconds.
pub(crate) fn from_unix(seconds: i64) -> Civil {
    let day_number = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400);
    let shifted = day_number + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil {
        year,
        month,
        day,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: (day_number + 4).rem_euclid(7),
        yearday: day_number - days(year, 1, 1),
    }
}

/// `YYYY-MM-DD hh:mm:ss.mmm` of milliseconds since 1970, in whatever zone they
/// were counted.
pub fn format_date_ms(ms: i64) -> String {
    let d = from_unix(ms.div_euclid(1000));
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
        d.year,
        d.month,
        d.day,
        d.hour,
        d.minute,
        d.second,
        ms.rem_euclid(1000)
    )
}

/// `Tue, 03 Sep 2024 12:12:00 GMT`, as HTTP writes dates.
pub fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let d = from_unix(seconds);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS[d.weekday.rem_euclid(7) as usize],
        d.day,
        MONTHS[(d.month - 1).rem_euclid(12) as usize],
        d.year,
        d.hour,
        d.minute,
        d.second
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_known_date() {
        let civil = from_unix(1_725_394_333);
        assert_eq!((civil.year, civil.month, civil.day), (2024, 9, 3));
        assert_eq!((civil.hour, civil.minute, civil.second), (20, 12, 13));
        assert_eq!((civil.weekday, civil.yearday), (2, 246));
    }

    proptest! {
        #[test]
        fn dates_and_seconds_agree(seconds in -60_000_000_000i64..60_000_000_000) {
            let c = from_unix(seconds);
            prop_assert_eq!(to_unix(c.year, c.month, c.day, c.hour, c.minute, c.second), seconds);
            prop_assert!((1..=12).contains(&c.month) && (1..=31).contains(&c.day));
        }
    }
}
