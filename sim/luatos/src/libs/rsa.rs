//! `rsa`: PKCS#1 v1.5 with RSA keys in PEM, ECDSA with those of curves.

use airbench_clock::Rng;
use airbench_lua32::Raise;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Encrypt, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};

use crate::args::{Args, Call, Results};
use crate::config::Core;
use crate::libs::Library;
use crate::libs::rsa_ec;
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "rsa",
    functions: &[
        ("encrypt", encrypt),
        ("decrypt", decrypt),
        ("verify", verify),
        ("sign", sign),
    ],
    constants: &[],
};

/// mbedTLS's codes: a public key of no known form, one with a bad body, a
/// private key of no known form, a key with another password.
const NO_PUBLIC_KEY: &str = "3D62";
const BAD_PUBLIC_KEY: &str = "3D60";
const NO_PRIVATE_KEY: &str = "3D00";
const WRONG_PASSWORD: &str = "3B80";
/// A kind of key that cannot do this.
const TYPE_MISMATCH: &str = "3F00";

/// What PEM holds.
enum Public {
    Rsa(RsaPublicKey),
    Curve(rsa_ec::Public),
}

enum Private {
    Rsa(RsaPrivateKey),
    Curve(rsa_ec::Private),
}

impl Private {
    /// Bytes that its owner decrypts at a time.
    fn size(&self) -> usize {
        match self {
            Self::Rsa(key) => key.size(),
            Self::Curve(key) => key.size(),
        }
    }
}

/// A digest: its number in mbedTLS 2 (V1112) and 3 (the new core), its length,
/// and what PKCS#1 puts before it (RFC 8017, 9.2, note 1).
struct Digest {
    numbers: [i32; 2],
    len: usize,
    prefix: &'static [u8],
}

const DIGESTS: &[Digest] = &[
    Digest {
        numbers: [3, 3],
        len: 16,
        prefix: &[
            0x30, 0x20, 0x30, 0x0C, 0x06, 0x08, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x02, 0x05,
            0x05, 0x00, 0x04, 0x10,
        ],
    },
    Digest {
        numbers: [4, 5],
        len: 20,
        prefix: &[
            0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04,
            0x14,
        ],
    },
    Digest {
        numbers: [5, 8],
        len: 28,
        prefix: &[
            0x30, 0x2D, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x04, 0x05, 0x00, 0x04, 0x1C,
        ],
    },
    Digest {
        numbers: [6, 9],
        len: 32,
        prefix: &[
            0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ],
    },
];

/// How a hash is signed; `None` for a digest that is not known or does not have
/// this length. Number 0 signs bytes as they are.
fn scheme(core: Core, number: i32, hash: &[u8]) -> Option<Pkcs1v15Sign> {
    if number == 0 && !hash.is_empty() {
        return Some(Pkcs1v15Sign::new_unprefixed());
    }
    let digest = DIGESTS
        .iter()
        .find(|digest| digest.numbers[usize::from(core.is_new())] == number)?;
    (digest.len == hash.len()).then(|| Pkcs1v15Sign {
        hash_len: Some(digest.len),
        prefix: digest.prefix.into(),
    })
}

/// Whether a curve's key may sign a hash of this digest, or of none.
fn fits(core: Core, number: i32, hash: &[u8]) -> bool {
    let digest = DIGESTS
        .iter()
        .find(|digest| digest.numbers[usize::from(core.is_new())] == number);
    number == 0 || digest.is_some_and(|digest| digest.len == hash.len())
}

/// The device's random numbers, as the crate wants them.
struct Padding<'a>(&'a mut Rng);

impl RngCore for Padding<'_> {
    fn next_u32(&mut self) -> u32 {
        self.0.bits() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.bits()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.bits() as u8;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Padding<'_> {}

fn warn(cx: &mut Call<'_>, text: &str) -> Results {
    let tag = if cx.host().config.core.is_new() {
        "rsa"
    } else {
        "rs"
    };
    cx.host().lib_line(Level::Warn, &format!("{tag} {text}"));
    Ok(0)
}

fn pem(cx: &Call<'_>, index: i32) -> Result<String, Raise> {
    Ok(cx
        .check_text(index)?
        .trim_matches(['\0', ' ', '\n'])
        .to_owned())
}

fn public_key(pem: &str) -> Result<Public, &'static str> {
    let known = if pem.contains("-----BEGIN RSA PUBLIC KEY-----") {
        RsaPublicKey::from_pkcs1_pem(pem).ok().map(Public::Rsa)
    } else if pem.contains("-----BEGIN PUBLIC KEY-----") {
        let key = RsaPublicKey::from_public_key_pem(pem).ok().map(Public::Rsa);
        key.or_else(|| rsa_ec::Public::from_pem(pem).map(Public::Curve))
    } else {
        return Err(NO_PUBLIC_KEY);
    };
    known.ok_or(BAD_PUBLIC_KEY)
}

fn private_key(pem: &str, password: &[u8]) -> Result<Private, &'static str> {
    let rsa = if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let rsa = RsaPrivateKey::from_pkcs8_encrypted_pem(pem, password).ok();
        let curve = || rsa_ec::Private::from_encrypted_pem(pem, password).map(Private::Curve);
        return rsa.map(Private::Rsa).or_else(curve).ok_or(WRONG_PASSWORD);
    } else if pem.contains("-----BEGIN RSA PRIVATE KEY-----") {
        RsaPrivateKey::from_pkcs1_pem(pem).ok()
    } else {
        RsaPrivateKey::from_pkcs8_pem(pem).ok()
    };
    let curve = || rsa_ec::Private::from_pem(pem).map(Private::Curve);
    rsa.map(Private::Rsa).or_else(curve).ok_or(NO_PRIVATE_KEY)
}

fn password(cx: &Call<'_>, index: i32) -> Result<Vec<u8>, Raise> {
    if cx.is_none_or_nil(index) {
        Ok(Vec::new())
    } else {
        cx.check_bytes(index)
    }
}

/// `encrypt(public key, data)`
fn encrypt(cx: &mut Call<'_>) -> Results {
    let (pem, data) = (pem(cx, 1)?, cx.check_bytes(2)?);
    let key = match public_key(&pem) {
        Ok(key) => key,
        Err(code) => return warn(cx, &format!("bad public key {code}")),
    };
    let Public::Rsa(key) = key else {
        return warn(cx, &format!("mbedtls_rsa_pkcs1_encrypt {TYPE_MISMATCH}"));
    };
    let mut rng = Padding(&mut cx.host().rng);
    match key.encrypt(&mut rng, Pkcs1v15Encrypt, &data) {
        Ok(bytes) => {
            cx.push_bytes(&bytes);
            Ok(1)
        }
        Err(_) => warn(cx, "mbedtls_rsa_pkcs1_encrypt 4080"),
    }
}

/// `decrypt(private key, data, password)`
fn decrypt(cx: &mut Call<'_>) -> Results {
    let (pem, data) = (pem(cx, 1)?, cx.check_bytes(2)?);
    let password = password(cx, 3)?;
    let key = match private_key(&pem, &password) {
        Ok(key) => key,
        Err(code) => return warn(cx, &format!("bad private key {code}")),
    };
    if data.len() != key.size() {
        let (want, got) = (key.size(), data.len());
        return warn(cx, &format!("data len NOT match expect {want} but {got}"));
    }
    let Private::Rsa(key) = key else {
        return warn(cx, &format!("mbedtls_rsa_pkcs1_decrypt {TYPE_MISMATCH}"));
    };
    match key.decrypt(Pkcs1v15Encrypt, &data) {
        Ok(bytes) => {
            cx.push_bytes(&bytes);
            Ok(1)
        }
        Err(_) => warn(cx, "mbedtls_rsa_pkcs1_decrypt 4100"),
    }
}

/// `verify(public key, digest, hash, signature)`
fn verify(cx: &mut Call<'_>) -> Results {
    let pem = pem(cx, 1)?;
    let number = cx.check_integer(2)?;
    let (hash, signature) = (cx.check_bytes(3)?, cx.check_bytes(4)?);
    let key = match public_key(&pem) {
        Ok(key) => key,
        Err(code) => return warn(cx, &format!("bad public key {code}")),
    };
    let core = cx.host().config.core;
    let right = match key {
        Public::Rsa(key) => scheme(core, number, &hash)
            .is_some_and(|scheme| key.verify(scheme, &hash, &signature).is_ok()),
        Public::Curve(key) => fits(core, number, &hash) && key.verify(&hash, &signature),
    };
    cx.push_boolean(right);
    Ok(1)
}

/// `sign(private key, digest, hash, password)`
fn sign(cx: &mut Call<'_>) -> Results {
    let pem = pem(cx, 1)?;
    let number = cx.check_integer(2)?;
    let hash = cx.check_bytes(3)?;
    let password = password(cx, 4)?;
    let key = match private_key(&pem, &password) {
        Ok(key) => key,
        Err(code) => return warn(cx, &format!("bad private key {code}")),
    };
    let core = cx.host().config.core;
    let signature = match key {
        Private::Rsa(key) => {
            scheme(core, number, &hash).and_then(|scheme| key.sign(scheme, &hash).ok())
        }
        Private::Curve(key) if fits(core, number, &hash) => key.sign(&hash),
        Private::Curve(_) => None,
    };
    match signature {
        Some(signature) => {
            cx.push_bytes(&signature);
            Ok(1)
        }
        None => warn(cx, "mbedtls_pk_sign 3E80"),
    }
}
