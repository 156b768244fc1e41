//! What scenarios talk to: a device on a bench, simulated or real.

mod capability;
mod sim;

use std::time::Duration;

use airbench_trace::{Event, Hash};
use airbench_world::Action;
use futures_util::future::BoxFuture;

pub use capability::Capability;
pub use sim::SimBench;

/// What a step waits for.
pub struct Wanted {
    /// In words, for the message when it does not come.
    pub what: String,
    /// Recognises it.
    pub matches: Box<dyn Fn(&Event) -> bool + Send>,
}

impl Wanted {
    /// Something that `matches` recognises, called `what`.
    pub fn new(what: impl Into<String>, matches: impl Fn(&Event) -> bool + Send + 'static) -> Self {
        Self {
            what: what.into(),
            matches: Box::new(matches),
        }
    }
}

/// Why a bench could not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BenchError {
    /// The device cannot go on.
    #[error("{0}")]
    Device(String),
    /// The bench itself is gone.
    #[error("the bench has stopped working: {0}")]
    Bench(String),
}

/// A device on a bench. Time is the bench's own: virtual for the simulator.
pub trait Bench: Send {
    /// Short name: `sim`, …
    fn name(&self) -> &'static str;
    /// What it can do.
    fn capabilities(&self) -> &'static [Capability];
    /// Does something to the device or its surroundings.
    fn act(&mut self, action: Action) -> BoxFuture<'_, Result<(), BenchError>>;
    /// Lets time pass.
    fn run_for(&mut self, span: Duration) -> BoxFuture<'_, Result<(), BenchError>>;
    /// Waits until an event from number `from` on is the wanted one; `None` if
    /// it has not come within `span` from now.
    fn wait_for(
        &mut self,
        wanted: Wanted,
        from: u64,
        span: Duration,
    ) -> BoxFuture<'_, Result<Option<Event>, BenchError>>;
    /// The events from number `from` on.
    fn events(&mut self, from: u64) -> BoxFuture<'_, Vec<Event>>;
    /// The number the next event will get.
    fn mark(&mut self) -> BoxFuture<'_, u64>;
    /// WebSocket messages handed to the script so far.
    fn delivered(&mut self) -> BoxFuture<'_, u64>;
    /// The hash of the run, where runs repeat.
    fn hash(&mut self) -> BoxFuture<'_, Option<Hash>>;
}
