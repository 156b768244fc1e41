//! The `cucumber` binary.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use airbench_luatos::Scripts;
use clap::Parser;
use cucumber::gherkin::tagexpr::TagOperation;
use cucumber::writer::{self, Coloring, Stats as _, Verbosity};
use cucumber::{World as _, WriterExt as _, cli};
use futures_util::FutureExt;
use gherkin::Feature;
use regex::Regex;

use super::{RunOptions, setup};
use crate::bench::Capability;
use crate::config::Project;
use crate::gherkin::{self as features, Ready, introduce};
use crate::scenario::{Context, Scenario};
use crate::steps;

/// Runs Gherkin scenarios against a simulated Air780E.
///
/// Features and firmware come from the project's airbench.toml.
#[derive(Parser)]
#[command(name = "cucumber", version)]
struct Options {
    /// Folder of .feature files, or one such file. Default: the project's,
    /// else ./features.
    #[arg(long, short = 'f', value_name = "PATH")]
    features: Option<PathBuf>,
    /// Run only scenarios whose name matches this regular expression.
    #[arg(long, short, value_name = "REGEX")]
    name: Option<Regex>,
    /// Run only scenarios whose tags fit, as "@smoke and not @long".
    #[arg(long, short, value_name = "EXPRESSION", conflicts_with = "name")]
    tags: Option<TagOperation>,
    /// Seed for scenarios that do not name one.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Scenarios at the same time. Default: one per core.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
    /// Stop at the first failure.
    #[arg(long)]
    fail_fast: bool,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a Cucumber JSON report.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Project file. Default: airbench.toml in this folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// List the vocabulary of steps and stop.
    #[arg(long)]
    steps: bool,
}

/// Runs the command line: 0 if all passed, 1 if something failed, 2 if the
/// command or the features are wrong.
pub fn cucumber() -> ExitCode {
    let options = Options::parse();
    if options.steps {
        print_steps();
        return ExitCode::SUCCESS;
    }
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            errln!("cucumber: {message}");
            ExitCode::from(2)
        }
    }
}

fn print_steps() {
    for phrase in steps::vocabulary() {
        outln!("{:<5} {}", phrase.keyword, phrase.expression);
        outln!("      {}", phrase.about);
    }
    outln!(
        "\nParameters: {{string}} in \"…\" or '…', {{int}}, {{float}}, {{word}}, {{span}} as 500 ms, 15 s, 1h30m."
    );
    let names: Vec<&str> = Capability::ALL.into_iter().map(Capability::name).collect();
    outln!(
        "Tags: @needs.X skips a scenario on benches without X: {}.",
        names.join(", ")
    );
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A report's file, or nowhere.
fn report(path: Option<&Path>) -> Result<Box<dyn Write>, String> {
    match path {
        None => Ok(Box::new(io::sink())),
        Some(path) => {
            let file = File::create(path);
            let file = file.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            Ok(Box::new(file))
        }
    }
}

/// The features to run, without the scenarios the bench cannot run.
fn runnable(path: &Path) -> Result<Vec<Feature>, String> {
    let mut found = features::find(path).map_err(text)?;
    for feature in &mut found {
        let whole = feature.clone();
        let mut errors = Vec::new();
        let mut keep = |scenario: &gherkin::Scenario| match features::skip_reason(
            &whole,
            scenario,
            "sim",
            &Capability::ALL,
        ) {
            Ok(None) => true,
            Ok(Some(reason)) => {
                outln!("SKIPPED {}: {reason}", scenario.name);
                false
            }
            Err(error) => {
                let file = whole.path.as_deref().unwrap_or(path);
                let line = scenario.position.line;
                errors.push(format!(
                    "{}:{line}: {}: {error}",
                    file.display(),
                    scenario.name
                ));
                false
            }
        };
        feature.scenarios.retain(&mut keep);
        for rule in &mut feature.rules {
            rule.scenarios.retain(&mut keep);
        }
        if let Some(error) = errors.pop() {
            return Err(error);
        }
    }
    Ok(found)
}

/// Standard output in our own words: the library speaks of panics where a step
/// has simply failed.
struct Reworded(io::Stdout);

impl Write for Reworded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.replace("Step panicked. Captured output:", "Step failed:");
        self.0.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn run(options: Options) -> Result<bool, String> {
    let project = Project::find(options.config.as_deref()).map_err(text)?;
    let project = project.unwrap_or_else(|| Project {
        root: ".".into(),
        ..Project::default()
    });
    let path = options.features.clone().unwrap_or_else(|| {
        project.resolve(
            project
                .features
                .path
                .as_deref()
                .unwrap_or(Path::new("features")),
        )
    });
    let found = runnable(&path)?;
    // What is wrong with the project is wrong with every scenario: say it once.
    let options_of_project = RunOptions {
        lte: project.network.profile.clone(),
        ..RunOptions::default()
    };
    setup(&options_of_project, &project, Some(Scripts::default())).map_err(text)?;
    let context = Arc::new(Context {
        project,
        seed: options.seed,
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let junit = report(options.junit.as_deref())?;
    let json = report(options.json.as_deref())?;
    let writer = writer::Basic::raw(Reworded(io::stdout()), Coloring::Auto, Verbosity::Default)
        .summarized()
        .tee::<Scenario, _>(writer::JUnit::for_tee(junit, 0))
        .tee::<Scenario, _>(writer::Json::for_tee(json))
        .normalized();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(text)?;
    let opts = cli::Opts {
        re_filter: options.name,
        tags_filter: options.tags,
        parser: cli::Empty,
        runner: cucumber::runner::basic::Cli {
            concurrency: Some(options.concurrency.map_or(cores, usize::from)),
            fail_fast: options.fail_fast,
            ..Default::default()
        },
        writer: Default::default(),
        custom: cli::Empty,
    };
    let writer = runtime.block_on(
        Scenario::cucumber::<&str>()
            .with_parser(Ready)
            .with_writer(writer)
            .fail_on_skipped()
            .before(move |feature, _, scenario, world| {
                introduce(world, &context, feature, scenario);
                async {}.boxed_local()
            })
            .with_cli(opts)
            .run(found),
    );
    let steps = writer.passed_steps() + writer.failed_steps() + writer.skipped_steps();
    if steps == 0 {
        return Err("no scenario was run; look at --name, --tags and --features".to_owned());
    }
    if writer.skipped_steps() > 0 {
        outln!("a step that is not in the vocabulary was skipped; `cucumber --steps` lists it");
    }
    Ok(!writer.execution_has_failed())
}
