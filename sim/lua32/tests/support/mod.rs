//! A VM with a few functions, and a host that collects what they say.

use airbench_lua32::{Config, Cx, Raise, Step, Vm};

#[derive(Default)]
pub(crate) struct Host {
    pub(crate) code: String,
    pub(crate) lines: Vec<String>,
    pub(crate) ticks: u32,
    pub(crate) hooks: u32,
    pub(crate) hook_suspends: bool,
}

pub(crate) fn out(cx: &mut Cx<'_, Host>) -> Result<usize, Raise> {
    let mut line = Vec::new();
    for i in 1..=cx.top() {
        cx.push_value(i);
        cx.tostring()?;
        if i > 1 {
            line.push(b' ');
        }
        line.extend_from_slice(cx.to_bytes(-1).unwrap());
        cx.pop(1);
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    cx.host().lines.push(line);
    Ok(0)
}

pub(crate) fn tick(cx: &mut Cx<'_, Host>) -> Result<usize, Raise> {
    cx.suspend();
    let ticks = cx.host().ticks;
    cx.push_integer(ticks as i32);
    Ok(1)
}

pub(crate) fn fail(cx: &mut Cx<'_, Host>) -> Result<usize, Raise> {
    Err(match cx.to_integer(1) {
        Some(1) => Raise::Message("positioned".into()),
        Some(2) => Raise::Plain("plain".into()),
        _ => Raise::Argument(1, "number expected".into()),
    })
}

pub(crate) fn main(cx: &mut Cx<'_, Host>) {
    cx.open_base().unwrap();
    for name in ["string", "math", "coroutine", "table", "utf8"] {
        cx.open_stock(name).unwrap();
        cx.set_global(name);
    }
    for (name, f) in [
        ("out", out as fn(&mut Cx<'_, Host>) -> _),
        ("tick", tick),
        ("fail", fail),
    ] {
        cx.push_function(f);
        cx.set_global(name);
    }
    let code = cx.host().code.clone();
    let result = cx
        .load(code.as_bytes(), "@t.lua")
        .and_then(|()| cx.call(0, 0));
    if result.is_err() {
        let text = String::from_utf8_lossy(cx.to_bytes(-1).unwrap()).into_owned();
        cx.host().lines.push(format!("error: {text}"));
    }
}

pub(crate) fn hook(cx: &mut Cx<'_, Host>) {
    cx.host().hooks += 1;
    if cx.host().hook_suspends {
        cx.suspend();
    }
}

pub(crate) fn vm() -> Vm<Host> {
    Vm::new(Config {
        heap_limit: 262_136,
        hook,
        before_call: |_| {},
        random_seed: 1,
        hook_interval: 1000,
        main,
    })
    .unwrap()
}

pub(crate) fn run(code: &str) -> Vec<String> {
    let mut host = Host {
        code: code.into(),
        ..Host::default()
    };
    let mut vm = vm();
    while vm.resume(&mut host) == Step::Suspended {
        host.ticks += 1;
    }
    host.lines
}
