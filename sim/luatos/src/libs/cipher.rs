//! Block ciphers as mbedTLS drives them for `crypto.cipher_*`.
//!
//! The firmware feeds block after block and keeps what came out when a later
//! step fails; so does this.

use aes::{Aes128, Aes192, Aes256};
use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use des::{Des, TdesEde2, TdesEde3};

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    Pkcs7,
    Zeros,
    OneAndZeros,
    ZerosAndLen,
}

/// What went wrong: the failing call of mbedTLS and its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No such cipher.
    Unknown,
    SetKey,
    SetIv,
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

/// All ciphers of the image, in mbedTLS's order.
pub(crate) const NAMES: &[&str] = &[
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

/// A `crypto.cipher_encrypt` or `_decrypt` call.
pub(crate) struct Request<'a> {
    pub(crate) name: &'a str,
    pub(crate) padding: &'a str,
    pub(crate) key: &'a [u8],
    pub(crate) iv: &'a [u8],
    pub(crate) encrypt: bool,
    /// The new core takes zero padding off again.
    pub(crate) strip_zeros: bool,
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
        _ => Mode::Ecb,
    }
}

fn xor(block: &mut [u8], with: &[u8]) {
    for (a, b) in block.iter_mut().zip(with) {
        *a ^= b;
    }
}

/// Runs a request: what came out, and what stopped it.
pub(crate) fn run(request: &Request<'_>, data: &[u8]) -> (Vec<u8>, Option<Failure>) {
    let known = NAMES.contains(&request.name);
    let Some((family, mode_name)) = request.name.rsplit_once('-').filter(|_| known) else {
        return (Vec::new(), Some(Failure::Unknown));
    };
    let mode = mode(mode_name);
    let Some(cipher) = keyed(family, request.key) else {
        return (Vec::new(), Some(Failure::SetKey));
    };
    let block = if family.starts_with("AES") { 16 } else { 8 };
    let wanted = match mode {
        Mode::Ecb => 0,
        Mode::Gcm => 12,
        _ => block,
    };
    if !request.iv.is_empty() && request.iv.len() < wanted {
        return (Vec::new(), Some(Failure::SetIv));
    }
    let mut iv = vec![0; block];
    let used = request.iv.len().min(block);
    iv[..used].copy_from_slice(&request.iv[..used]);
    let padding = match request.padding {
        "PKCS7" => Padding::Pkcs7,
        "ZERO" | "ZEROS" => Padding::Zeros,
        "ONE_AND_ZEROS" => Padding::OneAndZeros,
        "ZEROS_AND_LEN" => Padding::ZerosAndLen,
        _ => Padding::None,
    };
    match mode {
        Mode::Ecb => ecb(&*cipher, request, block, data),
        Mode::Cbc if request.encrypt => cbc_encrypt(&*cipher, iv, padding, data),
        Mode::Cbc => cbc_decrypt(&*cipher, iv, padding, data),
        stream => (
            stream_mode(&*cipher, stream, iv, request.encrypt, data),
            None,
        ),
    }
}

/// ECB pads only PKCS7 and ZERO, in the firmware itself.
fn ecb(
    cipher: &dyn BlockCipher,
    request: &Request<'_>,
    block: usize,
    data: &[u8],
) -> (Vec<u8>, Option<Failure>) {
    let mut data = data.to_vec();
    let pkcs7 = request.padding == "PKCS7";
    if request.encrypt && (pkcs7 || request.padding == "ZERO") {
        let missing = block - data.len() % block;
        let fill = if pkcs7 { missing as u8 } else { 0 };
        data.resize(data.len() + missing, fill);
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
    if pkcs7 {
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
    if request.strip_zeros && matches!(request.padding, "ZERO" | "ZEROS") {
        let kept = data
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        data.truncate(kept);
    }
    (data, None)
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
    let rest = data.len() % block;
    let missing = block - rest;
    let mut failure = None;
    match padding {
        Padding::None if rest > 0 => {
            failure = Some(Failure::Finish(FULL_BLOCK));
            data.truncate(data.len() - rest);
        }
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
        // The first counter block of a 96-bit nonce authenticates; data begin
        // with the second.
        state[12..].copy_from_slice(&2u32.to_be_bytes());
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
