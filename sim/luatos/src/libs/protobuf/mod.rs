//! `protobuf`: messages by their descriptors, with the options the firmware
//! cannot change: enums as names, 64-bit integers as numbers, defaults copied
//! for proto3 only.

mod decode;
mod encode;
mod schema;
mod wire;

use std::sync::Arc;

use airbench_lua32::{Kind, Raise};

use crate::args::{Args, Call, Results};
use crate::libs::Library;
pub(crate) use schema::Schema;
use schema::Type;
use wire::Reader;

pub(crate) const LIBRARY: Library = Library {
    name: "protobuf",
    functions: &[
        ("clear", clear),
        ("load", load),
        ("encode", encode),
        ("decode", decode),
    ],
    constants: &[],
};

/// Messages within messages; the board's C stack ends somewhere near.
const DEEPEST: usize = 100;

fn check_depth(depth: usize) -> Result<(), Raise> {
    if depth < DEEPEST {
        Ok(())
    } else {
        Err(Raise::Plain("stack overflow (proto too deep)".into()))
    }
}

fn not_bytes(cx: &Call<'_>, index: i32) -> Raise {
    let got = cx.kind_name(index);
    Raise::Argument(index, format!("string/buffer/slice expected, got {got}"))
}

/// `load(descriptor set)`: whether it was read whole, and how far.
fn load(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) != Kind::String {
        return Err(not_bytes(cx, 1));
    }
    let bytes = cx.check_bytes(1)?;
    let (done, position) = Arc::make_mut(&mut cx.host().protobuf).load(&bytes);
    cx.push_boolean(done);
    cx.push_integer(i32::try_from(position + 1).unwrap_or(i32::MAX));
    Ok(2)
}

/// `clear(type, field)`
fn clear(cx: &mut Call<'_>) -> Results {
    if cx.is_none_or_nil(1) {
        cx.host().protobuf = Arc::default();
        return Ok(0);
    }
    let name = cx.check_text(1)?;
    let field = if cx.is_none_or_nil(2) {
        None
    } else {
        Some(cx.check_text(2)?)
    };
    Arc::make_mut(&mut cx.host().protobuf).forget(&name, field.as_deref());
    Ok(0)
}

fn unknown(name: &str) -> Raise {
    Raise::Argument(1, format!("type '{name}' does not exists"))
}

fn find<'a>(schema: &'a Schema, name: &str) -> Result<&'a Type, Raise> {
    schema.find(name).ok_or_else(|| unknown(name))
}

/// `encode(type, table)`
fn encode(cx: &mut Call<'_>) -> Results {
    let name = cx.check_text(1)?;
    let schema = Arc::clone(&cx.host().protobuf);
    let of = find(&schema, &name)?;
    if cx.kind(2) != Kind::Table {
        let got = cx.kind_name(2);
        return Err(Raise::Argument(2, format!("table expected, got {got}")));
    }
    cx.set_top(2);
    let mut out = Vec::new();
    encode::message(cx, &schema, of, &mut out, 0)?;
    cx.push_bytes(&out);
    Ok(1)
}

/// `decode(type, bytes, table)`
fn decode(cx: &mut Call<'_>) -> Results {
    let bytes = match cx.kind(2) {
        Kind::String => cx.check_bytes(2)?,
        _ if cx.is_none_or_nil(2) => Vec::new(),
        _ => return Err(not_bytes(cx, 2)),
    };
    let name = cx.check_text(1)?;
    let schema = Arc::clone(&cx.host().protobuf);
    let of = find(&schema, &name)?;
    if cx.kind(3) == Kind::Table {
        cx.set_top(3);
    } else {
        decode::push_default(cx, &schema, of);
    }
    decode::fill(cx, &schema, of, &mut Reader::new(&bytes), 0)?;
    Ok(1)
}
