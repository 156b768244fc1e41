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
        let places = (0..ENTRIES).map(|index| (index as f64 + 0.5) / ENTRIES as f64);
        match self {
            Self::Uniform | Self::File(_) => Vec::new(),
            Self::Normal => normals(places).map(|z| z as f32).collect(),
            Self::Pareto => places.map(|u| pareto(u) as f32).collect(),
            Self::ParetoNormal => normals(places.clone())
                .zip(places)
                .map(|(z, u)| ((z + 3.0 * pareto(u)) / 4.0) as f32)
                .collect(),
            Self::Table(table) => table
                .iter()
                .map(|entry| (f64::from(*entry) / UNIT) as f32)
                .collect(),
        }
    }
}

/// The quantile of the standard normal distribution at `u` between 0 and 1, both
/// excluded; libm's functions give the same bits everywhere.
pub fn normal(u: f64) -> f64 {
    normal_from(u, 0.0)
}

/// The same by Newton's method from `near`, which a neighbour's quantile makes
/// short.
fn normal_from(u: f64, near: f64) -> f64 {
    if u > 0.5 {
        return -normal_from(1.0 - u, -near);
    }
    // On this side the function is convex: from the right of its root the method
    // runs straight into it, from the left it first jumps to the right.
    let mut z = near.min(0.0);
    for _ in 0..100 {
        let density = libm::exp(-0.5 * z * z) / (2.0 * core::f64::consts::PI).sqrt();
        let step = (below(z) - u) / density;
        z = (z - step).min(0.0);
        if step.abs() <= 1e-14 {
            break;
        }
    }
    z
}

/// The share of the standard normal distribution below `z`.
fn below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / core::f64::consts::SQRT_2)
}

/// Normal quantiles of places that ascend.
fn normals(places: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
    places.scan(0.0, |near, place| {
        *near = normal_from(place, *near);
        Some(*near)
    })
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
    /// The path has not changed since that was looked at.
    current: bool,
    /// The normal variable behind correlated delays.
    z: Option<f64>,
    gauss: Option<Gauss>,
}

impl Jitter {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            of: Distribution::Uniform,
            table: Vec::new(),
            current: false,
            z: None,
            gauss: None,
        }
    }

    /// The path may have another distribution from now on. To compare a table
    /// with each packet would cost more than to draw from it.
    pub(super) fn look_again(&mut self) {
        self.current = false;
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
        if !self.current {
            self.current = true;
            if self.of != *distribution {
                self.of = distribution.clone();
                self.table = distribution.table();
            }
        }
        let index = (u * self.table.len() as f64) as usize;
        self.table.get(index).copied().map_or(0.0, f64::from)
    }

    /// A place in the distribution that remembers the one before.
    fn correlated(&mut self, correlation: f64) -> f64 {
        let gauss = self.gauss.get_or_insert_with(Gauss::new);
        let fresh = gauss.draw(&mut self.rng);
        let z = match self.z {
            Some(before) => correlation * before + (1.0 - correlation * correlation).sqrt() * fresh,
            None => fresh,
        };
        self.z = Some(z);
        gauss.place(z)
    }
}

/// The normal distribution in tables, between whose entries lines are drawn:
/// logarithms and error functions for each packet would cost more than all
/// other impairments together.
#[derive(Debug)]
struct Gauss {
    /// Quantiles of equal steps.
    quantiles: Vec<f64>,
    /// The distribution's function on a grid.
    places: Vec<f64>,
}

/// Steps of the grid per unit, and how far it reaches.
const STEPS: f64 = 128.0;
const REACH: f64 = 6.0;

impl Gauss {
    fn new() -> Self {
        let places = (0..=ENTRIES).map(|index| {
            let u = index as f64 / ENTRIES as f64;
            // The outermost step ends where its half would lie.
            u.clamp(0.125 / ENTRIES as f64, 1.0 - 0.125 / ENTRIES as f64)
        });
        let grid = (0..=(2.0 * REACH * STEPS) as i32).map(|at| f64::from(at) / STEPS - REACH);
        Self {
            quantiles: normals(places).collect(),
            places: grid.map(below).collect(),
        }
    }

    fn draw(&self, rng: &mut Rng) -> f64 {
        between(&self.quantiles, rng.unit() * ENTRIES as f64)
    }

    fn place(&self, z: f64) -> f64 {
        let last = (self.places.len() - 1) as f64;
        let at = ((z + REACH) * STEPS).clamp(0.0, last);
        between(&self.places, at).min(1.0 - f64::EPSILON)
    }
}

/// A table's value at a place between two entries.
fn between(table: &[f64], at: f64) -> f64 {
    let index = (at as usize).min(table.len() - 2);
    let part = at - index as f64;
    table[index] + part * (table[index + 1] - table[index])
}
