//! `airbench.toml`: what a user's project is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use airbench_luatos::Core;
use serde::Deserialize;

/// Name of the project file.
pub const FILE: &str = "airbench.toml";

/// A project file, paths resolved against its folder.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Project {
    /// The firmware to run.
    pub firmware: Firmware,
    /// The network it finds.
    pub network: Network,
    /// Host names and the service each leads to.
    pub hosts: BTreeMap<String, String>,
    /// Pages of the HTTP origin: `[[route]]`.
    #[serde(rename = "route")]
    pub routes: Vec<airbench_world::Route>,
    /// What is on the I2C and SPI buses: `[[device]]`.
    #[serde(rename = "device")]
    pub devices: Vec<airbench_luatos::Device>,
    /// WLANs in reach of a scan: `[[access_point]]`.
    #[serde(rename = "access_point")]
    pub access_points: Vec<airbench_luatos::AccessPoint>,
    /// The scenarios.
    pub features: Features,
    /// Defaults of a run.
    pub run: Run,
    /// The folder the file lies in.
    #[serde(skip)]
    pub root: PathBuf,
    /// The file itself, if there is one.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// `[firmware]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Firmware {
    /// Folder with `main.lua`, a Lua file, or a document.
    pub path: Option<PathBuf>,
    /// Which program of a document.
    pub block: Option<usize>,
    /// Generation of the firmware.
    pub profile: Option<Core>,
    /// Folders with further libraries.
    pub libs: Vec<PathBuf>,
}

/// `[network]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Name or file of the LTE profile.
    pub profile: Option<String>,
}

/// `[features]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Features {
    /// Folder of the `.feature` files.
    pub path: Option<PathBuf>,
}

/// `[run]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Seed of the random streams.
    pub seed: Option<u64>,
    /// Date and time at the world's beginning, UTC.
    pub start_time: Option<String>,
    /// File that keeps the board's flash from run to run.
    pub flash: Option<PathBuf>,
}

/// Why a project file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It could not be read.
    #[error("cannot read {path}: {error}; `airbench init` writes a new one")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A route's file could not be read.
    #[error("route {route}: cannot read {path}: {error}")]
    Route {
        /// The route.
        route: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It could not be understood.
    #[error("{path}: {error}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What and where.
        error: toml::de::Error,
    },
}

impl Project {
    /// Reads a project file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        let mut project: Self = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            error,
        })?;
        project.file = Some(path.to_owned());
        let parent = path.parent().unwrap_or(Path::new(""));
        project.root = if parent.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            parent.to_owned()
        };
        Ok(project)
    }

    /// The project file asked for, else the one in this folder, else none.
    pub fn find(asked: Option<&Path>) -> Result<Option<Self>, ConfigError> {
        match asked {
            Some(path) => Self::read(path).map(Some),
            None if Path::new(FILE).exists() => Self::read(Path::new(FILE)).map(Some),
            None => Ok(None),
        }
    }

    /// The pages of the HTTP origin, files read in.
    pub fn routes(&self) -> Result<Vec<airbench_world::Route>, ConfigError> {
        let mut routes = self.routes.clone();
        for route in &mut routes {
            if let Some(file) = route.file.take() {
                let path = self.resolve(&file);
                let content = std::fs::read(&path);
                route.content = Some(content.map_err(|error| ConfigError::Route {
                    route: route.path.clone(),
                    path,
                    error,
                })?);
            }
        }
        Ok(routes)
    }

    /// The folder that paths are seen from.
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// A path of the file, seen from where the program runs.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }
}

/// What `airbench init` writes.
pub const TEMPLATE: &str = r#"# airbench project
[firmware]
path = "."              # folder with your main.lua, a .lua file, or a document
# profile = "v1112"     # generation of the firmware: v1112 or new
# block = 1             # which ``` block of a document
# libs = ["lib"]        # folders with libraries Luatools would add (libnet ...)

[network]
profile = "cat1-good"   # or lab, cat1-cell-edge, no-nitz, no-sim, or a .toml file

[hosts]                 # names your firmware connects to, and who answers there
# "ws.example.com" = "airtun"             # airtun, mqtt, http, ftp, ntp, echo, errdump
# "iot.example.com" = "tcp:127.0.0.1:1883" # a real server; the run keeps pace with the wall

# [[route]]             # a page of the simulated HTTP server
# path = "/version"
# body = "1.0.1"       # or file = "update.bin"

# [[device]]            # a chip on a bus, as a register map
# bus = "i2c"
# id = 0
# address = 0x44
# registers = { "0x00" = "12 34" }

[features]
path = "features"       # Gherkin scenarios: run them with `cucumber`

[run]
seed = 1
# start_time = "2024-09-03T12:12:00"
# flash = "flash.json"  # keep the board's files from run to run
"#;

/// A first scenario, for `airbench init`.
pub const FEATURE: &str = r#"Feature: My firmware

  Scenario: It boots and gets on-line
    Given the firmware of the project
    When the board is powered on
    Then the log shows "IP_READY" within 10 s
    And the script has not failed
"#;

/// Reads `2024-09-03T12:12:00` (a `Z` and fractions are allowed) as UTC seconds.
pub fn parse_start_time(text: &str) -> Result<i64, String> {
    let complaint = || {
        format!(
            "{text:?} is no date and time from 1970 to 2037; write for example 2024-09-03T12:12:00 (UTC)"
        )
    };
    let plain = text.trim().trim_end_matches('Z');
    let (date, time) = plain.split_once(['T', ' ']).ok_or_else(complaint)?;
    let numbers = |part: &str, separator: char| -> Option<Vec<i64>> {
        part.split('.')
            .next()?
            .split(separator)
            .map(|n| n.parse().ok())
            .collect()
    };
    match (numbers(date, '-').as_deref(), numbers(time, ':').as_deref()) {
        (Some(&[year, month, day]), Some(&[hour, minute, second]))
            if (1970..2038).contains(&year)
                && (1..=12).contains(&month)
                && (1..=31).contains(&day)
                && (0..24).contains(&hour)
                && (0..60).contains(&minute)
                && (0..60).contains(&second) =>
        {
            Ok(airbench_luatos::unix_time(
                year, month, day, hour, minute, second,
            ))
        }
        _ => Err(complaint()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_valid_project() {
        let project: Project = toml::from_str(TEMPLATE).unwrap();
        assert_eq!(project.run.seed, Some(1));
        // What it shows as comments is valid too.
        let uncommented: Vec<&str> = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line))
            .filter(|line| *line != "airbench project")
            .collect();
        let project: Project = toml::from_str(&uncommented.join("\n")).unwrap();
        assert_eq!(project.routes[0].body, "1.0.1");
        assert!(project.devices[0].check().is_ok());
    }

    #[test]
    fn start_times_are_checked() {
        assert_eq!(
            parse_start_time("2024-09-03T12:12:00Z"),
            Ok(airbench_world::DEFAULT_EPOCH)
        );
        assert!(parse_start_time("2024-13-03T12:12:00").is_err());
        assert!(parse_start_time("yesterday").is_err());
    }
}
