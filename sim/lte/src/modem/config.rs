//! The modem's numbers, and those of its cell.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The modem's numbers. Times run from power-on or from the step named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModemConfig {
    /// A SIM is in the slot.
    pub sim: bool,
    /// Power-on to the SIM's answer (or to noticing that there is none).
    pub sim_ready_ms: u64,
    /// SIM ready to an active data context.
    pub attach_ms: u64,
    /// The attach takes up to this much longer, at random.
    pub attach_jitter_ms: u64,
    /// The network sends its time.
    pub nitz: bool,
    /// Active context to the time message.
    pub nitz_ms: u64,
    /// Active context to `IP_READY`.
    pub ip_ready_ms: u64,
    /// The address the device gets.
    pub address: Ipv4Addr,
    /// The carrier's name servers.
    pub dns: Vec<Ipv4Addr>,
    /// The SIM wants this PIN; empty: none.
    #[serde(skip_serializing_if = "is_default")]
    pub pin: String,
    /// Wrong PINs the SIM still takes.
    #[serde(skip_serializing_if = "is_three")]
    pub pin_tries: u32,
    /// A SIM put in is noticed at once; the EC618 looks at a reset, after flight
    /// mode and when `mobile.setAuto` has it look.
    #[serde(skip_serializing_if = "is_default")]
    pub hotplug: bool,
    /// The network refuses the device with this cause (3GPP TS 24.301, 9.9.3.9);
    /// 0: it does not.
    #[serde(skip_serializing_if = "is_default")]
    pub reject_cause: u8,
    /// How often it refuses before it accepts; 0: for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub reject_times: u32,
    /// `mobile.status()` of a registered device; 0: 1, the home network.
    #[serde(skip_serializing_if = "is_default")]
    pub status: i32,
    /// Active context to its loss; 0: it is not lost by itself.
    #[serde(skip_serializing_if = "is_default")]
    pub lose_after_ms: u64,
    /// A loss to the next attach; 0: only flight mode or a reset brings it back.
    #[serde(skip_serializing_if = "is_default")]
    pub recover_ms: u64,
    /// How long the device searches when there is a cell again after it had none, in
    /// milliseconds; 0 finds it at once. The first search is part of `attach_ms`. No
    /// source gives a number: it depends on the bands that are searched.
    pub search_ms: u64,
    /// The serving cell.
    #[serde(skip_serializing_if = "is_default")]
    pub cell: Cell,
}

/// PINs a SIM takes before it wants its PUK.
pub(super) const PIN_TRIES: u32 = 3;

fn is_three(tries: &u32) -> bool {
    *tries == PIN_TRIES
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What the device measures of its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cell {
    /// Reference signal received power, dBm.
    pub rsrp: i32,
    /// Reference signal received quality, dB.
    pub rsrq: i32,
    /// Signal to noise, dB.
    pub snr: i32,
    /// 10 log10 of the resource blocks that RSSI is measured over, dB.
    pub blocks_db: i32,
    /// E-UTRAN cell identity.
    pub eci: i32,
    /// Tracking area code.
    pub tac: i32,
}

impl Default for Cell {
    /// Good reception in a test network's cell of 40 blocks.
    fn default() -> Self {
        Self {
            rsrp: -90,
            rsrq: -9,
            snr: 17,
            blocks_db: 16,
            eci: 0x0123_4501,
            tac: 0x1234,
        }
    }
}

impl Cell {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        for (key, value, least, most) in [
            ("rsrp", self.rsrp, -200, 0),
            ("rsrq", self.rsrq, -50, 20),
            ("snr", self.snr, -50, 50),
            ("blocks_db", self.blocks_db, 0, 30),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!(
                    "{key} is {value}, it must lie in {least} to {most}"
                ));
            }
        }
        Ok(())
    }

    /// Received signal strength, dBm (3GPP TS 36.214: RSRQ = N RSRP / RSSI).
    pub fn rssi(&self) -> i32 {
        self.rsrp - self.rsrq + self.blocks_db
    }

    /// Signal quality of `AT+CSQ`, 0 to 31.
    pub fn csq(&self) -> i32 {
        match self.rssi() {
            ..=-113 => 0,
            -52.. => 31,
            rssi => (rssi + 113) >> 1,
        }
    }
}

impl Default for ModemConfig {
    /// The suggested defaults of the time-line in `docs/firmware-facts.md`.
    fn default() -> Self {
        Self {
            sim: true,
            sim_ready_ms: 1200,
            attach_ms: 1300,
            attach_jitter_ms: 0,
            nitz: true,
            nitz_ms: 60,
            ip_ready_ms: 3,
            address: Ipv4Addr::new(10, 64, 12, 34),
            dns: vec![Ipv4Addr::new(10, 0, 0, 53), Ipv4Addr::new(10, 0, 1, 53)],
            pin: String::new(),
            pin_tries: PIN_TRIES,
            hotplug: false,
            reject_cause: 0,
            reject_times: 0,
            status: 0,
            lose_after_ms: 0,
            recover_ms: 0,
            search_ms: 0,
            cell: Cell::default(),
        }
    }
}
