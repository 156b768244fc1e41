//! An FTP server (RFC 959), passive mode only.
//!
//! No maintained server library works on streams other than the system's
//! sockets, so the few commands a device uses are answered here. Any login is
//! good but one without a password. Files are the HTTP origin's routes and
//! what clients store.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use airbench_airtun::Clock;
use airbench_trace::Kind;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::oneshot;

use super::Notes;
use super::origin::Route;
use crate::pipe::GuestEnd;

/// Ports of data connections.
pub(crate) const DATA_PORTS: std::ops::Range<u16> = 50_000..50_008;
/// Longest command line.
const LINE: u64 = 1024;
/// Largest file taken.
const FILE: u64 = 4 << 20;
/// Between things a server does one after the other on its two connections.
const STEP: Duration = Duration::from_millis(1);
/// Time a client has to make its data connection.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    folders: BTreeSet<String>,
    /// Data connections to come, by port.
    expected: BTreeMap<u16, oneshot::Sender<GuestEnd>>,
    ports: u16,
}

/// The server, shared by its connections.
#[derive(Clone)]
pub(crate) struct FtpServer {
    state: Arc<Mutex<State>>,
    address: Ipv4Addr,
    clock: Arc<dyn Clock>,
    notes: Notes,
}

/// One login.
struct Session {
    user: String,
    open: bool,
    folder: String,
    data: Option<oneshot::Receiver<GuestEnd>>,
    /// One that will not be used; it closes after the refusal is out.
    refused: Option<oneshot::Receiver<GuestEnd>>,
}

impl FtpServer {
    pub(crate) fn new(
        address: Ipv4Addr,
        routes: &[Route],
        clock: Arc<dyn Clock>,
        notes: Notes,
    ) -> Self {
        let mut state = State::default();
        for route in routes {
            let content = route.content.clone();
            let content = content.unwrap_or_else(|| route.body.clone().into_bytes());
            for folder in parents(&route.path) {
                state.folders.insert(folder);
            }
            state.files.insert(route.path.clone(), content);
        }
        Self {
            state: Arc::new(Mutex::new(state)),
            address,
            clock,
            notes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Entries are changed whole; a panic elsewhere leaves them usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A data connection has come in.
    pub(crate) fn deliver(&self, port: u16, stream: GuestEnd) {
        let waiting = self.lock().expected.remove(&port);
        if let Some(waiting) = waiting {
            // A session that is over drops the stream, which closes it.
            let _ = waiting.send(stream);
        }
    }

    /// Serves a control connection until it ends.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let mut stream = BufReader::new(stream);
        let mut session = Session {
            user: String::new(),
            open: false,
            folder: "/".to_owned(),
            data: None,
            refused: None,
        };
        let mut answer = "220 airbench".to_owned();
        loop {
            let line = format!("{answer}\r\n");
            if stream.get_mut().write_all(line.as_bytes()).await.is_err()
                || answer.starts_with("221")
            {
                return;
            }
            if let Some(refused) = session.refused.take() {
                self.clock.sleep(STEP).await;
                drop(refused);
            }
            let mut line = Vec::new();
            let read = (&mut stream).take(LINE).read_until(b'\n', &mut line).await;
            if !matches!(read, Ok(1..)) {
                return;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
            let verb = verb.to_ascii_uppercase();
            let shown = if verb == "PASS" { "***" } else { argument };
            self.notes.add(Kind::State, format!("ftp {verb} {shown}"));
            answer = match self.answer(&mut session, &verb, argument) {
                Some(answer) => answer,
                None => {
                    self.transfer(&mut session, &mut stream, &verb, argument)
                        .await
                }
            };
        }
    }

    /// The answer to a command that moves no data; none for one that does.
    fn answer(&self, session: &mut Session, verb: &str, argument: &str) -> Option<String> {
        let path = session.path(argument);
        let open = session.open || matches!(verb, "USER" | "PASS" | "QUIT" | "NOOP" | "SYST");
        let text = match verb {
            _ if !open => "530 Please login with USER and PASS.".to_owned(),
            "USER" => {
                argument.clone_into(&mut session.user);
                "331 Please specify the password.".to_owned()
            }
            "PASS" => {
                session.open = !session.user.is_empty() && !argument.is_empty();
                let good = "230 Login successful.";
                let wrong = "530 Login incorrect.";
                (if session.open { good } else { wrong }).to_owned()
            }
            "NOOP" => "200 NOOP ok.".to_owned(),
            "SYST" => "215 UNIX Type: L8".to_owned(),
            "TYPE" => "200 Type set.".to_owned(),
            "PWD" => format!("257 \"{}\" is the current directory", session.folder),
            "QUIT" => "221 Goodbye.".to_owned(),
            "CDUP" | "CWD" => {
                let path = if verb == "CDUP" {
                    session.path("..")
                } else {
                    path
                };
                if path == "/" || self.lock().folders.contains(&path) {
                    session.folder = path;
                    "250 Directory successfully changed.".to_owned()
                } else {
                    "550 Failed to change directory.".to_owned()
                }
            }
            "MKD" if self.lock().folders.insert(path.clone()) => format!("257 \"{path}\" created"),
            "MKD" => "550 Create directory operation failed.".to_owned(),
            "RMD" if self.remove_folder(&path) => "250 Remove directory ok.".to_owned(),
            "RMD" => "550 Remove directory operation failed.".to_owned(),
            "DELE" if self.lock().files.remove(&path).is_some() => "250 Delete ok.".to_owned(),
            "DELE" => "550 Delete operation failed.".to_owned(),
            "SIZE" => match self.lock().files.get(&path) {
                Some(content) => format!("213 {}", content.len()),
                None => "550 Could not get file size.".to_owned(),
            },
            "PASV" => self.passive(session),
            "LIST" | "NLST" | "RETR" | "STOR" | "APPE" => return None,
            _ => "502 Command not implemented.".to_owned(),
        };
        Some(text)
    }

    fn remove_folder(&self, path: &str) -> bool {
        let mut state = self.lock();
        let inside = format!("{path}/");
        let used = state.files.keys().chain(&state.folders);
        let empty = !used.into_iter().any(|name| name.starts_with(&inside));
        empty && state.folders.remove(path)
    }

    /// Expects a data connection.
    fn passive(&self, session: &mut Session) -> String {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        let port = DATA_PORTS.start + state.ports % DATA_PORTS.len() as u16;
        state.ports = state.ports.wrapping_add(1);
        state.expected.insert(port, sender);
        session.data = Some(receiver);
        let [a, b, c, d] = self.address.octets();
        let [high, low] = port.to_be_bytes();
        format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low}).")
    }

    /// A command that needs the data connection; the last answer.
    async fn transfer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        session: &mut Session,
        control: &mut BufReader<S>,
        verb: &str,
        argument: &str,
    ) -> String {
        let path = session.path(argument);
        let Some(receiver) = session.data.take() else {
            return "425 Use PASV first.".to_owned();
        };
        let outgoing = match verb {
            "RETR" => match self.lock().files.get(&path) {
                Some(content) => Some(content.clone()),
                None => {
                    session.refused = Some(receiver);
                    return "550 Failed to open file.".to_owned();
                }
            },
            "LIST" | "NLST" => Some(self.list(&session.path(argument), verb == "LIST")),
            _ => None,
        };
        let stream = tokio::select! {
            stream = receiver => stream.ok(),
            () = self.clock.sleep(PATIENCE) => None,
        };
        let Some(mut stream) = stream else {
            return "425 Failed to establish connection.".to_owned();
        };
        let opening = b"150 Opening data connection.\r\n";
        if control.get_mut().write_all(opening).await.is_err() {
            return "221 Goodbye.".to_owned();
        }
        self.clock.sleep(STEP).await;
        if let Some(content) = outgoing {
            // A client that closes early has what it wanted.
            let _ = stream.write_all(&content).await;
            let _ = stream.shutdown().await;
            self.clock.sleep(STEP).await;
            return "226 Transfer complete.".to_owned();
        }
        let mut content = Vec::new();
        if stream.take(FILE).read_to_end(&mut content).await.is_err() {
            return "426 Failure reading network stream.".to_owned();
        }
        let mut note = format!("ftp stored {path} ").into_bytes();
        note.extend_from_slice(&content);
        self.notes.add(Kind::State, note);
        let mut state = self.lock();
        let file = state.files.entry(path).or_default();
        if verb == "STOR" {
            file.clear();
        }
        file.append(&mut content);
        "226 Transfer complete.".to_owned()
    }

    /// A folder (or one file) as `ls -l` shows it, or only the names.
    fn list(&self, path: &str, long: bool) -> Vec<u8> {
        let state = self.lock();
        let start = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let within = |name: &String| {
            let rest = name.strip_prefix(&start).filter(|rest| !rest.contains('/'));
            rest.map(str::to_owned)
                .or_else(|| (name == path).then(|| name.clone()))
        };
        let folders = state.folders.iter().filter(|name| *name != path);
        let folders = folders.filter_map(within).map(|name| (name, None));
        let files = state.files.iter();
        let files = files.filter_map(|(name, content)| Some((within(name)?, Some(content.len()))));
        let mut out = String::new();
        for (name, size) in folders.chain(files) {
            out.push_str(&match (long, size) {
                (false, _) => format!("{name}\r\n"),
                (true, None) => {
                    format!("drwxr-xr-x    2 0        0            4096 Sep 03  2024 {name}\r\n")
                }
                (true, Some(size)) => {
                    format!("-rw-r--r--    1 0        0      {size:>10} Sep 03  2024 {name}\r\n")
                }
            });
        }
        out.into_bytes()
    }
}

impl Session {
    /// A path as the client means it, from the root.
    fn path(&self, given: &str) -> String {
        let full = if given.starts_with('/') {
            given.to_owned()
        } else {
            format!("{}/{given}", self.folder)
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in full.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }
}

/// The folders a path lies in.
fn parents(path: &str) -> impl Iterator<Item = String> {
    path.match_indices('/')
        .filter(|(at, _)| *at > 0)
        .map(|(at, _)| path[..at].to_owned())
}
