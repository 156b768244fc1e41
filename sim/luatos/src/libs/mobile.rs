//! `mobile`: what the modem reports; its model is in `airbench-lte`.

use std::net::Ipv4Addr;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::{Cell, ModemConfig, ModemEvent};
use airbench_lua32::{Func, Kind};

use crate::args::{Args, Call, Results};
use crate::dispatch;
use crate::libs::Library;
use crate::libs::modem_settings::{self, ModemWish, Release};
use crate::message::{Arg, Message};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "mobile",
    functions: FUNCTIONS,
    constants: &[],
};

const FUNCTIONS: &[(&str, Func<Runtime>)] = &[
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
    ("sn", |cx| {
        let mut sn = cx.host().config.identity.imei.clone().into_bytes();
        sn.resize(SN, 0);
        cx.push_bytes(&sn);
        Ok(1)
    }),
    ("muid", |cx| {
        let imei = cx.host().config.identity.imei.clone();
        text(cx, &format!("{imei:0>32}"))
    }),
    ("number", |cx| {
        cx.push_nil();
        Ok(1)
    }),
    ("apn", apn),
    ("ipv6", |cx| setting(cx, |mobile| &mut mobile.ipv6)),
    ("syncTime", |cx| setting(cx, |mobile| &mut mobile.sync_time)),
    ("csq", |cx| measured(cx, Cell::csq)),
    ("rssi", |cx| measured(cx, Cell::rssi)),
    ("rsrp", |cx| measured(cx, |cell| cell.rsrp)),
    ("rsrq", |cx| measured(cx, |cell| cell.rsrq)),
    ("snr", |cx| measured(cx, |cell| cell.snr)),
    ("eci", |cx| cell(cx, |cell| cell.eci)),
    ("tac", |cx| cell(cx, |cell| cell.tac)),
    ("enbid", |cx| cell(cx, |cell| cell.eci >> 8)),
    ("simid", simid),
    ("simPin", sim_pin),
    ("flymode", flymode),
    ("rtime", modem_settings::release_time),
    ("setAuto", modem_settings::set_auto),
    ("reqCellInfo", request_cell_info),
    ("getCellInfo", cell_info),
    ("scell", serving_cell),
    ("reset", |cx| {
        cx.host().wish(ModemWish::Restart);
        Ok(0)
    }),
    ("dataTraffic", data_traffic),
    ("config", modem_settings::config),
    ("getBand", modem_settings::get_band),
    ("setBand", modem_settings::set_band),
    ("nstOnOff", |_| Ok(0)),
    ("nstInput", |_| Ok(0)),
    ("vsimInit", |_| Ok(0)),
    ("vsimOnOff", |_| Ok(0)),
];

/// The test network's cell: country, operator, carrier frequency, physical
/// identity, and the band of that frequency.
const MCC: i32 = 1;
const MNC: i32 = 1;
const EARFCN: i32 = 1300;
const PCI: i32 = 101;
pub(crate) const BAND: i32 = 3;
/// Length of the serial number.
const SN: usize = 32;
/// Before a request, to the answer with cell information; within the
/// fifteen seconds scripts allow for.
const CELL_SEARCH: Duration = Duration::from_secs(2);

/// The adapter number of the LTE modem (`socket.LWIP_GP`).
const LWIP_GP: i32 = 1;

/// What the script can know of the modem.
#[derive(Debug)]
pub struct Mobile {
    sim: bool,
    registered: bool,
    /// What the modem measures while it is registered.
    pub cell: Cell,
    /// `status()` while it is registered.
    registered_as: i32,
    /// The network has refused the device.
    denied: bool,
    /// The SIM's PIN while it is wanted, and the tries left.
    pin: Option<(String, u32)>,
    /// What the script wants of the modem; the board tells it.
    pub wishes: Vec<ModemWish>,
    /// The release that `rtime` asks for.
    pub(crate) release: Option<Release>,
    /// The network is asked for power saving mode.
    pub(crate) psm: bool,
    /// `setAuto` has the cell looked at this often.
    pub(crate) cell_period: Option<Duration>,
    ipv6: bool,
    sync_time: bool,
    pub(crate) cell_info_at: Option<Instant>,
    cell_info: bool,
    apn: Option<String>,
    /// Bytes up and down since the script cleared them.
    traffic: [u64; 2],
    /// The address, while there is one.
    pub(crate) address: Option<Ipv4Addr>,
    flight_mode: bool,
}

impl Default for Mobile {
    fn default() -> Self {
        Self {
            sim: false,
            registered: false,
            cell: Cell::default(),
            registered_as: 1,
            denied: false,
            pin: None,
            wishes: Vec::new(),
            release: None,
            psm: false,
            cell_period: None,
            ipv6: false,
            sync_time: true,
            cell_info_at: None,
            cell_info: false,
            apn: None,
            traffic: [0; 2],
            address: None,
            flight_mode: false,
        }
    }
}

impl Mobile {
    /// In the network.
    pub(crate) fn is_registered(&self) -> bool {
        self.registered && !self.flight_mode
    }

    /// The script wants something of the modem.
    pub fn wants_modem(&self) -> bool {
        !self.wishes.is_empty()
    }

    /// Packets went this way.
    pub(crate) fn count(&mut self, up: bool, bytes: usize) {
        self.traffic[usize::from(!up)] += bytes as u64;
    }

    /// When an answer with cell information is due.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.cell_info_at
    }
}

impl Runtime {
    /// The modem was in flight mode before the device slept, and still is.
    pub fn keep_flight_mode(&mut self) {
        self.mobile.flight_mode = true;
    }

    /// Cell information that has come by `now`.
    pub(crate) fn drive_mobile(&mut self, now: Instant) {
        if self.mobile.cell_info_at.is_some_and(|at| at <= now) {
            let period = self.mobile.cell_period;
            self.mobile.cell_info_at = period.map(|period| now + period);
            self.mobile.cell_info = self.mobile.is_registered();
            self.publish("CELL_INFO_UPDATE", Vec::new());
        }
    }

    /// The modem reports something. The network stack learns it at once, Lua
    /// (and the log, which is written there) when it looks at the bus.
    /// `modem` has the network's numbers.
    pub fn modem_event(&mut self, now: Instant, event: ModemEvent, modem: &ModemConfig) {
        self.at(now);
        let (address, dns) = (modem.address, modem.dns.as_slice());
        self.mobile.cell = modem.cell;
        match event {
            ModemEvent::SimReady => {
                self.mobile.sim = true;
                self.mobile.pin = None;
            }
            ModemEvent::SimCheck => {
                self.line("prvSimCheck 494:sim error and reset stack".to_owned());
            }
            ModemEvent::SimLocked => {
                self.mobile.pin = Some((modem.pin.clone(), modem.pin_tries));
            }
            ModemEvent::Rejected(cause) => {
                self.mobile.denied = true;
                let cell = modem.cell.eci;
                self.line(format!(
                    "soc_cms_proc 1518:NAS Event 6 Reject {cause} CellID {cell:x}"
                ));
            }
            ModemEvent::SimMissing => {
                self.mobile.sim = false;
                self.mobile.registered = false;
                self.mobile.denied = false;
                self.mobile.pin = None;
            }
            ModemEvent::PdpActive => {
                self.mobile.registered = true;
                self.mobile.denied = false;
                self.mobile.registered_as = modem.status.max(1);
                self.mobile.address = Some(address);
                self.network.link_up(address, dns);
                self.ctrls_link(true);
                self.drive_network(now);
            }
            ModemEvent::TimeSync if self.mobile.sync_time => {
                self.rtc.offset = 0;
                // What the network tells: China's.
                self.rtc.sdk_zone = 32;
                self.flash.rtc_offset = Some(0);
            }
            ModemEvent::LinkDown => {
                self.mobile.address = None;
                self.network.link_down();
                self.ctrls_link(false);
                self.drive_network(now);
            }
            ModemEvent::Searching => self.mobile.registered = false,
            ModemEvent::Registered => self.mobile.registered = true,
            ModemEvent::NumberRead
            | ModemEvent::BearerActive
            | ModemEvent::TimeSync
            | ModemEvent::Losing
            | ModemEvent::NetCheck
            | ModemEvent::LinkUp => {}
        }
        if matches!(event, ModemEvent::Searching | ModemEvent::Registered) {
            // Scripts ask; nobody tells them.
            return;
        }
        self.bus.push_back(Message::Modem(event, address));
    }
}

/// What the modem reported reaches Lua. Without `sys` it is dropped.
pub(crate) fn on_modem(cx: &mut Call<'_>, event: ModemEvent, address: Ipv4Addr) -> Results {
    let loaded = cx.get_global("sys_pub") == Kind::Function;
    cx.pop(1);
    if !loaded {
        return Ok(0);
    }
    let line = match event {
        ModemEvent::SimReady
        | ModemEvent::SimMissing
        | ModemEvent::SimLocked
        | ModemEvent::SimCheck
        | ModemEvent::NetCheck
        | ModemEvent::Rejected(_)
        | ModemEvent::Losing
        | ModemEvent::Searching
        | ModemEvent::Registered
        | ModemEvent::NumberRead => "",
        ModemEvent::PdpActive => "cid1, state0",
        ModemEvent::BearerActive => "bearer act 0, result 0",
        ModemEvent::TimeSync => "TIME_SYNC 0",
        ModemEvent::LinkUp => "NETIF_LINK_ON -> IP_READY",
        ModemEvent::LinkDown => "NETIF_LINK_OFF -> IP_LOSE",
    };
    if event == ModemEvent::LinkDown {
        cx.host().lib_line(Level::Debug, "mobile cid1, state2");
    }
    if !line.is_empty() {
        cx.host().lib_line(Level::Debug, &format!("mobile {line}"));
    }
    let sim = |state: &str| vec![Arg::Text(state.to_owned())];
    let (topic, args) = match event {
        ModemEvent::SimReady => ("SIM_IND", sim("RDY")),
        ModemEvent::SimMissing => ("SIM_IND", sim("NORDY")),
        ModemEvent::NumberRead => ("SIM_IND", sim("GET_NUMBER")),
        ModemEvent::SimLocked => ("SIM_IND", sim("SIM_PIN")),
        ModemEvent::TimeSync => ("NTP_UPDATE", Vec::new()),
        ModemEvent::LinkUp => {
            let address = Arg::Text(address.to_string());
            ("IP_READY", vec![address, Arg::Integer(LWIP_GP)])
        }
        ModemEvent::LinkDown => ("IP_LOSE", vec![Arg::Integer(LWIP_GP)]),
        ModemEvent::PdpActive
        | ModemEvent::BearerActive
        | ModemEvent::SimCheck
        | ModemEvent::NetCheck
        | ModemEvent::Rejected(_)
        | ModemEvent::Searching
        | ModemEvent::Registered
        | ModemEvent::Losing => return Ok(0),
    };
    dispatch::publish(cx, topic, &args)?;
    Ok(0)
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

/// A reading, or 0 before the first report.
fn measured(cx: &mut Call<'_>, of: fn(&Cell) -> i32) -> Results {
    let mobile = &cx.host().mobile;
    let value = if mobile.registered {
        of(&mobile.cell)
    } else {
        0
    };
    cx.push_integer(value);
    Ok(1)
}

/// Where the device is, or -1.
fn cell(cx: &mut Call<'_>, of: fn(&Cell) -> i32) -> Results {
    let mobile = &cx.host().mobile;
    let value = if mobile.is_registered() {
        of(&mobile.cell)
    } else {
        -1
    };
    cx.push_integer(value);
    Ok(1)
}

/// A switch: a boolean sets it, the result is what it is then.
fn setting(cx: &mut Call<'_>, of: fn(&mut Mobile) -> &mut bool) -> Results {
    let wanted = (cx.kind(1) == Kind::Boolean).then(|| cx.to_boolean(1));
    let switch = of(&mut cx.host().mobile);
    *switch = wanted.unwrap_or(*switch);
    let now = *switch;
    cx.push_boolean(now);
    Ok(1)
}

/// `mobile.apn(idx, cid, name, user, password, …)`: the one before.
fn apn(cx: &mut Call<'_>) -> Results {
    let cid = cx.opt_integer(2, 0)?;
    let named = matches!(cx.kind(3), Kind::String | Kind::Number);
    let mobile = &cx.host().mobile;
    let before = mobile.apn.clone().unwrap_or_else(|| "cmnet".to_owned());
    let shown = mobile.is_registered() && cid <= 1;
    if named {
        let name = cx.check_text(3)?;
        cx.check_text(4)?;
        cx.check_text(5)?;
        cx.host().mobile.apn = (!name.is_empty()).then_some(name);
    }
    if shown {
        cx.push_bytes(before.as_bytes());
    } else {
        cx.push_nil();
    }
    Ok(1)
}

/// The slot in use; setting prints what became of it.
fn simid(cx: &mut Call<'_>) -> Results {
    if cx.is_integer(1) {
        let id = cx.check_integer(1)?;
        let code = if id > 2 { -1 } else { 0 };
        let line = format!("mobile sim set to {id} , ret {code}");
        cx.host().lib_line(Level::Info, &line);
    }
    let slot = if cx.host().mobile.sim { 0 } else { -1 };
    cx.push_integer(slot);
    Ok(1)
}

/// `PIN_VERIFY` and `PIN_UNBLOCK`; between them are operations with the PIN.
const PIN_VERIFY: i32 = 0;
const PIN_UNBLOCK: i32 = 4;

/// `simPin(id, operation, pin, new)`: ready, or whether the operation succeeded.
/// A blocked SIM stays so: nobody has its PUK.
fn sim_pin(cx: &mut Call<'_>) -> Results {
    let operation = cx.to_integer(2);
    let given = cx
        .to_bytes(3)
        .map(|pin| String::from_utf8_lossy(pin).into_owned());
    let mobile = &mut cx.host().mobile;
    let done = match (operation, &mut mobile.pin) {
        (None, pin) => pin.is_none() && mobile.sim && !mobile.flight_mode,
        (Some(PIN_UNBLOCK..), _) => false,
        (Some(_), None) => mobile.sim,
        (Some(operation), Some((pin, tries))) => {
            let right = *tries > 0 && given.as_ref() == Some(pin);
            if right && operation == PIN_VERIFY {
                mobile.pin = None;
                mobile.wishes.push(ModemWish::Unlock);
            } else if !right {
                *tries = tries.saturating_sub(1);
                mobile.wishes.push(ModemWish::WrongPin);
            }
            right
        }
    };
    cx.host().touch_outside();
    cx.push_boolean(done);
    Ok(1)
}

fn request_cell_info(cx: &mut Call<'_>) -> Results {
    cx.opt_integer(1, 15)?;
    let rt = cx.host();
    let at = rt.now() + CELL_SEARCH;
    rt.mobile.cell_info_at = Some(at);
    rt.limit_horizon(at);
    Ok(0)
}

/// An array whose first entry is the serving cell.
fn cell_info(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    let (known, registered) = (rt.mobile.cell_info, rt.mobile.is_registered());
    let radio = rt.mobile.cell;
    if !known {
        let (level, text) = if registered {
            (Level::Warn, "mobile 请先调用 mobile.reqCellInfo()!!")
        } else {
            (Level::Info, "mobile lte cell info not found")
        };
        rt.lib_line(level, text);
    }
    cx.push_table(0, 0);
    if known {
        cx.push_table(0, 0);
        for (name, value) in [
            ("pci", PCI),
            ("cid", radio.eci),
            ("earfcn", EARFCN),
            ("rsrp", radio.rsrp),
            ("rsrq", radio.rsrq),
            ("rssi", radio.rssi()),
            ("tdd", 0),
            ("snr", radio.snr),
            ("mcc", MCC),
            ("mnc", MNC),
            ("tac", radio.tac),
            ("band", BAND),
            ("ulbandwidth", 5),
            ("dlbandwidth", 5),
        ] {
            cx.push_integer(value);
            cx.set_field(-2, name);
        }
        cx.set_item(-2, 1);
    }
    Ok(1)
}

/// `mobile.scell()` of the new core: the serving cell without a search.
fn serving_cell(cx: &mut Call<'_>) -> Results {
    let mobile = &cx.host().mobile;
    let (radio, registered) = (mobile.cell, mobile.is_registered());
    let of_cell = |value| if registered { value } else { 0 };
    cx.push_table(0, 12);
    for (name, value) in [
        ("mcc", of_cell(MCC)),
        ("mnc", of_cell(MNC)),
        ("earfcn", of_cell(EARFCN)),
        ("pci", of_cell(PCI)),
        ("band", of_cell(BAND)),
        ("eci", of_cell(radio.eci)),
        ("cid", of_cell(radio.eci)),
        ("tac", of_cell(radio.tac)),
        ("snr", radio.snr),
        ("rsrp", radio.rsrp),
        ("rsrq", radio.rsrq),
        ("rssi", radio.rssi()),
    ] {
        cx.push_integer(value);
        cx.set_field(-2, name);
    }
    Ok(1)
}

/// Gibibytes and bytes, up and down, before the clearing asked for.
fn data_traffic(cx: &mut Call<'_>) -> Results {
    let clear = [cx.to_boolean(1), cx.to_boolean(2)];
    let traffic = cx.host().mobile.traffic;
    for (bytes, slot) in traffic.into_iter().zip(0..) {
        cx.push_integer((bytes >> 30) as i32);
        cx.push_integer((bytes & 0x3FFF_FFFF) as i32);
        if clear[slot] {
            cx.host().mobile.traffic[slot] = 0;
        }
    }
    Ok(4)
}

/// `mobile.DENIED`.
const DENIED: i32 = 3;

/// 1 registered, 2 searching, 0 without a SIM, 3 refused.
fn status(cx: &mut Call<'_>) -> Results {
    let mobile = &cx.host().mobile;
    let status = match (mobile.registered && !mobile.flight_mode, mobile.sim) {
        (true, _) => mobile.registered_as,
        (false, true) if mobile.denied => DENIED,
        (false, true) => 2,
        (false, false) => 0,
    };
    cx.push_integer(status);
    Ok(1)
}

/// `mobile.flymode(idx, on?)`: the state before; true means on-line.
fn flymode(cx: &mut Call<'_>) -> Results {
    let online = !cx.host().mobile.flight_mode;
    if cx.kind(2) == Kind::Boolean {
        let on = cx.to_boolean(2);
        let rt = cx.host();
        rt.mobile.flight_mode = on;
        rt.wish(ModemWish::FlightMode(on));
        if on {
            rt.mobile.registered = false;
        }
        rt.touch_outside();
    }
    cx.push_boolean(online);
    Ok(1)
}
