//! What counting CPU time costs Lua: the firmware's VM beside the same VM with
//! an empty count hook and without any, in turns.

use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

use airbench_clock::Instant;
use airbench_luatos::{
    Config, Core, Counting, Flash, Identity, PowerOnReason, Runtime, Scripts, Tunables, Wait,
    vm_counting,
};

use super::Failure;

/// Programs that compute and do nothing else.
const PROGRAMS: [(&str, &str); 3] = [
    (
        "fib",
        "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
         fib(27)",
    ),
    (
        "strings",
        "for _ = 1, 400 do
             local parts = {}
             for i = 1, 200 do parts[i] = 'item ' .. i .. ';' end
             local all = table.concat(parts)
             local back = 0
             for word in all:gmatch('%d+') do back = back + #word end
             all = all:upper():rep(2)
         end",
    ),
    (
        "tables",
        "for _ = 1, 150 do
             local list, map = {}, {}
             for i = 1, 1000 do list[i] = (i * 7919) % 1009 map['k' .. i % 64] = i end
             table.sort(list)
             local sum = 0
             for i, v in ipairs(list) do sum = sum + v * i % 3 end
         end",
    ),
];
/// Between two events of a world, about.
const HORIZON: Duration = Duration::from_millis(10);

/// Prints the ratios; best of `repeat`.
pub(super) fn run(repeat: u32) -> Result<(), Failure> {
    let kinds = [Counting::CpuTime, Counting::Empty, Counting::Off];
    for (name, code) in PROGRAMS {
        let mut best = [f64::INFINITY; 3];
        for _ in 0..repeat {
            for (best, kind) in best.iter_mut().zip(kinds) {
                *best = best.min(seconds(code, kind)?);
            }
        }
        let [ours, empty, off] = best;
        outln!(
            "lua {name:<8} {:.1} ms: {:.2} of the VM with an empty hook, {:.2} of it without one",
            ours * 1e3,
            ours / empty,
            ours / off
        );
    }
    Ok(())
}

/// Wall seconds of a program from power-on to its end.
fn seconds(code: &str, counting: Counting) -> Result<f64, Failure> {
    let mut scripts = Scripts::default();
    scripts.add("main.lua", format!("{code}\nrtos.reboot()").into_bytes());
    let config = Config {
        core: Core::V1112,
        seed: 1,
        identity: Identity::default(),
        epoch: 0,
        tunables: Tunables::default(),
        scripts,
        devices: Vec::new(),
        access_points: Vec::new(),
        secrets: Arc::default(),
    };
    let flash = Flash::default();
    let mut runtime = Runtime::new(config, flash, Instant::ZERO, PowerOnReason::Power);
    let mut vm = vm_counting(1, counting)
        .map_err(|error| Failure::Usage(format!("lua benchmark: {error}")))?;
    let begin = Wall::now();
    let mut now = Instant::ZERO;
    while runtime.exit.is_none() && runtime.wait != Wait::Forever {
        runtime.enter_vm(now, now + HORIZON);
        vm.resume(&mut runtime);
        now = runtime.vm_wake().unwrap_or(now);
    }
    Ok(begin.elapsed().as_secs_f64())
}
