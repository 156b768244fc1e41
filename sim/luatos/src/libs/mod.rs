//! The LuatOS libraries, one module each, named as the library.
//!
//! A [`Library`] lists what is modelled. What the V1112 image exports beyond
//! that ([`crate::exports`]) becomes a function that says so and raises.

mod accepted;
pub(crate) mod adc;
pub(crate) mod base;
pub(crate) mod bit64;
mod bits;
mod cipher;
pub(crate) mod crc;
pub(crate) mod crypto;
pub(crate) mod errdump;
pub(crate) mod fota;
pub(crate) mod fs;
pub(crate) mod fskv;
pub(crate) mod ftp;
pub(crate) mod gpio;
pub(crate) mod hash;
pub(crate) mod hmeta;
pub(crate) mod http;
pub(crate) mod i2c;
pub(crate) mod inline;
pub(crate) mod io;
pub(crate) mod iotauth;
pub(crate) mod json;
mod json_decode;
mod json_encode;
pub(crate) mod libgnss;
pub(crate) mod log;
pub(crate) mod mcu;
pub(crate) mod miniz;
pub(crate) mod mobile;
pub(crate) mod modem_settings;
pub(crate) mod mqtt;
pub(crate) mod os;
pub(crate) mod otp;
pub(crate) mod pack;
mod pack_codes;
pub(crate) mod pm;
pub(crate) mod protobuf;
pub(crate) mod pwm;
pub(crate) mod repl;
mod rs485;
pub(crate) mod rsa;
mod rsa_ec;
pub(crate) mod rtc;
pub(crate) mod rtos;
pub(crate) mod sms;
pub(crate) mod socket;
pub(crate) mod soft_uart;
pub(crate) mod spi;
pub(crate) mod string;
mod suites;
pub(crate) mod timer;
pub(crate) mod uart;
mod unzip;
pub(crate) mod wdt;
pub(crate) mod websocket;
pub(crate) mod wlan;
pub(crate) mod zbuff;
mod zbuff_frame;
mod zbuff_methods;
mod zbuff_numbers;

use std::sync::OnceLock;

use airbench_lua32::{Func, Member, Members, Raise};
use airbench_trace::{Kind, Source};

use crate::args::{Args, Call, Results};
use crate::config::Core;
use crate::exports::{self, Export};
use crate::runtime::Runtime;

/// A constant of a library.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Constant {
    /// The null light userdata.
    Null,
}

/// What is modelled of a library.
pub(crate) struct Library {
    /// Global name.
    pub(crate) name: &'static str,
    /// Functions by name.
    pub(crate) functions: &'static [(&'static str, Func<Runtime>)],
    /// Constants that the export list has no plain number for.
    pub(crate) constants: &'static [(&'static str, Constant)],
}

const LIBRARIES: &[&Library] = &[
    &rtos::LIBRARY,
    &log::LIBRARY,
    &timer::LIBRARY,
    &mobile::LIBRARY,
    &errdump::LIBRARY,
    &websocket::LIBRARY,
    &uart::LIBRARY,
    &gpio::LIBRARY,
    &wdt::LIBRARY,
    &pm::LIBRARY,
    &mcu::LIBRARY,
    &hmeta::LIBRARY,
    &adc::LIBRARY,
    &pwm::LIBRARY,
    &i2c::LIBRARY,
    &spi::LIBRARY,
    &otp::LIBRARY,
    &sms::LIBRARY,
    &wlan::LIBRARY,
    &repl::LIBRARY,
    &rtc::LIBRARY,
    &json::LIBRARY,
    &zbuff::LIBRARY,
    &os::LIBRARY,
    &pack::LIBRARY,
    &bit64::LIBRARY,
    &miniz::LIBRARY,
    &crypto::LIBRARY,
    &io::LIBRARY,
    &fs::LIBRARY,
    &fskv::LIBRARY,
    &socket::LIBRARY,
    &mqtt::LIBRARY,
    &http::LIBRARY,
    &ftp::LIBRARY,
    &fota::LIBRARY,
    &iotauth::LIBRARY,
    &libgnss::LIBRARY,
    &protobuf::LIBRARY,
    &rsa::LIBRARY,
];

/// PUC's own libraries that the firmware has, with the names it drops.
const STOCK: &[(&str, &[&str])] = &[
    ("coroutine", &[]),
    ("table", &[]),
    ("string", &["dump"]),
    ("math", &[]),
    ("utf8", &[]),
    ("debug", &["debug"]),
    ("bit32", &[]),
];

/// Extra functions put beside the stock ones.
fn extensions(name: &str) -> &'static [(&'static str, Func<Runtime>)] {
    match name {
        "string" => string::EXTENSIONS,
        "bit32" => bits::EXTENSIONS,
        _ => &[],
    }
}

/// Opens everything a script finds, in the firmware's order.
pub(crate) fn open_all(cx: &mut Call<'_>) -> Result<(), Raise> {
    base::open(cx)?;
    let core = cx.host().config.core;
    for (name, members) in objects(core) {
        open_object(cx, name, members)?;
    }
    // The firmware knows fskv by its old name too.
    cx.get_global("fskv");
    cx.set_global("fdb");
    // So are two others; the new core has dropped the second, and its `fs` is
    // `io`.
    cx.get_global("bit32");
    cx.set_global("bit");
    if cx.host().config.core.is_new() {
        cx.get_global("io");
        cx.set_global("fs");
    } else {
        cx.get_global("http");
        cx.set_global("http2");
    }
    zbuff::open(cx);
    crypto::open(cx);
    io::open(cx);
    fskv::open(cx);
    socket::open(cx);
    mqtt::open(cx);
    i2c::open(cx);
    spi::open(cx);
    websocket::open(cx);
    Ok(())
}

/// The image's library objects, in the firmware's order; PUC's own come first.
fn objects(core: Core) -> &'static [(&'static str, Members<Runtime>)] {
    type Objects = OnceLock<Vec<(&'static str, Members<Runtime>)>>;
    static V1112: Objects = OnceLock::new();
    static NEW: Objects = OnceLock::new();
    let made = match core {
        Core::V1112 => &V1112,
        Core::New => &NEW,
    };
    made.get_or_init(|| {
        let stock = STOCK.iter().flat_map(|(name, _)| exports::find(core, name));
        let own = exports::image(core)
            .iter()
            .filter(|export| !is_stock(export.name));
        stock
            .chain(own)
            .map(|export| (export.name, members(export)))
            .collect()
    })
}

fn is_stock(name: &str) -> bool {
    STOCK.iter().any(|(stock, _)| *stock == name)
}

/// What a script finds in a library of the image.
fn members(export: &Export) -> Members<Runtime> {
    let library = LIBRARIES.iter().find(|library| library.name == export.name);
    let own = library.map_or(extensions(export.name), |library| library.functions);
    let dropped = STOCK.iter().find(|(name, _)| *name == export.name);
    let mut list = Vec::new();
    for name in &export.functions {
        let member = match (own.iter().find(|(n, _)| n == name), dropped) {
            (Some((_, func)), _) => Member::Function(*func),
            (None, Some((_, dropped))) if !dropped.contains(name) => Member::Given,
            (None, _) if accepted::is_accepted(export.name) => {
                Member::Named(accepted::call, full_name(export.name, name))
            }
            (None, _) => Member::Named(not_modelled, full_name(export.name, name)),
        };
        list.push((*name, member));
    }
    for (name, value) in &export.constants {
        let member = if is_stock(export.name) {
            Member::Given
        } else {
            Member::Integer(*value)
        };
        list.push((*name, member));
    }
    for (name, constant) in library.map_or(&[][..], |library| library.constants) {
        list.retain(|(n, _)| n != name);
        list.push((
            name,
            match constant {
                Constant::Null => Member::Null,
            },
        ));
    }
    Members(list)
}

/// `library.function`, kept for ever: it is made once for the process.
fn full_name(library: &str, function: &str) -> &'static str {
    format!("{library}.{function}").leak()
}

/// Puts a library's read-only object into its global.
fn open_object(
    cx: &mut Call<'_>,
    name: &'static str,
    members: &'static Members<Runtime>,
) -> Result<(), Raise> {
    if is_stock(name) {
        cx.open_stock(name)?;
        let dropped = STOCK.iter().filter(|(stock, _)| *stock == name);
        let modelled_here = members
            .0
            .iter()
            .filter(|(_, member)| !matches!(member, Member::Given))
            .map(|(name, _)| name);
        for field in dropped.flat_map(|(_, names)| *names).chain(modelled_here) {
            cx.push_nil();
            cx.set_field(-2, field);
        }
        if name == "utf8" {
            // The firmware cuts the pattern at the NUL in it.
            cx.push_bytes(b"[");
            cx.set_field(-2, "charpattern");
        }
    } else {
        cx.push_table(0, 0);
    }
    cx.make_rotable(members);
    if name == "string" {
        cx.use_for_string_methods();
    }
    cx.push_value(-1);
    cx.set_global(name);
    base::set_loaded(cx, name);
    Ok(())
}

/// Stands for every function of the image that has no model yet.
fn not_modelled(cx: &mut Call<'_>) -> Results {
    cx.push_own_value();
    let name = cx.check_text(-1)?;
    report_not_modelled(cx.host(), &name);
    Err(Raise::Message(format!(
        "not modelled: {name} exists on the board, but airbench has no model of it yet"
    )))
}

/// Counts and logs the use of something that is not modelled.
pub(crate) fn report_not_modelled(rt: &mut Runtime, name: &str) {
    *rt.unmodelled.entry(name.to_owned()).or_default() += 1;
    rt.record(Source::Board, Kind::NotModelled, name);
    let library = name.split('.').next().unwrap_or_default();
    rt.line(format!("E/{library} not modelled: {name}"));
}

/// How far a function of the image is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Modelled {
    /// It does what the firmware does.
    Yes,
    /// The call is accepted, logged as an event, and called not modelled once.
    Accepted,
    /// Calling it raises an error that says so.
    No,
}

/// The functions of a core's image: library, name, how far it is modelled.
pub fn api(core: Core) -> impl Iterator<Item = (&'static str, &'static str, Modelled)> {
    objects(core).iter().flat_map(move |(library, members)| {
        let export = exports::find(core, library);
        members.0.iter().filter_map(move |(name, member)| {
            let modelled = match member {
                Member::Function(_) => Modelled::Yes,
                Member::Given if export.is_none_or(|e| !e.is_constant(name)) => Modelled::Yes,
                Member::Named(..) if accepted::is_accepted(library) => Modelled::Accepted,
                Member::Named(..) => Modelled::No,
                _ => return None,
            };
            Some((*library, *name, modelled))
        })
    })
}

/// Library and name of every function written here.
#[cfg(test)]
pub(crate) fn own_functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIBRARIES.iter().flat_map(|library| {
        library
            .functions
            .iter()
            .map(|(name, _)| (library.name, *name))
    })
}
