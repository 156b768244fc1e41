//! `http.request`.

use std::time::Duration;

use airbench_lua32::{Kind, Raise, Ref};
use data_encoding::BASE64;

use crate::args::{Args, Call, Results};
use crate::libs::socket::opt_pem;
use crate::libs::{Library, zbuff};
use crate::net::http::{Notice, Order, Sink};
use crate::net::{Certificates, Security, SocketId, Target};
use crate::runtime::Level;

pub(crate) const LIBRARY: Library = Library {
    name: "http",
    functions: &[("request", request)],
    constants: &[],
};

/// V1112's time for everything.
const TIMEOUT: i32 = 600_000;
/// Longest method name, host, request line.
const METHOD: usize = 11;
const HOST: usize = 255;
const LINE: usize = 8191;
/// The code of everything that is wrong before the request is sent.
const REFUSED: i32 = -4;

/// What arguments 5 and on say.
#[derive(Default)]
struct Options {
    adapter: Option<i32>,
    timeout: Option<i32>,
    dst: Option<String>,
    fota: bool,
    ipv6: bool,
    debug: bool,
    callback: Option<(Ref, Option<Ref>)>,
}

fn options(cx: &mut Call<'_>) -> Result<Options, Raise> {
    let mut options = Options::default();
    if cx.kind(5) != Kind::Table {
        return Ok(options);
    }
    if cx.get_field(5, "adapter") == Kind::Number {
        options.adapter = cx.to_integer(-1);
    }
    if cx.get_field(5, "timeout") == Kind::Number {
        options.timeout = Some(cx.check_integer(-1)?);
    }
    if cx.get_field(5, "dst") == Kind::String {
        options.dst = Some(cx.check_text(-1)?);
    }
    options.fota = match cx.get_field(5, "fota") {
        Kind::Table => true,
        _ => cx.to_boolean(-1),
    };
    cx.get_field(5, "ipv6");
    options.ipv6 = cx.kind(-1) == Kind::Boolean && cx.to_boolean(-1);
    cx.get_field(5, "debug");
    options.debug = cx.kind(-1) == Kind::Boolean && cx.to_boolean(-1);
    if cx.get_field(5, "callback") == Kind::Function {
        let callback = cx.make_ref();
        let data = match cx.get_field(5, "userdata") {
            Kind::Nil => None,
            _ => Some(cx.make_ref()),
        };
        options.callback = Some((callback, data));
    }
    cx.set_top(9);
    Ok(options)
}

/// A URL's parts.
struct Place {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    user: Option<String>,
}

/// Splits a URL as V1112 does; a text is the firmware's complaint.
fn split(url: &str) -> Result<Place, String> {
    let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(format!("only http/https supported {url}")),
    };
    if rest.len() < 5 {
        return Err(format!("url too short {url}"));
    }
    let slash = rest.find('/').unwrap_or(rest.len());
    if slash > HOST {
        return Err(format!("host too long {url}"));
    }
    if slash == 0 {
        return Err(format!("host not found {url}"));
    }
    let (authority, path) = rest.split_at(slash);
    let at = authority.find('@').filter(|at| (1..=127).contains(at));
    let (user, authority) = match at {
        Some(at) => (Some(authority[..at].to_owned()), &authority[at + 1..]),
        None => (None, authority),
    };
    let colon = authority.find(':').filter(|at| *at >= 1);
    let (host, port) = match colon {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => (authority, ""),
    };
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    let port = match digits.parse::<u64>().unwrap_or(0) as u16 {
        0 if tls => 443,
        0 => 80,
        port => port,
    };
    Ok(Place {
        tls,
        host: host.to_owned(),
        port,
        path: if path.is_empty() {
            "/".to_owned()
        } else {
            path.to_owned()
        },
        user,
    })
}

/// The script's header lines; whether it names the host itself, and whether
/// it speaks of the connection.
fn header_lines(cx: &mut Call<'_>) -> Result<(Vec<u8>, bool, bool), Raise> {
    let (mut out, mut host, mut connection) = (Vec::new(), false, false);
    if cx.kind(3) != Kind::Table {
        return Ok((out, host, connection));
    }
    cx.push_nil();
    while cx.next(3) {
        if cx.kind(-2) == Kind::Number {
            // The firmware converts the key in place, and `next` loses it.
            return Err(Raise::Message("invalid key to 'next'".into()));
        }
        let name = cx.to_bytes(-2).unwrap_or_default().to_vec();
        cx.push_value(-1);
        let value = cx.to_bytes(-1).unwrap_or_default().to_vec();
        cx.pop(2);
        host |= name == b"Host" || name == b"host";
        let lower = name.to_ascii_lowercase();
        connection |= lower.starts_with(b"connection");
        if name.is_empty() || value.is_empty() || name == b"Content-Length" {
            continue;
        }
        out.extend_from_slice(&name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(&value);
        out.extend_from_slice(b"\r\n");
    }
    Ok((out, host, connection))
}

/// Everything that can be wrong with a request before it starts.
fn order(cx: &mut Call<'_>, options: &mut Options) -> Result<Option<Order>, Raise> {
    let new = cx.host().config.core.is_new();
    let refuse = |cx: &mut Call<'_>, level, text: String| {
        cx.host().lib_line(level, &format!("http {text}"));
        Ok(None)
    };
    if options.ipv6 {
        cx.host()
            .lib_line(Level::Info, "http enable ipv6 support for http request");
    }
    let method = if cx.is_none_or_nil(1) {
        "GET".to_owned()
    } else {
        cx.check_text(1)?
    };
    if method.len() > METHOD {
        return refuse(cx, Level::Error, format!("method is too long {method}"));
    }
    let url = cx.check_text(2)?;
    let known: &[&str] = if new {
        &["GET", "POST", "PUT", "DELETE", "PATCH"]
    } else {
        &["GET", "POST", "PUT"]
    };
    if !known.contains(&method.as_str()) {
        return refuse(cx, Level::Error, format!("NOT SUPPORT {method}"));
    }
    let place = match split(url.split('\0').next().unwrap_or_default()) {
        Ok(place) => place,
        Err(text) => {
            let level = if new { Level::Error } else { Level::Info };
            return refuse(cx, level, text);
        }
    };
    let (fields, own_host, connection) = header_lines(cx)?;
    let mut fields = fields;
    let post = matches!(method.as_str(), "POST" | "PUT");
    let mut sink = match options.dst.take() {
        Some(path) => Sink::File(path),
        None if options.fota => Sink::Fota,
        None => Sink::Memory,
    };
    let mut body = None;
    if let Some(buffer) = zbuff::arg(cx, 4) {
        if post {
            body = Some(zbuff::with(cx, buffer, |b| b.slice(0, b.used())));
        } else if sink == Sink::Memory {
            sink = Sink::Buffer(buffer);
        }
    } else if cx.kind(4) == Kind::Userdata {
        return Err(Raise::Argument(4, "ZBUFF* expected, got userdata".into()));
    } else {
        body = cx.to_bytes(4).map(<[u8]>::to_vec);
    }
    if let Some(body) = &body {
        let line = format!("Content-Length: {}\r\n", body.len());
        fields.extend_from_slice(line.as_bytes());
    }
    let mut first = format!("{method} {} HTTP/1.1\r\n", place.path);
    first.truncate(
        (0..=LINE.min(first.len()))
            .rev()
            .find(|at| first.is_char_boundary(*at))
            .unwrap_or(0),
    );
    let mut lines = vec![first.into_bytes()];
    if new && !connection {
        lines.push(b"Connection: Close\r\n".to_vec());
    }
    if !own_host {
        lines.push(format!("Host: {}:{}\r\n", place.host, place.port).into_bytes());
    }
    if let Some(user) = &place.user {
        // The firmware's length arithmetic loses the shortest ones.
        let text = match user.len() {
            1 | 2 | 4 if !new => String::new(),
            _ => BASE64.encode(user.as_bytes()),
        };
        lines.push(format!("Authorization: Basic {text}\r\n").into_bytes());
    }
    let timeout = match options.timeout {
        Some(ms) if new && ms < 1000 => None,
        None if new => None,
        given => Some(given.unwrap_or(TIMEOUT)),
    };
    let timeout = timeout.unwrap_or(match sink {
        Sink::File(_) => 300_000,
        Sink::Fota => 600_000,
        _ => 60_000,
    });
    Ok(Some(Order {
        target: Target {
            security: security(cx, &place),
            host: place.host,
            port: place.port,
            udp: false,
            local_port: 0,
            keepalive: None,
        },
        lines,
        fields,
        body: body.unwrap_or_default(),
        sink,
        timeout: (timeout != 0).then(|| Duration::from_millis(timeout.cast_unsigned().into())),
        progress: options.callback.take(),
        debug: options.debug,
    }))
}

fn security(cx: &Call<'_>, place: &Place) -> Security {
    if !place.tls {
        return Security::Plain;
    }
    let authority = opt_pem(cx, 6);
    let certificate = opt_pem(cx, 7);
    if authority.is_none() && certificate.is_none() {
        return Security::Any;
    }
    Security::Checked(Box::new(Certificates {
        verify: true,
        authority,
        certificate,
        key: opt_pem(cx, 8),
    }))
}

/// Pushes the awaitable for a topic, with its result if there is one already.
pub(crate) fn push_awaitable(cx: &mut Call<'_>, topic: &[u8], result: Option<i32>) -> Results {
    if cx.get_global("sys_cw") != Kind::Function {
        cx.host().lib_line(Level::Error, "main sys lib not found!");
        cx.push_nil();
        return Ok(1);
    }
    cx.push_bytes(topic);
    let args = match result {
        Some(code) => {
            cx.push_integer(code);
            2
        }
        None => 1,
    };
    cx.call(args, 1)?;
    Ok(1)
}

/// A control block for a request, if its adapter has one.
fn block(cx: &mut Call<'_>, options: &Options) -> Option<SocketId> {
    let rt = cx.host();
    let adapter = options.adapter.unwrap_or(rt.default_adapter);
    if options.fota && options.dst.is_some() {
        rt.lib_line(
            Level::Error,
            "http Only one can be selected for FOTA and Download",
        );
        return None;
    }
    if !(0..10).contains(&adapter) {
        let line = format!("http bad network adapter index {adapter}");
        rt.lib_line(Level::Error, &line);
        return None;
    }
    let block = if adapter == 1 { rt.http_block() } else { None };
    if block.is_none() {
        rt.say_no_adapter(adapter);
        rt.lib_line(Level::Error, "http netc create fail");
    }
    block
}

/// `http.request(method, url, headers, body, options, ca, cert, key, pwd)`.
fn request(cx: &mut Call<'_>) -> Results {
    cx.set_top(cx.top().max(9));
    let mut options = options(cx)?;
    let socket = block(cx, &options);
    let order = match socket {
        Some(_) => order(cx, &mut options),
        None => Ok(None),
    };
    let order = match order {
        Ok(order) => order,
        Err(error) => {
            // The firmware loses the block here; a test that does this eight
            // times finds out.
            return Err(error);
        }
    };
    let (Some(socket), Some(order)) = (socket, order) else {
        if let Some(socket) = socket {
            cx.host().http_refuse(socket);
        }
        if let Some((callback, data)) = options.callback {
            cx.drop_ref(callback);
            data.into_iter().for_each(|data| cx.drop_ref(data));
        }
        return push_awaitable(cx, b"", Some(REFUSED));
    };
    let topic = cx.host().http_start(socket, order);
    push_awaitable(cx, &topic, None)
}

/// Something of a request reaches Lua.
pub(crate) fn on_notice(cx: &mut Call<'_>, id: u32, notice: Notice) -> Results {
    match notice {
        Notice::Progress(expected, received) => {
            let progress = cx.host().https.get(id).and_then(|request| request.progress);
            cx.host().http_progress_seen(id);
            if let Some((callback, data)) = progress {
                cx.push_ref(callback);
                cx.push_integer(expected as i32);
                cx.push_integer(received as i32);
                match data {
                    Some(data) => cx.push_ref(data),
                    None => cx.push_nil(),
                }
                cx.call(3, 0)?;
            }
        }
        Notice::Done(code) => publish_result(cx, id, code)?,
    }
    Ok(0)
}

fn publish_result(cx: &mut Call<'_>, id: u32, code: i32) -> Result<(), Raise> {
    let Some(request) = cx.host().http_take(id) else {
        return Ok(());
    };
    if let Some((callback, data)) = request.progress {
        cx.drop_ref(callback);
        data.into_iter().for_each(|data| cx.drop_ref(data));
    }
    if cx.get_global("sys_pub") != Kind::Function {
        return Ok(());
    }
    cx.push_bytes(&request.topic);
    cx.push_integer(code);
    if code < 0 {
        cx.call(2, 0)?;
        return Ok(());
    }
    cx.push_table(0, 0);
    for (name, value) in &request.headers {
        cx.push_bytes(value);
        cx.set_field(-2, name);
    }
    match request.sink {
        Sink::File(_) | Sink::Buffer(_) | Sink::Fota => cx.push_integer(request.length as i32),
        Sink::Memory => cx.push_bytes(&request.received),
    }
    cx.call(4, 0)?;
    Ok(())
}
