//! Which firmware functions a project's scripts call, by reading them.
//!
//! Every `library.function` whose library is a global of the image counts, also
//! through `local name = library`. What a script reaches in other ways (an
//! object's methods, `library[name]`) is not seen; a run counts those.

mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use airbench_luatos::{Core, Modelled, Scripts, api, exports};
use tokens::{Token, tokens};

/// How a used function stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Modelled.
    Modelled,
    /// Accepted without effect.
    Accepted,
    /// On the image, without a model.
    NotModelled,
    /// Not on the image: nil on the board.
    Absent,
}

impl Standing {
    /// For reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Modelled => "modelled",
            Self::Accepted => "accepted, does nothing",
            Self::NotModelled => "not modelled",
            Self::Absent => "not in this firmware",
        }
    }
}

/// A function and where it is used first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// How it stands.
    pub standing: Standing,
    /// Script and line of the first use.
    pub first: (String, usize),
    /// How often it is written.
    pub count: usize,
}

/// The functions that scripts use, by `library.function`.
pub fn coverage(scripts: &Scripts, core: Core) -> BTreeMap<String, Use> {
    let known: BTreeMap<(&str, &str), Modelled> = api(core)
        .map(|(library, function, modelled)| ((library, function), modelled))
        .collect();
    let modules: BTreeSet<String> = scripts
        .iter()
        .filter_map(|(name, _)| name.strip_suffix(".lua").map(str::to_owned))
        .collect();
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for (file, code) in scripts.iter().filter(|(name, _)| name.ends_with(".lua")) {
        for (library, member, line) in members(&String::from_utf8_lossy(code), core, &modules) {
            let export = exports::find(core, &library);
            if export.is_some_and(|e| e.is_constant(&member)) {
                continue;
            }
            let standing = match known.get(&(library.as_str(), member.as_str())) {
                Some(Modelled::Yes) => Standing::Modelled,
                Some(Modelled::Accepted) => Standing::Accepted,
                Some(Modelled::No) => Standing::NotModelled,
                None => Standing::Absent,
            };
            uses.entry(format!("{library}.{member}"))
                .or_insert_with(|| Use {
                    standing,
                    first: (file.to_owned(), line),
                    count: 0,
                })
                .count += 1;
        }
    }
    uses
}

/// `library.member` as written, with lines.
fn members(text: &str, core: Core, modules: &BTreeSet<String>) -> Vec<(String, String, usize)> {
    let tokens = tokens(text);
    let is_library = |name: &str| exports::find(core, name).is_some();
    let mut aliases: BTreeMap<String, String> = BTreeMap::new();
    let mut shadowed: BTreeSet<String> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, (token, line)) in tokens.iter().enumerate() {
        let Token::Name(name) = token else { continue };
        let before = at.checked_sub(1).map(|i| &tokens[i].0);
        let after = |n: usize| tokens.get(at + n).map(|(token, _)| token);
        let declared = before == Some(&Token::Name("local".into()));
        if declared && after(1) == Some(&Token::Symbol('=')) {
            match (after(2), after(3)) {
                (Some(Token::Name(library)), next)
                    if is_library(library)
                        && !matches!(next, Some(Token::Symbol('.' | '(' | ':'))) =>
                {
                    aliases.insert(name.clone(), library.clone());
                }
                // The project's own module, or something else of that name.
                _ if is_library(name) => {
                    let required = after(2) == Some(&Token::Name("require".into()));
                    if !required || modules.contains(name) {
                        shadowed.insert(name.clone());
                    }
                }
                _ => {}
            }
            continue;
        }
        let plain = !matches!(before, Some(Token::Symbol('.' | ':')));
        if let (true, Some(Token::Symbol('.')), Some(Token::Name(member))) =
            (plain, after(1), after(2))
        {
            let library = aliases.get(name).unwrap_or(name);
            let own = shadowed.contains(name) && !aliases.contains_key(name);
            if is_library(library) && !own {
                found.push((library.clone(), member.clone(), *line));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Vec<(String, Standing)> {
        let mut scripts = Scripts::default();
        scripts.add("main.lua", code.as_bytes().to_vec());
        coverage(&scripts, Core::V1112)
            .into_iter()
            .map(|(name, used)| (name, used.standing))
            .collect()
    }

    #[test]
    fn calls_are_found_and_comments_are_not() {
        let code = "-- uart.read()\nlocal s = 'gpio.set' uart.setup(1)\n--[[ adc.open ]] lcd.init() x.uart.y()";
        let expected = [
            ("lcd.init".to_owned(), Standing::Accepted),
            ("uart.setup".to_owned(), Standing::Modelled),
        ];
        assert_eq!(of(code), expected);
    }

    #[test]
    fn aliases_shadows_and_what_is_not_there() {
        assert_eq!(
            of("local u = uart u.setup(1) u.frob()"),
            [
                ("uart.frob".to_owned(), Standing::Absent),
                ("uart.setup".to_owned(), Standing::Modelled),
            ]
        );
        assert_eq!(of("local log = {} log.mine()"), []);
        assert_eq!(of("x = uart.VUART_0"), []);
    }
}
