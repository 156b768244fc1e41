//! `io`: files, and what LuatOS adds to it.

use std::sync::OnceLock;

use airbench_lua32::{Func, Kind, Member, Members, Raise};

use crate::args::{Args, Call, Results};
use crate::fs::{FsError, Mount, Whence};
use crate::libs::{Library, zbuff};
use crate::runtime::Runtime;

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
    let path = cx.check_path(1)?;
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
    let path = cx.check_path(1)?;
    let opened = cx.host().open_file(&path, "r");
    if let Some(id) = opened {
        // It was only read.
        let _ = cx.host().close_file(id);
    }
    cx.push_boolean(opened.is_some());
    Ok(1)
}

/// 0 for what does not exist.
fn file_size(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
    let rt = cx.host();
    let size = rt.open_file(&path, "rb").map_or(0, |id| {
        let size = rt.open_size(id);
        // It was only read.
        let _ = rt.close_file(id);
        size
    });
    cx.push_integer(i32::try_from(size).unwrap_or(i32::MAX));
    Ok(1)
}

/// `io.readFile(path, mode, offset, len)`.
fn read_file(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
    let mode = opt_text(cx, 2, "rb")?;
    let offset = cx.opt_integer(3, 0)?;
    let len = usize::try_from(cx.opt_integer(4, 1 << 30)?).unwrap_or(0);
    let rt = cx.host();
    let Some(id) = rt.open_file(&path, &mode) else {
        return Ok(0);
    };
    if offset > 0 {
        rt.seek_open(id, Whence::Start, offset.into());
    }
    let bytes = rt.read_open(id, len);
    // An error of the close is nobody's.
    let _ = rt.close_file(id);
    cx.push_bytes(&bytes);
    Ok(1)
}

fn write_file(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
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
    // The firmware says true whatever became of the content.
    let _ = cx.host().close_file(id);
    cx.push_boolean(true);
    Ok(1)
}

/// Does nothing on a device, on either core.
fn flush(cx: &mut Call<'_>) -> Results {
    this(cx)?;
    Ok(0)
}

/// One value in a format; false where the file gives none.
fn read_one(cx: &mut Call<'_>, id: u32, index: i32) -> Result<bool, Raise> {
    let number = cx.kind(index) == Kind::Number;
    let len = if number {
        // The buffer is made before anything is read; a negative length is a
        // huge one.
        let len = usize::try_from(cx.check_integer(index)?);
        let len = len.ok().filter(|len| *len < crate::boot::HEAP);
        Some(len.ok_or_else(|| Raise::Plain("not enough memory".to_owned()))?)
    } else {
        None
    };
    let format = if number || cx.kind(index) == Kind::None {
        "l".to_owned()
    } else {
        cx.check_text(index)?
    };
    let format = format.strip_prefix('*').unwrap_or(&format).chars().next();
    let rt = cx.host();
    let bytes = match (len, format) {
        // The firmware asks for the end of the file and pushes nothing, so
        // that the argument itself is the result.
        (Some(0), _) => {
            let end = rt.at_end(id);
            if end {
                cx.push_integer(0);
            }
            return Ok(end);
        }
        (Some(len), _) => Some(rt.read_open(id, len)).filter(|bytes| !bytes.is_empty()),
        (None, Some('l')) => rt.read_line_open(id).map(|mut line| {
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            line
        }),
        (None, Some('L')) => rt.read_line_open(id),
        (None, Some('a')) => Some(rt.read_open(id, usize::MAX)),
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
    let whence = match whence.as_str() {
        "set" => Whence::Start,
        "cur" => Whence::Position,
        "end" => Whence::End,
        _ => return Err(Raise::Argument(2, format!("invalid option '{whence}'"))),
    };
    let offset = cx.opt_integer(3, 0)?;
    match cx.host().seek_open(id, whence, offset.into()) {
        Some(position) => {
            cx.push_integer(position);
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
    let (offset, len) = (cx.to_integer(3).unwrap_or(0), cx.to_integer(4));
    let new = cx.host().config.core.is_new();
    if new {
        let offset_fits = usize::try_from(offset).is_ok_and(|offset| offset <= size);
        if !offset_fits {
            let text = format!("offset {offset} is out of range");
            return Err(Raise::Argument(3, text));
        }
        if let Some(len) = len.filter(|len| *len < 0) {
            return Err(Raise::Argument(4, format!("len {len} is out of range")));
        }
    }
    let offset = usize::try_from(offset).unwrap_or(0).min(size);
    let len = match len {
        Some(len) if new => usize::try_from(len).unwrap_or(0).min(size - offset),
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
    let bytes = cx.host().read_open(id, len);
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
    // A bad format is counted as an argument of `read`.
    let results = read_all(cx, id, first).map_err(|error| match error {
        Raise::Argument(index, text) => Raise::Argument(index - first + 2, text),
        other => other,
    })?;
    let nothing = cx.kind(-(i32::try_from(results).unwrap_or(1))) == Kind::Nil;
    if nothing && close {
        // It was only read.
        let _ = cx.host().close_file(id);
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
    let path = cx.check_path(1)?;
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

fn mkdir(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
    let result = cx.host().make_folder(&path);
    outcome(cx, result)
}

fn rmdir(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
    let result = cx.host().remove_folder(&path);
    outcome(cx, result)
}

/// `io.dexist(path)` of the new core.
fn folder_exists(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
    let found = cx.host().folder_exists(&path);
    cx.push_boolean(found);
    Ok(1)
}

/// `io.lsdir(path, count, offset)`. V1112 looks sizes up by path and name put
/// together: without a slash at the path's end they are 0.
fn lsdir(cx: &mut Call<'_>) -> Results {
    let path = cx.check_path(1)?;
    let count = cx.opt_integer(2, 10)?;
    let count = usize::try_from(count).unwrap_or(10).min(100);
    let offset = usize::try_from(cx.opt_integer(3, 0)?).unwrap_or(0);
    // On the root the offset counts `.` and `..`, which are not shown.
    let root = cx.host().mount_of(&path).0 == Mount::Root;
    let hidden = if root { 2 } else { 0 };
    let offset = offset.saturating_sub(hidden);
    let entries = cx.host().list_folder(&path);
    let slash = cx.host().config.core.is_new() && !path.ends_with('/');
    let folder_path = if slash { format!("{path}/") } else { path };
    cx.push_boolean(true);
    cx.push_table(0, 0);
    let shown = entries.into_iter().skip(offset).take(count);
    for ((name, folder), index) in shown.zip(1..) {
        cx.push_table(0, 3);
        cx.push_integer(folder.into());
        cx.set_field(-2, "type");
        let size = cx.host().read_file(&format!("{folder_path}{name}"));
        let size = size.filter(|_| !folder).map_or(0, |content| content.len());
        cx.push_bytes(name.as_bytes());
        cx.set_field(-2, "name");
        cx.push_integer(i32::try_from(size).unwrap_or(0));
        cx.set_field(-2, "size");
        cx.set_item(-2, index);
    }
    Ok(2)
}

fn mkfs(cx: &mut Call<'_>) -> Results {
    let prefix = cx.check_path(1)?;
    let done = cx.host().format(&prefix);
    cx.push_boolean(done);
    cx.push_integer(if done { 0 } else { -1 });
    Ok(2)
}

fn lsmount(cx: &mut Call<'_>) -> Results {
    cx.push_table(0, 0);
    for (point, index) in cx.host().mounts.clone().iter().zip(1..) {
        cx.push_table(0, 2);
        cx.push_bytes(point.prefix.as_bytes());
        cx.set_field(-2, "path");
        cx.push_bytes(point.fs.as_bytes());
        cx.set_field(-2, "fs");
        cx.set_item(-2, index);
    }
    Ok(1)
}
