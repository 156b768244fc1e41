//! `crypto`: hashes, ciphers, checksums, one-time passwords.

use airbench_lua32::{Func, Kind, Raise};
use data_encoding::HEXUPPER;

use crate::args::{Args, Call, Results};
use crate::libs::cipher::{self, Failure, Request};
use crate::libs::crc::{self, Crc16};
use crate::libs::suites::SUITES;
use crate::libs::{Library, hash, string, zbuff};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "crypto",
    functions: FUNCTIONS,
    constants: &[],
};

const FUNCTIONS: &[(&str, Func<Runtime>)] = &[
    ("md5", |cx| simple(cx, "MD5")),
    ("sha1", |cx| simple(cx, "SHA1")),
    ("sha256", |cx| simple(cx, "SHA256")),
    ("sha512", |cx| simple(cx, "SHA512")),
    ("hmac_md5", |cx| keyed(cx, "MD5")),
    ("hmac_sha1", |cx| keyed(cx, "SHA1")),
    ("hmac_sha256", |cx| keyed(cx, "SHA256")),
    ("hmac_sha512", |cx| keyed(cx, "SHA512")),
    ("cipher", |cx| run_cipher(cx, true)),
    ("cipher_encrypt", |cx| run_cipher(cx, true)),
    ("cipher_decrypt", |cx| run_cipher(cx, false)),
    ("cipher_list", |cx| {
        let core = cx.host().config.core;
        push_names(cx, cipher::names(core))
    }),
    ("cipher_suites", |cx| push_names(cx, SUITES)),
    ("crc16", crc16),
    ("crc16_modbus", crc16_modbus),
    ("crc32", crc32),
    ("crc8", crc8),
    ("crc7", crc7),
    ("trng", trng),
    ("totp", totp),
    ("base64_encode", string::to_base64),
    ("base64_decode", string::from_base64),
    ("md_file", md_file),
    ("md", md),
    ("checksum", checksum),
    ("hash_init", hash_init),
    ("hash_update", hash_update),
    ("hash_finish", hash_finish),
];

/// Class of streams.
const STREAM: u32 = 3;

/// Registers the class of streams.
pub(crate) fn open(cx: &mut Call<'_>) {
    cx.push_table(0, 2);
    cx.push_function(|cx| {
        if let Some(id) = cx.to_object(1, STREAM) {
            cx.host().hashers.remove(id);
        }
        Ok(0)
    });
    cx.set_field(-2, "__gc");
    cx.push_bytes(b"crypto");
    cx.set_field(-2, "__name");
    cx.set_class(STREAM);
}

fn push_hex(cx: &mut Call<'_>, digest: Option<Vec<u8>>) -> Results {
    let Some(digest) = digest else { return Ok(0) };
    cx.push_bytes(HEXUPPER.encode(&digest).as_bytes());
    Ok(1)
}

fn simple(cx: &mut Call<'_>, name: &str) -> Results {
    let data = cx.check_bytes(1)?;
    push_hex(cx, hash::digest(name, b"", &data))
}

fn keyed(cx: &mut Call<'_>, name: &str) -> Results {
    let data = cx.check_bytes(1)?;
    let key = cx.check_bytes(2)?;
    push_hex(cx, hash::digest(name, &key, &data))
}

/// A key is one only if it is a string.
fn key(cx: &Call<'_>, index: i32) -> Vec<u8> {
    match cx.kind(index) {
        Kind::String => cx.to_bytes(index).unwrap_or_default().to_vec(),
        _ => Vec::new(),
    }
}

/// `crypto.md(name, data, key)`. V1112 takes its own success for a failure and
/// never gives a value.
fn md(cx: &mut Call<'_>) -> Results {
    let name = cx.check_text(1)?;
    let data = cx.check_bytes(2)?;
    let key = key(cx, 3);
    if !cx.host().config.core.is_new() {
        return Ok(0);
    }
    push_hex(cx, hash::digest(&name, &key, &data))
}

fn md_file(cx: &mut Call<'_>) -> Results {
    let name = cx.check_text(1)?;
    let path = cx.check_text(2)?;
    let key = key(cx, 3);
    if path.len() < 2 {
        return Ok(0);
    }
    let Some(mut hasher) = hash::start(&name, &key) else {
        cx.host().lib_line(
            Level::Info,
            &format!("crypto no such message digest {name}"),
        );
        return Ok(0);
    };
    let Some(content) = cx.host().read_file(&path) else {
        cx.host()
            .lib_line(Level::Info, &format!("crypto no such file {path}"));
        return Ok(0);
    };
    hasher.update(&content);
    push_hex(cx, Some(hasher.finish()))
}

fn hash_init(cx: &mut Call<'_>) -> Results {
    let name = cx.check_text(1)?;
    let key = key(cx, 2);
    let Some(hasher) = hash::start(&name, &key) else {
        return Ok(0);
    };
    let id = cx.host().hashers.add(hasher);
    cx.push_object(STREAM, id);
    Ok(1)
}

fn stream(cx: &mut Call<'_>) -> Result<u32, Raise> {
    cx.to_object(1, STREAM)
        .ok_or_else(|| Raise::Argument(1, format!("crypto expected, got {}", cx.type_name(1))))
}

fn hash_update(cx: &mut Call<'_>) -> Results {
    let id = stream(cx)?;
    let data = cx.check_bytes(2)?;
    if let Some(hasher) = cx.host().hashers.get_mut(id) {
        hasher.update(&data);
    }
    Ok(0)
}

fn hash_finish(cx: &mut Call<'_>) -> Results {
    let id = stream(cx)?;
    let digest = cx.host().hashers.remove(id).map(|hasher| hasher.finish());
    push_hex(cx, digest)
}

fn opt_bytes(cx: &Call<'_>, index: i32, default: &str) -> Result<Vec<u8>, Raise> {
    if cx.is_none_or_nil(index) {
        Ok(default.as_bytes().to_vec())
    } else {
        cx.check_bytes(index)
    }
}

fn run_cipher(cx: &mut Call<'_>, encrypt: bool) -> Results {
    let name = opt_bytes(cx, 1, "AES-128-ECB")?;
    let padding = opt_bytes(cx, 2, "PKCS7")?;
    let (data, key) = (cx.check_bytes(3)?, cx.check_bytes(4)?);
    let iv = opt_bytes(cx, 5, "")?;
    let (name, padding) = (
        String::from_utf8_lossy(&name).into_owned(),
        String::from_utf8_lossy(&padding).into_owned(),
    );
    let request = Request {
        name: &name,
        padding: &padding,
        key: &key,
        iv: &iv,
        encrypt,
        core: cx.host().config.core,
    };
    let (out, failure) = cipher::run(&request, &data);
    let rt = cx.host();
    if failure.is_none() && encrypt && padding == "ZERO" && name.ends_with("-ECB") {
        rt.lib_line(Level::Debug, "crypto zero padding");
    }
    let complaint = match failure {
        None => None,
        Some(Failure::Unknown) => Some(format!("mbedtls_cipher_info fail {name} not support")),
        Some(Failure::SetKey) => Some(format!("mbedtls_cipher_setkey fail -0x6100 {name}")),
        Some(Failure::SetIv) => Some(format!("mbedtls_cipher_set_iv fail -0x6100 {name}")),
        Some(Failure::LongIv) => Some(format!("mbedtls_cipher_set_iv fail -0x6080 {name}")),
        Some(Failure::NotStarted) if data.is_empty() => {
            Some(format!("mbedtls_cipher_finish fail 0x6080 {name}"))
        }
        Some(Failure::NotStarted) => Some(format!("mbedtls_cipher_update fail 0x6080 {name}")),
        Some(Failure::Update) => Some(format!(
            "mbedtls_cipher_update fail 0x{:04X} {name}",
            cipher::FULL_BLOCK
        )),
        Some(Failure::Finish(code)) => {
            Some(format!("mbedtls_cipher_finish fail 0x{code:04X} {name}"))
        }
        Some(Failure::Pkcs7) => Some(format!(
            "get_pkcs_padding fail 0x{:04X} {name}",
            cipher::INVALID_PADDING
        )),
    };
    if let Some(text) = complaint {
        rt.lib_line(Level::Error, &format!("crypto {text}"));
    }
    if matches!(
        failure,
        Some(Failure::Unknown | Failure::SetKey | Failure::SetIv | Failure::LongIv)
    ) {
        return Ok(0);
    }
    let sealed = encrypt && name.ends_with("-GCM") && !iv.is_empty();
    if sealed && cx.host().config.core.is_new() {
        let (text, tag) = out.split_at(out.len() - 16);
        cx.push_bytes(text);
        cx.push_bytes(tag);
        return Ok(2);
    }
    cx.push_bytes(&out);
    Ok(1)
}

fn push_names(cx: &mut Call<'_>, names: &[&str]) -> Results {
    cx.push_table(0, 0);
    for (name, index) in names.iter().zip(1..) {
        cx.push_bytes(name.as_bytes());
        cx.set_item(-2, index);
    }
    Ok(1)
}

/// A number as C's conversion to an unsigned short takes it.
fn number(cx: &Call<'_>, index: i32) -> u16 {
    cx.to_number(index).map_or(0, |x| x as i64 as u16)
}

fn crc16(cx: &mut Call<'_>) -> Results {
    let name = cx.check_text(1)?;
    let data = match zbuff::arg(cx, 2) {
        Some(buffer) => zbuff::with(cx, buffer, |b| b.tail()),
        None => cx.to_bytes(2).unwrap_or_default().to_vec(),
    };
    let own = Crc16 {
        polynomial: number(cx, 3),
        initial: number(cx, 4),
        final_xor: number(cx, 5),
        reflect_in: number(cx, 6) != 0,
        reflect_out: number(cx, 7) != 0,
    };
    let crc = if cx.host().config.core.is_new() {
        crc16_new(cx, &name, own, &data)
    } else {
        crc::crc16_method(&name, own).map_or(0, |method| method.of(&data))
    };
    cx.push_integer(crc.into());
    Ok(1)
}

/// The new core: the named method gives defaults, arguments win, and what was
/// reflected on the way in comes out reflected before `outRev` turns it again.
fn crc16_new(cx: &mut Call<'_>, name: &str, own: Crc16, data: &[u8]) -> u16 {
    let named = (name != "USER-DEFINED").then(|| crc::crc16_method(name, own));
    let mut method = named.flatten().unwrap_or(Crc16 {
        polynomial: 0,
        initial: 0,
        final_xor: 0,
        reflect_in: false,
        reflect_out: false,
    });
    let given = |index| !cx.is_none_or_nil(index);
    if given(3) {
        method.polynomial = own.polynomial;
    }
    if given(4) {
        method.initial = own.initial;
    }
    if given(5) {
        method.final_xor = own.final_xor;
    }
    if given(6) {
        method.reflect_in = own.reflect_in;
    }
    method.reflect_out = method.reflect_in;
    let crc = method.of(data);
    if own.reflect_out {
        crc.reverse_bits()
    } else {
        crc
    }
}

/// The new core ignores the start.
fn crc16_modbus(cx: &mut Call<'_>) -> Results {
    let data = cx.check_bytes(1)?;
    let start = cx.opt_integer(2, 0xFFFF)? as u16;
    let start = if cx.host().config.core.is_new() {
        0xFFFF
    } else {
        start
    };
    cx.push_integer(crc::modbus(&data, start).into());
    Ok(1)
}

fn crc32(cx: &mut Call<'_>) -> Results {
    let data = cx.check_bytes(1)?;
    let (mut start, mut polynomial, mut end) = (u32::MAX, 0x04C1_1DB7u32, u32::MAX);
    if cx.host().config.core.is_new() {
        start = cx.opt_integer(2, -1)?.cast_unsigned();
        polynomial = match cx.opt_integer(3, 0)?.cast_unsigned() {
            0 => polynomial,
            given => given,
        };
        end = cx.opt_integer(4, -1)?.cast_unsigned();
    }
    let crc = crc::crc32(&data, start, polynomial.reverse_bits()) ^ end;
    cx.push_integer(crc.cast_signed());
    Ok(1)
}

/// `crypto.crc8(data, poly, start, reversed)`. V1112 mirrors the start where
/// it means the polynomial.
fn crc8(cx: &mut Call<'_>) -> Results {
    let data = cx.check_bytes(1)?;
    if !cx.is_integer(2) {
        cx.push_integer(crc::crc8(&data, 0x07, 0, false).into());
        return Ok(1);
    }
    let polynomial = cx.to_integer(2).unwrap_or(0) as u8;
    let start = cx.opt_integer(3, 0)? as u8;
    let reversed = cx.kind(4) == Kind::Boolean && cx.to_boolean(4);
    let mirrored = if cx.host().config.core.is_new() {
        polynomial.reverse_bits()
    } else {
        start.reverse_bits()
    };
    let polynomial = if reversed { mirrored } else { polynomial };
    cx.push_integer(crc::crc8(&data, polynomial, start, reversed).into());
    Ok(1)
}

fn crc7(cx: &mut Call<'_>) -> Results {
    let data = cx.check_bytes(1)?;
    let polynomial = cx.opt_integer(2, 0xE5)? as u8;
    let start = cx.opt_integer(3, 0)? as u8;
    let crc = if cx.host().config.core.is_new() {
        crc::crc7_new(&data, polynomial, start)
    } else {
        crc::crc7(&data, polynomial, start)
    };
    cx.push_integer(crc.into());
    Ok(1)
}

fn trng(cx: &mut Call<'_>) -> Results {
    let Ok(len @ 1..) = usize::try_from(cx.check_integer(1)?) else {
        return Ok(0);
    };
    let rng = &mut cx.host().rng;
    let bytes: Vec<u8> = (0..len.min(128)).map(|_| rng.bits() as u8).collect();
    cx.push_bytes(&bytes);
    Ok(1)
}

/// RFC 6238 over SHA-1, six digits as an integer.
fn totp(cx: &mut Call<'_>) -> Results {
    let secret = string::base32_bytes(&cx.check_bytes(1)?);
    let time = if cx.is_integer(2) {
        i64::from(cx.to_integer(2).unwrap_or(0))
    } else {
        cx.host().unix_time()
    };
    let counter = (time / 30).cast_unsigned().to_be_bytes();
    let Some(mac) = hash::digest("SHA1", &secret, &counter) else {
        return Ok(0);
    };
    let offset = usize::from(mac[19] & 15);
    let mut word = [0; 4];
    word.copy_from_slice(&mac[offset..offset + 4]);
    let code = (u32::from_be_bytes(word) & 0x7FFF_FFFF) % 1_000_000;
    cx.push_integer(code.cast_signed());
    Ok(1)
}

fn checksum(cx: &mut Call<'_>) -> Results {
    let data = cx.check_bytes(1)?;
    let add = cx.opt_integer(2, 0)? == 1;
    let sum = data.iter().fold(0u8, |sum, byte| {
        if add {
            sum.wrapping_add(*byte)
        } else {
            sum ^ byte
        }
    });
    cx.push_integer(sum.into());
    Ok(1)
}
