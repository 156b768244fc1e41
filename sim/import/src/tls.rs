//! TLS 1.2 records, decrypted with the secrets of a key log (RFC 5246, 5288, 7905).

use std::collections::BTreeMap;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384};

use crate::tcp::Way;

/// Secrets of sessions, by the client's random bytes.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    masters: BTreeMap<[u8; 32], Vec<u8>>,
    /// Secrets of TLS 1.3 were among them.
    newer: bool,
}

impl Keys {
    /// Adds the lines of an NSS key log.
    pub(crate) fn add(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(label), Some(random), Some(secret)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let (Some(random), Some(secret)) = (digits(random), digits(secret)) else {
                continue;
            };
            match <[u8; 32]>::try_from(random) {
                Ok(random) if label == "CLIENT_RANDOM" => {
                    self.masters.insert(random, secret);
                }
                Ok(_) => self.newer = true,
                Err(_) => {}
            }
        }
    }
}

fn digits(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}

/// Authenticated ciphers with their keys.
enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
    ChaCha(Box<ChaCha20Poly1305>),
}

/// Key length, whether SHA-384 makes the keys, and whether it is ChaCha, of a suite
/// with authenticated encryption.
fn suite(number: u16) -> Option<(usize, bool, bool)> {
    match number {
        // RSA, DHE-RSA, ECDHE-ECDSA and ECDHE-RSA with AES-GCM.
        0x009C | 0x009E | 0xC02B | 0xC02F => Some((16, false, false)),
        0x009D | 0x009F | 0xC02C | 0xC030 => Some((32, true, false)),
        0xCCA8..=0xCCAA => Some((32, false, true)),
        _ => None,
    }
}

/// One direction.
#[derive(Default)]
struct Side {
    bytes: Vec<u8>,
    /// Handshake messages that are not whole.
    handshake: Vec<u8>,
    encrypted: bool,
    sequence: u64,
    cipher: Option<(Cipher, Vec<u8>)>,
    lost: bool,
}

/// Reads a connection's records.
#[derive(Default)]
pub(crate) struct Tls {
    sides: [Side; 2],
    client_random: Option<[u8; 32]>,
    server_random: Option<[u8; 32]>,
    suite: Option<u16>,
    trouble: Option<&'static str>,
}

/// Types of records and of handshake messages.
const CHANGE_CIPHER: u8 = 20;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// Longest record.
const RECORD: usize = (1 << 14) + 2048;

impl Tls {
    /// Why data could not be read.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        self.trouble
    }

    /// Bytes are missing; the cipher's counter is out of step from here on.
    pub(crate) fn lose(&mut self, way: Way) {
        let side = &mut self.sides[way as usize];
        side.lost = true;
        side.bytes.clear();
        self.trouble
            .get_or_insert("TLS records behind bytes that the capture has missed");
    }

    /// Bytes in order; plaintext goes to `deliver`.
    pub(crate) fn take(
        &mut self,
        way: Way,
        bytes: &[u8],
        keys: &Keys,
        mut deliver: impl FnMut(&[u8]),
    ) {
        if self.sides[way as usize].lost {
            return;
        }
        self.sides[way as usize].bytes.extend_from_slice(bytes);
        loop {
            let side = &mut self.sides[way as usize];
            let [kind, major, minor, high, low, ..] = *side.bytes else {
                return;
            };
            let len = usize::from(u16::from_be_bytes([high, low]));
            if major != 3 || len > RECORD {
                side.lost = true;
                self.trouble.get_or_insert("no TLS records");
                return;
            }
            if side.bytes.len() < 5 + len {
                return;
            }
            let record: Vec<u8> = side.bytes.drain(..5 + len).skip(5).collect();
            let plain = match side.encrypted {
                false => Some(record),
                true => self.open(way, [kind, major, minor], &record, keys),
            };
            match (kind, plain) {
                (CHANGE_CIPHER, _) => {
                    let side = &mut self.sides[way as usize];
                    side.encrypted = true;
                    side.sequence = 0;
                }
                (HANDSHAKE, Some(plain)) if !self.sides[way as usize].encrypted => {
                    self.handshake(way, &plain);
                }
                (DATA, Some(plain)) => deliver(&plain),
                _ => {}
            }
        }
    }

    fn handshake(&mut self, way: Way, bytes: &[u8]) {
        self.sides[way as usize].handshake.extend_from_slice(bytes);
        loop {
            let buffer = &mut self.sides[way as usize].handshake;
            let [kind, a, b, c, ..] = **buffer else {
                return;
            };
            let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if buffer.len() < 4 + len {
                return;
            }
            let body: Vec<u8> = buffer.drain(..4 + len).skip(4).collect();
            let random = body.get(2..34).and_then(|bytes| bytes.try_into().ok());
            match kind {
                CLIENT_HELLO => self.client_random = random,
                SERVER_HELLO => {
                    self.server_random = random;
                    self.suite = chosen(&body);
                }
                _ => {}
            }
        }
    }

    /// Decrypts a record.
    fn open(&mut self, way: Way, head: [u8; 3], record: &[u8], keys: &Keys) -> Option<Vec<u8>> {
        if self.sides[way as usize].cipher.is_none() {
            match self.derive(way, keys) {
                Ok(cipher) => self.sides[way as usize].cipher = Some(cipher),
                Err(why) => {
                    self.trouble.get_or_insert(why);
                    return None;
                }
            }
        }
        let side = &mut self.sides[way as usize];
        let (cipher, iv) = side.cipher.as_ref()?;
        let sequence = side.sequence;
        side.sequence += 1;
        let (nonce, body) = match cipher {
            Cipher::ChaCha(_) => {
                let mut nonce = iv.clone();
                for (byte, part) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
                    *byte ^= part;
                }
                (nonce, record)
            }
            _ => ([iv, record.get(..8)?].concat(), record.get(8..)?),
        };
        let len = u16::try_from(body.len().checked_sub(16)?).ok()?;
        let mut aad = sequence.to_be_bytes().to_vec();
        aad.extend(head);
        aad.extend(len.to_be_bytes());
        let payload = Payload {
            msg: body,
            aad: &aad,
        };
        let nonce = nonce.as_slice().try_into().ok()?;
        let plain = match cipher {
            Cipher::Aes128(cipher) => cipher.decrypt(nonce, payload),
            Cipher::Aes256(cipher) => cipher.decrypt(nonce, payload),
            Cipher::ChaCha(cipher) => cipher.decrypt(nonce, payload),
        };
        if plain.is_err() {
            self.trouble
                .get_or_insert("TLS records that the keys do not open");
        }
        plain.ok()
    }

    /// The keys of one direction.
    fn derive(&self, way: Way, keys: &Keys) -> Result<(Cipher, Vec<u8>), &'static str> {
        let (Some(client), Some(server)) = (self.client_random, self.server_random) else {
            return Err("TLS whose handshake is not in the capture");
        };
        let (key, long, chacha) = self
            .suite
            .and_then(suite)
            .ok_or("TLS with a version or cipher that is not decrypted")?;
        let master = keys.masters.get(&client).ok_or(match keys.newer {
            true => "TLS without its key (those of TLS 1.3 are not used)",
            false => "TLS without its key in a key log (--keys) or in the capture",
        })?;
        let iv = if chacha { 12 } else { 4 };
        let seed = [&b"key expansion"[..], &server, &client].concat();
        let block = match long {
            true => expand::<Hmac<Sha384>>(master, &seed, 2 * (key + iv)),
            false => expand::<Hmac<Sha256>>(master, &seed, 2 * (key + iv)),
        }
        .ok_or("TLS with an empty key")?;
        let side = way as usize;
        let own = &block[side * key..][..key];
        let iv = block[2 * key + side * iv..][..iv].to_vec();
        let wrong = |_| "TLS with a key of the wrong length";
        let cipher = match (chacha, key) {
            (true, _) => Cipher::ChaCha(Box::new(
                ChaCha20Poly1305::new_from_slice(own).map_err(wrong)?,
            )),
            (_, 16) => Cipher::Aes128(Box::new(Aes128Gcm::new_from_slice(own).map_err(wrong)?)),
            _ => Cipher::Aes256(Box::new(Aes256Gcm::new_from_slice(own).map_err(wrong)?)),
        };
        Ok((cipher, iv))
    }
}

/// The suite of a ServerHello of TLS 1.2; none of a newer version.
fn chosen(hello: &[u8]) -> Option<u16> {
    let session = usize::from(*hello.get(34)?);
    let at = 35 + session;
    let suite = u16::from_be_bytes([*hello.get(at)?, *hello.get(at + 1)?]);
    // TLS 1.3 has suites of its own.
    (suite >> 8 != 0x13).then_some(suite)
}

/// RFC 5246's P_hash.
fn expand<M: Mac + hmac::KeyInit>(secret: &[u8], seed: &[u8], len: usize) -> Option<Vec<u8>> {
    let hash = |parts: &[&[u8]]| {
        let mut mac = <M as hmac::KeyInit>::new_from_slice(secret).ok()?;
        for part in parts {
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().to_vec())
    };
    let mut a = hash(&[seed])?;
    let mut out = Vec::new();
    while out.len() < len {
        out.extend(hash(&[&a, seed])?);
        a = hash(&[&a])?;
    }
    Some(out)
}
