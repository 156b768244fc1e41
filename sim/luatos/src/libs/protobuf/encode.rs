//! From a Lua table to bytes.

use airbench_lua32::{Kind, Raise};

use super::schema::{ENUM, Field, MESSAGE, Schema, Type, type_name};
use super::wire::{Wire, put_bytes, put_tag, put_varint};
use crate::args::Call;

type Done = Result<(), Raise>;

/// Writes the table on top of the stack as a message. V1112 walks the table, the
/// new core the type.
pub(super) fn message(
    cx: &mut Call<'_>,
    schema: &Schema,
    of: &Type,
    out: &mut Vec<u8>,
    depth: usize,
) -> Done {
    super::check_depth(depth)?;
    let table = cx.top();
    if cx.host().config.core.is_new() {
        for field in of.ordered() {
            if cx.get_field(table, &field.name) != Kind::Nil {
                one(cx, schema, field, out, depth)?;
            }
            cx.pop(1);
        }
        return Ok(());
    }
    cx.push_nil();
    while cx.next(table) {
        let field = match cx.kind(-2) {
            Kind::String => cx
                .to_bytes(-2)
                .and_then(|name| std::str::from_utf8(name).ok())
                .and_then(|name| of.by_name(name)),
            _ => None,
        };
        if let Some(field) = field {
            one(cx, schema, field, out, depth)?;
        }
        cx.pop(1);
    }
    Ok(())
}

fn bad(text: String) -> Raise {
    Raise::Argument(2, text)
}

/// Writes the value on top of the stack as what a field holds.
fn one(cx: &mut Call<'_>, schema: &Schema, field: &Field, out: &mut Vec<u8>, depth: usize) -> Done {
    if !field.repeated {
        return tagged(cx, schema, field, out, field.drops_zero(), depth);
    }
    if cx.kind(-1) != Kind::Table {
        return Err(not_a_table(cx, field));
    }
    let entry = schema
        .find(&field.of)
        .filter(|of| field.kind == MESSAGE && of.map_entry);
    if let Some(entry) = entry {
        return map(cx, schema, field, entry, out, depth);
    }
    let list = cx.top();
    let mut block = Vec::new();
    for index in 1.. {
        if cx.get_item(list, index) == Kind::Nil {
            cx.pop(1);
            break;
        }
        if field.is_packed() {
            value(cx, schema, field, &mut block, depth)?;
        } else {
            tagged(cx, schema, field, out, false, depth)?;
        }
        cx.pop(1);
    }
    if !block.is_empty() {
        put_tag(out, field.number, Wire::Bytes);
        put_bytes(out, &block);
    }
    Ok(())
}

fn not_a_table(cx: &Call<'_>, field: &Field) -> Raise {
    let got = cx.kind_name(-1);
    bad(format!(
        "table expected at field '{}', got {got}",
        field.name
    ))
}

/// A map: its entries in the table's own order.
fn map(
    cx: &mut Call<'_>,
    schema: &Schema,
    field: &Field,
    entry: &Type,
    out: &mut Vec<u8>,
    depth: usize,
) -> Done {
    let table = cx.top();
    cx.push_nil();
    while cx.next(table) {
        let mut pair = Vec::new();
        if let Some(key) = entry.by_number(1) {
            cx.push_value(-2);
            tagged(cx, schema, key, &mut pair, true, depth)?;
            cx.pop(1);
        }
        if let Some(content) = entry.by_number(2) {
            tagged(cx, schema, content, &mut pair, true, depth)?;
        }
        put_tag(out, field.number, Wire::Bytes);
        put_bytes(out, &pair);
        cx.pop(1);
    }
    Ok(())
}

/// A value with its tag; nothing of it if it is zero and those are dropped.
fn tagged(
    cx: &mut Call<'_>,
    schema: &Schema,
    field: &Field,
    out: &mut Vec<u8>,
    drop_zero: bool,
    depth: usize,
) -> Done {
    let mut bytes = Vec::new();
    value(cx, schema, field, &mut bytes, depth)?;
    let zero = bytes.iter().all(|byte| *byte == 0);
    if drop_zero && zero && !matches!(field.kind, MESSAGE | ENUM) {
        return Ok(());
    }
    put_tag(out, field.number, Wire::of_type(field.kind));
    out.extend(bytes);
    Ok(())
}

/// The value on top of the stack, without its tag.
fn value(
    cx: &mut Call<'_>,
    schema: &Schema,
    field: &Field,
    out: &mut Vec<u8>,
    depth: usize,
) -> Done {
    let zigzag = |n: i64| ((n << 1) ^ (n >> 63)).cast_unsigned();
    match field.kind {
        1 => out.extend(f64::from(number(cx, field)?).to_le_bytes()),
        2 => out.extend(number(cx, field)?.to_le_bytes()),
        3 | 4 => put_varint(out, integer(cx, field)?.cast_unsigned()),
        5 => {
            let low = integer(cx, field)? as i32;
            put_varint(out, i64::from(low).cast_unsigned());
        }
        6 | 16 => out.extend(integer(cx, field)?.to_le_bytes()),
        7 | 15 => out.extend((integer(cx, field)? as u32).to_le_bytes()),
        8 => out.push(u8::from(cx.to_boolean(-1))),
        9 | 12 => {
            if cx.kind(-1) != Kind::String {
                let (name, got) = (&field.name, cx.kind_name(-1));
                return Err(bad(format!(
                    "string expected for field '{name}', got {got}"
                )));
            }
            put_bytes(out, cx.to_bytes(-1).unwrap_or_default());
        }
        MESSAGE => {
            if cx.kind(-1) != Kind::Table {
                return Err(not_a_table(cx, field));
            }
            let mut inner = Vec::new();
            if let Some(of) = schema.find(&field.of) {
                message(cx, schema, of, &mut inner, depth + 1)?;
            }
            put_bytes(out, &inner);
        }
        13 => put_varint(out, u64::from(integer(cx, field)? as u32)),
        ENUM => enumeration(cx, schema, field, out)?,
        17 => {
            let low = integer(cx, field)? as i32;
            put_varint(out, u64::from(zigzag(low.into()) as u32));
        }
        18 => put_varint(out, zigzag(integer(cx, field)?)),
        other => return Err(Raise::Plain(format!("unknown type {}", type_name(other)))),
    }
    Ok(())
}

fn enumeration(cx: &Call<'_>, schema: &Schema, field: &Field, out: &mut Vec<u8>) -> Done {
    match cx.kind(-1) {
        // Through a float, as on the board: negative ones become 0.
        Kind::Number => put_varint(out, cx.to_number(-1).unwrap_or(0.0) as u64),
        Kind::String => {
            let name = String::from_utf8_lossy(cx.to_bytes(-1).unwrap_or_default()).into_owned();
            let of = schema.find(&field.of);
            let known = of.and_then(|of| of.values.iter().find(|(n, _)| *n == name));
            let Some((_, number)) = known else {
                let at = &field.name;
                return Err(bad(format!(
                    "can not encode unknown enum '{name}' at field '{at}'"
                )));
            };
            put_varint(out, u64::from(number.cast_unsigned()));
        }
        _ => {
            let (name, got) = (&field.name, cx.kind_name(-1));
            return Err(bad(format!(
                "number/string expected at field '{name}', got {got}"
            )));
        }
    }
    Ok(())
}

fn number(cx: &Call<'_>, field: &Field) -> Result<f32, Raise> {
    cx.to_number(-1).ok_or_else(|| not_a_number(cx, field))
}

fn not_a_number(cx: &Call<'_>, field: &Field) -> Raise {
    let (name, got) = (&field.name, cx.kind_name(-1));
    bad(format!("number expected for field '{name}', got {got}"))
}

/// An integer of 64 bits: what converts to the VM's, else what its text says.
fn integer(cx: &mut Call<'_>, field: &Field) -> Result<i64, Raise> {
    if let Some(n) = cx.to_integer(-1) {
        return Ok(n.into());
    }
    if !matches!(cx.kind(-1), Kind::String | Kind::Number) {
        return Err(not_a_number(cx, field));
    }
    cx.push_value(-1);
    cx.tostring()?;
    let text = String::from_utf8_lossy(cx.to_bytes(-1).unwrap_or_default()).into_owned();
    cx.pop(2);
    parse(&text).ok_or_else(|| Raise::Plain(format!("integer format error: '{text}'")))
}

/// The firmware's own reading of a text: signs, then digits; among decimal ones
/// `a` counts as ten.
fn parse(text: &str) -> Option<i64> {
    let digits = text.trim_start_matches(['#', '+', '-']);
    let signs = &text[..text.len() - digits.len()];
    let negative = signs.matches('-').count() % 2 == 1;
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let base = if hexadecimal.is_some() { 16 } else { 10 };
    let mut value = 0u64;
    for c in hexadecimal.unwrap_or(digits).chars() {
        let digit = c
            .to_digit(16)
            .filter(|digit| *digit < base || *digit == 10)?;
        value = value.wrapping_mul(base.into()).wrapping_add(digit.into());
    }
    let value = value.cast_signed();
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}
