//! Lua's globals as LuatOS changes them: `print`, `require`, the loaders.

use std::borrow::Cow;
use std::time::Duration;

use airbench_lua32::{Kind, Raise};

use crate::args::{Args, Call, Results};
use crate::libs::io::ERRNO;
use crate::runtime::{Level, Runtime};

/// Size of the firmware's line buffer for `print`.
const LINE: usize = 512;
/// The path buffer of V1112; longer names overflow on the board.
const PATH: usize = 32;

/// Registry slot of the cache of `require`.
const LOADED: &str = "_LOADED";
/// Registry slot of Lua's own `tostring`.
const TOSTRING: &str = "tostring";

/// Longest name of a module the new core takes.
const NAME: usize = 48;

/// Opens the base library and replaces what differs.
pub(crate) fn open(cx: &mut Call<'_>) -> Result<(), Raise> {
    cx.open_base()?;
    cx.get_global("tostring");
    cx.set_registry(TOSTRING);
    for (name, function) in [
        ("print", print as fn(&mut Call<'_>) -> Results),
        ("require", require),
        ("unload", unload),
        ("dofile", dofile),
        ("loadfile", loadfile),
        ("module", |cx| not_modelled(cx, "module")),
    ] {
        cx.push_function(function);
        cx.set_global(name);
    }
    cx.push_table(0, 1);
    cx.push_function(|cx| not_modelled(cx, "package.seeall"));
    cx.set_field(-2, "seeall");
    cx.set_global("package");
    cx.push_table(0, 8);
    cx.set_registry(LOADED);
    Ok(())
}

/// Pops a value that `require(name)` is to give.
pub(crate) fn set_loaded(cx: &mut Call<'_>, name: &str) {
    cx.get_registry(LOADED);
    let at = cx.top() - 1;
    cx.insert(at);
    cx.set_field(at, name);
    cx.pop(1);
}

fn not_modelled(cx: &mut Call<'_>, name: &str) -> Results {
    super::report_not_modelled(cx.host(), name);
    Err(Raise::Message(format!("not modelled: {name}")))
}

/// `print`: pieces joined with TAB (a blank in the new core) in a buffer of 512
/// bytes. A piece that does not fit sends the buffer off as its own record, then
/// follows alone. The buffer is the firmware's, not the call's: a `tostring` that
/// prints sends off what was there, and one that fails leaves it to the next.
fn print(cx: &mut Call<'_>) -> Results {
    let count = cx.top();
    // The global `tostring` decides, whatever it is by now.
    cx.get_global("tostring");
    let tostring = cx.top();
    cx.get_registry(TOSTRING);
    let stock = cx.raw_equal(tostring, -1);
    cx.pop(1);
    let new = cx.host().config.core.is_new();
    for index in 1..=count {
        let piece = piece(cx, index, tostring, stock)?;
        let rt = cx.host();
        if index > 1 {
            if new && rt.print_buffer.len() + 1 >= LINE {
                flush_print(rt, false);
            }
            rt.print_buffer.push(if new { b' ' } else { b'\t' });
        }
        if rt.print_buffer.len() + piece.len() >= LINE {
            flush_print(rt, false);
            emit(rt, piece.into_owned());
        } else {
            rt.print_buffer.extend_from_slice(&piece);
        }
    }
    // The new core sends a record even if there is nothing in it.
    flush_print(cx.host(), new);
    Ok(0)
}

/// The text of argument `index`. With Lua's own `tostring` at `tostring`, the
/// plain types need no call.
fn piece(
    cx: &mut Call<'_>,
    index: i32,
    tostring: i32,
    stock: bool,
) -> Result<Cow<'static, [u8]>, Raise> {
    match cx.kind(index) {
        Kind::Nil if stock => return Ok(Cow::Borrowed(b"nil")),
        Kind::Boolean if stock => {
            let text: &[u8] = if cx.to_boolean(index) {
                b"true"
            } else {
                b"false"
            };
            return Ok(Cow::Borrowed(text));
        }
        Kind::String if stock => {
            return Ok(Cow::Owned(cx.to_bytes(index).unwrap_or_default().to_vec()));
        }
        _ => {}
    }
    cx.push_value(tostring);
    cx.push_value(index);
    cx.call(1, 1)?;
    let Some(text) = cx.to_bytes(-1).map(<[u8]>::to_vec) else {
        return Err(Raise::Message(
            "'tostring' must return a string to 'print'".into(),
        ));
    };
    cx.pop(1);
    Ok(Cow::Owned(text))
}

/// Sends `print`'s buffer off.
fn flush_print(rt: &mut Runtime, empty_too: bool) {
    let line = std::mem::replace(&mut rt.print_buffer, Vec::with_capacity(128));
    if empty_too || !line.is_empty() {
        emit(rt, line);
    }
}

fn emit(rt: &mut Runtime, line: Vec<u8>) {
    let length = line.len() as u64;
    rt.line(line);
    rt.spend(Duration::from_nanos(
        length * rt.config.tunables.log_byte_ns,
    ));
}

/// A file a module may come from.
struct Found {
    path: String,
    code: Vec<u8>,
}

/// Looks a module up: root file system, script partition, built in.
fn search(cx: &mut Call<'_>, name: &str) -> Option<Found> {
    let own = cx.host().paths.clone();
    let own = own
        .iter()
        .flatten()
        .map(|path| path.replacen("%s", name, 1));
    let known = ["/", "/luadb/", "/lua/"]
        .into_iter()
        .flat_map(|folder| ["luac", "lua"].map(|suffix| format!("{folder}{name}.{suffix}")));
    own.chain(known).find_map(|path| {
        let code = cx.host().read_file(&path)?;
        Some(Found { path, code })
    })
}

/// Compiles a file and pushes the chunk.
fn load(cx: &mut Call<'_>, found: &Found) -> Result<(), Raise> {
    cx.load(&source(&found.code), &chunk_name(&found.path, &found.code))
}

/// A script without what Lua skips in files: a byte order mark, and a first
/// line that begins with `#`. Its line end stays, for the lines' numbers.
pub(crate) fn source(code: &[u8]) -> Cow<'_, [u8]> {
    let code = code.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(code);
    if code.first() != Some(&b'#') {
        return Cow::Borrowed(code);
    }
    let rest = code.iter().position(|byte| *byte == b'\n');
    Cow::Borrowed(&code[rest.unwrap_or(code.len())..])
}

/// Scripts are flashed as byte code that carries their bare file name; byte code
/// without a name takes its path's.
fn chunk_name(path: &str, code: &[u8]) -> String {
    let named = match path.strip_prefix("/luadb/") {
        Some(bare) if code.first() != Some(&0x1B) => bare,
        _ => path,
    };
    format!("@{named}")
}

/// `require(name)`; the module gets `(file, name)`, the reverse of stock Lua.
fn require(cx: &mut Call<'_>) -> Results {
    let name = cx.check_text(1)?;
    cx.set_top(1);
    cx.get_registry(LOADED);
    if cx.get_field(2, &name) != Kind::Nil && cx.to_boolean(-1) {
        return Ok(1);
    }
    cx.pop(1);
    let new = cx.host().config.core.is_new();
    if new && name.len() > NAME {
        let len = name.len();
        return Err(Raise::Message(format!(
            "module name '{name}' len {len} is invalid"
        )));
    }
    if !new && "/luadb/.luac".len() + name.len() >= PATH {
        let text = format!("W/require module name '{name}' overflows the firmware's path buffer");
        cx.host().line(text);
    }
    let Some(found) = search(cx, &name) else {
        return Err(Raise::Message(format!(
            "module '{name}' not found{}",
            hint(&name)
        )));
    };
    if load(cx, &found).is_err() {
        let message = String::from_utf8_lossy(cx.to_bytes(-1).unwrap_or_default()).into_owned();
        return Err(Raise::Message(format!(
            "error loading module '{name}' from file '{}':\n\t{message}",
            found.path
        )));
    }
    cx.collect();
    cx.push_bytes(found.path.as_bytes());
    cx.push_bytes(name.as_bytes());
    cx.call(2, 1)?;
    cx.collect();
    if cx.is_none_or_nil(-1) {
        cx.pop(1);
        if cx.get_field(2, &name) != Kind::Nil {
            return Ok(1);
        }
        cx.pop(1);
        cx.push_boolean(true);
    }
    cx.push_value(-1);
    cx.set_field(2, &name);
    Ok(1)
}

/// Libraries that Luatools adds to a project by itself when a script needs
/// them; here they come from a folder.
const LUATOOLS: &[&str] = &[
    "libnet", "libfota", "libfota2", "httpplus", "httpdns", "lbsLoc", "lbsLoc2", "iotcloud",
    "netLed", "udpsrv", "aliyun", "xmodem", "rtkv",
];

/// What to do about a missing module, where that is known.
fn hint(name: &str) -> &'static str {
    if LUATOOLS.contains(&name) {
        " (a library that Luatools adds when it flashes: give its folder with --lib DIR)"
    } else {
        ""
    }
}

/// `unload(name)`: forgets a module and collects.
fn unload(cx: &mut Call<'_>) -> Results {
    let name = cx.check_text(1)?;
    cx.get_registry(LOADED);
    cx.push_nil();
    cx.set_field(-2, &name);
    cx.collect();
    Ok(0)
}

/// Loads a script by path, as `loadfile` does; Lua's own pair on failure.
fn load_path(cx: &mut Call<'_>, mode: &str) -> Result<bool, Raise> {
    if cx.is_none_or_nil(1) {
        cx.push_nil();
        cx.push_bytes(format!("cannot open stdin: {ERRNO}").as_bytes());
        return Ok(false);
    }
    let path = cx.check_text(1)?;
    let Some(code) = cx.host().read_file(&path) else {
        let line = format!("vfs fopen {path} r not found");
        cx.host().lib_line(Level::Debug, &line);
        cx.push_nil();
        cx.push_bytes(format!("cannot open {path}: {ERRNO}").as_bytes());
        return Ok(false);
    };
    let code = source(&code);
    let (kind, letter) = match code.first() {
        Some(0x1B) => ("binary", 'b'),
        _ => ("text", 't'),
    };
    if !mode.contains(letter) {
        cx.push_nil();
        let text = format!("attempt to load a {kind} chunk (mode is '{mode}')");
        cx.push_bytes(text.as_bytes());
        return Ok(false);
    }
    let loaded = cx.load(&code, &chunk_name(&path, &code));
    if loaded.is_err() {
        cx.push_nil();
        let at = cx.top() - 1;
        cx.insert(at);
        return Ok(false);
    }
    Ok(true)
}

/// `loadfile(path, mode, env)`.
fn loadfile(cx: &mut Call<'_>) -> Results {
    let mode = if cx.is_none_or_nil(2) {
        "bt".to_owned()
    } else {
        cx.check_text(2)?
    };
    let environment = cx.top() >= 3;
    if !load_path(cx, &mode)? {
        return Ok(2);
    }
    if environment {
        cx.push_value(3);
        cx.set_environment(-2);
    }
    Ok(1)
}

fn dofile(cx: &mut Call<'_>) -> Results {
    if !load_path(cx, "bt")? {
        return Err(Raise::Value);
    }
    let below = cx.top() - 1;
    cx.call(0, -1)?;
    Ok(usize::try_from(cx.top() - below).unwrap_or(0))
}

/// Loads `sys` and `sysplus` into globals, as the new core does before main.
pub(crate) fn preload(cx: &mut Call<'_>) -> Result<(), Raise> {
    for name in ["sys", "sysplus"] {
        cx.push_function(require);
        cx.push_bytes(name.as_bytes());
        cx.call(1, 1)?;
        cx.set_global(name);
    }
    Ok(())
}

/// Pushes the compiled `main`, or the message why it cannot be run.
pub(crate) fn load_main(cx: &mut Call<'_>) -> Result<(), Raise> {
    match search(cx, "main") {
        Some(found) => load(cx, &found),
        None => {
            cx.push_bytes(b"module 'main' not found");
            Err(Raise::Value)
        }
    }
}
