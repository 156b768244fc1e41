//! `fs`: the numbers of the file systems.

use crate::args::{Args, Call, Results};
use crate::fs::{BLOCK, Mount, ROOT_BLOCKS};
use crate::libs::{Library, io};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "fs",
    functions: &[
        ("fsstat", fsstat),
        ("fsize", fsize),
        ("mkdir", |cx| {
            let path = cx.check_text(1)?;
            let result = io::make_folder(cx.host(), &path);
            cx.push_integer(result.map_or_else(|error| error as i32, |()| 0));
            Ok(1)
        }),
        ("rmdir", |cx| {
            let path = cx.check_text(1)?;
            let result = io::remove_folder(cx.host(), &path);
            cx.push_integer(result.map_or_else(|error| error as i32, |()| 0));
            Ok(1)
        }),
        ("mkfs", |cx| {
            let prefix = cx.check_text(1)?;
            let done = io::format(cx.host(), &prefix);
            cx.push_integer(if done { 0 } else { -1 });
            Ok(1)
        }),
        ("mount", mount),
        ("umount", umount),
    ],
    constants: &[],
};

/// `fs.fsstat(path)`: true, blocks, used, block size, name.
pub(crate) fn fsstat(cx: &mut Call<'_>) -> Results {
    let path = if cx.is_none_or_nil(1) {
        "/".to_owned()
    } else {
        cx.check_text(1)?
    };
    let rt = cx.host();
    let scripts: usize = rt.config.scripts.iter().map(|(_, code)| code.len()).sum();
    let (total, used, size, name) = match Mount::of(&path).0 {
        Mount::Root => (ROOT_BLOCKS, rt.flash.root.used_blocks(), BLOCK, "lfs"),
        Mount::Ram => (64, rt.ram.files().count(), 1024, "ram"),
        // The read-only one counts its 128 KiB partition in bytes of 512.
        Mount::Luadb => (128 * 1024 / 512, scripts.div_ceil(512), 512, "luadb"),
        Mount::Inline => {
            cx.push_boolean(false);
            return Ok(1);
        }
    };
    cx.push_boolean(true);
    for figure in [total, used, size] {
        cx.push_integer(i32::try_from(figure).unwrap_or(i32::MAX));
    }
    cx.push_bytes(name.as_bytes());
    Ok(5)
}

fn fsize(cx: &mut Call<'_>) -> Results {
    let path = cx.check_text(1)?;
    let size = cx
        .host()
        .read_file(&path)
        .map_or(0, |content| content.len());
    cx.push_integer(i32::try_from(size).unwrap_or(i32::MAX));
    Ok(1)
}

/// There is no other storage a simulated board could mount.
fn mount(cx: &mut Call<'_>) -> Results {
    cx.check_text(1)?;
    let name = cx.check_text(2)?;
    cx.check_text(3)?;
    cx.check_text(4)?;
    cx.host()
        .lib_line(Level::Error, &format!("vfs no such filesystem {name}"));
    cx.push_integer(-1);
    Ok(1)
}

/// 0 for what was mounted at the start, without unmounting it.
fn umount(cx: &mut Call<'_>) -> Results {
    let prefix = cx.check_text(1)?;
    if matches!(prefix.as_str(), "" | "/ram/" | "/luadb/") {
        cx.push_integer(0);
        return Ok(1);
    }
    cx.host()
        .lib_line(Level::Error, &format!("vfs no such mount point {prefix}"));
    cx.push_integer(-1);
    Ok(1)
}
