//! Libraries at their edges: `debug`, `rsa`, `miniz`, `http`.

use airbench_luatos::Core;

use crate::{prints, prints_on};

#[test]
fn a_script_may_hook_lines_calls_and_counts() {
    prints(
        r#"local seen = {}
        debug.sethook(function(event, line) seen[#seen + 1] = event .. tostring(line) end, "l")
        local a = 1
        debug.sethook()
        print("lines", table.concat(seen, " "))
        seen = {}
        debug.sethook(function(event) seen[#seen + 1] = event end, "cr")
        math.abs(1)
        debug.sethook()
        print("calls", table.concat(seen, " "))
        local n = 0
        local function count() n = n + 1 end
        debug.sethook(count, "", 1000)
        for i = 1, 100000 do end
        -- Calls under a counting hook leave no trace on the stack.
        debug.sethook(count, "", 10)
        local before = n
        for i = 1, 300000 do math.abs(i) end
        debug.sethook(count, "", 1000)
        n = 100
        print("hook", debug.gethook() == count, select(2, debug.gethook()))
        debug.sethook()
        print("counted", n, debug.gethook())
        debug.sethook(function() error("too long", 0) end, "", 100)
        print("ends", pcall(function() while true do end end))"#,
        &[
            "lines\tline3 line4",
            "calls\treturn call return call",
            "hook\ttrue\t\t1000",
            "counted\t100\tnil\t\t0",
            "ends\tfalse\ttoo long",
        ],
    );
}

/// A script that hooks its thread pays for the instructions as before, and an
/// endless loop still meets the watchdog.
#[test]
fn a_hook_changes_no_time() {
    let time = |hook: &str| {
        let code = format!(
            "{hook}
            local from = mcu.ticks()
            for i = 1, 300000 do end
            print('took', mcu.ticks() - from)"
        );
        let lines = crate::support::run(Core::V1112, &code);
        lines.into_iter().find(|line| line.starts_with("took"))
    };
    let plain = time("");
    assert!(plain.is_some());
    assert_eq!(plain, time("debug.sethook(function() end, '', 100000)"));
}

#[test]
fn the_registry_and_user_values_are_the_scripts_own() {
    prints(
        r#"local r = debug.getregistry()
        r.mine = 5
        print("registry", r[2] == _G, type(r._LOADED), debug.getregistry().mine)
        local z = zbuff.create(4)
        print("values", debug.setuservalue(z, {7}) == z, debug.getuservalue(z)[1])
        print("none", debug.getuservalue(zbuff.create(4)), pcall(debug.setuservalue, 1, 2))"#,
        &[
            "registry\ttrue\ttable\t5",
            "values\ttrue\t7",
            "none\tnil\tfalse\tbad argument #1",
        ],
    );
}

/// RFC 5915's example key of P-256.
#[test]
fn rsa_signs_with_the_keys_of_curves_but_does_not_encrypt() {
    prints(
        r#"local key = [[-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G
-----END PRIVATE KEY-----]]
        local public = [[-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----]]
        local hash, other = crypto.sha256("x"):fromHex(), crypto.sha256("y"):fromHex()
        local signature = rsa.sign(key, rsa.MD_SHA256, hash, "")
        print("right", rsa.verify(public, rsa.MD_SHA256, hash, signature))
        print("wrong", rsa.verify(public, rsa.MD_SHA256, other, signature))
        print("md5", rsa.verify(public, rsa.MD_MD5, hash, signature))
        rsa.sign(key, rsa.MD_SHA256, "short", "")
        rsa.encrypt(public, "abc")
        rsa.decrypt(key, "abc", "")
        rsa.decrypt(key, ("a"):rep(32), "")"#,
        &[
            "right\ttrue",
            "wrong\tfalse",
            "md5\tfalse",
            "W/rs mbedtls_pk_sign 3E80",
            "W/rs mbedtls_rsa_pkcs1_encrypt 3F00",
            "W/rs data len NOT match expect 32 but 3",
            "W/rs mbedtls_rsa_pkcs1_decrypt 3F00",
        ],
    );
}

/// Three files: `a.txt`, `d/b`, and `../x`, which leads out of the folder.
const ZIP: &str = "504b030414000000080000002359d189d2420a0000006400000005000000612e747874\
cb48cdc9c9cfa02d0100504b0304140000000800000023598316dc8c030000000100000003000000642f62ab0000\
504b0304140000000800000023591526dbfb0300000001000000040000002e2e2f78ab0400504b0102140314000000\
080000002359d189d2420a00000064000000050000000000000000000000800100000000612e747874504b0102140314\
0000000800000023598316dc8c030000000100000003000000000000000000000080012d000000642f62504b010214\
03140000000800000023591526dbfb03000000010000000400000000000000000000008001510000002e2e2f78504b05\
06000000000300030096000000760000000000";

#[test]
fn unzip_writes_up_to_the_first_bad_entry() {
    let code = format!(
        r#"local zip = ("{ZIP}"):fromHex()
        io.writeFile("/t.zip", zip)
        print("done", miniz.unzip("/t.zip", "/out/"))
        print("there", #io.readFile("/out/a.txt"), io.readFile("/out/d/b"))
        -- The content's checksum stands at byte 15 and in the directory.
        io.writeFile("/bad.zip", (zip:gsub("\209\137\210\066", "\208\137\210\066")))
        print("damaged", miniz.unzip("/bad.zip", "/out/"))
        io.writeFile("/no.zip", ("x"):rep(40))
        print("none", miniz.unzip("/no.zip", "/out/"))
        miniz.unzip("/t.zip", "/out")
        miniz.unzip("/missing.zip", "/out/")"#
    );
    prints_on(
        Core::New,
        &code,
        &[
            "E/miniz Unsafe ZIP entry path: ../x",
            "done false",
            "there 100 x",
            "E/miniz Failed to extract file: a.txt err=14 wrote=100",
            "damaged false",
            "E/miniz Failed to initialize ZIP reader err 7",
            "none false",
            "E/miniz target_dir must end with '/': /out",
            "E/miniz ZIP file is empty: /missing.zip",
        ],
    );
}

#[test]
fn a_request_tells_what_it_does_when_asked() {
    prints(
        r#"sys, sysplus = require("sys"), require("sysplus")
        sys.taskInit(function()
            sys.waitUntil("IP_READY")
            print("code", http.request("GET", "http://httpbin.air32.cn/get", nil, nil, {debug = true}).wait())
        end)
        sys.run()"#,
        &[
            "D/http luat_lib_http_callback 2 0 ",
            "D/http result:0 rx_len:",
            "D/http found headers end at ",
            "D/http on_header_field:Content-Length",
            "D/http on_headers_complete",
            "D/http on_body:{",
            "D/http on_complete",
            "D/http nParseBytes ",
            "code\t200",
        ],
    );
}

#[test]
fn a_curve_s_key_may_be_encrypted() {
    prints(
        r#"local key = [[-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgmpxeDZRxEvAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEAKT0r7iDiKf0IblXJx8J/EEgZDt
rvWXJL9kWV6wqf6wUTj7Sb+mYRRg5vozun33NliH0+qkpuG22lMS2q7cuFsY3iZT
eJd7K0PtJGKUMMqggPdDsEzqpn7qj6drXl/zhfc6/9G/iHOR338Zs0vt1uBRZMuA
OzNSyuaVhryQkpna2KUmHLN/MIqkSi2Tzjbe7HjT3Pmh6TjPkJ8FDA/N0fc3u8o=
-----END ENCRYPTED PRIVATE KEY-----]]
        local hash = crypto.sha256("x"):fromHex()
        print("right", #rsa.sign(key, rsa.MD_SHA256, hash, "secret") > 60)
        print("wrong", rsa.sign(key, rsa.MD_SHA256, hash, "guess"))"#,
        &["right\ttrue", "wrong"],
    );
}

#[test]
fn a_collected_spi_device_says_so() {
    prints(
        r#"spi.deviceSetup(1, 8)
        collectgarbage()
        print("end")"#,
        &["I/spi spi_device对象正在被回收,相关内存将释放 0C120", "end"],
    );
}

#[test]
fn the_modem_keeps_the_bands_a_script_sets() {
    prints(
        r#"sys = require("sys")
        local b = zbuff.create(2)
        b:write("\3\8")
        print("set", mobile.setBand(b, 2))
        b:seek(0)
        b:write("\99")
        print("none", mobile.setBand(b, 1))
        mobile.getBand(b)
        print("now", b:used(), b[0], b[1], #b)
        mobile.getBand(b, true)
        print("all", b:used(), b[8])
        sys.subscribe("SIM_IND", function(what, count)
            if what == "SIM_WC" then print(what, count) end
        end)
        print("asked", mobile.config(mobile.CONF_SIM_WC_MODE, 2))
        sys.run()"#,
        &[
            "set\ttrue",
            "none\tfalse",
            "now\t2\t3\t8\t40",
            "all\t9\t41",
            "asked\ttrue",
            "SIM_WC\t0",
        ],
    );
}
