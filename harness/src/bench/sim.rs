//! The simulator as a bench: a world on a thread of its own.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::{Event, Hash, Retention};
use airbench_world::{Action, Setup, World};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{Bench, BenchError, Capability, Wanted};

type Job = Box<dyn FnOnce(&mut World) + Send>;

/// A simulated device. Its world runs guest programs on a tokio runtime, which
/// must not happen inside another one: hence the thread.
pub struct SimBench {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl SimBench {
    /// A world with this setup; the board has no power yet.
    pub fn new(setup: Setup) -> Self {
        let (jobs, queue) = channel::<Job>();
        let thread = std::thread::spawn(move || {
            let mut world = World::new(&setup, Retention::All);
            while let Ok(job) = queue.recv() {
                job(&mut world);
            }
        });
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    /// Runs `work` on the world's thread.
    fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut World) -> R + Send + 'static,
    ) -> BoxFuture<'static, Result<R, BenchError>> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |world| {
            // The asker may have given up; then nobody wants the answer.
            let _ = reply.send(work(world));
        });
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok());
        async move {
            let gone = || BenchError::Bench("the simulation's thread ended early".to_owned());
            if sent {
                answer.await.map_err(|_| gone())
            } else {
                Err(gone())
            }
        }
        .boxed()
    }
}

impl Drop for SimBench {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has already been reported where it happened.
            let _ = thread.join();
        }
    }
}

fn device(error: impl std::fmt::Display) -> BenchError {
    BenchError::Device(error.to_string())
}

/// Steps the world until an event is the wanted one.
fn wait(
    world: &mut World,
    wanted: &Wanted,
    from: u64,
    span: Duration,
) -> Result<Option<Event>, BenchError> {
    let deadline = world.now() + span;
    let mut next = from;
    loop {
        let found = world
            .log()
            .since(next)
            .find(|event| (wanted.matches)(event))
            .cloned();
        if found.is_some() {
            return Ok(found);
        }
        next = world.log().count();
        if world.now() >= deadline {
            return Ok(None);
        }
        let until = world.next_wake().unwrap_or(Instant::FAR).min(deadline);
        world.run_until(until).map_err(device)?;
    }
}

impl Bench for SimBench {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &Capability::ALL
    }

    fn act(&mut self, action: Action) -> BoxFuture<'_, Result<(), BenchError>> {
        let done = self.call(move |world| world.act(&action).map_err(device));
        async move { done.await? }.boxed()
    }

    fn run_for(&mut self, span: Duration) -> BoxFuture<'_, Result<(), BenchError>> {
        let done = self.call(move |world| {
            let end = world.now() + span;
            world.run_until(end).map_err(device)
        });
        async move { done.await? }.boxed()
    }

    fn wait_for(
        &mut self,
        wanted: Wanted,
        from: u64,
        span: Duration,
    ) -> BoxFuture<'_, Result<Option<Event>, BenchError>> {
        let done = self.call(move |world| wait(world, &wanted, from, span));
        async move { done.await? }.boxed()
    }

    fn events(&mut self, from: u64) -> BoxFuture<'_, Vec<Event>> {
        let events = self.call(move |world| world.log().since(from).cloned().collect());
        async move { events.await.unwrap_or_default() }.boxed()
    }

    fn mark(&mut self) -> BoxFuture<'_, u64> {
        let count = self.call(|world| world.log().count());
        async move { count.await.unwrap_or_default() }.boxed()
    }

    fn delivered(&mut self) -> BoxFuture<'_, u64> {
        let count = self.call(|world| world.stats().delivered);
        async move { count.await.unwrap_or_default() }.boxed()
    }

    fn hash(&mut self) -> BoxFuture<'_, Option<Hash>> {
        let hash = self.call(|world| world.hash());
        async move { hash.await.ok() }.boxed()
    }
}
