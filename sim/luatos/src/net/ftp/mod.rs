//! The FTP client behind the `ftp` library (docs/firmware-facts.md, "ftp").
//!
//! The firmware's client is a task of its own that blocks on each reply. Here
//! the place where it blocks is a [`Step`]; what arrives while it blocks
//! elsewhere has the same fate as there, so an unread close of the data
//! connection spoils the next transfer as it does on the board.

mod login;
mod transfer;

use std::time::Duration;

use airbench_clock::Instant;

pub(crate) use login::Login;

use super::SocketId;
use crate::message::Message;
use crate::runtime::{Level, Runtime};

/// Time for a reply, and for a connection.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Time the server has to close a data connection after its last word.
const LINGER: Duration = Duration::from_secs(1);
/// The same after an upload, up to three times in a session.
const UPLOAD_LINGER: Duration = Duration::from_secs(10);
const UPLOAD_LINGERS: u32 = 3;
/// Longest command with its line end, and most bytes of a reply.
const COMMAND: usize = 127;
const REPLY: usize = 1024;
/// Bytes read from a file, and from a data connection, at a time.
const UPLOAD: usize = 4096;
const DOWNLOAD: usize = 2048;

/// What Lua is told in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// `false`.
    Failed,
    /// `true`.
    Done,
    /// What the server said or listed.
    Text,
}

/// A transfer over a data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Pull,
    Push,
    List,
}

/// Which reply is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Greeting,
    User,
    Password,
    Passive(Transfer),
    /// The file is about to come.
    Open(Transfer),
    /// It has come.
    Complete(Transfer),
    /// Anything; the server closes the data connection meanwhile.
    Linger(Transfer),
    StoreOpen,
    StoreComplete,
    StoreLinger,
    Command,
    Quit,
}

/// Where the task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    Reply(Expect),
    /// The data connection is being made.
    Data(Transfer),
    Idle,
    /// The control connection is gone; the next request ends the task.
    Dead,
}

/// Why no reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Lost,
    Timeout,
}

/// What Lua asks for, with the firmware's number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Command = 2,
    Pull = 3,
    Push = 4,
    Close = 5,
}

/// One login.
#[derive(Debug)]
struct Session {
    control: SocketId,
    /// The control connection was lost.
    lost: bool,
    host: String,
    user: Vec<u8>,
    password: Vec<u8>,
    data: Option<SocketId>,
    online: bool,
    /// Until `ftp.close`.
    running: bool,
    step: Step,
    deadline: Option<Instant>,
    command: Vec<u8>,
    remote: Vec<u8>,
    /// Bytes of the file to upload, sent and acknowledged.
    size: usize,
    sent: usize,
    acknowledged: usize,
    lingers: u32,
}

/// The client.
#[derive(Debug, Default)]
pub(crate) struct Ftp {
    /// Whether it speaks of what it does.
    pub(crate) debug: bool,
    /// Who waits for a result; only the latest one ever gets it.
    pub(crate) topic: Option<Vec<u8>>,
    /// What the server said or listed.
    pub(crate) result: Vec<u8>,
    file: Option<u32>,
    session: Option<Session>,
}

impl Runtime {
    fn ftp_debug(&mut self, text: &str) {
        if self.ftp.debug {
            self.lib_line(Level::Debug, &format!("ftp {text}"));
        }
    }

    pub(crate) fn ftp_error(&mut self, text: &str) {
        self.lib_line(Level::Error, &format!("ftp {text}"));
    }

    /// Ends a login without a word.
    pub(crate) fn ftp_release(&mut self) {
        if let Some(session) = self.ftp.session.take() {
            let now = self.now();
            self.network.release(now, session.control);
            if let Some(data) = session.data {
                self.network.release(now, data);
            }
            self.touch_outside();
        }
    }

    /// There is a login (or one under way); says so where there is none.
    pub(crate) fn ftp_ready(&mut self) -> bool {
        let ready = self.ftp.session.is_some();
        if !ready {
            self.ftp_error("please login first");
        }
        ready
    }

    /// The command the next request sends; false for one that is not known.
    pub(crate) fn ftp_set_command(&mut self, command: &[u8]) -> bool {
        const KNOWN: [&str; 10] = [
            "NOOP", "SYST", "MKD", "CWD", "CDUP", "RMD", "PWD", "DELE", "TYPE", "LIST",
        ];
        let known = KNOWN
            .iter()
            .find(|name| command.starts_with(name.as_bytes()));
        let Some(name) = known else {
            let line = format!("not support cmd:{}", String::from_utf8_lossy(command));
            self.ftp_error(&line);
            return false;
        };
        // It calls PWD by another's name.
        let said = if *name == "PWD" { "RMD" } else { name };
        self.ftp_debug(&format!("command: {said}"));
        if let Some(session) = &mut self.ftp.session {
            session.command = [command, b"\r\n"].concat();
            session.command.truncate(COMMAND);
        }
        true
    }

    /// Opens the local file of a transfer; false if it cannot be opened.
    pub(crate) fn ftp_set_files(&mut self, pull: bool, local: &str, remote: &[u8]) -> bool {
        if let Some(file) = self.ftp.file.take() {
            // Nobody asks what became of it.
            let _ = self.close_file(file);
        }
        if pull {
            // What is not there needs no removal.
            let _ = self.remove_path(local);
        }
        self.ftp.file = self.open_file(local, if pull { "wb+" } else { "rb" });
        if self.ftp.file.is_none() {
            self.ftp_error(&format!("open download file fail {local}"));
            return false;
        }
        let size = self.read_file(local).map_or(0, |content| content.len());
        if let Some(session) = &mut self.ftp.session {
            session.size = size;
            session.remote = remote.to_vec();
        }
        true
    }

    /// Hands the task a request, as its event queue does.
    pub(crate) fn ftp_request(&mut self, request: Request) {
        let Some(session) = &mut self.ftp.session else {
            return;
        };
        match (session.step, request) {
            (Step::Dead, _) => {
                self.ftp_release();
                self.ftp_tell(Outcome::Failed);
            }
            (Step::Idle, Request::Close) => self.ftp_quit(),
            (Step::Idle, Request::Command) => {
                self.ftp.result.clear();
                if session.command.starts_with(b"LIST") {
                    self.ftp_passive(Transfer::List);
                } else {
                    let command = session.command.clone();
                    self.ftp_say(&command, Expect::Command);
                }
            }
            (Step::Idle, Request::Pull) => {
                self.ftp_drop_data();
                self.ftp_passive(Transfer::Pull);
            }
            (Step::Idle, Request::Push) => self.ftp_passive(Transfer::Push),
            (_, Request::Close) => session.running = false,
            (_, other) => {
                let line = format!("last cmd not finish, ignore {},0,0,0", other as i32);
                self.ftp_error(&line);
            }
        }
        self.ftp_run();
    }

    fn ftp_tell(&mut self, outcome: Outcome) {
        self.bus.push_back(Message::Ftp(outcome));
    }

    fn ftp_drop_data(&mut self) {
        let data = self.ftp.session.as_mut().and_then(|s| s.data.take());
        if let Some(data) = data {
            let now = self.now();
            self.network.release(now, data);
        }
    }

    /// Sends a command and waits for a reply.
    fn ftp_say(&mut self, command: &[u8], expect: Expect) {
        let text = String::from_utf8_lossy(command).into_owned();
        self.ftp_debug(&format!("luat_ftp_cmd_send data:{text}"));
        let now = self.now();
        if let Some(session) = &self.ftp.session {
            // A lost connection shows when the reply is awaited.
            self.network.send(now, session.control, command);
        }
        self.touch_outside();
        self.ftp_await(expect, TIMEOUT);
    }

    fn ftp_await(&mut self, expect: Expect, time: Duration) {
        let deadline = self.now() + time;
        if let Some(session) = &mut self.ftp.session {
            session.step = Step::Reply(expect);
            session.deadline = Some(deadline);
        }
    }

    fn ftp_passive(&mut self, transfer: Transfer) {
        self.ftp_say(b"PASV\r\n", Expect::Passive(transfer));
    }

    fn ftp_quit(&mut self) {
        self.ftp_say(b"QUIT\r\n", Expect::Quit);
    }

    /// When the task gives up waiting.
    pub(crate) fn ftp_wake(&self) -> Option<Instant> {
        self.ftp.session.as_ref()?.deadline
    }

    /// The task's time is over.
    pub(crate) fn drive_ftp(&mut self, now: Instant) {
        let over = self.ftp_wake().is_some_and(|at| at <= now);
        let Some(session) = self.ftp.session.as_mut().filter(|_| over) else {
            return;
        };
        session.deadline = None;
        match session.step {
            Step::Connecting => self.ftp_login_failed("ftp network_connect fail"),
            Step::Data(transfer) => self.ftp_passive_failed(transfer),
            Step::Reply(expect) => self.ftp_reply(expect, Err(Silence::Timeout)),
            Step::Idle | Step::Dead => {}
        }
        self.ftp_run();
    }

    /// Goes on as far as what has arrived allows.
    fn ftp_run(&mut self) {
        while let Some(session) = &self.ftp.session {
            let (step, control, lost) = (session.step, session.control, session.lost);
            let bytes = match step {
                Step::Connecting | Step::Dead => return,
                _ => self.network.read(control, REPLY),
            };
            match step {
                Step::Reply(expect) if !bytes.is_empty() => self.ftp_reply(expect, Ok(bytes)),
                Step::Reply(expect) if lost => self.ftp_reply(expect, Err(Silence::Lost)),
                Step::Idle if !bytes.is_empty() => {
                    self.ftp_debug(&format!("ftp rx {}byte", bytes.len()));
                }
                Step::Idle if lost => {
                    self.ftp_error("ftp network error");
                    self.ftp_step(Step::Dead);
                }
                Step::Data(_) if !bytes.is_empty() => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.ftp_debug(&format!("ftp cmd rx {text}"));
                }
                Step::Data(transfer) if lost => self.ftp_passive_failed(transfer),
                _ => return,
            }
        }
    }

    fn ftp_step(&mut self, step: Step) {
        if let Some(session) = &mut self.ftp.session {
            session.step = step;
            session.deadline = None;
        }
    }

    /// The task is back at its queue, or leaves if it was told to.
    fn ftp_idle(&mut self, outcome: Outcome) {
        self.ftp_tell(outcome);
        self.ftp_step(Step::Idle);
        if self.ftp.session.as_ref().is_some_and(|s| !s.running) {
            self.ftp_quit();
        }
    }

    fn ftp_fail(&mut self) {
        if let Some(file) = self.ftp.file.take() {
            // Nobody asks what became of it.
            let _ = self.close_file(file);
        }
        self.ftp_idle(Outcome::Failed);
    }

    fn ftp_passive_failed(&mut self, transfer: Transfer) {
        match transfer {
            Transfer::Pull => self.ftp_error("ftp pasv_connect fail"),
            Transfer::Push | Transfer::List => self.ftp_debug("ftp pasv_connect fail"),
        }
        self.ftp_fail();
    }

    /// A reply, or why there is none.
    fn ftp_reply(&mut self, expect: Expect, reply: Result<Vec<u8>, Silence>) {
        let (result, timeout) = match &reply {
            Ok(_) => (0, 0),
            Err(Silence::Timeout) => (0, 1),
            Err(Silence::Lost) => (-1, 0),
        };
        self.ftp_debug(&format!(
            "luat_ftp_cmd_recv network_wait_rx ret:{result} is_break:0 is_timeout:{timeout}"
        ));
        let code = reply
            .as_ref()
            .ok()
            .and_then(|bytes| bytes.get(..3))
            .map(<[u8]>::to_vec);
        let is = |wanted: &[u8]| code.as_deref() == Some(wanted);
        match expect {
            Expect::Greeting | Expect::User | Expect::Password => {
                self.ftp_log_in(expect, reply.is_ok(), &code.unwrap_or_default());
            }
            Expect::Passive(transfer) => self.ftp_connect_data(transfer, reply.ok()),
            Expect::Open(transfer) => match reply {
                Ok(bytes) if is(b"150") || is(b"125") => {
                    self.ftp_say_reply(&bytes);
                    let rest = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
                    let rest = rest.map_or(&bytes[bytes.len()..], |at| &bytes[at..]);
                    let complete = rest.windows(3).any(|window| window == b"226");
                    self.ftp_transfer(transfer, complete);
                }
                Ok(bytes) => {
                    self.ftp_say_reply(&bytes);
                    self.ftp_fail();
                }
                Err(_) => self.ftp_fail(),
            },
            Expect::Complete(transfer) => match reply {
                Ok(bytes) => {
                    self.ftp_say_reply(&bytes);
                    if is(b"226") {
                        self.ftp_transfer(transfer, true);
                    } else {
                        self.ftp_fail();
                    }
                }
                Err(Silence::Timeout) => self.ftp_transfer(transfer, false),
                Err(Silence::Lost) => {
                    self.ftp_debug("rx error!-1");
                    self.ftp_fail();
                }
            },
            Expect::Linger(_) if reply == Err(Silence::Lost) => self.ftp_fail(),
            Expect::Linger(transfer) => self.ftp_transferred(transfer),
            Expect::StoreOpen => match reply {
                Ok(bytes) => {
                    self.ftp_say_reply(&bytes);
                    if is(b"150") || is(b"125") {
                        self.ftp_upload();
                    } else {
                        self.ftp_debug("ftp STOR wrong");
                        self.ftp_fail();
                    }
                }
                Err(_) => self.ftp_fail(),
            },
            Expect::StoreComplete => self.ftp_stored(reply.is_ok(), is(b"226")),
            Expect::StoreLinger => self.ftp_linger_upload(),
            Expect::Command => self.ftp_answered(reply.ok()),
            Expect::Quit => self.ftp_left(reply.ok(), is(b"221")),
        }
    }

    fn ftp_say_reply(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.ftp_debug(&text);
    }
}
