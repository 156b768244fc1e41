//! The world's time for the guest programs.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use airbench_airtun::Clock;
use airbench_clock::Instant;

#[derive(Default)]
struct State {
    now: Instant,
    timers: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

/// A clock that stands still until the world moves it.
#[derive(Clone)]
pub(crate) struct VirtualClock {
    state: Arc<Mutex<State>>,
    epoch: i64,
}

impl VirtualClock {
    pub(crate) fn new(epoch: i64) -> Self {
        Self {
            state: Arc::default(),
            epoch,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A poisoned lock only means that some task panicked meanwhile; the
        // state is plain data and stays consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on and wakes what is due. True if something was.
    pub(crate) fn advance(&self, now: Instant) -> bool {
        let mut state = self.lock();
        state.now = state.now.max(now);
        let mut woken = false;
        while let Some(entry) = state.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().wake();
            woken = true;
        }
        woken
    }

    /// When the next sleeper is due.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.lock().timers.keys().next().map(|(at, _)| *at)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.lock().now.since(Instant::ZERO)
    }

    fn date(&self) -> SystemTime {
        let epoch = Duration::from_secs(u64::try_from(self.epoch).unwrap_or(0));
        SystemTime::UNIX_EPOCH + epoch + self.now()
    }

    fn sleep(&self, span: Duration) -> airbench_airtun::Sleep {
        let at = self.lock().now + span;
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
        let at = self.at;
        let known = self.id;
        let mut state = self.clock.lock();
        if state.now >= at {
            return Poll::Ready(());
        }
        let id = known.unwrap_or(state.next_id);
        if known.is_none() {
            state.next_id += 1;
            state.timers.insert((at, id), cx.waker().clone());
        } else if let Some(waker) = state.timers.get_mut(&(at, id)) {
            waker.clone_from(cx.waker());
        }
        drop(state);
        self.id = Some(id);
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.lock().timers.remove(&(self.at, id));
        }
    }
}
