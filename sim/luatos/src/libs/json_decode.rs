//! JSON text to values.

use crate::args::Call;
use crate::libs::json::DEPTH;

/// Pushes the value of a text, or gives the message of what is wrong with it.
pub(super) fn decode(cx: &mut Call<'_>, text: &[u8]) -> Result<(), String> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err("JSON parser does not support UTF-16 or UTF-32".to_owned());
    }
    let top = cx.top();
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let token = parser.next();
    let result = parser.value(cx, token).and_then(|()| {
        let end = parser.next();
        if end.kind == Kind::End {
            Ok(())
        } else {
            Err(unexpected("the end", &end))
        }
    });
    if result.is_err() {
        cx.set_top(top);
    }
    result
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    End,
    Null,
    Boolean(bool),
    Integer(i32),
    Float(f32),
    Text(Vec<u8>),
    Error(&'static str),
}

struct Token {
    kind: Kind,
    /// Where it begins, from 0.
    index: usize,
}

fn unexpected(wanted: &str, token: &Token) -> String {
    let found = match &token.kind {
        Kind::ObjectBegin => "T_OBJ_BEGIN",
        Kind::ObjectEnd => "T_OBJ_END",
        Kind::ArrayBegin => "T_ARR_BEGIN",
        Kind::ArrayEnd => "T_ARR_END",
        Kind::Colon => "T_COLON",
        Kind::Comma => "T_COMMA",
        Kind::End => "T_END",
        Kind::Null => "T_NULL",
        Kind::Boolean(_) => "T_BOOLEAN",
        Kind::Integer(_) => "T_INTEGER",
        Kind::Float(_) => "T_NUMBER",
        Kind::Text(_) => "T_STRING",
        Kind::Error(text) => text,
    };
    format!(
        "Expected {wanted} but found {found} at character {}",
        token.index + 1
    )
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self, offset: usize) -> u8 {
        self.text.get(self.at + offset).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Token {
        while matches!(self.peek(0), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        let index = self.at;
        let single = match self.peek(0) {
            b'{' => Some(Kind::ObjectBegin),
            b'}' => Some(Kind::ObjectEnd),
            b'[' => Some(Kind::ArrayBegin),
            b']' => Some(Kind::ArrayEnd),
            b':' => Some(Kind::Colon),
            b',' => Some(Kind::Comma),
            _ => None,
        };
        if let Some(kind) = single {
            self.at += 1;
            return Token { kind, index };
        }
        match self.peek(0) {
            // The parser works on C strings: a NUL is the end.
            0 => Token {
                kind: Kind::End,
                index,
            },
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => Token {
                kind: self.number(),
                index,
            },
            _ => Token {
                kind: self.word(),
                index,
            },
        }
    }

    fn word(&mut self) -> Kind {
        for (word, kind) in [
            ("true", Kind::Boolean(true)),
            ("false", Kind::Boolean(false)),
            ("null", Kind::Null),
        ] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return kind;
            }
        }
        Kind::Error("invalid token")
    }

    /// A number as `strtof` reads it, which includes `-.5` and `1.`. Without a
    /// point in it the firmware then asks `strtol`: what that reads, saturating,
    /// is an integer unless it is zero, and where it stops the number ends, so
    /// that an exponent is left over.
    fn number(&mut self) -> Kind {
        let invalid = Kind::Error("invalid number");
        let sign = usize::from(self.peek(0) == b'-');
        let (first, second) = (self.peek(sign), self.peek(sign + 1));
        if first == b'0' && (second.is_ascii_digit() || second | 0x20 == b'x') {
            return invalid;
        }
        let run = |mut end: usize| {
            while self.text.get(end).is_some_and(u8::is_ascii_digit) {
                end += 1;
            }
            end
        };
        let whole = run(self.at + sign);
        let digits = whole - self.at - sign;
        let point = self.text.get(whole) == Some(&b'.');
        let fraction = if point { run(whole + 1) } else { whole };
        if digits == 0 && fraction <= whole + 1 {
            return invalid;
        }
        let mut end = fraction;
        if matches!(self.text.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.text.get(end + 1), Some(b'+' | b'-')));
            let after = run(end + 1 + sign);
            if after > end + 1 + sign {
                end = after;
            }
        }
        let ascii = |range: &[u8]| String::from_utf8_lossy(range).into_owned();
        let value: f32 = ascii(&self.text[self.at..end]).parse().unwrap_or(0.0);
        if point {
            self.at = end;
            return Kind::Float(value);
        }
        let wide: f64 = ascii(&self.text[self.at..whole]).parse().unwrap_or(0.0);
        let zero = &self.text[self.at..end] == b"0";
        self.at = whole;
        if wide == 0.0 && !zero {
            return Kind::Float(value);
        }
        Kind::Integer(wide.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
    }

    fn string(&mut self) -> Token {
        let index = self.at;
        let mut out = Vec::new();
        let error = |text, at| Token {
            kind: Kind::Error(text),
            index: at,
        };
        self.at += 1;
        loop {
            let Some(&byte) = self.text.get(self.at).filter(|b| **b != 0) else {
                return error("unexpected end of string", self.at);
            };
            match byte {
                b'"' => {
                    self.at += 1;
                    return Token {
                        kind: Kind::Text(out),
                        index,
                    };
                }
                b'\\' => {
                    let plain = match self.peek(1) {
                        c @ (b'"' | b'\\' | b'/') => Some(c),
                        b'b' => Some(8),
                        b't' => Some(b'\t'),
                        b'n' => Some(b'\n'),
                        b'f' => Some(12),
                        b'r' => Some(b'\r'),
                        b'u' => None,
                        _ => return error("invalid escape code", self.at),
                    };
                    match plain {
                        Some(byte) => {
                            out.push(byte);
                            self.at += 2;
                        }
                        None => match self.unicode() {
                            Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                            None => return error("invalid unicode escape code", self.at),
                        },
                    }
                }
                byte => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn hex4(&self, offset: usize) -> Option<u32> {
        let digits = self.text.get(self.at + offset..self.at + offset + 4)?;
        digits.iter().try_fold(0, |value, d| {
            Some(value << 4 | char::from(*d).to_digit(16)?)
        })
    }

    /// At `\u`: a character, with its low surrogate if it needs one.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex4(2)?;
        if (0xDC00..0xE000).contains(&high) {
            return None;
        }
        if !(0xD800..0xDC00).contains(&high) {
            self.at += 6;
            return char::from_u32(high);
        }
        if self.peek(6) != b'\\' || self.peek(7) != b'u' {
            return None;
        }
        let low = self.hex4(8).filter(|low| (0xDC00..0xE000).contains(low))?;
        self.at += 12;
        char::from_u32(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
    }

    /// Pushes the value that begins with `token`.
    fn value(&mut self, cx: &mut Call<'_>, token: Token) -> Result<(), String> {
        match token.kind {
            Kind::Text(text) => cx.push_bytes(&text),
            Kind::Integer(n) => cx.push_integer(n),
            Kind::Float(f) => cx.push_number(f),
            Kind::Boolean(b) => cx.push_boolean(b),
            Kind::Null => cx.push_null(),
            Kind::ObjectBegin | Kind::ArrayBegin => {
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(format!(
                        "Found too many nested data structures ({}) at character {}",
                        self.depth, self.at
                    ));
                }
                cx.push_table(0, 0);
                if token.kind == Kind::ObjectBegin {
                    self.object(cx)?
                } else {
                    self.array(cx)?
                }
                self.depth -= 1;
            }
            _ => return Err(unexpected("value", &token)),
        }
        Ok(())
    }

    /// After `{`; the table is on top.
    fn object(&mut self, cx: &mut Call<'_>) -> Result<(), String> {
        let table = cx.top();
        let mut token = self.next();
        if token.kind == Kind::ObjectEnd {
            return Ok(());
        }
        loop {
            let Kind::Text(key) = &token.kind else {
                return Err(unexpected("object key string", &token));
            };
            cx.push_bytes(key);
            token = self.next();
            if token.kind != Kind::Colon {
                return Err(unexpected("colon", &token));
            }
            token = self.next();
            self.value(cx, token)?;
            cx.raw_set(table);
            token = self.next();
            match token.kind {
                Kind::ObjectEnd => return Ok(()),
                Kind::Comma => token = self.next(),
                _ => return Err(unexpected("comma or object end", &token)),
            }
        }
    }

    /// After `[`; the table is on top.
    fn array(&mut self, cx: &mut Call<'_>) -> Result<(), String> {
        let table = cx.top();
        let mut token = self.next();
        if token.kind == Kind::ArrayEnd {
            return Ok(());
        }
        for index in 1.. {
            self.value(cx, token)?;
            cx.set_item(table, index);
            token = self.next();
            match token.kind {
                Kind::ArrayEnd => return Ok(()),
                Kind::Comma => token = self.next(),
                _ => return Err(unexpected("comma or array end", &token)),
            }
        }
        Ok(())
    }
}
