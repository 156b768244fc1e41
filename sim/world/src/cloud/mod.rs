//! The services of the simulated internet besides airtun: an MQTT broker, an
//! HTTP origin and an FTP server, as guest programs.

pub(crate) mod broker;
pub(crate) mod ftp;
mod mqtt_websocket;
pub(crate) mod origin;

use std::sync::{Arc, Mutex, PoisonError};

use airbench_trace::Kind;

/// What a guest program saw, ready for the log.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

/// What happened and its bytes.
type Note = (Kind, Vec<u8>);

impl Notes {
    /// Adds one.
    pub(crate) fn add(&self, kind: Kind, text: impl Into<Vec<u8>>) {
        self.lock().push((kind, text.into()));
    }

    /// Takes all since the last call.
    pub(crate) fn take(&self) -> Vec<(Kind, Vec<u8>)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Kind, Vec<u8>)>> {
        // A list of finished entries is consistent whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
