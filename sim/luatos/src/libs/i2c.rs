//! `i2c`: a master on two buses.

use airbench_lua32::{Kind, Raise};

use crate::args::{Args, Call, Results};
use crate::devices::Bus;
use crate::libs::{Library, zbuff};
use crate::message::{Arg, Message};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "i2c",
    functions: &[
        ("exist", exist),
        ("setup", setup),
        ("createSoft", create_soft),
        ("send", send),
        ("recv", recv),
        ("transfer", transfer),
        ("writeReg", write_reg),
        ("readReg", read_reg),
        ("close", |cx| {
            cx.check_integer(1)?;
            Ok(0)
        }),
        ("readDHT12", read_dht12),
        ("readSHT30", read_sht30),
        ("xfer", xfer),
        ("scan", scan),
    ],
    constants: &[],
};

/// Class of bit-banged buses; devices find them by this plus their number.
const SOFT: u32 = 8;
const SOFT_BASE: i32 = 0x100;
/// Driver codes of a missing acknowledgement, in hardware and in software.
const NACK: i32 = -6;
const SOFT_NACK: i32 = 255;

/// Registers the class of software buses; they have no methods.
pub(crate) fn open(cx: &mut Call<'_>) {
    cx.push_table(0, 1);
    cx.push_bytes(b"EI2C*");
    cx.set_field(-2, "__name");
    cx.set_class(SOFT);
}

/// The bus of argument 1: a number or a software bus.
fn bus(cx: &mut Call<'_>) -> Result<i32, Raise> {
    if cx.kind(1) != Kind::Userdata {
        return cx.check_integer(1);
    }
    match cx.to_object(1, SOFT) {
        Some(id) => Ok(SOFT_BASE + id as i32),
        None => Err(Raise::Argument(1, "EI2C* expected, got userdata".into())),
    }
}

fn exists(bus: i32) -> bool {
    !(2..SOFT_BASE).contains(&bus)
}

/// Writes; the driver's code.
fn put(cx: &mut Call<'_>, bus: i32, address: i32, data: &[u8]) -> i32 {
    let rt = cx.host();
    if !exists(bus) {
        return -1;
    }
    if rt.devices.write(Bus::I2c, bus, address, data) {
        return 0;
    }
    silent(cx, bus, address)
}

/// Reads, or the driver's code.
fn get(cx: &mut Call<'_>, bus: i32, address: i32, len: usize) -> Result<Vec<u8>, i32> {
    if !exists(bus) {
        return Err(-1);
    }
    let read = cx.host().devices.read(Bus::I2c, bus, address, len);
    read.ok_or_else(|| silent(cx, bus, address))
}

/// Nobody acknowledges.
fn silent(cx: &mut Call<'_>, bus: i32, address: i32) -> i32 {
    if bus >= SOFT_BASE {
        return SOFT_NACK;
    }
    let line = format!("i2c_failed 296:i2c{bus} 从机地址{address:x} 无应答");
    cx.host().line(line);
    NACK
}

/// A byte, a text, or a table of bytes; anything else is an address probe.
fn payload(cx: &mut Call<'_>, index: i32) -> Vec<u8> {
    if cx.is_integer(index) {
        return vec![cx.to_integer(index).unwrap_or(0) as u8];
    }
    if cx.kind(index) == Kind::Table {
        let len = cx.raw_len(index).min(4096);
        return (1..=len as i32)
            .map(|at| {
                cx.get_item(index, at);
                let byte = cx.to_integer(-1).unwrap_or(0) as u8;
                cx.pop(1);
                byte
            })
            .collect();
    }
    cx.to_bytes(index).unwrap_or_default().to_vec()
}

/// A length argument no message exceeds.
fn length(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0).min(65_536)
}

fn exist(cx: &mut Call<'_>) -> Results {
    let exists = cx.check_integer(1)? < 2;
    cx.push_boolean(exists);
    Ok(1)
}

fn setup(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::Userdata {
        cx.host()
            .lib_line(Level::Debug, "i2c 软件i2c不需要再执行i2c.setup");
        cx.push_integer(1);
        return Ok(1);
    }
    let bus = cx.check_integer(1)?;
    cx.opt_integer(2, 0)?;
    cx.push_integer(i32::from(bus < 2));
    Ok(1)
}

fn create_soft(cx: &mut Call<'_>) -> Results {
    cx.check_integer(1)?;
    cx.check_integer(2)?;
    let id = cx.host().soft_buses;
    cx.host().soft_buses += 1;
    cx.push_object(SOFT, id);
    Ok(1)
}

fn send(cx: &mut Call<'_>) -> Results {
    let bus = bus(cx)?;
    let address = cx.check_integer(2)?;
    let data = payload(cx, 3);
    let code = put(cx, bus, address, &data);
    cx.push_boolean(code == 0);
    Ok(1)
}

/// Pushes what was read, or says why not and pushes nothing's text.
fn push_read(cx: &mut Call<'_>, read: Result<Vec<u8>, i32>) -> Results {
    match read {
        Ok(bytes) => cx.push_bytes(&bytes),
        Err(code) => {
            let line = format!("i2c i2c receive result {code}");
            cx.host().lib_line(Level::Debug, &line);
            cx.push_bytes(b"");
        }
    }
    Ok(1)
}

fn recv(cx: &mut Call<'_>) -> Results {
    let bus = bus(cx)?;
    let address = cx.check_integer(2)?;
    let len = length(cx.check_integer(3)?);
    let read = get(cx, bus, address, len);
    push_read(cx, read)
}

fn write_reg(cx: &mut Call<'_>) -> Results {
    let bus = bus(cx)?;
    let address = cx.check_integer(2)?;
    let register = cx.check_integer(3)? as u8;
    let data = [vec![register], cx.check_bytes(4)?].concat();
    let code = put(cx, bus, address, &data);
    cx.push_boolean(code == 0);
    Ok(1)
}

fn read_reg(cx: &mut Call<'_>) -> Results {
    let bus = bus(cx)?;
    let address = cx.check_integer(2)?;
    let register = cx.check_integer(3)? as u8;
    let len = length(cx.check_integer(4)?);
    let code = put(cx, bus, address, &[register]);
    if code != 0 {
        let line = format!("i2c i2c send result {code}");
        cx.host().lib_line(Level::Debug, &line);
        cx.push_bytes(b"");
        return Ok(1);
    }
    let read = get(cx, bus, address, len);
    push_read(cx, read)
}

/// `i2c.transfer(bus, address, tx, rx, rxlen)`: ok, and what was read unless a
/// zbuff took it. A table's bytes are lost, and an empty tx writes.
fn transfer(cx: &mut Call<'_>) -> Results {
    let bus = bus(cx)?;
    let address = cx.check_integer(2)?;
    let tx = match cx.kind(3) {
        Kind::None => {
            return Err(Raise::Argument(3, "ZBUFF* expected, got no value".into()));
        }
        Kind::Nil | Kind::Table => Vec::new(),
        Kind::Userdata => match zbuff::arg(cx, 3) {
            Some(buffer) => zbuff::with(cx, buffer, |b| b.slice(0, b.used())),
            None => return Err(Raise::Argument(3, "ZBUFF* expected, got userdata".into())),
        },
        _ => payload(cx, 3),
    };
    let len = length(cx.to_integer(5).unwrap_or(0));
    let target = zbuff::arg(cx, 4);
    let wrote = !tx.is_empty() || len == 0;
    let mut ok = !wrote || put(cx, bus, address, &tx) == 0;
    let mut bytes = vec![0; len];
    if ok && len > 0 {
        if wrote || bus >= SOFT_BASE {
            match get(cx, bus, address, len) {
                Ok(read) => bytes = read,
                Err(_) => ok = false,
            }
        } else {
            let garbage = bytes.clone();
            ok = put(cx, bus, address, &garbage) == 0;
        }
    }
    cx.push_boolean(ok);
    match target {
        Some(buffer) => {
            zbuff::with(cx, buffer, |b| b.append(&bytes));
            cx.push_nil();
        }
        None if len > 0 => cx.push_bytes(&bytes),
        None => cx.push_nil(),
    }
    Ok(2)
}

/// `i2c.xfer(bus, address, tx, rx, rxlen, topic)`: begun; a topic tells more.
fn xfer(cx: &mut Call<'_>) -> Results {
    let topic = cx.check_text(6)?;
    let bus = cx.check_integer(1)?;
    let address = cx.check_integer(2)?;
    let tx = match zbuff::arg(cx, 3) {
        Some(buffer) => zbuff::with(cx, buffer, |b| b.slice(0, b.used())),
        None => Vec::new(),
    };
    let len = length(cx.to_integer(5).unwrap_or(0));
    if bus >= 2 {
        cx.push_boolean(false);
        return Ok(1);
    }
    let mut code = if tx.is_empty() {
        0
    } else {
        put(cx, bus, address, &tx)
    };
    if let (0, true, Some(buffer)) = (code, len > 0, zbuff::arg(cx, 4)) {
        match get(cx, bus, address, len) {
            Ok(bytes) => zbuff::with(cx, buffer, |b| {
                b.cursor = 0;
                b.append(&bytes);
            }),
            Err(error) => code = error,
        }
    }
    let shown = i32::from(code as u16);
    let args = vec![
        Arg::Integer(bus),
        Arg::Boolean(code == 0),
        Arg::Integer(shown),
    ];
    cx.host().bus.push_back(Message::Topic(topic, args));
    cx.push_boolean(true);
    Ok(1)
}

/// Prints a table of the addresses that acknowledge.
fn scan(cx: &mut Call<'_>) -> Results {
    let bus = cx.opt_integer(1, 0)?;
    cx.opt_integer(2, 0)?;
    let mut table = String::from("i2c \nID  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f\n");
    for row in 0..8 {
        table.push_str(&format!("{row}0: "));
        for column in 0..16 {
            let address = row * 16 + column;
            if put(cx, bus, address, &[0, 0]) == 0 {
                table.push_str(&format!("{address:02X} "));
            } else {
                table.push_str("-- ");
            }
        }
        table.push('\n');
    }
    cx.host().lib_line(Level::Debug, &table);
    Ok(0)
}

/// false, or true, humidity and temperature in tenths.
fn read_dht12(cx: &mut Call<'_>) -> Results {
    let bus = bus(cx)?;
    let address = cx.opt_integer(2, 0x5C)?;
    let fail = |cx: &mut Call<'_>, text: &str| {
        if !text.is_empty() {
            cx.host().lib_line(Level::Debug, &format!("i2c {text}"));
        }
        cx.push_boolean(false);
        Ok(1)
    };
    if put(cx, bus, address, &[0]) != 0 {
        return fail(cx, "DHT12 i2c bus write fail");
    }
    let Ok(b) = get(cx, bus, address, 5) else {
        return fail(cx, "");
    };
    if b.iter().all(|byte| *byte == 0) {
        return fail(cx, "DHT12 DATA emtry");
    }
    let shown: String = b.iter().map(|byte| format!("{byte:02X}")).collect();
    cx.host()
        .lib_line(Level::Debug, &format!("i2c DHT12 DATA {shown}"));
    let sum = b[..4].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if sum != b[4] {
        return fail(cx, "DATA12 DATA crc not ok");
    }
    let [h, hx, t, tx] = [b[0], b[1], b[2], b[3]].map(i32::from);
    let temperature = if t > 127 {
        (t - 128) * -10 + tx
    } else {
        t * 10 + tx
    };
    cx.push_boolean(true);
    cx.push_integer(h * 10 + hx);
    cx.push_integer(temperature);
    Ok(3)
}

/// false, or true, humidity and temperature in tenths.
fn read_sht30(cx: &mut Call<'_>) -> Results {
    let bus = if cx.is_none_or_nil(1) { 0 } else { bus(cx)? };
    let address = cx.opt_integer(2, 0x44)?;
    put(cx, bus, address, &[0x2C, 0x06]);
    let read = get(cx, bus, address, 6);
    let b = read.ok().filter(|b| b[..5].iter().any(|byte| *byte != 0));
    let Some(b) = b else {
        cx.host().lib_line(Level::Debug, "i2c SHT30 DATA emtry");
        cx.push_boolean(false);
        return Ok(1);
    };
    let raw = |high: u8, low: u8| f32::from(u16::from_be_bytes([high, low]));
    cx.push_boolean(true);
    cx.push_integer((raw(b[3], b[4]) * 100.0 / 6553.5) as i32);
    cx.push_integer((raw(b[0], b[1]) * 175.0 / 6553.5 - 450.0) as i32);
    Ok(3)
}
