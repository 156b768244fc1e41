//! Faults that end with the value that stands for them.

use std::ops::{Deref, DerefMut};

use airbench_lte::{Direction, Flapping, Path};

use crate::action::Action;
use crate::world::{World, WorldError};

/// A fault that lasts as long as this value; the world is used through it, and
/// further faults may be laid over it.
///
/// ```no_run
/// # fn run(mut world: airbench_world::World) -> Result<(), airbench_world::WorldError> {
/// use std::time::Duration;
/// let end = world.now() + Duration::from_secs(30);
/// let mut tunnel = world.outage()?;
/// tunnel.run_until(end)?;
/// drop(tunnel);
/// // The link is back.
/// # Ok(()) }
/// ```
pub struct Fault<'w> {
    world: &'w mut World,
    undo: Option<Action>,
}

impl World {
    fn fault(&mut self, begin: &Action, undo: Action) -> Result<Fault<'_>, WorldError> {
        self.act(begin)?;
        Ok(Fault {
            world: self,
            undo: Some(undo),
        })
    }

    /// Nothing passes over the air.
    pub fn outage(&mut self) -> Result<Fault<'_>, WorldError> {
        let before = self.link().outage();
        self.fault(&Action::Outage(true), Action::Outage(before))
    }

    /// One direction of the link has other impairments.
    pub fn impaired(&mut self, way: Direction, path: Path) -> Result<Fault<'_>, WorldError> {
        let up = way == Direction::Up;
        let before = Box::new(self.path(way).clone());
        self.fault(&Action::Link(up, Box::new(path)), Action::Link(up, before))
    }

    /// The link comes and goes.
    pub fn flapping(&mut self, flapping: Flapping) -> Result<Fault<'_>, WorldError> {
        let before = self.link().flapping().cloned();
        self.fault(&Action::Flapping(Some(flapping)), Action::Flapping(before))
    }

    /// The servers' machines are off the network; what they had is forgotten.
    pub fn without_hosts(&mut self) -> Result<Fault<'_>, WorldError> {
        let before = self.has_hosts();
        self.fault(&Action::Host(false), Action::Host(before))
    }

    /// There is no SIM in the slot.
    pub fn without_sim(&mut self) -> Result<Fault<'_>, WorldError> {
        let before = self.board_mut().modem_mut().config().sim;
        self.fault(&Action::Sim(false), Action::Sim(before))
    }

    /// The server does not answer; its connections are reset.
    pub fn without_server(&mut self) -> Result<Fault<'_>, WorldError> {
        let before = self.is_serving();
        self.fault(&Action::Server(false), Action::Server(before))
    }
}

impl Deref for Fault<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        self.world
    }
}

impl DerefMut for Fault<'_> {
    fn deref_mut(&mut self) -> &mut World {
        self.world
    }
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            // The board alone can fail, and these do not concern it.
            let _ = self.world.act(&undo);
        }
    }
}
