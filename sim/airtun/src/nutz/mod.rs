//! Nutz's JSON: the lenient reader and the "full" writer of the Java server.
//!
//! Behaviour after `docs/airtun-server.md`; the recorded exchanges with the real
//! server are the judge (`tests/exchanges.rs`).

mod java;
mod number;
mod parser;
mod render;

pub use parser::{Syntax, parse};
pub use render::render;

/// A value as the Java server holds it. Numbers are kept as the text they will
/// be printed with: their type is decided while reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`, `undefined`, and the Java `NaN`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as printed.
    Number(String),
    /// A string; lone surrogates have become `?`.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object in insertion order.
    Map(Map),
}

/// An object in insertion order; a repeated key keeps its place and takes the
/// last value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Map(Vec<(String, Value)>);

impl Map {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Sets `key`, in its place if it exists, else at the end.
    pub fn put(&mut self, key: String, value: Value) {
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
}
