//! Block ciphers as mbedTLS drives them for `crypto.cipher_*`.
//!
//! The firmware feeds block after block and keeps what came out when a later
//! step fails; so does this.

use aes::{Aes128, Aes192, Aes256};
use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use des::{Des, TdesEde2, TdesEde3};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use crate::config::Core;

/// A cipher's key schedule, block by block.
trait BlockCipher {
    fn encrypt(&self, block: &mut [u8]);
    fn decrypt(&self, block: &mut [u8]);
}

impl<C> BlockCipher for C
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser,
{
    fn encrypt(&self, block: &mut [u8]) {
        let block: &mut Block<C> = block.try_into().expect("whole blocks only");
        self.encrypt_block(block);
    }

    fn decrypt(&self, block: &mut [u8]) {
        let block: &mut Block<C> = block.try_into().expect("whole blocks only");
        self.decrypt_block(block);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Ecb,
    Cbc,
    Cfb128,
    Ofb,
    Ctr,
    Gcm,
    Ccm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    Pkcs7,
    Zeros,
    OneAndZeros,
    ZerosAndLen,
}

impl Padding {
    /// By its name; an unknown one is none.
    fn of(name: &str) -> Self {
        match name {
            "PKCS7" => Self::Pkcs7,
            "ZERO" | "ZEROS" => Self::Zeros,
            "ONE_AND_ZEROS" => Self::OneAndZeros,
            "ZEROS_AND_LEN" => Self::ZerosAndLen,
            _ => Self::None,
        }
    }
}

/// What went wrong: the failing call of mbedTLS and its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No such cipher.
    Unknown,
    SetKey,
    SetIv,
    LongIv,
    /// CCM, which the firmware never starts.
    NotStarted,
    /// A part of a block where only whole ones will do.
    Update,
    /// Wrong padding or a part of a block at the end.
    Finish(u16),
    /// Wrong PKCS7 padding of ECB.
    Pkcs7,
}

/// MBEDTLS_ERR_CIPHER_FULL_BLOCK_EXPECTED
pub(crate) const FULL_BLOCK: u16 = 0x6280;
/// MBEDTLS_ERR_CIPHER_INVALID_PADDING
pub(crate) const INVALID_PADDING: u16 = 0x6200;

/// The ciphers of V1112's image, in mbedTLS's order.
const V1112: &[&str] = &[
    "AES-128-ECB",
    "AES-192-ECB",
    "AES-256-ECB",
    "AES-128-CBC",
    "AES-192-CBC",
    "AES-256-CBC",
    "AES-128-CTR",
    "AES-192-CTR",
    "AES-256-CTR",
    "AES-128-GCM",
    "AES-192-GCM",
    "AES-256-GCM",
    "AES-128-CCM",
    "AES-192-CCM",
    "AES-256-CCM",
    "DES-ECB",
    "DES-EDE-ECB",
    "DES-EDE3-ECB",
    "DES-CBC",
    "DES-EDE-CBC",
    "DES-EDE3-CBC",
];

/// Those of the core of 2026.
const NEW: &[&str] = &[
    "AES-128-ECB",
    "AES-192-ECB",
    "AES-256-ECB",
    "AES-128-CBC",
    "AES-192-CBC",
    "AES-256-CBC",
    "AES-128-CFB128",
    "AES-192-CFB128",
    "AES-256-CFB128",
    "AES-128-OFB",
    "AES-192-OFB",
    "AES-256-OFB",
    "AES-128-CTR",
    "AES-192-CTR",
    "AES-256-CTR",
    "AES-128-GCM",
    "AES-192-GCM",
    "AES-256-GCM",
    "DES-ECB",
    "DES-EDE-ECB",
    "DES-EDE3-ECB",
    "DES-CBC",
    "DES-EDE-CBC",
    "DES-EDE3-CBC",
];

/// All ciphers of a core's image.
pub(crate) fn names(core: Core) -> &'static [&'static str] {
    if core.is_new() { NEW } else { V1112 }
}

/// What the new core authenticates besides the data, whatever it is told.
const ADDITIONAL: &[u8; 16] = b"1234567890123456";
/// Longest initialisation vector (MBEDTLS_MAX_IV_LENGTH).
const LONGEST_IV: usize = 16;

/// A `crypto.cipher_encrypt` or `_decrypt` call.
pub(crate) struct Request<'a> {
    pub(crate) name: &'a str,
    pub(crate) padding: &'a str,
    pub(crate) key: &'a [u8],
    pub(crate) iv: &'a [u8],
    pub(crate) encrypt: bool,
    /// The core: they differ in ECB's paddings and in GCM.
    pub(crate) core: Core,
}

fn keyed(name: &str, key: &[u8]) -> Option<Box<dyn BlockCipher>> {
    fn make<C>(key: &[u8]) -> Option<Box<dyn BlockCipher>>
    where
        C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser + KeyInit + 'static,
    {
        Some(Box::new(C::new_from_slice(key).ok()?))
    }
    match name {
        "AES-128" => make::<Aes128>(key),
        "AES-192" => make::<Aes192>(key),
        "AES-256" => make::<Aes256>(key),
        "DES" => make::<Des>(key),
        "DES-EDE" => make::<TdesEde2>(key),
        "DES-EDE3" => make::<TdesEde3>(key),
        _ => None,
    }
}

fn mode(name: &str) -> Mode {
    match name {
        "CBC" => Mode::Cbc,
        "CFB128" => Mode::Cfb128,
        "OFB" => Mode::Ofb,
        "CTR" => Mode::Ctr,
        "GCM" => Mode::Gcm,
        "CCM" => Mode::Ccm,
        _ => Mode::Ecb,
    }
}

fn xor(block: &mut [u8], with: &[u8]) {
    for (a, b) in block.iter_mut().zip(with) {
        *a ^= b;
    }
}

/// Runs a request: what came out, and what stopped it; GCM's tag comes last.
pub(crate) fn run(request: &Request<'_>, data: &[u8]) -> (Vec<u8>, Option<Failure>) {
    let known = names(request.core).contains(&request.name);
    let Some((family, mode_name)) = request.name.rsplit_once('-').filter(|_| known) else {
        return (Vec::new(), Some(Failure::Unknown));
    };
    let mode = mode(mode_name);
    let Some(cipher) = keyed(family, request.key) else {
        return (Vec::new(), Some(Failure::SetKey));
    };
    let block = if family.starts_with("AES") { 16 } else { 8 };
    let wanted = match mode {
        Mode::Ecb | Mode::Gcm | Mode::Ccm => 0,
        _ => block,
    };
    if request.iv.len() > LONGEST_IV {
        return (Vec::new(), Some(Failure::LongIv));
    }
    if !request.iv.is_empty() && request.iv.len() < wanted {
        return (Vec::new(), Some(Failure::SetIv));
    }
    let mut iv = vec![0; block];
    let used = request.iv.len().min(block);
    iv[..used].copy_from_slice(&request.iv[..used]);
    let padding = Padding::of(request.padding);
    match mode {
        Mode::Ecb => ecb(&*cipher, request, padding, block, data),
        Mode::Cbc if request.encrypt => cbc_encrypt(&*cipher, iv, padding, data),
        Mode::Cbc => cbc_decrypt(&*cipher, iv, padding, data),
        Mode::Ccm => (Vec::new(), Some(Failure::NotStarted)),
        Mode::Gcm if request.core.is_new() && !request.iv.is_empty() => {
            (gcm(&*cipher, request.iv, request.encrypt, data), None)
        }
        stream => (
            stream_mode(&*cipher, stream, iv, request.encrypt, data),
            None,
        ),
    }
}

/// ECB, padded by the firmware itself: V1112 knows PKCS7 and ZERO only, and
/// takes nothing but PKCS7 off again.
fn ecb(
    cipher: &dyn BlockCipher,
    request: &Request<'_>,
    padding: Padding,
    block: usize,
    data: &[u8],
) -> (Vec<u8>, Option<Failure>) {
    let mut data = data.to_vec();
    let new = request.core.is_new();
    if request.encrypt && (new || matches!(request.padding, "PKCS7" | "ZERO")) {
        pad(padding, block, &mut data);
    }
    let whole = data.len() / block * block;
    let failure = (whole != data.len()).then_some(Failure::Update);
    data.truncate(whole);
    for piece in data.chunks_mut(block) {
        if request.encrypt {
            cipher.encrypt(piece);
        } else {
            cipher.decrypt(piece);
        }
    }
    if failure.is_some() || request.encrypt || data.is_empty() {
        return (data, failure);
    }
    let last = data.len() - block;
    if padding == Padding::Pkcs7 {
        return match unpadded(Padding::Pkcs7, &data[last..]) {
            Some(len) => {
                data.truncate(last + len);
                (data, None)
            }
            None => {
                data.truncate(last);
                (data, Some(Failure::Pkcs7))
            }
        };
    }
    if new {
        strip(padding, &mut data);
    }
    (data, None)
}

/// Fills the last block, or adds one if it is full.
fn pad(padding: Padding, block: usize, data: &mut Vec<u8>) {
    let missing = block - data.len() % block;
    match padding {
        Padding::None => {}
        Padding::Pkcs7 => data.resize(data.len() + missing, missing as u8),
        Padding::Zeros => data.resize(data.len() + missing, 0),
        Padding::OneAndZeros => {
            data.push(0x80);
            data.resize(data.len() + missing - 1, 0);
        }
        Padding::ZerosAndLen => {
            data.resize(data.len() + missing - 1, 0);
            data.push(missing as u8);
        }
    }
}

/// Takes padding off as the new core does in ECB: what is not there stays.
fn strip(padding: Padding, data: &mut Vec<u8>) {
    let zeros = data.iter().rposition(|byte| *byte != 0);
    match (padding, zeros) {
        (Padding::Zeros, at) => data.truncate(at.map_or(0, |at| at + 1)),
        (Padding::OneAndZeros, Some(at)) if data[at] == 0x80 => data.truncate(at),
        (Padding::ZerosAndLen, _) => {
            let count = data.last().map_or(0, |last| usize::from(*last));
            if (1..=data.len().min(16)).contains(&count) {
                data.truncate(data.len() - count);
            }
        }
        _ => {}
    }
}

/// GCM with the new core's fixed additional data: the text, when encrypting with
/// the tag behind it. Nobody checks a tag.
fn gcm(cipher: &dyn BlockCipher, iv: &[u8], encrypt: bool, data: &[u8]) -> Vec<u8> {
    let mut subkey = [0; 16];
    cipher.encrypt(&mut subkey);
    let hash = |parts: &[&[u8]], lengths: [usize; 2]| {
        let mut hash = GHash::new(&subkey.into());
        for part in parts {
            hash.update_padded(part);
        }
        let mut end = [0; 16];
        end[..8].copy_from_slice(&(lengths[0] as u64 * 8).to_be_bytes());
        end[8..].copy_from_slice(&(lengths[1] as u64 * 8).to_be_bytes());
        hash.update(&[end.into()]);
        hash.finalize()
    };
    let mut first = [0; 16];
    if iv.len() == 12 {
        first[..12].copy_from_slice(iv);
        first[15] = 1;
    } else {
        first.copy_from_slice(&hash(&[iv], [0, iv.len()]));
    }
    let mut counter = first;
    let mut out = data.to_vec();
    for piece in out.chunks_mut(16) {
        // Only the last four bytes count.
        increment(&mut counter[12..]);
        let mut key = counter;
        cipher.encrypt(&mut key);
        xor(piece, &key);
    }
    if encrypt {
        let mut tag = hash(&[ADDITIONAL, &out], [ADDITIONAL.len(), out.len()]);
        cipher.encrypt(&mut first);
        xor(&mut tag, &first);
        out.extend_from_slice(&tag);
    }
    out
}

/// The length of a block's content, or `None` for wrong padding.
fn unpadded(padding: Padding, block: &[u8]) -> Option<usize> {
    let size = block.len();
    match padding {
        Padding::None => Some(size),
        Padding::Zeros => Some(block.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1)),
        Padding::OneAndZeros => {
            let at = block.iter().rposition(|b| *b != 0)?;
            (block[at] == 0x80).then_some(at)
        }
        Padding::Pkcs7 | Padding::ZerosAndLen => {
            let count = usize::from(block[size - 1]);
            let start = size.checked_sub(count).filter(|_| count > 0)?;
            let fill = if padding == Padding::Pkcs7 {
                block[size - 1]
            } else {
                0
            };
            let right = block[start..size - 1].iter().all(|byte| *byte == fill);
            right.then_some(start)
        }
    }
}

fn cbc_encrypt(
    cipher: &dyn BlockCipher,
    mut iv: Vec<u8>,
    padding: Padding,
    data: &[u8],
) -> (Vec<u8>, Option<Failure>) {
    let block = iv.len();
    let mut data = data.to_vec();
    pad(padding, block, &mut data);
    let rest = data.len() % block;
    let failure = (rest > 0).then_some(Failure::Finish(FULL_BLOCK));
    data.truncate(data.len() - rest);
    for piece in data.chunks_mut(block) {
        xor(piece, &iv);
        cipher.encrypt(piece);
        iv.copy_from_slice(piece);
    }
    (data, failure)
}

fn cbc_decrypt(
    cipher: &dyn BlockCipher,
    mut iv: Vec<u8>,
    padding: Padding,
    data: &[u8],
) -> (Vec<u8>, Option<Failure>) {
    let block = iv.len();
    let whole = data.len() / block * block;
    let mut out = data[..whole].to_vec();
    for piece in out.chunks_mut(block) {
        let next = piece.to_vec();
        cipher.decrypt(piece);
        xor(piece, &iv);
        iv = next;
    }
    if whole != data.len() || (whole == 0 && padding != Padding::None) {
        return (out, Some(Failure::Finish(FULL_BLOCK)));
    }
    if padding == Padding::None {
        return (out, None);
    }
    let last = whole - block;
    match unpadded(padding, &out[last..]) {
        Some(len) => {
            out.truncate(last + len);
            (out, None)
        }
        None => {
            out.truncate(last);
            (out, Some(Failure::Finish(INVALID_PADDING)))
        }
    }
}

/// Modes that turn the block cipher into a key stream.
fn stream_mode(
    cipher: &dyn BlockCipher,
    mode: Mode,
    mut state: Vec<u8>,
    encrypt: bool,
    data: &[u8],
) -> Vec<u8> {
    let block = state.len();
    if mode == Mode::Gcm {
        // V1112 never starts GCM: no vector, no tag, a counter from 1.
        state = vec![0; block];
        state[block - 1] = 1;
    }
    let mut out = data.to_vec();
    for (piece, input) in out.chunks_mut(block).zip(data.chunks(block)) {
        let mut key = state.clone();
        cipher.encrypt(&mut key);
        xor(piece, &key);
        match mode {
            Mode::Ofb => state = key,
            Mode::Cfb128 => {
                let feedback = if encrypt { &*piece } else { input };
                state[..feedback.len()].copy_from_slice(feedback);
            }
            _ => increment(&mut state),
        }
    }
    out
}

/// Counts up, most significant byte first.
fn increment(counter: &mut [u8]) {
    for byte in counter.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
}
