//! Doing to a simulated device what a capture shows.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Retention};
use airbench_world::{Action, Setup, World, WorldError};

use super::{Stimuli, Stimulus};

/// How long a device may take to connect.
const CONNECT: Duration = Duration::from_secs(180);
/// When stimuli begin on a device whose connections the capture does not show.
const SETTLE: Duration = Duration::from_secs(30);
/// Steps in which the connection is waited for.
const STEP: Duration = Duration::from_millis(100);

/// Why a re-run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// The device never connected.
    #[error(
        "the simulated device has not opened a WebSocket within {}; does the firmware connect to a name that leads to airtun (--host)?",
        crate::duration::show(CONNECT)
    )]
    NoConnection,
    /// The world cannot go on.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// What came of it.
#[derive(Debug)]
pub struct Rerun {
    /// When the connection stood.
    pub anchor: Instant,
    /// Everything that happened.
    pub events: Vec<Event>,
}

/// Runs the device, does `list` to it, and watches it until `end` after the anchor.
pub fn rerun(
    setup: &Setup,
    stimuli: &Stimuli,
    list: &[Stimulus],
    end: Duration,
) -> Result<Rerun, RerunError> {
    let mut world = World::new(setup, Retention::All);
    world.act(&Action::PowerOn)?;
    let anchor = if stimuli.connected {
        connect(&mut world)?
    } else {
        Instant::ZERO + SETTLE
    };
    for stimulus in list {
        world.run_until(anchor + stimulus.at)?;
        world.act(&stimulus.action)?;
    }
    world.run_until(anchor + end)?;
    let events = world.log().since(0).cloned().collect();
    Ok(Rerun { anchor, events })
}

fn connect(world: &mut World) -> Result<Instant, RerunError> {
    let mut seen = 0;
    while world.now() < Instant::ZERO + CONNECT {
        world.run_until(world.now() + STEP)?;
        let mut new = world.log().since(seen);
        if let Some(event) = new.find(|event| event.kind == Kind::Handshake) {
            return Ok(event.time);
        }
        seen = world.log().count();
    }
    Err(RerunError::NoConnection)
}
