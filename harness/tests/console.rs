//! Whole consoles as they must stay: the lines of a boot, of an error that ends
//! the VM, of sleep and waking up.

mod support;

use airbench_luatos::Core;
use support::run;

fn console(core: Core, code: &str) -> String {
    run(core, code).join("\n")
}

const ECHO: &str = r#"PROJECT = "snapshot" VERSION = "1.0.0"
_G.sys = require("sys")
log.info("main", PROJECT, VERSION)
errDump.config(true, 600)
sys.taskInit(function()
    sys.waitUntil("IP_READY", 15000)
    local wsc = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo")
    wsc:on(function(_, event, data) log.info("ws", event, data) end)
    wsc:connect()
    sys.waitUntil("WEBSOCKET_CONNACK", 15000)
    wsc:send('{"action":"echo","msg":"hi"}')
    sys.wait(3000)
    wsc:close()
end)
sys.run()"#;

#[test]
fn a_program_that_boots_and_echoes() {
    insta::assert_snapshot!("echo_v1112", console(Core::V1112, ECHO));
    insta::assert_snapshot!("echo_new", console(Core::New, ECHO));
}

#[test]
fn an_error_in_a_task_and_one_in_a_callback() {
    let task = r#"_G.sys = require("sys") sys.taskInit(function() sys.wait(100) local t = nil; t.x = 1 end) sys.run()"#;
    insta::assert_snapshot!("error_in_a_task", console(Core::V1112, task));
    let callback =
        r#"_G.sys = require("sys") sys.timerStart(function() error("oops") end, 100) sys.run()"#;
    insta::assert_snapshot!("error_in_a_callback", console(Core::V1112, callback));
}

#[test]
fn a_device_that_sleeps_and_wakes_up() {
    let code = r#"_G.sys = require("sys")
sys.taskInit(function()
    log.info("reason", pm.lastReson())
    log.info("flight", mobile.flymode(0, false))
    sys.waitUntil("IP_READY", 5000)
    mobile.flymode(0, true)
    pm.dtimerStart(0, 4000)
    pm.power(pm.USB, false)
    pm.force(pm.HIB)
    sys.wait(3000)
    log.info("awake")
end)
sys.run()"#;
    insta::assert_snapshot!("sleep", console(Core::V1112, code));
}
