//! `zbuff`: byte buffers with one number that is both cursor and length.

use std::sync::OnceLock;

use airbench_lua32::{Kind, Member, Members, Raise};

use crate::args::{Args, Call, Results};
use crate::config::Core;
use crate::libs::Library;
use crate::libs::zbuff_frame::{self, Frame};
use crate::libs::{zbuff_methods, zbuff_numbers};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "zbuff",
    functions: &[("create", create)],
    constants: &[],
};

/// Class of buffer objects.
pub(crate) const CLASS: u32 = 1;

/// A buffer. `cursor` and "used" are one field, as on the board: whoever seeks
/// also changes the length (facts E and D.7).
#[derive(Debug, Default)]
pub(crate) struct Zbuff {
    pub(crate) data: Vec<u8>,
    pub(crate) cursor: usize,
    /// Bytes by which it may grow: what the system heap has left.
    pub(crate) spare: usize,
    /// Its shape as a picture, if it has one.
    pub(crate) frame: Frame,
    /// The length it could not get.
    refused: Option<usize>,
}

impl Zbuff {
    /// Bytes between the cursor and the end of the allocation.
    pub(crate) fn room(&self) -> usize {
        self.data.len() - self.cursor
    }

    /// The length, which is the cursor.
    pub(crate) fn used(&self) -> usize {
        self.cursor
    }

    /// Copies at the cursor, clipped to the allocation, and advances.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        self.data[self.cursor..self.cursor + len].copy_from_slice(&bytes[..len]);
        self.cursor += len;
        len
    }

    /// Copies at the cursor, growing the allocation by what comes in if it
    /// does not fit.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if bytes.len() > self.room() {
            self.resize(self.data.len() + bytes.len());
        }
        self.write(bytes);
    }

    /// Reads at the cursor, clipped to the allocation, and advances.
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let len = len.min(self.room());
        let bytes = self.data[self.cursor..self.cursor + len].to_vec();
        self.cursor += len;
        bytes
    }

    /// `data[start..start + len]`, clipped to the allocation.
    pub(crate) fn slice(&self, start: usize, len: usize) -> Vec<u8> {
        let start = start.min(self.data.len());
        let end = start.saturating_add(len).min(self.data.len());
        self.data[start..end].to_vec()
    }

    /// From the cursor to the end of the allocation.
    pub(crate) fn tail(&self) -> Vec<u8> {
        self.data[self.cursor..].to_vec()
    }

    /// Reallocates; false (and unchanged) where the board has no memory.
    pub(crate) fn resize(&mut self, len: usize) -> bool {
        if len > self.data.len() + self.spare {
            self.refused = Some(len);
            return false;
        }
        self.spare = self.data.len() + self.spare - len;
        self.data.resize(len, 0);
        self.cursor = self.cursor.min(len);
        true
    }
}

/// The number of a buffer argument, if it is one.
pub(crate) fn arg(cx: &mut Call<'_>, index: i32) -> Option<u32> {
    cx.to_object(index, CLASS)
}

/// The number of the buffer a method was called on.
pub(crate) fn this(cx: &mut Call<'_>) -> Result<u32, Raise> {
    check(cx, 1)
}

/// The number of a buffer argument where nothing else will do.
pub(crate) fn check(cx: &mut Call<'_>, index: i32) -> Result<u32, Raise> {
    arg(cx, index).ok_or_else(|| {
        Raise::Argument(
            index,
            format!("ZBUFF* expected, got {}", cx.type_name(index)),
        )
    })
}

/// Works on a buffer; a freed one is empty.
pub(crate) fn with<T>(cx: &mut Call<'_>, id: u32, work: impl FnOnce(&mut Zbuff) -> T) -> T {
    cx.host().with_zbuff(id, work)
}

impl Runtime {
    /// Works on a buffer and keeps the system heap's account; a freed buffer is
    /// empty and cannot grow.
    pub(crate) fn with_zbuff<T>(&mut self, id: u32, work: impl FnOnce(&mut Zbuff) -> T) -> T {
        let Some(buffer) = self.zbuffs.get_mut(id) else {
            return work(&mut Zbuff::default());
        };
        let before = buffer.data.len();
        buffer.spare = self.system_heap.free();
        let result = work(buffer);
        self.system_heap.resized(before, buffer.data.len());
        if let Some(wanted) = buffer.refused.take() {
            // Both are unsigned and printed as if they were not.
            let (from, to) = (before as i32, wanted as i32);
            let line = format!("zbuff zbuff realloc failed {from} -> {to}");
            self.lib_line(Level::Error, &line);
        }
        result
    }

    /// What the new core says of arguments that lie outside; V1112 does what
    /// it was told.
    pub(crate) fn zbuff_warning(&mut self, text: &str) {
        self.lib_line(Level::Warn, &format!("zbuff {text}"));
    }
}

/// What Lua says of a string with a negative length.
pub(crate) fn too_big() -> Raise {
    Raise::Plain("memory allocation error: block too big".to_owned())
}

/// Lengths for which the new core collects garbage first.
const LARGE: usize = 64 * 1024;
/// Largest picture of the new core in bytes.
const NEW_FRAME: usize = 128 * 1024 * 1024;

/// Registry slot of the function that finds methods by name.
const METHODS: &str = "zbuff methods";

/// Methods the core of 2026 added.
const NEW_METHODS: &[&str] = &["toBase64"];

fn methods(core: Core) -> &'static Members<Runtime> {
    static V1112: OnceLock<Members<Runtime>> = OnceLock::new();
    static NEW: OnceLock<Members<Runtime>> = OnceLock::new();
    let made = if core.is_new() { &NEW } else { &V1112 };
    made.get_or_init(|| {
        let all = [
            zbuff_methods::METHODS,
            zbuff_numbers::METHODS,
            zbuff_frame::METHODS,
        ];
        let all = all
            .into_iter()
            .flatten()
            .filter(|(name, _)| core.is_new() || !NEW_METHODS.contains(name));
        Members(
            all.map(|(name, func)| (*name, Member::Function(*func)))
                .collect(),
        )
    })
}

/// Registers the class of buffer objects.
pub(crate) fn open(cx: &mut Call<'_>) {
    cx.push_table(0, 8);
    for (name, function) in [
        ("__index", index as fn(&mut Call<'_>) -> Results),
        ("__newindex", new_index),
        ("__len", zbuff_methods::len),
        ("__gc", collect),
    ] {
        cx.push_function(function);
        cx.set_field(-2, name);
    }
    cx.push_bytes(b"ZBUFF*");
    cx.set_field(-2, "__name");
    cx.set_class(CLASS);
    cx.push_table(0, 0);
    let core = cx.host().config.core;
    cx.make_rotable(methods(core));
    cx.make_method_index();
    cx.set_registry(METHODS);
}

/// `zbuff.create(len, fill)`; nothing for a length below 1.
fn create(cx: &mut Call<'_>) -> Results {
    let frame = if cx.kind(1) == Kind::Table {
        let Some(frame) = frame_argument(cx)? else {
            return Ok(0);
        };
        Some(frame)
    } else {
        None
    };
    // A negative length is a huge unsigned one on the board.
    let len = match frame {
        Some(frame) => frame.bytes(),
        None => usize::try_from(cx.check_integer(1)?).unwrap_or(usize::MAX),
    };
    if len == 0 {
        return Ok(0);
    }
    let new = cx.host().config.core.is_new();
    if new && len > i32::MAX as usize {
        cx.host()
            .zbuff_warning("invalid zbuff length, create refused");
        return Ok(0);
    }
    if new && len >= LARGE {
        let line = format!(
            "zbuff create large size: {} kbyte, trigger force GC",
            len / 1024
        );
        cx.host().lib_line(Level::Info, &line);
        cx.collect();
        cx.collect();
    }
    if new && len > cx.host().system_heap.free() {
        let line = format!("zbuff create size: {len} byte but memory not enough, trigger GC");
        cx.host().lib_line(Level::Info, &line);
        cx.collect();
        cx.collect();
    }
    if len > cx.host().system_heap.free() {
        if new {
            let line = format!("create size: {len} byte but memory not enough!!!");
            cx.host().zbuff_warning(&line);
        }
        cx.push_nil();
        cx.push_bytes(b"memory not enough");
        return Ok(2);
    }
    let mut buffer = Zbuff {
        data: vec![0; len],
        ..Zbuff::default()
    };
    if let Some(frame) = frame {
        buffer.frame = frame;
        if cx.is_integer(2) {
            buffer.flood(cx.check_integer(2)?.into());
        } else {
            fill_with_garbage(cx.host(), &mut buffer);
        }
    } else if cx.is_integer(2) {
        buffer.data.fill(cx.check_integer(2)? as u8);
    } else {
        fill_with_garbage(cx.host(), &mut buffer);
        match cx.to_bytes(2).map(<[u8]>::to_vec) {
            Some(fill) => {
                buffer.write(&fill);
            }
            None => buffer.data.fill(0),
        }
    }
    cx.host().system_heap.resized(0, len);
    let id = cx.host().zbuffs.add(buffer);
    cx.push_object(CLASS, id);
    Ok(1)
}

/// What the firmware leaves uninitialised; it repeats from run to run.
fn fill_with_garbage(rt: &mut Runtime, buffer: &mut Zbuff) {
    for chunk in buffer.data.chunks_mut(8) {
        let bits = rt.rng.bits().to_le_bytes();
        chunk.copy_from_slice(&bits[..chunk.len()]);
    }
}

/// `{width, height, bits}`; nothing for a depth no display has.
fn frame_argument(cx: &mut Call<'_>) -> Result<Option<Frame>, Raise> {
    let mut numbers = [0; 3];
    for (number, index) in numbers.iter_mut().zip(1..) {
        cx.get_item(1, index);
        *number = cx.check_integer(-1)?;
        cx.pop(1);
    }
    let [width, height, bits] = numbers;
    let frame = Frame {
        width: width.cast_unsigned(),
        height: height.cast_unsigned(),
        bits: bits as u8,
        new: cx.host().config.core.is_new(),
    };
    if !matches!(bits, 1 | 4 | 8 | 16 | 24 | 32) {
        return Ok(None);
    }
    if frame.new && !(1..=NEW_FRAME).contains(&frame.bytes()) {
        cx.host()
            .zbuff_warning("invalid framebuffer size, create refused");
        return Ok(None);
    }
    Ok(Some(frame))
}

fn collect(cx: &mut Call<'_>) -> Results {
    if let Some(id) = arg(cx, 1) {
        with(cx, id, |b| b.data = Vec::new());
        cx.host().zbuffs.remove(id);
    }
    Ok(0)
}

/// `buff[i]` for integers, methods for names.
fn index(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if cx.is_integer(2) {
        let at = usize::try_from(cx.check_integer(2)?).ok();
        let byte = at.and_then(|at| with(cx, id, |b| b.data.get(at).copied()));
        return Ok(byte.map_or(0, |byte| {
            cx.push_integer(byte.into());
            1
        }));
    }
    if cx.kind(2) != Kind::String {
        return Ok(0);
    }
    cx.get_registry(METHODS);
    cx.push_value(1);
    cx.push_value(2);
    cx.call(2, 1)?;
    Ok(1)
}

/// `buff[i] = byte`.
fn new_index(cx: &mut Call<'_>) -> Results {
    let id = this(cx)?;
    if cx.is_integer(2) {
        let at = usize::try_from(cx.check_integer(2)?).ok();
        let value = cx.check_integer(3)? as u8;
        let stored = with(cx, id, |b| {
            let byte = at.and_then(|at| b.data.get_mut(at));
            byte.map(|byte| *byte = value).is_some()
        });
        if !stored && cx.host().config.core.is_new() {
            cx.host()
                .zbuff_warning("zbuff index out of range, write refused");
        }
    }
    Ok(0)
}
