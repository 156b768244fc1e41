//! What scripts see of the difference between the two firmware generations: one
//! small program per difference, and what each prints under V1112 and under the
//! core of 2026.

mod support;

use airbench_luatos::Core;
use airbench_trace::Kind;
use support::run;

/// Both cores print what they should; the texts are parts of one line each.
fn differ(code: &str, v1112: &[&str], new: &[&str]) {
    for (core, wanted) in [(Core::V1112, v1112), (Core::New, new)] {
        let lines = run(core, code);
        for text in wanted {
            assert!(
                lines.iter().any(|line| line.contains(text)),
                "{core:?}: no {text:?} in\n{}",
                lines.join("\n")
            );
        }
    }
}

#[test]
fn the_banner_and_the_separator_of_print() {
    differ(
        "print('a', 1) log.info('t', 'b')",
        &["LuatOS@EC618 base", "a\t1", "I/user.t\tb"],
        &["LuatOS@Air780E base", "a 1", "I/user.t b"],
    );
}

#[test]
fn sys_must_be_required_or_is_there() {
    differ(
        "print('sys', sys, sysplus) ",
        &["sys\tnil\tnil"],
        &["sys table: "],
    );
    differ(
        "sys = require('sys') sysplus = require('sysplus') print('plus', sys == sysplus, sys.taskInitEx ~= nil)",
        &["plus\tfalse\tfalse"],
        &["plus true true"],
    );
}

#[test]
fn a_65th_timer() {
    let code = "sys = require('sys') for i = 1, 66 do sys.timerStart(function() return i end, 5000) end print('last', (sys.timerStart(print, 10)))";
    differ(code, &["last\tnil"], &["create fail!!!"]);
}

#[test]
fn wait_msg_looks_at_one_message_or_at_all() {
    let code = "sys = require('sys') sysplus = require('sysplus')
        sysplus.taskInitEx(function()
            sysplus.sendMsg('t', 'one') sysplus.sendMsg('t', 'two') sys.wait(20)
            local m = sysplus.waitMsg('t', 'two', 50) print('got', m and m[1])
        end, 't') sys.run()";
    differ(code, &["got\tnil"], &["got two"]);
}

#[test]
fn unsubscribing_an_unknown_topic() {
    let code = "sys = require('sys') print('ok', pcall(sys.unsubscribe, 'NOBODY', print))";
    differ(code, &["ok\tfalse"], &["ok true"]);
}

#[test]
fn the_result_of_websocket_send() {
    let code = "sys = require('sys') local ws
        sys.taskInit(function() sys.waitUntil('IP_READY')
            ws = websocket.create(nil, 'ws://echo.airtun.air32.cn/ws/echo')
            ws:on(function(c, event) if event == 'conack' then print('sent', c:send('{}')) end end)
            print('early', ws:send('x')) ws:connect()
        end) sys.run()";
    differ(
        code,
        &["early\tfalse", "sent\tfalse"],
        &["early false", "sent true"],
    );
}

#[test]
fn the_error_event_of_websocket() {
    let code = "sys = require('sys')
        sys.taskInit(function() sys.waitUntil('IP_READY')
            local ws = websocket.create(nil, 'ws://httpbin.org/ws/echo')
            ws:on(function(c, event, what, code) print('event', event, what, code) end)
            ws:connect()
        end) sys.run()";
    differ(
        code,
        &["event\tdisconnect"],
        &["event error rx 0", "event disconnect"],
    );
    let old = run(Core::V1112, code);
    assert!(!old.iter().any(|line| line.contains("event\terror")));
}

#[test]
fn large_messages_of_websocket() {
    let code = "sys = require('sys')
        sys.taskInit(function() sys.waitUntil('IP_READY')
            local ws = websocket.create(nil, 'ws://echo.airtun.air32.cn/ws/echo2')
            ws:on(function(c, event, data, fin, op)
                if event == 'conack' then c:send(('x'):rep(6000), 1) end
                if event == 'recv' then print('got', #data, fin, op) end
                if event == 'disconnect' then print('lost') end
            end)
            ws:connect()
        end) sys.run()";
    differ(code, &["lost"], &["got 6000 1 2"]);
}

#[test]
fn json_slashes_and_float_formats() {
    let code = "print('slash', json.encode({'a/b'})) print('format', json.encode({1.5}, 'x'))";
    differ(
        code,
        &["slash\t[\"a\\/b\"]", "format\t[1.5"],
        &["slash [\"a/b\"]", "format nil invalid float format"],
    );
}

#[test]
fn pack_widths_and_positions() {
    let code =
        "local b = zbuff.create(32) print('wide', b:pack('<l', 1), (pack.unpack('12', '<H')))";
    differ(code, &["wide\t4\t3.000000"], &["wide 8 3"]);
}

#[test]
fn split_without_a_delimiter() {
    let code = "print('split', pcall(function() return #(('a,b'):split()) end))";
    differ(code, &["split\tfalse"], &["split true 2"]);
}

#[test]
fn long_module_names() {
    let code = "print('long', pcall(require, ('m'):rep(60)))";
    differ(code, &["long\tfalse"], &["len 60 is invalid"]);
}

#[test]
fn the_clock_of_os() {
    let code = "sys = require('sys') sys.taskInit(function() sys.wait(3000) print('clock', os.clock() >= 3) end) sys.run()";
    differ(code, &["clock\tfalse"], &["clock true"]);
}

#[test]
fn files_and_buffers() {
    let code = "local b = zbuff.create(4) b:write('abc') local f = io.open('/x', 'w')
        print('write', (pcall(f.write, f, b))) f:close() print('size', io.fileSize('/x'))";
    differ(code, &["write\tfalse"], &["write true", "size 3"]);
}

#[test]
fn methods_of_http() {
    let code = "sys = require('sys') sysplus = require('sysplus')
        sys.taskInit(function() sys.waitUntil('IP_READY')
            print('delete', (http.request('DELETE', 'http://httpbin.org/delete').wait()))
        end) sys.run()";
    differ(code, &["delete\t-4"], &["delete 200"]);
}

#[test]
fn the_code_of_mqtt_disconnect() {
    let code = "sys = require('sys') sys.taskInit(function() sys.waitUntil('IP_READY')
            local c = mqtt.create(nil, 'broker.emqx.io', 1883) c:auth('x')
            c:on(function(c, event, data)
                if event == 'conack' then c:disconnect() end
                if event == 'disconnect' then print('code', math.type(data)) end
            end)
            c:connect()
        end) sys.run()";
    differ(code, &["code\tfloat"], &["code integer"]);
}

#[test]
fn functions_only_one_of_them_has() {
    let code = "print('new', socket.dft, io.dexist, hmeta.chip, rtos.version(true))";
    differ(code, &["new\tnil\tnil\tnil\tV1112"], &["V1112 0 32"]);
}

#[test]
fn ftp_over_tls_is_ignored_or_refused() {
    differ(
        r#"sys = require("sys") sysplus = require("sysplus")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            log.info("tls", ftp.login(nil, "ftp.example.com", 21, "user", "secret", true).wait())
        end)
        sys.taskInit(function()
            sys.wait(8000)
            ftp.close() sys.wait(2000)
            log.info("empty", ftp.login(nil, "ftp.example.com", 21, "", "secret").wait())
        end)
        sys.run()"#,
        &["I/user.tls\ttrue", "I/user.empty\tfalse"],
        &[
            "E/ftp ftp tls not support yet",
            "I/user.tls -24",
            "E/ftp invalid username length 0",
            "I/user.empty -21",
        ],
    );
}

#[test]
fn the_handshake_of_websocket_goes_out_in_three_writes_or_one() {
    let code = "sys = require('sys')
        sys.taskInit(function() sys.waitUntil('IP_READY')
            local ws = websocket.create(nil, 'ws://echo.airtun.air32.cn/ws/echo')
            ws:connect()
        end) sys.run()";
    for (core, segments) in [(Core::V1112, 2), (Core::New, 1)] {
        let world = support::world(core, code);
        let events: Vec<_> = world.log().since(0).collect();
        let kinds = events.iter().map(|event| event.kind);
        let handshake = kinds.clone().position(|kind| kind == Kind::Handshake);
        let handshake = handshake.expect("the server sees a handshake");
        // Segments after the last bare acknowledgement, which ends the
        // three-way handshake. Nagle's algorithm lets the later writes wait for
        // the answer to the first, and go together.
        let up = events[..handshake]
            .iter()
            .filter(|e| e.kind == Kind::PacketUp);
        let sizes: Vec<u32> = up.map(|event| event.len - 40).collect();
        let head = sizes.rsplit(|size| *size == 0).next().unwrap_or_default();
        assert_eq!(head.len(), segments, "{core:?}: {sizes:?}");
    }
}

/// With one adapter the last one registered is the default on both; only the new
/// core lets a script choose another.
#[test]
fn the_default_adapter() {
    differ(
        "if socket.dft then print('dft', socket.dft(7)) end
        print('socket', socket.create(nil, 'task') ~= nil)
        print('mqtt', mqtt.create(nil, 'broker', 1883) ~= nil)
        print('chosen', socket.create(1, 'task') ~= nil)",
        &["socket\ttrue", "mqtt\ttrue", "chosen\ttrue"],
        &["dft 7 1", "socket false", "mqtt false", "chosen true"],
    );
}

#[test]
fn channels_of_pwm_and_the_serving_cell() {
    differ(
        "print('kept', pcall(function()
            return pwm.setup(1, 1000, 50), pwm.start(1), pwm.setDuty(1, 20), pwm.stop(1), pwm.stop(1)
        end))
        sys = require('sys')
        sys.taskInit(function() sys.waitUntil('IP_READY')
            print('cell', pcall(function() return mobile.scell().cid == mobile.eci() end))
        end) sys.run()",
        &["kept\tfalse", "cell\tfalse"],
        &[
            "E/pwm pwm_setup channel 1",
            "E/pwm 请先调用pwm.setup!! 1",
            "kept true true true true true",
            "cell true true",
        ],
    );
}

/// `socket.close_all` cuts every connection of the adapter; clients that
/// reconnect come back.
#[test]
fn close_all_cuts_the_clients() {
    let code = "sys = require('sys')
        sys.taskInit(function() sys.waitUntil('IP_READY')
            local c = mqtt.create(nil, 'lbsmqtt.airm2m.com', 1884)
            c:auth('id') c:autoreconn(true, 3000)
            c:on(function(_, event) print('event', event)
                if event == 'conack' and not done then done = true print('all', socket.close_all(1)) end
            end)
            c:connect()
        end) sys.run()";
    let lines = run(Core::New, code);
    let events: Vec<_> = lines.iter().filter(|l| l.starts_with("event")).collect();
    let cut = "W/mqtt network_wait_event ret -1, closing socket";
    assert!(lines.iter().any(|line| line == cut), "{lines:?}");
    assert_eq!(
        events[..3],
        ["event conack", "event disconnect", "event conack"]
    );
}
