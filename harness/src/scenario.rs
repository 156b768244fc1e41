//! The state of one running scenario.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use airbench_airtun::Faults;
use airbench_clock::Instant;
use airbench_lte::{Carrier, Cell, LinkConfig, Path as LinkPath, Profile};
use airbench_luatos::{Core, Device, Scripts};
use airbench_trace::{Event, Hash, Kind, Source};
use airbench_world::{Action, Route, Setup};

use crate::bench::{Bench, BenchError, SimBench, Wanted};
use crate::cli::{EMBEDDED, RunOptions, setup};
use crate::config::{FILE, Project, parse_start_time};
use crate::project;

/// What all scenarios of a run share.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The project the features belong to.
    pub project: Project,
    /// Seed for scenarios that do not name one.
    pub seed: Option<u64>,
}

/// Where a scenario stands in its feature file, for messages.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The feature file.
    pub file: Option<PathBuf>,
    /// The scenario's name.
    pub name: String,
}

/// Why a step failed; the text is all there is to say.
pub struct StepError(String);

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T: Into<String>> From<T> for StepError {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Result of a step.
pub type StepResult = Result<(), StepError>;

/// Events shown when a step fails.
const SHOWN: usize = 20;

/// A scenario: what was prepared, and the bench once it has power.
#[derive(Default, cucumber::World)]
pub struct Scenario {
    /// Shared by all scenarios.
    pub context: Arc<Context>,
    /// Where it stands.
    pub place: Place,
    scripts: Option<Scripts>,
    profile: Option<Profile>,
    core: Option<Core>,
    sim: Option<bool>,
    seed: Option<u64>,
    epoch: Option<i64>,
    hosts: Vec<(String, String)>,
    libs: Vec<PathBuf>,
    routes: Vec<Route>,
    devices: Vec<Device>,
    bench: Option<Box<dyn Bench>>,
    /// What the server does wrong.
    pub(crate) faults: Faults,
    /// What the carrier does, and how its cell is received.
    pub(crate) carrier: Carrier,
    pub(crate) cell: Cell,
    /// The link of the profile, and what steps have made of it.
    profile_link: LinkConfig,
    link: LinkConfig,
    /// Number of the first event after the latest `When`.
    since: u64,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Scenario {
    /// A path of a feature: relative to the project's folder.
    fn path(&self, path: &str) -> PathBuf {
        self.context.project.resolve(Path::new(path))
    }

    /// Uses the firmware at a path.
    pub fn use_firmware(&mut self, path: &str, block: Option<usize>) -> StepResult {
        let scripts = project::load(&self.path(path), block, &self.libs);
        self.use_scripts(scripts.map_err(|error| error.to_string())?)
    }

    /// Loads a firmware without using it on the board.
    pub fn load_firmware(&self, path: &str) -> Result<Scripts, StepError> {
        project::load(&self.path(path), None, &self.libs).map_err(|error| error.to_string().into())
    }

    /// Adds a page of the HTTP server.
    pub fn use_route(&mut self, route: Route) {
        self.routes.push(route);
    }

    /// Puts a chip on a bus.
    pub fn use_device(&mut self, device: Device) -> StepResult {
        device.check().map_err(|error| error.to_string())?;
        self.devices.push(device);
        Ok(())
    }

    /// Uses the firmware the project file names, or the built-in one.
    pub fn use_project_firmware(&mut self) -> StepResult {
        let firmware = self.context.project.firmware.clone();
        let Some(path) = firmware.path else {
            return self.use_source(EMBEDDED);
        };
        self.libs.extend(
            firmware
                .libs
                .iter()
                .map(|lib| self.context.project.resolve(lib)),
        );
        self.use_firmware(&path.to_string_lossy(), firmware.block)
    }

    /// Uses a main script given as text.
    pub fn use_source(&mut self, source: &str) -> StepResult {
        let mut scripts = Scripts::default();
        scripts.add("main.lua", source.as_bytes().to_vec());
        self.use_scripts(scripts)
    }

    fn use_scripts(&mut self, scripts: Scripts) -> StepResult {
        self.scripts = Some(scripts);
        Ok(())
    }

    /// Adds a folder of libraries for the firmware named after this.
    pub fn use_libraries(&mut self, folder: &str) {
        let folder = self.path(folder);
        self.libs.push(folder);
    }

    /// Chooses the LTE profile.
    pub fn use_profile(&mut self, name: &str) -> StepResult {
        let file = name
            .ends_with(".toml")
            .then(|| self.path(name).to_string_lossy().into_owned());
        let profile = Profile::load(file.as_deref().unwrap_or(name));
        self.profile = Some(profile.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Chooses the firmware's generation.
    pub fn use_core(&mut self, name: &str) -> StepResult {
        self.core = Some(name.parse()?);
        Ok(())
    }

    /// Puts a SIM in, or leaves the slot empty.
    pub fn use_sim(&mut self, present: bool) {
        self.sim = Some(present);
    }

    /// Chooses the seed.
    pub fn use_seed(&mut self, seed: u64) {
        self.seed = Some(seed);
    }

    /// Chooses date and time at power-on.
    pub fn use_start_time(&mut self, text: &str) -> StepResult {
        self.epoch = Some(parse_start_time(text)?);
        Ok(())
    }

    /// Leads a host name to a service.
    pub fn use_host(&mut self, name: &str, service: &str) {
        self.hosts.push((name.to_owned(), service.to_owned()));
    }

    /// The seed in force.
    fn seed_in_force(&self) -> u64 {
        self.seed
            .or(self.context.seed)
            .or(self.context.project.run.seed)
            .unwrap_or(1)
    }

    fn setup(&mut self) -> Result<Setup, StepError> {
        if self.scripts.is_none() {
            self.use_project_firmware()?;
        }
        let project = &self.context.project;
        // Everything but the scripts comes from the project as for `run`.
        let options = RunOptions {
            lte: project.network.profile.clone(),
            ..RunOptions::default()
        };
        let mut made =
            setup(&options, project, self.scripts.clone()).map_err(|error| error.to_string())?;
        if let Some(profile) = &self.profile {
            made.profile = profile.clone();
        }
        if let Some(core) = self.core {
            made.core = core;
        }
        if let Some(sim) = self.sim {
            made.profile.modem.sim = sim;
        }
        if let Some(epoch) = self.epoch {
            made.epoch = epoch;
        }
        made.seed = self.seed_in_force();
        // The scenario's own come first: the first that fits answers.
        made.routes.splice(0..0, self.routes.iter().cloned());
        made.devices.extend(self.devices.iter().cloned());
        for (name, service) in &self.hosts {
            made.map_name(name, service)
                .map_err(|error| error.to_string())?;
        }
        Ok(made)
    }

    /// Gives the board power, with everything prepared so far.
    pub async fn power_on(&mut self) -> StepResult {
        if self.bench.is_none() {
            let setup = self.setup()?;
            self.profile_link.clone_from(&setup.profile.link);
            self.link.clone_from(&setup.profile.link);
            self.carrier.clone_from(&setup.profile.carrier);
            self.cell = setup.profile.modem.cell;
            self.bench = Some(Box::new(SimBench::new(setup)));
        }
        self.act(Action::PowerOn).await
    }

    fn bench(&mut self) -> Result<&mut Box<dyn Bench>, StepError> {
        self.bench
            .as_mut()
            .ok_or_else(|| "the board has no power yet: `When the board is powered on`".into())
    }

    /// Does something, and looks at what happens from here on.
    pub async fn act(&mut self, action: Action) -> StepResult {
        let bench = self.bench()?;
        let mark = bench.mark().await;
        let done = bench.act(action).await;
        self.since = mark;
        self.report(done).await
    }

    /// One direction of the link as steps and profile have made it.
    pub(crate) fn link_path(&mut self, up: bool) -> Result<LinkPath, StepError> {
        self.bench()?;
        let link = &self.link;
        Ok(if up {
            link.up.clone()
        } else {
            link.down.clone()
        })
    }

    /// Changes one direction of the link.
    pub(crate) async fn set_link_path(&mut self, up: bool, path: LinkPath) -> StepResult {
        let place = if up {
            &mut self.link.up
        } else {
            &mut self.link.down
        };
        place.clone_from(&path);
        self.act(Action::Link(up, Box::new(path))).await
    }

    /// The link is what its profile says.
    pub(crate) async fn restore_link(&mut self) -> StepResult {
        self.bench()?;
        let link = self.profile_link.clone();
        self.act(Action::Flapping(link.flapping.clone())).await?;
        self.set_link_path(true, link.up).await?;
        self.set_link_path(false, link.down).await
    }

    /// Where expectations look from, to be restored after several actions that
    /// are one to the reader.
    pub(crate) fn keep_since(&self) -> u64 {
        self.since
    }

    /// See [`Scenario::keep_since`].
    pub(crate) fn restore_since(&mut self, since: u64) {
        self.since = since;
    }

    /// Lets time pass.
    pub async fn run_for(&mut self, span: Duration) -> StepResult {
        let done = self.bench()?.run_for(span).await;
        self.report(done).await
    }

    /// Waits for an event since the latest action.
    pub async fn expect(&mut self, wanted: Wanted, span: Duration) -> Result<Event, StepError> {
        let since = self.since;
        let what = wanted.what.clone();
        let found = self.bench()?.wait_for(wanted, since, span).await;
        match found {
            Ok(Some(event)) => Ok(event),
            Ok(None) => {
                let span = crate::duration::show(span);
                Err(self
                    .failure(&format!("{what} did not come within {span}"))
                    .await)
            }
            Err(error) => Err(self.failure(&format!("waiting for {what}: {error}")).await),
        }
    }

    /// Sees to it that an event does not come for a while.
    pub async fn expect_not(&mut self, wanted: Wanted, span: Duration) -> StepResult {
        let since = self.since;
        let what = wanted.what.clone();
        match self.bench()?.wait_for(wanted, since, span).await {
            Ok(None) => Ok(()),
            Ok(Some(event)) => Err(self.failure(&format!("{what} came: {event}")).await),
            Err(error) => Err(self
                .failure(&format!("while {what} must not come: {error}"))
                .await),
        }
    }

    /// All events so far.
    pub async fn events(&mut self) -> Result<Vec<Event>, StepError> {
        Ok(self.bench()?.events(0).await)
    }

    /// WebSocket messages handed to the script.
    pub async fn delivered(&mut self) -> Result<u64, StepError> {
        Ok(self.bench()?.delivered().await)
    }

    /// The hash of the run, if it has begun.
    pub async fn hash(&mut self) -> Option<Hash> {
        self.bench.as_mut()?.hash().await
    }

    async fn report(&mut self, done: Result<(), BenchError>) -> StepResult {
        match done {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failure(&error.to_string()).await),
        }
    }

    /// A failure with what was seen last, and how to see it again.
    pub async fn failure(&mut self, what: &str) -> StepError {
        let seed = self.seed_in_force();
        let mut text = format!("{what}\n");
        if let Ok(bench) = self.bench() {
            let events = bench.events(0).await;
            text.push_str(&last_events(&events));
        }
        let file = self.place.file.as_deref().unwrap_or(Path::new("features"));
        let name = regex::escape(&self.place.name);
        let config = match &self.context.project.file {
            Some(file) if file != Path::new(FILE) => format!(" --config {}", file.display()),
            _ => String::new(),
        };
        text.push_str(&format!(
            "\nseed {seed}; repeat with:\n  cucumber{config} --features {} --name '^{name}$' --seed {seed}\n",
            file.display()
        ));
        StepError(text)
    }
}

/// The last events before a failure, as text.
fn last_events(events: &[Event]) -> String {
    let now = events.last().map_or(Instant::ZERO, |event| event.time);
    let (pins, told): (Vec<_>, Vec<_>) = events.iter().partition(|event| is_pin_level(event));
    let shown = &told[told.len().saturating_sub(SHOWN)..];
    let first = shown.first().map_or(now, |event| event.time);
    let left_out = pins.iter().filter(|event| event.time >= first).count();
    let note = match left_out {
        0 => String::new(),
        count => format!("; {count} changes of pins left out"),
    };
    let mut text = format!("\nthe last {} events (until {now}{note}):\n", shown.len());
    for event in shown {
        text.push_str(&format!("  {event}\n"));
    }
    text
}

/// A pin changed its level: firmware that blinks would leave room for nothing
/// else.
fn is_pin_level(event: &Event) -> bool {
    event.source == Source::Board && event.kind == Kind::State && event.text().starts_with("gpio")
}
