//! Every random model against its closed form: twenty seeds of a million
//! packets, none with a p-value below 1e-4, and a parameter that is 5 % off is
//! found out.

use airbench_clock::{Instant, Rng};
use airbench_lte::{
    Chain, Chance, Direction, Distribution, FourState, GilbertElliott, Link, LinkConfig, Path,
    normal,
};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

const SEEDS: u64 = 20;
const PACKETS: usize = 1_000_000;
/// No single seed may look less likely than this.
const LEAST: f64 = 1e-4;

/// Two-sided p-value of a standard normal variable.
fn p_of_z(z: f64) -> f64 {
    let standard = Normal::standard();
    2.0 * (1.0 - standard.cdf(z.abs()))
}

fn p_of_chi2(statistic: f64, freedom: usize) -> f64 {
    let chi2 = ChiSquared::new(freedom as f64).expect("freedom is positive");
    1.0 - chi2.cdf(statistic)
}

/// How unlikely a mean is, for a process whose deviations of sums grow with
/// `variance` per packet.
fn p_of_mean(events: usize, packets: usize, mean: f64, variance: f64) -> f64 {
    let packets = packets as f64;
    p_of_z((events as f64 - packets * mean) / (packets * variance).sqrt())
}

/// Variance per packet of a 0/1 process with a geometric autocorrelation.
fn long_run(mean: f64, first: f64, decay: f64) -> f64 {
    mean * (1.0 - mean) * (1.0 + 2.0 * first / (1.0 - decay))
}

/// The p-values of all seeds; each is named if it is too small.
fn all_seeds(name: &str, p_value: impl Fn(u64) -> f64) {
    for seed in 0..SEEDS {
        let p = p_value(seed);
        assert!(p >= LEAST, "{name}, seed {seed}: p = {p:e}");
    }
}

/// Runs of the link itself: which of a million packets arrived, and how often.
fn copies(path: &Path, seed: u64) -> (usize, usize) {
    let config = LinkConfig {
        up: path.clone(),
        ..LinkConfig::default()
    };
    let mut link = Link::new(config, seed);
    let mut arrived = 0;
    for n in 0..PACKETS {
        let now = Instant::from_millis(n as u64);
        link.send(now, now, Direction::Up, vec![]);
        arrived += std::iter::from_fn(|| link.receive(now)).count();
    }
    let lost = std::iter::from_fn(|| link.take_lost()).count();
    (arrived, lost)
}

#[test]
fn losses_of_the_link_are_binomial() {
    let p_value = |loss: f64, tested: f64, seed| {
        let (_, lost) = copies(
            &Path {
                loss,
                ..Path::default()
            },
            seed,
        );
        p_of_mean(lost, PACKETS, tested, tested * (1.0 - tested))
    };
    for loss in [0.001, 0.02, 0.3] {
        all_seeds("loss", |seed| p_value(loss, loss, seed));
    }
    for seed in 0..SEEDS {
        assert!(p_value(0.02 * 1.05, 0.02, seed) < LEAST);
    }
}

#[test]
fn doubles_of_the_link_are_binomial() {
    let p_value = |share: f64, tested: f64, seed| {
        let path = Path {
            duplicate: share,
            ..Path::default()
        };
        let (arrived, lost) = copies(&path, seed);
        assert_eq!(lost, 0);
        p_of_mean(arrived - PACKETS, PACKETS, tested, tested * (1.0 - tested))
    };
    all_seeds("duplicate", |seed| p_value(0.05, 0.05, seed));
    for seed in 0..SEEDS {
        assert!(p_value(0.05 * 1.05, 0.05, seed) < LEAST);
    }
}

/// Events of a correlated chance, and how often two follow each other.
fn pairs(probability: f64, correlation: f64, seed: u64) -> (usize, usize) {
    let mut chance = Chance::new(Rng::new(seed, "test"));
    let (mut events, mut both, mut before) = (0, 0, false);
    for _ in 0..PACKETS {
        let now = chance.happens(probability, correlation);
        events += usize::from(now);
        both += usize::from(now && before);
        before = now;
    }
    (events, both)
}

/// The marginal stays the probability, and a hit follows a hit as the
/// correlation says.
#[test]
fn correlated_chances_keep_their_probability() {
    let (p, c) = (0.05, 0.25);
    let follows = p + c * (1.0 - p);
    let marginal = |p_real: f64, seed| {
        let (events, _) = pairs(p_real, c, seed);
        p_of_mean(events, PACKETS, p, long_run(p, c, c))
    };
    let memory = |c_real: f64, seed| {
        let (events, both) = pairs(p, c_real, seed);
        p_of_mean(both, events, follows, follows * (1.0 - follows))
    };
    all_seeds("marginal", |seed| marginal(p, seed));
    all_seeds("memory", |seed| memory(c, seed));
    assert!(pooled(|seed| marginal(p * 1.05, seed)) < LEAST);
    assert!(pooled(|seed| memory(c * 1.05, seed)) < LEAST);
}

/// The statistic over transitions of a visible chain.
fn transitions(counts: &[Vec<f64>], model: &[Vec<f64>]) -> (f64, usize) {
    let (mut statistic, mut freedom) = (0.0, 0);
    for (row, wanted) in counts.iter().zip(model) {
        let total: f64 = row.iter().sum();
        let exits = wanted.iter().filter(|p| **p > 0.0).count();
        freedom += exits.saturating_sub(1);
        for (count, p) in row.iter().zip(wanted) {
            if *p > 0.0 {
                statistic += (count - total * p).powi(2) / (total * p);
            } else {
                assert_eq!(*count, 0.0, "an impossible step");
            }
        }
    }
    (statistic, freedom)
}

const CHANNEL: GilbertElliott = GilbertElliott {
    p: 0.02,
    r: 0.3,
    bad_loss: 0.8,
    good_loss: 0.01,
};

#[test]
fn a_gilbert_elliott_channel_moves_and_loses_as_its_closed_form() {
    let run = |real: &GilbertElliott, tested: &GilbertElliott, seed| {
        let mut chain = Chain::new(Rng::new(seed, "test"));
        let mut counts = vec![vec![0.0; 2]; 2];
        let mut losses = vec![vec![0.0; 2]; 2];
        let mut lost_all = 0;
        for _ in 0..PACKETS {
            let from = usize::from(chain.is_bad());
            let lost = chain.gilbert_elliott(real);
            counts[from][usize::from(chain.is_bad())] += 1.0;
            losses[from][usize::from(lost)] += 1.0;
            lost_all += usize::from(lost);
        }
        let states = vec![
            vec![1.0 - tested.p, tested.p],
            vec![tested.r, 1.0 - tested.r],
        ];
        let rates = vec![
            vec![1.0 - tested.good_loss, tested.good_loss],
            vec![1.0 - tested.bad_loss, tested.bad_loss],
        ];
        let (moves, free) = transitions(&counts, &states);
        let (fates, more) = transitions(&losses, &rates);
        let (mean, lag) = (tested.mean_loss(), tested.correlation());
        let variance = long_run(mean, lag, 1.0 - tested.p - tested.r);
        let marginal = p_of_mean(lost_all, PACKETS, mean, variance);
        p_of_chi2(moves + fates, free + more).min(marginal)
    };
    all_seeds("Gilbert-Elliott", |seed| run(&CHANNEL, &CHANNEL, seed));
    for wrong in [
        GilbertElliott {
            p: CHANNEL.p * 1.05,
            ..CHANNEL
        },
        GilbertElliott {
            r: CHANNEL.r * 1.05,
            ..CHANNEL
        },
        GilbertElliott {
            bad_loss: CHANNEL.bad_loss * 1.05,
            ..CHANNEL
        },
        GilbertElliott {
            good_loss: CHANNEL.good_loss * 1.05,
            ..CHANNEL
        },
    ] {
        assert!(
            pooled(|seed| run(&wrong, &CHANNEL, seed)) < LEAST,
            "{wrong:?}"
        );
    }
}

/// Fisher's method: one p-value of all seeds.
fn pooled(p_value: impl Fn(u64) -> f64) -> f64 {
    let statistic: f64 = (0..SEEDS)
        .map(|seed| -2.0 * p_value(seed).max(1e-300).ln())
        .sum();
    p_of_chi2(statistic, 2 * SEEDS as usize)
}

/// Numbers from netem's own arithmetic, simulated elsewhere.
#[test]
fn the_closed_forms_are_netems() {
    let close = |a: f64, b: f64| assert!((a - b).abs() < 5e-5, "{a} {b}");
    close(CHANNEL.mean_loss(), 0.059_375);
    close(CHANNEL.correlation(), 0.445_24);
    close(CHAIN.mean_loss(), 0.048_964);
    close(CHAIN.correlation(), 0.656_25);
}

const CHAIN: FourState = FourState {
    p13: 0.01,
    p31: 0.2,
    p32: 0.1,
    p23: 0.5,
    p14: 0.002,
};

#[test]
fn netems_four_states_move_as_they_should() {
    let run = |real: &FourState, seed| {
        let mut chain = Chain::new(Rng::new(seed, "test"));
        let mut counts = vec![vec![0.0; 4]; 4];
        for _ in 0..PACKETS {
            let from = usize::from(chain.state() - 1);
            let lost = chain.four_state(real);
            assert_eq!(lost, chain.state() > 2);
            counts[from][usize::from(chain.state() - 1)] += 1.0;
        }
        let m = &CHAIN;
        let model = vec![
            vec![1.0 - m.p13 - m.p14, 0.0, m.p13, m.p14],
            vec![0.0, 1.0 - m.p23, m.p23, 0.0],
            vec![m.p31, m.p32, 1.0 - m.p31 - m.p32, 0.0],
            vec![1.0, 0.0, 0.0, 0.0],
        ];
        let (statistic, freedom) = transitions(&counts, &model);
        p_of_chi2(statistic, freedom)
    };
    all_seeds("four states", |seed| run(&CHAIN, seed));
    for wrong in [
        FourState {
            p13: CHAIN.p13 * 1.05,
            ..CHAIN
        },
        FourState {
            p31: CHAIN.p31 * 1.05,
            ..CHAIN
        },
        FourState {
            p32: CHAIN.p32 * 1.05,
            ..CHAIN
        },
        FourState {
            p23: CHAIN.p23 * 1.05,
            ..CHAIN
        },
        FourState {
            p14: CHAIN.p14 * 1.05,
            ..CHAIN
        },
    ] {
        assert!(pooled(|seed| run(&wrong, seed)) < LEAST, "{wrong:?}");
    }
}

/// Delays of a million packets in units of the jitter, through the link.
fn deviations(distribution: Distribution, scale: f64, correlation: f64, seed: u64) -> Vec<f64> {
    let path = Path {
        latency_ms: 1000.0,
        jitter_ms: 100.0 * scale,
        distribution,
        jitter_correlation: correlation,
        overtaking: true,
        ..Path::default()
    };
    let config = LinkConfig {
        up: path,
        ..LinkConfig::default()
    };
    let mut link = Link::new(config, seed);
    let one = |link: &mut Link| {
        link.send(Instant::ZERO, Instant::ZERO, Direction::Up, vec![]);
        let at = link.next_wake().expect("a packet is under way");
        link.receive(at).expect("it arrives");
        (at.nanos() as f64 / 1e6 - 1000.0) / 100.0
    };
    (0..PACKETS).map(|_| one(&mut link)).collect()
}

/// Equally likely bins of a distribution by its function.
fn bins(sample: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    const BINS: usize = 64;
    let mut counts = [0.0; BINS];
    for x in sample {
        counts[((cdf(*x) * BINS as f64) as usize).min(BINS - 1)] += 1.0;
    }
    let wanted = sample.len() as f64 / BINS as f64;
    let statistic = counts
        .iter()
        .map(|c| (c - wanted) * (c - wanted) / wanted)
        .sum();
    p_of_chi2(statistic, BINS - 1)
}

fn uniform(x: f64) -> f64 {
    ((x + 1.0) / 2.0).clamp(0.0, 1.0)
}

fn pareto(x: f64) -> f64 {
    if x >= 3.999 {
        // The cut tail, spread over its place.
        return 1.0 - 1e-9;
    }
    (1.0 - (x * 0.75 + 1.5).powi(-3)).clamp(0.0, 1.0)
}

#[test]
fn jitter_has_the_distribution_it_says() {
    let standard = Normal::standard();
    let gauss = |x: f64| standard.cdf(x);
    type Cdf<'a> = &'a dyn Fn(f64) -> f64;
    let cases: [(Distribution, Cdf<'_>); 3] = [
        (Distribution::Uniform, &uniform),
        (Distribution::Normal, &gauss),
        (Distribution::Pareto, &pareto),
    ];
    for (distribution, cdf) in cases {
        for correlation in [0.0, 0.5] {
            // Correlated samples: every fortieth is as good as independent.
            let thin = if correlation > 0.0 { 40 } else { 1 };
            let p_value = |scale, seed| {
                let all = deviations(distribution.clone(), scale, correlation, seed);
                bins(&all.into_iter().step_by(thin).collect::<Vec<_>>(), cdf)
            };
            all_seeds(&format!("{distribution:?}"), |seed| p_value(1.0, seed));
            if thin == 1 {
                assert!(p_value(1.05, 0) < LEAST, "{distribution:?} at 1.05");
            }
        }
    }
}

/// The mixture has no handy function; its quantiles are the mean of the two.
#[test]
fn the_mixture_has_a_quarter_of_the_normal() {
    let mut sample = deviations(Distribution::ParetoNormal, 1.0, 0.0, 1);
    sample.sort_by(f64::total_cmp);
    for u in [0.05_f64, 0.25, 0.5, 0.75, 0.95] {
        let pareto = 4.0 / 3.0 * ((1.0 - u).powf(-1.0 / 3.0) - 1.5);
        let wanted = (normal(u) + 3.0 * pareto) / 4.0;
        let seen = sample[(u * PACKETS as f64) as usize];
        assert!((seen - wanted).abs() < 0.02, "{u}: {seen} {wanted}");
    }
}

/// The correlation given is that of the normal variables behind the delays.
#[test]
fn successive_delays_are_as_alike_as_asked() {
    let p_value = |real: f64, tested: f64, seed| {
        let sample = deviations(Distribution::Normal, 1.0, real, seed);
        let n = sample.len() as f64;
        let square: f64 = sample.iter().map(|x| x * x).sum();
        let product: f64 = sample.windows(2).map(|two| two[0] * two[1]).sum();
        let lag = product / square;
        p_of_z((lag - tested) / ((1.0 - tested * tested) / n).sqrt())
    };
    for correlation in [0.25, 0.75] {
        all_seeds("lag 1", |seed| p_value(correlation, correlation, seed));
        assert!(p_value(correlation * 1.05, correlation, 0) < LEAST);
    }
}
