//! What one small script sees of a quirk on V1112: the lines it must give, in
//! their order.

#[path = "../support/mod.rs"]
mod support;

mod files;
mod libraries;
mod network;

use airbench_luatos::Core;
use support::run;

fn prints(code: &str, texts: &[&str]) {
    prints_on(Core::V1112, code, texts);
}

/// The lines contain the texts, one line each, in this order.
fn prints_on(core: Core, code: &str, texts: &[&str]) {
    let lines = run(core, code);
    let mut rest = lines.iter();
    for text in texts {
        assert!(
            rest.any(|line| line.contains(text)),
            "no {text:?} in its place in\n{}",
            lines.join("\n")
        );
    }
}

#[test]
fn a_byte_order_mark_and_a_first_line_with_a_hash_are_skipped() {
    prints("\u{FEFF}#!lua\nprint('line', debug.traceback())", &["line"]);
    prints("#!lua\nerror('here')", &["main.lua:2: here"]);
}

#[test]
fn loadfile_takes_a_mode_and_an_environment() {
    prints(
        r#"io.writeFile("/a.lua", "return x")
        print("env", loadfile("/a.lua", "t", {x = 7})())
        print("mode", loadfile("/a.lua", "b"))
        print("bit", bit.band(12, 10), http2 ~= nil)"#,
        &[
            "env\t7",
            "mode\tnil\tattempt to load a text chunk (mode is 'b')",
            "bit\t8\ttrue",
        ],
    );
}

/// One buffer serves all calls of `print`.
#[test]
fn a_print_within_a_print_sends_off_what_was_there() {
    prints(
        r#"local noisy = setmetatable({}, {__tostring = function() print("inner") return "outer" end})
        print("first", noisy, "last")
        local broken = setmetatable({}, {__tostring = function() error("no") end})
        pcall(print, "lost", broken)
        print("found")"#,
        &["firstinner", "\touter\tlast", "lostfound"],
    );
}

/// Byte code without names takes the file's, and has no lines; the firmware's own
/// modules are such files.
#[test]
fn stripped_byte_code_is_known_by_its_file() {
    prints(
        r#"io.writeFile("/x.luac", io.readFile("/lua/sys.lua"))
        print("code", io.readFile("/lua/sys.lua"):byte(1, 4))
        local copy = loadfile("/x.luac")()
        print("error", pcall(copy.coresume, coroutine.create(function() error({}) end)))
        print("built in", pcall(require("sys").coresume, coroutine.create(function() error({}) end)))"#,
        &[
            "code\t27\t76\t117\t97",
            "error\tfalse\t/x.luac:-1: ",
            "built in\tfalse\t/lua/sys.lua:-1: ",
        ],
    );
}

#[test]
fn long_integers_are_packed_into_four_bytes() {
    prints(
        "print('size', #string.pack('l', 1), #string.pack('T', 1), #string.pack('s', 'ab'))",
        &["size\t4\t4\t6"],
    );
}

#[test]
fn wait_msg_looks_at_one_message_per_wake_and_its_time_outweighs_it() {
    prints(
        r#"sys = require("sys") sysplus = require("sysplus")
        sysplus.taskInitEx(function()
            local m = sysplus.waitMsg("t", "wanted", 1000)
            log.info("got", m and m[1], m and m[5])
            log.info("late", sysplus.waitMsg("t", "never", 500))
        end, "t", function(m) log.info("other", m[1]) end)
        sysplus.sendMsg("t", "noise", 1)
        sys.timerStart(sysplus.sendMsg, 100, "t", "wanted", 1, 2, 3, 4)
        sys.run()"#,
        &[
            "user.other\tnoise",
            "user.got\twanted\tnil",
            "user.late\tnil",
        ],
    );
}

#[test]
fn a_port_tells_nobody_before_it_was_given_a_callback() {
    prints(
        r#"sys = require("sys")
        print("setup", uart.setup(uart.VUART_0, 115200) , uart.setup(1, 115200))
        print("write", uart.write(1, "x"), uart.write(1, true))
        print("read", #uart.read(1, -1))
        print("rx", pcall(uart.rx, 1, io.open("/f", "w")))
        sys.run()"#,
        &[
            "Uart_BaseInitEx 1049:uart 1 rx cache 2048 dma 512",
            "setup\t0\t0",
            "write\t1\t0",
            "E/uart uart read length too much 4294967295, change to 65536",
            "read\t0",
            "ZBUFF* expected, got FILE*",
        ],
    );
}

#[test]
fn a_name_nobody_knows_keeps_the_resolver_busy() {
    prints(
        r#"sys = require("sys") sysplus = require("sysplus")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            local from = mcu.ticks()
            log.info("http", http.request("GET", "http://nowhere.example/").wait())
            log.info("seconds", (mcu.ticks() - from) // 1000)
        end)
        sys.run()"#,
        &[
            "D/DNS nowhere.example state 0 id 1 ipv6 0 use dns server2, try 0",
            "D/DNS nowhere.example state 0 id 1 ipv6 0 use dns server2, try 1",
            "E/DNS no ipv6, no ipv4",
            "I/DNS dns all done ,now stop",
            "user.http\t-5",
        ],
    );
}

#[test]
fn broadcasts_reach_nobody_and_harm_nobody() {
    prints(
        r#"sys = require("sys")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            local ctrl = socket.create(nil, function() end)
            socket.config(ctrl, nil, true)
            print("connect", socket.connect(ctrl, "255.255.255.255", 9))
            sys.wait(500)
            print("tx", socket.tx(ctrl, "hello"))
            sys.wait(1000)
            print("alive")
        end)
        sys.run()"#,
        &["connect\ttrue", "tx\ttrue", "alive"],
    );
}

#[test]
fn the_pump_runs_by_hand_too() {
    prints(
        r#"_G.SYSP = true
        sys = require("sys")
        sys.timerStart(print, 100, "by hand")
        sys.run()
        print("run came back")
        while true do sys.safeRun() end"#,
        &["run came back", "by hand"],
    );
}

#[test]
fn zbuff_writes_what_it_can_before_it_complains() {
    prints(
        r#"local b = zbuff.create(8)
        print("bad code", pcall(b.pack, b, "bx", 7, 8))
        print("written", b:used(), b[0])
        print("full", zbuff.create(1):writeI16(nil))
        print("copy", b:copy(nil), b:copy(8, 1, 2), b:used(), b:len())
        print("negative", pcall(b.toStr, b, 4, -2))
        b:seek(8) b:writeF64(2.5)
        print("float", b:query(8, 8, false, false, true))
        print("grow", b:resize(1 << 30))
        local f = zbuff.create({2, 1, 4}, 0)
        f:pixel(1, 0, 0x73)
        print("spoilt", f:pixel(0, 0), f:pixel(1, 0))"#,
        &[
            "bad code\tfalse\tbad argument #1 to '?' (bad code `x')",
            "written\t1\t7",
            "full\t0",
            "copy\t0\t2\t10\t18",
            "negative\tfalse\tmemory allocation error: block too big",
            "float\t2.500000",
            "E/zbuff zbuff realloc failed 18 -> 1073741824",
            "spoilt\t7\t3",
        ],
    );
}

#[test]
fn json_reads_numbers_as_strtof_and_strtol_do() {
    prints(
        r#"print("point", json.decode("-.5"))
        print("plus", json.decode("+1"))
        print("exponent", json.decode("1e3"))
        print("zero", json.decode("[0e5]"))
        print("long", #json.encode(2.5, "%.40f"), json.encode(("x"):rep(60000)))"#,
        &[
            "point\t-0.5000000\t1",
            "plus\tnil\tfalse\tExpected value but found invalid token at character 1",
            "exponent\tnil\tfalse\tExpected the end but found invalid token at character 2",
            "zero\tnil\tfalse\tExpected comma or array end but found invalid token at character 3",
            "E/json json encode failed by memory less",
            "long",
        ],
    );
}

#[test]
fn err_dump_tells_when_it_tries_again_and_reads_from_the_beginning() {
    prints(
        r#"sys = require("sys")
        errDump.config(true, 60, "flag", "id", "nowhere.example")
        errDump.record(17)
        errDump.record("first")
        local b = zbuff.create(2)
        print("dump", errDump.dump(b), b:query())
        print("again", errDump.dump(b), b:used())
        errDump.config("ignored")
        sys.run()"#,
        &[
            "D/errDump 自定义服务器 nowhere.example 12425",
            "dump\ttrue\tfirst",
            "again\tfalse\t5",
            "E/errDump errdump fail, after 60 second retry",
        ],
    );
}

#[test]
fn packets_are_counted_both_ways() {
    prints(
        r#"sys = require("sys") sysplus = require("sysplus")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            http.request("GET", "http://httpbin.air32.cn/get").wait()
            local _, up, _, down = mobile.dataTraffic()
            print("traffic", up > 100, down > 100)
        end)
        sys.run()"#,
        &["traffic\ttrue\ttrue"],
    );
}

#[test]
fn websocket_pings_after_the_keep_alive_time_and_says_what_is_wrong() {
    prints(
        r#"sys = require("sys")
        print("adapter", websocket.create(4, "ws://echo.airtun.air32.cn/ws/echo"))
        print("none", websocket.create(77, "ws://echo.airtun.air32.cn/ws/echo"))
        local wsc = websocket.create(nil, "ws://httpbin.air32.cn/get", 5)
        print("bad", wsc:headers({Empty = ""}))
        print("large", wsc:headers(("x"):rep(2000)))
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            wsc:on(function(_, event) log.info("ws", event) end)
            wsc:connect()
        end)
        sys.run()"#,
        &[
            "network_alloc_ctrl 1363:adapter index 4 is invalid!",
            "W/websocket network_alloc_ctrl fail",
            "E/websocket websocket init FAID ret -1",
            "adapter",
            "none",
            "W/websocket bad header Empty ",
            "bad",
            "W/websocket headers too large size 2000",
            "large",
            "E/websocket server not support websocket? resp code HTTP/1.1 ",
            "W/websocket websocket_parse ret -1",
            "I/websocket websocket closing socket",
            "user.ws\tdisconnect",
        ],
    );
}

#[test]
fn styles_of_the_log_and_levels_it_does_not_know() {
    prints(
        r#"log.style(1) log.info("a", "b") pcall(log.info, "c") log.warn(nil, 1)
        log.style(2) log.info(true, 2) pcall(log.info, "c", 3)
        log.style(3) log.info("x", "y")
        log.style(0) log.info("a\0b", "c")
        log.setLevel({}) log.error("never") print("level", log.getLevel())
        log.setLevel("INFO") log.debug("never") log.info("again")"#,
        &[
            "I/main.lua:1\ta\tb",
            "I/[C]:-1\tc",
            "W/main.lua:1\tnil\t1",
            "I/user.(null)\tmain.lua:2\t2",
            "I/user.c\t[C]:-1\t3",
            "x\ty",
            "I/user.a\tc",
            "level\t7",
            "I/user.again",
        ],
    );
}

#[test]
fn a_failed_connect_says_where_and_may_be_repeated_after_dns() {
    prints(
        r#"sys = require("sys")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            local c = socket.create(nil, function(_, event, param)
                log.info("event", event == socket.ON_LINE, param)
                sys.publish("EVENT")
            end)
            socket.config(c)
            print("port 81", socket.connect(c, "echo.airtun.air32.cn", 81))
            sys.waitUntil("EVENT")
            print("state", socket.state(c))
            print("again", socket.connect(c, "echo.airtun.air32.cn", 80))
            socket.close(c)
            print("name", socket.connect(c, "echo.airtun.air32.cn", 0))
            sys.waitUntil("EVENT")
            print("state", socket.state(c))
            socket.connect(c, "echo.airtun.air32.cn", 80)
            sys.waitUntil("EVENT")
            print("empty", socket.tx(c, ""))
            print("waited", sys.waitUntil("EVENT", 2000))
            socket.connect(c, "nowhere.example", 80)
        end)
        sys.run()"#,
        &[
            "port 81\ttrue\tfalse",
            "event\ttrue\t-1",
            "state\t3",
            "again\tfalse",
            "name\ttrue\tfalse",
            "event\ttrue\t0",
            "state\t1",
            "event\ttrue\t0",
            "empty\ttrue\tfalse\tfalse",
            "waited\tfalse",
        ],
    );
}

#[test]
fn folders_are_listed_in_the_order_of_littlefs() {
    prints(
        r#"for _, name in ipairs({"k1", "k10", "k2", "a", "ab", "_", "B"}) do
            io.writeFile("/d_" .. name, "x")
        end
        io.mkdir("/dir")
        for _, name in ipairs({"k1", "k10", "k2", "a", "ab", "_", "B"}) do
            io.writeFile("/dir/" .. name, "x")
        end
        local function names(...)
            local _, list = io.lsdir(...)
            for i, entry in ipairs(list) do list[i] = entry.name end
            return table.concat(list, " ")
        end
        print("all", names("/dir/"))
        print("some", names("/dir/", 2, 3))
        print("lines", pcall(io.lines))
        print("huge", pcall(io.open("/dir/a").read, io.open("/dir/a"), -1))
        print("umount", fs.umount("/ram/"), fs.umount("/sd/"))"#,
        &[
            "all\tB _ ab a k10 k1 k2",
            "some\t_ ab",
            "lines\tfalse\tbad argument #1 to '?' (FILE* expected, got nil)",
            "huge\tfalse\tnot enough memory",
            "E/vfs no such mount point /sd/",
            "umount\t0\t-1",
        ],
    );
}

#[test]
fn extreme_arguments_end_in_an_answer() {
    prints(
        r#"local z = zbuff.create(100)
        print("depth 0", z:setFrameBuffer(10, 10, 0), z:pixel(0, 0))
        print("wraps", pcall(z.setFrameBuffer, z, -1, -1, 32))
        print("huge", z:setFrameBuffer(-1, -1, 0), z:drawRect(0, 0, 2147483647, 2147483647, 1, true))
        print("small", z:setFrameBuffer(10, 10, 8), z:drawCircle(65540, 65540, 65536, 1, true))
        print("paths", pcall(rtos.setPaths, "aaaaaaaaaaaaaaaaaaaaaa\228\184\173%s"))
        local piece = ("a"):rep(60000)
        print("reader", load(function() return piece end))"#,
        &[
            "depth 0\ttrue\t0",
            "wraps\ttrue",
            "huge\ttrue\ttrue",
            "small\ttrue\ttrue",
            "paths\ttrue",
            "reader\tnil\tnot enough memory",
        ],
    );
}

/// The id of a soft UART exists from the first attempt on, and only four timers
/// can serve one.
#[test]
fn a_soft_uart_needs_timers_that_can_serve_it() {
    prints(
        r#"print("before", uart.exist(4), uart.setup(4), uart.on(4, "sent", print))
        print("timer 3", uart.createSoft(21, 3, 1, 2))
        print("raises", pcall(uart.createSoft, "x"))
        print("taken", uart.createSoft(21, 0, 1, 2), uart.exist(4))
        uart.close(4)
        print("again", uart.createSoft(21, 0, 1, 2), uart.write(4, "lost"), uart.setup(4))
        uart.close(4)
        print("dead", uart.setup(4), uart.createSoft(21, 0, 1, 2), uart.read(4) == "")"#,
        &[
            "before\tfalse\t-1\tno such uart id",
            "timer 3\tnil",
            "raises\tfalse\tbad argument #1",
            "taken\tnil\ttrue",
            "again\t4\t0\t0",
            "dead\t0\tnil\ttrue",
        ],
    );
}
