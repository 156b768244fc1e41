//! Script updates over the air: the package, how the firmware takes it in, and
//! what the boot loader makes of it (facts: `luat_fota_ec618.c`, boards 3.7).
//!
//! Not modelled: compressed or differential sectors and updates of the core
//! itself; those packages are verified and then not installed, and say so.

use md5::{Digest, Md5};

use crate::libs::crc::crc32;

const MAGIC: u32 = 0xEAF1_8C16;
/// Length of a package's head.
const HEAD: usize = 92;
/// What a sector begins with in the vendor's packages.
const SECTOR_MAGIC: u32 = 0xEAF1_8C16;
/// Length of a sector's head.
const SECTOR_HEAD: usize = 36;
/// Unpacked bytes of a vendor's block.
const BLOCK: u32 = 0x40000;
/// Room for the common data: the script OTA area of the FULL image.
const AREA: usize = 96 * 1024;
/// zlib's polynomial, reflected.
const POLYNOMIAL: u32 = 0xEDB8_8320;

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// Where the machine stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Fota {
    /// Not begun, or failed.
    #[default]
    Idle,
    /// Taking in: what came so far.
    Running(Vec<u8>),
    /// Complete: the common data wait for the next reset.
    Ready(Vec<u8>),
}

/// What a piece led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    More,
    Complete,
    Failed,
}

impl Fota {
    /// Takes a piece of a package in: what it led to, and the lines it prints.
    pub(crate) fn take(&mut self, piece: &[u8]) -> (Status, Vec<String>) {
        let Self::Running(bytes) = self else {
            return (Status::Failed, vec!["fota need init".into()]);
        };
        let began = bytes.len() > HEAD;
        bytes.extend_from_slice(piece);
        let mut lines = Vec::new();
        let status = examine(bytes, began, &mut lines);
        match status {
            Status::More => {}
            Status::Failed => *self = Self::Idle,
            Status::Complete => {
                let common = word(bytes, 52) as usize;
                let data = bytes[HEAD..HEAD + common].to_vec();
                *self = Self::Ready(data);
            }
        }
        (status, lines)
    }
}

/// Looks at what has come; `began` says that the head was looked at before.
fn examine(bytes: &[u8], began: bool, lines: &mut Vec<String>) -> Status {
    if bytes.len() <= HEAD {
        return Status::More;
    }
    let (common, core) = (word(bytes, 52) as usize, word(bytes, 56));
    if !began {
        let magic = word(bytes, 0);
        if magic != MAGIC {
            lines.push(format!("magic num error {magic:x}"));
            return Status::Failed;
        }
        let sum = crc32(&bytes[8..HEAD], u32::MAX, POLYNOMIAL);
        let stored = word(bytes, 4);
        if sum != stored {
            lines.push(format!("file head crc32 error {sum:x},{stored:x}"));
            return Status::Failed;
        }
        let part = if common > 0 { "stript" } else { "core" };
        lines.push(format!("write {part} data"));
        // The firmware would write beyond the area here, over its neighbour.
        if common > AREA {
            lines.push("stript data md5 check failed".into());
            return Status::Failed;
        }
    }
    if bytes.len() < HEAD + common {
        return Status::More;
    }
    lines.push("stript data done, now checking".into());
    if Md5::digest(&bytes[HEAD..HEAD + common])[..] != bytes[60..76] {
        lines.push("stript data md5 check failed".into());
        return Status::Failed;
    }
    lines.push("stript data md5 ok".into());
    if core > 0 {
        // What a difference does to the core is the boot loader's secret.
        lines.push("write core data".into());
        lines.push("however, base fw is unmatched!".into());
        return Status::Failed;
    }
    lines.push("stript data md5 ok".into());
    lines.push("fota ok!, wait reboot".into());
    Status::Complete
}

/// The script image in the common data, if its sectors are stored as they are.
pub(crate) fn unpack(data: &[u8]) -> Option<Vec<u8>> {
    let mut image = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(SECTOR_HEAD)?;
        let (stored, unpacked) = (word(head, 4) as usize, word(head, 8) as usize);
        let (content, next) = after.split_at_checked(stored)?;
        let whole = stored == unpacked && Md5::digest(content)[..] == head[12..28];
        if word(head, 0) != SECTOR_MAGIC || !whole {
            return None;
        }
        image.extend_from_slice(content);
        rest = next;
    }
    Some(image)
}

/// A package that replaces the scripts by this LuaDB image, stored as it is.
pub fn package(image: &[u8]) -> Vec<u8> {
    let len = u32::try_from(image.len()).unwrap_or(u32::MAX);
    let mut common = Vec::with_capacity(SECTOR_HEAD + image.len());
    common.extend(SECTOR_MAGIC.to_le_bytes());
    common.extend(len.to_le_bytes());
    common.extend(len.to_le_bytes());
    common.extend(Md5::digest(image));
    common.extend(BLOCK.to_le_bytes());
    common.extend(0u32.to_le_bytes());
    common.extend_from_slice(image);
    let mut head = vec![0; HEAD];
    head[..4].copy_from_slice(&MAGIC.to_le_bytes());
    head[52..56].copy_from_slice(&(common.len() as u32).to_le_bytes());
    head[60..76].copy_from_slice(&Md5::digest(&common));
    let sum = crc32(&head[8..], u32::MAX, POLYNOMIAL);
    head[4..8].copy_from_slice(&sum.to_le_bytes());
    head.extend(common);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_package_arrives_whole_however_it_is_cut(
            image in proptest::collection::vec(any::<u8>(), 1..3000),
            piece in 1usize..700,
        ) {
            let package = package(&image);
            let mut fota = Fota::Running(Vec::new());
            let mut last = Status::More;
            for piece in package.chunks(piece) {
                prop_assert_eq!(last, Status::More);
                last = fota.take(piece).0;
            }
            prop_assert_eq!(last, Status::Complete);
            let Fota::Ready(common) = fota else { panic!("not ready") };
            prop_assert_eq!(unpack(&common), Some(image));
        }

        #[test]
        fn damage_is_found(image in proptest::collection::vec(any::<u8>(), 1..300), at: usize, by in 1u8..) {
            let mut package = package(&image);
            // The five words nobody looks at are covered by the head's sum.
            let at = at % package.len();
            package[at] ^= by;
            let (status, _) = Fota::Running(Vec::new()).take(&package);
            prop_assert_ne!(status, Status::Complete);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Fota::Running(Vec::new()).take(&bytes);
            let _ = unpack(&bytes);
        }
    }
}
