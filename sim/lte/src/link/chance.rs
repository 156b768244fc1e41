//! Random events along a sequence of packets.

use airbench_clock::Rng;
use serde::{Deserialize, Serialize};

/// An event with a probability and a memory of one packet.
///
/// With correlation `c` a packet shares the fate of the one before with
/// probability `c` and draws its own otherwise: the probability stays what it
/// is, and the autocorrelation at lag `m` is `c` to the `m`. (netem's own
/// formula does not keep the probability: 10 % with correlation 50 % lose
/// 0.1 % there.)
#[derive(Debug, Clone)]
pub struct Chance {
    rng: Rng,
    before: Option<bool>,
}

impl Chance {
    /// A sequence of its own random numbers.
    pub fn new(rng: Rng) -> Self {
        Self { rng, before: None }
    }

    /// Whether it happens to the next packet. A probability of 0 draws nothing.
    pub fn happens(&mut self, probability: f64, correlation: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        let mut draw = self.rng.unit();
        if let Some(before) = self.before
            && correlation > 0.0
        {
            if draw < correlation {
                return before;
            }
            // What is left of the number is even again.
            draw = (draw - correlation) / (1.0 - correlation);
        }
        let happens = draw < probability;
        self.before = Some(happens);
        happens
    }
}

/// A channel with a good and a bad state; it begins in the good one. The state
/// changes after each packet.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GilbertElliott {
    /// Probability to go from good to bad.
    pub p: f64,
    /// Probability to go from bad to good.
    pub r: f64,
    /// Probability of a loss in the bad state.
    #[serde(default = "certain")]
    pub bad_loss: f64,
    /// Probability of a loss in the good state.
    #[serde(default)]
    pub good_loss: f64,
}

fn certain() -> f64 {
    1.0
}

impl GilbertElliott {
    /// The share of packets lost in the long run.
    pub fn mean_loss(&self) -> f64 {
        let bad = self.bad_share();
        (1.0 - bad) * self.good_loss + bad * self.bad_loss
    }

    /// The share of packets that meet the bad state; a chain that never changes
    /// begins, and stays, in the good one.
    fn bad_share(&self) -> f64 {
        if self.p + self.r > 0.0 {
            self.p / (self.p + self.r)
        } else {
            0.0
        }
    }

    /// The autocorrelation of losses at lag 1; 0 where all packets fare alike.
    pub fn correlation(&self) -> f64 {
        let (bad, loss) = (self.bad_share(), self.mean_loss());
        if loss <= 0.0 || loss >= 1.0 {
            return 0.0;
        }
        let spread = self.bad_loss - self.good_loss;
        bad * (1.0 - bad) * spread * spread * (1.0 - self.p - self.r) / (loss * (1.0 - loss))
    }
}

/// netem's chain: 1 good, 2 good within a burst, 3 lost in a burst, 4 lost
/// alone. It begins in 1; the state reached decides about the packet.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FourState {
    /// Good to a burst's loss.
    pub p13: f64,
    /// A burst's loss to good.
    pub p31: f64,
    /// A burst's loss to good within the burst.
    #[serde(default)]
    pub p32: f64,
    /// Good within the burst to its next loss.
    #[serde(default = "certain")]
    pub p23: f64,
    /// Good to a loss alone.
    #[serde(default)]
    pub p14: f64,
}

impl FourState {
    /// How often each of the four states is visited in the long run.
    pub fn stationary(&self) -> [f64; 4] {
        if self.p13 <= 0.0 {
            let good = 1.0 / (1.0 + self.p14);
            return [good, 0.0, 0.0, good * self.p14];
        }
        if self.p31 <= 0.0 && self.p32 <= 0.0 {
            return [0.0, 0.0, 1.0, 0.0];
        }
        let burst = self.p13 / self.p31;
        let within = if self.p32 > 0.0 {
            burst * self.p32 / self.p23
        } else {
            0.0
        };
        let good = 1.0 / (1.0 + self.p14 + burst + within);
        [good, good * within, good * burst, good * self.p14]
    }

    /// The share of packets lost in the long run.
    pub fn mean_loss(&self) -> f64 {
        let [.., burst, alone] = self.stationary();
        burst + alone
    }

    /// The autocorrelation of losses at lag 1; 0 where all packets fare alike.
    pub fn correlation(&self) -> f64 {
        let [_, _, burst, _] = self.stationary();
        let loss = self.mean_loss();
        if loss <= 0.0 || loss >= 1.0 {
            return 0.0;
        }
        let both = burst * (1.0 - self.p31 - self.p32);
        (both - loss * loss) / (loss * (1.0 - loss))
    }
}

/// Where a chain of states stands.
#[derive(Debug, Clone)]
pub struct Chain {
    rng: Rng,
    bad: bool,
    state: u8,
}

impl Chain {
    /// A chain at its beginning.
    pub fn new(rng: Rng) -> Self {
        Self {
            rng,
            bad: false,
            state: 1,
        }
    }

    /// Whether the channel is in its bad state.
    pub fn is_bad(&self) -> bool {
        self.bad
    }

    /// The state of netem's chain, 1 to 4.
    pub fn state(&self) -> u8 {
        self.state
    }

    /// Whether a Gilbert-Elliott channel loses the next packet.
    pub fn gilbert_elliott(&mut self, model: &GilbertElliott) -> bool {
        let loss = if self.bad {
            model.bad_loss
        } else {
            model.good_loss
        };
        let lost = loss >= 1.0 || (loss > 0.0 && self.rng.unit() < loss);
        let change = if self.bad { model.r } else { model.p };
        if self.rng.unit() < change {
            self.bad = !self.bad;
        }
        lost
    }

    /// Whether netem's chain loses the next packet.
    pub fn four_state(&mut self, model: &FourState) -> bool {
        if self.state == 4 {
            self.state = 1;
            return false;
        }
        let u = self.rng.unit();
        self.state = match self.state {
            1 if u < model.p14 => 4,
            1 if u < model.p14 + model.p13 => 3,
            2 if u < model.p23 => 3,
            3 if u < model.p32 => 2,
            3 if u < model.p32 + model.p31 => 1,
            same => same,
        };
        self.state > 2
    }
}
