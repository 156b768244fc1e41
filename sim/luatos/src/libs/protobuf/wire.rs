//! The encoding of Protocol Buffers: tags, varints, and what follows them.

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Bits64,
    Bytes,
    GroupStart,
    GroupEnd,
    Bits32,
    Unknown,
}

impl Wire {
    fn of(number: u64) -> Self {
        match number & 7 {
            0 => Self::Varint,
            1 => Self::Bits64,
            2 => Self::Bytes,
            3 => Self::GroupStart,
            4 => Self::GroupEnd,
            5 => Self::Bits32,
            _ => Self::Unknown,
        }
    }

    /// For messages to the user.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Varint => "varint",
            Self::Bits64 => "64bit",
            Self::Bytes => "bytes",
            Self::GroupStart => "gstart",
            Self::GroupEnd => "gend",
            Self::Bits32 => "32bit",
            Self::Unknown => "<unknown>",
        }
    }

    /// How values of a field type are written.
    pub(super) fn of_type(kind: u64) -> Self {
        match kind {
            1 | 6 | 16 => Self::Bits64,
            2 | 7 | 15 => Self::Bits32,
            9 | 11 | 12 => Self::Bytes,
            10 => Self::GroupStart,
            _ => Self::Varint,
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Varint => 0,
            Self::Bits64 => 1,
            Self::Bytes => 2,
            Self::GroupStart => 3,
            Self::GroupEnd => 4,
            Self::Bits32 => 5,
            Self::Unknown => 6,
        }
    }
}

/// A reader of a message; positions count from the beginning of the outermost.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.data.len()
    }

    /// A tag: the field's number and how its value is written.
    pub(super) fn tag(&mut self) -> Option<(u32, Wire)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        Some((number, Wire::of(tag)))
    }

    /// At most ten bytes; nothing is read of one that is cut off or too long.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (index, byte) in self.data[self.at.min(self.data.len())..]
            .iter()
            .take(10)
            .enumerate()
        {
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                self.at += index + 1;
                return Some(value);
            }
        }
        None
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.data.get(self.at..self.at + N)?;
        self.at += N;
        bytes.try_into().ok()
    }

    /// Bytes with their length before them.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let before = self.at;
        let len = self.varint();
        let end = len
            .and_then(|len| usize::try_from(len).ok())
            .and_then(|len| self.at.checked_add(len));
        match end.and_then(|end| self.data.get(self.at..end)) {
            Some(bytes) => {
                self.at += bytes.len();
                Some(bytes)
            }
            None => {
                self.at = before;
                None
            }
        }
    }

    /// The same as a reader of its own that keeps counting.
    pub(super) fn message(&mut self) -> Option<Self> {
        let bytes = self.bytes()?;
        Some(Self {
            data: &self.data[..self.at],
            at: self.at - bytes.len(),
        })
    }

    /// Passes over a value; the position stays on failure.
    pub(super) fn skip(&mut self, wire: Wire) -> Option<()> {
        let before = self.at;
        let done = self.pass(wire, 0);
        if done.is_none() {
            self.at = before;
        }
        done
    }

    fn pass(&mut self, wire: Wire, depth: usize) -> Option<()> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Bits64 => self.fixed::<8>().map(drop),
            Wire::Bits32 => self.fixed::<4>().map(drop),
            Wire::Bytes => self.bytes().map(drop),
            Wire::GroupStart if depth < super::DEEPEST => loop {
                match self.tag()? {
                    (_, Wire::GroupEnd) => return Some(()),
                    (_, wire) => self.pass(wire, depth + 1)?,
                }
            },
            _ => None,
        }
    }
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a tag.
pub(super) fn put_tag(out: &mut Vec<u8>, number: u32, wire: Wire) {
    put_varint(out, u64::from(number) << 3 | wire.number());
}

/// Appends bytes with their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
