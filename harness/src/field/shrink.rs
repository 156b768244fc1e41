//! The fewest stimuli that still fail: delta debugging (Zeller's ddmin).

use std::time::Duration;

use super::Stimulus;

/// Shrinks `list` as long as `fails` says the same failure shows; `progress` hears
/// of each smaller list. `fails` must hold for `list`, or nothing is shrunk.
pub fn shrink<E>(
    list: &[Stimulus],
    mut fails: impl FnMut(&[Stimulus]) -> Result<bool, E>,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Stimulus>, E> {
    let mut best = list.to_vec();
    let mut parts = 2;
    while best.len() >= 2 {
        let size = best.len().div_ceil(parts);
        let mut smaller = None;
        for part in 0..best.len().div_ceil(size) {
            let range = part * size..((part + 1) * size).min(best.len());
            let mut rest = best.clone();
            rest.drain(range);
            if fails(&rest)? {
                smaller = Some(rest);
                break;
            }
        }
        match smaller {
            Some(rest) => {
                best = rest;
                progress(best.len());
                parts = (parts - 1).max(2);
            }
            None if parts >= best.len() => break,
            None => parts = (parts * 2).min(best.len()),
        }
    }
    Ok(best)
}

/// The same stimuli without the time before the first, if they still fail then.
pub fn hasten<E>(
    list: Vec<Stimulus>,
    soon: Duration,
    mut fails: impl FnMut(&[Stimulus]) -> Result<bool, E>,
) -> Result<Vec<Stimulus>, E> {
    let first = list.first().map_or(Duration::ZERO, |stimulus| stimulus.at);
    let early = first.saturating_sub(soon);
    let moved: Vec<Stimulus> = list
        .iter()
        .map(|stimulus| Stimulus {
            at: stimulus.at.saturating_sub(early),
            action: stimulus.action.clone(),
        })
        .collect();
    Ok(if !early.is_zero() && fails(&moved)? {
        moved
    } else {
        list
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use airbench_world::Action;
    use std::convert::Infallible;

    #[test]
    fn what_does_not_matter_goes() {
        let list: Vec<Stimulus> = (0..1000)
            .map(|number| Stimulus {
                at: Duration::from_secs(number),
                action: Action::Sim(true),
            })
            .collect();
        let mut runs = 0;
        let found = shrink(
            &list,
            |rest| {
                runs += 1;
                let has = |second| rest.iter().any(|s| s.at.as_secs() == second);
                Ok::<_, Infallible>(has(17) && has(803))
            },
            |_| (),
        );
        let Ok(found) = found;
        let seconds: Vec<u64> = found.iter().map(|s| s.at.as_secs()).collect();
        assert_eq!(seconds, [17, 803]);
        assert!(runs < 200, "{runs}");
    }
}
