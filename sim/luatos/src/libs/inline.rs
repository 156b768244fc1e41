//! The modules built into the firmware, put together for a core from the parts
//! in `lua/`.

use std::sync::OnceLock;

use crate::boot::compile;
use crate::config::Core;

const SYS: &str = include_str!("../../lua/sys.lua");
const SYSPLUS: &str = include_str!("../../lua/sysplus.lua");
const MAILBOXES_NEW: &str = include_str!("../../lua/mailboxes_new.lua");
const AWAITABLE: &str = include_str!("../../lua/awaitable.lua");
/// What C calls, in the order the firmware defines it.
const SYS_HOOKS: &str = "_G.sys_pub = sys.publish";
const SYSPLUS_HOOKS: &str = "_G.sys_send = sysplus.sendMsg _G.sys_wait = sysplus.waitMsg";
const SYS_HOOKS_NEW: &str = "_G.sys_send = sys.sendMsg _G.sys_wait = sys.waitMsg";

/// Names and byte code of a core's modules. V1112's are stripped, those of the
/// new core have their lines.
pub(crate) fn modules(core: Core) -> &'static [(&'static str, Vec<u8>)] {
    type Modules = OnceLock<[(&'static str, Vec<u8>); 2]>;
    static V1112: Modules = OnceLock::new();
    static NEW: Modules = OnceLock::new();
    let made = match core {
        Core::V1112 => &V1112,
        Core::New => &NEW,
    };
    made.get_or_init(|| {
        sources(core).map(|(name, text)| {
            let path = format!("/lua/{name}.lua");
            // The texts are part of this program, and tests run all of them.
            let code = compile(text.as_bytes(), &path, !core.is_new());
            (name, code.expect("the built-in modules compile"))
        })
    })
}

/// Names and texts of a core's modules.
fn sources(core: Core) -> [(&'static str, String); 2] {
    match core {
        Core::V1112 => {
            let sysplus = [SYSPLUS, AWAITABLE, SYSPLUS_HOOKS, "return sysplus"];
            [
                ("sys", of_core(core, &[SYS, SYS_HOOKS, "return sys"])),
                ("sysplus", of_core(core, &sysplus)),
            ]
        }
        Core::New => {
            let sys = [
                SYS,
                MAILBOXES_NEW,
                AWAITABLE,
                SYS_HOOKS,
                SYS_HOOKS_NEW,
                "return sys",
            ];
            [
                ("sys", place_lines(&of_core(core, &sys))),
                ("sysplus", "return require(\"sys\")".to_owned()),
            ]
        }
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
fn place_lines(text: &str) -> String {
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
        let sys = |core: Core| sources(core)[0].1.contains("wait_for");
        assert!(sys(Core::V1112));
        assert!(!sys(Core::New));
    }

    #[test]
    fn every_statement_with_a_line_stands_on_it() {
        let placed = &sources(Core::New)[0].1;
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
