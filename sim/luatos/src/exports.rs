//! What the stock image exports, modelled here or not.

use std::sync::OnceLock;

use crate::config::Core;

/// One library of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Global name.
    pub name: &'static str,
    /// Function names in declaration order.
    pub functions: Vec<&'static str>,
    /// Constants in declaration order.
    pub constants: Vec<(&'static str, i32)>,
}

/// What the image of a core exports.
pub fn image(core: Core) -> &'static [Export] {
    static V1112: OnceLock<Vec<Export>> = OnceLock::new();
    static NEW: OnceLock<Vec<Export>> = OnceLock::new();
    match core {
        Core::V1112 => V1112.get_or_init(|| parse(include_str!("exports_v1112.txt"))),
        Core::New => NEW.get_or_init(|| {
            let mut exports = image(Core::V1112).to_vec();
            for added in parse(include_str!("exports_new.txt")) {
                match exports.iter_mut().find(|e| e.name == added.name) {
                    Some(export) => export.extend(added),
                    None => exports.push(added),
                }
            }
            exports
        }),
    }
}

/// A library of a core's image.
pub fn find(core: Core, name: &str) -> Option<&'static Export> {
    image(core).iter().find(|export| export.name == name)
}

impl Export {
    /// A member is a constant.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.iter().any(|(n, _)| *n == name)
    }

    /// Takes over what a later core has.
    fn extend(&mut self, added: Self) {
        self.functions.extend(added.functions);
        for (name, value) in added.constants {
            match self.constants.iter_mut().find(|(n, _)| *n == name) {
                Some(constant) => constant.1 = value,
                None => self.constants.push((name, value)),
            }
        }
    }
}

fn parse(text: &'static str) -> Vec<Export> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, rest)| {
            let (functions, constants) = rest.split_once('|').unwrap_or((rest, ""));
            Export {
                name,
                functions: functions.split_whitespace().collect(),
                constants: constants.split_whitespace().map(constant).collect(),
            }
        })
        .collect()
}

fn constant(text: &'static str) -> (&'static str, i32) {
    let (name, value) = text.split_once('=').unwrap_or((text, "0"));
    (name, value.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_whole() {
        let exports = image(Core::V1112);
        assert!(exports.len() > 50, "{}", exports.len());
        let uart = exports.iter().find(|export| export.name == "uart").unwrap();
        assert!(uart.functions.contains(&"rxSize"));
        assert!(uart.constants.contains(&("VUART_0", 32)));
    }

    #[test]
    fn the_new_core_adds_to_the_old_one() {
        assert!(
            !find(Core::V1112, "socket")
                .unwrap()
                .functions
                .contains(&"dft")
        );
        let socket = find(Core::New, "socket").unwrap();
        assert!(socket.functions.contains(&"dft") && socket.functions.contains(&"create"));
        let mcu = find(Core::New, "mcu").unwrap();
        assert_eq!(mcu.constants.iter().filter(|(n, _)| *n == "CAM").count(), 1);
    }

    /// What a library module offers must be on one of the images.
    #[test]
    fn every_modelled_function_is_exported() {
        for (library, function) in crate::libs::own_functions() {
            let known = find(Core::New, library).is_some_and(|e| e.functions.contains(&function));
            assert!(known, "{library}.{function}");
        }
    }
}
