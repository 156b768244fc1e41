//! The SNTP client behind `socket.sntp` (docs/firmware-facts.md, "sntp").

use std::time::Duration;

use airbench_clock::Instant;

use super::{Owner, Security, SocketEvent, SocketId, Target};
use crate::libs::socket::CELLULAR;
use crate::runtime::{Level, Runtime};

/// Time a server has for everything, DNS included.
const TIMEOUT: Duration = Duration::from_millis(2000);
/// Seconds from 1900 to 1970.
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// A request: version 3, client.
const REQUEST: u8 = 0x1B;
const PACKET: usize = 48;
/// Bytes an answer needs to be looked at.
const ANSWER: usize = 44;
/// Measurements of the network's delay that are averaged.
const DELAYS: usize = 8;
/// Longest server name.
const NAME: usize = 30;

/// The client's state.
#[derive(Debug)]
pub(crate) struct Sntp {
    servers: [String; 3],
    pub(crate) port: u16,
    /// Slot being asked, its socket, and when it is given up.
    running: Option<(usize, SocketId, Instant)>,
    /// UTC milliseconds at uptime zero, as the last answer said.
    base: Option<i64>,
    /// The latest measurements of the network's delay in ms, and their mean.
    delays: [i32; DELAYS],
    delay: i32,
}

impl Default for Sntp {
    fn default() -> Self {
        Self {
            servers: [
                "ntp.aliyun.com".into(),
                "ntp.ntsc.ac.cn".into(),
                "time1.cloud.tencent.com".into(),
            ],
            port: 123,
            running: None,
            base: None,
            delays: [0; DELAYS],
            delay: 0,
        }
    }
}

/// What `socket.ntptm()` shows.
pub(crate) struct Times {
    pub(crate) valid: bool,
    base: i64,
    uptime: i64,
    delay: i32,
}

impl Times {
    /// Names (spelt as the firmware does) and values.
    pub(crate) fn fields(&self) -> [(&'static str, i32); 7] {
        let now = self.base + self.uptime;
        let split = |ms: i64| (ms.div_euclid(1000) as i32, ms.rem_euclid(1000) as i32);
        let ((tsec, tms), (ssec, sms)) = (split(now), split(self.base));
        let (lsec, lms) = split(self.uptime);
        [
            ("ndeley", self.delay),
            ("ssec", ssec),
            ("sms", sms),
            ("tsec", tsec),
            ("tms", tms),
            ("lsec", lsec),
            ("lms", lms),
        ]
    }
}

/// The time at uptime zero in milliseconds, as the firmware reckons it: where the
/// answer's milliseconds are fewer than those of the uptime it borrows a second
/// and then takes their difference the wrong way round.
fn base_of(seconds: i64, ms: i64, uptime: i64) -> i64 {
    let difference = ms - uptime % 1000;
    let borrowed = i64::from(difference < 0);
    (seconds - uptime / 1000 - borrowed) * 1000 + difference.abs()
}

impl Runtime {
    /// Replaces a server; one with too long a name is refused.
    pub(crate) fn sntp_server(&mut self, slot: usize, name: String) {
        if name.len() > NAME {
            let line = format!("sntp server_addr too long {name}");
            self.lib_line(Level::Error, &line);
        } else if let Some(server) = self.sntp.servers.get_mut(slot) {
            *server = name;
        }
    }

    /// Begins a run; a topic tells how it ended.
    pub(crate) fn sntp_start(&mut self, adapter: bool) {
        if self.sntp.running.is_some() {
            self.lib_line(Level::Info, "sntp sntp is running");
        } else if adapter {
            self.sntp_ask(0);
        } else {
            self.publish("NTP_ERROR", Vec::new());
        }
    }

    fn sntp_ask(&mut self, slot: usize) {
        let now = self.now();
        let host = self.sntp.servers[slot].clone();
        self.lib_line(Level::Debug, &format!("sntp query {host}"));
        let Some(socket) = self.network.open(Owner::Sntp) else {
            self.say_no_adapter(CELLULAR);
            self.lib_line(Level::Error, "sntp network_alloc_ctrl fail");
            self.publish("NTP_ERROR", Vec::new());
            return;
        };
        self.sntp.running = Some((slot, socket, now + TIMEOUT));
        let target = Target {
            host,
            port: self.sntp.port,
            security: Security::Plain,
            udp: true,
            local_port: 0,
            keepalive: None,
        };
        self.network.connect(now, socket, target);
        self.drive_network(now);
    }

    /// Asks the next server, or gives up.
    fn sntp_next(&mut self) {
        let Some((slot, socket, _)) = self.sntp.running.take() else {
            return;
        };
        let now = self.now();
        self.network.release(now, socket);
        if slot + 1 < self.sntp.servers.len() {
            self.lib_line(Level::Debug, "sntp 前一个ntp服务器未响应,尝试下一个");
            self.sntp_ask(slot + 1);
        } else {
            self.publish("NTP_ERROR", Vec::new());
        }
    }

    /// When a server is given up.
    pub(crate) fn sntp_wake(&self) -> Option<Instant> {
        self.sntp.running.map(|(_, _, until)| until)
    }

    /// A server's time is over.
    pub(crate) fn drive_sntp(&mut self, now: Instant) {
        if self.sntp_wake().is_some_and(|at| at <= now) {
            self.lib_line(Level::Warn, "sntp timeout send ntp_error");
            self.sntp_next();
        }
    }

    /// Something happened on the client's socket.
    pub(crate) fn sntp_socket_event(&mut self, event: SocketEvent) {
        let now = self.now();
        let Some((_, socket, _)) = self.sntp.running else {
            return;
        };
        match event {
            SocketEvent::Online => {
                let mut packet = [0; PACKET];
                packet[0] = REQUEST;
                if let Some(base) = self.sntp.base {
                    let ms = base + self.uptime().as_millis() as i64;
                    let seconds = ms.div_euclid(1000) + NTP_TO_UNIX;
                    let fraction = ms.rem_euclid(1000) * 1000 * 4295;
                    packet[40..44].copy_from_slice(&(seconds as u32).to_be_bytes());
                    packet[44..48].copy_from_slice(&(fraction as u32).to_be_bytes());
                }
                self.network.send(now, socket, &packet);
                self.touch_outside();
            }
            SocketEvent::Readable => {
                let answer = self.network.read(socket, PACKET);
                if answer.len() < ANSWER {
                    let line = format!("sntp 响应包不合法 result 0 rx_len {}", answer.len());
                    self.lib_line(Level::Info, &line);
                } else {
                    self.sntp_answer(&answer);
                }
            }
            SocketEvent::Failed => {
                self.lib_line(Level::Info, "sntp 请求包传输失败!!");
                self.lib_line(Level::Debug, "sntp timer在运行, 关闭之");
                self.sntp_next();
            }
            SocketEvent::Acknowledged => {}
        }
    }

    fn sntp_answer(&mut self, answer: &[u8]) {
        let word = |at: usize| {
            let mut bytes = [0; 4];
            let end = (at + 4).min(answer.len());
            bytes[..end - at].copy_from_slice(&answer[at..end]);
            u32::from_be_bytes(bytes)
        };
        let seconds = match word(40) {
            0 => 0,
            ntp => i64::from(ntp) - NTP_TO_UNIX,
        };
        let ms = i64::from(word(44.min(answer.len())) / 4295 / 1000);
        let now = self.now();
        let stamp = |at: usize| match word(at) {
            0 => None,
            ntp => {
                Some((i64::from(ntp) - NTP_TO_UNIX) * 1000 + i64::from(word(at + 4) / 4295 / 1000))
            }
        };
        let uptime = self.uptime().as_millis() as i64;
        if let (Some(sent), Some(base)) = (stamp(24), self.sntp.base) {
            let up = stamp(32).unwrap_or(0) - sent;
            let down = base + uptime - (seconds * 1000 + ms);
            self.sntp_delay((up + down) as i32 / 2);
        }
        self.sntp.base = Some(base_of(seconds, ms, uptime));
        self.set_utc(seconds);
        let line = format!("sntp Unix timestamp: {}", seconds as i32);
        self.lib_line(Level::Debug, &line);
        if let Some((_, socket, _)) = self.sntp.running.take() {
            self.network.release(now, socket);
        }
        let args = if self.config.core.is_new() {
            vec![crate::message::Arg::Integer(0)]
        } else {
            Vec::new()
        };
        self.publish("NTP_UPDATE", args);
    }

    /// Takes a measurement of the network's delay in.
    fn sntp_delay(&mut self, measured: i32) {
        let sntp = &mut self.sntp;
        if sntp.delay == 0 {
            sntp.delays = [measured; DELAYS];
        } else {
            sntp.delays.rotate_left(1);
            sntp.delays[DELAYS - 1] = measured;
        }
        let sum: i64 = sntp.delays.iter().map(|delay| i64::from(*delay)).sum();
        let (before, mean) = (sntp.delay, (sum.max(0) / DELAYS as i64) as i32);
        sntp.delay = mean;
        let line = format!("sntp 修正网络延时(ms) {before} -> {mean}");
        self.lib_line(Level::Debug, &line);
    }

    /// The client's idea of the time.
    pub(crate) fn sntp_times(&self) -> Times {
        Times {
            valid: self.sntp.base.is_some(),
            base: self.sntp.base.unwrap_or(0),
            uptime: self.uptime().as_millis() as i64,
            delay: self.sntp.delay,
        }
    }
}
