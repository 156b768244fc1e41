//! Random streams.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng};

/// A component's own stream of random numbers, given by the world's seed and
/// the component's name. (xoshiro256++ of the `rand` project: fast, and its
/// output for a seed is documented to stay.)
#[derive(Debug, Clone)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The stream called `name` of world `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a folds the name into the seed; xoshiro's own seeding then
        // spreads the bits.
        let mix = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ mix,
        ))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `-1.0..1.0`.
    pub fn symmetric(&mut self) -> f64 {
        self.unit().mul_add(2.0, -1.0)
    }

    /// True with probability `p`; draws nothing for 0.
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.unit() < p
    }

    /// A number in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_name_only() {
        let draw = |seed, name| {
            let mut rng = Rng::new(seed, name);
            [rng.bits(), rng.bits(), rng.bits()]
        };
        assert_eq!(draw(1, "link"), draw(1, "link"));
        assert_ne!(draw(1, "link"), draw(1, "modem"));
        assert_ne!(draw(1, "link"), draw(2, "link"));
    }

    #[test]
    fn units_fill_their_interval_evenly() {
        let mut rng = Rng::new(7, "test");
        let mean = (0..10_000).map(|_| rng.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
