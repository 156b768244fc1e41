//! What a modem's numbers may be.

use std::net::Ipv4Addr;

use super::config::ModemConfig;
use crate::link::check::{excludes, needs};

/// Longest time that a number may name: 31 days in milliseconds.
pub(crate) const MONTH: u64 = 31 * 24 * 3_600_000;

/// A time must be one that a run may see.
pub(crate) fn times(list: &[(&str, u64)]) -> Result<(), String> {
    let long = list.iter().find(|(_, ms)| *ms > MONTH);
    long.map_or(Ok(()), |(key, ms)| {
        Err(format!("{key} is {ms}, it must lie in 0 to {MONTH}"))
    })
}

/// An address that one machine can have.
fn unicast(key: &str, address: Ipv4Addr) -> Result<(), String> {
    let none = address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_loopback();
    if none {
        return Err(format!("{key} is {address}, which no machine can have"));
    }
    Ok(())
}

impl ModemConfig {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        if self.dns.is_empty() {
            return Err("dns is empty, the carrier has at least one name server".into());
        }
        unicast("address", self.address)?;
        for server in &self.dns {
            unicast("dns", *server)?;
        }
        times(&[
            ("sim_ready_ms", self.sim_ready_ms),
            ("attach_ms", self.attach_ms),
            ("attach_jitter_ms", self.attach_jitter_ms),
            ("nitz_ms", self.nitz_ms),
            ("ip_ready_ms", self.ip_ready_ms),
            ("lose_after_ms", self.lose_after_ms),
            ("recover_ms", self.recover_ms),
            ("search_ms", self.search_ms),
        ])?;
        self.check_sim()?;
        // 1 at home, 5 roaming: what a registered device can be (27.007, +CEREG).
        if ![0, 1, 5].contains(&self.status) {
            let status = self.status;
            return Err(format!(
                "status is {status}, a registered device has 1 (at home) or 5 (roaming)"
            ));
        }
        needs(
            ("reject_times", self.reject_times > 0),
            ("reject_cause", self.reject_cause > 0),
        )?;
        needs(
            ("recover_ms", self.recover_ms > 0),
            ("lose_after_ms", self.lose_after_ms > 0),
        )?;
        self.cell.check().map_err(|what| format!("cell.{what}"))
    }

    fn check_sim(&self) -> Result<(), String> {
        let digits = self.pin.bytes().all(|byte| byte.is_ascii_digit());
        let usual = digits && (4..=8).contains(&self.pin.len());
        if !(self.pin.is_empty() || usual) {
            let pin = &self.pin;
            return Err(format!("pin is {pin:?}, a PIN has 4 to 8 digits"));
        }
        if self.pin_tries == 0 {
            return Err("pin_tries is 0, a SIM that can be unlocked has a try left".into());
        }
        excludes(("sim = false", !self.sim), ("pin", !self.pin.is_empty()))
    }
}
