//! The file systems as scripts meet them on V1112: modes, what is seen before a
//! close, full partitions, and the uses that take the chip down.

use airbench_luatos::Core;

use super::{prints, prints_on};

#[test]
fn the_root_counts_blocks_as_littlefs_does() {
    prints(
        r#"local function used() local _, _, n = fs.fsstat("/") return n end
        print("empty", used())
        io.writeFile("/inline", ("x"):rep(256)) print("inline", used())
        io.writeFile("/one", ("x"):rep(257)) print("one", used())
        io.writeFile("/two", ("x"):rep(4097)) print("two", used())
        io.mkdir("/dir") print("dir", used())
        local f = io.open("/two", "a") f:write("y") print("copied", used())
        f:close() print("closed", used(), io.fileSize("/two"))"#,
        &[
            "empty\t2",
            "inline\t2",
            "one\t3",
            "two\t5",
            "dir\t9",
            "copied\t11",
            "closed\t9\t4098",
        ],
    );
}

#[test]
fn a_full_root_keeps_what_the_file_had() {
    prints(
        r#"local piece = ("x"):rep(4096)
        io.writeFile("/old", "before")
        io.writeFile("/keep", piece)
        local f = io.open("/old", "w")
        local n = 0
        while f:write(piece) do n = n + 1 end
        print("wrote", n, f:write("more"))
        print("closed", f:close(), io.readFile("/old"))
        for i = 1, 4 do io.writeFile("/fill" .. i, ("x"):rep(60000)) end
        print("true all the same", io.writeFile("/huge", ("x"):rep(60000)))
        print("new file", io.fileSize("/huge"), fs.mkdir("/ok"))"#,
        &[
            "wrote\t68\tnil",
            "closed\ttrue\tbefore",
            "true all the same\ttrue",
            "new file\t0\t0",
        ],
    );
}

#[test]
fn handles_on_the_root_are_snapshots_until_closed() {
    prints(
        r#"io.writeFile("/f", "old")
        local reader, writer = io.open("/f"), io.open("/f", "w")
        writer:write("new content")
        print("before", io.readFile("/f"), io.fileSize("/f"))
        writer:close()
        print("after", io.readFile("/f"), reader:read("a"))
        local a = io.open("/f", "a+")
        print("append starts at", a:seek(), a:read(3))
        a:write("!") print("and writes at", a:seek())
        a:close()
        print("r+ creates", io.open("/fresh", "r+") ~= nil)
        print("slash", io.open("/f/"))"#,
        &[
            "before\told\t3",
            "after\tnew content\told",
            "append starts at\t0\tnew",
            "and writes at\t12",
            "r+ creates\ttrue",
            "slash\tnil",
        ],
    );
}

/// The port of littlefs asserts: forty seconds of dump, then a reset of which
/// the script sees the reason.
#[test]
fn a_folder_opened_as_a_file_takes_the_chip_down() {
    let mut scripts = airbench_luatos::Scripts::default();
    let code = r#"io.mkdir("/dir") local _, _, why = pm.lastReson() print("why", why)
        if why == 0 then print("open", io.open("/dir")) print("never") end
        sys = require("sys") sys.run()"#;
    scripts.add("main.lua", code.as_bytes().to_vec());
    let profile = airbench_lte::Profile::load("lab").unwrap();
    let setup = airbench_world::Setup::new(scripts, profile);
    let mut world = airbench_world::World::new(&setup, airbench_trace::Retention::All);
    world.act(&airbench_world::Action::PowerOn).unwrap();
    world
        .run_until(airbench_clock::Instant::from_millis(45_000))
        .unwrap();
    let texts: Vec<String> = world
        .log()
        .since(0)
        .map(|event| event.text().into_owned())
        .collect();
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("crash: /dir is a folder"))
    );
    assert!(
        texts.iter().any(|text| text.contains("why\t6")),
        "{texts:?}"
    );
    assert!(!texts.iter().any(|text| text.contains("never")));
}

#[test]
fn ram_files_of_v1112() {
    prints(
        r#"io.writeFile("/ram/a", "hello")
        local f = io.open("/ram/a", "w") f:write("J")
        print("seen at once", io.readFile("/ram/a"))
        print("end", f:seek("end", 2), f:seek("end", -3), f:seek("set", -1))
        print("missing", io.open("/ram/none", "a"))
        print("w+b", io.open("/ram/a", "w+b"))
        print("removed", os.remove("/ram/none"), os.rename("/ram/none", "/ram/b"))
        for i = 1, 7 do io.writeFile("/ram/" .. i, "x") end
        print("ninth", io.writeFile("/ram/ninth", "x"))
        print("stat", fs.fsstat("/ram/"))
        print("mkdir", io.mkdir("/ram/d"))
        print("heap", io.writeFile("/ram/7", zbuff.create(150000):toStr()))"#,
        &[
            "seen at once\tJello",
            "end\t3\t8\t-1",
            "missing\tnil",
            "D/vfs fopen /ram/a w+b not found",
            "w+b\tnil",
            "removed\ttrue\ttrue",
            "D/vfs fopen /ram/ninth wb+ not found",
            "ninth",
            "stat\ttrue\t64\t1\t1024\tram",
            "mkdir\ttrue\t0",
            "W/fs /ram out of sys memory!!",
            "heap\ttrue",
        ],
    );
}

#[test]
fn ram_folders_of_the_new_core() {
    prints_on(
        Core::New,
        r#"print("mkdir", io.mkdir("/ram/a/b"))
        print("write", io.writeFile("/ram/a/b/f", "x"))
        print("no folder", io.open("/ram/c/f", "w"))
        local f = io.open("/ram/a/b/f")
        print("readonly", f:write("x"))
        print("open", os.remove("/ram/a/b/f"))
        print("inside", os.rename("/ram/a", "/ram/z"))
        f:close()
        print("moved", os.rename("/ram/a", "/ram/z"), io.readFile("/ram/z/b/f"))
        print("not empty", io.rmdir("/ram/z"))
        print("exists", io.dexist("/ram/z/b"), io.dexist("/ram/q"))"#,
        &[
            "mkdir true 0",
            "write true",
            "no folder nil",
            "W/fs readonly fd 2!! path a/b/f",
            "readonly nil",
            "W/vfs remove: file /ram/a/b/f is still open",
            "open nil",
            "W/fs rename: file a/b/f is still open",
            "inside nil",
            "moved true x",
            "not empty false -1",
            "exists true false",
        ],
    );
}

#[test]
fn scripts_can_be_opened_for_writing_but_not_changed() {
    prints(
        r#"local f = io.open("/luadb/main.lua", "w")
        print("opened", f ~= nil, f:write("x"))
        print("said", io.writeFile("/luadb/main.lua", "x"), #io.readFile("/luadb/main.lua") > 100)
        print("seek", f:seek("end", -10) == f:seek("end"))
        print("remove", os.remove("/luadb/main.lua"))
        print("lua", io.open("/lua/sys.lua", "w"), io.lsdir("/lua/"))
        print("stat", fs.fsstat("/lua/sys.lua"))"#,
        &[
            "W/luadb /luadb is readonly main.lua w",
            "opened\ttrue\tnil",
            "W/luadb /luadb is readonly main.lua wb+",
            "said\ttrue\ttrue",
            "seek\ttrue",
            "remove\tnil\t/luadb/main.lua: ",
            "D/vfs such mount not support lsdir",
            "stat\ttrue\t0\t0\t512\tinline",
        ],
    );
}

#[test]
fn mounts_are_aliases_and_images_can_be_mounted_from_a_string() {
    prints(
        r#"io.writeFile("/f", "root")
        print("alias", fs.mount("x", "ec618", "/again/", "x"), io.readFile("/again/f"))
        print("unknown", fs.mount("x", "ext4", "/e/", "x"))
        print("bad", fs.mount("nonsense", "luadb", "/img/", "x"))
        print("umount", fs.umount("/again/"), io.readFile("/again/f"))
        for i = 1, 3 do fs.mount("x", "ram", "/r" .. i .. "/", "x") end
        print("full", fs.mount("x", "ram", "/r9/", "x"), #io.lsmount())
        print("mkfs", fs.mkfs("", ""))
        print("root", io.mkfs(""), io.open("/f"))
        print("lost", fs.mkdir("/dir"), io.lsdir("/"))"#,
        &[
            "alias\t0\troot",
            "E/vfs no such filesystem ext4",
            "unknown\t-1",
            "W/luadb Bad LuaDB",
            "D/vfs mount error ret -1",
            "bad\t-1",
            "umount\t0\troot",
            "E/vfs too many filesystem mounted!!",
            "full\t-2\t8",
            "E/vfs no such mount point (null)",
            "mkfs\t-1",
            "root\ttrue\tnil",
            "lost\t-84\ttrue",
        ],
    );
}

#[test]
fn the_key_value_store_fills_up() {
    prints(
        r#"print("init", fskv.init(), fskv.stat())
        local big = ("x"):rep(4000)
        local n = 0
        while fskv.set("big" .. n, big) do n = n + 1 end
        print("big values", n, fskv.stat())
        print("empty entry", fskv.get("big" .. n))
        print("old survives", fskv.set("big0", ("y"):rep(4000)), fskv.get("big0") == big)
        fskv.clear()
        n = 0
        while fskv.set(string.format("k%07d", n), 7) do n = n + 1 end
        print("small values", n > 500 and n < 560, fskv.stat())
        print("too big", fskv.set("k", ("x"):rep(4096)))
        local it, names = fskv.iter(), {}
        for i = 1, 3 do names[i] = fskv.next(it) end
        print("order", table.concat(names, " "))"#,
        &[
            "I/lfs sfd_lfs mount ret -84, exec auto-format",
            "D/lfs init ok",
            "init\ttrue\t8192\t65536\t0",
            "big values\t14\t65536\t65536\t15",
            "empty entry",
            "old survives\tfalse\ttrue",
            "small values\ttrue\t65536",
            "E/fskv value too big 4097 max 4096",
            "too big\tfalse",
            "order\tk0000000 k0000001 k0000002",
        ],
    );
}

#[test]
fn a_write_far_behind_the_end_fills_the_gap_or_fails() {
    prints(
        r#"local f = io.open("/gap", "w+")
        f:write("abc")
        print("gap", f:seek("set", 10), f:write("x") == f, f:seek("end"))
        f:close()
        print("zeros", io.readFile("/gap"):byte(4), #io.readFile("/gap"))
        f = io.open("/far", "w")
        print("far", f:seek("set", 2147483000), f:write("x"))
        f:close()
        print("nothing left", io.fileSize("/far"), select(3, fs.fsstat("/")))
        print("memory", pcall(io.open("/gap").read, io.open("/gap"), 1000000))"#,
        &[
            "gap\t10\ttrue\t11",
            "zeros\t0\t11",
            "far\t2147483000\tnil",
            "nothing left\t0\t2",
            "memory\tfalse\tnot enough memory",
        ],
    );
}

#[test]
fn fs_of_the_new_core_is_io() {
    prints_on(
        Core::New,
        r#"print("fs", fs == io, fs.mount, fs.mkdir("/a1"))
        io.writeFile("/ten", "0123456789")
        local b, f = zbuff.create(10), io.open("/ten")
        print("clipped", f:fill(b, 8, 5))
        print("offset", pcall(f.fill, f, b, 20, 5))
        print("len", pcall(f.fill, f, b, 0, -5))"#,
        &[
            "fs true nil true 0",
            "clipped true 2",
            "offset 20 is out of range",
            "len -5 is out of range",
        ],
    );
}
