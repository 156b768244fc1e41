//! The VM beside a stock Lua 5.3.6 with 32-bit numbers, on random programs: what
//! the firmware does not change is the same.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::run;

const PROGRAMS: &str = include_str!("stock/programs.lua");

/// Compiles PUC's interpreter; only the seed of its string hash is not its own,
/// so that `pairs` can be compared.
fn interpreter() -> PathBuf {
    let lua = Path::new(env!("LUA32_SOURCES"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stock-lua");
    let sources = std::fs::read_dir(lua).unwrap().map(|file| file.unwrap());
    let sources = sources
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|e| e == "c") && !path.ends_with("luac.c"));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let made = Command::new(compiler)
        .args(["-O1", "-w", "-DLUA_32BITS"])
        .args(["-DLUA_COMPAT_5_1", "-DLUA_COMPAT_5_2"])
        .arg("-Dluai_makeseed()=0xA25E41B5u;return(0xA25E41B5u)")
        .arg("-o")
        .arg(&out)
        .arg("-I")
        .arg(lua)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stock/main.c"))
        .args(sources)
        .arg("-lm")
        .output()
        .expect("there is a C compiler: it built the VM");
    assert!(made.status.success(), "{made:?}");
    out
}

#[test]
fn random_programs_do_what_they_do_on_stock_lua() {
    let interpreter = interpreter();
    let mut compared = 0;
    let mut differ = Vec::new();
    for seed in 1..=60 {
        let head = format!("local SEED, COUNT = {seed}, 100\n");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(folder.join("t.lua"), format!("{head}{PROGRAMS}")).unwrap();
        let mut stock = Command::new(&interpreter);
        let stock = stock.arg("t.lua").current_dir(folder).output().unwrap();
        assert!(stock.status.success(), "{stock:?}");
        let stock = String::from_utf8_lossy(&stock.stdout).into_owned();
        let ours = run(&format!("emit = out {head}{PROGRAMS}")).join("\n");
        for (stock, ours) in stock.lines().zip(ours.lines()) {
            if stock != ours {
                differ.push(format!("stock {stock}\n ours {ours}"));
            }
            compared += 1;
        }
        assert_eq!(ours.lines().count(), stock.lines().count(), "seed {seed}");
    }
    assert!(
        differ.is_empty(),
        "{} of {compared} lines:\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert!(compared >= 24_000, "{compared} lines");
}
