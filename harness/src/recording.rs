//! Recordings of runs: writing, and running again to compare.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use airbench_clock::Instant;
use airbench_trace::file::{ReadError, Reader, Writer};
use airbench_trace::{Event, Kind, Retention, Source};
use airbench_world::{Action, Setup, World, WorldError};
use serde::{Deserialize, Serialize};

use crate::field::CaptureHead;

/// The JSON header of a recording: everything a replay needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of airbench that wrote it.
    pub tool: String,
    /// The world's setup, scripts included, of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// Where a capture comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureHead>,
}

/// Why a recording failed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file could not be made or written.
    #[error("cannot write the recording {path}: {error}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file could not be opened.
    #[error("cannot open the recording {path}: {error}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file could not be understood.
    #[error("{path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: ReadError,
    },
    /// It is of another kind.
    #[error("{path} is no recording of a run: {what}")]
    Kind {
        /// Which file.
        path: PathBuf,
        /// What it is, and what to do.
        what: &'static str,
    },
    /// The run itself failed.
    #[error(transparent)]
    World(#[from] WorldError),
}

type Shared = Arc<Mutex<(Option<Writer<BufWriter<File>>>, Option<io::Error>)>>;

/// A recording being written.
pub struct Recorder {
    path: PathBuf,
    shared: Shared,
}

impl Recorder {
    /// Begins a recording of `world` (before its first event). A `live` run may
    /// be interrupted: every event is written at once.
    pub fn start(
        path: &Path,
        setup: &Setup,
        world: &mut World,
        live: bool,
    ) -> Result<Self, RecordingError> {
        let failed = |error| RecordingError::Write {
            path: path.to_owned(),
            error,
        };
        let file = BufWriter::new(File::create(path).map_err(failed)?);
        let header = Header {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            setup: Some(setup.clone()),
            capture: None,
        };
        let writer = Writer::new(file, &header).map_err(failed)?;
        let shared: Shared = Arc::new(Mutex::new((Some(writer), None)));
        let sink = Arc::clone(&shared);
        world.add_sink(move |event| {
            let mut guard = sink.lock().unwrap_or_else(PoisonError::into_inner);
            let (writer, failure) = &mut *guard;
            if let Some(Err(error)) = writer.as_mut().map(|writer| {
                writer.write(event)?;
                if live { writer.flush() } else { Ok(()) }
            }) {
                *failure = Some(error);
                *writer = None;
            }
        });
        Ok(Self {
            path: path.to_owned(),
            shared,
        })
    }

    /// Ends the recording at the world's time.
    pub fn finish(self, world: &World) -> Result<(), RecordingError> {
        let failed = |error| RecordingError::Write {
            path: self.path.clone(),
            error,
        };
        let mut guard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = guard.1.take() {
            return Err(failed(error));
        }
        if let Some(mut writer) = guard.0.take() {
            let end = Event::new(world.now(), Source::World, Kind::State, "end");
            writer.write(&end).map_err(failed)?;
            writer.finish().map_err(failed)?;
        }
        Ok(())
    }
}

/// Where a replay first differs from its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Number of the event, from 1.
    pub number: usize,
    /// What the recording has; `None` if it ended.
    pub recorded: Option<Event>,
    /// What the replay did; `None` if it ended.
    pub replayed: Option<Event>,
    /// The events before, oldest first.
    pub before: Vec<Event>,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replay {
    /// Events compared.
    pub compared: usize,
    /// The first difference, if any.
    pub difference: Option<Difference>,
    /// Virtual time reached.
    pub end: Instant,
    /// Version of airbench that recorded.
    pub tool: String,
}

/// Reads a recording whole.
pub fn read(path: &Path) -> Result<(Header, Vec<Event>), RecordingError> {
    let file = File::open(path).map_err(|error| RecordingError::Open {
        path: path.to_owned(),
        error,
    })?;
    let failed = |error| RecordingError::Read {
        path: path.to_owned(),
        error,
    };
    let (header, mut reader) = Reader::open::<Header>(BufReader::new(file)).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(event) = reader.next_event().map_err(failed)? {
        events.push(event);
    }
    Ok((header, events))
}

/// Two events say the same; of opaque ones the length counts.
fn same(a: &Event, b: &Event) -> bool {
    let head = (a.time, a.source, a.kind, a.len) == (b.time, b.source, b.kind, b.len);
    head && (a.kind.is_opaque() || a.bytes == b.bytes)
}

/// Runs a recording again and compares event by event.
pub fn replay(path: &Path) -> Result<Replay, RecordingError> {
    let (header, mut recorded) = read(path)?;
    let setup = header.setup.as_ref().ok_or(RecordingError::Kind {
        path: path.to_owned(),
        what: "a capture; name the firmware that is to replay it",
    })?;
    let end = match recorded.last() {
        Some(last) if last.source == Source::World && last.bytes == b"end" => {
            let end = last.time;
            recorded.pop();
            end
        }
        Some(last) => last.time,
        None => Instant::ZERO,
    };
    let mut world = World::new(setup, Retention::All);
    for event in recorded.iter().filter(|event| event.kind == Kind::Action) {
        world.run_until(event.time)?;
        if let Ok(action) = serde_json::from_slice::<Action>(&event.bytes) {
            world.act(&action)?;
        }
    }
    // An error the recorded run ended with comes again, and is no difference.
    let outcome = world.run_until(end);
    let replayed: Vec<Event> = world.log().since(0).cloned().collect();
    let difference = first_difference(&recorded, &replayed);
    if difference.is_none() && outcome.is_err() && world.now() < end {
        outcome?;
    }
    Ok(Replay {
        compared: recorded.len(),
        difference,
        end,
        tool: header.tool,
    })
}

/// The first event in which two lists differ.
pub fn first_difference(recorded: &[Event], replayed: &[Event]) -> Option<Difference> {
    let length = recorded.len().max(replayed.len());
    let index = (0..length).find(|index| match (recorded.get(*index), replayed.get(*index)) {
        (Some(a), Some(b)) => !same(a, b),
        _ => true,
    })?;
    Some(Difference {
        number: index + 1,
        recorded: recorded.get(index).cloned(),
        replayed: replayed.get(index).cloned(),
        before: recorded[index.saturating_sub(5).min(recorded.len())..index.min(recorded.len())]
            .to_vec(),
    })
}
