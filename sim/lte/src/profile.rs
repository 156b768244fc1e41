//! Profiles: named sets of numbers, each with its source.

use serde::{Deserialize, Serialize};

use crate::{LinkConfig, ModemConfig, NatConfig, RlfConfig, RrcConfig};

/// A network a device may find itself in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// One sentence for people.
    pub about: String,
    /// The modem's numbers.
    #[serde(default)]
    pub modem: ModemConfig,
    /// The link's numbers.
    #[serde(default)]
    pub link: LinkConfig,
    /// The radio connection's numbers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rrc: RrcConfig,
    /// What an outage does to it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rlf: RlfConfig,
    /// The numbers of the carrier's address translation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nat: NatConfig,
    /// What becomes of the servers' machines.
    #[serde(default, skip_serializing_if = "is_default")]
    pub server: ServerFate,
    /// What else the carrier does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub carrier: Carrier,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What becomes of the servers' machines without a word to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerFate {
    /// They vanish from the network; 0: they do not.
    pub leave_after_ms: u64,
    /// So long; 0: for ever. They come back without a memory.
    pub leave_for_ms: u64,
}

/// The carrier's core network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Carrier {
    /// What its name servers do.
    pub dns: Dns,
    /// How long they take for an answer, in milliseconds.
    pub dns_ms: u64,
    /// The bearer is there, but nothing passes it.
    pub dead_bearer: bool,
}

/// What the carrier's name servers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dns {
    /// They answer.
    #[default]
    Ok,
    /// They never answer.
    Silent,
    /// They answer with an address where nobody is.
    Wrong,
}

/// Why a profile could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Neither a known name nor a file.
    #[error("no LTE profile {name:?}; known are {known}, or give the path of a .toml file", known = builtin_names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A file that could not be read.
    #[error("cannot read LTE profile {path}: {error}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The text is not a profile.
    #[error("LTE profile {name}: {error}")]
    Syntax {
        /// Which profile.
        name: String,
        /// What and where.
        error: toml::de::Error,
    },
    /// A number that makes no sense.
    #[error("LTE profile {name}: {what}")]
    Value {
        /// Which profile.
        name: String,
        /// Which number, and what it may be.
        what: String,
    },
}

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../fixtures/profiles/", $name, ".toml")))),*]
    };
}

const BUILTIN: &[(&str, &str)] = builtin![
    "lab",
    "cat1-good",
    "cat1-cell-edge",
    "no-nitz",
    "no-sim",
    "driving",
    "elevator",
    "basement-flap",
    "mtu-blackhole",
    "nat-240s-silent",
    "nat-rst",
    "dns-blackhole",
    "dead-bearer",
    "cat1-realistic",
    "drx2560",
    "fast-release",
    "handover",
    "sim-pin",
    "sim-hotplug",
    "registration-denied",
    "registration-flaky",
    "ip-lose",
    "roaming",
    "rlf-flymode",
    "half-open-server",
    "psm",
    "edrx",
];

/// Names of the profiles that come with airbench.
pub fn builtin_names() -> Vec<&'static str> {
    BUILTIN.iter().map(|(name, _)| *name).collect()
}

impl Profile {
    /// The profile with this name, or the one in this `.toml` file.
    pub fn load(name: &str) -> Result<Self, ProfileError> {
        if let Some((_, text)) = BUILTIN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        if !name.ends_with(".toml") {
            return Err(ProfileError::Unknown {
                name: name.to_owned(),
            });
        }
        let text = std::fs::read_to_string(name).map_err(|error| ProfileError::Read {
            path: name.to_owned(),
            error,
        })?;
        Self::parse(name, &text)
    }

    /// Reads and checks a profile's text; `name` is for messages, and where
    /// files that it names are looked for.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let mut profile: Self = toml::from_str(text).map_err(|error| ProfileError::Syntax {
            name: name.to_owned(),
            error,
        })?;
        let folder = std::path::Path::new(name).parent();
        let folder = folder.unwrap_or(std::path::Path::new(""));
        let value = |what: String| ProfileError::Value {
            name: name.to_owned(),
            what,
        };
        let link = &mut profile.link;
        for (side, path) in [("up", &mut link.up), ("down", &mut link.down)] {
            path.read_files(folder)
                .and_then(|()| path.check())
                .map_err(|what| value(format!("link.{side}.{what}")))?;
        }
        profile.check().map_err(value)?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), String> {
        self.modem.check().map_err(|what| format!("modem.{what}"))?;
        self.nat.check().map_err(|what| format!("nat.{what}"))?;
        self.rrc.check().map_err(|what| format!("rrc.{what}"))?;
        self.rlf.check().map_err(|what| format!("rlf.{what}"))?;
        if let Some(handover) = &self.link.handover {
            handover
                .check()
                .map_err(|what| format!("link.handover.{what}"))?;
        }
        match &self.link.flapping {
            Some(flapping) => flapping
                .check()
                .map_err(|what| format!("link.flapping.{what}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_profile_reads() {
        for name in builtin_names() {
            Profile::load(name).unwrap();
        }
    }

    /// Numbers without a source are guesses in disguise.
    #[test]
    fn every_number_of_a_builtin_profile_names_its_source() {
        for (name, text) in BUILTIN {
            for line in text.lines().filter(|line| line.contains('=')) {
                let value = line
                    .split_once('=')
                    .map_or("", |(_, value)| value)
                    .trim_start();
                let number = value.starts_with(|c: char| c.is_ascii_digit() || "tf[{-".contains(c));
                assert!(
                    !number || line.contains('#'),
                    "{name}: no source for {line}"
                );
            }
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_place() {
        let error = |text| Profile::parse("x", text).unwrap_err().to_string();
        assert!(error("about = 'x'\n[link.up]\nloss = 2").contains("link.up.loss is 2"));
        assert!(error("about = 'x'\n[link.up]\nlatncy = 2").contains("latncy"));
        assert!(
            Profile::load("mars")
                .unwrap_err()
                .to_string()
                .contains("cat1-good")
        );
    }
}
