//! `pm`: power switches, sleep, and why the board started.

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::Kind;
use airbench_trace::{Kind as EventKind, Source};

use crate::args::{Args, Call, Results};
use crate::config::PowerOnReason;
use crate::libs::Library;
use crate::message::{Arg, Message};
use crate::runtime::{Exit, Level, Runtime, Wait, leave};

pub(crate) const LIBRARY: Library = Library {
    name: "pm",
    functions: &[
        ("request", request),
        ("dtimerStart", dtimer_start),
        ("dtimerStop", dtimer_stop),
        ("dtimerCheck", dtimer_check),
        ("dtimerList", |cx| {
            cx.push_table(0, 0);
            Ok(1)
        }),
        ("dtimerWkId", dtimer_wake_id),
        ("force", force),
        ("check", check),
        ("lastReson", last_reason),
        ("reboot", |cx| {
            leave(cx, Exit::Reset(PowerOnReason::Software))
        }),
        ("shutdown", |cx| leave(cx, Exit::PowerOff)),
        ("power", power),
        ("ioVol", io_vol),
        ("wakeupPin", wakeup_pin),
    ],
    constants: &[],
};

/// Timers that run on through deep sleep.
pub(crate) const DTIMERS: usize = 7;

const IDLE: i32 = 1;
const LIGHT: i32 = 2;
const DEEP: i32 = 3;
const HIBERNATE: i32 = 4;

/// Switches of `pm.power`.
const USB: i32 = 0;
const PWK_MODE: i32 = 5;
const WORK_MODE: i32 = 6;

/// What ends deep sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeSource {
    /// A timer of the deep-sleep kind.
    Timer(usize),
    /// A pin.
    Pin,
    /// UART1's receiver, the low-power one (`LUAT_PM_WAKEUP_FROM_LPUART`).
    Uart,
}

impl WakeSource {
    /// The timer, if it is one.
    fn timer(self) -> Option<usize> {
        match self {
            Self::Timer(id) => Some(id),
            Self::Pin | Self::Uart => None,
        }
    }

    /// As `pm.lastReson` numbers it.
    fn number(self) -> i32 {
        match self {
            Self::Timer(_) => 1,
            Self::Pin => 2,
            Self::Uart => 3,
        }
    }
}

/// What woke the board, for a boot after deep sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeUp {
    /// Sleep mode it woke from: 3 deep, 4 hibernation.
    pub mode: i32,
    /// By what.
    pub source: WakeSource,
}

/// Power management of one boot.
#[derive(Debug)]
pub(crate) struct Power {
    requested: i32,
    /// `pm.force`: USB no longer keeps the chip awake.
    usb_ignored: bool,
    usb: bool,
    /// WORK_MODE 3: the modem keeps quiet.
    psm: bool,
    dtimers: [Option<Instant>; DTIMERS],
    wake_id: i32,
    pub(crate) woken_by: Option<WakeUp>,
}

impl Power {
    pub(crate) fn new(woken_by: Option<WakeUp>, dtimers: [Option<Instant>; DTIMERS]) -> Self {
        let wake_id = woken_by
            .and_then(|wake| wake.source.timer())
            .map_or(-1, |id| id as i32);
        Self {
            requested: IDLE,
            usb_ignored: false,
            usb: true,
            psm: false,
            dtimers,
            wake_id,
            woken_by,
        }
    }

    /// When the next of the timers expires.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        Instant::earliest(self.dtimers)
    }
}

impl Runtime {
    /// Timers that expired while the board was awake.
    pub(crate) fn drive_dtimers(&mut self, now: Instant) {
        for id in 0..DTIMERS {
            if self.power.dtimers[id].is_some_and(|at| at <= now) {
                self.power.dtimers[id] = None;
                self.power.wake_id = id as i32;
                self.lib_line(Level::Info, &format!("pm DeepTimer Wakeup by id={id}"));
                self.bus.push_back(Message::Publish(
                    "DTIMER_WAKEUP",
                    vec![Arg::Integer(id as i32)],
                ));
            }
        }
    }

    /// The script has chosen power saving mode (`pm.power(pm.WORK_MODE, 3)`).
    pub(crate) fn saves_power(&self) -> bool {
        self.power.psm
    }

    /// The script waits and USB does not keep the chip awake.
    fn may_sleep(&self) -> bool {
        let idle = matches!(self.wait, Wait::Message(_)) && !self.has_messages();
        idle && (self.power.usb_ignored || !self.power.usb)
    }

    /// The sleep mode the chip goes into now, if it does: the script waits,
    /// asked for deep sleep, and neither USB nor the modem keeps it awake.
    pub fn sleep_due(&self) -> Option<i32> {
        let power = &self.power;
        let quiet = power.psm || !self.mobile.is_registered();
        let deep = (DEEP..=HIBERNATE).contains(&power.requested);
        (deep && quiet && self.may_sleep()).then_some(power.requested)
    }

    /// The chip sleeps lightly, with its UARTs off: it does as soon as the script
    /// waits and nothing is being sent. Whether a connected modem delays it is
    /// not known; here it does not.
    pub(crate) fn sleeps_lightly(&self, now: Instant) -> bool {
        let asked = self.power.requested >= LIGHT && self.may_sleep();
        asked && self.vm_time() <= now && !self.uarts.is_sending()
    }

    /// Timers that go on running while the board sleeps.
    pub fn dtimers(&self) -> [Option<Instant>; DTIMERS] {
        self.power.dtimers
    }

    /// After a wake-up by a timer its topic waits for the script.
    pub(crate) fn announce_wake_up(&mut self) {
        if let Some(id) = self.power.woken_by.and_then(|wake| wake.source.timer()) {
            self.lib_line(Level::Info, &format!("pm DeepTimer Wakeup by id={id}"));
            let args = vec![Arg::Integer(id as i32)];
            self.bus.push_back(Message::Publish("DTIMER_WAKEUP", args));
        }
    }

    /// The line of the boot that tells why it happened.
    pub(crate) fn power_on_line(&self) -> String {
        let Some(wake) = self.power.woken_by else {
            return "pm poweron: Power/Reset".to_owned();
        };
        let mode = if wake.mode == HIBERNATE {
            "Hib"
        } else {
            "Sleep2"
        };
        // What is neither timer nor power counts as a pin.
        let (source, id) = match wake.source.timer() {
            Some(id) => ("RTC", id),
            None => ("IO", 255),
        };
        format!("pm poweron: Wakup {mode} by {source} {id}")
    }
}

fn mode_name(mode: i32) -> &'static str {
    ["Actv", "Idle", "Slp1", "Slp2", "Hibn"][mode.clamp(0, HIBERNATE) as usize]
}

fn bad_mode(cx: &mut Call<'_>, mode: i32) {
    cx.host()
        .lib_line(Level::Warn, &format!("pm bad mode={mode}"));
}

fn request(cx: &mut Call<'_>) -> Results {
    let mode = cx.check_integer(1)?;
    let valid = (0..=HIBERNATE).contains(&mode);
    if valid {
        let rt = cx.host();
        let before = std::mem::replace(&mut rt.power.requested, mode);
        rt.power.usb_ignored = false;
        let (new, old) = (mode_name(mode), mode_name(before));
        rt.lib_line(Level::Info, &format!("pm request mode={new}, prev={old}"));
    } else {
        bad_mode(cx, mode);
    }
    cx.push_boolean(valid);
    Ok(1)
}

/// `pm.force(mode)`: 0, or -2 for a mode that is none.
fn force(cx: &mut Call<'_>) -> Results {
    let mode = cx.check_integer(1)?;
    if !(0..=HIBERNATE).contains(&mode) {
        bad_mode(cx, mode);
        cx.push_integer(-2);
        return Ok(1);
    }
    let rt = cx.host();
    let before = std::mem::replace(&mut rt.power.requested, mode);
    rt.power.usb_ignored = true;
    let line = format!("pm force request mode={mode}, prev mode={before}");
    rt.lib_line(Level::Info, &line);
    cx.push_integer(0);
    Ok(1)
}

fn check(cx: &mut Call<'_>) -> Results {
    let mode = cx.host().power.requested;
    cx.push_boolean(mode == 0);
    cx.push_integer(mode);
    Ok(2)
}

fn dtimer(id: i32) -> Option<usize> {
    usize::try_from(id).ok().filter(|id| *id < DTIMERS)
}

/// Longest run of a timer: two and a half hours for the first two, 740 hours
/// for the others.
fn longest(id: usize) -> Duration {
    Duration::from_secs(if id < 2 { 9000 } else { 740 * 3600 })
}

fn dtimer_start(cx: &mut Call<'_>) -> Results {
    let id = dtimer(cx.check_integer(1)?);
    let ms = u64::try_from(cx.check_integer(2)?).unwrap_or(0);
    if let Some(id) = id {
        let rt = cx.host();
        let at = rt.now() + Duration::from_millis(ms).min(longest(id));
        rt.power.dtimers[id] = Some(at);
        rt.limit_horizon(at);
    }
    cx.push_boolean(id.is_some());
    Ok(1)
}

fn dtimer_stop(cx: &mut Call<'_>) -> Results {
    if let Some(id) = dtimer(cx.check_integer(1)?) {
        cx.host().power.dtimers[id] = None;
    }
    Ok(0)
}

/// Running, and for how long yet; half a second before its end it is deleted.
fn dtimer_check(cx: &mut Call<'_>) -> Results {
    let Some(id) = dtimer(cx.check_integer(1)?) else {
        cx.push_boolean(false);
        return Ok(1);
    };
    let rt = cx.host();
    let now = rt.now();
    let remain = rt.power.dtimers[id].map_or(-1, |at| at.since(now).as_millis() as i32);
    let line = format!("pm dtimer check id {id}, remain {remain} ms");
    rt.lib_line(Level::Debug, &line);
    if remain <= 500 {
        rt.power.dtimers[id] = None;
        cx.push_boolean(false);
        return Ok(1);
    }
    cx.push_boolean(true);
    cx.push_integer(remain);
    Ok(2)
}

fn dtimer_wake_id(cx: &mut Call<'_>) -> Results {
    let id = cx.host().power.wake_id;
    cx.push_integer(id);
    Ok(1)
}

impl Runtime {
    /// What the SDK prints whenever somebody asks why the device is on.
    pub(crate) fn say_reset_states(&mut self) {
        let ap = match self.reason {
            PowerOnReason::Power => 0,
            PowerOnReason::Update | PowerOnReason::Software => 2,
            PowerOnReason::Exception => 4,
            PowerOnReason::Watchdog => 8,
            PowerOnReason::ResetKey => 1,
        };
        let woken = self.power.woken_by.is_some();
        let ap = if woken { 1 } else { ap };
        self.line(format!("luat_pm_get_poweron_reason 197:ap {ap},cp 0"));
    }
}

/// Wake-up source, last sleep mode, reason.
fn last_reason(cx: &mut Call<'_>) -> Results {
    let rt = cx.host();
    let reason = rt.reason as i32;
    rt.say_reset_states();
    let (source, state) = match rt.power.woken_by {
        None => (0, 0),
        Some(wake) => (wake.source.number(), wake.mode),
    };
    cx.push_integer(source);
    cx.push_integer(state);
    cx.push_integer(reason);
    Ok(3)
}

/// `pm.power(id, onoff)`: false for an unknown switch.
fn power(cx: &mut Call<'_>) -> Results {
    let id = cx.check_integer(1)?;
    let value = match cx.kind(2) {
        Kind::Boolean => i32::from(cx.to_boolean(2)),
        _ => cx.opt_integer(2, 0)? & 255,
    };
    let rt = cx.host();
    let known = match id {
        USB => {
            rt.power.usb = value != 0;
            if rt.power.usb {
                rt.power.usb_ignored = false;
            }
            true
        }
        PWK_MODE => {
            let on = value != 0;
            let before = std::mem::replace(&mut rt.flash.power_key_debounce, on);
            if before != on {
                let (from, to) = (i32::from(before), i32::from(on));
                let line = format!("pm powerkey mode {from} to {to}");
                rt.lib_line(Level::Debug, &line);
            }
            true
        }
        WORK_MODE if value <= 3 => {
            rt.power.requested = [1, 2, 2, HIBERNATE][value as usize];
            rt.power.psm = value == 3;
            rt.power.usb_ignored |= value == 3;
            true
        }
        1..=4 | 7 => {
            let text = format!("power switch {id} {value}");
            rt.record(Source::Board, EventKind::State, text);
            true
        }
        _ => false,
    };
    cx.push_boolean(known);
    Ok(1)
}

/// `pm.ioVol(id, millivolts)`: between two ranges there is no voltage.
fn io_vol(cx: &mut Call<'_>) -> Results {
    let id = cx.opt_integer(1, 0)?;
    let mv = if cx.is_integer(2) {
        cx.to_integer(2).unwrap_or(0)
    } else if cx.kind(2) == Kind::Boolean {
        i32::from(cx.to_boolean(2))
    } else {
        3300
    };
    let valid = !(2001..=2649).contains(&mv);
    if !valid {
        let line = format!("pm iovolt: out of range {id} {mv}");
        cx.host().lib_line(Level::Warn, &line);
    }
    cx.push_boolean(valid);
    Ok(1)
}

fn wakeup_pin(cx: &mut Call<'_>) -> Results {
    let pins = match cx.kind(1) {
        Kind::Table => cx.raw_len(1),
        Kind::Number => 1,
        _ => 0,
    };
    for _ in 0..pins {
        cx.host().lib_line(Level::Warn, "pm not support yet");
    }
    cx.push_boolean(true);
    Ok(1)
}
