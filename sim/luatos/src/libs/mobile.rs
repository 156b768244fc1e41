//! `mobile`: what the modem reports, first cut.

use airbench_clock::Instant;
use airbench_lte::ModemEvent;

use crate::args::{Args, Call, Results};
use crate::libs::Library;
use crate::message::Arg;
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "mobile",
    functions: &[
        ("status", status),
        ("imei", |cx| {
            let imei = cx.host().config.identity.imei.clone();
            text(cx, &imei)
        }),
        ("imsi", |cx| {
            of_sim(cx, |rt| rt.config.identity.imsi.clone())
        }),
        ("iccid", |cx| {
            of_sim(cx, |rt| rt.config.identity.iccid.clone())
        }),
        ("number", |cx| {
            cx.push_nil();
            Ok(1)
        }),
        ("csq", |cx| measured(cx, 24)),
        ("rssi", |cx| measured(cx, -65)),
        ("rsrp", |cx| measured(cx, -90)),
        ("rsrq", |cx| measured(cx, -9)),
        ("snr", |cx| measured(cx, 17)),
        ("simid", |cx| {
            cx.push_integer(0);
            Ok(1)
        }),
        ("flymode", flymode),
    ],
    constants: &[],
};

/// The adapter number of the LTE modem (`socket.LWIP_GP`).
const LWIP_GP: i32 = 1;

/// What the script can know of the modem.
#[derive(Debug, Default)]
pub struct Mobile {
    sim: bool,
    registered: bool,
    /// The address, while there is one.
    pub(crate) address: Option<std::net::Ipv4Addr>,
    flight_mode: bool,
    /// The script wants flight mode on or off; the board tells the modem.
    pub flight_request: Option<bool>,
}

impl Runtime {
    /// The modem reports something: log lines and messages follow. `address`
    /// and `dns` are the network's, for [`ModemEvent::LinkUp`].
    pub fn modem_event(
        &mut self,
        now: Instant,
        event: ModemEvent,
        address: std::net::Ipv4Addr,
        dns: &[std::net::Ipv4Addr],
    ) {
        self.at(now);
        let sim = |state: &str| vec![Arg::Text(state.to_owned())];
        match event {
            ModemEvent::SimReady => {
                self.mobile.sim = true;
                self.publish("SIM_IND", sim("RDY"));
            }
            ModemEvent::SimMissing => {
                self.mobile.sim = false;
                self.mobile.registered = false;
                self.publish("SIM_IND", sim("NORDY"));
            }
            ModemEvent::NumberRead => self.publish("SIM_IND", sim("GET_NUMBER")),
            ModemEvent::PdpActive => {
                self.mobile.registered = true;
                self.lib_line(Level::Debug, "mobile cid1, state0");
            }
            ModemEvent::BearerActive => {
                self.lib_line(Level::Debug, "mobile bearer act 0, result 0")
            }
            ModemEvent::TimeSync => {
                self.lib_line(Level::Debug, "mobile TIME_SYNC 0");
                self.rtc.offset = 0;
                self.flash.rtc_offset = Some(0);
                self.publish("NTP_UPDATE", Vec::new());
            }
            ModemEvent::LinkUp => {
                self.lib_line(Level::Debug, "mobile NETIF_LINK_ON -> IP_READY");
                self.mobile.address = Some(address);
                self.network.link_up(address, dns);
                self.ctrls_link(true);
                let args = vec![Arg::Text(address.to_string()), Arg::Integer(LWIP_GP)];
                self.publish("IP_READY", args);
                self.drive_network(now);
            }
            ModemEvent::LinkDown => {
                self.lib_line(Level::Debug, "mobile NETIF_LINK_OFF -> IP_LOSE");
                self.mobile.address = None;
                self.network.link_down();
                self.ctrls_link(false);
                self.publish("IP_LOSE", vec![Arg::Integer(LWIP_GP)]);
                self.drive_network(now);
            }
        }
    }
}

fn text(cx: &mut Call<'_>, text: &str) -> Results {
    cx.push_bytes(text.as_bytes());
    Ok(1)
}

/// A value read from the SIM: nil before it has answered.
fn of_sim(cx: &mut Call<'_>, value: fn(&Runtime) -> String) -> Results {
    let rt = cx.host();
    let value = rt.mobile.sim.then(|| value(rt));
    match value {
        Some(value) => cx.push_bytes(value.as_bytes()),
        None => cx.push_nil(),
    }
    Ok(1)
}

/// A fixed reading of good reception while registered, else 0. The radio
/// condition is not modelled yet.
fn measured(cx: &mut Call<'_>, value: i32) -> Results {
    let value = if cx.host().mobile.registered {
        value
    } else {
        0
    };
    cx.push_integer(value);
    Ok(1)
}

/// 1 registered, 2 searching, 0 without a SIM.
fn status(cx: &mut Call<'_>) -> Results {
    let mobile = &cx.host().mobile;
    let status = match (mobile.registered && !mobile.flight_mode, mobile.sim) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    };
    cx.push_integer(status);
    Ok(1)
}

/// `mobile.flymode(idx, on?)`: the state before.
fn flymode(cx: &mut Call<'_>) -> Results {
    let before = cx.host().mobile.flight_mode;
    if !cx.is_none_or_nil(2) {
        let on = cx.truth(2);
        let rt = cx.host();
        rt.mobile.flight_mode = on;
        rt.mobile.flight_request = Some(on);
        if on {
            rt.mobile.registered = false;
        }
        rt.touch_outside();
    }
    cx.push_boolean(before);
    Ok(1)
}
