//! Devices on the I2C and SPI buses, described by what they answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which kind of bus a device is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// I2C; the address is the 7-bit one.
    I2c,
    /// SPI; the address is the chip-select pin.
    Spi,
}

/// A device. A write that equals one of its commands decides what the next read
/// gives; any other write sets the register pointer with its first byte and
/// stores the rest; reads go on from the pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Kind of bus.
    pub bus: Bus,
    /// Number of the bus.
    pub id: i32,
    /// I2C address or chip-select pin.
    pub address: i32,
    /// Registers from this one on, as hexadecimal text: `{ "0x10" = "01 02" }`.
    #[serde(default)]
    pub registers: BTreeMap<String, String>,
    /// Commands and their answers, as hexadecimal text.
    #[serde(default)]
    pub replies: BTreeMap<String, String>,
}

/// A device's description that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device {bus} {address:#x}: {text:?} is no hexadecimal text; write bytes as \"01 A2\"")]
pub struct DeviceError {
    bus: &'static str,
    address: i32,
    text: String,
}

/// What devices of one bus do while the board runs.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    list: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    bus: Bus,
    id: i32,
    address: i32,
    registers: Vec<u8>,
    replies: Vec<(Vec<u8>, Vec<u8>)>,
    pointer: usize,
    reply: Option<Vec<u8>>,
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text
        .split_whitespace()
        .map(|part| part.strip_prefix("0x").unwrap_or(part))
        .collect();
    data_encoding::HEXUPPER_PERMISSIVE
        .decode(digits.as_bytes())
        .ok()
}

impl Device {
    /// Checks the texts.
    pub fn check(&self) -> Result<(), DeviceError> {
        let texts = self.replies.iter().chain(&self.registers);
        for text in texts.flat_map(|(key, value)| [key, value]) {
            if bytes(text).is_none() {
                return Err(DeviceError {
                    bus: match self.bus {
                        Bus::I2c => "i2c",
                        Bus::Spi => "spi",
                    },
                    address: self.address,
                    text: text.clone(),
                });
            }
        }
        Ok(())
    }

    fn running(&self) -> Running {
        let mut registers = vec![0; 256];
        for (from, values) in &self.registers {
            let from = bytes(from).and_then(|b| b.last().copied()).unwrap_or(0);
            let values = bytes(values).unwrap_or_default();
            for (register, value) in registers[usize::from(from)..].iter_mut().zip(values) {
                *register = value;
            }
        }
        let replies = self.replies.iter();
        Running {
            bus: self.bus,
            id: self.id,
            address: self.address,
            registers,
            replies: replies
                .map(|(command, answer)| {
                    (
                        bytes(command).unwrap_or_default(),
                        bytes(answer).unwrap_or_default(),
                    )
                })
                .collect(),
            pointer: 0,
            reply: None,
        }
    }
}

impl Devices {
    pub(crate) fn new(list: &[Device]) -> Self {
        Self {
            list: list.iter().map(Device::running).collect(),
        }
    }

    fn find(&mut self, bus: Bus, id: i32, address: i32) -> Option<&mut Running> {
        self.list
            .iter_mut()
            .find(|device| (device.bus, device.id, device.address) == (bus, id, address))
    }

    /// The master writes; false if nobody acknowledges.
    pub(crate) fn write(&mut self, bus: Bus, id: i32, address: i32, data: &[u8]) -> bool {
        let Some(device) = self.find(bus, id, address) else {
            return false;
        };
        let reply = device.replies.iter().find(|(command, _)| command == data);
        device.reply = reply.map(|(_, answer)| answer.clone());
        if device.reply.is_none()
            && let Some((pointer, values)) = data.split_first()
        {
            device.pointer = usize::from(*pointer);
            for value in values {
                device.registers[device.pointer % 256] = *value;
                device.pointer += 1;
            }
        }
        true
    }

    /// The master reads; `None` if nobody acknowledges.
    pub(crate) fn read(&mut self, bus: Bus, id: i32, address: i32, len: usize) -> Option<Vec<u8>> {
        let device = self.find(bus, id, address)?;
        if let Some(mut reply) = device.reply.take() {
            reply.resize(len, 0xFF);
            return Some(reply);
        }
        let pointer = device.pointer;
        device.pointer += len;
        Some(
            (0..len)
                .map(|at| device.registers[(pointer + at) % 256])
                .collect(),
        )
    }
}
