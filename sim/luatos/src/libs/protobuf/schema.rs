//! Message types, as a serialised FileDescriptorSet describes them.

use std::collections::BTreeMap;

use super::wire::{Reader, Wire};

/// Number of a field's type in a descriptor (`FieldDescriptorProto.Type`).
pub(super) const MESSAGE: u64 = 11;
pub(super) const ENUM: u64 = 14;

/// The types' names, for messages to the user.
pub(super) fn type_name(kind: u64) -> &'static str {
    const NAMES: [&str; 19] = [
        "<unknown>",
        "double",
        "float",
        "int64",
        "uint64",
        "int32",
        "fixed64",
        "fixed32",
        "bool",
        "string",
        "group",
        "message",
        "bytes",
        "uint32",
        "enum",
        "sfixed32",
        "sfixed64",
        "sint32",
        "sint64",
    ];
    usize::try_from(kind)
        .ok()
        .and_then(|index| NAMES.get(index).copied())
        .unwrap_or(NAMES[0])
}

/// One field of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) number: u32,
    /// Its type's number.
    pub(super) kind: u64,
    /// Full name of a message's or enum's type.
    pub(super) of: String,
    pub(super) repeated: bool,
    /// What the descriptor says, if it does.
    packed: Option<bool>,
    /// Name of the oneof it belongs to.
    pub(super) oneof: Option<String>,
    pub(super) proto3: bool,
}

impl Field {
    /// Values of the type can be put one behind the other.
    pub(super) fn packable(&self) -> bool {
        !matches!(self.kind, 9..=12)
    }

    /// Values are written that way.
    pub(super) fn is_packed(&self) -> bool {
        self.repeated && self.packable() && self.packed.unwrap_or(self.proto3)
    }

    /// A value that is zero or empty is not written.
    pub(super) fn drops_zero(&self) -> bool {
        self.proto3 && self.oneof.is_none() && !self.repeated
    }
}

/// A message or an enum.
#[derive(Debug, Clone, Default)]
pub(super) struct Type {
    pub(super) proto3: bool,
    pub(super) map_entry: bool,
    /// Fields in the order they were loaded.
    fields: Vec<Field>,
    /// Names and numbers of an enum.
    pub(super) values: Vec<(String, i32)>,
}

impl Type {
    pub(super) fn by_number(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn add(&mut self, field: Field) {
        self.fields.retain(|f| f.number != field.number);
        self.fields.push(field);
    }

    /// The fields as the firmware's table of them is walked.
    pub(super) fn ordered(&self) -> Vec<&Field> {
        let numbers: Vec<u32> = self.fields.iter().map(|field| field.number).collect();
        let order = table_order(&numbers);
        order.iter().filter_map(|n| self.by_number(*n)).collect()
    }

    /// Room the firmware makes in a decoded table.
    pub(super) fn room(&self) -> i32 {
        let mut oneofs: Vec<&str> = Vec::new();
        let mut plain = 0;
        for field in &self.fields {
            match &field.oneof {
                None => plain += 1,
                Some(name) if !oneofs.contains(&name.as_str()) => oneofs.push(name),
                Some(_) => {}
            }
        }
        plain + 2 * i32::try_from(oneofs.len()).unwrap_or(0)
    }
}

/// The order in which the firmware's hash table of numbers is walked: open
/// addressing with a free pointer that only descends, as Lua's own tables.
fn table_order(numbers: &[u32]) -> Vec<u32> {
    let mut size = 8;
    loop {
        if let Some(slots) = fill(numbers, size) {
            return slots;
        }
        size *= 2;
    }
}

fn fill(numbers: &[u32], size: usize) -> Option<Vec<u32>> {
    // Growing puts the old slots back in ascending order.
    let mut slots: Vec<Option<u32>> = vec![None; size];
    let mut order: Vec<u32> = Vec::new();
    if size > 8 {
        let (kept, rest) = split(numbers, size / 2);
        order.extend(kept);
        order.extend(rest);
    } else {
        order.extend(numbers);
    }
    let home = |number: u32| {
        let hash = number.wrapping_mul(2_654_435_761) as usize & (size - 1);
        hash.max(1)
    };
    let mut free = size;
    for number in order {
        if number == 0 {
            slots[0] = Some(0);
            continue;
        }
        let at = home(number);
        if slots[at].is_none() {
            slots[at] = Some(number);
            continue;
        }
        // Slot 0 is for the number 0 alone.
        free = (1..free).rev().find(|slot| slots[*slot].is_none())?;
        // An occupant that is not at home makes way.
        match slots[at] {
            Some(other) if home(other) != at => {
                slots[free] = Some(other);
                slots[at] = Some(number);
            }
            _ => slots[free] = Some(number),
        }
    }
    Some(slots.into_iter().flatten().collect())
}

/// The numbers that fitted a table of this size, in its order, and the others.
fn split(numbers: &[u32], size: usize) -> (Vec<u32>, Vec<u32>) {
    for count in (1..=numbers.len()).rev() {
        if let Some(kept) = fill(&numbers[..count], size) {
            return (kept, numbers[count..].to_vec());
        }
    }
    (Vec::new(), numbers.to_vec())
}

/// All types that were loaded, by `.package.Name`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    types: BTreeMap<String, Type>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Schema {
    /// A type by its name, with or without the dot before it.
    pub(super) fn find(&self, name: &str) -> Option<&Type> {
        self.types
            .get(name)
            .or_else(|| self.types.get(&format!(".{name}")))
    }

    /// Forgets a type, or one of its fields by name or number.
    pub(super) fn forget(&mut self, name: &str, field: Option<&str>) {
        let full = if self.types.contains_key(name) {
            name.to_owned()
        } else {
            format!(".{name}")
        };
        match (field, self.types.get_mut(&full)) {
            (None, _) => drop(self.types.remove(&full)),
            (Some(field), Some(of)) => of
                .fields
                .retain(|f| f.name != field && f.number.to_string() != field),
            (Some(_), None) => {}
        }
    }

    /// Takes a FileDescriptorSet over: how far it was read, and whether to its
    /// end.
    pub(super) fn load(&mut self, bytes: &[u8]) -> (bool, usize) {
        let mut reader = Reader::new(bytes);
        let done = self.set(&mut reader);
        (done.is_some(), reader.position())
    }

    fn set(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        while !reader.at_end() {
            match reader.tag()? {
                (1, Wire::Bytes) => self.file(&mut reader.message()?)?,
                (_, wire) => reader.skip(wire)?,
            }
        }
        Some(())
    }

    fn file(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (mut package, mut proto3) = (String::new(), false);
        let (mut messages, mut enums, mut extensions) = (Vec::new(), Vec::new(), Vec::new());
        while !reader.at_end() {
            match reader.tag()? {
                (2, Wire::Bytes) => {
                    package = text(reader.bytes()?);
                    if package.is_empty() {
                        return None;
                    }
                    package.insert(0, '.');
                }
                (4, Wire::Bytes) => messages.push(reader.message()?),
                (5, Wire::Bytes) => enums.push(reader.message()?),
                (7, Wire::Bytes) => extensions.push(reader.message()?),
                (12, Wire::Bytes) => proto3 = reader.bytes()? == b"proto3",
                (_, wire) => reader.skip(wire)?,
            }
        }
        for mut part in messages {
            self.message(&mut part, &package, proto3)?;
        }
        for mut part in enums {
            self.enumeration(&mut part, &package)?;
        }
        for mut part in extensions {
            let (field, extendee, _) = field(&mut part, proto3)?;
            self.types.entry(extendee).or_default().add(field);
        }
        Some(())
    }

    fn message(&mut self, reader: &mut Reader<'_>, scope: &str, proto3: bool) -> Option<()> {
        let (mut name, mut map_entry) = (String::new(), false);
        let (mut fields, mut oneofs) = (Vec::new(), Vec::new());
        let (mut nested, mut enums, mut extensions) = (Vec::new(), Vec::new(), Vec::new());
        while !reader.at_end() {
            match reader.tag()? {
                (1, Wire::Bytes) => name = text(reader.bytes()?),
                (2, Wire::Bytes) => fields.push(reader.message()?),
                (3, Wire::Bytes) => nested.push(reader.message()?),
                (4, Wire::Bytes) => enums.push(reader.message()?),
                (6, Wire::Bytes) => extensions.push(reader.message()?),
                (7, Wire::Bytes) => map_entry = flag(&mut reader.message()?, 7)?.unwrap_or(false),
                (8, Wire::Bytes) => oneofs.push(oneof(&mut reader.message()?)?),
                (_, wire) => reader.skip(wire)?,
            }
        }
        let full = format!("{scope}.{name}");
        let this = self.types.entry(full.clone()).or_default();
        this.proto3 = proto3;
        this.map_entry = map_entry;
        for mut part in fields {
            let (mut field, _, index) = field(&mut part, proto3)?;
            field.oneof = index.and_then(|index| oneofs.get(index).cloned());
            this.add(field);
        }
        for mut part in nested {
            self.message(&mut part, &full, proto3)?;
        }
        for mut part in enums {
            self.enumeration(&mut part, &full)?;
        }
        for mut part in extensions {
            let (field, extendee, _) = field(&mut part, proto3)?;
            self.types.entry(extendee).or_default().add(field);
        }
        Some(())
    }

    fn enumeration(&mut self, reader: &mut Reader<'_>, scope: &str) -> Option<()> {
        let (mut name, mut values) = (String::new(), Vec::new());
        while !reader.at_end() {
            match reader.tag()? {
                (1, Wire::Bytes) => name = text(reader.bytes()?),
                (2, Wire::Bytes) => {
                    let mut part = reader.message()?;
                    let mut value = (String::new(), 0);
                    while !part.at_end() {
                        match part.tag()? {
                            (1, Wire::Bytes) => value.0 = text(part.bytes()?),
                            (2, Wire::Varint) => value.1 = part.varint()? as i32,
                            (_, wire) => part.skip(wire)?,
                        }
                    }
                    values.push(value);
                }
                (_, wire) => reader.skip(wire)?,
            }
        }
        let full = format!("{scope}.{name}");
        self.types.entry(full).or_default().values = values;
        Some(())
    }
}

fn oneof(reader: &mut Reader<'_>) -> Option<String> {
    let mut name = String::new();
    while !reader.at_end() {
        match reader.tag()? {
            (1, Wire::Bytes) => name = text(reader.bytes()?),
            (_, wire) => reader.skip(wire)?,
        }
    }
    Some(name)
}

/// A boolean option with this number.
fn flag(reader: &mut Reader<'_>, wanted: u32) -> Option<Option<bool>> {
    let mut value = None;
    while !reader.at_end() {
        match reader.tag()? {
            (number, Wire::Varint) if number == wanted => value = Some(reader.varint()? != 0),
            (_, wire) => reader.skip(wire)?,
        }
    }
    Some(value)
}

/// A field, the type it extends, and the index of its oneof.
fn field(reader: &mut Reader<'_>, proto3: bool) -> Option<(Field, String, Option<usize>)> {
    let mut field = Field {
        proto3,
        ..Field::default()
    };
    let (mut extendee, mut oneof) = (String::new(), None);
    while !reader.at_end() {
        match reader.tag()? {
            (1, Wire::Bytes) => field.name = text(reader.bytes()?),
            (2, Wire::Bytes) => extendee = text(reader.bytes()?),
            (3, Wire::Varint) => field.number = reader.varint()? as u32,
            (4, Wire::Varint) => field.repeated = reader.varint()? == 3,
            (5, Wire::Varint) => field.kind = reader.varint()?,
            (6, Wire::Bytes) => field.of = text(reader.bytes()?),
            (8, Wire::Bytes) => field.packed = flag(&mut reader.message()?, 2)?,
            (9, Wire::Varint) => oneof = usize::try_from(reader.varint()?).ok(),
            (_, wire) => reader.skip(wire)?,
        }
    }
    Some((field, extendee, oneof))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Orders a host build of the firmware's table gave.
    #[test]
    fn fields_are_walked_as_on_the_board() {
        let up_to = |n: u32| (1..=n).collect::<Vec<_>>();
        assert_eq!(table_order(&up_to(15)), up_to(15));
        let sixteen = [2, 4, 6, 8, 10, 12, 14, 16, 1, 3, 5, 7, 9, 11, 13, 15];
        assert_eq!(table_order(&up_to(16)), sixteen);
        let twenty = [
            17, 2, 19, 4, 6, 8, 10, 12, 14, 16, 1, 18, 3, 20, 5, 7, 9, 11, 13, 15,
        ];
        assert_eq!(table_order(&up_to(20)), twenty);
    }

    proptest! {
        #[test]
        fn no_descriptor_makes_the_reader_panic(bytes: Vec<u8>) {
            let (done, position) = Schema::default().load(&bytes);
            prop_assert!(position <= bytes.len());
            prop_assert!(done || !bytes.is_empty());
        }
    }
}
