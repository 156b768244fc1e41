//! `spi`: a master on two buses. Devices are told apart by their chip-select
//! pin; where none answers, MISO floats high.

use std::sync::OnceLock;

use airbench_lua32::{Func, Kind, Member, Members, Raise};

use crate::args::{Args, Call, Results};
use crate::devices::Bus;
use crate::libs::{Library, zbuff};
use crate::message::{Arg, Message};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "spi",
    functions: &[
        ("setup", setup),
        ("createSoft", create_soft),
        ("close", |cx| {
            cx.push_integer(0);
            Ok(1)
        }),
        ("transfer", transfer),
        ("recv", recv),
        ("send", send),
        ("deviceSetup", device_setup),
        ("deviceTransfer", device_transfer),
        ("deviceSend", device_send),
        ("xfer", xfer),
    ],
    constants: &[],
};

const METHODS: &[(&str, Func<Runtime>)] = &[
    ("transfer", device_transfer),
    ("send", device_send),
    ("recv", device_recv),
    ("close", |cx| {
        cx.push_boolean(true);
        Ok(1)
    }),
];

/// Classes of bit-banged buses and of devices.
const SOFT: u32 = 9;
const DEVICE: u32 = 10;
/// What stands for the address of a device object, which the firmware prints:
/// somewhere in the Lua heap, in steps of an object's size.
const OBJECTS: u32 = 0x0C12_0000;
const OBJECT: u32 = 40;
/// No chip select.
const NO_PIN: i32 = 255;
/// What an idle line reads as.
const FLOATING: u8 = 0xFF;

/// A bus or device a script has set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wiring {
    bus: i32,
    pin: i32,
    full_duplex: bool,
}

/// Registers the classes.
pub(crate) fn open(cx: &mut Call<'_>) {
    static MEMBERS: OnceLock<Members<Runtime>> = OnceLock::new();
    let members = MEMBERS.get_or_init(|| {
        let member =
            |(name, func): &(&'static str, Func<Runtime>)| (*name, Member::Function(*func));
        Members(METHODS.iter().map(member).collect())
    });
    cx.push_table(0, 2);
    cx.push_table(0, 0);
    cx.make_rotable(members);
    cx.make_method_index();
    cx.set_field(-2, "__index");
    cx.push_bytes(b"SPI*");
    cx.set_field(-2, "__name");
    cx.push_function(collect);
    cx.set_field(-2, "__gc");
    cx.set_class(DEVICE);
    cx.push_table(0, 1);
    cx.push_bytes(b"ESPI*");
    cx.set_field(-2, "__name");
    cx.set_class(SOFT);
}

/// A device object is collected.
fn collect(cx: &mut Call<'_>) -> Results {
    let Some(id) = cx.to_object(1, DEVICE) else {
        return Ok(0);
    };
    let rt = cx.host();
    if let Some(device) = rt.spi_devices.remove(id) {
        let line = format!(
            "spi spi_device对象正在被回收,相关内存将释放 {:08X} , spi id={}",
            OBJECTS + id * OBJECT,
            device.bus
        );
        rt.lib_line(Level::Info, &line);
    }
    Ok(0)
}

/// `spi.setup(id, cs, …, mode)`.
fn setup(cx: &mut Call<'_>) -> Results {
    let bus = cx.check_integer(1)?;
    let pin = cx.opt_integer(2, NO_PIN)?;
    for index in 3..=8 {
        cx.opt_integer(index, 0)?;
    }
    let full_duplex = cx.opt_integer(9, 1)? != 0;
    let wiring = Wiring {
        bus,
        pin,
        full_duplex,
    };
    if bus < 2 {
        cx.host().spi.insert(bus, wiring);
    }
    cx.push_integer(if bus < 2 { 0 } else { -1 });
    Ok(1)
}

fn create_soft(cx: &mut Call<'_>) -> Results {
    let pin = cx.opt_integer(1, NO_PIN)?;
    for index in 2..=4 {
        cx.check_integer(index)?;
    }
    let full_duplex = cx.opt_integer(10, 0)? != 0;
    let id = cx.host().spi_devices.add(Wiring {
        bus: -1,
        pin,
        full_duplex,
    });
    cx.push_object(SOFT, id);
    Ok(1)
}

fn device_setup(cx: &mut Call<'_>) -> Results {
    let bus = cx.check_integer(1)?;
    let pin = cx.opt_integer(2, NO_PIN)?;
    let full_duplex = cx.opt_integer(9, 1)? != 0;
    let id = cx.host().spi_devices.add(Wiring {
        bus,
        pin,
        full_duplex,
    });
    cx.push_object(DEVICE, id);
    Ok(1)
}

/// The wiring of argument 1, and whether it is a hardware bus.
fn wiring(cx: &mut Call<'_>) -> Result<(Option<Wiring>, bool), Raise> {
    if cx.kind(1) != Kind::Userdata {
        let bus = cx.check_integer(1)?;
        let unset = Wiring {
            bus,
            pin: NO_PIN,
            full_duplex: true,
        };
        let known = cx.host().spi.get(&bus).copied().unwrap_or(unset);
        return Ok(((bus < 2).then_some(known), true));
    }
    match cx.to_object(1, SOFT) {
        Some(id) => Ok((cx.host().spi_devices.get(id).copied(), false)),
        None => Err(Raise::Argument(1, "ESPI* expected, got userdata".into())),
    }
}

fn device(cx: &mut Call<'_>) -> Option<Wiring> {
    let id = cx.to_object(1, DEVICE)?;
    cx.host().spi_devices.get(id).copied()
}

fn put(cx: &mut Call<'_>, wiring: Wiring, data: &[u8]) {
    let rt = cx.host();
    // A bus writes whether somebody listens or not.
    let _ = rt.devices.write(Bus::Spi, wiring.bus, wiring.pin, data);
}

fn get(cx: &mut Call<'_>, wiring: Wiring, len: usize) -> Vec<u8> {
    let rt = cx.host();
    rt.devices
        .read(Bus::Spi, wiring.bus, wiring.pin, len)
        .unwrap_or_else(|| vec![FLOATING; len])
}

/// What is to be sent: of a zbuff everything from the cursor on.
fn data(cx: &mut Call<'_>, index: i32) -> Result<Vec<u8>, Raise> {
    match zbuff::arg(cx, index) {
        Some(buffer) => Ok(zbuff::with(cx, buffer, |b| b.tail())),
        None => cx.check_bytes(index),
    }
}

fn length(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0).min(65_536)
}

fn send(cx: &mut Call<'_>) -> Results {
    let (wiring, hardware) = wiring(cx)?;
    let mut data = data(cx, 2)?;
    if cx.is_integer(3) {
        data.truncate(length(cx.check_integer(3)?));
    }
    let sent = match wiring {
        None => -1,
        Some(wiring) => {
            put(cx, wiring, &data);
            if hardware { data.len() as i32 } else { 0 }
        }
    };
    cx.push_integer(sent);
    Ok(1)
}

fn recv(cx: &mut Call<'_>) -> Results {
    let of_device = device(cx);
    let (wiring, hardware) = match of_device {
        Some(wiring) => (Some(wiring), false),
        None => wiring(cx)?,
    };
    let len = length(cx.opt_integer(2, 1)?);
    let (Some(wiring), 1..) = (wiring, len) else {
        return Ok(0);
    };
    if let Some(buffer) = zbuff::arg(cx, 3) {
        let room = zbuff::with(cx, buffer, |b| b.room());
        if room < len {
            let line = format!("spi zbuff放不下 {room} {len} 0");
            cx.host().lib_line(Level::Warn, &line);
            return Ok(0);
        }
        let bytes = get(cx, wiring, len);
        zbuff::with(cx, buffer, |b| b.write(&bytes));
        cx.push_integer(len as i32);
        return Ok(1);
    }
    let bytes = get(cx, wiring, len);
    cx.push_bytes(if hardware { &bytes } else { b"" });
    Ok(1)
}

/// Sends and reads; full duplex clocks as many bytes as are read.
fn exchange(cx: &mut Call<'_>, wiring: Wiring, data: &[u8], len: usize) -> Vec<u8> {
    put(cx, wiring, data);
    get(cx, wiring, len)
}

/// `spi.transfer(id, data, len, rlen)`.
fn transfer(cx: &mut Call<'_>) -> Results {
    let (wiring, hardware) = wiring(cx)?;
    let mut bytes = data(cx, 2)?;
    let whole = bytes.len() as i32;
    let len = cx.opt_integer(3, whole)?;
    if len >= 0 {
        bytes.truncate(length(len));
    }
    let reply = length(cx.opt_integer(4, 1)?);
    if bytes.is_empty() {
        cx.push_bytes(b"");
        return Ok(1);
    }
    let Some(wiring) = wiring else { return Ok(0) };
    if reply == 0 {
        if !(wiring.full_duplex && hardware) {
            put(cx, wiring, &bytes);
        }
        return Ok(0);
    }
    let answer = exchange(cx, wiring, &bytes, reply);
    cx.push_bytes(&answer);
    Ok(1)
}

/// A device method's data: zbuff, table of bytes, or text.
fn device_data(cx: &mut Call<'_>) -> Option<Vec<u8>> {
    if cx.kind(2) == Kind::Table {
        let len = cx.raw_len(2).min(4096);
        return Some(
            (1..=len as i32)
                .map(|at| {
                    cx.get_item(2, at);
                    let byte = cx.to_integer(-1).unwrap_or(0) as u8;
                    cx.pop(1);
                    byte
                })
                .collect(),
        );
    }
    let data = data(cx, 2).ok();
    if data.is_none() {
        cx.host()
            .lib_line(Level::Error, "spi spi_device transfer first arg error");
    }
    data
}

fn device_send(cx: &mut Call<'_>) -> Results {
    let wiring = device(cx);
    let Some(data) = device_data(cx) else {
        return Ok(0);
    };
    let sent = match wiring.filter(|wiring| wiring.bus < 2) {
        Some(wiring) => {
            put(cx, wiring, &data);
            data.len() as i32
        }
        None => -1,
    };
    cx.push_integer(sent);
    Ok(1)
}

fn device_recv(cx: &mut Call<'_>) -> Results {
    let len = length(cx.opt_integer(2, 1)?);
    let wiring = device(cx).filter(|wiring| wiring.bus < 2 && len > 0);
    let Some(wiring) = wiring else { return Ok(0) };
    let bytes = get(cx, wiring, len);
    cx.push_bytes(&bytes);
    Ok(1)
}

fn device_transfer(cx: &mut Call<'_>) -> Results {
    let wiring = device(cx);
    let Some(mut data) = device_data(cx) else {
        return Ok(0);
    };
    if cx.is_integer(3) {
        data.resize(length(cx.check_integer(3)?), 0);
    }
    let reply = length(cx.opt_integer(4, 1)?);
    let answer = match wiring.filter(|wiring| wiring.bus < 2 && reply > 0) {
        Some(wiring) => exchange(cx, wiring, &data, reply),
        None => Vec::new(),
    };
    cx.push_bytes(&answer);
    Ok(1)
}

/// `spi.xfer(id or device, tx, rx, len, topic)`: begun; a topic tells more.
fn xfer(cx: &mut Call<'_>) -> Results {
    let topic = cx.check_text(5)?;
    let of_device = device(cx);
    let wiring = match of_device {
        Some(wiring) => Some(wiring),
        None => wiring(cx)?.0,
    };
    let len = length(cx.opt_integer(4, 0)?);
    let (tx, rx) = (zbuff::arg(cx, 2), zbuff::arg(cx, 3));
    let ready = len > 0 && (tx.is_some() || rx.is_some());
    let Some(wiring) = wiring.filter(|_| ready) else {
        cx.push_boolean(false);
        return Ok(1);
    };
    if let Some(tx) = tx {
        let data = zbuff::with(cx, tx, |b| b.slice(0, len));
        put(cx, wiring, &data);
    }
    if let Some(rx) = rx {
        let bytes = get(cx, wiring, len);
        zbuff::with(cx, rx, |b| {
            b.cursor = 0;
            b.write(&bytes)
        });
    }
    let args = vec![
        Arg::Integer(wiring.bus),
        Arg::Boolean(true),
        Arg::Integer(0),
    ];
    cx.host().bus.push_back(Message::Topic(topic, args));
    cx.push_boolean(true);
    Ok(1)
}
