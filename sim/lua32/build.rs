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

fn main() {
    let lua = lua_source_dir();
    let mut build = cc::Build::new();
    for name in SOURCES {
        build.file(lua.join(name).with_extension("c"));
    }
    for file in ["c/glue.c", "c/rotable.c", "c/printf.c"] {
        build.file(file);
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-changed=c/glue.h");
    println!("cargo:rerun-if-changed=build.rs");
    build
        .include(&lua)
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
