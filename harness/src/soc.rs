//! `.soc` archives: what Luatools flashes. For the EC618 a 7-Zip archive with
//! `info.json` and, in production packages, the scripts as a LuaDB image.

use std::io::Cursor;

use serde_json::Value;
use sevenz_rust2::{ArchiveReader, Password};

/// What every 7-Zip archive begins with.
const MAGIC: &[u8] = &[0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C];
/// Largest member read: the flash of the chip has 4 MiB.
const LARGEST: u64 = 4 << 20;

/// Why an archive has no scripts for this device.
#[derive(Debug, thiserror::Error)]
pub enum SocError {
    /// 7-Zip cannot read it.
    #[error("the .soc archive cannot be read: {0}")]
    Archive(#[from] sevenz_rust2::Error),
    /// A member is too large for the chip.
    #[error("{0} in the .soc archive is larger than the chip's flash (4 MiB)")]
    TooLarge(String),
    /// A member that must be there is not.
    #[error("the .soc archive has no {0}; {1}")]
    Missing(String, &'static str),
    /// `info.json` is no JSON.
    #[error("info.json of the .soc archive: {0}")]
    Info(#[from] serde_json::Error),
    /// Made for another chip.
    #[error("the .soc archive is for the chip {0:?}; airbench emulates the ec618")]
    Chip(String),
}

/// These bytes begin as a `.soc` archive of the EC618 does.
pub fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The LuaDB image in an archive. The width of its byte code is not looked at:
/// the firmware refuses a wrong one in its own words.
pub fn script_image(archive: &[u8]) -> Result<Vec<u8>, SocError> {
    let mut reader = ArchiveReader::new(Cursor::new(archive), Password::empty())?;
    let info = member(&mut reader, "info.json", "it is no LuatOS package")?;
    let info: Value = serde_json::from_slice(&info)?;
    match info["chip"]["type"].as_str() {
        None | Some("ec618") => {}
        Some(other) => return Err(SocError::Chip(other.to_owned())),
    }
    let name = info["script"]["file"].as_str().unwrap_or("script.bin");
    member(
        &mut reader,
        name,
        "a core package has no scripts: run your own with `airbench run FOLDER`",
    )
}

fn member(
    reader: &mut ArchiveReader<Cursor<&[u8]>>,
    name: &str,
    hint: &'static str,
) -> Result<Vec<u8>, SocError> {
    let entry = reader
        .archive()
        .files
        .iter()
        .find(|file| file.name() == name);
    let size = entry.map(|file| file.size());
    match size {
        None => Err(SocError::Missing(name.to_owned(), hint)),
        Some(size) if size > LARGEST => Err(SocError::TooLarge(name.to_owned())),
        Some(_) => Ok(reader.read_file(name)?),
    }
}

#[cfg(test)]
mod tests {
    use airbench_luatos::{Scripts, luadb};
    use sevenz_rust2::{ArchiveEntry, ArchiveWriter};

    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
        for (name, content) in members {
            let entry = ArchiveEntry::new_file(name);
            writer.push_archive_entry(entry, Some(*content)).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn the_scripts_of_a_production_package_are_found() {
        let mut scripts = Scripts::default();
        scripts.add("main.lua", b"print(1)".to_vec());
        let image = luadb::write(&scripts).unwrap();
        let info = br#"{"chip":{"type":"ec618"},"script":{"file":"script.bin","bitw":32}}"#;
        let package = archive(&[("info.json", info), ("script.bin", &image)]);
        assert!(is_archive(&package));
        assert_eq!(script_image(&package).unwrap(), image);
    }

    #[test]
    fn what_is_missing_is_named() {
        let core = archive(&[("info.json", b"{}")]);
        let error = script_image(&core).unwrap_err().to_string();
        assert!(error.contains("no script.bin"), "{error}");
        let other = archive(&[("info.json", br#"{"chip":{"type":"air101"}}"#)]);
        assert!(matches!(script_image(&other), Err(SocError::Chip(_))));
        assert!(matches!(script_image(MAGIC), Err(SocError::Archive(_))));
    }
}
