//! Where the server's time comes from.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// A future that is ready when a span has passed.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time for the server: wall time in the binary, virtual time in a simulation.
pub trait Clock: Send + Sync + 'static {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
    /// Date and time, for the `Date` header.
    fn date(&self) -> SystemTime;
    /// Ready when `span` has passed.
    fn sleep(&self, span: Duration) -> Sleep;
}

/// tokio's clock and the system's date.
#[derive(Debug)]
pub struct TokioClock(tokio::time::Instant);

impl Default for TokioClock {
    fn default() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn date(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(span))
    }
}
