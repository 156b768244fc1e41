//! `airbench pack`: a project as the LuaDB image Luatools would flash.

use std::path::PathBuf;
use std::process::ExitCode;

use airbench_luatos::{Scripts, compile, fota, luadb};
use clap::Args;

use super::{Failure, say};
use crate::project;

/// The script partition of LuatOS-SoC_V1112_EC618_FULL, in bytes.
const PARTITION: usize = 128 * 1024;

/// Options of `airbench pack`.
#[derive(Args)]
pub(super) struct Options {
    /// Folder with main.lua, a script, an image, or a .soc archive.
    path: PathBuf,
    /// File to write.
    #[arg(long, short, value_name = "FILE", default_value = "script.bin")]
    output: PathBuf,
    /// Folder with libraries that Luatools would add; repeatable.
    #[arg(long, value_name = "DIR")]
    lib: Vec<PathBuf>,
    /// Compile the scripts to byte code with 32-bit numbers.
    #[arg(long)]
    luac: bool,
    /// Write a FOTA package (for fota.run, fota.file or an HTTP download) instead
    /// of the plain image.
    #[arg(long)]
    fota: bool,
    /// Leave lines and names of variables out of the byte code.
    #[arg(long, requires = "luac")]
    strip: bool,
}

/// Writes the image.
pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let mut scripts = project::load(&options.path, None, &options.lib)?;
    if let Some(damage) = scripts.damage() {
        let path = options.path.display();
        return Err(Failure::Usage(format!(
            "{path} is a damaged image: {damage}"
        )));
    }
    if options.luac {
        scripts = compiled(&scripts, options.strip)?;
    }
    let image = luadb::write(&scripts).map_err(|error| Failure::Usage(error.to_string()))?;
    if image.len() > PARTITION {
        return Err(Failure::Usage(format!(
            "the image has {} bytes, the script partition of V1112 FULL {PARTITION}; \
             leave files out, or compile with --luac --strip",
            image.len()
        )));
    }
    let image = if options.fota {
        package(&image)?
    } else {
        image
    };
    // An image begins with an item of its head, a package with its magic number.
    let magic = &image[..2];
    airbench_trace::output::may_replace(&options.output, magic, "image or package of this kind")?;
    std::fs::write(&options.output, &image).map_err(|error| Failure::Write {
        path: options.output.clone(),
        error,
    })?;
    for (name, content) in scripts.iter() {
        say(&format!("{:>7}  {name}\n", content.len()));
    }
    say(&format!(
        "{:>7}  {}: {} % of the script partition\n",
        image.len(),
        options.output.display(),
        image.len() * 100 / PARTITION
    ));
    Ok(ExitCode::SUCCESS)
}

/// A FOTA package that the board has room for.
fn package(image: &[u8]) -> Result<Vec<u8>, Failure> {
    let package = fota::package(image);
    if package.len() > fota::AREA {
        return Err(Failure::Usage(format!(
            "the package has {} bytes, the area for it on V1112 FULL {}; the firmware would \
             write over what is behind it. Leave files out, or compile with --luac --strip",
            package.len(),
            fota::AREA
        )));
    }
    Ok(package)
}

/// What to say of scripts that no board has room for, even as byte code.
pub(super) fn too_large(scripts: &Scripts) -> Option<String> {
    let size = |scripts: &Scripts| luadb::write(scripts).map_or(0, |image| image.len());
    if size(scripts) <= PARTITION {
        return None;
    }
    // What does not compile is the firmware's affair.
    let least = compiled(scripts, true).map_or(0, |scripts| size(&scripts));
    (least > PARTITION).then(|| {
        format!(
            "the scripts take {least} bytes as byte code, the script partition of V1112 FULL has {PARTITION}"
        )
    })
}

/// The scripts as byte code, under the names Luatools gives them.
fn compiled(scripts: &Scripts, strip: bool) -> Result<Scripts, Failure> {
    let mut out = Scripts::default();
    for (name, content) in scripts.iter() {
        match name.strip_suffix(".lua") {
            Some(stem) => {
                let code = compile(content, name, strip).map_err(|error| Failure::Script {
                    path: name.to_owned(),
                    error,
                })?;
                out.add(&format!("{stem}.luac"), code);
            }
            None => out.add(name, content.to_vec()),
        }
    }
    Ok(out)
}
