//! HTTP requests under way (docs/firmware-facts.md, "http").

use std::time::Duration;

use airbench_clock::Instant;
use airbench_lua32::Ref;

use super::http_parse::{Progress, Response};
use super::{Owner, SocketEvent, SocketId, Target};
use crate::fota::Status;
use crate::message::Message;
use crate::runtime::{Level, Runtime};

/// Most pieces of a body are sent at once.
const PIECE: usize = 4096;
/// New attempts after a broken body (V1112).
const RETRIES: u32 = 3;
/// What a request for an update ends with that failed.
const FOTA_FAILED: i32 = -9;
/// Most bytes taken from the network at a time.
const READ: usize = 8191;

/// Where a response's body goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sink {
    Memory,
    File(String),
    /// A zbuff of the script's, by number.
    Buffer(u32),
    /// The FOTA machine.
    Fota,
}

/// What a request tells Lua.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Expected and received bytes.
    Progress(u64, u64),
    /// It is over, with this code.
    Done(i32),
}

/// A request, ready to be sent and sent again.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) socket: SocketId,
    pub(crate) target: Target,
    /// Request line and `Host`, before the rest.
    pub(crate) lines: Vec<Vec<u8>>,
    /// The other header lines.
    pub(crate) fields: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) sink: Sink,
    pub(crate) progress: Option<(Ref, Option<Ref>)>,
    pub(super) debug: bool,
    pub(crate) topic: Vec<u8>,
    sent: usize,
    pub(super) response: Response,
    deadline: Option<Instant>,
    retries: u32,
    awaited: u32,
    expected: u64,
    finished: bool,
    file: Option<u32>,
    /// Results.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) received: Vec<u8>,
    pub(crate) length: u64,
    seen_headers: bool,
}

/// What a script asked for.
pub(crate) struct Order {
    pub(crate) target: Target,
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) fields: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) sink: Sink,
    pub(crate) timeout: Option<Duration>,
    pub(crate) progress: Option<(Ref, Option<Ref>)>,
    /// Everything is told in debug lines.
    pub(crate) debug: bool,
}

impl Http {
    /// The request was cut short before its headers were complete.
    fn may_retry(&self, new: bool) -> bool {
        !new && self.seen_headers && self.retries < RETRIES
    }
}

impl Runtime {
    /// A topic for a result to come, as the firmware numbers them.
    pub(crate) fn new_topic(&mut self) -> Vec<u8> {
        self.awaitables += 1;
        [vec![1], self.awaitables.to_le_bytes().to_vec()].concat()
    }

    /// A block for a request; taken before its arguments are looked at.
    pub(crate) fn http_block(&mut self) -> Option<SocketId> {
        self.network.open(Owner::Http(0))
    }

    /// Gives the block of a refused request back.
    pub(crate) fn http_refuse(&mut self, socket: SocketId) {
        let now = self.now();
        self.network.release(now, socket);
    }

    /// Starts a request; gives the topic its result will have.
    pub(crate) fn http_start(&mut self, socket: SocketId, order: Order) -> Vec<u8> {
        let topic = self.new_topic();
        let deadline = order.timeout.map(|span| self.now() + span);
        let id = self.https.add(Http {
            socket,
            target: order.target,
            lines: order.lines,
            fields: order.fields,
            body: order.body,
            sink: order.sink,
            progress: order.progress,
            debug: order.debug,
            topic: topic.clone(),
            sent: 0,
            response: Response::default(),
            deadline,
            retries: 0,
            awaited: 2,
            expected: 0,
            finished: false,
            file: None,
            status: 0,
            headers: Vec::new(),
            received: Vec::new(),
            length: 0,
            seen_headers: false,
        });
        self.network.set_owner(socket, Owner::Http(id));
        self.http_connect(id);
        topic
    }

    fn http_connect(&mut self, id: u32) {
        let now = self.now();
        let Some(request) = self.https.get_mut(id) else {
            return;
        };
        request.response = Response::default();
        request.awaited = 2;
        let (socket, target) = (request.socket, request.target.clone());
        self.network.connect(now, socket, target);
        self.drive_network(now);
    }

    /// When a request's time is over.
    pub(crate) fn http_wake(&self) -> Option<Instant> {
        self.https.iter().filter_map(|(_, r)| r.deadline).min()
    }

    /// Requests whose time is over by `now`.
    pub(crate) fn drive_https(&mut self, now: Instant) {
        let due: Vec<u32> = self
            .https
            .iter()
            .filter(|(_, request)| request.deadline.is_some_and(|at| at <= now))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            if let Some(request) = self.https.get_mut(id) {
                request.deadline = None;
            }
            self.http_fail(id, -8);
        }
    }

    /// The first progress callback takes V1112's timer away.
    pub(crate) fn http_progress_seen(&mut self, id: u32) {
        let new = self.config.core.is_new();
        if let Some(request) = self.https.get_mut(id)
            && !new
        {
            request.deadline = None;
        }
    }

    /// Something went wrong: another attempt, or the end.
    fn http_fail(&mut self, id: u32, code: i32) {
        let now = self.now();
        let new = self.config.core.is_new();
        let Some(request) = self.https.get_mut(id).filter(|r| !r.finished) else {
            return;
        };
        let socket = request.socket;
        let (complete, retries) = (i32::from(request.seen_headers), request.retries);
        self.http_debug(id, || {
            format!("http_resp_error error_code:{code} close_state:0")
        });
        self.http_debug(id, || {
            format!("http_resp_error headers_complete:{complete} re_request_count:{retries}")
        });
        let Some(request) = self.https.get_mut(id) else {
            return;
        };
        if request.may_retry(new) {
            request.retries += 1;
            self.network.close(now, socket);
            self.http_connect(id);
            return;
        }
        self.http_end(id, code);
    }

    /// The result is on its way to Lua.
    fn http_end(&mut self, id: u32, code: i32) {
        let now = self.now();
        let Some(request) = self.https.get_mut(id).filter(|r| !r.finished) else {
            return;
        };
        request.finished = true;
        request.deadline = None;
        let (socket, file) = (request.socket, request.file.take());
        let (status, sink) = (request.status, request.sink.clone());
        if let Some(file) = file {
            // Nobody asks what became of it.
            let _ = self.close_file(file);
        }
        if let Sink::File(path) = sink
            && code >= 0
            && status > 299
        {
            let line = format!("http download fail, remove file {path}");
            self.lib_line(Level::Warn, &line);
            // A file that is gone already needs no removal.
            let _ = self.remove_path(&path);
        }
        self.network.finish(now, socket);
        self.touch_outside();
        self.bus.push_back(Message::Http(id, Notice::Done(code)));
    }

    /// Lua has the result: the block is free again.
    pub(crate) fn http_take(&mut self, id: u32) -> Option<Http> {
        let request = self.https.remove(id)?;
        let now = self.now();
        self.network.release(now, request.socket);
        Some(request)
    }

    /// Something happened on a request's socket.
    pub(crate) fn http_socket_event(&mut self, id: u32, event: SocketEvent) {
        self.http_debug_event(id, event);
        let Some(request) = self.https.get_mut(id).filter(|r| !r.finished) else {
            return;
        };
        match event {
            SocketEvent::Online => self.http_send(id),
            SocketEvent::Acknowledged => {
                request.awaited = 5;
                self.http_send_body(id);
            }
            SocketEvent::Readable => self.http_readable(id),
            SocketEvent::Failed => {
                let awaited = request.awaited;
                let complete = request.response.has_head();
                let tolerant = self.config.core.is_new() && complete;
                if self.config.core.is_new() {
                    let (host, port) = (request.target.host.clone(), request.target.port);
                    let line = format!("http event {awaited:08X} -1 host {host} port {port}");
                    self.lib_line(Level::Error, &line);
                } else {
                    let line = format!("http http_ctrl close {awaited:08X} -1");
                    self.lib_line(Level::Error, &line);
                }
                if tolerant {
                    let status = self.https.get(id).map_or(0, |r| r.status);
                    self.http_end(id, status.into());
                } else if self.config.core.is_new() && awaited == 2 {
                    self.http_fail(id, -4);
                } else {
                    self.http_fail(id, -5);
                }
            }
        }
    }

    /// Sends the request, header by header as the firmware writes it.
    fn http_send(&mut self, id: u32) {
        let now = self.now();
        let Some(request) = self.https.get_mut(id) else {
            return;
        };
        request.awaited = 3;
        request.sent = 0;
        let socket = request.socket;
        let mut writes = request.lines.clone();
        if request.retries > 0 {
            writes.push(format!("Range: bytes={}-\r\n", request.length).into_bytes());
        }
        writes.push(request.fields.clone());
        writes.push(b"\r\n".to_vec());
        for write in writes.iter().filter(|write| !write.is_empty()) {
            self.network.send(now, socket, write);
        }
        self.http_send_body(id);
    }

    fn http_send_body(&mut self, id: u32) {
        let now = self.now();
        let Some(request) = self.https.get_mut(id) else {
            return;
        };
        let end = (request.sent + PIECE).min(request.body.len());
        if request.sent < end {
            request.awaited = 3;
            let piece = request.body[request.sent..end].to_vec();
            request.sent = end;
            let socket = request.socket;
            self.network.send(now, socket, &piece);
        }
        self.touch_outside();
    }

    /// Takes in what arrived.
    fn http_readable(&mut self, id: u32) {
        loop {
            let Some(request) = self.https.get_mut(id).filter(|r| !r.finished) else {
                return;
            };
            let bytes = self.network.read(request.socket, READ);
            if bytes.is_empty() {
                return;
            }
            let Some(request) = self.https.get_mut(id) else {
                return;
            };
            request.response.push(&bytes);
            let held = request.response.held();
            self.http_debug_read(id, &bytes);
            let goes_on = self.http_parse(id);
            self.http_debug_parsed(id, held);
            if !goes_on {
                return;
            }
        }
    }

    /// Works off what the response gives; false if the request is over.
    fn http_parse(&mut self, id: u32) -> bool {
        loop {
            let new = self.config.core.is_new();
            let Some(request) = self.https.get_mut(id).filter(|r| !r.finished) else {
                return false;
            };
            match request.response.next() {
                Progress::More => return true,
                Progress::TooLong => {
                    self.http_fail(id, -6);
                    return false;
                }
                Progress::Head(status, headers, length) => {
                    request.status = status;
                    self.http_debug_head(id, &headers);
                    let Some(request) = self.https.get_mut(id) else {
                        return false;
                    };
                    if !request.seen_headers {
                        request.seen_headers = true;
                        request.headers = headers;
                        request.expected = length.unwrap_or(0);
                        self.http_tell_progress(id);
                    }
                    if !self.http_open_sink(id) {
                        return false;
                    }
                }
                Progress::Piece(piece) => {
                    let ends_with_close = request.response.ends_with_close();
                    let status = request.status;
                    self.http_debug_piece(id, &piece);
                    if !self.http_store(id, &piece) {
                        return false;
                    }
                    if let Some(request) = self.https.get_mut(id) {
                        request.length += piece.len() as u64;
                    }
                    self.http_tell_progress(id);
                    if new && ends_with_close {
                        self.http_end(id, status.into());
                        return false;
                    }
                }
                Progress::Done => {
                    let status = request.status;
                    let package = request.sink == Sink::Fota;
                    self.http_debug(id, || "on_message_complete".to_owned());
                    self.http_debug(id, || "on_complete".to_owned());
                    self.http_debug(id, || format!("status_code:{status}"));
                    let code = if package && !(self.fota_finish() && matches!(status, 200 | 206)) {
                        FOTA_FAILED
                    } else {
                        status.into()
                    };
                    self.http_end(id, code);
                    return false;
                }
            }
        }
    }

    fn http_tell_progress(&mut self, id: u32) {
        if let Some(request) = self.https.get(id).filter(|r| r.progress.is_some()) {
            let (expected, length) = (request.expected, request.length);
            self.http_debug(id, || {
                format!("luat_http_callback content_length:{expected} body_len:{length}")
            });
            let notice = Notice::Progress(expected, length);
            self.bus.push_back(Message::Http(id, notice));
        }
    }

    /// Makes the file a download goes to; false if that ends the request. V1112
    /// tries again with the first bytes of the body.
    fn http_open_sink(&mut self, id: u32) -> bool {
        let Some(request) = self.https.get(id) else {
            return false;
        };
        if request.sink == Sink::Fota {
            self.fota_begin();
            return true;
        }
        let (Sink::File(path), None) = (request.sink.clone(), request.file) else {
            return true;
        };
        let file = self.open_file(&path, "w+");
        if file.is_none() {
            let line = format!("http open download file fail {path}");
            self.lib_line(Level::Error, &line);
            if self.config.core.is_new() {
                self.http_end(id, -7);
                return false;
            }
        }
        if let Some(request) = self.https.get_mut(id) {
            request.file = file;
        }
        true
    }

    /// A piece of the body could not be kept. V1112 fails twice, for the piece and
    /// for the socket it closed under its reader: two of its retries are spent.
    fn http_lose(&mut self, id: u32) {
        if self.config.core.is_new() {
            self.http_end(id, -6);
        } else {
            self.http_fail(id, -7);
            self.http_fail(id, -6);
        }
    }

    /// Keeps a piece of the body; false if there is no room.
    fn http_store(&mut self, id: u32, piece: &[u8]) -> bool {
        let free = self.system_heap.free();
        let Some(request) = self.https.get_mut(id) else {
            return false;
        };
        let (sink, file) = (request.sink.clone(), request.file);
        match sink {
            Sink::Memory if request.received.len() + piece.len() <= free => {
                request.received.extend_from_slice(piece);
                true
            }
            Sink::Memory => {
                self.lib_line(Level::Error, "http out of memory when recv http body");
                self.http_lose(id);
                false
            }
            // Other answers than good ones are no package.
            Sink::Fota if !matches!(request.status, 200 | 206) => true,
            Sink::Fota => {
                let taken = self.fota_take(piece) != Status::Failed;
                if !taken {
                    self.http_end(id, FOTA_FAILED);
                }
                taken
            }
            Sink::Buffer(buffer) => {
                self.with_zbuff(buffer, |b| b.append(piece));
                true
            }
            Sink::File(path) => {
                if file.is_none() {
                    self.http_open_sink(id);
                }
                let file = self.https.get(id).and_then(|request| request.file);
                let written = file.is_some_and(|file| self.write_open(file, piece));
                if file.is_some() && !written {
                    self.lib_line(Level::Error, &format!("http err when fwrite {path}"));
                }
                if !written {
                    self.http_lose(id);
                }
                written
            }
        }
    }
}
