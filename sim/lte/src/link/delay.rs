//! How the delay varies.

use airbench_clock::Rng;
use serde::{Deserialize, Serialize};

/// Entries of a table of delays.
const ENTRIES: usize = 4096;
/// A table's unit: one jitter.
const UNIT: f64 = 8192.0;

/// Around the latency, in units of the jitter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Evenly between -1 and 1.
    #[default]
    Uniform,
    /// The standard normal distribution.
    Normal,
    /// Pareto's with index 3 and mean 0, cut at 4 (netem's `pareto`).
    Pareto,
    /// A quarter of the normal plus three quarters of Pareto's (netem's
    /// `paretonormal`).
    ParetoNormal,
    /// The quantiles in a file of whole numbers, 8192 being 1 (netem's form).
    File(String),
    /// The same, read.
    Table(Vec<i16>),
}

/// Why a text is no table of delays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Something else than a number of 16 bits.
    #[error("{0:?} is not a whole number from -32768 to 32767")]
    Number(String),
    /// No numbers, or too many.
    #[error("it has {0} numbers; 1 to 16384 are possible")]
    Length(usize),
}

impl Distribution {
    /// Reads netem's form: numbers between blanks, comments behind `#`.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        let words = lines.flat_map(str::split_whitespace);
        let table = words
            .map(|word| {
                word.parse()
                    .map_err(|_| TableError::Number(word.to_owned()))
            })
            .collect::<Result<Vec<i16>, _>>()?;
        if table.is_empty() || table.len() > 16_384 {
            return Err(TableError::Length(table.len()));
        }
        Ok(Self::Table(table))
    }

    /// Its quantiles; none for `Uniform`, which needs no table.
    fn table(&self) -> Vec<f32> {
        let place = |index: usize| (index as f64 + 0.5) / ENTRIES as f64;
        let made = |value: fn(f64) -> f64| {
            let entry = |index| value(place(index)) as f32;
            (0..ENTRIES).map(entry).collect()
        };
        match self {
            Self::Uniform | Self::File(_) => Vec::new(),
            Self::Normal => made(normal),
            Self::Pareto => made(pareto),
            Self::ParetoNormal => made(|u| (normal(u) + 3.0 * pareto(u)) / 4.0),
            Self::Table(table) => table
                .iter()
                .map(|entry| (f64::from(*entry) / UNIT) as f32)
                .collect(),
        }
    }
}

/// The quantile of the standard normal distribution, by bisection: libm's error
/// function gives the same bits everywhere.
pub fn normal(u: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if 0.5 * libm::erfc(-middle / core::f64::consts::SQRT_2) < u {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The quantile of Pareto's distribution with index 3, its mean moved to 0, in
/// netem's scale.
fn pareto(u: f64) -> f64 {
    (4.0 / 3.0 * (libm::pow(1.0 - u, -1.0 / 3.0) - 1.5)).min(4.0)
}

/// Draws delays.
#[derive(Debug)]
pub(super) struct Jitter {
    rng: Rng,
    /// What the table is of.
    of: Distribution,
    table: Vec<f32>,
    /// The normal variable behind correlated delays.
    z: Option<f64>,
}

impl Jitter {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            of: Distribution::Uniform,
            table: Vec::new(),
            z: None,
        }
    }

    /// The next deviation, in units of the jitter. Correlation is that of the
    /// normal variables (a Gaussian copula): the distribution stays what it is.
    pub(super) fn next(&mut self, distribution: &Distribution, correlation: f64) -> f64 {
        let u = if correlation > 0.0 {
            self.correlated(correlation)
        } else {
            self.rng.unit()
        };
        if *distribution == Distribution::Uniform {
            return 2.0 * u - 1.0;
        }
        if self.of != *distribution {
            self.of = distribution.clone();
            self.table = distribution.table();
        }
        let index = (u * self.table.len() as f64) as usize;
        self.table.get(index).copied().map_or(0.0, f64::from)
    }

    fn correlated(&mut self, correlation: f64) -> f64 {
        // Box and Muller's way to a normal variable.
        let radius = (-2.0 * libm::log(1.0 - self.rng.unit())).sqrt();
        let fresh = radius * libm::cos(core::f64::consts::TAU * self.rng.unit());
        let z = match self.z {
            Some(before) => correlation * before + (1.0 - correlation * correlation).sqrt() * fresh,
            None => fresh,
        };
        self.z = Some(z);
        (0.5 * libm::erfc(-z / core::f64::consts::SQRT_2)).min(1.0 - f64::EPSILON)
    }
}
