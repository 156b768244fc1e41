//! `libgnss`: what a satellite receiver on a UART says.

mod nmea;
mod tables;

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::{Kind, Ref};

use crate::args::{Args, Call, Results};
use crate::libs::{Library, uart, zbuff};
use crate::message::{Arg, Message};
use crate::rtc::to_unix;
use crate::runtime::{Level, Runtime};
use nmea::{Gsa, Rmc};

pub(crate) const LIBRARY: Library = Library {
    name: "libgnss",
    functions: &[
        ("parse", parse),
        ("isFix", |cx| {
            let fixed = cx.host().gnss.fixed;
            cx.push_boolean(fixed);
            Ok(1)
        }),
        ("getIntLocation", tables::int_location),
        ("getRmc", tables::get_rmc),
        ("getGsv", tables::get_gsv),
        ("getGsa", tables::get_gsa),
        ("getVtg", tables::get_vtg),
        ("getGga", tables::get_gga),
        ("getGll", tables::get_gll),
        ("getZda", tables::get_zda),
        ("locStr", tables::loc_str),
        ("rtcAuto", rtc_auto),
        ("on", on),
        ("debug", debug),
        ("clear", clear),
        ("bind", bind),
        ("getTxt", tables::get_txt),
        ("casic_aid", tables::casic_aid),
    ],
    constants: &[],
};

/// Room of the line buffer; a longer line loses its head.
const LINE: usize = 120;
/// The RTC is set again when the last valid position is older.
const RTC_AGE: Duration = Duration::from_secs(600);
/// Entries about satellites in use older than this are dropped by a new one.
const GSA_AGE: Duration = Duration::from_millis(950);
/// Bytes read from a bound UART at a time.
const CHUNK: usize = 2047;

/// A callback of `libgnss.on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callback {
    Raw,
    Text,
    Other,
}

/// What was received.
#[derive(Debug, Default)]
pub(crate) struct Gnss {
    line: Vec<u8>,
    debug: bool,
    rtc_auto: bool,
    fixed: bool,
    /// The last valid position's time.
    fixed_at: Option<Instant>,
    rmc: Rmc,
    /// Last lines; `Some("")` after `clear`.
    rmc_line: Option<String>,
    gga: Option<String>,
    gll: Option<String>,
    vtg: Option<String>,
    zda: Option<String>,
    txt: Option<String>,
    gsa: [Option<(Instant, Gsa)>; 7],
    gsa_next: usize,
    gsv: [Option<(Instant, String)>; 24],
    /// UART that is read, and the one everything is passed on to.
    bound: Option<(u8, Option<u8>)>,
    callbacks: [Option<Ref>; 3],
}

/// `parse(text or zbuff)`
fn parse(cx: &mut Call<'_>) -> Results {
    let bytes = match zbuff::arg(cx, 1) {
        Some(buffer) => zbuff::with(cx, buffer, |b| b.slice(0, b.used())),
        None if cx.kind(1) == Kind::String => cx.check_bytes(1)?,
        None => Vec::new(),
    };
    cx.host().gnss_take(&bytes);
    Ok(0)
}

fn rtc_auto(cx: &mut Call<'_>) -> Results {
    let on = cx.kind(1) == Kind::Boolean && cx.to_boolean(1);
    let rt = cx.host();
    rt.gnss.rtc_auto = on;
    let word = if on { "ON" } else { "OFF" };
    rt.lib_line(
        Level::Debug,
        &format!("gnss GNSS->RTC Auto-Set now is {word}"),
    );
    Ok(0)
}

fn debug(cx: &mut Call<'_>) -> Results {
    let on = cx.kind(1) == Kind::Boolean && cx.to_boolean(1);
    let rt = cx.host();
    rt.gnss.debug = on;
    let word = if on { "ON" } else { "OFF" };
    rt.lib_line(Level::Debug, &format!("gnss Debug {word}"));
    Ok(0)
}

/// `on(type, function)`
fn on(cx: &mut Call<'_>) -> Results {
    let callback = match cx.check_text(1)?.as_str() {
        "raw" => Callback::Raw,
        "txt" => Callback::Text,
        "other" => Callback::Other,
        _ => return Ok(0),
    };
    let made = cx.keep_function(2);
    let slot = &mut cx.host().gnss.callbacks[callback as usize];
    if let Some(old) = std::mem::replace(slot, made) {
        cx.drop_ref(old);
    }
    Ok(0)
}

/// Forgets everything that was received, not the line under way.
fn clear(cx: &mut Call<'_>) -> Results {
    let gnss = &mut cx.host().gnss;
    let old = std::mem::take(gnss);
    let empty = |line: &Option<String>| line.as_ref().map(|_| String::new());
    *gnss = Gnss {
        rmc_line: empty(&old.rmc_line),
        gga: empty(&old.gga),
        gll: empty(&old.gll),
        vtg: empty(&old.vtg),
        zda: empty(&old.zda),
        txt: empty(&old.txt),
        line: old.line,
        debug: old.debug,
        rtc_auto: old.rtc_auto,
        bound: old.bound,
        callbacks: old.callbacks,
        ..Gnss::default()
    };
    Ok(0)
}

/// `bind(uart, next uart)`
fn bind(cx: &mut Call<'_>) -> Results {
    let id = cx.check_integer(1)? as u8;
    let next = cx.is_integer(2).then(|| cx.to_integer(2).unwrap_or(0));
    let new = cx.host().config.core.is_new();
    if !new && !uart::exists(id) {
        return Ok(0);
    }
    clear(cx)?;
    let next = next.filter(|next| *next > 0).map(|next| next as u8);
    cx.host().gnss.bound = Some((id, next));
    uart::listen(cx.host(), id);
    Ok(0)
}

/// A bound UART has received something.
pub(crate) fn on_uart(rt: &mut Runtime, id: u8) {
    let Some((_, next)) = rt.gnss.bound.filter(|(bound, _)| *bound == id) else {
        return;
    };
    loop {
        let bytes = uart::take(rt, id, CHUNK);
        if bytes.is_empty() {
            return;
        }
        if let Some(next) = next {
            uart::send(rt, next, &bytes);
        }
        if rt.gnss.callbacks[Callback::Raw as usize].is_some() {
            rt.bus
                .push_back(Message::Gnss(Callback::Raw, bytes.clone()));
        }
        if rt.gnss.debug {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            rt.lib_line(Level::Debug, &format!("gnss >> {text}"));
        }
        rt.gnss_take(&bytes);
    }
}

/// A callback's turn.
pub(crate) fn on_callback(cx: &mut Call<'_>, callback: Callback, bytes: &[u8]) -> Results {
    if let Some(function) = cx.host().gnss.callbacks[callback as usize] {
        cx.push_ref(function);
        cx.push_bytes(bytes);
        cx.call(1, 0)?;
    }
    Ok(0)
}

impl Runtime {
    /// Takes bytes of the receiver in.
    fn gnss_take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.gnss.line);
                self.gnss_line(&String::from_utf8_lossy(&line));
                continue;
            }
            if self.gnss.line.len() == LINE {
                self.gnss.line.clear();
            }
            self.gnss.line.push(*byte);
        }
    }

    fn gnss_line(&mut self, line: &str) {
        let now = self.now();
        let gnss = &mut self.gnss;
        match nmea::kind(line) {
            Some("RMC") => {
                if let Some(frame) = nmea::rmc(line) {
                    gnss.rmc_line = Some(line.to_owned());
                    self.gnss_position(frame);
                }
            }
            Some("GGA") => gnss.gga = Some(line.to_owned()),
            Some("GLL") => gnss.gll = Some(line.to_owned()),
            Some("VTG") => gnss.vtg = Some(line.to_owned()),
            Some("ZDA") => gnss.zda = Some(line.to_owned()),
            Some("TXT") => {
                gnss.txt = Some(line.to_owned());
                self.gnss_tell(Callback::Text, line);
            }
            Some("GBS") => self.gnss_tell(Callback::Other, line),
            Some("GSA") => {
                if let Some(frame) = nmea::gsa(line) {
                    let age = |slot: &(Instant, Gsa)| now.since(slot.0);
                    for slot in &mut gnss.gsa {
                        *slot = slot.take().filter(|slot| age(slot) <= GSA_AGE);
                    }
                    gnss.gsa[gnss.gsa_next] = Some((now, frame));
                    gnss.gsa_next = (gnss.gsa_next + 1) % gnss.gsa.len();
                }
            }
            Some("GSV") => {
                let talker = line.get(..6).unwrap_or(line);
                if second(line) == Some(1) {
                    for slot in &mut gnss.gsv {
                        *slot = slot.take().filter(|(_, old)| !old.starts_with(talker));
                    }
                }
                if let Some(slot) = gnss.gsv.iter_mut().find(|slot| slot.is_none()) {
                    *slot = Some((now, line.to_owned()));
                }
            }
            _ => {}
        }
    }

    fn gnss_tell(&mut self, callback: Callback, line: &str) {
        if self.gnss.callbacks[callback as usize].is_some() {
            let message = Message::Gnss(callback, line.as_bytes().to_vec());
            self.bus.push_back(message);
        }
    }

    /// A position, or the loss of one.
    fn gnss_position(&mut self, frame: Rmc) {
        let now = self.now();
        if !frame.valid {
            if self.gnss.fixed {
                self.lib_line(Level::Info, "gnss Lose");
                self.gnss_state("LOSE");
            }
            let gnss = &mut self.gnss;
            gnss.fixed = false;
            gnss.rmc.valid = false;
            (gnss.rmc.date, gnss.rmc.time) = (frame.date, frame.time);
            return;
        }
        let old = self.gnss.fixed_at.is_none_or(|at| now.since(at) > RTC_AGE);
        if self.gnss.rtc_auto && (!self.gnss.fixed || old) {
            self.lib_line(Level::Info, "gnss Auto-Set RTC by GNSS RMC");
            let ([day, month, year], [hour, minute, second, _]) = (frame.date, frame.time);
            let [year, month, day] = [tables::full_year(year), month, day].map(i64::from);
            let [hour, minute, second] = [hour, minute, second].map(i64::from);
            self.set_utc(to_unix(year, month, day, hour, minute, second));
        }
        let (lat, lng) = (frame.lat.value, frame.lng.value);
        self.gnss.rmc = frame;
        if !self.gnss.fixed {
            self.gnss.fixed = true;
            self.lib_line(Level::Info, &format!("gnss Fixed {lat} {lng}"));
            self.gnss_state("FIXED");
        }
        self.gnss.fixed_at = Some(now);
    }

    fn gnss_state(&mut self, state: &str) {
        let ticks = self.uptime().as_millis() as i32;
        let args = vec![Arg::Text(state.to_owned()), Arg::Integer(ticks)];
        self.bus.push_back(Message::Publish("GNSS_STATE", args));
    }
}

/// The message number of a sentence about satellites in view.
fn second(line: &str) -> Option<i32> {
    let mut fields = nmea::Fields::of(line);
    fields.integer()?;
    fields.integer()
}
