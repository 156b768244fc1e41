//! The server: what its connections share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::connection::Connection;
use crate::ws::MESSAGE_LIMIT;
use crate::{Clock, Faults, Observer};

pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Largest WebSocket message, in bytes.
    pub(crate) limit: usize,
    connections: AtomicU64,
    faults: Mutex<Arc<Faults>>,
    stop: watch::Sender<bool>,
}

impl Shared {
    /// What is to go wrong now.
    pub(crate) fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells when the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// The number of a new WebSocket connection, from 1.
    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The server: give it connections, it serves them.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// A server with these sources of time and sinks of news.
    pub fn new(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        Self::with_limit(clock, observer, MESSAGE_LIMIT)
    }

    /// The same with another limit on messages, in bytes; the original's is
    /// 65 536.
    pub fn with_limit(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>, limit: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                observer,
                limit,
                connections: AtomicU64::new(0),
                faults: Mutex::default(),
                stop: watch::Sender::new(false),
            }),
        }
    }

    /// Sets what is to go wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        let place = self.shared.faults.lock();
        *place.unwrap_or_else(PoisonError::into_inner) = Arc::new(faults);
    }

    /// What is to go wrong now.
    pub fn faults(&self) -> Arc<Faults> {
        self.shared.faults()
    }

    /// Ends all connections: WebSockets with code 1001, others without a word.
    pub fn stop(&self) {
        self.shared.stop.send_replace(true);
    }

    /// Serves one connection to its end. Must run inside a tokio runtime; TLS,
    /// if any, is already taken off.
    pub async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Connection::new(stream, Arc::clone(&self.shared))
            .serve()
            .await;
    }
}
