//! The scenarios of `features/` as tests. Each runs three times and must give
//! the same hash; scenarios tagged `@long` run once.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use airbench::bench::Capability;
use airbench::config::Project;
use airbench::gherkin::{self, Verdict};
use airbench::scenario::Context;
use libtest_mimic::{Arguments, Failed, Trial};

/// How often a short scenario is repeated.
const REPEATS: usize = 3;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let project = Project {
        root: root.to_owned(),
        ..Project::default()
    };
    let context = Arc::new(Context {
        project,
        seed: None,
    });
    let features = match gherkin::find(&root.join("features")) {
        Ok(features) => features,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    for feature in features {
        for scenario in gherkin::scenarios(&feature) {
            let name = format!("{}: {}", feature.name, scenario.name);
            let skip = gherkin::skip_reason(&feature, scenario, "sim", &Capability::ALL);
            let (context, feature, scenario) =
                (Arc::clone(&context), feature.clone(), scenario.clone());
            let trial = Trial::test(name, move || match skip {
                Err(error) => Err(Failed::from(error)),
                Ok(Some(reason)) => {
                    eprintln!("SKIPPED: {reason}");
                    Ok(())
                }
                Ok(None) => run(&context, &feature, &scenario),
            });
            trials.push(trial);
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(
    context: &Arc<Context>,
    feature: &::gherkin::Feature,
    scenario: &::gherkin::Scenario,
) -> Result<(), Failed> {
    let long = feature
        .tags
        .iter()
        .chain(&scenario.tags)
        .any(|tag| tag == "long");
    let repeats = if long { 1 } else { REPEATS };
    let mut first = None;
    for _ in 0..repeats {
        match gherkin::run_one(context, feature, scenario) {
            Verdict::Failed(text) => return Err(Failed::from(text)),
            Verdict::Passed(hash) => match first {
                None => first = Some(hash),
                Some(before) if before != hash => {
                    let text = format!("not deterministic: hash {before:?}, then {hash:?}");
                    return Err(Failed::from(text));
                }
                Some(_) => {}
            },
        }
    }
    Ok(())
}
