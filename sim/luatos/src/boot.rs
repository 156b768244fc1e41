//! From reset to `main.lua`, and from its end to the next reset.

use std::time::Duration;

use airbench_lua32::{Config as VmConfig, Kind, Vm, VmError};
use airbench_trace::{Kind as EventKind, Source};

use crate::args::{Call, Results};
use crate::config::{PowerOnReason, Scripts};
use crate::libs::{self, base, rtos};
use crate::runtime::{
    Exit, Level, Runtime, Wait, before_call, go_down_if_crashed, hook, leave, suspend,
};

/// The Lua heap of the stock image, in bytes.
pub(crate) const HEAP: usize = 262_136;
/// The collector's pause the firmware sets at boot, in percent.
const GC_PAUSE: i32 = 90;
/// VM instructions between two looks at the clock: about a millisecond.
const HOOK_INTERVAL: i32 = 1000;

/// What the C side prints before Lua runs, with its time since power-on in ms
/// (docs/firmware-facts.md, "Boot time-line").
const EARLY: &[(u64, &str)] = &[
    (9, "am_service_init 851:Air780E_A17"),
    (23, "Uart_BaseInitEx 1049:uart 0 rx cache 256 dma 256"),
];
/// When the module has read who it is.
const IDENTITY_MS: u64 = 225;
/// Reason and version lines follow this much later, the heap lines …
const VERSION_AFTER_MS: u64 = 1;
/// … this much after those.
const LIBRARIES_AFTER_MS: u64 = 8;
/// How long the firmware stays dead after the VM ended.
const EXIT_SECONDS: u64 = 15;

/// A VM that will boot and run the scripts of its runtime; `seed` starts
/// `math.random`.
pub fn vm(seed: u64) -> Result<Vm<Runtime>, VmError> {
    vm_counting(seed, Counting::CpuTime)
}

/// What a VM does every thousand instructions. All but the first are there to
/// measure what the first costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Charges CPU time and lets the world catch up.
    CpuTime,
    /// Nothing, but it is interrupted for it.
    Empty,
    /// It is not interrupted.
    Off,
}

/// The same with another hook than the firmware's.
pub fn vm_counting(seed: u64, counting: Counting) -> Result<Vm<Runtime>, VmError> {
    type Hook = fn(&mut Call<'_>);
    let (hook, before_call): (Hook, Hook) = match counting {
        Counting::CpuTime => (hook, before_call),
        Counting::Empty | Counting::Off => (|_| {}, |_| {}),
    };
    // The libraries are in ROM on the board; here they take heap. `boot` sets
    // the real limit above what they need.
    Vm::new(VmConfig {
        heap_limit: HEAP * 4,
        hook,
        before_call,
        random_seed: seed,
        hook_interval: match counting {
            Counting::Off => 0,
            _ => HOOK_INTERVAL,
        },
        main,
    })
}

fn main(cx: &mut Call<'_>) {
    boot(cx);
    let missing = run(cx);
    dead_time(cx, missing);
    leave(cx, Exit::Reset(PowerOnReason::Software));
}

fn wait_for_uptime(cx: &mut Call<'_>, ms: u64) {
    let at = cx.host().boot + Duration::from_millis(ms);
    if cx.host().now() < at {
        suspend(cx, Wait::Until(at));
    }
}

/// Prints the boot lines at their times and opens the libraries.
fn boot(cx: &mut Call<'_>) {
    for (ms, line) in EARLY {
        wait_for_uptime(cx, *ms);
        cx.host().line(*line);
    }
    wait_for_uptime(cx, IDENTITY_MS);
    let imei = cx.host().config.identity.imei.clone();
    cx.host()
        .line(format!("self_info 122:model Air780E_A17 imei {imei}"));
    wait_for_uptime(cx, IDENTITY_MS + VERSION_AFTER_MS);
    let rt = cx.host();
    rt.announce_wake_up();
    if rt.flash.power_key_debounce {
        rt.lib_line(Level::Debug, "pm PowerKey-Debounce is enabled");
    }
    let reason = rt.power_on_line();
    rt.lib_line(Level::Info, &reason);
    let banner = if rt.config.core.is_new() {
        "main LuatOS@Air780E base 26.08 bsp V1112 32bit"
    } else {
        "main LuatOS@EC618 base 23.11 bsp V1112 32bit"
    };
    rt.lib_line(Level::Info, banner);
    rt.lib_line(Level::Info, "main ROM Build: Sep  3 2024 15:55:27");
    if let Some(why) = rt.config.scripts.damage().map(str::to_owned) {
        // A damaged entry has no words of the firmware's own.
        if !why.starts_with("file ") {
            rt.lib_line(Level::Warn, &format!("luadb {why}"));
        }
        rt.lib_line(Level::Debug, "vfs mount error ret -1");
    }
    if let Some(why) = rt.refused_update.take() {
        let text = format!("update refused: {why}");
        rt.record(Source::Board, EventKind::State, text);
    }
    let opened = libs::open_all(cx);
    assert!(opened.is_ok(), "the libraries open in an empty heap");
    cx.set_gc_pause(GC_PAUSE);
    cx.collect();
    let baseline = cx.memory().used;
    cx.host().heap_baseline = baseline;
    let hidden = baseline.saturating_sub(rtos::HEAP_AT_START);
    cx.set_heap_limit(HEAP + hidden, hidden);
    wait_for_uptime(cx, IDENTITY_MS + VERSION_AFTER_MS + LIBRARIES_AFTER_MS);
    let rt = cx.host();
    let used = rtos::HEAP_AT_START;
    rt.lib_line(
        Level::Debug,
        &format!("main loadlibs luavm {HEAP} {used} 14392"),
    );
    rt.lib_line(Level::Debug, "main loadlibs sys   277872 53984 81264");
    let start = rt.config.tunables.script_start.as_millis();
    wait_for_uptime(cx, u64::try_from(start).unwrap_or(0));
}

/// Runs `main.lua` and reports how it ended: `true` if there was none.
fn run(cx: &mut Call<'_>) -> bool {
    // Inside a C function, as on the board: tracebacks end with `[C]: in ?`.
    cx.push_function(run_main);
    let result = cx.call(0, 0);
    go_down_if_crashed(cx);
    let missing = result.is_err() && cx.to_bytes(-1) == Some(b"module 'main' not found");
    match result {
        Ok(()) => {
            let text = "main.lua has come to its end; sys.run() must be its last line";
            cx.host()
                .record(Source::Board, EventKind::ScriptError, text);
        }
        Err(_) => report(cx),
    }
    missing
}

fn run_main(cx: &mut Call<'_>) -> Results {
    if cx.host().config.core.is_new() {
        base::preload(cx)?;
    }
    base::load_main(cx)?;
    cx.call(0, 0)?;
    Ok(0)
}

/// The last words of a VM that died of an error.
fn report(cx: &mut Call<'_>) {
    let message: Vec<u8> = match cx.kind(-1) {
        Kind::String | Kind::Number => cx.to_bytes(-1).unwrap_or_default().to_vec(),
        // The firmware prints C's null pointer for values that are no strings.
        _ => b"(null)".to_vec(),
    };
    let rt = cx.host();
    rt.record(Source::Board, EventKind::ScriptError, message.clone());
    rt.lib_line(Level::Error, "main Luat: ");
    let text = String::from_utf8_lossy(&message).into_owned();
    rt.lib_line(Level::Error, &format!("main {text}"));
    rt.errdump_system(&message);
}

/// The firmware feeds its watchdog and waits; no Lua runs. Without a main
/// script it says every second where to begin.
fn dead_time(cx: &mut Call<'_>, missing: bool) {
    cx.host()
        .lib_line(Level::Error, "main Lua VM exit!! reboot in 15000ms");
    let guide = if cx.host().config.core.is_new() {
        "https://docs.openluat.com"
    } else {
        "https://wiki.luatos.com/boardGuide/roadmap.html"
    };
    // Twice as often as the firmware, so that a dog of one second, whose time is
    // up in the same moment as the sleep, does not bite.
    for half in 0..2 * EXIT_SECONDS {
        let rt = cx.host();
        rt.watchdog.feed(rt.now());
        if missing && half % 2 == 0 {
            for words in [
                "未找到main.lua,请刷入脚本以运行程序,luatos快速入门教程",
                "The main.lua not found, please flash the script to run the program, luatos quick start",
            ] {
                rt.lib_line(Level::Error, &format!("main {words}: {guide}"));
            }
        }
        let next = rt.now() + Duration::from_millis(500);
        suspend(cx, Wait::Until(next));
    }
}

/// A script that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    /// Lua's message: file, line, what.
    pub message: String,
}

/// Compiles the main script, so that a syntax error can be told from an error
/// at run time. Libraries are the firmware's business when they are required.
pub fn check(scripts: &Scripts) -> Result<(), ScriptError> {
    match scripts.get("main.lua") {
        Some(code) => compile(code, "main.lua", false).map(drop),
        None => Ok(()),
    }
}

/// A script as the byte code of the device (`luac`, 32-bit numbers), with or
/// without lines and names of variables.
pub fn compile(code: &[u8], name: &str, strip_debug: bool) -> Result<Vec<u8>, ScriptError> {
    struct Job {
        code: Vec<u8>,
        chunk: String,
        strip: bool,
        result: Result<Vec<u8>, ScriptError>,
    }
    fn compile(cx: &mut airbench_lua32::Cx<'_, Job>) {
        let code = std::mem::take(&mut cx.host().code);
        let chunk = cx.host().chunk.clone();
        let strip = cx.host().strip;
        cx.host().result = if cx.load(&code, &chunk).is_ok() {
            Ok(cx.dump(strip).unwrap_or_default())
        } else {
            let text = String::from_utf8_lossy(cx.to_bytes(-1).unwrap_or_default()).into_owned();
            Err(ScriptError { message: text })
        };
    }
    let mut job = Job {
        code: base::source(code).into_owned(),
        chunk: format!("@{name}"),
        strip: strip_debug,
        result: Ok(Vec::new()),
    };
    // A generous heap: size is the board's business, not the compiler's.
    let vm = Vm::new(VmConfig {
        heap_limit: 8 << 20,
        hook: |_| {},
        before_call: |_| {},
        random_seed: 0,
        hook_interval: i32::MAX,
        main: compile,
    });
    match vm {
        Ok(mut vm) => {
            vm.resume(&mut job);
            job.result
        }
        Err(error) => Err(ScriptError {
            message: error.to_string(),
        }),
    }
}
