//! `miniz.unzip` of the new core: an archive's files into a folder.

use std::io::{Cursor, Read};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::args::{Args, Call, Results};
use crate::runtime::{Level, Runtime};

/// Smallest archive: an end record alone.
const END_RECORD: usize = 22;
/// miniz' numbers of what is wrong.
mod code {
    pub(super) const NO_END_RECORD: u32 = 7;
    pub(super) const NO_ARCHIVE: u32 = 8;
    pub(super) const BAD_HEADER: u32 = 9;
    pub(super) const METHOD: u32 = 4;
    pub(super) const ENCRYPTED: u32 = 5;
    pub(super) const INFLATE: u32 = 11;
    pub(super) const CHECKSUM: u32 = 14;
    pub(super) const REFUSED: u32 = 31;
}
/// The firmware tells its progress in steps of so many bytes.
const STEP: usize = 32 * 1024;

/// `miniz.unzip(zip, folder, debug, timeout, stage)`: whether all of it is there
/// now. Its time-out never passes here: C code takes no virtual time.
pub(super) fn unzip(cx: &mut Call<'_>) -> Results {
    let (path, folder) = (cx.check_path(1)?, cx.check_path(2)?);
    let debug = cx.to_boolean(3);
    let mut unzip = Unzip {
        rt: cx.host(),
        debug,
    };
    let done = match unzip.run(&path, &folder) {
        Ok(()) => true,
        Err(line) => {
            unzip.rt.lib_line(Level::Error, &format!("miniz {line}"));
            false
        }
    };
    cx.push_boolean(done);
    Ok(1)
}

struct Unzip<'a> {
    rt: &'a mut Runtime,
    debug: bool,
}

impl Unzip<'_> {
    fn say(&mut self, line: &str) {
        if self.debug {
            self.rt.lib_line(Level::Info, &format!("miniz {line}"));
        }
    }

    fn run(&mut self, path: &str, folder: &str) -> Result<(), String> {
        let bytes = self.rt.read_file(path).unwrap_or_default();
        if bytes.is_empty() {
            return Err(format!("ZIP file is empty: {path}"));
        }
        self.say(&format!("ZIP file size: {} bytes", bytes.len()));
        if !folder.ends_with('/') {
            return Err(format!("target_dir must end with '/': {folder}"));
        }
        if !self.make_folders(folder) {
            return Err(format!("Failed to create target directory: {folder}"));
        }
        let mut archive =
            open(bytes).map_err(|code| format!("Failed to initialize ZIP reader err {code}"))?;
        let count = archive.len();
        self.say(&format!("ZIP file contains {count} files"));
        (0..count).try_for_each(|index| self.entry(&mut archive, index, folder))
    }

    fn entry(
        &mut self,
        archive: &mut ZipArchive<Cursor<Vec<u8>>>,
        index: usize,
        folder: &str,
    ) -> Result<(), String> {
        let count = archive.len();
        let Ok(raw) = archive.by_index_raw(index) else {
            let code = code::BAD_HEADER;
            return Err(format!(
                "Failed to extract file: #{index} err={code} wrote=0"
            ));
        };
        let name = String::from_utf8_lossy(raw.name_raw()).into_owned();
        let fails = |code: u32, wrote: usize| {
            Err(format!(
                "Failed to extract file: {name} err={code} wrote={wrote}"
            ))
        };
        if is_unsafe(&name) {
            return Err(format!("Unsafe ZIP entry path: {name}"));
        }
        let (encrypted, method) = (raw.encrypted(), raw.compression());
        drop(raw);
        let target = format!("{folder}{}", name.replace('\\', "/"));
        if target.ends_with('/') {
            if !self.make_folders(&target) {
                return Err(format!("Failed to create directory: {target}"));
            }
            self.say(&format!("Created directory: {target}"));
            return Ok(());
        }
        let number = index + 1;
        self.say(&format!(
            "Processing file [{number}/{count}]: {name} -> {target}"
        ));
        let parent = &target[..=target.rfind('/').unwrap_or(0)];
        if !self.make_folders(parent) {
            return Err(format!("Failed to create parent directory for: {target}"));
        }
        let Some(file) = self.rt.open_file(&target, "wb+") else {
            return Err(format!("Failed to create output file: {target}"));
        };
        let (wrote, mut problem) = match (encrypted, method) {
            (true, _) => (0, Some(code::ENCRYPTED)),
            (_, CompressionMethod::Stored | CompressionMethod::Deflated) => {
                self.extract(archive, index, &name, file)
            }
            _ => (0, Some(code::METHOD)),
        };
        if self.rt.close_file(file).is_err() {
            problem = problem.or(Some(code::REFUSED));
        }
        if let Some(code) = problem {
            return fails(code, wrote);
        }
        self.say(&format!("Extracted done: {name} ({wrote} bytes)"));
        Ok(())
    }

    /// Writes a file piece by piece: bytes written, and miniz' number of what ended
    /// it early.
    fn extract(
        &mut self,
        archive: &mut ZipArchive<Cursor<Vec<u8>>>,
        index: usize,
        name: &str,
        file: u32,
    ) -> (usize, Option<u32>) {
        let Ok(mut content) = archive.by_index(index) else {
            return (0, Some(code::BAD_HEADER));
        };
        let (mut wrote, mut piece) = (0, Vec::new());
        loop {
            piece.clear();
            let read = content.by_ref().take(STEP as u64).read_to_end(&mut piece);
            if !piece.is_empty() && !self.rt.write_open(file, &piece) {
                return (wrote, Some(code::REFUSED));
            }
            wrote += piece.len();
            match read {
                Err(error) if error.to_string().contains("checksum") => {
                    return (wrote, Some(code::CHECKSUM));
                }
                Err(_) => return (wrote, Some(code::INFLATE)),
                Ok(len) if len < STEP => return (wrote, None),
                Ok(_) => self.say(&format!("Extracting {name}: wrote {wrote} bytes")),
            }
        }
    }

    /// Makes a folder and those above it; false if it is not there afterwards.
    fn make_folders(&mut self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.filter(|end| *end > 0) {
            let folder = &path[..=end];
            if !self.rt.folder_exists(folder) && self.rt.make_folder(&path[..end]).is_err() {
                return false;
            }
        }
        true
    }
}

/// An archive, or miniz' number of what is wrong with it.
fn open(bytes: Vec<u8>) -> Result<ZipArchive<Cursor<Vec<u8>>>, u32> {
    if bytes.len() < END_RECORD {
        return Err(code::NO_ARCHIVE);
    }
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| match error {
        ZipError::InvalidArchive(what) if what.contains("end of central directory") => {
            code::NO_END_RECORD
        }
        ZipError::InvalidArchive(what) if what.contains("EOCD") => code::NO_END_RECORD,
        _ => code::BAD_HEADER,
    })
}

/// Leads out of the folder.
fn is_unsafe(name: &str) -> bool {
    let drive = name.as_bytes().get(1) == Some(&b':');
    name.is_empty()
        || name.starts_with(['/', '\\'])
        || drive
        || name.split(['/', '\\']).any(|segment| segment == "..")
}
