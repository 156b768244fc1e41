//! Impairments of the radio link.

use airbench_lte::{Carrier, Cell, Dns, Expiry, Flapping, NatConfig, Path};
use airbench_world::Action;
use cucumber::gherkin::Step;
use cucumber::{Parameter, when};

use super::Span;
use crate::scenario::{Scenario, StepError, StepResult};

/// One direction of the link, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Parameter)]
#[param(name = "way", regex = "upwards|downwards|both ways")]
pub(crate) enum Way {
    Up,
    Down,
    Both,
}

impl std::str::FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "upwards" => Ok(Self::Up),
            "downwards" => Ok(Self::Down),
            _ => Ok(Self::Both),
        }
    }
}

/// Changes what a direction has; the rest stays.
async fn change(s: &mut Scenario, way: Way, change: impl Fn(&mut Path)) -> StepResult {
    for up in [true, false] {
        let skipped = if up { Way::Down } else { Way::Up };
        if way == skipped {
            continue;
        }
        let mut path = s.link_path(up)?;
        change(&mut path);
        path.check()?;
        s.set_link_path(up, path).await?;
    }
    Ok(())
}

/// Loses packets at random, each independently.
#[when(expr = "the radio link loses {float} % of the packets {way}")]
async fn loss_step(s: &mut Scenario, percent: f64, way: Way) -> StepResult {
    change(s, way, |path| {
        path.loss = percent / 100.0;
        path.loss_correlation = 0.0;
        path.gilbert_elliott = None;
        path.four_state = None;
    })
    .await
}

/// Delivers packets twice at random.
#[when(expr = "the radio link doubles {float} % of the packets {way}")]
async fn duplicate_step(s: &mut Scenario, percent: f64, way: Way) -> StepResult {
    change(s, way, |path| path.duplicate = percent / 100.0).await
}

/// Flips a bit of packets at random.
#[when(expr = "the radio link damages {float} % of the packets {way}")]
async fn corrupt_step(s: &mut Scenario, percent: f64, way: Way) -> StepResult {
    change(s, way, |path| path.corrupt = percent / 100.0).await
}

/// Lets packets overtake those before at random.
#[when(expr = "the radio link reorders {float} % of the packets {way}")]
async fn reorder_step(s: &mut Scenario, percent: f64, way: Way) -> StepResult {
    change(s, way, |path| {
        path.reorder = percent / 100.0;
        path.latency_ms = path.latency_ms.max(1.0);
    })
    .await
}

/// Limits the rate; 0 lifts the limit.
#[when(expr = "the radio link carries {int} kbit\\/s {way}")]
async fn rate_step(s: &mut Scenario, kilobits: u64, way: Way) -> StepResult {
    change(s, way, |path| path.rate_bps = kilobits.saturating_mul(1000)).await
}

/// Swallows larger IP packets without a word; 0 swallows none.
#[when(expr = "the radio link swallows packets above {int} bytes {way}")]
async fn mtu_step(s: &mut Scenario, bytes: u32, way: Way) -> StepResult {
    change(s, way, |path| path.mtu = bytes).await
}

/// Keys of which only one can be in force.
const LOSSES: &[&str] = &["loss", "loss_correlation", "gilbert_elliott", "four_state"];
const RATES: &[&str] = &["rate_bps", "trace"];

/// Any impairment of a profile's [link.up], as TOML: what is not named stays.
#[when(expr = "the radio link is impaired {way}:")]
async fn impair_with_step(s: &mut Scenario, way: Way, step: &Step) -> StepResult {
    let text = step.docstring.clone().unwrap_or_default();
    let wanted: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
    let merged = |path: &Path| -> Result<Path, StepError> {
        let now = toml::Table::try_from(path).map_err(|error| error.to_string())?;
        // One of these takes the place of the others.
        let replaced = |key: &str| {
            [LOSSES, RATES].iter().any(|group| {
                group.contains(&key) && group.iter().any(|key| wanted.contains_key(*key))
            })
        };
        let kept = now.into_iter().filter(|(key, _)| !replaced(key));
        let all: toml::Table = kept.chain(wanted.clone()).collect();
        Ok(all
            .try_into()
            .map_err(|error: toml::de::Error| error.to_string())?)
    };
    for up in [true, false] {
        if way == if up { Way::Down } else { Way::Up } {
            continue;
        }
        let mut path = merged(&s.link_path(up)?)?;
        path.read_files(s.context.project.folder())?;
        path.check()?;
        s.set_link_path(up, path).await?;
    }
    Ok(())
}

/// Outages that come and go by themselves from now on.
#[when(expr = "the radio link is up for {span} and down for {span} in turn")]
async fn flapping_step(s: &mut Scenario, up: Span, down: Span) -> StepResult {
    let flapping = Flapping {
        up_ms: up.0.as_secs_f64() * 1000.0,
        down_ms: down.0.as_secs_f64() * 1000.0,
        ..Flapping::default()
    };
    flapping.check()?;
    s.act(Action::Flapping(Some(flapping))).await
}

/// Ends every impairment that a step has made.
#[when(expr = "the radio link is as before")]
async fn restore_step(s: &mut Scenario) -> StepResult {
    s.act(Action::Outage(false)).await?;
    s.restore_link().await
}

/// What the device measures of its cell; signal strength and quality follow.
#[when(expr = "the cell is received with RSRP {int} dBm, RSRQ {int} dB and SNR {int} dB")]
async fn cell_step(s: &mut Scenario, rsrp: i32, rsrq: i32, snr: i32) -> StepResult {
    let cell = Cell {
        rsrp,
        rsrq,
        snr,
        ..s.cell
    };
    cell.check()?;
    s.cell = cell;
    s.act(Action::Cell(cell)).await
}

/// The carrier forgets connections that are silent for a while.
#[when(expr = "the carrier forgets TCP connections after {span} and UDP after {span}")]
async fn nat_step(s: &mut Scenario, tcp: Span, udp: Span) -> StepResult {
    nat(s, tcp, udp, Expiry::Silent).await
}

/// The same; packets of a forgotten connection are answered with a RST.
#[when(expr = "the carrier resets TCP connections after {span} and forgets UDP after {span}")]
async fn nat_reset_step(s: &mut Scenario, tcp: Span, udp: Span) -> StepResult {
    nat(s, tcp, udp, Expiry::Rst).await
}

async fn nat(s: &mut Scenario, tcp: Span, udp: Span, expiry: Expiry) -> StepResult {
    let ms = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    s.act(Action::Nat(NatConfig {
        tcp_ms: ms(tcp),
        udp_ms: ms(udp),
        expiry,
    }))
    .await
}

/// What the carrier's name servers do.
#[derive(Debug, Clone, Copy, Parameter)]
#[param(name = "names", regex = "answer|are silent|lie")]
pub(crate) struct Names(Dns);

impl std::str::FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "answer" => Dns::Ok,
            "are silent" => Dns::Silent,
            _ => Dns::Wrong,
        }))
    }
}

/// The carrier's name servers answer, are silent, or lie.
#[when(expr = "the carrier's name servers {names}")]
async fn dns_step(s: &mut Scenario, names: Names) -> StepResult {
    carrier(s, |carrier| carrier.dns = names.0).await
}

/// Changes one thing that the carrier does.
async fn carrier(s: &mut Scenario, change: impl FnOnce(&mut Carrier)) -> StepResult {
    change(&mut s.carrier);
    let carrier = s.carrier.clone();
    s.act(Action::Carrier(carrier)).await
}

/// Nothing passes the bearer, though the device keeps its address.
#[when(expr = "the bearer dies")]
async fn bearer_dies_step(s: &mut Scenario) -> StepResult {
    carrier(s, |carrier| carrier.dead_bearer = true).await
}

/// The bearer carries packets again.
#[when(expr = "the bearer is back")]
async fn bearer_back_step(s: &mut Scenario) -> StepResult {
    carrier(s, |carrier| carrier.dead_bearer = false).await
}
