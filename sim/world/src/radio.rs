//! The radio connection between board and link: what the modem's state, an outage
//! and time do to it.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lte::RlfEvent;
use airbench_trace::{Event, Kind, Source};

use crate::world::World;

impl World {
    /// When the connection changes by itself.
    pub(crate) fn radio_wake(&self) -> Option<Instant> {
        if !self.radio {
            return None;
        }
        let change = self.link.next_change();
        let handover = self.handover;
        Instant::earliest([self.rrc.next_wake(), self.rlf.next_wake(), change, handover])
    }

    /// Changes of the connection that are due by `at`.
    pub(crate) fn drive_radio(&mut self, at: Instant) {
        if !self.radio {
            return;
        }
        let down = self.link.is_down(at);
        if self.rlf.is_modelled() {
            self.drive_failure(at, down);
        } else {
            // Where no failure of the radio link is modelled a device that is on-line
            // does not notice; nobody attaches, though.
            self.board.modem_mut().set_service(at, !down);
        }
        self.drive_handover(at);
        if !down {
            for (phone, text) in std::mem::take(&mut self.messages) {
                self.board.receive_sms(at, &phone, &text);
            }
        }
        if !self.rrc.is_modelled() {
            return;
        }
        let (release, saves_power) = self.board.radio_wishes();
        self.rrc.set_wishes(release, saves_power);
        self.rrc.set_attached(at, self.board.is_online());
        while let Some(event) = self.rrc.poll(at) {
            self.radio_event(at, event.name());
        }
    }

    /// A connected device changes its cell; an idle one only camps on another.
    fn drive_handover(&mut self, at: Instant) {
        if self.handover == Some(at) {
            self.radio_event(at, "handover");
        }
        let connected = self.board.is_online() && !self.rrc.is_idle();
        let next = connected.then(|| self.link.next_handover(at)).flatten();
        self.handover = next;
    }

    /// What an outage does to the connection.
    fn drive_failure(&mut self, at: Instant, down: bool) {
        let connected = self.board.is_online() && !self.rrc.is_idle();
        self.rlf.set_down(at, down, connected);
        while let Some(event) = self.rlf.poll(at) {
            self.radio_event(at, event.name());
            let recover = self.rlf.config().recover_ms;
            let loses = self.rlf.config().lose_context;
            match event {
                RlfEvent::GaveUp => {
                    self.rrc.release(at);
                    let modem = self.board.modem_mut();
                    modem.set_service(at, false);
                    modem.set_registered(at, false);
                    if loses {
                        modem.lose_context(at, None);
                        // The board must lose it before it can get it back.
                        return;
                    }
                }
                RlfEvent::CellFound => {
                    let modem = self.board.modem_mut();
                    modem.set_service(at, true);
                    modem.set_registered(at, true);
                    if loses && recover > 0 && !modem.is_up() {
                        modem.lose_context(at, Some(Duration::from_millis(recover)));
                    }
                }
                RlfEvent::Failed | RlfEvent::Reestablished => {}
            }
        }
    }

    fn radio_event(&mut self, at: Instant, name: &str) {
        self.record(Event::new(at, Source::Modem, Kind::State, name));
    }
}
