//! The vocabulary of scenarios. `cucumber --steps` prints it from the sources.

mod cloud;
mod faults;
mod given;
mod peripherals;
mod radio;
mod then_device;
mod then_server;
mod when;

use std::time::Duration;

use cucumber::Parameter;

use crate::duration;

/// A span of time in a step: `500 ms`, `15 s`, `1h30m`.
#[derive(Debug, Clone, Copy, Parameter)]
#[param(
    name = "span",
    regex = r"(?:\d+(?:\.\d+)? ?(?:milliseconds?|seconds?|minutes?|hours?|days?|ms|us|min|sec|s|m|h|d) ?)+"
)]
pub(crate) struct Span(pub(crate) Duration);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration::parse(text).map(Self)
    }
}

/// One step of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// Given, When or Then.
    pub keyword: &'static str,
    /// The expression, with its parameters in braces.
    pub expression: String,
    /// What it does.
    pub about: String,
}

/// The files with steps.
const SOURCES: &[&str] = &[
    include_str!("given.rs"),
    include_str!("when.rs"),
    include_str!("radio.rs"),
    include_str!("faults.rs"),
    include_str!("then_device.rs"),
    include_str!("then_server.rs"),
    include_str!("cloud.rs"),
    include_str!("peripherals.rs"),
];

/// Every step, in the order of the sources.
pub fn vocabulary() -> Vec<Phrase> {
    SOURCES.iter().flat_map(|source| phrases(source)).collect()
}

/// The steps of one source file: doc comment, attribute.
fn phrases(source: &str) -> Vec<Phrase> {
    let mut phrases = Vec::new();
    let mut about = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            if !about.is_empty() {
                about.push(' ');
            }
            about.push_str(text.trim());
            continue;
        }
        let attribute = ["given", "when", "then"].into_iter().find_map(|word| {
            let rest = line
                .strip_prefix("#[")?
                .strip_prefix(word)?
                .strip_prefix("(expr = ")?;
            Some((word, rest.trim_end_matches(")]")))
        });
        match attribute {
            Some((word, expression)) => phrases.push(Phrase {
                keyword: match word {
                    "given" => "Given",
                    "when" => "When",
                    _ => "Then",
                },
                expression: expression.trim_matches(['r', '#', '"']).to_owned(),
                about: about.clone(),
            }),
            None => about.clear(),
        }
    }
    phrases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_listed_with_what_it_does() {
        let vocabulary = vocabulary();
        assert!(vocabulary.len() > 30, "{}", vocabulary.len());
        for phrase in &vocabulary {
            assert!(!phrase.about.is_empty(), "{phrase:?} says nothing");
        }
        let count: usize = SOURCES
            .iter()
            .map(|source| source.matches("(expr = ").count())
            .sum();
        assert_eq!(vocabulary.len(), count);
    }

    /// Users' features depend on these words: a change must be meant.
    #[test]
    fn the_vocabulary_is_what_users_rely_on() {
        let lines: Vec<String> = vocabulary()
            .iter()
            .map(|phrase| format!("{} {}", phrase.keyword, phrase.expression))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn spans_are_read() {
        assert_eq!(
            "1 min 5 s".parse::<Span>().map(|span| span.0),
            Ok(Duration::from_secs(65))
        );
    }
}
