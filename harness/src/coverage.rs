//! Which firmware functions a project's scripts call, by reading them.
//!
//! Every `library.function` whose library is a global of the image counts, also
//! through `local name = library`, and so do those of libraries other modules
//! have, which read as absent unless the script asks whether they are there.
//! What a script reaches in other ways (an object's methods, `library[name]`)
//! is not seen; a run counts those.

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

/// Libraries of LuatOS on other modules. What a script takes from them is not
/// on the EC618, unless the name is the script's own.
const FOREIGN: &[&str] = &[
    "airlink",
    "airui",
    "bluetooth",
    "camera",
    "can",
    "cc",
    "dac",
    "ercoap",
    "espnow",
    "fastlz",
    "ftpsrv",
    "gmssl",
    "gtfont",
    "hid",
    "httpsrv",
    "hzfont",
    "iconv",
    "iperf",
    "keyboard",
    "little_flash",
    "lvgl",
    "max30102",
    "mlx90640",
    "modbus",
    "mouse",
    "multimedia",
    "netdrv",
    "nes",
    "nimble",
    "onewire",
    "pins",
    "profiler",
    "rgb",
    "rtmp",
    "sdio",
    "softkb",
    "sqlite3",
    "statem",
    "touchkey",
    "tp",
    "ulwip",
    "usb",
    "usbapp",
    "videoplayer",
    "vtool",
    "wlanraw",
    "ws2812",
    "xxtea",
    "ymodem",
];

/// The functions that a project uses, by `library.function`. Of `libraries` the
/// scripts count that the project requires, directly or through each other.
pub fn coverage(project: &Scripts, libraries: &Scripts, core: Core) -> BTreeMap<String, Use> {
    let known: BTreeMap<(&str, &str), Modelled> = api(core)
        .map(|(library, function, modelled)| ((library, function), modelled))
        .collect();
    let scripts = required(project, libraries);
    let modules: BTreeSet<String> = scripts
        .iter()
        .filter_map(|(name, _)| name.strip_suffix(".lua").map(str::to_owned))
        .collect();
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for (file, tokens) in &scripts {
        for (library, member, line) in members(tokens, core, &modules) {
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
                    first: ((*file).to_owned(), line),
                    count: 0,
                })
                .count += 1;
        }
    }
    uses
}

type Tokens = Vec<(Token, usize)>;

/// The project's scripts, and the libraries' that one of them names after
/// `require`, and so on.
fn required<'a>(project: &'a Scripts, libraries: &'a Scripts) -> Vec<(&'a str, Tokens)> {
    let read = |scripts: &'a Scripts| {
        scripts
            .iter()
            .filter(|(name, _)| name.ends_with(".lua"))
            .map(|(name, code)| (name, tokens(&String::from_utf8_lossy(code))))
    };
    let mut taken: Vec<(&str, Tokens)> = read(project).collect();
    let mut others: BTreeMap<&str, Tokens> = read(libraries).collect();
    let mut next = 0;
    while let Some((_, tokens)) = taken.get(next) {
        let names: Vec<String> = requires(tokens).map(|name| format!("{name}.lua")).collect();
        for name in names {
            taken.extend(others.remove_entry(name.as_str()));
        }
        next += 1;
    }
    taken
}

/// The modules a script asks for by a literal name.
fn requires(tokens: &Tokens) -> impl Iterator<Item = &str> {
    tokens.iter().enumerate().filter_map(|(at, (token, _))| {
        if *token != Token::Name("require".into()) {
            return None;
        }
        let follower = |n: usize| tokens.get(at + n).map(|(token, _)| token);
        match (follower(1), follower(2)) {
            (Some(Token::Text(name)), _) => Some(name.as_str()),
            (Some(Token::Symbol('(')), Some(Token::Text(name))) => Some(name.as_str()),
            _ => None,
        }
    })
}

/// Another module's library that the script neither defines nor asks for: the
/// name stands nowhere but before a point.
fn is_foreign(tokens: &Tokens, modules: &BTreeSet<String>, name: &str) -> bool {
    FOREIGN.contains(&name)
        && !modules.contains(name)
        && tokens.iter().enumerate().all(|(at, (token, _))| {
            *token != Token::Name(name.into())
                || matches!(tokens.get(at + 1), Some((Token::Symbol('.'), _)))
        })
}

/// `library.member` as written, with lines.
fn members(
    tokens: &Tokens,
    core: Core,
    modules: &BTreeSet<String>,
) -> Vec<(String, String, usize)> {
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
        // `_G.library` is the library too.
        let global = before == Some(&Token::Symbol('.'))
            && at >= 2
            && tokens[at - 2].0 == Token::Name("_G".into());
        let plain = !matches!(before, Some(Token::Symbol('.' | ':')));
        if let (true, Some(Token::Symbol('.')), Some(Token::Name(member))) =
            (plain || global, after(1), after(2))
        {
            let library = aliases.get(name).unwrap_or(name);
            let own = shadowed.contains(name) && !aliases.contains_key(name);
            if !own && (is_library(library) || is_foreign(tokens, modules, library)) {
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
        coverage(&scripts, &Scripts::default(), Core::V1112)
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

    #[test]
    fn constants_strings_in_a_row_and_other_modules_libraries() {
        assert_eq!(of("x = math.pi + math.maxinteger y = json.null"), []);
        assert_eq!(
            of("x = 'a'..json.encode(1)..gpio.nope() _G.uart.read(1)"),
            [
                ("gpio.nope".to_owned(), Standing::Absent),
                ("json.encode".to_owned(), Standing::Modelled),
                ("uart.read".to_owned(), Standing::Modelled),
            ]
        );
        assert_eq!(
            of("iconv.open('a', 'b') if camera then camera.init() end"),
            [("iconv.open".to_owned(), Standing::Absent)]
        );
    }

    #[test]
    fn a_library_counts_if_it_is_required() {
        let scripts = |files: &[(&str, &str)]| {
            let mut scripts = Scripts::default();
            for (name, code) in files {
                scripts.add(name, code.as_bytes().to_vec());
            }
            scripts
        };
        let project = scripts(&[("main.lua", "require 'a'")]);
        let libraries = scripts(&[
            ("a.lua", "local b = require(\"b\")"),
            ("b.lua", "uart.nope()"),
            ("c.lua", "gpio.nope()"),
        ]);
        let uses = coverage(&project, &libraries, Core::V1112);
        assert_eq!(uses.keys().collect::<Vec<_>>(), ["uart.nope"]);
    }
}
