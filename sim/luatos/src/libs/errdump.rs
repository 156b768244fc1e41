//! `errDump`: error records and their upload over UDP (facts H.6).

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::flash::Flash;
use crate::libs::{Library, zbuff};
use crate::message::Message;
use crate::net::{Owner, Security, SocketEvent, SocketId, Target};
use crate::runtime::{Level, Runtime};

pub(crate) const LIBRARY: Library = Library {
    name: "errDump",
    functions: &[("config", config), ("record", record), ("dump", dump)],
    constants: &[],
};

const HOST: &str = "dev_msg1.openluat.com";
const PORT: u16 = 12_425;
/// Config or record to the attempt.
const DELAY: Duration = Duration::from_secs(2);
/// Time for link and name.
const CONNECT: Duration = Duration::from_secs(30);
/// Time for an answer, and how often the datagram is sent.
const ANSWER: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;
/// Bytes kept per kind of record.
const KEPT: usize = 4096;
/// Most bytes of a reply, and of a name with its NUL.
const REPLY: usize = 16;
const NAME: usize = 48;

/// What the driver asks the Lua thread to do: it happens when Lua next waits,
/// and not at all once Lua has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Connect,
    /// Send, for the time after so many.
    Send(u32),
    Receive,
    Close,
}

/// The state of `errDump`.
#[derive(Debug, Default)]
pub(crate) struct ErrDump {
    enabled: bool,
    /// Seconds; 0 without uploads.
    period: u32,
    user_flag: Option<String>,
    custom_id: String,
    host: String,
    port: u16,
    /// The next look at what there is to say.
    upload_at: Option<Instant>,
    /// Until when the server must have connected (0) or answered the n-th time.
    patience: Option<(Instant, u32)>,
    uploading: bool,
    socket: Option<SocketId>,
    /// What is being sent.
    report: Vec<u8>,
    /// The power-on reason has been acknowledged in this boot.
    reported: bool,
    /// System and user records that nobody has read.
    unread: [bool; 2],
}

impl ErrDump {
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        Instant::earliest([self.upload_at, self.patience.map(|(at, _)| at)])
    }
}

/// The user's records, or the system's.
fn records(flash: &mut Flash, user: bool) -> &mut Vec<u8> {
    if user {
        &mut flash.user_errors
    } else {
        &mut flash.system_errors
    }
}

/// Keeps the newest bytes of a record file.
fn keep(file: &mut Vec<u8>, text: &[u8]) {
    file.extend_from_slice(text);
    let excess = file.len().saturating_sub(KEPT);
    file.drain(..excess);
}

impl Runtime {
    fn errdump_line(&mut self, level: Level, text: &str) {
        self.lib_line(level, &format!("errDump {text}"));
    }

    /// Stores a record; if nothing is under way, it is uploaded soon.
    fn errdump_save(&mut self, user: bool, text: &[u8]) {
        self.errdump.unread[usize::from(user)] = true;
        if !self.errdump.enabled {
            return;
        }
        keep(records(&mut self.flash, user), text);
        if !self.errdump.uploading && self.errdump.period > 0 {
            self.errdump.upload_at = Some(self.now() + DELAY);
        }
    }

    /// Stores a system error if the script has enabled errDump.
    pub(crate) fn errdump_system(&mut self, text: &[u8]) {
        self.errdump_save(false, text);
    }

    /// Looks again after the period, and says why.
    fn errdump_later(&mut self, why: &str) {
        let period = self.errdump.period;
        let mut line = format!("{why}, after {period} second retry");
        if why.starts_with("no socket") && self.config.core.is_new() {
            line.push_str(", adapter 1");
        }
        self.errdump_line(Level::Error, &line);
        self.errdump.uploading = false;
        // Without uploads the firmware has deleted the timer.
        if self.errdump.enabled && period > 0 {
            self.errdump.upload_at = Some(self.now() + Duration::from_secs(period.into()));
        }
    }

    /// The driver's timers.
    pub(crate) fn drive_errdump(&mut self, now: Instant) {
        if self.errdump.next_wake().is_none_or(|at| at > now) {
            return;
        }
        if self.errdump.upload_at.is_some_and(|at| at <= now) {
            self.errdump.upload_at = None;
            let empty = self.flash.system_errors.is_empty() && self.flash.user_errors.is_empty();
            if self.errdump.reported && empty {
                self.errdump_line(Level::Debug, "no info errdump stop");
            } else {
                self.errdump.uploading = true;
                self.bus.push_back(Message::ErrDump(Work::Connect));
            }
        }
        match self.errdump.patience {
            Some((at, times)) if at <= now => {
                self.errdump.patience = None;
                if (1..ATTEMPTS).contains(&times) {
                    let line = format!("errdump tx fail {times} cnt, retry");
                    self.errdump_line(Level::Error, &line);
                    self.bus.push_back(Message::ErrDump(Work::Send(times)));
                } else {
                    self.errdump_later("errdump server connect or tx fail");
                    self.bus.push_back(Message::ErrDump(Work::Close));
                }
            }
            _ => {}
        }
    }

    /// Something happened on errDump's socket.
    pub(crate) fn errdump_socket_event(&mut self, event: SocketEvent) {
        let work = match event {
            SocketEvent::Online => Work::Send(0),
            SocketEvent::Readable => Work::Receive,
            SocketEvent::Acknowledged => return,
            SocketEvent::Failed => {
                self.errdump_later("errdump fail");
                self.errdump.report.clear();
                Work::Close
            }
        };
        self.bus.push_back(Message::ErrDump(work));
    }

    fn errdump_connect(&mut self) {
        let Some(socket) = self.network.open(Owner::ErrDump) else {
            self.say_no_adapter(1);
            self.errdump_later("no socket, errdump fail");
            self.errdump.report.clear();
            return;
        };
        let now = self.now();
        let custom = !self.errdump.host.is_empty();
        let (host, port) = if custom {
            (self.errdump.host.clone(), self.errdump.port)
        } else {
            (HOST.to_owned(), PORT)
        };
        self.errdump.socket = Some(socket);
        self.errdump.patience = Some((now + CONNECT, 0));
        let target = Target {
            host,
            port,
            security: Security::Plain,
            udp: true,
            local_port: 0,
            keepalive: None,
        };
        self.network.connect(now, socket, target);
        self.drive_network(now);
    }

    /// Sends the report for the time after `times`.
    fn errdump_transmit(&mut self, times: u32) {
        let now = self.now();
        let report = std::mem::take(&mut self.errdump.report);
        let socket = self.errdump.socket;
        let sent = socket.is_some_and(|socket| self.network.send(now, socket, &report));
        self.errdump.report = report;
        self.touch_outside();
        if sent {
            self.errdump.patience = Some((now + ANSWER, times + 1));
        } else {
            self.errdump_later("socket tx error, errdump fail");
            self.errdump_close();
        }
    }

    fn errdump_close(&mut self) {
        self.errdump.patience = None;
        self.errdump.uploading = false;
        if let Some(socket) = self.errdump.socket.take() {
            let now = self.now();
            self.network.release(now, socket);
            self.errdump.report.clear();
            self.touch_outside();
        }
    }

    /// Takes a reply; true if it is one that ends the matter.
    fn errdump_reply(&mut self) -> bool {
        let Some(socket) = self.errdump.socket else {
            return false;
        };
        let reply = self.network.read(socket, REPLY);
        let text = String::from_utf8_lossy(&reply).into_owned();
        match reply.as_slice() {
            b"" => false,
            b"OK" | br#"{"r": 1}"# => true,
            other if matches!(other.len(), 2 | 8) => {
                let line = format!("errdump response error {text}");
                self.errdump_line(Level::Debug, &line);
                false
            }
            _ => {
                let line = format!("errdump response maybe new {text}");
                self.errdump_line(Level::Debug, &line);
                true
            }
        }
    }
}

/// A global string, or a default.
fn global_text(cx: &mut Call<'_>, name: &str, default: &str) -> String {
    cx.get_global(name);
    let text = (cx.kind(-1) == Kind::String)
        .then(|| String::from_utf8_lossy(cx.to_bytes(-1).unwrap_or_default()).into_owned());
    cx.pop(1);
    text.unwrap_or_else(|| default.to_owned())
}

/// Writes the report anew.
fn make_report(cx: &mut Call<'_>) {
    // The firmware's own spelling of "unknown".
    let project = global_text(cx, "PROJECT", "unkonw");
    let version = global_text(cx, "VERSION", "");
    let rt = cx.host();
    rt.errdump.unread = [false; 2];
    let dump = &rt.errdump;
    let id = if dump.custom_id.is_empty() {
        &rt.config.identity.imei
    } else {
        &dump.custom_id
    };
    // Without a flag of its own a device gives an empty one.
    let flag = dump.user_flag.as_deref().unwrap_or_default();
    let head = format!("{project}_LuatOS-SoC_V1112_EC618,{version},{id},{flag},\r\n");
    let mut report = head.into_bytes();
    if !rt.errdump.reported {
        rt.say_reset_states();
        report.extend_from_slice(format!("poweron reason:{}\r\n", rt.reason as u8).as_bytes());
    }
    for file in [&rt.flash.system_errors, &rt.flash.user_errors] {
        if !file.is_empty() {
            report.extend_from_slice(file);
            report.extend_from_slice(b"\r\n");
        }
    }
    rt.errdump.report = report;
}

/// The Lua thread's part of an upload.
pub(crate) fn on_work(cx: &mut Call<'_>, work: Work) -> Results {
    match work {
        Work::Connect => cx.host().errdump_connect(),
        Work::Send(times) => {
            let dump = &cx.host().errdump;
            let changed = dump.unread != [false; 2];
            let fresh = dump.report.is_empty();
            if fresh || changed {
                make_report(cx);
            }
            let times = if changed && !fresh { 0 } else { times };
            cx.host().errdump_transmit(times);
        }
        Work::Receive => {
            if !cx.host().errdump_reply() {
                return Ok(0);
            }
            if cx.host().errdump.unread != [false; 2] {
                cx.host().errdump_line(Level::Debug, "errdump need retry!");
                make_report(cx);
                cx.host().errdump_transmit(0);
                return Ok(0);
            }
            let rt = cx.host();
            rt.errdump_line(Level::Debug, "errdump ok!");
            rt.flash.system_errors.clear();
            rt.flash.user_errors.clear();
            rt.errdump.reported = true;
            rt.errdump_close();
        }
        Work::Close => cx.host().errdump_close(),
    }
    Ok(0)
}

/// A string argument that fits the firmware's buffers.
fn short_text(cx: &Call<'_>, index: i32) -> Option<String> {
    (cx.kind(index) == Kind::String)
        .then(|| cx.to_bytes(index))
        .flatten()
        .filter(|text| text.len() < NAME)
        .map(|text| String::from_utf8_lossy(text).into_owned())
}

/// `errDump.config(enable, period, flag, id, host, port)`. What is not given
/// stays as it was; only a boolean enables or disables.
fn config(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::Boolean {
        let period = cx.opt_integer(2, 600)?.cast_unsigned();
        let enable = cx.to_boolean(1);
        let rt = cx.host();
        let now = rt.now();
        rt.errdump.enabled = enable;
        rt.errdump.patience = None;
        rt.errdump.upload_at = None;
        if !enable {
            rt.flash.system_errors.clear();
            rt.flash.user_errors.clear();
            rt.errdump.user_flag = None;
            return Ok(0);
        }
        rt.errdump.period = period;
        if period > 0 {
            rt.errdump.upload_at = Some(now + DELAY);
        }
    }
    if !cx.host().errdump.enabled {
        return Ok(0);
    }
    if cx.kind(3) == Kind::String {
        let flag = String::from_utf8_lossy(cx.to_bytes(3).unwrap_or_default()).into_owned();
        cx.host().errdump.user_flag = Some(flag);
    }
    if let Some(id) = short_text(cx, 4) {
        cx.host().errdump.custom_id = id;
    }
    if cx.kind(5) == Kind::String {
        if let Some(host) = short_text(cx, 5) {
            cx.host().errdump.host = host;
        }
        let given = cx
            .is_integer(6)
            .then(|| cx.to_integer(6).unwrap_or(0) as u16);
        let rt = cx.host();
        rt.errdump.port = match given.unwrap_or(rt.errdump.port) {
            0 => PORT,
            port => port,
        };
        let line = format!("自定义服务器 {} {}", rt.errdump.host, rt.errdump.port);
        rt.errdump_line(Level::Debug, &line);
    }
    Ok(0)
}

/// `errDump.record(text)`; what is no string, or empty, is ignored.
fn record(cx: &mut Call<'_>) -> Results {
    if cx.kind(1) == Kind::String {
        let text = cx.to_bytes(1).unwrap_or_default().to_vec();
        if !text.is_empty() {
            cx.host().errdump_save(true, &text);
        }
    }
    Ok(0)
}

/// `errDump.dump(zbuff, type, delete)`: true if records came since the last
/// look. The buffer holds the records from its beginning on.
fn dump(cx: &mut Call<'_>) -> Results {
    let delete = cx.kind(3) == Kind::Boolean && cx.to_boolean(3);
    let buffer = match cx.kind(1) {
        Kind::Userdata => Some(zbuff::this(cx)?),
        _ => None,
    };
    let kind = cx.opt_integer(2, 1)?;
    if !(0..2).contains(&kind) {
        cx.push_boolean(kind >= 2);
        return Ok(1);
    }
    let user = kind == 1;
    let rt = cx.host();
    let unread = rt.errdump.unread[usize::from(user)];
    if let Some(buffer) = buffer {
        let content = if rt.errdump.enabled {
            records(&mut rt.flash, user).clone()
        } else {
            Vec::new()
        };
        rt.errdump.unread[usize::from(user)] = false;
        rt.with_zbuff(buffer, |b| {
            b.cursor = 0;
            if b.data.len() >= content.len() || b.resize(content.len()) {
                b.write(&content);
            }
        });
    }
    cx.push_boolean(unread);
    if delete {
        records(&mut cx.host().flash, user).clear();
    }
    Ok(1)
}
