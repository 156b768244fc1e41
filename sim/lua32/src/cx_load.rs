//! `load`, with a look at byte code before Lua trusts it.

use crate::cx::{Cx, Kind, Raise};

/// Registry slot of PUC's own `load`.
const STOCK: &str = "stock load";
/// Most bytes a function may give; no device compiles more.
const LARGEST: usize = 4 << 20;
/// All results of a call.
const ALL: i32 = -1;

/// Puts the careful `load` into the globals, under both of its names.
pub(crate) fn open<H>(cx: &mut Cx<'_, H>) {
    cx.get_global("load");
    cx.set_registry(STOCK);
    for name in ["load", "loadstring"] {
        if cx.get_global(name) == Kind::Function {
            cx.push_function(load);
            cx.set_global(name);
        }
        cx.pop(1);
    }
}

/// `load(chunk, name, mode, env)`. What a function gives piece by piece is put
/// together first; everything else is PUC's.
fn load<H>(cx: &mut Cx<'_, H>) -> Result<usize, Raise> {
    let arguments = cx.top();
    for index in [2, 3] {
        if !matches!(
            cx.kind(index),
            Kind::None | Kind::Nil | Kind::String | Kind::Number
        ) {
            let text = format!("string expected, got {}", cx.type_name(index));
            return Err(Raise::Argument(index, text));
        }
    }
    let mut name = match cx.kind(2) {
        Kind::None | Kind::Nil => None,
        _ => cx.to_bytes(2).map(<[u8]>::to_vec),
    };
    let chunk = match cx.kind(1) {
        Kind::String | Kind::Number => cx.to_bytes(1).unwrap_or_default().to_vec(),
        Kind::Function => {
            name.get_or_insert_with(|| b"=(load)".to_vec());
            match collect(cx) {
                Ok(chunk) => chunk,
                // The message is on top.
                Err(()) => {
                    cx.push_nil();
                    let at = cx.top() - 1;
                    cx.insert(at);
                    return Ok(2);
                }
            }
        }
        _ => {
            let text = format!("function expected, got {}", cx.type_name(1));
            return Err(Raise::Argument(1, text));
        }
    };
    let shown = name.as_deref().unwrap_or(&chunk);
    if let Some(word) = Cx::<H>::damage(&chunk) {
        let shown = String::from_utf8_lossy(shown.strip_prefix(b"@").unwrap_or(shown)).into_owned();
        let shown = if shown.starts_with('\x1b') {
            "binary string"
        } else {
            shown.trim_start_matches('=')
        };
        cx.push_nil();
        cx.push_bytes(format!("{shown}: {word} precompiled chunk").as_bytes());
        return Ok(2);
    }
    let base = cx.top();
    cx.get_registry(STOCK);
    if cx.kind(1) == Kind::Function {
        cx.push_bytes(&chunk);
    } else {
        // Not another copy in the device's heap.
        cx.push_value(1);
    }
    match &name {
        Some(name) => cx.push_bytes(name),
        None => cx.push_nil(),
    }
    for index in 3..=arguments {
        cx.push_value(index);
    }
    cx.call(2 + (arguments - 2).max(0), ALL)?;
    Ok(usize::try_from(cx.top() - base).unwrap_or(0))
}

/// What the function at 1 gives until it gives nothing; with the message of an
/// error on top if there is one.
fn collect<H>(cx: &mut Cx<'_, H>) -> Result<Vec<u8>, ()> {
    let mut chunk = Vec::new();
    loop {
        cx.push_value(1);
        cx.call(0, 1).map_err(drop)?;
        match cx.kind(-1) {
            Kind::Nil => break,
            Kind::String | Kind::Number => {
                let piece = cx.to_bytes(-1).unwrap_or_default();
                if piece.is_empty() {
                    break;
                }
                if chunk.len() + piece.len() > LARGEST {
                    cx.push_bytes(b"not enough memory");
                    return Err(());
                }
                chunk.extend_from_slice(piece);
                cx.pop(1);
            }
            _ => {
                cx.push_bytes(b"reader function must return a string");
                return Err(());
            }
        }
    }
    cx.pop(1);
    Ok(chunk)
}
