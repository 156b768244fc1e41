//! A user's firmware: a folder, a Lua file, or a document with Lua in it.

use std::path::{Path, PathBuf};

use airbench_luatos::Scripts;

/// Why a firmware could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The path does not exist or cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A folder without a main script.
    #[error("{0} has no main.lua; a firmware folder needs one")]
    NoMain(PathBuf),
    /// A document without a program.
    #[error(
        "{path} has no fenced code block with sys.run() in it; a document must hold a whole program in ``` fences"
    )]
    NoProgram {
        /// Which document.
        path: PathBuf,
    },
    /// A block that is not there.
    #[error(
        "{path} has {count} block(s) with sys.run(), so --block must be 1 to {count}, not {block}"
    )]
    NoSuchBlock {
        /// Which document.
        path: PathBuf,
        /// Which block was asked for.
        block: usize,
        /// How many there are.
        count: usize,
    },
    /// `--block` for something that is no document.
    #[error("--block is for text documents; {0} is a firmware of its own")]
    BlockForFirmware(PathBuf),
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })
}

/// Loads a firmware and the library folders it needs.
///
/// * a folder with `main.lua`: all `.lua` and `.luac` files in it;
/// * a `.lua` file: it becomes `main.lua`;
/// * anything else is a document: its `block`-th fenced block that contains
///   `sys.run()` (the first if none is asked for).
pub fn load(path: &Path, block: Option<usize>, libs: &[PathBuf]) -> Result<Scripts, LoadError> {
    let mut scripts = Scripts::default();
    let kind = std::fs::metadata(path).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })?;
    let is_lua = path.extension().is_some_and(|extension| extension == "lua");
    if kind.is_dir() || is_lua {
        if block.is_some() {
            return Err(LoadError::BlockForFirmware(path.to_owned()));
        }
        if kind.is_dir() {
            add_folder(&mut scripts, path)?;
            if scripts.get("main.lua").is_none() && scripts.get("main.luac").is_none() {
                return Err(LoadError::NoMain(path.to_owned()));
            }
        } else {
            scripts.add("main.lua", read(path)?);
        }
    } else {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        scripts.add("main.lua", program(path, &text, block)?.into_bytes());
    }
    for lib in libs {
        add_folder(&mut scripts, lib)?;
    }
    Ok(scripts)
}

/// Adds a folder's scripts, by name, so that runs repeat.
fn add_folder(scripts: &mut Scripts, folder: &Path) -> Result<(), LoadError> {
    let failed = |error| LoadError::Read {
        path: folder.to_owned(),
        error,
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "lua" || e == "luac"))
        .collect();
    files.sort();
    for file in files {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        scripts.add(&name, read(&file)?);
    }
    Ok(())
}

/// The chosen program of a document.
fn program(path: &Path, text: &str, block: Option<usize>) -> Result<String, LoadError> {
    let blocks: Vec<String> = fenced_blocks(text)
        .into_iter()
        .filter(|block| block.contains("sys.run()"))
        .collect();
    if blocks.is_empty() {
        return Err(LoadError::NoProgram {
            path: path.to_owned(),
        });
    }
    let wanted = block.unwrap_or(1);
    blocks
        .get(wanted.wrapping_sub(1))
        .cloned()
        .ok_or_else(|| LoadError::NoSuchBlock {
            path: path.to_owned(),
            block: wanted,
            count: blocks.len(),
        })
}

/// The contents of the ``` fences of a text.
fn fenced_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            match current.take() {
                Some(block) => blocks.push(block),
                None => current = Some(String::new()),
            }
        } else if let Some(block) = &mut current {
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "text\n```lua\nprint(1)\n```\n```lua\nsys.run() -- one\n```\n  ```\nsys.run() -- two\n  ```\n";

    #[test]
    fn the_block_with_the_number_is_taken() {
        let path = Path::new("x.txt");
        assert_eq!(program(path, DOCUMENT, None).unwrap(), "sys.run() -- one\n");
        assert_eq!(
            program(path, DOCUMENT, Some(2)).unwrap(),
            "sys.run() -- two\n"
        );
        let error = program(path, DOCUMENT, Some(3)).unwrap_err().to_string();
        assert!(error.contains("1 to 2"), "{error}");
        assert!(program(path, DOCUMENT, Some(0)).is_err());
    }

    #[test]
    fn a_document_without_a_program_is_refused() {
        let error = program(Path::new("x.txt"), "no code", None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("sys.run()"), "{error}");
    }
}
