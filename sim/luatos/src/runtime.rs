//! The state behind the VM: device time, message bus, drivers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use airbench_clock::{Instant, Rng};
use airbench_lua32::Cx;
use airbench_trace::{Event, Kind, Source};

use crate::config::{Config, PowerOnReason, Scripts};
use crate::devices::Devices;
use crate::flash::Flash;
use crate::fota::{self, Fota};
use crate::fs::{MountPoint, OpenFile, Ram, first_mounts};
use crate::heap::SystemHeap;
use crate::libs::adc::Adc;
use crate::libs::errdump::ErrDump;
use crate::libs::gpio::Gpio;
use crate::libs::hash::Hasher;
use crate::libs::libgnss::Gnss;
use crate::libs::mcu::Registers;
use crate::libs::mobile::Mobile;
use crate::libs::pm::{DTIMERS, Power, WakeUp};
use crate::libs::protobuf::Schema;
use crate::libs::pwm;
use crate::libs::repl::Repl;
use crate::libs::rtc::BASE_YEAR;
use crate::libs::sms::Messages;
use crate::libs::spi::Wiring;
use crate::libs::uart::Uarts;
use crate::libs::wdt::Watchdog;
use crate::libs::wlan::Wlan;
use crate::libs::zbuff::Zbuff;
use crate::luadb;
use crate::message::Message;
use crate::net::Network;
use crate::net::ctrl::Ctrl;
use crate::net::ftp::Ftp;
use crate::net::http::Http;
use crate::net::mqtt::Mqtt;
use crate::net::sntp::Sntp;
use crate::net::websocket::WebSocket;
use crate::rtc::Rtc;
use crate::slab::Slab;
use crate::timers::Timers;

/// How long the chip writes its memory to flash after a failed assertion, before
/// it resets.
const DUMP: Duration = Duration::from_secs(40);

/// What a suspended VM waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: it is computing, and its time has come when the clock reads
    /// [`Runtime::now`].
    Busy,
    /// A message on the bus, at the latest this moment.
    Message(Option<Instant>),
    /// This moment.
    Until(Instant),
    /// It has called for an [`Exit`] and never runs again.
    Forever,
}

/// How a VM ends its life by its own will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The chip resets.
    Reset(PowerOnReason),
    /// The power goes off.
    PowerOff,
}

/// Everything the API functions work on. It is the VM's host type; the board
/// owns it and lends it to every resume.
pub struct Runtime {
    /// The time of whoever runs: Lua's own while it computes, the world's
    /// while the drivers work.
    now: Instant,
    /// How far Lua has computed; it may be ahead of the world.
    vm_now: Instant,
    /// Until here nothing can happen outside, so the VM may run ahead.
    horizon: Instant,
    /// VM instructions already charged.
    charged: u64,
    /// When the VM last waited for a message or slept.
    last_idle: Instant,
    /// Power-on or the latest reset; uptime counts from here.
    pub boot: Instant,
    /// Why this boot happened.
    pub reason: PowerOnReason,
    /// What the VM waits for.
    pub wait: Wait,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
    /// Settings and tunables.
    pub config: Config,
    /// What survives resets.
    pub flash: Flash,
    pub(crate) bus: VecDeque<Message>,
    pub(crate) timers: Timers,
    pub(crate) rng: Rng,
    pub(crate) log_level: i32,
    pub(crate) log_style: i32,
    /// Serial ports.
    pub uarts: Uarts,
    /// Pins.
    pub gpio: Gpio,
    pub(crate) adc: Adc,
    pub(crate) pwm: pwm::Channels,
    pub(crate) devices: Devices,
    pub(crate) soft_buses: u32,
    pub(crate) spi: BTreeMap<i32, Wiring>,
    pub(crate) spi_devices: Slab<Wiring>,
    pub(crate) registers: Registers,
    pub(crate) power: Power,
    pub(crate) sms: Messages,
    pub(crate) wlan: Wlan,
    pub(crate) repl: Repl,
    /// What `rtc.get` counts years from.
    pub(crate) base_year: i32,
    /// Sockets and what is built on them.
    pub network: Network,
    pub(crate) websockets: Slab<WebSocket>,
    pub(crate) ctrls: Slab<Ctrl>,
    pub(crate) mqtts: Slab<Mqtt>,
    pub(crate) https: Slab<Http>,
    pub(crate) sntp: Sntp,
    pub(crate) ftp: Ftp,
    /// Topics handed out for results to come.
    pub(crate) awaitables: u64,
    pub(crate) zbuffs: Slab<Zbuff>,
    pub(crate) system_heap: SystemHeap,
    /// Templates of `rtos.setPaths`, searched first by `require`.
    pub(crate) paths: [Option<String>; 4],
    /// Open files.
    pub(crate) files: Slab<OpenFile>,
    /// What is in `/ram/`.
    pub(crate) ram: Ram,
    pub(crate) mounts: Vec<MountPoint>,
    /// LuaDB images that the script has mounted.
    pub(crate) images: Vec<Scripts>,
    /// The root was formatted, which unmounts it until the next reset.
    pub(crate) root_lost: bool,
    /// The firmware has failed an assertion: why.
    pub(crate) crashed: Option<String>,
    /// Digests under way.
    pub(crate) hashers: Slab<Box<dyn Hasher + Send>>,
    /// `fskv.init()` was called.
    pub(crate) fskv_ready: bool,
    /// Positions of fskv's iterators.
    pub(crate) iterators: Slab<usize>,
    pub(crate) errdump: ErrDump,
    /// What `print` has put together so far.
    pub(crate) print_buffer: Vec<u8>,
    /// What `mobile.*` reports.
    pub mobile: Mobile,
    /// The script watchdog.
    pub watchdog: Watchdog,
    pub(crate) rtc: Rtc,
    /// Heap in use after boot, in device bytes: what the firmware counts from.
    pub(crate) heap_baseline: usize,
    pub(crate) gc: crate::libs::rtos::AutoGc,
    /// WebSocket messages handed to the script.
    pub delivered: u64,
    pub(crate) gnss: Gnss,
    pub(crate) fota: Fota,
    /// The boot loader could not install an update; said at boot.
    pub(crate) refused_update: Option<fota::Refusal>,
    /// Types that `protobuf.load` has read.
    pub(crate) protobuf: Arc<Schema>,
    /// What the new core's `socket.dft` sets: the adapter of sockets that name
    /// none.
    pub(crate) default_adapter: i32,
    /// Segments that `socket.rx_cache` names.
    pub(crate) rx_cache: i32,
    /// Calls of functions that are not modelled, by name.
    pub unmodelled: BTreeMap<String, u64>,
    events: Vec<Event>,
}

/// What the boot loader did with an update.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Update {
    None,
    Installed,
    Refused(fota::Refusal),
}

/// What the boot loader does before anything else: a waiting update goes into
/// the script partition.
fn install_update(config: &mut Config, flash: &mut Flash) -> Update {
    let mut update = Update::None;
    if let Some(data) = flash.update.take() {
        update = match fota::unpack(&data) {
            Ok(image) => {
                flash.scripts = Some(image);
                Update::Installed
            }
            Err(why) => Update::Refused(why),
        };
    }
    if let Some(image) = &flash.scripts {
        config.scripts = luadb::read(image).unwrap_or_else(|error| Scripts::damaged(&error));
    }
    update
}

impl Runtime {
    /// A runtime that has just got power, or was reset.
    pub fn new(config: Config, flash: Flash, boot: Instant, reason: PowerOnReason) -> Self {
        Self::woken(config, flash, boot, reason, None, [None; DTIMERS])
    }

    /// A runtime that wakes from deep sleep (if `wake` says so), with timers
    /// that went on running.
    pub fn woken(
        mut config: Config,
        mut flash: Flash,
        boot: Instant,
        reason: PowerOnReason,
        wake: Option<WakeUp>,
        dtimers: [Option<Instant>; DTIMERS],
    ) -> Self {
        flash.root.reset();
        flash.fskv.reset();
        let update = install_update(&mut config, &mut flash);
        let rng = Rng::new(config.seed, "luatos");
        let network = Network::new(&config, boot);
        let rtc = Rtc::new(&config, &flash, boot);
        let uarts = Uarts::new(config.tunables.uart);
        Self {
            now: boot,
            vm_now: boot,
            horizon: boot,
            charged: 0,
            last_idle: boot,
            boot,
            reason: match update {
                Update::Installed => PowerOnReason::Update,
                _ => reason,
            },
            wait: Wait::Busy,
            exit: None,
            flash,
            bus: VecDeque::new(),
            timers: Timers::default(),
            rng,
            log_level: 1,
            log_style: 0,
            uarts,
            gpio: Gpio::default(),
            adc: Adc::default(),
            pwm: pwm::Channels::default(),
            devices: Devices::new(&config.devices),
            soft_buses: 0,
            spi: BTreeMap::new(),
            spi_devices: Slab::default(),
            registers: Registers::new(),
            power: Power::new(wake, dtimers),
            sms: Messages::default(),
            wlan: Wlan::default(),
            repl: Repl::default(),
            base_year: BASE_YEAR,
            network,
            websockets: Slab::default(),
            ctrls: Slab::default(),
            mqtts: Slab::default(),
            https: Slab::default(),
            sntp: Sntp::default(),
            ftp: Ftp::default(),
            awaitables: 0,
            zbuffs: Slab::default(),
            system_heap: SystemHeap::default(),
            paths: [const { None }; 4],
            files: Slab::default(),
            ram: Ram::new(config.core),
            mounts: first_mounts(&config.scripts),
            images: Vec::new(),
            root_lost: false,
            crashed: None,
            hashers: Slab::default(),
            fskv_ready: false,
            iterators: Slab::default(),
            errdump: ErrDump::default(),
            print_buffer: Vec::new(),
            mobile: Mobile::default(),
            watchdog: Watchdog::default(),
            rtc,
            heap_baseline: 0,
            gc: crate::libs::rtos::AutoGc::default(),
            delivered: 0,
            protobuf: Arc::default(),
            gnss: Gnss::default(),
            fota: Fota::default(),
            refused_update: match update {
                Update::Refused(why) => Some(why),
                Update::None | Update::Installed => None,
            },
            default_adapter: crate::libs::socket::CELLULAR,
            rx_cache: 32,
            unmodelled: BTreeMap::new(),
            events: Vec::new(),
            config,
        }
    }

    /// How far Lua has computed.
    pub fn vm_time(&self) -> Instant {
        self.vm_now
    }

    /// The time of whoever runs at the moment.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// UTC seconds by the RTC.
    pub(crate) fn unix_time(&self) -> i64 {
        self.rtc.utc(self.now)
    }

    /// Sets the RTC.
    pub(crate) fn set_utc(&mut self, utc: i64) {
        let offset = utc - self.rtc.network_time(self.now);
        self.rtc.offset = offset;
        self.rtc.sdk_zone = self.rtc.timezone;
        self.flash.rtc_offset = Some(offset);
    }

    /// Time since power-on or reset.
    pub fn uptime(&self) -> Duration {
        self.now.since(self.boot)
    }

    /// The VM is about to be resumed: the world reached `now`, and nothing
    /// happens in it before `horizon`.
    pub fn enter_vm(&mut self, now: Instant, horizon: Instant) {
        self.now = self.vm_now.max(now);
        self.horizon = horizon.max(now);
    }

    /// The script asked for something to happen at `at`.
    pub(crate) fn limit_horizon(&mut self, at: Instant) {
        self.horizon = self.horizon.min(at);
    }

    /// Something was sent out that may come back sooner than the horizon.
    pub(crate) fn touch_outside(&mut self) {
        self.horizon = self.now;
    }

    /// The drivers work at the world's time.
    pub(crate) fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// How long the VM has computed without waiting.
    pub fn busy_for(&self) -> Duration {
        if matches!(self.wait, Wait::Busy) {
            self.vm_now.since(self.last_idle)
        } else {
            Duration::ZERO
        }
    }

    /// Charges the instructions executed since the last time, plus `extra`.
    pub(crate) fn charge(&mut self, instructions: u64, extra: Duration) {
        let fresh = instructions - self.charged;
        self.charged = instructions;
        let ns = fresh * self.config.tunables.instruction_ns;
        self.now += Duration::from_nanos(ns) + extra;
    }

    /// The script looked at the bus: it does not hang.
    pub(crate) fn pumped(&mut self) {
        self.last_idle = self.now;
    }

    /// Lua is kept busy for `span`.
    pub(crate) fn spend(&mut self, span: Duration) {
        self.now += span;
    }

    /// The VM has run further than the world: it must wait for it.
    pub(crate) fn is_ahead(&self) -> bool {
        self.now > self.horizon
    }

    /// Records an event now.
    pub fn record(&mut self, source: Source, kind: Kind, bytes: impl Into<Vec<u8>>) {
        self.events.push(Event::new(self.now, source, kind, bytes));
    }

    /// One record of the log channel.
    pub fn line(&mut self, text: impl Into<Vec<u8>>) {
        self.record(Source::Console, Kind::Line, text);
    }

    /// A line of a C library at a level, if the level is enabled. The
    /// firmware's formatter cuts such lines at about 1 KiB.
    pub(crate) fn lib_line(&mut self, level: Level, text: &str) {
        if self.log_level <= level as i32 {
            let mut line = format!("{}/{text}", level.letter());
            if line.len() > 1024 {
                let cut = (0..=1024)
                    .rev()
                    .find(|i| line.is_char_boundary(*i))
                    .unwrap_or(0);
                line.truncate(cut);
            }
            self.line(line);
        }
    }

    /// Moves the events since the last call to the end of `into`.
    pub fn take_events(&mut self, into: &mut Vec<Event>) {
        into.append(&mut self.events);
    }

    /// Something waits to be handled by `rtos.receive`.
    pub fn has_messages(&self) -> bool {
        !self.bus.is_empty()
    }

    /// When the VM is to be resumed, as far as it can be told now.
    pub fn vm_wake(&self) -> Option<Instant> {
        match self.wait {
            Wait::Busy => Some(self.vm_now),
            Wait::Message(_) if self.has_messages() => Some(self.vm_now),
            Wait::Message(until) => until,
            Wait::Until(at) => Some(at),
            Wait::Forever => None,
        }
    }

    /// When the drivers have something to do by themselves.
    pub fn driver_wake(&self) -> Option<Instant> {
        let wakes = [
            self.timers.next_wake(),
            self.uarts.next_wake(),
            self.network.next_wake(),
            self.watchdog.deadline(),
            self.errdump.next_wake(),
            self.websocket_wake(),
            self.mqtt_wake(),
            self.http_wake(),
            self.sntp_wake(),
            self.ftp_wake(),
            self.gpio.next_wake(),
            self.power.next_wake(),
            self.wlan.next_wake(),
            self.mobile.next_wake(),
        ];
        Instant::earliest(wakes)
    }

    /// Works off what the drivers have to do by `now`. The watchdog's bite is
    /// left to the board.
    pub fn drive(&mut self, now: Instant) {
        self.now = now;
        while let Some(key) = self.timers.poll(now) {
            self.bus.push_back(Message::Timer(key));
        }
        let due = |wake: Option<Instant>| wake.is_some_and(|at| at <= now);
        if due(self.uarts.next_wake()) {
            self.drive_uarts(now);
        }
        if due(self.network.next_wake()) {
            self.drive_network(now);
        }
        if due(self.websocket_wake()) {
            self.drive_websockets(now);
        }
        if due(self.mqtt_wake()) {
            self.drive_mqtts(now);
        }
        if due(self.http_wake()) {
            self.drive_https(now);
        }
        if due(self.sntp_wake()) {
            self.drive_sntp(now);
        }
        if due(self.ftp_wake()) {
            self.drive_ftp(now);
        }
        self.drive_errdump(now);
        self.drive_gpio(now);
        self.drive_dtimers(now);
        self.drive_wlan(now);
        self.drive_mobile(now);
    }

    /// A packet on its way out, and when it left.
    pub fn transmit(&mut self) -> Option<(Instant, Vec<u8>)> {
        let (at, packet) = self.network.transmit()?;
        self.mobile.count(true, packet.len());
        Some((at, packet))
    }

    /// A packet for the device arrives.
    pub fn receive_packet(&mut self, now: Instant, packet: Vec<u8>) {
        self.mobile.count(false, packet.len());
        self.network.receive(packet);
        self.now = now;
        self.drive_network(now);
    }

    /// `sys.publish(topic, …)` from C, at the next `rtos.receive`.
    pub(crate) fn publish(&mut self, topic: &'static str, args: Vec<crate::message::Arg>) {
        self.bus.push_back(Message::Publish(topic, args));
    }
}

/// Levels of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
}

impl Level {
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Debug => 'D',
            Self::Info => 'I',
            Self::Warn => 'W',
            Self::Error => 'E',
        }
    }
}

/// Suspends the VM until `wait` is over.
pub(crate) fn suspend(cx: &mut Cx<'_, Runtime>, wait: Wait) {
    let rt = cx.host();
    rt.wait = wait;
    if !matches!(wait, Wait::Busy) {
        rt.last_idle = rt.now;
    }
    rt.vm_now = rt.now;
    cx.suspend();
    let rt = cx.host();
    if !matches!(wait, Wait::Busy) {
        rt.last_idle = rt.now;
    }
    rt.wait = Wait::Busy;
}

/// Ends the VM: the board acts on `exit`, and this never returns to Lua.
pub(crate) fn leave(cx: &mut Cx<'_, Runtime>, exit: Exit) -> ! {
    cx.host().exit = Some(exit);
    loop {
        suspend(cx, Wait::Forever);
    }
}

/// Charges the CPU time of what ran since the last time, and lets the world
/// catch up if it must. Runs before every API call and in the hook.
fn settle(cx: &mut Cx<'_, Runtime>, extra: Duration) {
    let instructions = cx.instructions();
    let rt = cx.host();
    rt.charge(instructions, extra);
    while cx.host().is_ahead() {
        suspend(cx, Wait::Busy);
    }
    go_down_if_crashed(cx);
}

/// A failed assertion takes the chip down at the next chance.
pub(crate) fn go_down_if_crashed(cx: &mut Cx<'_, Runtime>) {
    if let Some(why) = cx.host().crashed.take() {
        dump(cx, &why);
    }
}

/// The chip has failed an assertion. Nothing of it reaches the log of the board.
fn dump(cx: &mut Cx<'_, Runtime>, why: &str) -> ! {
    let rt = cx.host();
    rt.record(Source::Board, Kind::Power, format!("crash: {why}"));
    rt.watchdog = Watchdog::default();
    let at = rt.now + DUMP;
    suspend(cx, Wait::Until(at));
    leave(cx, Exit::Reset(PowerOnReason::Exception));
}

/// Before every API call.
pub(crate) fn before_call(cx: &mut Cx<'_, Runtime>) {
    let extra = Duration::from_nanos(cx.host().config.tunables.call_ns);
    settle(cx, extra);
}

/// Every thousand VM instructions.
pub(crate) fn hook(cx: &mut Cx<'_, Runtime>) {
    settle(cx, Duration::ZERO);
}
