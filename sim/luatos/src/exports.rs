//! What the stock image exports, modelled here or not.

use std::sync::OnceLock;

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

/// The image LuatOS-SoC_V1112_EC618_FULL.
pub fn v1112() -> &'static [Export] {
    static EXPORTS: OnceLock<Vec<Export>> = OnceLock::new();
    EXPORTS.get_or_init(|| parse(include_str!("exports_v1112.txt")))
}

/// A library of the image.
pub fn find(name: &str) -> Option<&'static Export> {
    v1112().iter().find(|export| export.name == name)
}

/// A library's member is a constant.
pub fn is_constant(library: &str, name: &str) -> bool {
    find(library).is_some_and(|export| export.constants.iter().any(|(n, _)| *n == name))
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
        let exports = v1112();
        assert!(exports.len() > 50, "{}", exports.len());
        let uart = exports.iter().find(|export| export.name == "uart").unwrap();
        assert!(uart.functions.contains(&"rxSize"));
        assert!(uart.constants.contains(&("VUART_0", 32)));
    }

    /// The README names libraries as whole, with exceptions; it must be true.
    #[test]
    fn the_readme_tells_the_truth_about_whole_libraries() {
        let readme = include_str!("../../../README.md");
        let (_, row) = readme.split_once("all functions of `").unwrap();
        let (whole, rest) = row.split_once('`').unwrap();
        let (exceptions, _) = rest.split_once(';').unwrap();
        let modelled = crate::modelled();
        for library in whole.split_whitespace() {
            for function in &find(library).unwrap().functions {
                let name = format!("{library}.{function}");
                let excepted = exceptions.contains(&format!("`{name}`"));
                assert_ne!(modelled.contains(&name), excepted, "{name}");
            }
        }
    }

    #[test]
    fn every_modelled_function_is_exported() {
        for name in crate::modelled() {
            let (library, function) = name.split_once('.').unwrap();
            assert!(
                find(library).is_some_and(|e| e.functions.contains(&function)),
                "{name}"
            );
        }
    }
}
