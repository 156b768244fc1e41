//! What decides a run.

use airbench_lte::Profile;
use airbench_luatos::{Core, Identity, Scripts};
use serde::{Deserialize, Serialize};

/// The world's beginning unless a start time is given: 2024-09-03 12:12:00 UTC,
/// the day the V1112 image was built.
pub const DEFAULT_EPOCH: i64 = 1_725_365_520;

/// Names the simulated internet knows: the services of the tutorials.
const NAMES: &[(&str, &str)] = &[
    ("echo.airtun.air32.cn", "airtun"),
    ("wstest.luatos.com", "airtun"),
    ("airtest.openluat.com", "airtun"),
    ("dev_msg1.openluat.com", "errdump"),
];

/// Everything that decides a run. It is the header of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The firmware's generation.
    #[serde(default)]
    pub core: Core,
    /// Seed of every random stream.
    pub seed: u64,
    /// UTC seconds at the beginning.
    pub epoch: i64,
    /// The flashed scripts.
    pub scripts: Scripts,
    /// Modem and link.
    pub profile: Profile,
    /// Who the device is.
    pub identity: Identity,
    /// Host names and the service each leads to (`airtun` or `errdump`).
    pub names: Vec<(String, String)>,
}

/// A setup that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A name is mapped to an unknown service.
    #[error("host {name:?} is mapped to {service:?}; known services are airtun and errdump")]
    Service {
        /// The host name.
        name: String,
        /// What it was mapped to.
        service: String,
    },
}

impl Setup {
    /// A setup for these scripts with everything else at its default.
    pub fn new(scripts: Scripts, profile: Profile) -> Self {
        Self {
            core: Core::default(),
            seed: 1,
            epoch: DEFAULT_EPOCH,
            scripts,
            profile,
            identity: Identity::default(),
            names: NAMES
                .iter()
                .map(|(name, service)| ((*name).into(), (*service).into()))
                .collect(),
        }
    }

    /// Maps a host name to a service.
    pub fn map_name(&mut self, name: &str, service: &str) -> Result<(), SetupError> {
        if !matches!(service, "airtun" | "errdump") {
            return Err(SetupError::Service {
                name: name.to_owned(),
                service: service.to_owned(),
            });
        }
        self.names.retain(|(known, _)| known != name);
        self.names.push((name.to_owned(), service.to_owned()));
        Ok(())
    }
}
