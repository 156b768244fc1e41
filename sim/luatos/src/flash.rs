//! What survives a reset.

use serde::{Deserialize, Serialize};

use crate::fs::{FSKV_BLOCKS, ROOT_BLOCKS, Volume};

/// The security registers of the flash chip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Otp {
    /// Three zones of 256 bytes.
    pub zones: [Vec<u8>; 3],
    /// Zones that can be changed no more.
    pub locked: [bool; 3],
}

impl Default for Otp {
    fn default() -> Self {
        Self {
            zones: [(); 3].map(|()| vec![0xFF; 256]),
            locked: [false; 3],
        }
    }
}

/// Persistent state of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// Power-key debounce (`pm.PWK_MODE`). The works' AT firmware has it on; the
    /// boards of the public logs had it off, as after any of openLuat's demos.
    pub power_key_debounce: bool,
    /// errDump's stored system errors.
    pub system_errors: Vec<u8>,
    /// errDump's stored user records.
    pub user_errors: Vec<u8>,
    /// Seconds the RTC is off the world's clock; `None`: never set, so it runs
    /// from its factory date.
    pub rtc_offset: Option<i64>,
    /// One-time memory.
    pub otp: Otp,
    /// The root file system.
    pub root: Volume,
    /// Assertions of littlefs' port that have failed: every tenth formats the
    /// root.
    pub fs_asserts: u32,
    /// The key-value store's area has been formatted; a new board's has not.
    pub fskv_formatted: bool,
    /// The key-value store.
    pub fskv: Volume,
    /// A verified FOTA package's common data, to be installed at the next reset.
    #[serde(default)]
    pub update: Option<Vec<u8>>,
    /// The LuaDB image that an update put into the script partition.
    #[serde(default)]
    pub scripts: Option<Vec<u8>>,
    /// `mobile.setBand`: the bands the modem searches; `None`: all it has.
    #[serde(default)]
    pub bands: Option<Vec<u8>>,
}

impl Default for Flash {
    fn default() -> Self {
        Self {
            power_key_debounce: false,
            system_errors: Vec::new(),
            user_errors: Vec::new(),
            rtc_offset: None,
            otp: Otp::default(),
            root: Volume::new(ROOT_BLOCKS),
            fs_asserts: 0,
            fskv_formatted: false,
            fskv: Volume::new(FSKV_BLOCKS),
            update: None,
            scripts: None,
            bands: None,
        }
    }
}
