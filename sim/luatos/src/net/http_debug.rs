//! What `debug = true` makes an HTTP request print (docs/firmware-facts.md,
//! "http").

use super::SocketEvent;
use crate::net::http_parse::end_of_head;
use crate::runtime::{Level, Runtime};

/// Most bytes of a body that one line shows.
const SHOWN: usize = 512;

impl Runtime {
    /// Prints a line of a request that asked for it.
    pub(super) fn http_debug(&mut self, id: u32, text: impl FnOnce() -> String) {
        if self.https.get(id).is_some_and(|request| request.debug) {
            self.lib_line(Level::Debug, &format!("http {}", text()));
        }
    }

    pub(super) fn http_debug_event(&mut self, id: u32, event: SocketEvent) {
        let (number, parameter) = match event {
            SocketEvent::Online => (2, 0),
            SocketEvent::Acknowledged => (3, 0),
            SocketEvent::Readable => (5, 0),
            SocketEvent::Failed => (5, -1),
        };
        self.http_debug(id, || {
            let pointer = pointer(id);
            format!("luat_lib_http_callback {number} {parameter} {pointer}")
        });
    }

    /// A read of `bytes`, which may complete the header block.
    pub(super) fn http_debug_read(&mut self, id: u32, bytes: &[u8]) {
        let Some(request) = self.https.get(id).filter(|request| request.debug) else {
            return;
        };
        let held = request.response.held();
        let waiting = !request.response.has_head();
        let head = request.response.peek().to_vec();
        self.http_debug(id, || format!("result:0 rx_len:{}", bytes.len()));
        if !waiting {
            return;
        }
        self.http_debug(id, || format!("search headers, buff len {held}"));
        self.http_debug(id, || match end_of_head(&head) {
            Some(at) => format!("found headers end at {at}"),
            None => format!("wait headers {}", String::from_utf8_lossy(&head)),
        });
    }

    /// A parse that began with so many bytes; nothing is parsed before the
    /// header block is whole.
    pub(super) fn http_debug_parsed(&mut self, id: u32, held: usize) {
        let Some(request) = self.https.get(id).filter(|r| r.response.has_head()) else {
            return;
        };
        let parsed = held - request.response.held().min(held);
        self.http_debug(id, || {
            format!("nParseBytes {parsed} resp_buff_offset {held}")
        });
    }

    pub(super) fn http_debug_head(&mut self, id: u32, headers: &[(String, Vec<u8>)]) {
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value).into_owned();
            self.http_debug(id, || format!("on_header_field:{name}"));
            self.http_debug(id, || format!("on_header_value:{value}"));
            if name.eq_ignore_ascii_case("Content-Length") {
                self.http_debug(id, || format!("http_ctrl->resp_content_len:{value}"));
            }
        }
        self.http_debug(id, || "on_headers_complete".to_owned());
    }

    pub(super) fn http_debug_piece(&mut self, id: u32, piece: &[u8]) {
        let Some(request) = self.https.get(id) else {
            return;
        };
        let (status, total) = (request.status, request.length + piece.len() as u64);
        let text = String::from_utf8_lossy(&piece[..piece.len().min(SHOWN)]).into_owned();
        self.http_debug(id, || {
            if piece.len() > SHOWN {
                format!("on_body first 512byte:{text}")
            } else {
                format!("on_body:{text}")
            }
        });
        let len = piece.len();
        self.http_debug(id, || {
            format!("on_body length:{len} http_ctrl->body_len:{total} status_code:{status}")
        });
    }
}

/// Where the request's block would lie; the board's addresses are nobody's
/// business, but differ from request to request.
fn pointer(id: u32) -> String {
    format!("{:x}", 0x0c0f_0000 + id % 64 * 0x400)
}
