//! `io`: files, and what LuatOS adds to it.

use std::sync::OnceLock;

use airbench_lua32::{Func, Kind, Member, Members, Raise};

use crate::args::{Args, Call, Results};
use crate::fs::{FsError, Mount, counts_dots};
use crate::libs::{Library, zbuff};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "io",
    functions: &[
        ("open", open_path),
        ("type", kind),
        ("exists", exists),
        ("fileSize", file_size),
        ("readFile", read_file),
        ("writeFile", write_file),
        ("lines", lines),
        ("mkdir", mkdir),
        ("rmdir", rmdir),
        ("lsdir", lsdir),
        ("mkfs", mkfs),
        ("lsmount", lsmount),
        ("dexist", folder_exists),
        ("fsstat", super::fs::fsstat),
        ("fsize", file_size),
    ],
    constants: &[],
};

const METHODS: &[(&str, Func<Runtime>)] = &[
    ("close", close),
    ("flush", flush),
    ("lines", file_lines),
    ("read", read),
    ("write", write),
    ("seek", seek),
    ("fill", fill),
];

/// Class of file handles.
const CLASS: u32 = 4;
/// What a failed operation reports. The board's file systems never set errno,
/// so scripts see what the C library left there, which nothing public tells;
/// the recordings have C's "no such entry".
pub(crate) const ERRNO: i32 = 2;

/// Registers the class of file handles.
pub(crate) fn open(cx: &mut Call<'_>) {
    static MEMBERS: OnceLock<Members<Runtime>> = OnceLock::new();
    let members = MEMBERS.get_or_init(|| {
        let method =
            |(name, func): &(&'static str, Func<Runtime>)| (*name, Member::Function(*func));
        Members(METHODS.iter().map(method).collect())
    });
    cx.push_table(0, 3);
    cx.push_table(0, 0);
    cx.make_rotable(members);
    cx.make_method_index();
    cx.set_field(-2, "__index");
    // No `__gc`: a handle that is dropped without `close` stays open.
    cx.push_bytes(b"FILE*");
    cx.set_field(-2, "__name");
    cx.set_class(CLASS);
}

/// The number of the open file a method was called on.
fn this(cx: &mut Call<'_>) -> Result<u32, Raise> {
    let id = cx
        .to_object(1, CLASS)
        .ok_or_else(|| Raise::Argument(1, format!("FILE* expected, got {}", cx.type_name(1))))?;
    if cx.host().files.get(id).is_none() {
        return Err(Raise::Message("attempt to use a closed file".into()));
    }
    Ok(id)
}

/// `nil, "path: errno", errno`.
pub(crate) fn failure(cx: &mut Call<'_>, path: Option<&str>) -> Results {
    cx.push_nil();
    let text = path.map_or_else(|| ERRNO.to_string(), |path| format!("{path}: {ERRNO}"));
    cx.push_bytes(text.as_bytes());
    cx.push_integer(ERRNO);
    Ok(3)
}

/// Lua's own check: `[rwa]`, `+`, then only `b`.
fn valid_mode(mode: &str) -> bool {
    let Some(rest) = mode.strip_prefix(['r', 'w', 'a']) else {
        return false;
    };
    let rest = rest.strip_prefix('+').unwrap_or(rest);
    rest.chars().all(|c| c == 'b')
}

fn opt_text(cx: &Call<'_>, index: i32, default: &str) -> Result<String, Raise> {
    if cx.is_none_or_nil(index) {
        Ok(default.to_owned())
    } else {
        cx.check_text(index)
    }
}

fn open_path(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let mode = opt_text(cx, 2, "r")?;
    if !valid_mode(&mode) {
        return Err(Raise::Argument(2, "invalid mode".into()));
    }
    match cx.host().open_file(&path, &mode) {
        Some(id) => {
            cx.push_object(CLASS, id);
            Ok(1)
        }
        None => failure(cx, Some(&path)),
    }
}

fn kind(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::None {
        return Err(Raise::Argument(1, "value expected".into()));
    }
    match cx.to_object(1, CLASS) {
        None => cx.push_nil(),
        Some(id) if cx.host().files.get(id).is_some() => cx.push_bytes(b"file"),
        Some(_) => cx.push_bytes(b"closed file"),
    }
    Ok(1)
}

fn exists(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let opened = cx.host().open_file(&path, "r");
    let exists = opened.is_some_and(|id| cx.host().close_file(id));
    cx.push_boolean(exists);
    Ok(1)
}

/// 0 for what does not exist.
fn file_size(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let size = match cx.host().open_file(&path, "rb") {
        Some(id) => {
            cx.host().close_file(id);
            cx.host()
                .read_file(&path)
                .map_or(0, |content| content.len())
        }
        None => 0,
    };
    cx.push_integer(i32::try_from(size).unwrap_or(i32::MAX));
    Ok(1)
}

/// `io.readFile(path, mode, offset, len)`.
fn read_file(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let mode = opt_text(cx, 2, "rb")?;
    let offset = cx.opt_integer(3, 0)?;
    let len = usize::try_from(cx.opt_integer(4, 1 << 30)?).unwrap_or(0);
    let rt = cx.host();
    let Some(id) = rt.open_file(&path, &mode) else {
        return Ok(0);
    };
    let core = rt.config.core;
    let bytes = rt.files.get_mut(id).map(|file| {
        file.seek(0, offset.max(0).into(), core);
        file.read(len)
    });
    rt.close_file(id);
    cx.push_bytes(&bytes.unwrap_or_default());
    Ok(1)
}

fn write_file(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let data = cx.check_bytes(2)?;
    let mode = opt_text(cx, 3, "wb+")?;
    if !cx.host().write_file(&path, &mode, &data) {
        return Ok(0);
    }
    cx.push_boolean(true);
    Ok(1)
}

fn close(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    cx.host().close_file(id);
    cx.push_boolean(true);
    Ok(1)
}

/// V1112 does nothing here.
fn flush(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if cx.host().config.core.is_new() {
        cx.host().sync_file(id);
        cx.push_boolean(true);
        return Ok(1);
    }
    Ok(0)
}

/// One value in a format; false where the file gives none.
fn read_one(cx: &mut Call<'_>, id: u32, index: i32) -> Result<bool, Raise> {
    let number = cx.kind(index) == Kind::Number;
    let len = if number {
        // A negative length is a huge one.
        let len = usize::try_from(cx.check_integer(index)?);
        Some(len.map_err(|_| Raise::Plain("not enough memory".to_owned()))?)
    } else {
        None
    };
    let format = if number || cx.kind(index) == Kind::None {
        "l".to_owned()
    } else {
        cx.check_text(index)?
    };
    let format = format.strip_prefix('*').unwrap_or(&format).chars().next();
    let Some(file) = cx.host().files.get_mut(id) else {
        return Ok(false);
    };
    let bytes = match (len, format) {
        // The firmware asks for the end of the file and pushes nothing, so
        // that the argument itself is the result.
        (Some(0), _) => {
            let end = file.at_end();
            if end {
                cx.push_integer(0);
            }
            return Ok(end);
        }
        (Some(len), _) => Some(file.read(len)).filter(|bytes| !bytes.is_empty()),
        (None, Some('l')) => file.read_line().map(|mut line| {
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            line
        }),
        (None, Some('L')) => file.read_line(),
        (None, Some('a')) => Some(file.read(usize::MAX)),
        _ => return Err(Raise::Argument(index, "invalid format".into())),
    };
    if let Some(bytes) = &bytes {
        cx.push_bytes(bytes);
    }
    Ok(bytes.is_some())
}

/// Reads in the formats of the arguments from `first` on, up to a failure.
fn read_all(cx: &mut Call<'_>, id: u32, first: i32) -> Results {
    let last = cx.top().max(first);
    for index in first..=last {
        if !read_one(cx, id, index)? {
            cx.push_nil();
            return Ok(usize::try_from(index - first + 1).unwrap_or(1));
        }
    }
    Ok(usize::try_from(last - first + 1).unwrap_or(1))
}

fn read(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    read_all(cx, id, 2)
}

/// `f:write(…)`: the file, or a failure. V1112 takes no zbuff.
fn write(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let last = cx.top();
    for index in 2..=last {
        let new = cx.host().config.core.is_new();
        let bytes = match zbuff::arg(cx, index).filter(|_| new) {
            Some(buffer) => zbuff::with(cx, buffer, |b| b.slice(0, b.used())),
            None => cx.check_bytes(index)?,
        };
        if !cx.host().write_open(id, &bytes) {
            return failure(cx, None);
        }
    }
    cx.push_value(1);
    Ok(1)
}

fn seek(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    let whence = opt_text(cx, 2, "cur")?;
    let Some(whence) = ["set", "cur", "end"].iter().position(|w| *w == whence) else {
        return Err(Raise::Argument(2, format!("invalid option '{whence}'")));
    };
    let offset = cx.opt_integer(3, 0)?;
    let rt = cx.host();
    let core = rt.config.core;
    let moved = rt.files.get_mut(id).and_then(|file| {
        file.seek(whence, offset.into(), core)
            .then(|| file.position())
    });
    match moved {
        Some(position) => {
            cx.push_integer(i32::try_from(position).unwrap_or(i32::MAX));
            Ok(1)
        }
        None => failure(cx, None),
    }
}

/// `f:fill(zbuff, offset, len)`: into the buffer, its cursor unmoved.
fn fill(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if cx.kind(2) != Kind::Userdata {
        return Ok(0);
    }
    let Some(buffer) = zbuff::arg(cx, 2) else {
        return Err(Raise::Argument(2, "ZBUFF* expected, got userdata".into()));
    };
    let size = zbuff::with(cx, buffer, |b| b.data.len());
    let offset = usize::try_from(cx.to_integer(3).unwrap_or(0))
        .unwrap_or(0)
        .min(size);
    let len = match cx.to_integer(4) {
        Some(len) => {
            let len = usize::try_from(len).unwrap_or(0).min(size);
            // The firmware takes the offset off where it does not fit.
            if offset + len > size {
                len.saturating_sub(offset)
            } else {
                len
            }
        }
        None => size - offset,
    };
    let bytes = cx.host().files.get_mut(id).map(|file| file.read(len));
    let bytes = bytes.unwrap_or_default();
    zbuff::with(cx, buffer, |b| {
        b.data[offset..offset + bytes.len()].copy_from_slice(&bytes);
    });
    cx.push_boolean(true);
    cx.push_integer(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    Ok(2)
}

/// The iterator of `lines`; its value is `{file, close, formats…}`.
fn next_line(cx: &mut Call<'_>) -> Results {
    cx.push_own_value();
    let state = cx.top();
    cx.get_item(state, 1);
    let id = cx.to_object(-1, CLASS);
    let Some(id) = id.filter(|id| cx.host().files.get(*id).is_some()) else {
        return Err(Raise::Message("file is already closed".into()));
    };
    cx.get_item(state, 2);
    let close = cx.to_boolean(-1);
    let first = cx.top() + 1;
    for index in 3.. {
        if cx.get_item(state, index) == Kind::Nil {
            cx.pop(1);
            break;
        }
    }
    let results = read_all(cx, id, first)?;
    let nothing = cx.kind(-(i32::try_from(results).unwrap_or(1))) == Kind::Nil;
    if nothing && close {
        cx.host().close_file(id);
    }
    Ok(results)
}

/// Pushes the iterator for the file on top, with the formats at `from` on.
fn push_lines(cx: &mut Call<'_>, from: i32, close: bool) -> Results {
    let file = cx.top();
    let last = file - 1;
    cx.push_table(4, 0);
    let state = cx.top();
    cx.push_value(file);
    cx.set_item(state, 1);
    cx.push_boolean(close);
    cx.set_item(state, 2);
    for (format, slot) in (from..=last).zip(3..) {
        cx.push_value(format);
        cx.set_item(state, slot);
    }
    cx.push_function_with(next_line);
    Ok(1)
}

fn file_lines(cx: &mut Call<'_>) -> Results {
    this(cx)?;
    cx.push_value(1);
    push_lines(cx, 2, false)
}

fn lines(cx: &mut Call<'_>) -> Results {
    if cx.is_none_or_nil(1) {
        let text = "FILE* expected, got nil".to_owned();
        return Err(Raise::Argument(1, text));
    }
    let path = cx.check_text(1)?;
    let Some(id) = cx.host().open_file(&path, "r") else {
        return Err(Raise::Message(format!(
            "cannot open file '{path}' ({ERRNO})"
        )));
    };
    cx.push_object(CLASS, id);
    push_lines(cx, 2, true)
}

/// `true, 0` or `false, code`.
fn outcome(cx: &mut Call<'_>, result: Result<(), FsError>) -> Results {
    cx.push_boolean(result.is_ok());
    cx.push_integer(result.map_or_else(|error| error as i32, |()| 0));
    Ok(2)
}

pub(crate) fn make_folder(rt: &mut Runtime, path: &str) -> Result<(), FsError> {
    match rt.volume(path) {
        // Its buffer holds 63 characters; one is no name.
        Some((_, rest)) if rest.len() > 63 || rest.len() < 2 => Err(FsError::NoEntry),
        Some((volume, rest)) => volume.make_folder(rest),
        None => Ok(()),
    }
}

pub(crate) fn remove_folder(rt: &mut Runtime, path: &str) -> Result<(), FsError> {
    match rt.volume(path) {
        Some((volume, rest)) => volume.remove(rest),
        None => Ok(()),
    }
}

fn mkdir(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let result = make_folder(cx.host(), &path);
    outcome(cx, result)
}

fn rmdir(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let result = remove_folder(cx.host(), &path);
    outcome(cx, result)
}

/// `io.dexist(path)` of the new core.
fn folder_exists(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let found = match cx.host().volume(&path) {
        Some((volume, rest)) => volume.list(rest).is_some(),
        None => true,
    };
    cx.push_boolean(found);
    Ok(1)
}

/// `io.lsdir(path, count, offset)`. Sizes are looked up by path and name put
/// together: without a slash at the path's end they are 0.
fn lsdir(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let count = cx.opt_integer(2, 10)?;
    let count = usize::try_from(count).unwrap_or(10).min(100);
    let offset = usize::try_from(cx.opt_integer(3, 0)?).unwrap_or(0);
    let hidden = if counts_dots(&path) { 2 } else { 0 };
    let offset = offset.saturating_sub(hidden);
    let entries = cx.host().list_folder(&path);
    cx.push_boolean(true);
    cx.push_table(0, 0);
    let shown = entries.into_iter().skip(offset).take(count);
    for ((name, folder), index) in shown.zip(1..) {
        cx.push_table(0, 3);
        cx.push_integer(folder.into());
        cx.set_field(-2, "type");
        let size = cx.host().read_file(&format!("{path}{name}"));
        let size = size.filter(|_| !folder).map_or(0, |content| content.len());
        cx.push_bytes(name.as_bytes());
        cx.set_field(-2, "name");
        cx.push_integer(i32::try_from(size).unwrap_or(0));
        cx.set_field(-2, "size");
        cx.set_item(-2, index);
    }
    Ok(2)
}

/// Formats the volume mounted at exactly this prefix.
pub(crate) fn format(rt: &mut Runtime, prefix: &str) -> bool {
    let mounted = Mount::ALL.iter().find(|(_, known, _)| *known == prefix);
    match mounted.and_then(|_| rt.volume(prefix)) {
        Some((volume, _)) => {
            volume.format();
            true
        }
        None => {
            rt.lib_line(Level::Error, &format!("vfs no such mount point {prefix}"));
            false
        }
    }
}

fn mkfs(cx: &mut Call<'_>) -> Results {
    let prefix = cx.check_text(1)?;
    let done = format(cx.host(), &prefix);
    cx.push_boolean(done);
    cx.push_integer(if done { 0 } else { -1 });
    Ok(2)
}

fn lsmount(cx: &mut Call<'_>) -> Results {
    cx.push_table(0, 0);
    for ((_, prefix, fs), index) in Mount::ALL.iter().zip(1..) {
        cx.push_table(0, 2);
        cx.push_bytes(prefix.as_bytes());
        cx.set_field(-2, "path");
        cx.push_bytes(fs.as_bytes());
        cx.set_field(-2, "fs");
        cx.set_item(-2, index);
    }
    Ok(1)
}
