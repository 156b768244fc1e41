//! `repl`: lines of Lua from outside, run on the main thread.

use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::message::Message;
use crate::runtime::Runtime;

pub(crate) const LIBRARY: Library = Library {
    name: "repl",
    functions: &[("print", |_| Ok(0)), ("enable", enable), ("push", push)],
    constants: &[],
};

/// What has come in and is no whole line yet.
#[derive(Debug, Default)]
pub(crate) struct Repl {
    disabled: bool,
    line: Vec<u8>,
}

impl Runtime {
    /// Bytes typed at the log port.
    pub fn repl_input(&mut self, bytes: &[u8]) {
        if self.repl.disabled {
            return;
        }
        self.repl.line.extend_from_slice(bytes);
        while let Some(end) = self
            .repl
            .line
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))
        {
            let line: Vec<u8> = self.repl.line.drain(..=end).take(end).collect();
            if !line.is_empty() {
                self.bus.push_back(Message::Repl(line));
            }
        }
    }
}

/// The result is upside down: true if it was off before.
fn enable(cx: &mut Call<'_>) -> Results {
    let was_disabled = cx.host().repl.disabled;
    if cx.kind(1) == Kind::Boolean {
        cx.host().repl.disabled = !cx.to_boolean(1);
    }
    cx.push_boolean(was_disabled);
    Ok(1)
}

fn push(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::String {
        let bytes = cx.check_bytes(1)?;
        cx.host().repl_input(&bytes);
    }
    Ok(0)
}

/// Runs a line: syntax errors are shown, others swallowed.
pub(crate) fn on_line(cx: &mut Call<'_>, line: &[u8]) -> Results {
    if cx.load(line, "=[string \"repl\"]").is_err() {
        let text = cx.to_bytes(-1).unwrap_or_default().to_vec();
        cx.host().line(text);
        cx.host().line("\r\n");
        return Ok(0);
    }
    // The firmware drops the outcome, whatever it is.
    let _ = cx.call(0, 0);
    Ok(0)
}
