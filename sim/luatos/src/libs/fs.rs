//! `fs`: the numbers of the file systems.

use crate::args::{Args, Call, Results};
use crate::config::Scripts;
use crate::fs::{BLOCK, FsError, Mount, ROOT_BLOCKS};
use crate::libs::Library;
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "fs",
    functions: &[
        ("fsstat", fsstat),
        ("fsize", fsize),
        ("mkdir", |cx| {
            let path = cx.check_path(1)?;
            let result = cx.host().make_folder(&path);
            cx.push_integer(result.map_or_else(|error| error as i32, |()| 0));
            Ok(1)
        }),
        ("rmdir", |cx| {
            let path = cx.check_path(1)?;
            let result = cx.host().remove_folder(&path);
            cx.push_integer(result.map_or_else(|error| error as i32, |()| 0));
            Ok(1)
        }),
        ("mkfs", |cx| {
            // Its mount point is a null pointer, whatever the arguments.
            cx.check_path(1)?;
            cx.check_path(2)?;
            let line = "vfs no such mount point (null)";
            cx.host().lib_line(Level::Error, line);
            cx.push_integer(-1);
            Ok(1)
        }),
        ("mount", mount),
        ("umount", umount),
    ],
    constants: &[],
};

/// The script partition of the FULL image, and the unit it is counted in.
const PARTITION: usize = 128 * 1024;
const SECTOR: usize = 512;
/// What stands before a file's data in an image, but for its name.
const FILE_HEAD: usize = 6 + 2 + 6 + 4;

/// From the first file's data to the last one's end, and two for the rest.
fn image_blocks(files: &Scripts) -> usize {
    let sizes = files.iter().map(|(name, data)| (name.len(), data.len()));
    let span: usize = sizes
        .enumerate()
        .map(|(index, (name, data))| match index {
            0 => data,
            _ => FILE_HEAD + name + data,
        })
        .sum();
    (span + SECTOR) / SECTOR + 1
}

/// `fs.fsstat(path)`: true, blocks, used, block size, name.
pub(crate) fn fsstat(cx: &mut Call<'_>) -> Results {
    let path = if cx.is_none_or_nil(1) {
        "/".to_owned()
    } else {
        cx.check_path(1)?
    };
    let rt = cx.host();
    let mount = rt.mount_of(&path).0;
    if mount == Mount::Root && rt.root_lost {
        cx.push_boolean(false);
        return Ok(1);
    }
    let (total, used, size, name) = match mount {
        Mount::Root => (ROOT_BLOCKS, rt.flash.root.used_blocks(), BLOCK, "lfs"),
        Mount::Ram if rt.config.core.is_new() => {
            let [heap, ..] = rt.system_heap.figures();
            (heap / BLOCK, rt.ram.bytes().div_ceil(BLOCK), BLOCK, "ram")
        }
        // Nothing enforces the 64 KiB.
        Mount::Ram => (64, rt.ram.bytes().div_ceil(1024), 1024, "ram"),
        Mount::Luadb | Mount::Image(_) => {
            let used = rt.image(mount).map_or(0, image_blocks);
            (PARTITION / SECTOR, used, SECTOR, "luadb")
        }
        Mount::Inline => (0, 0, SECTOR, "inline"),
        Mount::Wild => {
            rt.crash(&format!(
                "{path}: an lfs2 mount has no flash chip behind it"
            ));
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
    let path = cx.check_path(1)?;
    let rt = cx.host();
    let (mount, rest) = rt.mount_of(&path);
    if mount == Mount::Root && rt.flash.root.is_folder(rest) {
        rt.crash(&format!("fs.fsize of the folder {path}"));
    }
    let size = rt.read_file(&path).map_or(0, |content| content.len());
    cx.push_integer(i32::try_from(size).unwrap_or(i32::MAX));
    Ok(1)
}

/// `fs.mount(bus, type, prefix, kind)`: for `luadb` the bus is the image itself.
fn mount(cx: &mut Call<'_>) -> Results {
    let bus = cx.check_bytes(1)?;
    let name = cx.check_path(2)?;
    let prefix = cx.check_path(3)?;
    cx.check_path(4)?;
    let code = cx.host().mount(&bus, &name, &prefix);
    cx.push_integer(code);
    Ok(1)
}

/// 0 for most of what is mounted, without unmounting it.
fn umount(cx: &mut Call<'_>) -> Results {
    let prefix = cx.check_path(1)?;
    let code = unmount(cx.host(), &prefix).map_or_else(|error| error as i32, |()| 0);
    cx.push_integer(code);
    Ok(1)
}

fn unmount(rt: &mut Runtime, prefix: &str) -> Result<(), FsError> {
    let mut points = rt.mounts.iter().rev();
    let point = points.find(|point| point.prefix == prefix);
    match point.map(|point| point.mount) {
        None | Some(Mount::Inline) => {
            let line = format!("vfs no such mount point {prefix}");
            rt.lib_line(Level::Error, &line);
            Err(FsError::Failed)
        }
        Some(Mount::Wild) => {
            rt.lib_line(Level::Error, "vfs.lfs2 not support yet : umount");
            Ok(())
        }
        Some(_) => Ok(()),
    }
}
