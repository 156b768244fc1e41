//! Logging in, from the call to the server's 230.

use super::{COMMAND, Expect, Outcome, Session, Step, TIMEOUT};
use crate::net::{Owner, Security, Target};
use crate::runtime::Runtime;

/// Longest host, user, password.
const NAME: usize = 63;

/// What `ftp.login` was given.
pub(crate) struct Login {
    pub(crate) adapter: u8,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
    /// Arguments for TLS were given.
    pub(crate) tls: bool,
}

/// The firmware keeps short texts only; longer ones become empty.
fn kept(text: Vec<u8>) -> Vec<u8> {
    if text.len() > NAME { Vec::new() } else { text }
}

impl Runtime {
    /// `ftp.login`; a number is the firmware's complaint.
    pub(crate) fn ftp_login(&mut self, login: Login) -> Result<(), i32> {
        if self.ftp.session.is_some() {
            self.ftp_error("ftp already login, please close first");
            self.ftp_release();
            return Err(-1);
        }
        if login.adapter >= 10 {
            let line = format!("bad network adapter index {}", login.adapter);
            self.ftp_error(&line);
            return Err(-1);
        }
        let control = (login.adapter == 1)
            .then(|| self.network.open(Owner::FtpControl))
            .flatten();
        let Some(control) = control else {
            self.say_no_adapter(login.adapter.into());
            self.ftp_error("cmd_netc create fail");
            return Err(-9);
        };
        let now = self.now();
        if self.config.core.is_new()
            && let Err(code) = self.ftp_check(&login)
        {
            self.network.release(now, control);
            return Err(code);
        }
        let host = if login.host.len() > NAME {
            String::new()
        } else {
            login.host
        };
        self.ftp.session = Some(Session {
            control,
            lost: false,
            host: host.clone(),
            user: kept(login.user),
            password: kept(login.password),
            data: None,
            online: false,
            running: true,
            step: Step::Connecting,
            deadline: Some(now + TIMEOUT),
            command: Vec::new(),
            remote: Vec::new(),
            size: 0,
            sent: 0,
            acknowledged: 0,
            lingers: 0,
        });
        let target = Target {
            host,
            port: login.port,
            // V1112 takes the arguments for TLS and wipes what it made of them.
            security: Security::Plain,
            udp: false,
            local_port: 0,
            keepalive: None,
        };
        self.network.connect(now, control, target);
        self.drive_network(now);
        Ok(())
    }

    /// What the new core refuses.
    fn ftp_check(&mut self, login: &Login) -> Result<(), i32> {
        let lengths = [
            ("ip address", login.host.len(), -20),
            ("username", login.user.len(), -21),
            ("password", login.password.len(), -22),
        ];
        for (what, length, code) in lengths {
            if !(1..=NAME).contains(&length) {
                self.ftp_error(&format!("invalid {what} length {length}"));
                return Err(code);
            }
        }
        if login.tls {
            self.ftp_error("ftp tls not support yet");
            return Err(-24);
        }
        Ok(())
    }

    pub(super) fn ftp_login_failed(&mut self, why: &str) {
        if !why.is_empty() {
            self.ftp_error(why);
        }
        self.ftp_error("ftp login fail");
        self.ftp_tell(Outcome::Failed);
        self.ftp_release();
    }

    pub(super) fn ftp_log_in(&mut self, expect: Expect, replied: bool, code: &[u8]) {
        let Some(session) = &self.ftp.session else {
            return;
        };
        let line = |verb: &[u8], text: &[u8]| {
            let mut line = [verb, text, b"\r\n"].concat();
            line.truncate(COMMAND);
            line
        };
        match expect {
            Expect::Greeting if code == b"220" => {
                let command = line(b"USER ", &session.user);
                self.ftp_debug("ftp connect ok");
                self.ftp_say(&command, Expect::User);
            }
            Expect::Greeting if replied => self.ftp_login_failed("ftp connect error"),
            Expect::Greeting => self.ftp_login_failed(""),
            Expect::User if code == b"331" => {
                let command = line(b"PASS ", &session.password);
                self.ftp_debug("ftp username ok");
                self.ftp_say(&command, Expect::Password);
            }
            Expect::User => self.ftp_login_failed("ftp username wrong"),
            _ if code == b"230" => {
                self.ftp_debug("ftp login ok");
                self.ftp_idle(Outcome::Done);
            }
            _ => self.ftp_login_failed("ftp login wrong"),
        }
    }
}
