//! NMEA 0183 sentences, field by field as the firmware's parser (minmea) takes
//! them: whatever stands before a mistake is kept.

/// A decimal number as it is kept: digits and a power of ten. Scale 0 and value
/// 0 stand for an empty field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fraction {
    pub(super) value: i32,
    pub(super) scale: i32,
}

impl Fraction {
    /// The number itself; 0 for an empty field.
    pub(super) fn number(self) -> f32 {
        if self.scale == 0 {
            return 0.0;
        }
        self.value as f32 / self.scale as f32
    }

    /// Whole degrees and the rest in scaled minutes, of DDMM.MMMM.
    fn split(self) -> Option<(i32, i32)> {
        if self.scale == 0 || self.scale > i32::MAX / 100 {
            return None;
        }
        let hundred = self.scale * 100;
        Some((self.value / hundred, self.value % hundred))
    }

    /// Degrees.
    pub(super) fn degrees(self) -> f32 {
        self.split().map_or(0.0, |(degrees, minutes)| {
            degrees as f32 + minutes as f32 / (60.0 * self.scale as f32)
        })
    }

    /// Degrees in steps of 1e-7. The chip's conversion to an unsigned number
    /// loses a negative fraction.
    pub(super) fn steps(self, signed: bool) -> i32 {
        self.split().map_or(0, |(degrees, minutes)| {
            let part = minutes as f32 / self.scale as f32 / 60.0 * 10_000_000.0;
            let part = if part < 0.0 && !signed { 0.0 } else { part };
            degrees.wrapping_mul(10_000_000).wrapping_add(part as i32)
        })
    }

    fn times(self, sign: i32) -> Self {
        Self {
            value: self.value * sign,
            ..self
        }
    }
}

/// Hour, minute, second, microsecond; -1 where the field is empty.
pub(super) type Time = [i32; 4];
/// Day, month, year of the century; -1 where the field is empty.
pub(super) type Date = [i32; 3];

/// A sentence's fields, taken one after the other.
pub(super) struct Fields<'a>(std::str::Split<'a, char>);

impl<'a> Fields<'a> {
    /// The fields after the address.
    pub(super) fn of(line: &'a str) -> Self {
        let end = line.find('*').unwrap_or(line.len());
        let mut parts = line[..end].trim_end_matches(['\r', '\n']).split(',');
        parts.next();
        Self(parts)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    pub(super) fn fraction(&mut self) -> Option<Fraction> {
        let text = self.text()?.trim_start_matches(' ');
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.is_empty() {
            return text.is_empty().then(Fraction::default);
        }
        let (mut value, mut scale) = (0i32, 0i32);
        for c in digits.chars() {
            match c.to_digit(10) {
                Some(digit) => {
                    let next = value
                        .checked_mul(10)
                        .and_then(|v| v.checked_add(digit.cast_signed()));
                    match next {
                        // Decimals beyond 32 bits are cut.
                        None if scale > 0 => break,
                        None => return None,
                        Some(next) => value = next,
                    }
                    scale = scale.saturating_mul(10);
                }
                None if c == '.' && scale == 0 => scale = 1,
                None => return None,
            }
        }
        Some(Fraction {
            value: if negative { -value } else { value },
            scale: scale.max(1),
        })
    }

    /// +1 for N and E, -1 for S and W, 0 for an empty field.
    pub(super) fn direction(&mut self) -> Option<i32> {
        match self.text()? {
            "" => Some(0),
            "N" | "E" => Some(1),
            "S" | "W" => Some(-1),
            _ => None,
        }
    }

    pub(super) fn integer(&mut self) -> Option<i32> {
        match self.text()? {
            "" => Some(0),
            text => text.trim_start().parse().ok(),
        }
    }

    pub(super) fn character(&mut self) -> Option<u8> {
        Some(self.text()?.bytes().next().unwrap_or(0))
    }

    pub(super) fn time(&mut self) -> Option<Time> {
        let text = self.text()?;
        if text.is_empty() {
            return Some([-1; 4]);
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let [hour, minute, second] = pairs(whole)?;
        let mut us = 0;
        for place in 0..6 {
            let digit = part
                .as_bytes()
                .get(place)
                .map_or(0, |c| c.wrapping_sub(b'0'));
            us = us * 10 + i32::from(digit.min(9));
        }
        Some([hour, minute, second, us])
    }

    pub(super) fn date(&mut self) -> Option<Date> {
        match self.text()? {
            "" => Some([-1; 3]),
            text => pairs(text),
        }
    }
}

/// Three numbers of two digits.
fn pairs(text: &str) -> Option<[i32; 3]> {
    if text.len() < 6 || !text.bytes().take(6).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let pair = |at: usize| text[at..at + 2].parse().unwrap_or(0);
    Some([pair(0), pair(2), pair(4)])
}

/// The kind of a sentence that is taken in: the last three letters of its
/// address.
pub(super) fn kind(line: &str) -> Option<&str> {
    let body = line.strip_prefix('$')?;
    let (address, _) = body.split_once(',').unwrap_or((body, ""));
    if let Some((text, sum)) = body.split_once('*') {
        let stated = u8::from_str_radix(sum.get(..2)?, 16).ok()?;
        let end = sum[2..].trim_end_matches(['\r', '\n']);
        let real = text.bytes().fold(0, |sum, byte| sum ^ byte);
        if stated != real || !end.is_empty() {
            return None;
        }
    }
    let kind = address.get(2..5)?;
    let known = [
        "GBS", "GGA", "GLL", "GSA", "GST", "GSV", "RMC", "VTG", "ZDA", "TXT",
    ];
    known.contains(&kind).then_some(kind)
}

/// Recommended minimum: position, speed, course, date.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rmc {
    pub(super) time: Time,
    pub(super) valid: bool,
    pub(super) lat: Fraction,
    pub(super) lng: Fraction,
    pub(super) speed: Fraction,
    pub(super) course: Fraction,
    pub(super) date: Date,
    pub(super) variation: Fraction,
}

pub(super) fn rmc(line: &str) -> Option<Rmc> {
    let mut fields = Fields::of(line);
    let time = fields.time()?;
    let valid = fields.character()? == b'A';
    let (lat, north) = (fields.fraction()?, fields.direction()?);
    let (lng, east) = (fields.fraction()?, fields.direction()?);
    let (speed, course) = (fields.fraction()?, fields.fraction()?);
    let date = fields.date()?;
    let (variation, side) = (fields.fraction()?, fields.direction()?);
    Some(Rmc {
        time,
        valid,
        lat: lat.times(north),
        lng: lng.times(east),
        speed,
        course,
        date,
        variation: variation.times(side),
    })
}

/// Fix data. A mistake leaves the coordinates without their signs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Gga {
    pub(super) lat: Fraction,
    pub(super) lng: Fraction,
    pub(super) quality: i32,
    pub(super) satellites: i32,
    pub(super) hdop: Fraction,
    pub(super) altitude: Fraction,
    pub(super) height: Fraction,
    pub(super) age: Fraction,
}

pub(super) fn gga(line: &str) -> Gga {
    let mut frame = Gga::default();
    let mut signs = (1, 1);
    if fill_gga(&mut frame, &mut signs, Fields::of(line)).is_some() {
        frame.lat = frame.lat.times(signs.0);
        frame.lng = frame.lng.times(signs.1);
    }
    frame
}

fn fill_gga(frame: &mut Gga, signs: &mut (i32, i32), mut fields: Fields<'_>) -> Option<()> {
    fields.time()?;
    frame.lat = fields.fraction()?;
    signs.0 = fields.direction()?;
    frame.lng = fields.fraction()?;
    signs.1 = fields.direction()?;
    frame.quality = fields.integer()?;
    frame.satellites = fields.integer()?;
    frame.hdop = fields.fraction()?;
    frame.altitude = fields.fraction()?;
    fields.character()?;
    frame.height = fields.fraction()?;
    fields.character()?;
    frame.age = fields.fraction()?;
    fields.text().map(drop)
}

/// Geographic position.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Gll {
    pub(super) lat: Fraction,
    pub(super) lng: Fraction,
    pub(super) time: Time,
    pub(super) status: u8,
    pub(super) mode: u8,
}

pub(super) fn gll(line: &str) -> Gll {
    let mut frame = Gll::default();
    let mut fields = Fields::of(line);
    let mut fill = || {
        let (lat, north) = (fields.fraction()?, fields.direction()?);
        let (lng, east) = (fields.fraction()?, fields.direction()?);
        frame.lat = lat.times(north);
        frame.lng = lng.times(east);
        frame.time = fields.time()?;
        frame.status = fields.character()?;
        frame.mode = fields.character().unwrap_or(0);
        Some(())
    };
    // What a mistake leaves stays.
    let _ = fill();
    frame
}

/// Course and speed: true, magnetic, knots, km/h; all 0 with a wrong unit.
pub(super) fn vtg(line: &str) -> [Fraction; 4] {
    let mut fields = Fields::of(line);
    let mut values = [Fraction::default(); 4];
    for (value, unit) in values.iter_mut().zip([b'T', b'M', b'N', b'K']) {
        let Some(number) = fields.fraction() else {
            return [Fraction::default(); 4];
        };
        match fields.character() {
            Some(given) if given == unit || given == 0 => *value = number,
            None => *value = number,
            Some(_) => return [Fraction::default(); 4],
        }
    }
    values
}

/// Satellites in use.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Gsa {
    pub(super) fix: i32,
    pub(super) satellites: [i32; 12],
    pub(super) dops: [Fraction; 3],
    pub(super) system: i32,
}

pub(super) fn gsa(line: &str) -> Option<Gsa> {
    let mut fields = Fields::of(line);
    let mut frame = Gsa::default();
    fields.character()?;
    frame.fix = fields.integer()?;
    for id in &mut frame.satellites {
        *id = fields.integer()?;
    }
    for dop in &mut frame.dops {
        *dop = fields.fraction()?;
    }
    frame.system = fields.integer().unwrap_or(0);
    Some(frame)
}

/// The satellites of one message about those in view: number, elevation,
/// azimuth, strength.
pub(super) fn gsv(line: &str) -> Vec<[i32; 4]> {
    let mut fields = Fields::of(line);
    let counters = [fields.integer(), fields.integer(), fields.integer()];
    let mut satellites = Vec::new();
    while counters.iter().all(Option::is_some) && satellites.len() < 4 {
        let Some(number) = fields.integer() else {
            break;
        };
        let rest = [fields.integer(), fields.integer(), fields.integer()];
        let [elevation, azimuth, strength] = rest.map(|field| field.unwrap_or(0));
        satellites.push([number, elevation, azimuth, strength]);
    }
    satellites
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn positions_come_out_as_on_the_board() {
        let line = "$GNRMC,075923.00,A,2324.12223,N,11313.58210,E,1.25,133.7,050123,,,A*6F\r";
        let frame = rmc(line).unwrap();
        assert_eq!(
            (frame.lat.value, frame.lng.value),
            (232_412_223, 1_131_358_210)
        );
        assert_eq!(
            (frame.lat.steps(true), frame.lng.steps(true)),
            (234_020_371, 1_132_263_683)
        );
        assert_eq!(frame.lat.times(-1).steps(false), -230_000_000);
        assert_eq!(frame.lat.times(-1).steps(true), -234_020_371);
        assert_eq!(frame.date, [5, 1, 23]);
    }

    #[test]
    fn sums_are_checked_if_they_are_there() {
        let body = "GPTXT,01,01,02,ok";
        let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
        assert_eq!(kind(&format!("${body}*{sum:02x}\r")), Some("TXT"));
        assert_eq!(kind(&format!("${body}*{:02x}\r", sum ^ 1)), None);
        assert_eq!(kind(&format!("${body}\r")), Some("TXT"));
        assert_eq!(kind("$GPABC,1"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in "\\PC{0,120}", number in "[-+]?[0-9.]{0,16}") {
            for line in [line, format!("$GPRMC,{number},A,{number},N,{number},W,{number},,,,")] {
                let _ = kind(&line);
                let _ = rmc(&line).map(|f| (f.lat.steps(true), f.lat.degrees(), f.lng.number()));
                let _ = (gga(&line), gll(&line), vtg(&line), gsa(&line), gsv(&line));
            }
        }
    }
}
