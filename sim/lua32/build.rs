//! Compiles PUC Lua 5.3.6 the way the EC618 firmware configures it.
//!
//! The sources come from the `lua-src` crate. Its own builder compiles a stock
//! 64-bit Lua and keeps the internal headers to itself; the glue in `c/` needs
//! those headers, so this script asks cargo where the crate lies and runs `cc`
//! itself.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Lua's own files that the firmware has too. `loadlib`, `liolib`, `loslib`
/// and `linit` are left out: they reach for the host's files and clock.
const SOURCES: &[&str] = &[
    "lapi", "lauxlib", "lbaselib", "lbitlib", "lcode", "lcorolib", "lctype", "ldblib", "ldebug",
    "ldo", "ldump", "lfunc", "lgc", "llex", "lmathlib", "lmem", "lobject", "lopcodes", "lparser",
    "lstate", "lstring", "lstrlib", "ltable", "ltablib", "ltm", "lundump", "lutf8lib", "lvm",
    "lzio",
];

/// Places in Lua's sources where the model must be told something: file, the
/// text there, and what stands there instead.
const CHANGES: &[(&str, &str, &str)] = &[
    // The count hook also runs inside finalisers, where Lua switches hooks off:
    // they take CPU time like anything else, and may hang.
    (
        "ldebug",
        "luaD_hook(L, LUA_HOOKCOUNT, -1);",
        "lua32_count(L);",
    ),
    // Dumps are the device's: a size there has four bytes.
    // What Lua believes of byte code, and the check of it cannot know.
    (
        "lvm",
        "h = hvalue(ra);",
        "if (!ttistable(ra)) luaG_runerror(L, \"corrupted precompiled chunk\");\n        h = hvalue(ra);",
    ),
    (
        "lvm",
        "TString *key = tsvalue(rc);",
        "if (!ttisstring(rc)) luaG_runerror(L, \"corrupted precompiled chunk\");\n        TString *key = tsvalue(rc);",
    ),
    (
        "lundump",
        "    LoadVar(S, size);",
        "    { unsigned int size32; LoadVar(S, size32); size = size32; }",
    ),
    (
        "lundump",
        "checksize(S, size_t);",
        "fchecksize(S, 4, \"size_t\");",
    ),
    // The firmware gives byte code without a source the file's name, up to the
    // length of a short string.
    (
        "lundump",
        "LoadFunction(&S, cl->p, NULL);",
        "{ int named = *name == '@' && strlen(name) <= LUAI_MAXSHORTLEN;
    TString *ts = NULL;
    if (named) { ts = luaS_new(L, name); setsvalue2s(L, L->top, ts); luaD_inctop(L); }
    LoadFunction(&S, cl->p, ts);
    if (named) L->top--; }",
    ),
    ("ldump", "DumpByte(sizeof(size_t), D);", "DumpByte(4, D);"),
    (
        "ldump",
        "      DumpVar(size, D);",
        "      { unsigned int size32 = (unsigned int)size; DumpVar(size32, D); }",
    ),
    // `string.pack`: a long and a size_t of the chip have four bytes.
    (
        "lstrlib",
        "case 'l': *size = sizeof(long); return Kint;",
        "case 'l': *size = 4; return Kint;",
    ),
    (
        "lstrlib",
        "case 'L': *size = sizeof(long); return Kuint;",
        "case 'L': *size = 4; return Kuint;",
    ),
    (
        "lstrlib",
        "case 'T': *size = sizeof(size_t); return Kuint;",
        "case 'T': *size = 4; return Kuint;",
    ),
    (
        "lstrlib",
        "case 's': *size = getnumlimit(h, fmt, sizeof(size_t)); return Kstring;",
        "case 's': *size = getnumlimit(h, fmt, 4); return Kstring;",
    ),
    // A pattern may backtrack for ever in C.
    (
        "lstrlib",
        "if (ms->matchdepth-- == 0)",
        "lua32_pattern_step(ms->L);\n  if (ms->matchdepth-- == 0)",
    ),
];

/// A source file to compile: Lua's own, or a copy with the changes in it.
fn source(lua: &Path, name: &str) -> PathBuf {
    let original = lua.join(name).with_extension("c");
    let changes: Vec<_> = CHANGES.iter().filter(|(file, ..)| *file == name).collect();
    if changes.is_empty() {
        return original;
    }
    let mut text = std::fs::read_to_string(&original).expect("Lua's sources are readable");
    text.insert_str(0, "#include \"glue.h\"\n");
    for (_, from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{name}.c has {from:?} once");
        text = text.replace(from, to);
    }
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let copy = Path::new(&out).join(name).with_extension("c");
    std::fs::write(&copy, text).expect("OUT_DIR is writable");
    copy
}

fn main() {
    let lua = lua_source_dir();
    // For the test that compares with a stock interpreter.
    println!("cargo:rustc-env=LUA32_SOURCES={}", lua.display());
    let mut build = cc::Build::new();
    for name in SOURCES {
        build.file(source(&lua, name));
    }
    for file in ["c/glue.c", "c/debug.c", "c/rotable.c", "c/printf.c"] {
        build.file(file);
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-changed=c/glue.h");
    println!("cargo:rerun-if-changed=build.rs");
    build
        .include(&lua)
        .include("c")
        .warnings(false)
        .define("LUA_32BITS", "1")
        .define("LUA_COMPAT_5_1", None)
        .define("LUA_COMPAT_5_2", None)
        // The firmware's constant string-hash seed. `makeseed` mixes addresses
        // into `luai_makeseed()` afterwards; the early return cuts that off.
        .define("luai_makeseed()", "0xA25E41B5u;return(0xA25E41B5u)")
        // Every number-to-text conversion goes through c/printf.c. glibc's
        // fortified inline would win over the define in optimised builds.
        .define("snprintf", "lua32_snprintf")
        .define("l_rand()", "lua32_rand(L)")
        .define("l_srand(x)", "lua32_srand(L, x)")
        .define("L_RANDMAX", "0x7fffffff")
        .flag_if_supported("-U_FORTIFY_SOURCE")
        .flag_if_supported("-fno-common")
        // One instruction stream in debug and release: same hash in both.
        .flag_if_supported("-ffp-contract=off")
        .opt_level(2)
        .compile("lua32");
}

/// What `cargo metadata` says of the packages this build may use.
fn packages(offline: bool) -> Result<serde_json::Value, String> {
    let cargo = std::env::var("CARGO").expect("cargo sets CARGO for build scripts");
    let target = std::env::var("TARGET").expect("cargo sets TARGET for build scripts");
    let mut command = Command::new(cargo);
    command.args([
        "metadata",
        "--format-version=1",
        "--filter-platform",
        &target,
    ]);
    if offline {
        command.arg("--offline");
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The folder of PUC Lua 5.3.6 inside the `lua-src` package. A build downloads
/// only what it needs itself; where cargo wants to see more than that, it may
/// fetch it.
fn lua_source_dir() -> PathBuf {
    let metadata = packages(true)
        .or_else(|_| packages(false))
        .unwrap_or_else(|error| panic!("cargo metadata failed: {error}"));
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "lua-src")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("lua-src is a build dependency of this crate");
    Path::new(manifest)
        .parent()
        .expect("a manifest lies in a folder")
        .join("lua-5.3.6")
}
