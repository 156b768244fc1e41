//! `errDump`: error records and their upload over UDP (facts H.6).

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::Kind;

use crate::args::{Args, Call, Results};
use crate::libs::{Library, zbuff};
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Nothing to do until a config or a record.
    #[default]
    Idle,
    /// The next look at what there is to say.
    Waiting(Instant),
    /// Connecting, at the latest until then.
    Connecting(Instant),
    /// Sent; an answer is due.
    Sent(Instant),
}

/// The state of `errDump`.
#[derive(Debug, Default)]
pub(crate) struct ErrDump {
    enabled: bool,
    period: Option<Duration>,
    user_flag: String,
    custom_id: String,
    host: Option<String>,
    port: Option<u16>,
    stage: Stage,
    socket: Option<SocketId>,
    attempts: u32,
    /// The power-on reason has been acknowledged in this boot.
    reported: bool,
    /// `PROJECT` and `VERSION` as they were at the config call.
    project: String,
    version: String,
}

impl ErrDump {
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        match self.stage {
            Stage::Idle => None,
            Stage::Waiting(at) | Stage::Connecting(at) | Stage::Sent(at) => Some(at),
        }
    }
}

/// Keeps the newest bytes of a record file.
fn keep(file: &mut Vec<u8>, text: &[u8]) {
    file.extend_from_slice(text);
    let excess = file.len().saturating_sub(KEPT);
    file.drain(..excess);
}

impl Runtime {
    /// Stores a system error if the script has enabled errDump.
    pub(crate) fn errdump_system(&mut self, text: &[u8]) {
        if self.errdump.enabled {
            keep(&mut self.flash.system_errors, text);
        }
    }

    /// Works off what is due by `now`.
    pub(crate) fn drive_errdump(&mut self, now: Instant) {
        if self.errdump.next_wake().is_none_or(|at| at > now) {
            return;
        }
        match self.errdump.stage {
            Stage::Idle => {}
            Stage::Waiting(_) => self.errdump_begin(now),
            Stage::Connecting(_) => {
                self.lib_line(Level::Error, "errdump server connect timeout");
                self.errdump_later(now);
            }
            Stage::Sent(_) if self.errdump.attempts < ATTEMPTS => self.errdump_send(now),
            Stage::Sent(_) => {
                self.lib_line(Level::Error, "errdump server no ack");
                self.errdump_later(now);
            }
        }
    }

    fn errdump_begin(&mut self, now: Instant) {
        let empty = self.flash.system_errors.is_empty() && self.flash.user_errors.is_empty();
        if self.errdump.reported && empty {
            self.lib_line(Level::Debug, "errDump no info errdump stop");
            self.errdump.stage = Stage::Idle;
            return;
        }
        let Some(socket) = self.network.open(Owner::ErrDump) else {
            self.errdump_later(now);
            return;
        };
        let host = self.errdump.host.clone().unwrap_or_else(|| HOST.to_owned());
        let port = self.errdump.port.unwrap_or(PORT);
        self.errdump.socket = Some(socket);
        self.errdump.attempts = 0;
        self.errdump.stage = Stage::Connecting(now + CONNECT);
        self.network.connect(
            now,
            socket,
            Target {
                host,
                port,
                security: Security::Plain,
                udp: true,
                local_port: 0,
            },
        );
        self.drive_network(now);
    }

    /// Gives the socket back and tries again after the period.
    fn errdump_later(&mut self, now: Instant) {
        if let Some(socket) = self.errdump.socket.take() {
            self.network.release(now, socket);
        }
        self.errdump.stage = match self.errdump.period {
            Some(period) => Stage::Waiting(now + period),
            None => Stage::Idle,
        };
    }

    fn errdump_send(&mut self, now: Instant) {
        let dump = &self.errdump;
        let Some(socket) = dump.socket else { return };
        let id = if dump.custom_id.is_empty() {
            &self.config.identity.imei
        } else {
            &dump.custom_id
        };
        let mut text = format!(
            "{}_LuatOS-SoC_V1112_EC618,{},{id},{},\r\n",
            dump.project, dump.version, dump.user_flag
        )
        .into_bytes();
        if !dump.reported {
            text.extend_from_slice(format!("poweron reason:{}\r\n", self.reason as u8).as_bytes());
        }
        for file in [&self.flash.system_errors, &self.flash.user_errors] {
            if !file.is_empty() {
                text.extend_from_slice(file);
                text.extend_from_slice(b"\r\n");
            }
        }
        self.errdump.attempts += 1;
        self.errdump.stage = Stage::Sent(now + ANSWER);
        self.network.send(now, socket, &text);
        self.touch_outside();
    }

    /// Something happened on errDump's socket.
    pub(crate) fn errdump_socket_event(&mut self, event: SocketEvent) {
        let now = self.now();
        match event {
            SocketEvent::Online => self.errdump_send(now),
            SocketEvent::Readable => {
                let Some(socket) = self.errdump.socket else {
                    return;
                };
                let reply = self.network.read(socket, KEPT);
                match (reply.as_slice(), reply.len()) {
                    (b"OK" | b"{\"r\": 1}", _) => {
                        self.lib_line(Level::Debug, "errDump errdump ok!")
                    }
                    (_, 2 | 8) => return,
                    _ => self.lib_line(Level::Debug, "errDump errdump ack unknown"),
                }
                self.errdump.reported = true;
                self.flash.system_errors.clear();
                self.flash.user_errors.clear();
                self.network.release(now, socket);
                self.errdump.socket = None;
                self.errdump.stage = match self.errdump.period {
                    Some(period) => Stage::Waiting(now + period),
                    None => Stage::Idle,
                };
            }
            SocketEvent::Acknowledged => {}
            SocketEvent::Failed => {
                self.lib_line(Level::Error, "errdump server connect fail");
                self.errdump_later(now);
            }
        }
    }
}

/// A global string, or a default.
fn global_text(cx: &mut Call<'_>, name: &str, default: &str) -> String {
    cx.get_global(name);
    let text = cx
        .to_bytes(-1)
        .map(|text| String::from_utf8_lossy(text).into_owned());
    cx.pop(1);
    text.unwrap_or_else(|| default.to_owned())
}

fn optional_text(cx: &Call<'_>, index: i32) -> String {
    cx.to_bytes(index)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .unwrap_or_default()
}

/// `errDump.config(enable, period, flag, id, host, port)`.
fn config(cx: &mut Call<'_>) -> Results {
    let enable = cx.to_boolean(1);
    let period = cx.opt_integer(2, 600)?;
    let (user_flag, custom_id) = (optional_text(cx, 3), optional_text(cx, 4));
    let host = Some(optional_text(cx, 5)).filter(|host| !host.is_empty());
    let port = cx.to_integer(6).and_then(|port| u16::try_from(port).ok());
    // The firmware's own spelling of "unknown".
    let project = global_text(cx, "PROJECT", "unkonw");
    let version = global_text(cx, "VERSION", "");
    let rt = cx.host();
    let now = rt.now();
    rt.errdump.enabled = enable;
    if !enable {
        rt.flash.system_errors.clear();
        rt.flash.user_errors.clear();
        rt.errdump.period = None;
        rt.errdump_later(now);
        return Ok(0);
    }
    let period = u64::try_from(period).ok().filter(|seconds| *seconds > 0);
    rt.errdump.period = period.map(Duration::from_secs);
    rt.errdump.user_flag = user_flag;
    rt.errdump.custom_id = custom_id;
    rt.errdump.host = host;
    rt.errdump.port = port;
    rt.errdump.project = project;
    rt.errdump.version = version;
    if rt.errdump.period.is_some() && rt.errdump.socket.is_none() {
        rt.errdump.stage = Stage::Waiting(now + DELAY);
    }
    Ok(0)
}

/// `errDump.record(text)`: stored, and uploaded soon if nothing is under way.
fn record(cx: &mut Call<'_>) -> Results {
    let text = cx.check_bytes(1)?;
    let rt = cx.host();
    let now = rt.now();
    if rt.errdump.enabled {
        keep(&mut rt.flash.user_errors, &text);
        if rt.errdump.period.is_some() && rt.errdump.socket.is_none() {
            rt.errdump.stage = Stage::Waiting(now + DELAY);
        }
    }
    Ok(0)
}

/// `errDump.dump(zbuff, type, delete)`: true if there is something.
fn dump(cx: &mut Call<'_>) -> Results {
    let buffer = if cx.kind(1) == Kind::Userdata {
        zbuff::arg(cx, 1)
    } else {
        None
    };
    let user = cx.opt_integer(2, 0)? == 1;
    let delete = cx.to_boolean(3);
    let flash = &mut cx.host().flash;
    let file = if user {
        &mut flash.user_errors
    } else {
        &mut flash.system_errors
    };
    let content = file.clone();
    if delete {
        file.clear();
    }
    if let Some(buffer) = buffer {
        zbuff::with(cx, buffer, |b| b.append(&content));
    }
    cx.push_boolean(!content.is_empty());
    Ok(1)
}
