//! What a request target names.

use super::Refusal;

/// A target, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The path as it was sent, without a query.
    pub(crate) raw: Vec<u8>,
    /// The path decoded, its parameters dropped, its dots resolved.
    pub(crate) path: String,
}

/// Takes a target apart.
pub(crate) fn parse(target: &[u8]) -> Result<Target, Refusal> {
    let end = target.iter().position(|byte| b"?#".contains(byte));
    let raw = without_origin(&target[..end.unwrap_or(target.len())]);
    if raw.is_empty() && end.is_some() {
        return Err(Refusal::new(400, "Bad URI"));
    }
    if raw.first() != Some(&b'/') {
        return Err(Refusal::bad_request());
    }
    let mut segments: Vec<String> = Vec::new();
    let parts: Vec<&[u8]> = raw[1..].split(|byte| *byte == b'/').collect();
    for (index, part) in parts.iter().enumerate() {
        let bare = part.split(|byte| *byte == b';').next().unwrap_or_default();
        let name = decode(bare)?;
        if bare.len() < part.len() && (name == "." || name == "..") {
            return Err(Refusal::new(400, "Ambiguous path parameters"));
        }
        let last = index + 1 == parts.len();
        match name.as_str() {
            ".." => {
                segments.pop().ok_or_else(Refusal::bad_request)?;
                if last {
                    segments.push(String::new());
                }
            }
            "." if last => segments.push(String::new()),
            "." => {}
            _ => segments.push(name),
        }
    }
    Ok(Target {
        raw: raw.to_vec(),
        path: format!("/{}", segments.join("/")),
    })
}

/// The path of an absolute URI.
fn without_origin(target: &[u8]) -> &[u8] {
    let scheme = target.windows(3).position(|three| three == b"://");
    let Some(at) = scheme.filter(|at| target[..*at].iter().all(u8::is_ascii_alphanumeric)) else {
        return target;
    };
    let authority = &target[at + 3..];
    let slash = authority.iter().position(|byte| *byte == b'/');
    slash.map_or(b"/", |slash| &authority[slash..])
}

/// Decodes `%41` and `%u0041`.
fn decode(segment: &[u8]) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    let mut rest = segment;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let wide = after.first().is_some_and(|b| b.eq_ignore_ascii_case(&b'u'));
        let (from, len) = if wide { (1, 4) } else { (0, 2) };
        let digits = after.get(from..from + len);
        let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = text
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| u32::from_str_radix(text, 16).ok())
            .filter(|code| *code != 0)
            .ok_or_else(Refusal::bad_request)?;
        if wide {
            let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(code as u8);
        }
        rest = &after[from + len..];
    }
    if std::str::from_utf8(segment).is_err() {
        return Err(Refusal::bad_request());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_ways_lead_to_the_echo() {
        for target in [
            "/ws/echo?a=1&b=%20",
            "/ws/%65cho",
            "/ws/./echo",
            "/x/../ws/echo",
            "/ws/echo;x=1",
            "/ws;a=b/echo",
            "/ws/%2e%2e/ws/echo",
            "/ws/echo#f",
            "/ws%2fecho",
            "http://somewhere/ws/echo",
        ] {
            assert_eq!(
                parse(target.as_bytes()).unwrap().path,
                "/ws/echo",
                "{target}"
            );
        }
        for target in [
            "/ws/Echo",
            "//ws/echo",
            "/ws/echo/",
            "/ws/;/echo",
            "/ws/echo%20",
        ] {
            assert_ne!(
                parse(target.as_bytes()).unwrap().path,
                "/ws/echo",
                "{target}"
            );
        }
    }

    #[test]
    fn some_lead_nowhere() {
        for (target, reason) in [
            ("/../b", "Bad Request"),
            ("/%2e%2e/b", "Bad Request"),
            ("/%zz", "Bad Request"),
            ("/%4", "Bad Request"),
            ("/%00", "Bad Request"),
            ("nope", "Bad Request"),
            ("?x", "Bad URI"),
            ("/ws/..;/ws/echo", "Ambiguous path parameters"),
        ] {
            assert_eq!(
                parse(target.as_bytes()).unwrap_err().reason,
                reason,
                "{target}"
            );
        }
        assert!(parse(b"/\xE9").is_err());
        assert!(parse(b"/%ff").is_ok());
    }
}
