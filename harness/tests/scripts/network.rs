//! What scripts hear of their connections: events, lines, retries.

use airbench_luatos::Core;

use crate::{prints, prints_on, run};

/// A script that runs `body` in a task once there is a network.
fn online(body: &str) -> String {
    format!(
        "sys, sysplus = require('sys'), require('sysplus')
        sys.taskInit(function()
            sys.waitUntil('IP_READY')
            {body}
        end)
        sys.run()"
    )
}

/// The adapter names lwIP's reason where the peer resets or never answers.
#[test]
fn a_refused_connection_is_told_by_the_adapter() {
    prints(
        &online(
            r#"local c = socket.create(nil, function(_, event, code) print("event", event, code) end)
            socket.config(c)
            print("begins", socket.connect(c, "lbsmqtt.airm2m.com", 9))"#,
        ),
        &[
            "begins\ttrue\tfalse",
            "net_lwip_tcp_err_cb 645:adapter 1 socket 0 not closing, but error -14",
            "event\t33554449\t-1",
        ],
    );
}

#[test]
fn a_debugged_socket_tells_each_event_with_its_states() {
    let line = |number: u32, rest: &str| format!("network_default_socket_callback {number}:{rest}");
    let expected = [
        "network_state_wait_dns 628:dns ip0, ttl 62, 203.0.113.".to_owned(),
        line(
            1107,
            "before process socket -1,event:0xf2000003(DNS结果),state:2(等待DNS),wait:2(等待连接完成)",
        ),
        line(
            1111,
            "after process socket 0,state:3(正在连接),wait:2(等待连接完成)",
        ),
        line(
            1107,
            "before process socket 0,event:0xf2000009(连接成功),state:3(正在连接),wait:2(等待连接完成)",
        ),
        line(1111, "after process socket 0,state:5(在线),wait:0(无等待)"),
        line(
            1107,
            "before process socket 0,event:0xf2000004(发送成功),state:5(在线),wait:3(等待发送完成)",
        ),
        line(
            1107,
            "before process socket 0,event:0xf2000005(有新的数据),state:5(在线),wait:0(无等待)",
        ),
        line(
            1107,
            "before process socket 0,event:0xf2000007(断开成功),state:7(正在离线),wait:4(等待离线完成)",
        ),
        line(1111, "after process socket -1,state:1(离线),wait:0(无等待)"),
    ];
    prints(
        &online(
            r#"local c
            c = socket.create(nil, function(_, event, code)
                if event == socket.ON_LINE then socket.tx(c, "hello") end
                if event == socket.EVENT and code == 0 then
                    socket.rx(c, zbuff.create(100))
                    socket.discon(c)
                end
            end)
            socket.debug(c, true)
            socket.config(c)
            socket.connect(c, "netlab.luatos.com", 7)"#,
        ),
        &expected.each_ref().map(String::as_str),
    );
}

/// V1112 spends two retries on a piece of a body it cannot store.
#[test]
fn a_download_that_cannot_be_stored_is_asked_for_once_more() {
    let body = r#"local code = http.request("GET", "http://httpbin.air32.cn/get", nil, nil, {dst = "/no/dir/x"}).wait()
        print("code", code)"#;
    prints(
        &online(body),
        &[
            "E/http open download file fail /no/dir/x",
            "E/http open download file fail /no/dir/x",
            "E/http open download file fail /no/dir/x",
            "code\t-6",
        ],
    );
    prints_on(
        Core::New,
        &online(body),
        &["E/http open download file fail /no/dir/x", "code -7"],
    );
}

/// A cut connection attempt is not told; MQTT's own time-out ends its wait.
#[test]
fn close_all_cuts_those_that_connect_without_a_word() {
    prints_on(
        Core::New,
        &online(
            r#"local c = socket.create(nil, function(_, event, code) print("socket", event - socket.LINK, code) end)
            socket.config(c)
            socket.connect(c, "203.0.113.250", 81)
            local m = mqtt.create(nil, "203.0.113.250", 1883, nil, {conn_timeout = 1})
            m:on(function(_, event, what, code) print("mqtt", event, what, code) end)
            m:connect()
            sys.wait(500)
            print("cut", socket.close_all(socket.LWIP_GP), socket.state(c))"#,
        ),
        &[
            "cut true 1",
            "W/mqtt connect timeout 203.0.113.250 1883!! expect conack in 5s",
            "mqtt error timeout 0",
            "I/mqtt mqtt closing socket",
            "mqtt disconnect",
            "mqtt close",
        ],
    );
}

/// The new core takes URLs; the URL's port counts, none need be given.
#[test]
fn mqtt_goes_over_a_websocket() {
    let talk = |url: &str| {
        online(&format!(
            r#"local m = mqtt.create(nil, "{url}")
            m:auth("me")
            m:on(function(m, event, topic, payload)
                print("mqtt", event, topic)
                if event == "conack" then m:subscribe("t/#", 1) end
                if event == "suback" then print("id", m:publish("t/a", ("x"):rep(3000), 1)) end
                if event == "recv" then print("length", #payload) m:disconnect() end
            end)
            print("begun", m:connect(), m:state())"#
        ))
    };
    let expected = [
        "I/websocket connect host broker.emqx.io port",
        "begun true 1",
        "I/websocket ready!!",
        "mqtt conack",
        "mqtt suback true",
        "id 2",
        "length 3000",
        "I/mqtt mqtt closing socket",
        "I/websocket websocket closing socket",
        "I/mqtt mqtt closing socket",
        "mqtt disconnect",
        "mqtt close",
    ];
    prints_on(Core::New, &talk("ws://broker.emqx.io:8083/mqtt"), &expected);
    prints_on(Core::New, &talk("wss://broker.emqx.io/mqtt"), &expected);
}

/// What goes wrong on the way to a broker behind a websocket.
#[test]
fn a_websocket_that_fails_ends_mqtt() {
    prints_on(
        Core::New,
        &online(
            r#"local m = mqtt.create(nil, "ws://www.baidu.com/mqtt", 1)
            m:on(function(_, event, what) print("mqtt", event, what) end)
            m:autoreconn(true, 2000)
            m:connect()
            sys.wait(3500)
            m:close()
            print("long", mqtt.create(nil, "ws://" .. ("h"):rep(300)))
            print("host", mqtt.create(nil, ("h"):rep(192), 1883))"#,
        ),
        &[
            "E/websocket server not support websocket? resp code HTTP/1.1 404",
            "mqtt disconnect -1",
            "I/websocket connect host www.baidu.com port 80",
            "mqtt disconnect -1",
            "E/mqtt ws url too long 305 >= 256",
            "E/mqtt 设置mqtt参数失败",
            "long",
            "E/mqtt host too long 192 >= 192",
            "host",
        ],
    );
}

/// TLS: each segment is an event, whether a record ends in it or not.
#[test]
fn a_debugged_socket_counts_the_segments_of_tls() {
    let lines = run(
        Core::V1112,
        &online(
            r#"local c, got = nil, 0
            c = socket.create(nil, function(_, event, code)
                if event == socket.ON_LINE then
                    print("online")
                    socket.tx(c, "GET /bytes/5000 HTTP/1.1\r\nHost: httpbin.air32.cn\r\n\r\n")
                end
                if event == socket.EVENT and code == 0 then
                    local buff = zbuff.create(8192)
                    socket.rx(c, buff)
                    got = got + buff:used()
                    if got > 5000 then print("everything") end
                end
            end)
            socket.debug(c, true)
            socket.config(c, nil, nil, true)
            socket.connect(c, "httpbin.air32.cn", 443)"#,
        ),
    );
    let place = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    let segments = |of: &[String]| {
        let of = of.iter();
        of.filter(|line| line.contains("before process") && line.contains("0xf2000005"))
            .count()
    };
    let (online, all) = (place("online"), place("everything"));
    // 5 KB and their heads in segments of 1340 bytes; one record, so the script
    // hears once.
    assert_eq!(segments(&lines[online..=all]), 4, "{lines:#?}");
}

/// Its length is enough to refuse a frame; nobody waits for the rest.
#[test]
fn a_frame_above_8192_bytes_ends_the_connection_of_the_new_core() {
    prints_on(
        Core::New,
        &online(
            r#"local c = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo2")
            c:autoreconn(true, 2000)
            c:on(function(c, event, data)
                print("ws", event, event == "recv" and #data or data)
                if event == "conack" then c:send(("x"):rep(9000), 1, 2) end
            end)
            c:connect()
            sys.wait(5000)"#,
        ),
        &[
            "ws conack",
            "E/websocket websocket payload is too large!!! 9000 , must < 8208",
            "W/websocket websocket_parse ret -1",
            "ws error rx",
            "ws disconnect",
            "ws conack",
        ],
    );
}

/// The CLOSE frame stays in the buffer, in front of the next handshake's answer.
#[test]
fn after_a_close_frame_only_autoreconn_connects_again() {
    let body = |again: &str| {
        online(&format!(
            r#"local c = websocket.create(nil, "ws://echo.airtun.air32.cn/ws/echo")
            {again}
            local times = 0
            c:on(function(c, event)
                print("ws", event)
                -- No UTF-8: the server answers with CLOSE 1007.
                if event == "conack" and times == 0 then c:send("\255") end
                if event == "disconnect" and times == 0 then
                    times = 1
                    sys.timerStart(function() if not c:ready() then c:connect() end end, 4000)
                end
            end)
            c:connect()
            sys.wait(8000)"#
        ))
    };
    prints(
        &body(""),
        &[
            "ws\tconack",
            "ws\tdisconnect",
            "E/websocket server not support websocket? resp code",
            "ws\tdisconnect",
        ],
    );
    prints(
        &body("c:autoreconn(true, 1000)"),
        &["ws\tconack", "ws\tdisconnect", "ws\tconack"],
    );
}

#[test]
fn mqtt_reads_its_certificates_when_it_is_made() {
    let body =
        r#"print("made", mqtt.create(nil, "broker.emqx.io", 8883, {server_cert = "nonsense"}))"#;
    for core in [Core::V1112, Core::New] {
        let lines = [
            "E/mqtt network_set_server_cert error",
            "E/mqtt 设置mqtt参数失败",
            "made",
        ];
        prints_on(core, &online(body), &lines);
    }
    prints_on(
        Core::New,
        &online(
            r#"print("made", mqtt.create(nil, "wss://broker.emqx.io/mqtt", nil, {server_cert = "nonsense"}))"#,
        ),
        &[
            "E/websocket network_set_server_cert error",
            "made MQTTCTRL*",
        ],
    );
}

/// Client objects hold their structures, connected MQTT clients a receive buffer.
#[test]
fn clients_take_the_memory_of_their_structures() {
    prints(
        &online(
            r#"local before = collectgarbage("count")
            local list = {}
            for i = 1, 4 do list[i] = websocket.create(nil, "ws://a.b/c") end
            print("lua", collectgarbage("count") - before > 18)
            local m = mqtt.create(nil, "broker.emqx.io", 1883)
            local _, used = rtos.meminfo("sys")
            m:connect()
            local _, later = rtos.meminfo("sys")
            m:close()
            local _, last = rtos.meminfo("sys")
            print("sys", later - used > 32768, last < later - 32000)"#,
        ),
        &["lua\ttrue", "sys\ttrue\ttrue"],
    );
}

#[test]
fn the_new_core_says_that_mqtt_connects_again() {
    prints_on(
        Core::New,
        &online(
            r#"local m = mqtt.create(nil, "broker.emqx.io", 1883)
            m:auth("me")
            m:autoreconn(true, 1000)
            m:on(function(m, event)
                print("mqtt", event)
                if event == "conack" then m:disconnect() end
            end)
            m:connect()
            sys.wait(3000)"#,
        ),
        &[
            "mqtt conack",
            "I/mqtt mqtt reconnecting... broker.emqx.io 1883",
        ],
    );
}
