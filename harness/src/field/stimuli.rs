//! What a capture shows to have been done to the device.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_trace::{Event, Kind, Source};
use airbench_world::Action;

use super::Capture;

/// Something done to the device, and when after its connection stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Stimulus {
    /// Time since the anchor.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// What was done, and what cannot be told.
#[derive(Debug, Clone, Default)]
pub struct Stimuli {
    /// In their order.
    pub list: Vec<Stimulus>,
    /// Time since the anchor at which the capture ends.
    pub end: Duration,
    /// The capture's time of the anchor.
    pub anchor: Instant,
    /// The anchor is the device's first WebSocket; otherwise the capture's first
    /// event.
    pub connected: bool,
    /// Stimuli before the anchor, which are left out.
    pub early: usize,
}

/// Bytes closer together than this are one burst of the peer.
const BURST: Duration = Duration::from_millis(3);

/// The link is down after these.
pub fn ends_down(list: &[Stimulus]) -> bool {
    let mut links = list
        .iter()
        .rev()
        .filter_map(|stimulus| match stimulus.action {
            Action::Outage(down) => Some(down),
            _ => None,
        });
    links.next().unwrap_or(false)
}

/// The LuatOS id of a UART's source.
fn uart_id(source: Source) -> Option<u8> {
    match source {
        Source::Uart0 => Some(0),
        Source::Uart1 => Some(1),
        Source::Uart2 => Some(2),
        Source::Vuart => Some(0x20),
        _ => None,
    }
}

impl Stimuli {
    /// What a capture shows.
    pub fn of(capture: &Capture) -> Self {
        let events = &capture.events;
        let shake = events.iter().find(|event| event.kind == Kind::Handshake);
        let anchor = shake
            .or(events.first())
            .map_or(Instant::ZERO, |event| event.time);
        let end = events
            .last()
            .map_or(anchor, |event| event.time)
            .since(anchor);
        let mut stimuli = Self {
            end,
            anchor,
            connected: shake.is_some(),
            ..Self::default()
        };
        stimuli.bursts(events);
        if let Some(link) = &capture.head.link {
            for silence in &link.silences {
                // At the latest; the device's own silence says no more.
                stimuli.add(Instant::from_nanos(silence.heard), Action::Outage(true));
                // One that does not end is taken to end with the capture: what a
                // device does for ever without a network is no failure of its own.
                let last = anchor + end;
                let until = silence.until.map_or(last, Instant::from_nanos);
                stimuli.add(until, Action::Outage(false));
            }
        }
        stimuli.list.sort_by_key(|stimulus| stimulus.at);
        stimuli
    }

    fn add(&mut self, at: Instant, action: Action) {
        if at < self.anchor {
            self.early += 1;
        } else {
            let at = at.since(self.anchor);
            self.list.push(Stimulus { at, action });
        }
    }

    /// What the peer has sent, pieces without a silence between them as one.
    fn bursts(&mut self, events: &[Event]) {
        // Begin, end, port and bytes of each.
        let mut list: Vec<(Instant, Instant, u8, Vec<u8>)> = Vec::new();
        for event in events.iter().filter(|event| event.kind == Kind::Rx) {
            let Some(id) = uart_id(event.source) else {
                continue;
            };
            match list.last_mut() {
                Some((_, end, port, bytes)) if *port == id && event.time.since(*end) < BURST => {
                    bytes.extend_from_slice(&event.bytes);
                    *end = event.time;
                }
                _ => list.push((event.time, event.time, id, event.bytes.clone())),
            }
        }
        for (at, _, id, bytes) in list {
            let baud = None;
            self.add(at, Action::Uart { id, bytes, baud });
        }
    }
}
