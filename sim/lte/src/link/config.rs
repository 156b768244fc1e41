//! What impairs one direction of the link.

use serde::{Deserialize, Serialize};

use super::chance::{FourState, GilbertElliott};
use super::delay::Distribution;

/// Impairments of one direction. Everything that is not said is off.
///
/// A packet meets them in this order: MTU, duplication, loss, corruption, the
/// queue with its rate (or trace), delay with jitter or a place ahead of the
/// others (reordering), slots.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// One-way delay in milliseconds.
    pub latency_ms: f64,
    /// What the delay varies by in milliseconds: the half width of `uniform`,
    /// the unit of the other distributions.
    pub jitter_ms: f64,
    /// How the delay varies.
    #[serde(skip_serializing_if = "is_default")]
    pub distribution: Distribution,
    /// Correlation, 0 to 1, of successive delays.
    #[serde(skip_serializing_if = "is_default")]
    pub jitter_correlation: f64,
    /// A packet overtakes another if its delay is shorter; else order is kept.
    #[serde(skip_serializing_if = "is_default")]
    pub overtaking: bool,
    /// Probability, 0 to 1, that a packet is lost.
    pub loss: f64,
    /// Lag-1 autocorrelation, 0 to 1, of losses.
    #[serde(skip_serializing_if = "is_default")]
    pub loss_correlation: f64,
    /// Losses of a channel with a good and a bad state.
    #[serde(skip_serializing_if = "is_default")]
    pub gilbert_elliott: Option<GilbertElliott>,
    /// Losses of netem's chain of four states.
    #[serde(skip_serializing_if = "is_default")]
    pub four_state: Option<FourState>,
    /// Losses mark packets of ECN-capable transports instead (RFC 3168).
    #[serde(skip_serializing_if = "is_default")]
    pub ecn: bool,
    /// Probability, 0 to 1, that a packet arrives twice.
    #[serde(skip_serializing_if = "is_default")]
    pub duplicate: f64,
    /// Lag-1 autocorrelation of duplications.
    #[serde(skip_serializing_if = "is_default")]
    pub duplicate_correlation: f64,
    /// Probability, 0 to 1, that one bit of a packet is flipped.
    #[serde(skip_serializing_if = "is_default")]
    pub corrupt: f64,
    /// Lag-1 autocorrelation of corruptions.
    #[serde(skip_serializing_if = "is_default")]
    pub corrupt_correlation: f64,
    /// Probability, 0 to 1, that a packet is not delayed at all.
    #[serde(skip_serializing_if = "is_default")]
    pub reorder: f64,
    /// Lag-1 autocorrelation of reorderings.
    #[serde(skip_serializing_if = "is_default")]
    pub reorder_correlation: f64,
    /// Only every so manieth packet may be reordered; 0 and 1 are every one.
    #[serde(skip_serializing_if = "is_default")]
    pub gap: u32,
    /// Bits per second on the air; 0 is unlimited.
    pub rate_bps: u64,
    /// Bytes that every packet costs besides its own; may be negative.
    #[serde(skip_serializing_if = "is_default")]
    pub packet_overhead: i32,
    /// The air carries cells of so many bytes; 0: it does not.
    #[serde(skip_serializing_if = "is_default")]
    pub cell_size: u32,
    /// Bytes that every cell costs besides its own; may be negative.
    #[serde(skip_serializing_if = "is_default")]
    pub cell_overhead: i32,
    /// When the air may be used, in place of a rate.
    #[serde(skip_serializing_if = "is_default")]
    pub trace: Trace,
    /// Bytes that may wait for the air; 0 is unlimited.
    pub queue_bytes: u64,
    /// Packets that may wait for the air; 0 is unlimited.
    #[serde(skip_serializing_if = "is_default")]
    pub queue_packets: u64,
    /// What happens when the queue is full, or slow.
    #[serde(skip_serializing_if = "is_default")]
    pub queue: Discipline,
    /// Waiting time that `codel` aims at in milliseconds; 0 is RFC 8289's 5.
    #[serde(skip_serializing_if = "is_default")]
    pub codel_target_ms: f64,
    /// Time in which `codel` wants to see it reached in milliseconds; 0 is RFC
    /// 8289's 100.
    #[serde(skip_serializing_if = "is_default")]
    pub codel_interval_ms: f64,
    /// Packets arrive in bursts.
    #[serde(skip_serializing_if = "is_default")]
    pub slot: Option<Slot>,
    /// Larger IP packets vanish without a word; 0: none do.
    #[serde(skip_serializing_if = "is_default")]
    pub mtu: u32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a full queue drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discipline {
    /// The packet that comes.
    #[default]
    Tail,
    /// The packet that waits longest.
    Head,
    /// The packet that comes, and before that some of those that waited long
    /// (RFC 8289).
    Codel,
}

/// Times at which packets may arrive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slot {
    /// Shortest time between slots in milliseconds.
    pub min_ms: f64,
    /// Longest; 0 is `min_ms`.
    pub max_ms: f64,
    /// Packets in a slot; 0 is unlimited.
    pub packets: u32,
    /// Bytes in a slot, reached by its last packet; 0 is unlimited.
    pub bytes: u32,
}

/// Bytes that one opportunity of a trace carries.
pub const OPPORTUNITY: u32 = 1500;

/// Opportunities to send [`OPPORTUNITY`] bytes of IP, in milliseconds from the
/// beginning; after the last it begins again. In a profile this is a list, or
/// the name of a file with one number per line (mahimahi's form).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Trace {
    /// There is none.
    #[default]
    None,
    /// A file that is not read yet.
    File(String),
    /// The opportunities, in order.
    Times(Vec<u64>),
}

/// Longest trace in milliseconds.
const LONGEST: u64 = 86_400_000;

/// Why a text is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A line is no number.
    #[error("line {0} is not a whole number of milliseconds")]
    Number(usize),
    /// Times run backwards.
    #[error("line {0} is earlier than the line before")]
    Order(usize),
    /// It lasts for too long.
    #[error("its last line is above {LONGEST}, a day")]
    Long,
    /// There is no time in it.
    #[error("it has no opportunity after its beginning; the last line must be above 0")]
    Empty,
}

impl Trace {
    /// Reads mahimahi's form.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut times = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = line.trim().parse();
            times.push(number.map_err(|_| TraceError::Number(index + 1))?);
        }
        Self::Times(times).checked()
    }

    /// The same, if its times can be used.
    pub fn checked(self) -> Result<Self, TraceError> {
        if let Self::Times(times) = &self {
            let back = times.windows(2).position(|two| two[0] > two[1]);
            if let Some(at) = back {
                return Err(TraceError::Order(at + 2));
            }
            if times.last().is_none_or(|last| *last == 0) {
                return Err(TraceError::Empty);
            }
            if times.last().is_some_and(|last| *last > LONGEST) {
                return Err(TraceError::Long);
            }
        }
        Ok(self)
    }

    pub(super) fn times(&self) -> &[u64] {
        match self {
            Self::Times(times) if times.last().is_some_and(|last| *last > 0) => times,
            _ => &[],
        }
    }
}

/// Impairments of both directions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkConfig {
    /// From the device.
    pub up: Path,
    /// To the device.
    pub down: Path,
    /// The link comes and goes.
    #[serde(skip_serializing_if = "is_default")]
    pub flapping: Option<Flapping>,
    /// The device changes its cell.
    #[serde(skip_serializing_if = "is_default")]
    pub handover: Option<Handover>,
}

/// Changes of the cell, at equal intervals.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Handover {
    /// Time from one to the next in milliseconds.
    pub every_ms: u64,
    /// How long nothing is carried, in milliseconds.
    pub gap_ms: u64,
    /// Packets of the gap are carried after it; else they are lost.
    pub lossless: bool,
}

/// Outages that come by themselves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flapping {
    /// Time to the first outage in milliseconds; 0: as between outages.
    pub first_ms: f64,
    /// Time between outages in milliseconds.
    pub up_ms: f64,
    /// Shortest outage in milliseconds.
    pub down_ms: f64,
    /// Longest; 0 is `down_ms`. Those between are equally likely.
    pub down_max_ms: f64,
    /// `up_ms` and `down_ms` are means of exponential distributions.
    pub exponential: bool,
}
