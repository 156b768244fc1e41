//! What is prepared before the board gets power.

use cucumber::gherkin::Step;
use cucumber::given;

use crate::scenario::{Scenario, StepResult};

/// Uses the firmware that airbench.toml names.
#[given(expr = "the firmware of the project")]
async fn project_firmware_step(s: &mut Scenario) -> StepResult {
    s.use_project_firmware()
}

/// Uses a firmware: a folder with main.lua, a Lua file or a document.
#[given(expr = "the firmware {string}")]
async fn firmware_step(s: &mut Scenario, path: String) -> StepResult {
    s.use_firmware(&path, None)
}

/// Uses one program of a document.
#[given(expr = "the firmware {string} block {int}")]
async fn firmware_block_step(s: &mut Scenario, path: String, block: usize) -> StepResult {
    s.use_firmware(&path, Some(block))
}

/// Uses the Lua program in the doc string.
#[given(expr = "the main script:")]
async fn main_script_step(s: &mut Scenario, step: &Step) -> StepResult {
    let source = step
        .docstring
        .as_deref()
        .ok_or("a doc string with the script must follow")?;
    // The line break after the opening quotes is none of the script's.
    s.use_source(source.strip_prefix('\n').unwrap_or(source))
}

/// Adds a folder with libraries Luatools would add; name it before the firmware.
#[given(expr = "the libraries in {string}")]
async fn libraries_step(s: &mut Scenario, folder: String) {
    s.use_libraries(&folder);
}

/// Chooses the LTE profile by name or file.
#[given(expr = "the LTE profile {string}")]
async fn profile_step(s: &mut Scenario, name: String) -> StepResult {
    s.use_profile(&name)
}

/// Chooses the generation of the firmware: v1112 (the default) or new.
#[given(expr = "the firmware profile {string}")]
async fn core_step(s: &mut Scenario, name: String) -> StepResult {
    s.use_core(&name)
}

/// Leaves the SIM slot empty.
#[given(expr = "no SIM")]
async fn no_sim_step(s: &mut Scenario) {
    s.use_sim(false);
}

/// Chooses the seed of all randomness.
#[given(expr = "the seed {int}")]
async fn seed_step(s: &mut Scenario, seed: u64) {
    s.use_seed(seed);
}

/// Chooses the UTC date and time at power-on.
#[given(expr = "the start time {string}")]
async fn start_time_step(s: &mut Scenario, text: String) -> StepResult {
    s.use_start_time(&text)
}

/// Leads a host name to a service (airtun or errdump).
#[given(expr = "the host {string} is served by {word}")]
async fn host_step(s: &mut Scenario, name: String, service: String) {
    s.use_host(&name, &service);
}

/// The same as `When the board is powered on`, as a starting point.
#[given(expr = "a running board")]
async fn running_step(s: &mut Scenario) -> StepResult {
    s.power_on().await
}
