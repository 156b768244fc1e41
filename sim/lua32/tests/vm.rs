//! The VM as its users see it: numbers, suspension, limits, errors.

mod support;

use airbench_lua32::{Config, Cx, Raise, Step, Vm, format_number};
use support::{Host, hook, run, vm};

#[test]
fn numbers_are_32_bits_wide() {
    assert_eq!(
        run("out(math.maxinteger, math.maxinteger + 1, 0xFFFFFFFF, 2147483648, 1 << 31, 1 << 32)"),
        ["2147483647 -2147483648 -1 2.147484e+09 -2147483648 0"]
    );
}

#[test]
fn floats_print_as_the_firmware_prints_them() {
    let samples = [
        (1.0, "1.000000"),
        (100.0, "100.00000"),
        (101.0, "101.0000"),
        (1000.0, "1000.0000"),
        (1_234_567.0, "1.234567e+06"),
        (1e9, "10.000000e+08"),
        (0.1, "0.1000000"),
        (0.0001, "1.000000e-04"),
        (-40.5, "-40.50000"),
        (0.0, "0.000000e-308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];
    for (value, text) in samples {
        // The VM's floats are 32 bits wide before they are printed.
        assert_eq!(
            format_number("%.7g", f64::from(value as f32)),
            text,
            "{value}"
        );
    }
    assert_eq!(format_number("%.1f", 0.25), "0.2");
    assert_eq!(format_number("%.0f", 1.5), "2");
}

#[test]
fn a_call_inside_pcall_and_coroutine_suspends_the_whole_vm() {
    let lines = run(
        "local co = coroutine.wrap(function() local ok, n = pcall(tick) coroutine.yield(n) return tick() end)
         out(co(), co(), tick())",
    );
    assert_eq!(lines, ["1 2 3"]);
}

#[test]
fn the_hook_suspends_a_loop_without_calls() {
    let mut host = Host {
        code: "while true do end".into(),
        hook_suspends: true,
        ..Host::default()
    };
    let mut vm = vm();
    for _ in 0..10 {
        assert_eq!(vm.resume(&mut host), Step::Suspended);
    }
    assert_eq!(host.hooks, 10);
}

#[test]
fn the_heap_limit_raises_not_enough_memory_and_the_vm_survives_it() {
    let lines = run(
        "local t = {} local ok, e = pcall(function() for i = 1, 1e6 do t[i] = string.rep('x', 1000) .. i end end)
         t = nil collectgarbage() out(ok, e) out(#string.rep('y', 1000))",
    );
    assert_eq!(lines, ["false not enough memory", "1000"]);
}

#[test]
fn errors_carry_position_argument_and_value() {
    let lines = run("out(pcall(fail, 1)) out(pcall(function() fail(1) end))
        out(pcall(function() fail(2) end)) out(pcall(function() fail('x') end))");
    assert_eq!(
        lines,
        [
            "false positioned",
            "false t.lua:1: positioned",
            "false plain",
            "false t.lua:2: bad argument #1 to 'fail' (number expected)",
        ]
    );
}

#[test]
fn addresses_repeat_from_vm_to_vm() {
    let code = "out(tostring({}), tostring(out), tostring(function() end))";
    let first = run(code);
    let second = run(code);
    assert_eq!(first, second);
    assert!(first[0].starts_with("table: 0C"), "{first:?}");
}

#[test]
fn the_kinds_are_named_as_lua_names_them() {
    fn names(cx: &mut Cx<'_, Host>) -> Result<usize, Raise> {
        for i in 1..=cx.top() + 1 {
            assert_eq!(cx.type_name(i), cx.kind_name(i));
        }
        Ok(0)
    }
    fn with_names(cx: &mut Cx<'_, Host>) {
        cx.open_base().unwrap();
        cx.push_function(names);
        cx.set_global("names");
        cx.load(b"names(nil, true, 1, 'x', {}, names)", "@t.lua")
            .unwrap();
        cx.call(0, 0).unwrap();
        cx.host().lines.push("done".into());
    }
    let mut host = Host::default();
    let mut vm = Vm::new(Config {
        heap_limit: 262_136,
        hook,
        before_call: |_| {},
        random_seed: 1,
        hook_interval: 1000,
        main: with_names,
    })
    .unwrap();
    assert_eq!(vm.resume(&mut host), Step::Finished);
    assert_eq!(host.lines, ["done"]);
}

#[test]
fn a_dropped_suspended_vm_leaves_nothing_running() {
    for _ in 0..100 {
        let mut host = Host {
            code: "tick()".into(),
            ..Host::default()
        };
        let mut vm = vm();
        assert_eq!(vm.resume(&mut host), Step::Suspended);
    }
}

#[test]
fn the_deepest_recursion_through_c_ends_in_a_lua_error() {
    let lines = run("local function f() return (string.gsub('x', 'x', f)) end
        local ok, message = pcall(f) out(ok, (message:gsub('^.-: ', '')))
        local t = setmetatable({}, {}) getmetatable(t).__tostring = function(t) return string.format('%s', t) end
        out((pcall(tostring, t)))");
    assert_eq!(lines, ["false C stack overflow", "false"]);
}

#[test]
fn byte_code_that_would_break_lua_is_refused() {
    // A constant that is a string and not there.
    let head = r"\027Lua\083\000\025\147\013\010\026\010\004\004\004\004\004\120\086\000\000\000\064\185\067";
    let body = r"\001\000\000\000\000\000\000\000\000\000\000\000\002\001\000\000\000\038\000\128\000\001\000\000\000\004\000\001\000\000\000\001\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000";
    let lines = run(&format!(
        "local code = \"{head}{body}\" out(load(code, '@x')) out(load(code))
        local pieces, n = {{code:sub(1, 20), code:sub(21)}}, 0
        out(load(function() n = n + 1 return pieces[n] end)) out(load(code:sub(1, 50)))"
    ));
    assert_eq!(
        lines,
        [
            "nil x: corrupted precompiled chunk",
            "nil binary string: corrupted precompiled chunk",
            "nil (load): corrupted precompiled chunk",
            "nil binary string: truncated precompiled chunk",
        ]
    );
}

#[test]
fn load_does_what_it_does_on_stock_lua() {
    let lines = run(r#"out(load("return ...", "=n")(1, 2)) out(load("x ="))
        local t = {"return ", "1", " + 1", ""} local i = 0
        out(load(function() i = i + 1 return t[i] end)())
        out(load(function() return {} end)) out(load(function() error("no", 0) end))
        out(load("return a", "n", "t", {a = 5})()) out(load("return a", "n", "b"))
        out(pcall(function() load(nil) end)) out(pcall(function() load("x", {}) end))
        out(load(function() return nil end), loadstring == nil)"#);
    assert_eq!(
        lines[..9],
        [
            "1 2",
            "nil [string \"x =\"]:1: unexpected symbol near <eof>",
            "2",
            "nil reader function must return a string",
            "nil no",
            "5",
            "nil attempt to load a text chunk (mode is 'b')",
            "false t.lua:6: bad argument #1 to 'load' (function expected, got nil)",
            "false t.lua:6: bad argument #2 to 'load' (string expected, got table)",
        ]
    );
    assert!(lines[9].starts_with("function: "), "{}", lines[9]);
}

/// Chunks made by hand: upvalues the closure says it has and those of its
/// function, constants, and instructions.
const BY_HAND: &str = r#"
local function i32(n) return string.char(n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24 & 255) end
local function abc(o, a, b, c) return i32(o | a << 6 | c << 14 | b << 23) end
local function chunk(closure, upvalues, constants, code)
    return "\27Lua\x53\0\x19\x93\r\n\x1a\n\4\4\4\4\4\x78\x56\0\0\0\x40\xb9\x43"
        .. string.char(closure) .. "\0" .. i32(0) .. i32(0) .. "\0\2\10"
        .. i32(#code) .. table.concat(code) .. i32(#constants) .. table.concat(constants)
        .. i32(upvalues) .. ("\1\0"):rep(upvalues) .. i32(0) .. i32(0) .. i32(0) .. i32(0)
end
local number, give = "\x13" .. i32(7), abc(38, 0, 2, 0)
local load_number = i32(1)
"#;

#[test]
fn hand_made_chunks_do_not_break_the_vm() {
    let lines = run(&format!(
        r#"{BY_HAND}
        out(load(chunk(1, 1, {{number}}, {{load_number, give}}))())
        out(load(chunk(0, 1, {{number}}, {{abc(6, 0, 0, 256), give}})))
        out(pcall(load(chunk(1, 1, {{number}}, {{load_number, abc(43, 0, 1, 1), give}}))))
        out(load(chunk(1, 1, {{number}}, {{load_number, abc(38, 0, 0, 0)}})))
        out(load(chunk(1, 1, {{number}}, {{abc(45, 0, 0, 0), give}})))
        out(load(chunk(1, 1, {{number}}, {{abc(45, 0, 0, 0), abc(38, 0, 0, 0)}}))(1, 2))"#
    ));
    let corrupt = "nil binary string: corrupted precompiled chunk";
    assert_eq!(lines[..2], ["7", corrupt]);
    assert!(
        lines[2].ends_with("corrupted precompiled chunk"),
        "{}",
        lines[2]
    );
    assert_eq!(lines[3..], [corrupt, corrupt, "1 2"]);
}
