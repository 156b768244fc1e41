//! The LuatOS libraries, one module each, named as the library.
//!
//! A [`Library`] lists what is modelled. What the V1112 image exports beyond
//! that ([`crate::exports`]) becomes a function that says so and raises.

pub(crate) mod base;
mod bits;
pub(crate) mod errdump;
pub(crate) mod gpio;
pub(crate) mod json;
mod json_decode;
mod json_encode;
pub(crate) mod log;
pub(crate) mod mcu;
pub(crate) mod mobile;
pub(crate) mod os;
mod pack_codes;
pub(crate) mod pm;
pub(crate) mod rtc;
pub(crate) mod rtos;
pub(crate) mod string;
pub(crate) mod timer;
pub(crate) mod uart;
pub(crate) mod wdt;
pub(crate) mod websocket;
pub(crate) mod zbuff;
mod zbuff_methods;
mod zbuff_numbers;

use airbench_lua32::{Func, Raise};
use airbench_trace::{Kind, Source};

use crate::args::{Args, Call, Results};
use crate::exports;
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
    &mcu::HMETA,
    &rtc::LIBRARY,
    &json::LIBRARY,
    &zbuff::LIBRARY,
    &os::LIBRARY,
];

/// PUC's own libraries that the firmware has, with the names it drops.
const STOCK: &[(&str, &[&str])] = &[
    ("coroutine", &[]),
    ("table", &[]),
    ("string", &["dump"]),
    ("math", &[]),
    ("utf8", &[]),
    // A script's hook would replace the one that counts CPU time; the others
    // reach into what the board keeps in C and the model keeps in Lua values.
    (
        "debug",
        &["debug", "sethook", "getregistry", "setuservalue"],
    ),
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
    for (name, dropped) in STOCK {
        open_stock(cx, name, dropped)?;
    }
    for export in exports::v1112() {
        if !STOCK.iter().any(|(name, _)| *name == export.name) {
            open_library(cx, &export);
        }
    }
    // The firmware knows fskv by its old name too.
    cx.get_global("fskv");
    cx.set_global("fdb");
    zbuff::open(cx);
    websocket::open(cx);
    Ok(())
}

/// The read-only object for one of PUC's libraries.
fn open_stock(cx: &mut Call<'_>, name: &str, dropped: &[&str]) -> Result<(), Raise> {
    cx.open_stock(name)?;
    for drop in dropped {
        cx.push_nil();
        cx.set_field(-2, drop);
    }
    for (function, func) in extensions(name) {
        cx.push_function(*func);
        cx.set_field(-2, function);
    }
    let export = exports::v1112()
        .into_iter()
        .find(|export| export.name == name);
    for function in export.iter().flat_map(|export| &export.functions) {
        if cx.get_field(-1, function) == airbench_lua32::Kind::Nil {
            cx.pop(1);
            push_not_modelled(cx, name, function);
            cx.set_field(-2, function);
        } else {
            cx.pop(1);
        }
    }
    if name == "utf8" {
        // The firmware cuts the pattern at the NUL in it.
        cx.push_bytes(b"[");
        cx.set_field(-2, "charpattern");
    }
    number_names(cx);
    cx.make_rotable();
    if name == "string" {
        cx.push_value(-1);
        cx.use_for_string_methods();
        cx.pop(1);
    }
    cx.set_global(name);
    Ok(())
}

/// Puts the string keys of the table on top into its array part, sorted: PUC
/// has no declaration order to offer.
fn number_names(cx: &mut Call<'_>) {
    let mut names = Vec::new();
    let table = cx.top();
    cx.push_nil();
    while cx.next(table) {
        cx.pop(1);
        names.extend(cx.to_bytes(-1).map(<[u8]>::to_vec));
    }
    names.sort();
    for (name, index) in names.iter().zip(1..) {
        cx.push_bytes(name);
        cx.set_item(table, index);
    }
}

/// The read-only object for one of LuatOS's libraries.
fn open_library(cx: &mut Call<'_>, export: &exports::Export) {
    let library = LIBRARIES.iter().find(|library| library.name == export.name);
    let size = i32::try_from(export.functions.len() + export.constants.len()).unwrap_or(0);
    cx.push_table(size, size);
    let mut index = 0;
    let mut put = |cx: &mut Call<'_>, name: &str| {
        cx.set_field(-2, name);
        cx.push_bytes(name.as_bytes());
        index += 1;
        cx.set_item(-2, index);
    };
    for name in &export.functions {
        let modelled = library.and_then(|l| l.functions.iter().find(|(n, _)| n == name));
        match modelled {
            Some((_, func)) => cx.push_function(*func),
            None => push_not_modelled(cx, export.name, name),
        }
        put(cx, name);
    }
    for (name, value) in &export.constants {
        cx.push_integer(*value);
        put(cx, name);
    }
    for (name, constant) in library.map_or(&[][..], |library| library.constants) {
        match constant {
            Constant::Null => cx.push_null(),
        }
        put(cx, name);
    }
    cx.make_rotable();
    cx.set_global(export.name);
}

fn push_not_modelled(cx: &mut Call<'_>, library: &str, name: &str) {
    cx.push_bytes(format!("{library}.{name}").as_bytes());
    cx.push_function_with(not_modelled);
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

/// Names of the modelled functions, as `library.function`, for the tables.
pub fn modelled() -> Vec<String> {
    let mut names = Vec::new();
    for (name, dropped) in STOCK {
        let export = exports::v1112()
            .into_iter()
            .find(|export| export.name == *name);
        for function in export.into_iter().flat_map(|export| export.functions) {
            if !dropped.contains(&function) {
                names.push(format!("{name}.{function}"));
            }
        }
    }
    for library in LIBRARIES {
        names.extend(
            library
                .functions
                .iter()
                .map(|(f, _)| format!("{}.{f}", library.name)),
        );
    }
    names
}
