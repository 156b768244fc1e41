//! Script updates over the air: the package, how the firmware takes it in, and
//! what the boot loader makes of it (facts: `luat_fota_ec618.c`, boards 3.7).
//!
//! Not modelled: updates of the core itself, whose differences only the boot
//! loader understands.

use std::io::{Read, Write};

use lzma_rust2::{LzmaOptions, LzmaReader, LzmaWriter};
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
/// Where the FULL image's script partition lies in the flash, as the boot loader
/// addresses it and as the processor does.
const SCRIPTS: u32 = 0x2C_C000;
const SCRIPTS_MAPPED: u32 = 0x80_0000 + SCRIPTS;
/// Its size.
const PARTITION: usize = 128 * 1024;
/// Most property bytes of a block; LZMA has five.
const PROPERTIES: usize = 13;
/// Room for the common data: the script OTA area of the FULL image.
pub const AREA: usize = 96 * 1024;
/// zlib's polynomial, reflected.
const POLYNOMIAL: u32 = 0xEDB8_8320;

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// These bytes begin as an update package does.
pub fn is_package(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC.to_le_bytes())
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

/// Why the boot loader does not install an update. Its own console says so, which
/// nobody sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A sector has no magic number.
    #[error("sector {0} of the package has no magic number")]
    Magic(usize),
    /// The boot loader takes compressed sectors only.
    #[error("sector {0} of the package is not compressed, which the boot loader refuses")]
    Plain(usize),
    /// A sector that belongs elsewhere; a board would write it there.
    #[error(
        "sector {0} of the package is for flash address {1:#X}, not for the script partition at 0x2CC000: a board would overwrite what is there"
    )]
    Address(usize, u32),
    /// A board tries again at every boot, and never starts.
    #[error(
        "sector {0} of the package is damaged or does not unpack to what it promises: a board would try again for ever"
    )]
    Damaged(usize),
}

/// The script image in the common data, as the boot loader unpacks it.
pub(crate) fn unpack(data: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut image = Vec::new();
    let mut rest = data;
    for number in 1.. {
        if rest.is_empty() {
            break;
        }
        let damaged = Refusal::Damaged(number);
        let (head, after) = rest.split_at_checked(SECTOR_HEAD).ok_or(damaged.clone())?;
        if word(head, 0) != SECTOR_MAGIC {
            return Err(Refusal::Magic(number));
        }
        let (stored, unpacked) = (word(head, 4) as usize, word(head, 8) as usize);
        if unpacked == 0 || unpacked == stored {
            return Err(Refusal::Plain(number));
        }
        let (content, next) = after.split_at_checked(stored).ok_or(damaged.clone())?;
        let block = word(head, 28) as usize;
        let sector = blocks(content, block, unpacked).ok_or(damaged.clone())?;
        if Md5::digest(&sector)[..] != head[12..28] {
            return Err(damaged);
        }
        let address = word(head, 32);
        let offset = image.len() as u32;
        let expected = [SCRIPTS, SCRIPTS_MAPPED].map(|start| start + offset);
        if !expected.contains(&address) || image.len() + sector.len() > PARTITION {
            return Err(Refusal::Address(number, address));
        }
        image.extend_from_slice(&sector);
        rest = next;
    }
    Ok(image)
}

/// The blocks of a sector: each is the length of its properties, the properties,
/// the length of the data, the data. A first property of 0 means that the data
/// are stored as they are.
fn blocks(content: &[u8], block: usize, unpacked: usize) -> Option<Vec<u8>> {
    if unpacked > PARTITION || block == 0 {
        return None;
    }
    let mut out = Vec::with_capacity(unpacked);
    let mut rest = content;
    while !rest.is_empty() {
        let (&count, after) = rest.split_first()?;
        let count = usize::from(count);
        let (properties, after) = after.split_at_checked(count)?;
        let (len, after) = after.split_first_chunk()?;
        let (data, next) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        let room = block.min(unpacked - out.len());
        match properties {
            [0, ..] if count <= PROPERTIES && data.len() <= room => out.extend_from_slice(data),
            [props, d0, d1, d2, d3, ..] if count <= PROPERTIES => {
                // A dictionary beyond the block's size is of no use.
                let dictionary = u32::from_le_bytes([*d0, *d1, *d2, *d3]);
                let dictionary = dictionary.min(PARTITION as u32);
                let size = room as u64;
                let reader = LzmaReader::new_with_props(data, size, *props, dictionary, None);
                reader.ok()?.read_to_end(&mut out).ok()?;
            }
            _ => return None,
        }
        rest = next;
    }
    (out.len() == unpacked).then_some(out)
}

/// One block of a sector, compressed.
fn compress(data: &[u8]) -> Vec<u8> {
    let mut options = LzmaOptions::with_preset(9);
    options.dict_size = BLOCK;
    let mut block = vec![5, options.get_props()];
    block.extend(options.dict_size.to_le_bytes());
    let packed = LzmaWriter::new_no_header(Vec::new(), &options, false).and_then(|mut writer| {
        writer.write_all(data)?;
        writer.finish()
    });
    // These options are valid, and a vector takes all that is written.
    let packed = packed.unwrap_or_default();
    block.extend((packed.len() as u32).to_le_bytes());
    block.extend(packed);
    block
}

/// A package that replaces the scripts of a FULL image by this LuaDB image, as
/// the vendor's tool makes them: one sector, LZMA in blocks of 256 KiB.
pub fn package(image: &[u8]) -> Vec<u8> {
    let content: Vec<u8> = image.chunks(BLOCK as usize).flat_map(compress).collect();
    let mut common = Vec::with_capacity(SECTOR_HEAD + content.len());
    common.extend(SECTOR_MAGIC.to_le_bytes());
    common.extend((content.len() as u32).to_le_bytes());
    common.extend((image.len() as u32).to_le_bytes());
    common.extend(Md5::digest(image));
    common.extend(BLOCK.to_le_bytes());
    common.extend(SCRIPTS.to_le_bytes());
    common.extend_from_slice(&content);
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

    /// A sector made with another LZMA encoder (xz-utils' liblzma, with an end
    /// marker), and a stored block behind it.
    #[test]
    fn a_sector_of_another_encoder() {
        let hex = "\
            168cf1ea43000000d6000000a71c77d45e7700cf989c4bdfdffe5615d200000000c0ac00\
            055d000004002f00000000381c89568c0b996039c24f9eacc14a131d0a87a5f1d43dacea\
            a14e8b5b26ac771f1b93c3ca0471d5fffffd1770000100040000007461696c";
        let sector = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        let expected = [
            r#"print("hello from the other side") "#.repeat(6).as_bytes(),
            b"tail",
        ]
        .concat();
        assert_eq!(unpack(&sector), Ok(expected));
        let mut elsewhere = sector.clone();
        elsewhere[35] = 0x80;
        assert_eq!(unpack(&elsewhere), Err(Refusal::Address(1, 0x80AC_C000)));
        let mut plain = sector.clone();
        plain.copy_within(4..8, 8);
        assert_eq!(unpack(&plain), Err(Refusal::Plain(1)));
        let mut damaged = sector;
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(unpack(&damaged), Err(Refusal::Damaged(1)));
    }

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
            prop_assert_eq!(unpack(&common), Ok(image));
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
