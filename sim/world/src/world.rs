//! The world: one clock, one queue, one log.

use std::sync::Arc;
use std::time::Duration;

use airbench_board::{Board, BoardError};
use airbench_clock::Instant;
use airbench_lte::{Direction, Link, Nat, Passage, Path, Rlf, Rrc};
use airbench_luatos::{Config, Secrets, Tunables};
use airbench_trace::{Event, Hash, Kind, Log, Retention, Source};
use airbench_uart::Framing;

use crate::action::Action;
use crate::capture::{Capture, TapAt};
use crate::internet::Internet;
use crate::setup::Setup;

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The board cannot.
    #[error(transparent)]
    Board(#[from] BoardError),
}

/// Lua may compute at most so far ahead in one go, so that a script that never
/// stops is noticed.
const LOOK_AHEAD: Duration = Duration::from_secs(1);

/// Counts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Messages the server received.
    pub messages_in: u64,
    /// Messages the server sent.
    pub messages_out: u64,
    /// Messages of servers handed to the script.
    pub delivered: u64,
    /// Packets from the device.
    pub packets_up: u64,
    /// Packets to the device.
    pub packets_down: u64,
    /// Packets the link lost.
    pub packets_lost: u64,
}

/// Called with every event, in order.
type Sink = Box<dyn FnMut(&Event) + Send>;

/// A board, its link, and the internet behind it.
pub struct World {
    now: Instant,
    pub(crate) board: Board,
    pub(crate) link: Link,
    pub(crate) rrc: Rrc,
    pub(crate) rlf: Rlf,
    /// The profile has numbers for either of them.
    pub(crate) radio: bool,
    /// When a connected device changes its cell next.
    pub(crate) handover: Option<Instant>,
    /// Short messages for a device that is out of reach: sender and text.
    pub(crate) messages: Vec<(String, String)>,
    nat: Nat,
    dead_bearer: bool,
    internet: Internet,
    log: Log,
    stats: Stats,
    sinks: Vec<Sink>,
    capture: Option<(TapAt, Box<dyn Capture>)>,
    secrets: Arc<Secrets>,
    /// Events on their way into the log; kept to reuse its memory.
    scratch: Vec<Event>,
}

impl World {
    /// A world at its beginning; the board has no power yet.
    pub fn new(setup: &Setup, retention: Retention) -> Self {
        let secrets = Arc::<Secrets>::default();
        let config = Config {
            core: setup.core,
            seed: setup.seed,
            identity: setup.identity.clone(),
            epoch: setup.epoch,
            tunables: Tunables::default(),
            scripts: setup.scripts.clone(),
            devices: setup.devices.clone(),
            access_points: setup.access_points.clone(),
            secrets: Arc::clone(&secrets),
        };
        let rrc = Rrc::new(setup.profile.rrc.clone(), setup.seed);
        let rlf = Rlf::new(setup.profile.rlf.clone());
        Self {
            now: Instant::ZERO,
            radio: rrc.is_modelled()
                || rlf.is_modelled()
                || setup.profile.link.flapping.is_some()
                || setup.profile.link.handover.is_some(),
            handover: None,
            messages: Vec::new(),
            board: Board::new(config, setup.profile.modem.clone(), setup.flash.clone()),
            link: Link::new(setup.profile.link.clone(), setup.seed),
            rrc,
            rlf,
            nat: Nat::new(setup.profile.nat.clone()),
            dead_bearer: setup.profile.carrier.dead_bearer,
            internet: Internet::new(setup),
            log: Log::new(retention),
            stats: Stats::default(),
            sinks: Vec::new(),
            capture: None,
            secrets,
            scratch: Vec::new(),
        }
    }

    /// Hands every further event to `sink` as well.
    pub fn add_sink(&mut self, sink: impl FnMut(&Event) + Send + 'static) {
        self.sinks.push(Box::new(sink));
    }

    /// Lets `capture` see the packets at a place from now on.
    pub fn capture(&mut self, place: TapAt, capture: impl Capture + 'static) {
        self.secrets.keep();
        self.capture = Some((place, Box::new(capture)));
    }

    /// Drops all sinks, so that those that buffer write what they hold.
    pub fn flush_sinks(&mut self) {
        self.sinks.clear();
        self.capture = None;
    }

    /// The time everything has reached.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The event log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The hash of the run so far.
    pub fn hash(&self) -> Hash {
        self.log.hash()
    }

    /// The radio link.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The servers answer.
    pub(crate) fn is_serving(&self) -> bool {
        self.internet.is_serving()
    }

    /// The servers' machines are on the network.
    pub(crate) fn has_hosts(&self) -> bool {
        self.internet.is_reachable()
    }

    /// What impairs one direction of the link.
    pub fn path(&self, direction: Direction) -> &Path {
        self.link.path(direction)
    }

    /// Counts of the run so far.
    pub fn stats(&self) -> Stats {
        Stats {
            delivered: self.board.delivered(),
            ..self.stats
        }
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The board, to ask it for what it counts.
    pub fn board_mut(&mut self) -> &mut Board {
        &mut self.board
    }

    /// Does something to the world, now.
    pub fn act(&mut self, action: &Action) -> Result<(), WorldError> {
        // Serialising a plain enum cannot fail.
        let text = serde_json::to_string(action).unwrap_or_default();
        self.record(Event::new(self.now, Source::Bench, Kind::Action, text));
        let now = self.now;
        match action {
            Action::PowerOn => self.board.power_on(now)?,
            Action::PowerOff => self.board.power_off(now),
            Action::Reset => self.board.press_reset(now)?,
            Action::Sim(present) => self.board.modem_mut().set_sim(now, *present),
            Action::Outage(on) => {
                self.link.set_outage(*on);
                self.radio = true;
            }
            Action::LoseContext(back) => {
                let back = back.map(Duration::from_millis);
                self.board.modem_mut().lose_context(now, back);
            }
            Action::Link(up, path) => {
                *self.link.path_mut(Action::direction(*up)) = (**path).clone()
            }
            Action::Faults(faults) => self.internet.set_faults(faults.clone()),
            Action::Cell(cell) => self.board.set_cell(*cell),
            Action::Nat(nat) => self.nat.set_config(nat.clone()),
            Action::Carrier(carrier) => {
                self.dead_bearer = carrier.dead_bearer;
                self.internet.set_carrier(carrier.clone());
            }
            Action::Flapping(flapping) => {
                self.link.set_flapping(now, flapping.clone());
                self.radio = true;
            }
            Action::Publish(topic, payload, qos, retain) => {
                self.internet.publish(now, topic, payload, *qos, *retain);
            }
            Action::Server(on) => self.internet.set_serving(now, *on),
            Action::Host(on) => self.internet.set_hosts(now, *on),
            Action::Uart { id, bytes, baud } => {
                let framing = baud.map(|baud| Framing {
                    baud,
                    ..Framing::default()
                });
                if self.board.send_to_uart(now, *id, bytes, framing)?
                    && let Some(source) = Source::uart(*id)
                {
                    self.record(Event::new(now, source, Kind::Rx, bytes.clone()));
                }
            }
            Action::Adc(channel, value) => {
                self.board.set_adc(now, *channel, *value);
            }
            // The service centre keeps it for a device that is out of reach.
            Action::Sms(phone, text) => {
                self.messages.push((phone.clone(), text.clone()));
                self.radio = true;
            }
            Action::Pin(pin, level) => self.board.drive_pin(now, *pin, *level)?,
        }
        // An outage begins and ends now, whether anything else is due or not.
        self.drive_radio(now);
        self.collect();
        Ok(())
    }

    /// When something happens next.
    pub fn next_wake(&self) -> Option<Instant> {
        let wakes = [
            self.link.next_wake(),
            self.radio_wake(),
            self.board.next_wake(),
            self.internet.next_wake(),
        ];
        Instant::earliest(wakes).map(|at| at.max(self.now))
    }

    /// Works off everything up to and including `end`, and stands there.
    pub fn run_until(&mut self, end: Instant) -> Result<(), WorldError> {
        while let Some(at) = self.next_wake() {
            if at > end {
                break;
            }
            self.step(at, end)?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Everything that is due at `at`.
    fn step(&mut self, at: Instant, end: Instant) -> Result<(), WorldError> {
        self.now = at;
        while let Some((direction, packet)) = self.link.receive(at) {
            match direction {
                Direction::Up => self.reach_internet(at, packet),
                Direction::Down => {
                    self.tap(TapAt::Radio, at, Direction::Down, &packet);
                    self.board.receive_packet(at, packet);
                }
            }
            self.collect();
        }
        self.record_losses();
        self.drive_radio(at);
        self.internet.poll(at);
        self.collect();
        let outside = [
            self.link.next_wake(),
            self.internet.next_wake(),
            self.radio_wake(),
        ];
        let horizon = Instant::earliest(outside).unwrap_or(end).min(end);
        let horizon = horizon.min(at + LOOK_AHEAD);
        let polled = self.board.poll(at, horizon);
        // Before what Lua did ahead of time.
        self.drive_radio(at);
        self.collect();
        Ok(polled?)
    }

    /// Takes events and packets from the components.
    fn collect(&mut self) {
        let mut events = std::mem::take(&mut self.scratch);
        self.internet.take_events(&mut events);
        for event in events.drain(..) {
            match event.kind {
                Kind::MessageIn => self.stats.messages_in += 1,
                Kind::MessageOut => self.stats.messages_out += 1,
                _ => {}
            }
            self.record(event);
        }
        while let Some(packet) = self.internet.transmit() {
            self.leave_internet(packet);
        }
        // Lua may have run ahead: its events and packets are merged by time.
        self.board.take_events(&mut events);
        let mut packet = self.board.transmit();
        for event in events.drain(..) {
            while let Some((at, bytes)) = packet.take_if(|(at, _)| *at < event.time) {
                self.send(at, Direction::Up, bytes);
                packet = self.board.transmit();
            }
            self.record(event);
        }
        while let Some((at, bytes)) = packet {
            self.send(at, Direction::Up, bytes);
            packet = self.board.transmit();
        }
        self.scratch = events;
    }

    /// A packet from the device stands at the carrier's gate.
    fn reach_internet(&mut self, at: Instant, packet: Vec<u8>) {
        match self.nat.pass(at, Direction::Up, &packet) {
            _ if self.dead_bearer => self.lose(at, "up bearer"),
            Passage::Forward => {
                self.tap(TapAt::Server, at, Direction::Up, &packet);
                self.internet.receive(at, packet);
            }
            Passage::Drop => self.lose(at, "up nat"),
            Passage::Reset(reset) => {
                self.lose(at, "up nat");
                self.send(at, Direction::Down, reset);
            }
        }
    }

    /// A packet for the device stands there.
    fn leave_internet(&mut self, packet: Vec<u8>) {
        let at = self.now;
        self.tap(TapAt::Server, at, Direction::Down, &packet);
        match self.nat.pass(at, Direction::Down, &packet) {
            _ if self.dead_bearer => self.lose(at, "down bearer"),
            Passage::Forward => self.send(at, Direction::Down, packet),
            Passage::Drop => self.lose(at, "down nat"),
            Passage::Reset(reset) => {
                self.lose(at, "down nat");
                self.tap(TapAt::Server, at, Direction::Up, &reset);
                self.internet.receive(at, reset);
            }
        }
    }

    fn lose(&mut self, at: Instant, why: &str) {
        self.stats.packets_lost += 1;
        self.record(Event::new(at, Source::Link, Kind::PacketDrop, why));
    }

    /// Puts a packet on the link.
    fn send(&mut self, at: Instant, direction: Direction, packet: Vec<u8>) {
        let kind = match direction {
            Direction::Up => Kind::PacketUp,
            Direction::Down => Kind::PacketDown,
        };
        let event = Event::sized(at, Source::Link, kind, packet.len());
        self.record(event);
        if direction == Direction::Up {
            self.tap(TapAt::Radio, at, direction, &packet);
        }
        match direction {
            Direction::Up => self.stats.packets_up += 1,
            Direction::Down => self.stats.packets_down += 1,
        }
        // Lua may be ahead of the connection's own changes.
        self.drive_radio(at);
        let start = if self.rlf.is_out_of_service() {
            // No cell to connect to; the link loses it.
            Some(at)
        } else {
            self.rrc.start(at, direction)
        };
        match start {
            Some(start) => self.link.send(at, start, direction, packet),
            None => self.lose(at, "down psm"),
        }
        self.record_losses();
    }

    /// Takes the link's losses over.
    fn record_losses(&mut self) {
        while let Some(lost) = self.link.take_lost() {
            let text = format!("{} {}", lost.direction.name(), lost.reason.name());
            self.lose(lost.at, &text);
        }
    }

    /// Shows a packet to the capture, behind the keys it may need.
    fn tap(&mut self, place: TapAt, at: Instant, direction: Direction, packet: &[u8]) {
        if let Some((_, capture)) = self.capture.as_mut().filter(|(of, _)| *of == place) {
            for line in self.secrets.take() {
                capture.secret(&line);
            }
            capture.packet(at, direction, packet);
        }
    }

    pub(crate) fn record(&mut self, event: Event) {
        if let Some((TapAt::Radio, capture)) = &mut self.capture {
            let noted = matches!(
                (event.source, event.kind),
                (Source::Modem, Kind::State) | (Source::Board, Kind::Power) | (_, Kind::PacketDrop)
            );
            if noted {
                let text = format!("{} {}", event.source.name(), event.text());
                capture.note(event.time, &text);
            }
        }
        for sink in &mut self.sinks {
            sink(&event);
        }
        self.log.push(event);
    }
}
