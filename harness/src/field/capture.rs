//! Captures on disk: a trace whose header says where each part came from.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use airbench_import::link::LinkView;
use airbench_import::merge::{Fit, Merged};
use airbench_import::{Part, Vantage};
use airbench_trace::Event;
use airbench_trace::file::Writer;
use serde::{Deserialize, Serialize};

use crate::recording::{Header, RecordingError};

/// One part of a capture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The file.
    pub name: String,
    /// Its format.
    pub format: String,
    /// Where it was made.
    pub vantage: Vantage,
    /// Its events.
    pub events: usize,
    /// What was wrong with it.
    pub remarks: Vec<String>,
}

/// What a capture says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptureHead {
    /// Nanoseconds from 1970 to time 0.
    pub began: u64,
    /// Its parts.
    pub parts: Vec<Seen>,
    /// How their clocks were put together.
    pub clocks: Vec<Fit>,
    /// What the server's packets tell about the link.
    pub link: Option<LinkView>,
}

/// A capture with its events.
#[derive(Debug, Clone)]
pub struct Capture {
    /// What it says of itself.
    pub head: CaptureHead,
    /// All parts' events in order.
    pub events: Vec<Event>,
}

impl Capture {
    /// Puts parts together.
    pub fn of(parts: Vec<Part>) -> Self {
        let seen = |part: &Part| Seen {
            name: part.name.clone(),
            format: part.format.name().to_owned(),
            vantage: part.vantage,
            events: part.events.len(),
            remarks: part.remarks.clone(),
        };
        let list = parts.iter().map(seen).collect();
        let link = parts.iter().find_map(|part| part.link.clone());
        let Merged {
            began,
            events,
            fits,
        } = airbench_import::merge::merge(parts);
        let shift = |at: u64| at.saturating_sub(began);
        let link = link.map(|mut link| {
            for silence in &mut link.silences {
                silence.heard = shift(silence.heard);
                silence.from = shift(silence.from);
                silence.until = silence.until.map(shift);
            }
            link
        });
        Self {
            head: CaptureHead {
                began,
                parts: list,
                clocks: fits,
                link,
            },
            events,
        }
    }

    /// Writes it as a trace.
    pub fn write(&self, path: &Path) -> Result<(), RecordingError> {
        let failed = |error| RecordingError::Write {
            path: path.to_owned(),
            error,
        };
        let file = BufWriter::new(File::create(path).map_err(failed)?);
        let header = Header {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            setup: None,
            capture: Some(self.head.clone()),
        };
        let mut writer = Writer::new(file, &header).map_err(failed)?;
        for event in &self.events {
            writer.write(event).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        Ok(())
    }
}
