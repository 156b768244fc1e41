//! From bytes to a Lua table.

use airbench_lua32::Raise;

use super::schema::{ENUM, Field, MESSAGE, Schema, Type, type_name};
use super::wire::{Reader, Wire};
use crate::args::Call;

type Done = Result<(), Raise>;

/// Reads a message into the table on top of the stack.
pub(super) fn fill(
    cx: &mut Call<'_>,
    schema: &Schema,
    of: &Type,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Done {
    super::check_depth(depth)?;
    let table = cx.top();
    // A tag that is cut off ends the message without a word.
    while let Some((number, wire)) = reader.tag() {
        match of.by_number(number) {
            Some(field) => one(cx, schema, field, (table, wire), reader, depth)?,
            // What cannot be skipped is read as the next tag.
            None => drop(reader.skip(wire)),
        }
    }
    Ok(())
}

/// Pushes a table for a type, filled with a message's defaults.
pub(super) fn push_default(cx: &mut Call<'_>, schema: &Schema, of: &Type) {
    cx.push_table(0, of.room());
    if !of.proto3 {
        return;
    }
    for field in of.ordered() {
        if field.repeated {
            cx.push_table(0, 0);
        } else if field.kind == MESSAGE || field.oneof.is_some() {
            continue;
        } else {
            push_zero(cx, schema, field);
        }
        cx.set_field(-2, &field.name);
    }
}

fn push_zero(cx: &mut Call<'_>, schema: &Schema, field: &Field) {
    match field.kind {
        1 | 2 => cx.push_number(0.0),
        8 => cx.push_boolean(false),
        9 | 12 => cx.push_bytes(b""),
        ENUM => push_enum(cx, schema, field, 0),
        _ => cx.push_integer(0),
    }
}

fn one(
    cx: &mut Call<'_>,
    schema: &Schema,
    field: &Field,
    (table, wire): (i32, Wire),
    reader: &mut Reader<'_>,
    depth: usize,
) -> Done {
    if !field.repeated {
        value(cx, schema, field, wire, reader, depth)?;
        cx.set_field(table, &field.name);
        if let Some(oneof) = &field.oneof {
            cx.push_bytes(field.name.as_bytes());
            cx.set_field(table, oneof);
        }
        return Ok(());
    }
    if cx.get_field(table, &field.name) != airbench_lua32::Kind::Table {
        cx.pop(1);
        cx.push_table(0, 0);
        cx.push_value(-1);
        cx.set_field(table, &field.name);
    }
    let list = cx.top();
    let entry = schema
        .find(&field.of)
        .filter(|of| field.kind == MESSAGE && of.map_entry);
    if let Some(entry) = entry {
        let mut part = sized(field, wire, reader)?;
        pair(cx, schema, entry, &mut part, depth)?;
        cx.raw_set(list);
    } else if wire == Wire::Bytes && field.packable() {
        let mut part = sized(field, wire, reader)?;
        while !part.at_end() {
            let wire = Wire::of_type(field.kind);
            value(cx, schema, field, wire, &mut part, depth)?;
            append(cx, list);
        }
    } else {
        value(cx, schema, field, wire, reader, depth)?;
        append(cx, list);
    }
    cx.pop(1);
    Ok(())
}

fn append(cx: &mut Call<'_>, list: i32) {
    let next = cx.raw_len(list) + 1;
    cx.set_item(list, i32::try_from(next).unwrap_or(i32::MAX));
}

/// Pushes key and value of a map's entry. Other fields in it are not skipped.
fn pair(
    cx: &mut Call<'_>,
    schema: &Schema,
    entry: &Type,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Done {
    let base = cx.top();
    for number in [1, 2] {
        match entry.by_number(number) {
            Some(field) if field.kind == MESSAGE => match schema.find(&field.of) {
                Some(of) => push_default(cx, schema, of),
                None => cx.push_nil(),
            },
            Some(field) => push_zero(cx, schema, field),
            None => cx.push_nil(),
        }
    }
    while let Some((number, wire)) = reader.tag() {
        let Some(field) = entry.by_number(number).filter(|_| number <= 2) else {
            continue;
        };
        value(cx, schema, field, wire, reader, depth)?;
        // The new one takes its place, the old one falls off the top.
        if number == 1 {
            cx.insert(base + 1);
        }
        cx.insert(base + 2);
        cx.set_top(base + 2);
    }
    Ok(())
}

/// Bytes with a length, as a reader.
fn sized<'a>(field: &Field, wire: Wire, reader: &mut Reader<'a>) -> Result<Reader<'a>, Raise> {
    if wire != Wire::Bytes {
        return Err(mismatch(field, wire, reader));
    }
    let at = reader.position() + 1;
    let mut probe = reader.clone();
    let Some(len) = probe.varint() else {
        return Err(Raise::Plain(format!(
            "invalid bytes length: 0 (at offset {at})"
        )));
    };
    let after = probe.position() + 1;
    reader
        .message()
        .ok_or_else(|| Raise::Plain(format!("unfinished bytes (len {len} at offset {after})")))
}

fn mismatch(field: &Field, wire: Wire, reader: &Reader<'_>) -> Raise {
    let packed = if field.is_packed() { "packed " } else { "" };
    let repeated = if field.repeated { "repeated " } else { "" };
    let (name, at) = (&field.name, reader.position() + 1);
    let wanted = Wire::of_type(field.kind).name();
    let (of, got) = (type_name(field.kind), wire.name());
    Raise::Plain(format!(
        "type mismatch for {packed}{repeated}field '{name}' at offset {at}, {wanted} expected for type {of}, got {got}"
    ))
}

/// Pushes a value.
fn value(
    cx: &mut Call<'_>,
    schema: &Schema,
    field: &Field,
    wire: Wire,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Done {
    if wire != Wire::of_type(field.kind) {
        return Err(mismatch(field, wire, reader));
    }
    let at = reader.position() + 1;
    let invalid = |what: &str| Raise::Plain(format!("invalid {what} value at offset {at}"));
    match wire {
        Wire::Bits64 => {
            let bytes = reader.fixed::<8>().ok_or_else(|| invalid("fixed64"))?;
            match field.kind {
                1 => cx.push_number(f64::from_le_bytes(bytes) as f32),
                _ => push_integer(cx, i64::from_le_bytes(bytes)),
            }
        }
        Wire::Bits32 => {
            let bytes = reader.fixed::<4>().ok_or_else(|| invalid("fixed32"))?;
            match field.kind {
                2 => cx.push_number(f32::from_le_bytes(bytes)),
                7 => push_integer(cx, u32::from_le_bytes(bytes).into()),
                _ => push_integer(cx, i32::from_le_bytes(bytes).into()),
            }
        }
        Wire::Varint => {
            let raw = reader.varint().ok_or_else(|| invalid("varint"))?;
            varint(cx, schema, field, raw);
        }
        Wire::Bytes if field.kind == MESSAGE => {
            let mut part = sized(field, wire, reader)?;
            match schema.find(&field.of) {
                Some(of) => {
                    push_default(cx, schema, of);
                    fill(cx, schema, of, &mut part, depth + 1)?;
                }
                None => cx.push_nil(),
            }
        }
        Wire::Bytes => {
            sized(field, wire, &mut reader.clone())?;
            cx.push_bytes(reader.bytes().unwrap_or_default());
        }
        _ => {
            // A group: passed over, as the firmware has no tables for them.
            reader.skip(wire).ok_or_else(|| invalid("varint"))?;
            cx.push_nil();
        }
    }
    Ok(())
}

fn varint(cx: &mut Call<'_>, schema: &Schema, field: &Field, raw: u64) {
    let unzigzag = |n: u64| (n >> 1).cast_signed() ^ -((n & 1).cast_signed());
    match field.kind {
        8 => cx.push_boolean(raw != 0),
        5 => push_integer(cx, (raw as i32).into()),
        13 => push_integer(cx, (raw as u32).into()),
        17 => push_integer(cx, i64::from(unzigzag(raw & 0xFFFF_FFFF) as i32)),
        18 => push_integer(cx, unzigzag(raw)),
        ENUM => push_enum(cx, schema, field, raw as i32),
        _ => push_integer(cx, raw.cast_signed()),
    }
}

fn push_enum(cx: &mut Call<'_>, schema: &Schema, field: &Field, number: i32) {
    let of = schema.find(&field.of);
    match of.and_then(|of| of.values.iter().find(|(_, n)| *n == number)) {
        Some((name, _)) => cx.push_bytes(name.as_bytes()),
        None => push_integer(cx, number.into()),
    }
}

/// What fits 32 bits without a sign is an integer, all else a float.
fn push_integer(cx: &mut Call<'_>, value: i64) {
    match u32::try_from(value) {
        Ok(small) => cx.push_integer(small.cast_signed()),
        Err(_) => cx.push_number(value as f32),
    }
}
