//! `fskv`: key-value pairs in a littlefs of their own.

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::fs::BLOCK;
use crate::libs::{Library, json_decode, json_encode};
use crate::runtime::{Level, Runtime, Wait, suspend};

pub(crate) const LIBRARY: Library = Library {
    name: "fskv",
    functions: &[
        ("init", init),
        ("set", set),
        ("get", get),
        ("del", del),
        ("clr", clear),
        ("clear", clear),
        ("stat", status),
        ("status", status),
        ("iter", iter),
        ("next", next),
        ("sett", sett),
        ("kvdb_init", init),
        ("kv_set", set),
        ("kv_get", get),
        ("kv_del", del),
        ("kv_clr", clear),
        ("kv_stat", status),
        ("kv_iter", iter),
        ("kv_next", next),
    ],
    constants: &[],
};

/// Largest value, its type byte included.
const VALUE: usize = 4096;
/// Longest key; it is a file name.
const KEY: usize = 63;
/// Class of iterators: the position is the object's number in the slab.
const ITERATOR: u32 = 5;

/// Type bytes: Lua's own numbers, and one for integers.
const BOOLEAN: u8 = 1;
const NUMBER: u8 = 3;
const STRING: u8 = 4;
const TABLE: u8 = 5;
const INTEGER: u8 = 19;

/// Registers the class of iterators.
pub(crate) fn open(cx: &mut Call<'_>) {
    cx.push_table(0, 0);
    cx.set_class(ITERATOR);
}

/// False, with a line, before `fskv.init()`.
fn ready(rt: &mut Runtime) -> bool {
    if !rt.fskv_ready {
        rt.lib_line(Level::Error, "fskv call fskv.init() first!!!");
    }
    rt.fskv_ready
}

fn init(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    if !std::mem::replace(&mut rt.fskv_ready, true) {
        if !std::mem::replace(&mut rt.flash.fskv_formatted, true) {
            let line = "lfs sfd_lfs mount ret -84, exec auto-format";
            rt.lib_line(Level::Info, line);
            let until = rt.now() + rt.config.tunables.fskv_format;
            suspend(cx, Wait::Until(until));
        }
        cx.host().lib_line(Level::Debug, "lfs init ok");
    }
    cx.push_boolean(true);
    Ok(1)
}

/// The stored form of the value at `index`, or what is wrong with it.
fn encode(cx: &mut Call<'_>, index: i32) -> Result<Vec<u8>, &'static str> {
    let (kind, bytes) = match cx.kind(index) {
        Kind::Boolean => (BOOLEAN, vec![u8::from(cx.to_boolean(index))]),
        Kind::Number if cx.is_integer(index) => {
            let value = cx.to_integer(index).unwrap_or(0);
            (INTEGER, value.to_le_bytes().to_vec())
        }
        Kind::Number => {
            let value = cx.to_number(index).unwrap_or(0.0);
            (NUMBER, value.to_be_bytes().to_vec())
        }
        Kind::String => (STRING, cx.to_bytes(index).unwrap_or_default().to_vec()),
        Kind::Table => match json_encode::encode(cx, index, None) {
            Ok(text) => (TABLE, text),
            Err(_) => return Err("json.encode(val) report error"),
        },
        _ => return Err("function/userdata/nil/thread isn't allow"),
    };
    Ok([vec![kind], bytes].concat())
}

/// Keys are names in the root of the store's file system.
fn valid(key: &str) -> bool {
    !key.is_empty() && key.len() <= KEY
}

/// Stores the value at `index`; the result of `fskv.set`.
fn store(cx: &mut Call<'_>, key: &str, index: i32) -> bool {
    let value = match encode(cx, index) {
        Ok(value) => value,
        Err(text) => {
            cx.host().lib_line(Level::Warn, &format!("fskv {text}"));
            return false;
        }
    };
    let rt = cx.host();
    if value.len() > VALUE {
        let line = format!("fskv value too big {} max {VALUE}", value.len());
        rt.lib_line(Level::Error, &line);
        return false;
    }
    let stored = valid(key).then(|| rt.flash.fskv.write(key, value));
    match stored {
        Some(Ok(committed)) => committed || !rt.config.core.is_new(),
        _ => false,
    }
}

fn set(cx: &mut Call<'_>) -> Results {
    if !ready(cx.host()) {
        return Ok(0);
    }
    let key = cx.check_text(1)?;
    let stored = store(cx, &key, 2);
    cx.push_boolean(stored);
    Ok(1)
}

/// Pushes the table stored under `key`, or a new one.
fn push_stored_table(cx: &mut Call<'_>, key: &str) {
    let stored = cx.host().flash.fskv.read(key).map(<[u8]>::to_vec);
    let text = stored.filter(|value| value.first() == Some(&TABLE));
    let top = cx.top();
    if let Some(text) = text
        && json_decode::decode(cx, &text[1..]).is_ok()
        && cx.kind(-1) == Kind::Table
    {
        return;
    }
    cx.set_top(top);
    cx.push_table(0, 1);
}

/// `fskv.sett(key, member, value)`; nil takes the member away.
fn sett(cx: &mut Call<'_>) -> Results {
    if !ready(cx.host()) {
        return Ok(0);
    }
    let key = cx.check_text(1)?;
    let member = cx.check_text(2)?;
    if cx.top() < 3 {
        cx.host()
            .lib_line(Level::Debug, "fskv require key skey value");
        return Ok(0);
    }
    push_stored_table(cx, &key);
    cx.push_value(3);
    cx.set_field(-2, &member);
    let at = cx.top();
    let stored = store(cx, &key, at);
    cx.push_boolean(stored);
    Ok(1)
}

/// `fskv.get(key, member)`; values without content count as absent.
fn get(cx: &mut Call<'_>) -> Results {
    if !ready(cx.host()) {
        return Ok(0);
    }
    let key = cx.check_text(1)?;
    let member = if cx.is_none_or_nil(2) {
        String::new()
    } else {
        cx.check_text(2)?
    };
    let value = cx.host().flash.fskv.read(&key).map(<[u8]>::to_vec);
    let Some(value) = value.filter(|value| value.len() >= 2) else {
        return Ok(0);
    };
    let content = &value[1..];
    let word = <[u8; 4]>::try_from(content).unwrap_or_default();
    match value[0] {
        BOOLEAN => cx.push_boolean(content[0] != 0),
        INTEGER => cx.push_integer(i32::from_le_bytes(word)),
        NUMBER => cx.push_number(f32::from_be_bytes(word)),
        STRING => cx.push_bytes(content),
        _ => {
            if json_decode::decode(cx, content).is_err() {
                cx.push_nil();
            } else if !member.is_empty() && cx.kind(-1) == Kind::Table {
                cx.get_field(-1, &member);
            }
        }
    }
    Ok(1)
}

/// True whether or not there was such a key.
fn del(cx: &mut Call<'_>) -> Results {
    if !ready(cx.host()) {
        return Ok(0);
    }
    let key = cx.check_text(1)?;
    // A key that is not there is as good as deleted.
    let _ = cx.host().flash.fskv.remove(&key);
    cx.push_boolean(true);
    Ok(1)
}

fn clear(cx: &mut Call<'_>) -> Results {
    if !ready(cx.host()) {
        return Ok(0);
    }
    cx.host().flash.fskv.format();
    cx.push_boolean(true);
    Ok(1)
}

/// Used bytes, all bytes, number of keys.
fn status(cx: &mut Call<'_>) -> Results {
    if !ready(cx.host()) {
        return Ok(0);
    }
    let volume = &cx.host().flash.fskv;
    let figures = [
        volume.used_blocks() * BLOCK,
        volume.capacity() * BLOCK,
        volume.files().count(),
    ];
    for figure in figures {
        cx.push_integer(i32::try_from(figure).unwrap_or(i32::MAX));
    }
    Ok(3)
}

fn iter(cx: &mut Call<'_>) -> Results {
    if !ready(cx.host()) {
        return Ok(0);
    }
    let id = cx.host().iterators.add(0);
    cx.push_object(ITERATOR, id);
    Ok(1)
}

fn next(cx: &mut Call<'_>) -> Results {
    let Some(id) = cx.to_object(1, ITERATOR) else {
        return Ok(0);
    };
    let rt = cx.host();
    let Some(position) = rt.iterators.get_mut(id) else {
        return Ok(0);
    };
    let key = rt
        .flash
        .fskv
        .list("/")
        .unwrap_or_default()
        .into_iter()
        .nth(*position);
    let Some((key, _)) = key else {
        return Ok(0);
    };
    *position += 1;
    cx.push_bytes(key.as_bytes());
    Ok(1)
}
