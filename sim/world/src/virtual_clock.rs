//! The world's time for the guest programs.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use airbench_airtun::Clock;
use airbench_clock::Instant;

/// What the clock and its sleepers share. The world asks for time and next sleeper
/// at every step: they lie outside the lock.
struct Shared {
    /// Nanoseconds.
    now: AtomicU64,
    /// The next sleeper's, or `u64::MAX`.
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    timers: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

/// A clock that stands still until the world moves it.
#[derive(Clone)]
pub(crate) struct VirtualClock {
    shared: Arc<Shared>,
    epoch: i64,
}

impl VirtualClock {
    pub(crate) fn new(epoch: i64) -> Self {
        Self {
            shared: Arc::new(Shared {
                now: AtomicU64::new(0),
                next: AtomicU64::new(u64::MAX),
                state: Mutex::default(),
            }),
            epoch,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock only means that some task panicked meanwhile; the
        // state is plain data and stays consistent.
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self) -> Instant {
        Instant::from_nanos(self.shared.now.load(Ordering::Relaxed))
    }

    /// The sleepers have changed.
    fn note_next(&self, state: &State) {
        let next = state.timers.keys().next();
        let nanos = next.map_or(u64::MAX, |(at, _)| at.nanos());
        self.shared.next.store(nanos, Ordering::Relaxed);
    }

    /// Moves on and wakes what is due. True if something was.
    pub(crate) fn advance(&self, now: Instant) -> bool {
        self.shared.now.fetch_max(now.nanos(), Ordering::Relaxed);
        if self.shared.next.load(Ordering::Relaxed) > now.nanos() {
            return false;
        }
        let mut state = self.lock();
        let mut woken = false;
        while let Some(entry) = state.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().wake();
            woken = true;
        }
        self.note_next(&state);
        woken
    }

    /// When the next sleeper is due.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let nanos = self.shared.next.load(Ordering::Relaxed);
        (nanos != u64::MAX).then(|| Instant::from_nanos(nanos))
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.time().since(Instant::ZERO)
    }

    fn date(&self) -> SystemTime {
        let epoch = Duration::from_secs(u64::try_from(self.epoch).unwrap_or(0));
        SystemTime::UNIX_EPOCH + epoch + self.now()
    }

    fn sleep(&self, span: Duration) -> airbench_airtun::Sleep {
        let at = self.time() + span;
        Box::pin(VirtualSleep {
            clock: self.clone(),
            at,
            id: None,
        })
    }
}

struct VirtualSleep {
    clock: VirtualClock,
    at: Instant,
    id: Option<u64>,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { clock, at, id } = &mut *self;
        if clock.time() >= *at {
            return Poll::Ready(());
        }
        let mut state = clock.lock();
        match id {
            Some(id) => {
                if let Some(waker) = state.timers.get_mut(&(*at, *id)) {
                    waker.clone_from(cx.waker());
                }
            }
            None => {
                let new = state.next_id;
                state.next_id += 1;
                state.timers.insert((*at, new), cx.waker().clone());
                clock.note_next(&state);
                *id = Some(new);
            }
        }
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut state = self.clock.lock();
            state.timers.remove(&(self.at, id));
            self.clock.note_next(&state);
        }
    }
}
