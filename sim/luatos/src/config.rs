//! Settings of a device, and what the closed parts of the firmware leave open.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::devices::Device;
use crate::libs::wlan::AccessPoint;
use crate::luadb::LuadbError;
use crate::net::Secrets;

/// Who the device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// 15 digits.
    pub imei: String,
    /// 15 digits, read from the SIM.
    pub imsi: String,
    /// 20 digits, read from the SIM.
    pub iccid: String,
    /// `mcu.unique_id()`, ten bytes.
    pub unique_id: [u8; 10],
}

impl Default for Identity {
    /// Numbers no network gives out (test TAC 00, PLMN 001-01).
    fn default() -> Self {
        Self {
            imei: "864317000000001".into(),
            imsi: "001010123456789".into(),
            iccid: "89860000000000000001".into(),
            unique_id: *b"AIRBENCH01",
        }
    }
}

/// Numbers nobody outside the vendor knows, with what speaks for the defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tunables {
    /// CPU time of one VM instruction. A Cortex-M3 at 204 MHz running Lua from
    /// flash executes on the order of a million VM instructions per second.
    pub instruction_ns: u64,
    /// CPU time of one API call, besides its own waiting.
    pub call_ns: u64,
    /// Time a byte of a script's log record takes: DBG_UART's 6 Mbit/s, ten
    /// bits a byte. Whether the driver waits or drops beyond its buffer is
    /// unknown; waiting loses nothing.
    pub log_byte_ns: u64,
    /// UART driver.
    pub uart: airbench_uart::Tunables,
    /// TCP.
    pub tcp: airbench_net::LwipConfig,
    /// Time of the TLS computations on the device per handshake: the sheet's
    /// 0.6 to 1.5 s includes the network's share.
    pub tls_compute: Duration,
    /// Formatting the key-value store's area: about what the real logs show
    /// between the two lines of the first `fskv.init()`.
    pub fskv_format: Duration,
    /// Power-on to the start of `main.lua`.
    pub script_start: Duration,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            instruction_ns: 1_000,
            call_ns: 5_000,
            log_byte_ns: 1_667,
            uart: airbench_uart::Tunables::default(),
            tcp: airbench_net::LwipConfig::default(),
            tls_compute: Duration::from_millis(600),
            fskv_format: Duration::from_millis(150),
            script_start: Duration::from_millis(250),
        }
    }
}

/// Which generation of the firmware is emulated (facts 0.1 lists what scripts
/// can see of the difference).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Core {
    /// LuatOS-SoC_V1112_EC618_FULL, September 2024.
    #[default]
    V1112,
    /// The core as of August 2026.
    New,
}

impl Core {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::V1112, Self::New];

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1112 => "v1112",
            Self::New => "new",
        }
    }

    pub(crate) fn is_new(self) -> bool {
        self == Self::New
    }
}

impl std::str::FromStr for Core {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|core| core.name() == text)
            .ok_or_else(|| format!("{text:?} is no firmware profile; there are v1112 and new"))
    }
}

/// Everything a boot needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The firmware's generation.
    pub core: Core,
    /// The world's seed.
    pub seed: u64,
    /// Who the device is.
    pub identity: Identity,
    /// UTC seconds at the world's beginning, as the network tells it.
    pub epoch: i64,
    /// Unknowns.
    pub tunables: Tunables,
    /// The script partition.
    pub scripts: Scripts,
    /// What is on the I2C and SPI buses.
    pub devices: Vec<Device>,
    /// WLANs in reach.
    pub access_points: Vec<AccessPoint>,
    /// Keys of its TLS connections, for captures.
    pub secrets: Arc<Secrets>,
}

/// The flashed files by name, in the order they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scripts {
    files: Vec<(String, Vec<u8>)>,
    /// What the firmware says of an image it cannot mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

impl Scripts {
    /// A script partition whose image the firmware cannot mount.
    pub fn damaged(error: &LuadbError) -> Self {
        Self {
            damage: Some(error.to_string()),
            ..Self::default()
        }
    }

    /// Why the image cannot be mounted, if it cannot.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Adds a file; the first of a name wins.
    pub fn add(&mut self, name: &str, content: Vec<u8>) {
        if self.get(name).is_none() {
            self.files.push((name.to_owned(), content));
        }
    }

    /// The content of a file.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, content)| content.as_slice())
    }

    /// Names and contents.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()))
    }
}

/// Why a boot happened: the third value of `pm.lastReson()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerOnReason {
    /// Power or the power key.
    Power = 0,
    /// An update was installed.
    Update = 1,
    /// `rtos.reboot`, or the end of the VM.
    Software = 3,
    /// The reset key.
    ResetKey = 5,
    /// A failed assertion.
    Exception = 6,
    /// The watchdog.
    Watchdog = 8,
}

impl PowerOnReason {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Power => "power-on",
            Self::Update => "update",
            Self::Software => "software",
            Self::ResetKey => "reset-key",
            Self::Exception => "exception",
            Self::Watchdog => "watchdog",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_of_a_name_wins() {
        let mut scripts = Scripts::default();
        scripts.add("main.lua", b"one".to_vec());
        scripts.add("main.lua", b"two".to_vec());
        assert_eq!(scripts.get("main.lua"), Some(&b"one"[..]));
        assert_eq!(scripts.iter().count(), 1);
    }
}
