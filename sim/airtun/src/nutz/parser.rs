//! The lenient reader (facts sheet section 4).

use super::{Map, Value, number};

/// The text is not a message; the real server only logs this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON, not even Nutz's, at byte {at}")]
pub struct Syntax {
    /// Offset of the character that could not be understood.
    pub at: usize,
}

/// Nesting that is still read. The real limit is the Java stack: 1500 always
/// worked, 8000 never did.
const DEPTH: usize = 1500;

/// Reads a message: an object, or `None` for something else that is legal.
pub fn parse(text: &str) -> Result<Option<Map>, Syntax> {
    top(text, 0)
}

fn top(text: &str, depth: usize) -> Result<Option<Map>, Syntax> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_blank()?;
    match reader.peek() {
        Some('v' | '(') => {
            while !matches!(reader.peek(), Some('{' | '[')) {
                reader.next()?;
            }
        }
        Some(quote @ ('"' | '\'')) if depth < DEPTH => {
            reader.at += 1;
            let inner = reader.string(quote)?;
            return top(&inner, depth + 1);
        }
        _ => {}
    }
    match reader.peek() {
        Some('{') => {
            reader.at += 1;
            reader.map(0).map(Some)
        }
        Some('[') => {
            reader.at += 1;
            reader.list(0).map(|_| None)
        }
        _ => Err(reader.error()),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
}

/// Ends an unquoted token.
fn is_structural(c: char) -> bool {
    matches!(
        c,
        '{' | '}' | '[' | ']' | ':' | ',' | '/' | ' ' | '\t' | '\n' | '\r'
    )
}

impl Reader<'_> {
    fn error(&self) -> Syntax {
        Syntax { at: self.at }
    }

    fn peek(&self) -> Option<char> {
        let byte = *self.text.as_bytes().get(self.at)?;
        if byte < 0x80 {
            Some(char::from(byte))
        } else {
            self.text[self.at..].chars().next()
        }
    }

    fn next(&mut self) -> Result<char, Syntax> {
        let c = self.peek().ok_or(self.error())?;
        self.at += c.len_utf8();
        Ok(c)
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) -> Result<(), Syntax> {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.at += 1,
                Some('/') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), Syntax> {
        self.at += 1;
        match self.next()? {
            '/' => {
                let rest = &self.text[self.at..];
                self.at += rest.find('\n').unwrap_or(rest.len());
                Ok(())
            }
            '*' => {
                // The opening star may be the closing one: `/*/` is complete.
                self.at -= 1;
                while !(self.next()? == '*' && self.peek() == Some('/')) {}
                self.at += 1;
                Ok(())
            }
            _ => Err(self.error()),
        }
    }

    /// After `{`. Commas may be missing, doubled, leading and trailing. A key
    /// whose value is missing before a comma is dropped, but not two in a row.
    fn map(&mut self, depth: usize) -> Result<Map, Syntax> {
        let mut map = Map::default();
        let mut dropped = false;
        loop {
            self.skip_blank()?;
            let key = match self.peek().ok_or(self.error())? {
                '}' => {
                    self.at += 1;
                    return Ok(map);
                }
                ',' => {
                    self.at += 1;
                    continue;
                }
                quote @ ('"' | '\'') => {
                    self.at += 1;
                    self.string(quote)?
                }
                _ => self.token()?,
            };
            self.skip_blank()?;
            if self.next()? != ':' {
                return Err(self.error());
            }
            self.skip_blank()?;
            if self.peek() == Some(',') {
                if dropped {
                    return Err(self.error());
                }
                dropped = true;
                continue;
            }
            dropped = false;
            let value = self.value(depth)?;
            map.put(key, value);
        }
    }

    /// After `[`. Commas may be missing, one may lead or trail.
    fn list(&mut self, depth: usize) -> Result<Vec<Value>, Syntax> {
        let mut list = Vec::new();
        let mut comma = false;
        loop {
            self.skip_blank()?;
            match self.peek().ok_or(self.error())? {
                ']' => {
                    self.at += 1;
                    return Ok(list);
                }
                ',' if comma => return Err(self.error()),
                ',' => {
                    comma = true;
                    self.at += 1;
                }
                _ => {
                    comma = false;
                    list.push(self.value(depth)?);
                }
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Syntax> {
        if depth >= DEPTH {
            return Err(self.error());
        }
        match self.peek().ok_or(self.error())? {
            '{' => {
                self.at += 1;
                self.map(depth + 1).map(Value::Map)
            }
            '[' => {
                self.at += 1;
                self.list(depth + 1).map(Value::List)
            }
            quote @ ('"' | '\'') => {
                self.at += 1;
                self.string(quote).map(Value::Text)
            }
            _ => {
                let at = self.at;
                let token = self.token()?;
                match token.as_str() {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    "null" | "undefined" => Ok(Value::Null),
                    _ => number::read(&token).ok_or(Syntax { at }),
                }
            }
        }
    }

    /// An unquoted run. A `/` inside must begin a comment; the caller's next
    /// `skip_blank` finds out.
    fn token(&mut self) -> Result<String, Syntax> {
        let rest = &self.text[self.at..];
        let len = rest.find(is_structural).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.error());
        }
        self.at += len;
        Ok(rest[..len].to_owned())
    }

    /// After the opening quote.
    fn string(&mut self, quote: char) -> Result<String, Syntax> {
        // Most strings have no escapes and are taken as they are.
        let rest = &self.text[self.at..];
        if let Some(len) = rest.find([quote, '\\'])
            && !rest[len..].starts_with('\\')
        {
            self.at += len + 1;
            return Ok(rest[..len].to_owned());
        }
        let mut units: Vec<u16> = Vec::new();
        loop {
            let c = self.next()?;
            let unit = match c {
                _ if c == quote => break,
                '\\' => match self.next()? {
                    'n' => u16::from(b'\n'),
                    'r' => u16::from(b'\r'),
                    't' => u16::from(b'\t'),
                    'f' => 0x0C,
                    'b' | 'v' => u16::from(b' '),
                    'u' => self.unicode_escape()?,
                    other => {
                        units.extend_from_slice(other.encode_utf16(&mut [0; 2]));
                        continue;
                    }
                },
                c => {
                    units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
                    continue;
                }
            };
            units.push(unit);
        }
        Ok(char::decode_utf16(units)
            .map(|c| c.unwrap_or('?'))
            .collect())
    }

    /// Four characters through Java's signed hexadecimal reader.
    fn unicode_escape(&mut self) -> Result<u16, Syntax> {
        let mut digits = String::new();
        for _ in 0..4 {
            digits.push(self.next()?);
        }
        let digits = number::ascii(&digits, true);
        let value = i32::from_str_radix(&digits, 16).map_err(|_| self.error())?;
        Ok(value as u16)
    }
}
