//! `iotauth`: client id, user and password of the large MQTT clouds.

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};

use crate::args::{Args, Call, Results};
use crate::libs::{Library, hash, string};
use crate::rtc::from_unix;
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "iotauth",
    functions: &[
        ("aliyun", aliyun),
        ("onenet", onenet),
        ("iotda", iotda),
        ("qcloud", qcloud),
        ("tuya", tuya),
        ("baidu", baidu),
    ],
    constants: &[],
};

/// When signatures end unless told: 2998-12-31 16:00 UTC.
const FAR: i64 = 32_472_115_200;
/// The same of `tuya`.
const TUYA_FAR: i64 = 7_258_089_600;
/// What a text to sign is cut at in `tuya` and `baidu`: a buffer of 100 bytes.
const SIGNED: usize = 99;
/// Room for client id, user and password, with the NUL at their end.
const ROOM: [usize; 3] = [192, 192, 256];

/// The three answers; what is not known yet is empty.
type Answer = [String; 3];

/// A C string argument: up to the first NUL.
fn text(cx: &Call<'_>, index: i32, default: Option<&str>) -> Result<String, airbench_lua32::Raise> {
    if let (true, Some(default)) = (cx.is_none_or_nil(index), default) {
        return Ok(default.to_owned());
    }
    let bytes = cx.check_bytes(index)?;
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// A time argument counts only if it is a number.
fn time(cx: &Call<'_>, index: i32, default: i64) -> Result<i64, airbench_lua32::Raise> {
    if cx.kind(index) == airbench_lua32::Kind::Number {
        Ok(cx.check_integer(index)?.into())
    } else {
        Ok(default)
    }
}

fn give(cx: &mut Call<'_>, answer: &Answer) -> Results {
    for (text, room) in answer.iter().zip(ROOM) {
        let bytes = text.as_bytes();
        cx.push_bytes(&bytes[..bytes.len().min(room - 1)]);
    }
    Ok(3)
}

/// The digest a method names, in the spellings a core takes; V1112 wants all
/// letters of one case.
fn method(cx: &mut Call<'_>, name: &str, known: &[(&str, &'static str)]) -> Option<&'static str> {
    let new = cx.host().config.core.is_new();
    let found = known.iter().find(|(method, _)| {
        name == *method
            || name == method.to_ascii_uppercase()
            || (new && name.eq_ignore_ascii_case(method))
    });
    if found.is_none() {
        let line = format!("iotauth not support: {name}");
        cx.host().lib_line(Level::Error, &line);
    }
    found.map(|(_, digest)| *digest)
}

fn hmac(digest: &str, key: &[u8], data: &str) -> Vec<u8> {
    // The names here are all known.
    hash::digest(digest, key, data.as_bytes()).unwrap_or_default()
}

/// A key in base 64; one that is not gives an empty key.
fn key(base64: &str) -> Vec<u8> {
    string::base64_bytes(base64.as_bytes())
}

/// `aliyun(product key, device name, secret, method, timestamp, tls)`
fn aliyun(cx: &mut Call<'_>) -> Results {
    let product = text(cx, 1, None)?;
    let device = text(cx, 2, None)?;
    let secret = text(cx, 3, None)?;
    let name = text(cx, 4, Some("hmacmd5"))?;
    let stamp = time(cx, 5, FAR)?;
    let mode = if cx.kind(6) == airbench_lua32::Kind::Boolean && cx.to_boolean(6) {
        2
    } else {
        3
    };
    let known = [
        ("hmacmd5", "MD5"),
        ("hmacsha1", "SHA1"),
        ("hmacsha256", "SHA256"),
    ];
    let mut answer = Answer::default();
    if let Some(digest) = method(cx, &name, &known) {
        let lower = name.to_ascii_lowercase();
        let id = format!("{product}.{device}");
        let signed = format!("clientId{id}deviceName{device}productKey{product}timestamp{stamp}");
        answer = [
            format!("{id}|securemode={mode},signmethod={lower},timestamp={stamp}|"),
            format!("{device}&{product}"),
            HEXUPPER.encode(&hmac(digest, secret.as_bytes(), &signed)),
        ];
    }
    give(cx, &answer)
}

/// What `onenet` percent-encodes.
fn percent(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '+' | ' ' | '/' | '?' | '%' | '#' | '&' | '=' => format!("%{:02X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// `onenet(product id, device name, key, method, _, version, resource)`
fn onenet(cx: &mut Call<'_>) -> Results {
    let product = text(cx, 1, None)?;
    let device = text(cx, 2, None)?;
    let secret = text(cx, 3, None)?;
    let name = text(cx, 4, Some("md5"))?;
    let version = text(cx, 6, Some("2018-10-31"))?;
    let resource = if cx.kind(7) == airbench_lua32::Kind::String {
        text(cx, 7, None)?
    } else {
        format!("products/{product}/devices/{device}")
    };
    let known = [("md5", "MD5"), ("sha1", "SHA1"), ("sha256", "SHA256")];
    let mut answer = Answer::default();
    if let Some(digest) = method(cx, &name, &known) {
        let signed = format!("{FAR}\n{name}\n{resource}\n{version}");
        let sign = BASE64.encode(&hmac(digest, &key(&secret), &signed));
        let (resource, sign) = (percent(&resource), percent(&sign));
        answer = [
            device,
            product,
            format!("version={version}&res={resource}&et={FAR}&method={name}&sign={sign}"),
        ];
    }
    give(cx, &answer)
}

/// `iotda(device id, secret, timestamp)`: the hour is local time.
fn iotda(cx: &mut Call<'_>) -> Results {
    let device = text(cx, 1, None)?;
    let secret = text(cx, 2, None)?;
    let stamp = time(cx, 3, FAR)?;
    let given = u8::from(cx.kind(3) == airbench_lua32::Kind::Number);
    let zone = i64::from(cx.host().rtc.sdk_zone) * 900;
    let date = from_unix(stamp + zone);
    let hour = format!(
        "{:04}{:02}{:02}{:02}",
        date.year, date.month, date.day, date.hour
    );
    let answer = [
        format!("{device}_0_{given}_{hour}"),
        device,
        HEXLOWER.encode(&hmac("SHA256", hour.as_bytes(), &secret)),
    ];
    give(cx, &answer)
}

/// `qcloud(product id, device name, key, method, timestamp, app id)`
fn qcloud(cx: &mut Call<'_>) -> Results {
    let product = text(cx, 1, None)?;
    let device = text(cx, 2, None)?;
    let secret = text(cx, 3, None)?;
    let name = text(cx, 4, Some("sha256"))?;
    let stamp = time(cx, 5, FAR)?;
    let app = text(cx, 6, Some("12010126"))?;
    let rng = &mut cx.host().rng;
    let letters: String = (0..5)
        .map(|_| char::from(b'a' + (rng.bits() as u8) % 26))
        .collect();
    let id = format!("{product}{device}");
    let user = format!("{id};{app};{letters};{stamp}");
    let mut password = String::new();
    if let Some(digest) = method(cx, &name, &[("sha1", "SHA1"), ("sha256", "SHA256")]) {
        let sign = HEXLOWER.encode(&hmac(digest, &key(&secret), &user));
        password = format!("{sign};hmac{}", digest.to_ascii_lowercase());
    }
    give(cx, &[id, user, password])
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(SIGNED));
    text
}

/// `tuya(device id, secret, timestamp)`
fn tuya(cx: &mut Call<'_>) -> Results {
    let device = text(cx, 1, None)?;
    let secret = text(cx, 2, None)?;
    let stamp = time(cx, 3, TUYA_FAR)?;
    let tail = format!("timestamp={stamp},secureMode=1,accessType=1");
    let signed = cut(format!("deviceId={device},{tail}"));
    let answer = [
        format!("tuyalink_{device}"),
        format!("{device}|signMethod=hmacSha256,{tail}"),
        HEXLOWER.encode(&hmac("SHA256", secret.as_bytes(), &signed)),
    ];
    give(cx, &answer)
}

/// `baidu(core, device key, secret, method, timestamp)`: plain digests.
fn baidu(cx: &mut Call<'_>) -> Results {
    let core = text(cx, 1, None)?;
    let device = text(cx, 2, None)?;
    let secret = text(cx, 3, None)?;
    let name = text(cx, 4, Some("MD5"))?;
    let stamp = cx.opt_integer(5, 0)?;
    let (mut user, mut password) = (String::new(), String::new());
    if let Some(digest) = method(cx, &name, &[("md5", "MD5"), ("sha256", "SHA256")]) {
        user = if stamp == 0 {
            format!("thingidp@{core}|{device}|{digest}")
        } else {
            format!("thingidp@{core}|{device}|{stamp}|{digest}")
        };
        let signed = cut(format!("{device}&{stamp}&{digest}{secret}"));
        password = HEXLOWER.encode(&hmac(digest, b"", &signed));
    }
    give(cx, &[core, user, password])
}
