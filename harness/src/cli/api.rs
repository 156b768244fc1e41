//! `airbench api` and `airbench coverage`: what is modelled, and what of that a
//! project needs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use airbench_luatos::{Core, Modelled, api};
use clap::Args;

use super::{Failure, say};
use crate::coverage::{Standing, coverage};
use crate::project;

/// Options of `airbench api`.
#[derive(Args)]
pub(super) struct ApiOptions {
    /// Generation of the firmware: v1112 or new.
    #[arg(long, value_name = "NAME", default_value = "v1112")]
    firmware_profile: Core,
    /// One line per function.
    #[arg(long)]
    functions: bool,
}

/// The table of an image's libraries, in Markdown: the whole ones first, then
/// those with gaps, then those whose calls are accepted.
pub fn table(core: Core) -> String {
    let mut libraries: BTreeMap<&str, BTreeMap<Modelled, Vec<&str>>> = BTreeMap::new();
    for (library, function, modelled) in api(core) {
        let functions = libraries.entry(library).or_default();
        functions.entry(modelled).or_default().push(function);
    }
    let (mut whole, mut accepted, mut count) = (Vec::new(), Vec::new(), 0);
    let mut rows = String::new();
    for (library, functions) in libraries {
        let of = |modelled| functions.get(&modelled).map_or(&[][..], Vec::as_slice);
        let (yes, no) = (of(Modelled::Yes), of(Modelled::No));
        if !of(Modelled::Accepted).is_empty() {
            accepted.push(library);
        } else if no.is_empty() {
            whole.push(library);
            count += yes.len();
        } else {
            let (some, total) = (yes.len(), yes.len() + no.len());
            // Writing to a string does not fail.
            let _ = writeln!(
                rows,
                "| `{library}` | {some} of {total} | `{}` |",
                no.join(" ")
            );
        }
    }
    format!(
        "| libraries of the image | functions modelled | not modelled |\n|---|---|---|\n\
         | `{}` | all {count} | |\n{rows}\
         | `{}` | none | calls are accepted, recorded, and do nothing |\n",
        whole.join(" "),
        accepted.join(" ")
    )
}

/// Prints the table of the image.
pub(super) fn list(options: &ApiOptions) -> ExitCode {
    let core = options.firmware_profile;
    if options.functions {
        for (library, function, modelled) in api(core) {
            let words = match modelled {
                Modelled::Yes => "modelled",
                Modelled::Accepted => "accepted",
                Modelled::No => "not modelled",
            };
            say(&format!("{library}.{function}\t{words}\n"));
        }
    } else {
        say(&table(core));
    }
    ExitCode::SUCCESS
}

/// Options of `airbench coverage`.
#[derive(Args)]
pub(super) struct CoverageOptions {
    /// Folder with main.lua, a script, or an image.
    path: PathBuf,
    /// Folder with libraries that Luatools would add; repeatable.
    #[arg(long, value_name = "DIR")]
    lib: Vec<PathBuf>,
    /// Generation of the firmware: v1112 or new.
    #[arg(long, value_name = "NAME", default_value = "v1112")]
    firmware_profile: Core,
    /// List the modelled functions too.
    #[arg(long)]
    all: bool,
}

/// Prints what a project uses; 1 if something of it is not modelled.
pub(super) fn run(options: &CoverageOptions) -> Result<ExitCode, Failure> {
    let scripts = project::load(&options.path, None, &[])?;
    let libraries = project::load_libraries(&options.lib)?;
    for (name, code) in scripts.iter().filter(|(name, _)| name.ends_with(".lua")) {
        // A script that does not compile calls nothing at all.
        if let Err(error) = airbench_luatos::compile(code, name, false) {
            return Err(Failure::Script {
                path: options.path.display().to_string(),
                error,
            });
        }
    }
    let uses = coverage(&scripts, &libraries, options.firmware_profile);
    let mut counts: BTreeMap<Standing, usize> = BTreeMap::new();
    for (name, used) in &uses {
        *counts.entry(used.standing).or_default() += 1;
        if options.all || used.standing != Standing::Modelled {
            let (file, line) = &used.first;
            let words = used.standing.words();
            say(&format!(
                "{name:<28} {words:<24} {file}:{line} ({}x)\n",
                used.count
            ));
        }
    }
    let compiled = scripts
        .iter()
        .filter(|(name, _)| name.ends_with(".luac"))
        .count();
    if compiled > 0 {
        say(&format!(
            "{compiled} compiled script(s) were not read: give the sources\n"
        ));
    }
    let of = |standing| counts.get(&standing).copied().unwrap_or(0);
    let (missing, absent) = (of(Standing::NotModelled), of(Standing::Absent));
    say(&format!(
        "{} functions used: {} modelled, {} accepted, {missing} not modelled, {absent} not in this firmware\n",
        uses.len(),
        of(Standing::Modelled),
        of(Standing::Accepted),
    ));
    Ok(ExitCode::from(u8::from(missing + absent > 0)))
}
