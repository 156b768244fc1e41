//! Radio link failure: what becomes of a connection in an outage.
//!
//! Out of sync for T310 the device declares a failure and looks for a cell to
//! re-establish the connection on while T311 runs; then it is idle, and in some
//! networks its data context is gone too (3GPP TS 36.331, 5.3.7 and 5.3.11).

use std::time::Duration;

use airbench_clock::Instant;
use serde::{Deserialize, Serialize};

/// Timers of a radio link failure. Without any, outages lose packets and nothing
/// else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RlfConfig {
    /// Outage to failure: T310 with the indications before it; 0: none.
    pub t310_ms: u64,
    /// How long a device tries to re-establish the connection; 0: it does not.
    pub t311_ms: u64,
    /// A device that gives up loses its data context.
    pub lose_context: bool,
    /// The radio's return to the next attach; 0: flight mode or a reset only.
    pub recover_ms: u64,
}

impl RlfConfig {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        if self.t310_ms == 0 && *self != Self::default() {
            return Err("t310_ms is 0: without it there is no failure to go on from".into());
        }
        if self.recover_ms > 0 && !self.lose_context {
            return Err(format!(
                "recover_ms is {}, but lose_context is false: nothing has to recover",
                self.recover_ms
            ));
        }
        Ok(())
    }
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RlfEvent {
    /// The device has found its radio link to have failed.
    Failed,
    /// The connection goes on.
    Reestablished,
    /// The device has given it up.
    GaveUp,
    /// There is a cell again.
    CellFound,
}

impl RlfEvent {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "radio-link-failure",
            Self::Reestablished => "rrc-reestablished",
            Self::GaveUp => "out-of-service",
            Self::CellFound => "cell-found",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InSync,
    /// T310 ends then.
    OutOfSync(Instant),
    /// T311 ends then.
    Failed(Instant),
    OutOfService,
}

/// The radio link of one device.
#[derive(Debug)]
pub struct Rlf {
    config: RlfConfig,
    state: State,
    down: bool,
}

impl Rlf {
    /// A link in sync.
    pub fn new(config: RlfConfig) -> Self {
        Self {
            config,
            state: State::InSync,
            down: false,
        }
    }

    /// There are numbers for it.
    pub fn is_modelled(&self) -> bool {
        self.config.t310_ms > 0
    }

    /// The device has no cell.
    pub fn is_out_of_service(&self) -> bool {
        self.state == State::OutOfService
    }

    /// The numbers in force.
    pub fn config(&self) -> &RlfConfig {
        &self.config
    }

    /// The radio is down from now on, or no longer. A failure needs a connection
    /// to fail.
    pub fn set_down(&mut self, now: Instant, down: bool, connected: bool) {
        if self.down == down || !self.is_modelled() {
            return;
        }
        self.down = down;
        self.state = match self.state {
            State::InSync if down && connected => {
                State::OutOfSync(now + Duration::from_millis(self.config.t310_ms))
            }
            State::InSync if down => State::OutOfService,
            State::OutOfSync(_) if !down => State::InSync,
            state => state,
        };
    }

    /// When a timer ends; a change of the radio may come earlier.
    pub fn next_wake(&self) -> Option<Instant> {
        match self.state {
            State::OutOfSync(at) => Some(at),
            State::Failed(at) if self.down => Some(at),
            State::Failed(_) => Some(Instant::ZERO),
            State::OutOfService if !self.down => Some(Instant::ZERO),
            _ => None,
        }
    }

    /// What has come by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<RlfEvent> {
        if self.next_wake()? > now {
            return None;
        }
        let (state, event) = match self.state {
            State::OutOfSync(at) => {
                let end = at + Duration::from_millis(self.config.t311_ms);
                (State::Failed(end), RlfEvent::Failed)
            }
            State::Failed(end) if !self.down && self.config.t311_ms > 0 && now < end => {
                (State::InSync, RlfEvent::Reestablished)
            }
            State::Failed(_) => (State::OutOfService, RlfEvent::GaveUp),
            _ => (State::InSync, RlfEvent::CellFound),
        };
        self.state = state;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of an outage from 0 to `end`, with their times.
    fn outage(config: RlfConfig, end: u64) -> Vec<(u64, RlfEvent)> {
        let mut rlf = Rlf::new(config);
        let mut seen = Vec::new();
        let mut back = Some(Instant::from_millis(end));
        rlf.set_down(Instant::ZERO, true, true);
        let mut now = Instant::ZERO;
        while let Some(at) = Instant::earliest([rlf.next_wake(), back]) {
            now = now.max(at);
            if back.is_some_and(|end| end <= now) {
                back = None;
                rlf.set_down(now, false, true);
            }
            while let Some(event) = rlf.poll(now) {
                seen.push((now.millis(), event));
            }
        }
        seen
    }

    fn config(t311_ms: u64) -> RlfConfig {
        RlfConfig {
            t310_ms: 1000,
            t311_ms,
            ..RlfConfig::default()
        }
    }

    #[test]
    fn a_short_outage_is_no_failure() {
        assert_eq!(outage(config(3000), 999), []);
    }

    #[test]
    fn a_failure_is_mended_while_t311_runs() {
        use RlfEvent::{CellFound, Failed, GaveUp, Reestablished};
        assert_eq!(
            outage(config(3000), 2500),
            [(1000, Failed), (2500, Reestablished)]
        );
        assert_eq!(
            outage(config(3000), 9000),
            [(1000, Failed), (4000, GaveUp), (9000, CellFound)]
        );
        assert_eq!(
            outage(config(0), 1500),
            [(1000, Failed), (1000, GaveUp), (1500, CellFound)]
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let lone = RlfConfig {
            t311_ms: 1,
            ..RlfConfig::default()
        };
        assert!(lone.check().unwrap_err().contains("t310_ms"));
        let vain = RlfConfig {
            recover_ms: 1,
            ..config(0)
        };
        assert!(vain.check().unwrap_err().contains("lose_context"));
    }
}
