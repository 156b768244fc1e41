//! `fota`: taking a package in, piece by piece or from a file.

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::fota::{Fota, Status};
use crate::libs::{Library, zbuff};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "fota",
    functions: &[
        ("init", init),
        ("wait", |cx| {
            cx.push_boolean(true);
            Ok(1)
        }),
        ("run", run),
        ("isDone", is_done),
        ("finish", finish),
        ("file", file),
    ],
    constants: &[],
};

/// Pieces `fota.file` reads.
const PIECE: usize = 4096;

/// Begins anew; what was ready and not yet booted is dropped.
fn init(cx: &mut Call<'_>) -> Results {
    cx.host().fota_begin();
    cx.push_boolean(true);
    Ok(1)
}

fn give(cx: &mut Call<'_>, status: Status) -> Results {
    let (ok, done, code) = match status {
        Status::More => (true, false, 1),
        Status::Complete => (true, true, 0),
        Status::Failed => (false, true, -1),
    };
    cx.push_boolean(ok);
    cx.push_boolean(done);
    cx.push_integer(code);
    Ok(3)
}

/// `run(data)` or `run(zbuff, offset, length)`
fn run(cx: &mut Call<'_>) -> Results {
    let piece = match zbuff::arg(cx, 1) {
        Some(buffer) => {
            let (used, size) = zbuff::with(cx, buffer, |b| (b.used(), b.data.len()));
            let offset = usize::try_from(cx.opt_integer(2, 0)?).unwrap_or(usize::MAX);
            let rest = i32::try_from(used.saturating_sub(offset)).unwrap_or(0);
            let len = usize::try_from(cx.opt_integer(3, rest)?).unwrap_or(usize::MAX);
            let end = offset.saturating_add(len);
            if end > size {
                let line = format!("fota len too long {end} > {size}");
                cx.host().lib_line(Level::Error, &line);
                return give(cx, Status::Failed);
            }
            zbuff::with(cx, buffer, |b| b.slice(offset, len))
        }
        None if matches!(cx.kind(1), Kind::String | Kind::Number) => cx.check_bytes(1)?,
        None => Vec::new(),
    };
    let status = cx.host().fota_take(&piece);
    give(cx, status)
}

/// `file(path)`
fn file(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let Some(content) = cx.host().read_file(&path) else {
        let rt = cx.host();
        rt.lib_line(Level::Debug, &format!("vfs fopen {path} rb not found"));
        rt.lib_line(Level::Error, &format!("fota no such file for FOTA {path}"));
        cx.push_boolean(false);
        cx.push_boolean(false);
        cx.push_integer(0);
        return Ok(3);
    };
    let mut status = Status::Complete;
    for piece in content.chunks(PIECE) {
        status = cx.host().fota_take(piece);
        if status == Status::Failed {
            break;
        }
    }
    if cx.host().config.core.is_new() && status == Status::Complete {
        let rt = cx.host();
        rt.lib_line(Level::Info, "fota fota file write done, call fota.done()");
        rt.lib_line(Level::Info, "fota fota done success, call fota.end()");
    }
    give(cx, status)
}

fn is_done(cx: &mut Call<'_>) -> Results {
    let (ok, done) = match cx.host().fota {
        Fota::Idle => (false, true),
        Fota::Running(_) => (true, false),
        Fota::Ready(_) => (true, true),
    };
    cx.push_boolean(ok);
    cx.push_boolean(done);
    Ok(2)
}

fn finish(cx: &mut Call<'_>) -> Results {
    let ready = cx.host().fota_finish();
    cx.push_boolean(ready);
    Ok(1)
}

impl Runtime {
    /// Begins to take a package in.
    pub(crate) fn fota_begin(&mut self) {
        self.fota = Fota::Running(Vec::new());
        self.flash.update = None;
    }

    /// Takes a piece in; a complete package waits in the flash for a reset.
    pub(crate) fn fota_take(&mut self, piece: &[u8]) -> Status {
        let (status, lines) = self.fota.take(piece);
        for line in lines {
            self.lib_line(Level::Info, &format!("fota {line}"));
        }
        if let Fota::Ready(data) = &self.fota {
            self.flash.update = Some(data.clone());
        }
        status
    }

    /// Ends it: true if a package is ready.
    pub(crate) fn fota_finish(&mut self) -> bool {
        let ready = matches!(self.fota, Fota::Ready(_));
        if !ready {
            self.fota = Fota::Idle;
            self.lib_line(Level::Info, "fota fota failed");
        }
        ready
    }
}
