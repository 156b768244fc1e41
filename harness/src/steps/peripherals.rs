//! What is wired to the board besides UARTs and pins: chips on buses, voltages,
//! short messages, and the board's own sleep.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use airbench_luatos::{Bus, Device};
use airbench_trace::{Event, Kind, Source};
use airbench_world::Action;
use cucumber::gherkin::Step;
use cucumber::{given, then, when};

use super::Span;
use crate::bench::Wanted;
use crate::scenario::{Scenario, StepResult};

/// Puts a chip on an I2C bus; the table lists registers and their bytes.
#[given(expr = "a device at address {word} of I2C bus {int}:")]
async fn i2c_step(s: &mut Scenario, address: String, id: i32, step: &Step) -> StepResult {
    let number = address
        .strip_prefix("0x")
        .map_or_else(|| address.parse(), |digits| i32::from_str_radix(digits, 16));
    let address = number.map_err(|_| format!("{address:?} is no address; write 0x44"))?;
    s.use_device(device(Bus::I2c, id, address, step)?)
}

/// Puts a chip on an SPI bus with a chip-select pin; the table lists registers and their bytes.
#[given(expr = "a device with chip select {int} on SPI bus {int}:")]
async fn spi_step(s: &mut Scenario, select: i32, id: i32, step: &Step) -> StepResult {
    s.use_device(device(Bus::Spi, id, select, step)?)
}

fn device(bus: Bus, id: i32, address: i32, step: &Step) -> Result<Device, String> {
    let table = step
        .table
        .as_ref()
        .ok_or("a table | register | bytes | must follow")?;
    let mut registers = BTreeMap::new();
    for row in table.rows.iter().filter(|row| row[0] != "register") {
        match row.as_slice() {
            [register, bytes] => registers.insert(register.clone(), bytes.clone()),
            _ => return Err("the table has two columns: register and bytes".into()),
        };
    }
    Ok(Device {
        bus,
        id,
        address,
        registers,
        replies: BTreeMap::new(),
    })
}

/// Puts a voltage in mV on an ADC channel.
#[when(expr = "ADC channel {int} reads {int} mV")]
async fn adc_step(s: &mut Scenario, channel: i32, millivolts: i32) -> StepResult {
    s.act(Action::Adc(channel, millivolts)).await
}

/// Delivers a short message: text and sender.
#[when(expr = "the SMS {string} arrives from {string}")]
async fn sms_step(s: &mut Scenario, text: String, sender: String) -> StepResult {
    s.act(Action::Sms(sender, text)).await
}

/// Waits for the board to go into deep sleep.
#[then(expr = "the board sleeps within {span}")]
async fn sleeps_step(s: &mut Scenario, span: Span) -> StepResult {
    let wanted = Wanted::new("deep sleep", |event: &Event| is_power(event, b"sleep"));
    s.expect(wanted, span.0).await.map(drop)
}

/// Waits for the board to boot from the deep sleep it went into since the latest When.
#[then(expr = "the board wakes within {span}")]
async fn wakes_step(s: &mut Scenario, span: Span) -> StepResult {
    let slept = AtomicBool::new(false);
    let wanted = Wanted::new("waking up", move |event: &Event| {
        if is_power(event, b"sleep") {
            slept.store(true, Ordering::Relaxed);
        }
        slept.load(Ordering::Relaxed) && is_power(event, b"boot")
    });
    s.expect(wanted, span.0).await.map(drop)
}

fn is_power(event: &Event, text: &[u8]) -> bool {
    event.source == Source::Board && event.kind == Kind::Power && event.bytes.starts_with(text)
}
