//! The modules built into the firmware, put together for a core from the parts
//! in `lua/`.

use std::sync::OnceLock;

use crate::config::Core;

const SYS: &str = include_str!("../../lua/sys.lua");
const SYSPLUS: &str = include_str!("../../lua/sysplus.lua");
const MAILBOXES_NEW: &str = include_str!("../../lua/mailboxes_new.lua");
const AWAITABLE: &str = include_str!("../../lua/awaitable.lua");
/// What C calls, in the order the firmware defines it.
const SYS_HOOKS: &str = "_G.sys_pub = sys.publish";
const SYSPLUS_HOOKS: &str = "_G.sys_send = sysplus.sendMsg _G.sys_wait = sysplus.waitMsg";
const SYS_HOOKS_NEW: &str = "_G.sys_send = sys.sendMsg _G.sys_wait = sys.waitMsg";

/// Names and sources of a core's modules.
pub(crate) fn modules(core: Core) -> &'static [(&'static str, String)] {
    static V1112: OnceLock<[(&str, String); 2]> = OnceLock::new();
    static NEW: OnceLock<[(&str, String); 2]> = OnceLock::new();
    match core {
        Core::V1112 => V1112.get_or_init(|| {
            [
                ("sys", of_core(core, &[SYS, SYS_HOOKS, "return sys"])),
                (
                    "sysplus",
                    of_core(core, &[SYSPLUS, AWAITABLE, SYSPLUS_HOOKS, "return sysplus"]),
                ),
            ]
        }),
        Core::New => NEW.get_or_init(|| {
            [
                (
                    "sys",
                    of_core(
                        core,
                        &[
                            SYS,
                            MAILBOXES_NEW,
                            AWAITABLE,
                            SYS_HOOKS,
                            SYS_HOOKS_NEW,
                            "return sys",
                        ],
                    ),
                ),
                ("sysplus", "return require(\"sys\")".to_owned()),
            ]
        }),
    }
}

/// The parts without the lines that only the other core has.
fn of_core(core: Core, parts: &[&str]) -> String {
    let other = match core {
        Core::V1112 => " --new",
        Core::New => " --v1112",
    };
    let lines = parts.iter().flat_map(|part| part.lines());
    lines
        .filter(|line| !without_place(line).0.ends_with(other))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// A line without the `--@N` at its end, and N.
fn without_place(line: &str) -> (&str, Option<usize>) {
    match line.rsplit_once("--@") {
        Some((code, number)) => (code.trim_end(), number.parse().ok()),
        None => (line, None),
    }
}

/// The text with every line that ends in `--@N` moved down to line N.
pub(crate) fn place_lines(text: &str) -> String {
    let mut out = String::new();
    let mut line = 1;
    for code in text.lines() {
        if let Some(wanted) = without_place(code).1 {
            while line < wanted {
                out.push('\n');
                line += 1;
            }
        }
        out.push_str(code);
        out.push('\n');
        line += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_core_has_its_own_lines_only() {
        let sys = |core| modules(core)[0].1.as_str();
        assert!(sys(Core::V1112).contains("wait_for"));
        assert!(!sys(Core::New).contains("wait_for"));
    }

    #[test]
    fn every_statement_with_a_line_stands_on_it() {
        let placed = place_lines(&modules(Core::New)[0].1);
        let mut count = 0;
        for (line, code) in placed.lines().enumerate() {
            if let Some(wanted) = without_place(code).1 {
                assert_eq!(line + 1, wanted, "{code}");
                count += 1;
            }
        }
        assert!(count > 20, "{count}");
    }
}
