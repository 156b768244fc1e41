//! `wlan`: the EC618 can only look for access points.

use std::time::Duration;

use airbench_clock::Instant;
use serde::{Deserialize, Serialize};

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::message::Message;
use crate::runtime::Runtime;

pub(crate) const LIBRARY: Library = Library {
    name: "wlan",
    functions: &[("init", init), ("scan", scan), ("scanResult", scan_result)],
    constants: &[],
};

/// A round over all channels, within the ten seconds the modem allows.
const ROUND: Duration = Duration::from_secs(4);

/// An access point in reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessPoint {
    /// Name.
    pub ssid: String,
    /// Address.
    pub bssid: [u8; 6],
    /// Strength in dBm.
    pub rssi: i32,
}

/// Scanning.
#[derive(Debug, Default)]
pub(crate) struct Wlan {
    done_at: Option<Instant>,
    found: Vec<AccessPoint>,
}

impl Wlan {
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.done_at
    }
}

impl Runtime {
    /// A scan that is over by `now`.
    pub(crate) fn drive_wlan(&mut self, now: Instant) {
        if self.wlan.done_at.is_some_and(|at| at <= now) {
            self.wlan.done_at = None;
            self.wlan.found.clone_from(&self.config.access_points);
            self.line("l_wlan_handler 31:wifi scan done");
            self.bus
                .push_back(Message::Publish("WLAN_SCAN_DONE", Vec::new()));
        }
    }
}

fn init(cx: &mut Call<'_>) -> Results {
    cx.host().line("luat_wlan_init 44:only wifi-scan supported");
    cx.push_boolean(true);
    Ok(1)
}

fn scan(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    let at = rt.now() + ROUND;
    rt.wlan.done_at = Some(at);
    rt.limit_horizon(at);
    Ok(0)
}

/// `wlan.scanResult(n)`: an array of what was found.
fn scan_result(cx: &mut Call<'_>) -> Results {
    let most = cx.opt_integer(1, 20)?.clamp(8, 32) as usize;
    let found = cx.host().wlan.found.clone();
    cx.push_table(0, 0);
    for (point, index) in found.iter().take(most).zip(1..) {
        cx.push_table(0, 4);
        cx.push_bytes(point.ssid.as_bytes());
        cx.set_field(-2, "ssid");
        cx.push_bytes(&point.bssid);
        cx.set_field(-2, "bssid");
        cx.push_integer(0);
        cx.set_field(-2, "channel");
        cx.push_integer(point.rssi);
        cx.set_field(-2, "rssi");
        cx.set_item(-2, index);
    }
    Ok(1)
}
