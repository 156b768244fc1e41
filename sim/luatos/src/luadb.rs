//! LuaDB images: the script partition as Luatools writes it (`script.bin`).

use md5::{Digest, Md5};

use crate::config::Scripts;

const MAGIC: [u8; 6] = [1, 4, 0x5A, 0xA5, 0x5A, 0xA5];
/// Item types.
const VERSION: u8 = 2;
const HEAD_LENGTH: u8 = 3;
const COUNT: u8 = 4;
const NAME: u8 = 2;
const SIZE: u8 = 3;
const END: u8 = 0xFE;
/// Most items of a head, most files of an image.
const ITEMS: usize = 128;
const FILES: usize = 1024;
/// Longest name the firmware's table holds.
const LONGEST_NAME: usize = 31;
/// The last file: an MD5 of everything before it.
const CHECKSUM: &str = ".airm2m_all_crc#.bin";

/// Why bytes are no LuaDB image; the first four are the firmware's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LuadbError {
    /// No magic, or no end of the head.
    #[error("Bad LuaDB")]
    Bad,
    /// The head has no version.
    #[error("miss DB version")]
    Version,
    /// The head has no length.
    #[error("miss DB headsize")]
    HeadLength,
    /// The head has no number of files.
    #[error("miss DB filecount")]
    Count,
    /// More than the firmware's table holds.
    #[error("too many file in LuaDB")]
    TooMany,
    /// A file's entry is damaged or cut off.
    #[error("file {0} of the LuaDB image is damaged or cut off")]
    File(usize),
    /// A name that would overflow the firmware's table.
    #[error("the file name {0:?} is longer than 31 bytes, which damages the firmware's table")]
    Name(String),
}

/// These bytes begin as a LuaDB image does.
pub fn is_image(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// An item: type and value.
fn item<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[kind, len], rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(len))?;
    *bytes = rest;
    Some((kind, value))
}

fn number(value: &[u8]) -> usize {
    let word = value.iter().take(4).rev();
    word.fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// The number of files that the head tells.
fn head(bytes: &mut &[u8]) -> Result<usize, LuadbError> {
    let (mut version, mut length, mut count) = (0, 0, 0);
    let (kind, magic) = item(bytes).ok_or(LuadbError::Bad)?;
    if kind != MAGIC[0] || magic != &MAGIC[2..] {
        return Err(LuadbError::Bad);
    }
    for _ in 0..ITEMS {
        match item(bytes).ok_or(LuadbError::Bad)? {
            (VERSION, value) if value.len() == 2 => version = number(value),
            (HEAD_LENGTH, value) if value.len() == 4 => length = number(value),
            (COUNT, value) if value.len() == 2 => count = number(value),
            (END, value) if value.len() == 2 => {
                return match (version, length, count) {
                    (0, ..) => Err(LuadbError::Version),
                    (_, 0, _) => Err(LuadbError::HeadLength),
                    (_, _, 0) => Err(LuadbError::Count),
                    (_, _, count) if count > FILES => Err(LuadbError::TooMany),
                    (_, _, count) => Ok(count),
                };
            }
            (VERSION | HEAD_LENGTH | COUNT | END | 1, _) => return Err(LuadbError::Bad),
            _ => {}
        }
    }
    Err(LuadbError::Bad)
}

/// The files of an image. As on the board, sums and checksum are not looked at
/// and the first file of a name wins.
pub fn read(image: &[u8]) -> Result<Scripts, LuadbError> {
    let mut bytes = image;
    let count = head(&mut bytes)?;
    let mut scripts = Scripts::default();
    for index in 0..count {
        let damaged = LuadbError::File(index + 1);
        let mut next = |kind, len: Option<usize>| match item(&mut bytes) {
            Some((k, value)) if k == kind && len.is_none_or(|len| value.len() == len) => Ok(value),
            _ => Err(damaged.clone()),
        };
        next(1, Some(4))?;
        let name = String::from_utf8_lossy(next(NAME, None)?).into_owned();
        let size = number(next(SIZE, Some(4))?);
        next(END, Some(2))?;
        let (content, rest) = bytes.split_at_checked(size).ok_or(damaged)?;
        bytes = rest;
        if name.len() > LONGEST_NAME {
            return Err(LuadbError::Name(name));
        }
        if name != CHECKSUM {
            scripts.add(&name, content.to_vec());
        }
    }
    Ok(scripts)
}

/// Ends a head with the sum of its bytes.
fn seal(head: &mut Vec<u8>) {
    head.extend_from_slice(&[END, 2]);
    let sum = head
        .iter()
        .fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    head.extend_from_slice(&sum.to_le_bytes());
}

fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&[NAME, name.len() as u8]);
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(&[SIZE, 4]);
    head.extend_from_slice(&(content.len() as u32).to_le_bytes());
    seal(&mut head);
    head.extend_from_slice(content);
    head
}

/// An image as Luatools writes it.
pub fn write(scripts: &Scripts) -> Result<Vec<u8>, LuadbError> {
    let count = scripts.iter().count() + 1;
    if count > FILES {
        return Err(LuadbError::TooMany);
    }
    let mut image = MAGIC.to_vec();
    image.extend_from_slice(&[VERSION, 2, 2, 0]);
    image.extend_from_slice(&[HEAD_LENGTH, 4, 24, 0, 0, 0]);
    image.extend_from_slice(&[COUNT, 2]);
    image.extend_from_slice(&(count as u16).to_le_bytes());
    seal(&mut image);
    for (name, content) in scripts.iter() {
        if name.len() > LONGEST_NAME {
            return Err(LuadbError::Name(name.to_owned()));
        }
        image.extend(entry(name, content));
    }
    // The checksum covers its own entry's head.
    let head = entry(CHECKSUM, &[0; 16]);
    image.extend_from_slice(&head[..head.len() - 16]);
    let sum = Md5::digest(&image);
    image.extend_from_slice(&sum);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            files in proptest::collection::btree_map(
                "[a-z]{1,20}\\.lua", proptest::collection::vec(any::<u8>(), 0..200), 0..6
            )
        ) {
            let mut scripts = Scripts::default();
            for (name, content) in &files {
                scripts.add(name, content.clone());
            }
            let image = write(&scripts).unwrap();
            prop_assert_eq!(read(&image), Ok(scripts));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, cut: usize) {
            let _ = read(&bytes);
            let image = write(&Scripts::default()).unwrap();
            let _ = read(&image[..cut % (image.len() + 1)]);
            let _ = read(&[&MAGIC[..], &bytes].concat());
        }
    }

    #[test]
    fn an_erased_partition_is_no_image() {
        assert_eq!(read(&[0xFF; 64]), Err(LuadbError::Bad));
    }
}
