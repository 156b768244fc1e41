//! Software timers on the RTOS's 1 ms tick.

use std::time::Duration;

use airbench_clock::Instant;

/// Timers Lua may have at the same time, `sys.wait` included.
pub(crate) const LIMIT: usize = 64;

/// One timer.
#[derive(Debug)]
pub(crate) struct Timer {
    key: u64,
    /// Lua's number for it.
    pub(crate) id: i32,
    /// 0 once, -1 for ever, else how many times more.
    pub(crate) repeat: i32,
    period_ms: u64,
    /// `None` for a one-shot that has fired and waits to be handled.
    next: Option<Instant>,
}

/// All timers of a device.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    list: Vec<Timer>,
    last_key: u64,
}

impl Timers {
    /// Starts a timer; false when all are taken. The first tick counted is the
    /// one under way, so a timer fires up to 1 ms early, as FreeRTOS's do.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        boot: Instant,
        id: i32,
        ms: u64,
        repeat: i32,
    ) -> bool {
        if self.list.len() >= LIMIT {
            return false;
        }
        let ticks = u64::try_from(now.since(boot).as_millis()).unwrap_or(u64::MAX);
        let next = boot + Duration::from_millis(ticks.saturating_add(ms));
        self.last_key += 1;
        self.list.push(Timer {
            key: self.last_key,
            id,
            repeat,
            period_ms: ms,
            next: Some(next),
        });
        true
    }

    /// Stops every timer with this number.
    pub(crate) fn stop(&mut self, id: i32) {
        self.list.retain(|timer| timer.id != id);
    }

    /// The key of a timer that fires by `now`; periodic ones are set anew.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<u64> {
        let due = |timer: &&mut Timer| timer.next.is_some_and(|at| at <= now);
        // Equal times fire in the order of their start.
        let timer = self
            .list
            .iter_mut()
            .filter(due)
            .min_by_key(|timer| (timer.next, timer.key))?;
        timer.next = match (timer.repeat, timer.next) {
            (0, _) | (_, None) => None,
            (_, Some(at)) => Some(at + Duration::from_millis(timer.period_ms)),
        };
        Some(timer.key)
    }

    /// Handles a fired timer: its number and the repeat count to report. A
    /// timer that was stopped meanwhile gives nothing.
    pub(crate) fn handle(&mut self, key: u64) -> Option<(i32, i32)> {
        let index = self.list.iter().position(|timer| timer.key == key)?;
        let timer = &mut self.list[index];
        let reported = (timer.id, timer.repeat);
        match timer.repeat {
            0 => {
                self.list.remove(index);
            }
            n if n > 0 => timer.repeat -= 1,
            _ => {}
        }
        Some(reported)
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.list.iter().filter_map(|timer| timer.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fire(timers: &mut Timers, until: u64) -> Vec<(u64, i32, i32)> {
        let mut fired = Vec::new();
        while let Some(at) = timers.next_wake().filter(|at| at.millis() <= until) {
            while let Some(key) = timers.poll(at) {
                if let Some((id, repeat)) = timers.handle(key) {
                    fired.push((at.millis(), id, repeat));
                }
            }
        }
        fired
    }

    #[test]
    fn counted_timers_fire_once_more_than_their_count() {
        let mut timers = Timers::default();
        timers.start(Instant::ZERO, Instant::ZERO, 7, 10, 2);
        assert_eq!(fire(&mut timers, 100), [(10, 7, 2), (20, 7, 1), (30, 7, 0)]);
    }

    #[test]
    fn a_timer_counts_from_the_tick_under_way() {
        let mut timers = Timers::default();
        timers.start(Instant::from_nanos(3_900_000), Instant::ZERO, 1, 10, 0);
        assert_eq!(fire(&mut timers, 100), [(13, 1, 0)]);
    }

    #[test]
    fn stopping_a_fired_timer_discards_its_message() {
        let mut timers = Timers::default();
        timers.start(Instant::ZERO, Instant::ZERO, 1, 10, 0);
        let key = timers.poll(Instant::from_millis(10)).unwrap();
        timers.stop(1);
        assert_eq!(timers.handle(key), None);
    }

    #[test]
    fn the_sixty_fifth_timer_is_refused() {
        let mut timers = Timers::default();
        let started = (0..65).filter(|id| timers.start(Instant::ZERO, Instant::ZERO, *id, 1, 0));
        assert_eq!(started.count(), 64);
    }
}
