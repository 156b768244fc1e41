//! `--pcap FILE`: what passes the device's radio interface, as pcapng, modem, board
//! and link events being comments of the next packet; or what passes at the servers.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::Direction;
use airbench_trace::pcapng::Pcapng;
use airbench_world::{Capture, TapAt, World};

/// Why a capture failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the capture {path}: {error}")]
pub struct CaptureError {
    /// Which file.
    path: PathBuf,
    /// Why.
    error: io::Error,
}

type Shared = Arc<Mutex<Pcapng<BufWriter<File>>>>;

/// A capture being written.
pub struct PcapFile {
    path: PathBuf,
    shared: Shared,
}

/// The world's end of it.
struct Tap {
    file: Shared,
    /// Unix time of the world's beginning.
    epoch: Duration,
    place: TapAt,
}

impl Tap {
    fn file(&self) -> MutexGuard<'_, Pcapng<BufWriter<File>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capture for Tap {
    fn packet(&mut self, at: Instant, direction: Direction, bytes: &[u8]) {
        let time = self.epoch + Duration::from_nanos(at.nanos());
        let inbound = match self.place {
            TapAt::Radio => Direction::Down,
            TapAt::Server => Direction::Up,
        };
        self.file().packet(time, direction == inbound, bytes);
    }

    fn secret(&mut self, line: &str) {
        self.file().secret(line);
    }

    fn note(&mut self, at: Instant, text: &str) {
        self.file().note(format!("{at}: {text}"));
    }
}

impl PcapFile {
    /// Begins a capture of `world`, which begins at `epoch` in Unix time.
    pub fn start(
        path: &Path,
        place: TapAt,
        epoch: i64,
        world: &mut World,
    ) -> Result<Self, CaptureError> {
        let failed = |error| CaptureError {
            path: path.to_owned(),
            error,
        };
        let file = File::create(path).map_err(failed)?;
        let (name, what) = match place {
            TapAt::Radio => ("lte0", "radio interface of the simulated Air780E"),
            TapAt::Server => ("eth0", "servers of the simulated internet"),
        };
        let pcapng = Pcapng::new(BufWriter::new(file), name, what).map_err(failed)?;
        let shared = Arc::new(Mutex::new(pcapng));
        let tap = Tap {
            file: Arc::clone(&shared),
            epoch: Duration::from_secs(u64::try_from(epoch).unwrap_or(0)),
            place,
        };
        world.capture(place, tap);
        Ok(Self {
            path: path.to_owned(),
            shared,
        })
    }

    /// Ends the capture.
    pub fn finish(self) -> Result<(), CaptureError> {
        let mut file = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        file.finish().map_err(|error| CaptureError {
            path: self.path.clone(),
            error,
        })
    }
}
