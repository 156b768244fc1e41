//! Transfers over the data connection, and what the sockets of both
//! connections tell.

use super::{DOWNLOAD, Expect, LINGER, Outcome, Step, TIMEOUT, Transfer, UPLOAD};
use super::{UPLOAD_LINGER, UPLOAD_LINGERS};
use crate::net::{Owner, Security, SocketEvent, Target};
use crate::runtime::Runtime;

/// Results of the network adapter, as the client prints them.
const CONNECT: i32 = 2;
const TX: i32 = 3;
const EVENT: i32 = 5;

/// Networks whose addresses a server cannot mean; its own is taken instead.
const PRIVATE: &[&str] = &[
    "172.",
    "192.",
    "10.",
    "127.0.0.1",
    "169.254.0.0",
    "169.254.0.16",
];

/// Host and port of a 227 reply.
fn passive_address(reply: &[u8]) -> Option<(String, u16)> {
    let text = String::from_utf8_lossy(reply);
    let inner = text.split_once('(')?.1.split_once(')')?.0;
    let parts: Vec<&str> = inner.split(',').collect();
    let [a, b, c, d, high, low] = parts[..] else {
        return None;
    };
    // Only the low byte of each number counts.
    let byte = |part: &str| part.trim().parse::<u32>().map_or(0, |n| n as u8);
    let port = u16::from_be_bytes([byte(high), byte(low)]);
    Some((format!("{a}.{b}.{c}.{d}"), port))
}

impl Runtime {
    pub(super) fn ftp_connect_data(&mut self, transfer: Transfer, reply: Option<Vec<u8>>) {
        let place = reply.as_deref().and_then(|bytes| {
            self.ftp_debug(&format!(
                "luat_ftp_pasv_connect cmd_recv_data {}",
                String::from_utf8_lossy(bytes)
            ));
            bytes.starts_with(b"227").then(|| passive_address(bytes))?
        });
        let Some((mut host, port)) = place else {
            if reply.is_some() {
                self.ftp_debug("ftp pasv_connect wrong");
            }
            return self.ftp_passive_failed(transfer);
        };
        self.ftp_debug(&format!("data_addr:{host} data_port:{port}"));
        let Some(session) = &self.ftp.session else {
            return;
        };
        let taken = session.data.is_some();
        if PRIVATE.iter().any(|start| host.starts_with(start)) {
            host.clone_from(&session.host);
            self.ftp_debug(&format!("g_s_ftp.network->addr:{host}"));
        }
        self.ftp_debug(&format!("data_addr:{host} data_port:{port}"));
        if taken {
            self.ftp_error("data_netc already create");
            return self.ftp_passive_failed(transfer);
        }
        let Some(data) = self.network.open(Owner::FtpData) else {
            self.say_no_adapter(1);
            self.ftp_error("data_netc create fail");
            return self.ftp_passive_failed(transfer);
        };
        let now = self.now();
        if let Some(session) = &mut self.ftp.session {
            session.data = Some(data);
            session.online = false;
            session.step = Step::Data(transfer);
            session.deadline = Some(now + TIMEOUT);
        }
        let target = Target {
            host,
            port,
            security: Security::Plain,
            udp: false,
            local_port: 0,
            keepalive: None,
        };
        self.network.connect(now, data, target);
        self.touch_outside();
    }

    /// A download (or list) goes on, or is complete by the server's word.
    pub(super) fn ftp_transfer(&mut self, transfer: Transfer, complete: bool) {
        let Some(session) = &self.ftp.session else {
            return;
        };
        let online = session.online;
        if complete && online {
            self.ftp_await(Expect::Linger(transfer), LINGER);
        } else if complete {
            self.ftp_transferred(transfer);
        } else if online || !self.ftp.result.is_empty() {
            self.ftp_await(Expect::Complete(transfer), TIMEOUT);
        } else {
            self.ftp_debug("???");
            self.ftp_fail();
        }
    }

    /// The server is done. A data connection that is still open is closed from
    /// here, too late for the task to see it: it stays taken.
    pub(super) fn ftp_transferred(&mut self, transfer: Transfer) {
        let now = self.now();
        if let Some(session) = &self.ftp.session
            && let Some(data) = session.data
            && session.online
        {
            self.network.finish(now, data);
            self.touch_outside();
        }
        if transfer == Transfer::List {
            return self.ftp_idle(Outcome::Text);
        }
        if let Some(file) = self.ftp.file.take() {
            // Nobody asks what became of it.
            let _ = self.close_file(file);
        }
        self.ftp_idle(Outcome::Done);
    }

    /// Writes the whole file into the data connection.
    pub(super) fn ftp_upload(&mut self) {
        let now = self.now();
        let mut offset = 0;
        let mut open = true;
        while let Some(file) = self.ftp.file {
            let piece = self.read_open(file, UPLOAD);
            if piece.is_empty() {
                break;
            }
            offset += piece.len();
            self.ftp_debug(&format!("luat_ftp_data_send data:{}", piece.len()));
            let data = self.ftp.session.as_ref().and_then(|s| s.data);
            // After a piece that finds no room the connection takes nothing.
            open = open && data.is_some_and(|data| self.network.send(now, data, &piece));
            if let Some(session) = self.ftp.session.as_mut().filter(|_| open) {
                session.sent += piece.len();
            }
        }
        self.touch_outside();
        let size = self.ftp.session.as_ref().map_or(0, |s| s.size);
        self.ftp_debug(&format!("offset:{offset} file_size:{size}"));
        self.ftp_await(Expect::StoreComplete, TIMEOUT);
    }

    /// The server has said something about the upload, or has not.
    pub(super) fn ftp_stored(&mut self, replied: bool, complete: bool) {
        if let Some(session) = &self.ftp.session
            && session.acknowledged != session.size
        {
            let line = format!(
                "upload not finish !!! {},{}",
                session.acknowledged, session.size
            );
            self.ftp_error(&line);
        }
        if !replied {
            return self.ftp_fail();
        }
        if !complete {
            self.ftp_debug("ftp STOR wrong");
        }
        self.ftp_linger_upload();
    }

    /// Waits for the data connection to close; it does so three times in a
    /// login, not in an upload.
    pub(super) fn ftp_linger_upload(&mut self) {
        if let Some(session) = &mut self.ftp.session
            && session.online
            && session.lingers < UPLOAD_LINGERS
        {
            session.lingers += 1;
            return self.ftp_await(Expect::StoreLinger, UPLOAD_LINGER);
        }
        if let Some(file) = self.ftp.file.take() {
            // Nobody asks what became of it.
            let _ = self.close_file(file);
        }
        self.ftp_idle(Outcome::Done);
    }

    /// The answer to `ftp.command`; a wrong one counts as an answer.
    pub(super) fn ftp_answered(&mut self, reply: Option<Vec<u8>>) {
        const ANSWERS: [(&[u8], &[u8]); 9] = [
            (b"NOOP", b"200"),
            (b"TYPE", b"200"),
            (b"SYST", b"215"),
            (b"PWD", b"257"),
            (b"MKD", b"257"),
            (b"CWD", b"250"),
            (b"CDUP", b"250"),
            (b"RMD", b"250"),
            (b"DELE", b"250"),
        ];
        let (Some(reply), Some(session)) = (reply, &self.ftp.session) else {
            return self.ftp_fail();
        };
        let wanted = ANSWERS
            .iter()
            .find(|(name, _)| session.command.starts_with(name));
        if wanted.is_some_and(|(_, code)| !reply.starts_with(code)) {
            self.ftp_debug("ftp COMMAND wrong");
        }
        self.ftp.result.extend_from_slice(&reply);
        self.ftp_idle(Outcome::Text);
    }

    /// The answer to QUIT ends the login whatever it says.
    pub(super) fn ftp_left(&mut self, reply: Option<Vec<u8>>, good: bool) {
        if reply.is_some() && !good {
            self.ftp_error("ftp QUIT wrong");
        }
        self.ftp.result.extend(reply.unwrap_or_default());
        self.ftp_tell(if good { Outcome::Text } else { Outcome::Failed });
        self.ftp_release();
    }

    /// Something happened on the control connection.
    pub(crate) fn ftp_control_event(&mut self, event: SocketEvent) {
        let Some(session) = &mut self.ftp.session else {
            return;
        };
        match event {
            SocketEvent::Online => self.ftp_await(Expect::Greeting, TIMEOUT),
            SocketEvent::Failed if session.step == Step::Connecting => {
                return self.ftp_login_failed("ftp network_connect fail");
            }
            SocketEvent::Failed => session.lost = true,
            SocketEvent::Acknowledged | SocketEvent::Readable => {}
        }
        self.ftp_run();
    }

    /// Something happened on the data connection.
    pub(crate) fn ftp_data_event(&mut self, event: SocketEvent) {
        let Some(session) = &self.ftp.session else {
            return;
        };
        let step = session.step;
        let (code, result) = match (event, step) {
            (SocketEvent::Online, _) => (CONNECT, 0),
            (SocketEvent::Acknowledged, _) => (TX, 0),
            (SocketEvent::Readable, _) => (EVENT, 0),
            (SocketEvent::Failed, Step::Data(_)) => (CONNECT, -1),
            (SocketEvent::Failed, _) => (EVENT, -1),
        };
        self.ftp_debug(&format!("luat_ftp_data_callback {code} {result}"));
        match (event, step) {
            (SocketEvent::Online, Step::Data(transfer)) => self.ftp_begin(transfer),
            (SocketEvent::Failed, Step::Data(transfer)) => self.ftp_passive_failed(transfer),
            (SocketEvent::Readable, _) => self.ftp_receive(),
            // The task looks at these only while it waits for a reply.
            (SocketEvent::Acknowledged, Step::Reply(_)) => self.ftp_uploaded(),
            (SocketEvent::Failed, Step::Reply(_)) => self.ftp_data_closed(),
            _ => {}
        }
        self.ftp_run();
    }

    /// The data connection is there: the command proper.
    fn ftp_begin(&mut self, transfer: Transfer) {
        self.ftp_debug("ftp pasv_connect ok");
        let Some(session) = &mut self.ftp.session else {
            return;
        };
        session.online = true;
        (session.sent, session.acknowledged) = (0, 0);
        let line = |verb: &[u8], name: &[u8]| {
            let mut line = [verb, name, b"\r\n"].concat();
            line.truncate(super::COMMAND);
            line
        };
        let (command, expect) = match transfer {
            Transfer::Pull => (line(b"RETR ", &session.remote), Expect::Open(transfer)),
            Transfer::Push => (line(b"STOR ", &session.remote), Expect::StoreOpen),
            Transfer::List => (session.command.clone(), Expect::Open(transfer)),
        };
        self.ftp_say(&command, expect);
    }

    /// Bytes arrived: into the file while the task waits, or into the result.
    fn ftp_receive(&mut self) {
        while let Some(session) = &self.ftp.session {
            let (Some(data), step) = (session.data, session.step) else {
                return;
            };
            let piece = self.network.read(data, DOWNLOAD);
            if piece.is_empty() {
                return;
            }
            match self.ftp.file {
                None => self.ftp.result.extend_from_slice(&piece),
                Some(file) if !matches!(step, Step::Idle | Step::Dead) => {
                    // A full disk goes unnoticed, as in the firmware.
                    self.write_open(file, &piece);
                }
                Some(_) => {}
            }
        }
    }

    /// Everything sent has been acknowledged.
    fn ftp_uploaded(&mut self) {
        let now = self.now();
        let Some(session) = &mut self.ftp.session else {
            return;
        };
        session.acknowledged = session.sent;
        let done = session.acknowledged >= session.size;
        if let Some(data) = session.data.filter(|_| done) {
            self.ftp_debug("ftp data upload done!");
            self.network.finish(now, data);
            self.touch_outside();
            self.ftp_data_closed();
        }
    }

    fn ftp_data_closed(&mut self) {
        self.ftp_debug("ftp data channel close");
        if let Some(session) = &mut self.ftp.session {
            session.online = false;
        }
        self.ftp_drop_data();
    }
}
