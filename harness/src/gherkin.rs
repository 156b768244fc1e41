//! Features: finding, filtering by capability, running.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use airbench_trace::Hash;
use cucumber::event::{
    Cucumber, Feature as FeatureEvent, Scenario as ScenarioEvent, Step as StepEvent,
};
use cucumber::feature::Ext as _;
use cucumber::{Event, World as _, cli, parser};
use futures_util::{FutureExt, stream};
use gherkin::{Feature, GherkinEnv};

use crate::bench::Capability;
use crate::scenario::{Context, Place, Scenario};

/// Why features could not be found.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// A folder or file that cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that is no Gherkin.
    #[error("{path}: {error}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What and where.
        error: String,
    },
    /// Nothing to run.
    #[error("no .feature files in {0}; `airbench init` writes a first one")]
    None(PathBuf),
}

/// All features at a path (a folder, searched to its depths, or a file), in
/// order of name, outlines expanded.
pub fn find(path: &Path) -> Result<Vec<Feature>, FeatureError> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(FeatureError::None(path.to_owned()));
    }
    files.into_iter().map(|file| read(&file)).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), FeatureError> {
    let failed = |error| FeatureError::Read {
        path: path.to_owned(),
        error,
    };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        if entry.is_dir()
            || entry
                .extension()
                .is_some_and(|extension| extension == "feature")
        {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Feature, FeatureError> {
    let failed = |error: String| FeatureError::Syntax {
        path: file.to_owned(),
        error,
    };
    let feature = Feature::parse_path(file, GherkinEnv::default())
        .map_err(|error| failed(error.to_string()))?;
    feature
        .expand_examples()
        .map_err(|error| failed(error.to_string()))
}

/// What a scenario needs of its bench, from its own and its feature's tags.
pub fn needs(feature: &Feature, scenario: &gherkin::Scenario) -> Result<Vec<Capability>, String> {
    let tags = feature.tags.iter().chain(&scenario.tags);
    tags.filter_map(|tag| Capability::from_tag(tag)).collect()
}

/// Why a bench that can do `able` must skip a scenario; `None` if it need not.
pub fn skip_reason(
    feature: &Feature,
    scenario: &gherkin::Scenario,
    bench: &str,
    able: &[Capability],
) -> Result<Option<String>, String> {
    let missing: Vec<&str> = needs(feature, scenario)?
        .into_iter()
        .filter(|capability| !able.contains(capability))
        .map(Capability::name)
        .collect();
    Ok((!missing.is_empty()).then(|| format!("bench {bench} cannot do {}", missing.join(", "))))
}

/// Gives features that were read before.
pub struct Ready;

impl cucumber::Parser<Vec<Feature>> for Ready {
    type Cli = cli::Empty;
    type Output = stream::Iter<std::vec::IntoIter<parser::Result<Feature>>>;

    fn parse(self, features: Vec<Feature>, _: cli::Empty) -> Self::Output {
        let features: Vec<parser::Result<Feature>> = features.into_iter().map(Ok).collect();
        stream::iter(features)
    }
}

/// Tells a scenario what it belongs to; for cucumber's `before` hook.
pub fn introduce(
    world: &mut Scenario,
    context: &Arc<Context>,
    feature: &Feature,
    scenario: &gherkin::Scenario,
) {
    world.context = Arc::clone(context);
    world.place = Place {
        file: feature.path.clone(),
        name: scenario.name.clone(),
    };
}

/// What one scenario came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All steps passed; the hash of the run, if it began.
    Passed(Option<Hash>),
    /// A step failed: which, and why.
    Failed(String),
}

/// Listens to a run for the first failure.
#[derive(Default)]
struct Listener {
    failure: Option<String>,
}

impl Listener {
    fn step(&mut self, text: String, event: StepEvent<Scenario>) {
        let failure = match event {
            StepEvent::Skipped => {
                format!(
                    "{text}\n\nno such step for this keyword (And repeats the one before it); \
                     `cucumber --steps` lists the vocabulary"
                )
            }
            StepEvent::Failed(_, _, _, error) => format!("{text}\n\n{error}"),
            _ => return,
        };
        self.failure.get_or_insert(failure);
    }
}

impl cucumber::Writer<Scenario> for Listener {
    type Cli = cli::Empty;

    async fn handle_event(
        &mut self,
        event: parser::Result<Event<Cucumber<Scenario>>>,
        _: &cli::Empty,
    ) {
        let event = match event {
            Ok(event) => event.into_inner(),
            Err(error) => {
                self.failure.get_or_insert(error.to_string());
                return;
            }
        };
        let Cucumber::Feature(_, FeatureEvent::Scenario(_, scenario)) = event else {
            return;
        };
        match scenario.event {
            ScenarioEvent::Background(step, event) | ScenarioEvent::Step(step, event) => {
                self.step(format!("{}{}", step.keyword, step.value), event);
            }
            _ => {}
        }
    }
}

impl cucumber::writer::Normalized for Listener {}

/// Runs one scenario on a runtime of its own.
pub fn run_one(context: &Arc<Context>, feature: &Feature, scenario: &gherkin::Scenario) -> Verdict {
    let mut single = feature.clone();
    single.rules.clear();
    single.scenarios = vec![scenario.clone()];
    let hash: Arc<Mutex<Option<Hash>>> = Arc::default();
    let (seen, context) = (Arc::clone(&hash), Arc::clone(context));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let Ok(runtime) = runtime else {
        return Verdict::Failed("no tokio runtime".to_owned());
    };
    let listener = runtime.block_on(
        Scenario::cucumber::<&str>()
            .with_parser(Ready)
            .with_writer(Listener::default())
            .before(move |feature, _, scenario, world| {
                introduce(world, &context, feature, scenario);
                async {}.boxed_local()
            })
            .after(move |_, _, _, _, world| {
                let seen = Arc::clone(&seen);
                async move {
                    if let Some(world) = world {
                        let hash = world.hash().await;
                        *seen.lock().unwrap_or_else(PoisonError::into_inner) = hash;
                    }
                }
                .boxed_local()
            })
            .with_default_cli()
            .run(vec![single]),
    );
    match listener.failure {
        Some(failure) => Verdict::Failed(failure),
        None => Verdict::Passed(*hash.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// The scenarios of a feature, those of its rules included.
pub fn scenarios(feature: &Feature) -> impl Iterator<Item = &gherkin::Scenario> {
    feature
        .scenarios
        .iter()
        .chain(feature.rules.iter().flat_map(|rule| &rule.scenarios))
}
