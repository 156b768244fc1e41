//! An HTTP origin: routes of the user's own, then a few that are always there.
//!
//! Those speak as httpbin does: `/get /post /put /delete /patch /anything…`
//! answer with what was asked, as JSON; `/headers`, `/status/N`, `/bytes/N`
//! (predictable bytes), `/chunked/N` and `/stream-bytes/N`, `/stream/N`, `/delay/SECONDS`,
//! `/drip?numbytes=N&duration=S`, `/basic-auth/USER/PASSWORD` do what they say.

use std::sync::Arc;
use std::time::Duration;

use airbench_airtun::Clock;
use airbench_trace::Kind;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use data_encoding::BASE64;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Notes;

/// Largest body taken or made.
const BODY: usize = 4 << 20;

/// A route of the user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Path, exactly as requested; the query does not count.
    pub path: String,
    /// Method; any if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// Status; 200 unless given.
    #[serde(default = "ok")]
    pub status: u16,
    /// Header lines.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Body.
    #[serde(default)]
    pub body: String,
    /// File with the body; whoever reads the description puts it into `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<std::path::PathBuf>,
    /// A body of bytes, instead of `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Vec<u8>>,
    /// Time before the answer, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
}

fn ok() -> u16 {
    200
}

/// The origin, shared by its connections.
#[derive(Clone)]
pub(crate) struct Origin {
    routes: Arc<Vec<Route>>,
    clock: Arc<dyn Clock>,
    notes: Notes,
}

impl Origin {
    pub(crate) fn new(routes: Vec<Route>, clock: Arc<dyn Clock>, notes: Notes) -> Self {
        Self {
            routes: Arc::new(routes),
            clock,
            notes,
        }
    }

    /// Serves a connection until it ends.
    pub(crate) async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = Router::new().fallback(answer).with_state(self);
        let service = TowerToHyperService::new(router);
        // What goes wrong on a connection ends it; the client notices.
        let _ = hyper::server::conn::http1::Builder::new()
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    fn date(&self) -> String {
        httpdate(self.clock.date())
    }
}

/// RFC 9110's date, from the virtual clock.
fn httpdate(time: std::time::SystemTime) -> String {
    let seconds = time
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    airbench_luatos::http_date(seconds as i64)
}

async fn answer(State(origin): State<Origin>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY).await.unwrap_or_default();
    let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
    let known = origin.routes.iter().find(|route| {
        route.path == path && route.method.as_ref().is_none_or(|wanted| *wanted == method)
    });
    let mut response = match known.cloned() {
        Some(route) => own(&origin, route).await,
        None => builtin(&origin, &head, &path, &body).await,
    };
    let date = origin.date();
    if let Ok(date) = date.parse() {
        response.headers_mut().insert("date", date);
    }
    let status = response.status().as_u16();
    origin
        .notes
        .add(Kind::State, format!("http {method} {} {status}", head.uri));
    response
}

async fn own(origin: &Origin, route: Route) -> Response {
    if route.delay_ms > 0 {
        origin
            .clock
            .sleep(Duration::from_millis(route.delay_ms))
            .await;
    }
    let mut response = Response::builder().status(route.status);
    for (name, value) in &route.headers {
        response = response.header(name, value);
    }
    let body = route.content.unwrap_or_else(|| route.body.into_bytes());
    let built = response.body(Body::from(body));
    built.unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
    })
}

async fn builtin(origin: &Origin, head: &Parts, path: &str, body: &Bytes) -> Response {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (first, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let number = rest.parse::<u64>();
    match (first, number) {
        ("get" | "post" | "put" | "delete" | "patch" | "anything", _) => {
            json_page(&echo(head, body))
        }
        ("headers", _) => {
            let headers = echo(head, body)["headers"].take();
            json_page(&json!({ "headers": headers }))
        }
        ("stream", Ok(count)) => {
            let lines = (0..count.min(100)).map(|id| {
                let line = json!({ "id": id, "url": head.uri.to_string() });
                Ok::<_, std::io::Error>(Bytes::from(format!("{line}\n")))
            });
            Body::from_stream(futures_util::stream::iter(lines.collect::<Vec<_>>())).into_response()
        }
        ("basic-auth", _) => basic_auth(head, rest),
        ("drip", _) => drip(origin, head).await,
        ("status", Ok(code)) => u16::try_from(code)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::BAD_REQUEST)
            .into_response(),
        ("bytes", Ok(count)) => some_bytes(count).into_response(),
        ("chunked" | "stream-bytes", Ok(count)) => {
            let bytes = some_bytes(count);
            let pieces: Vec<Result<Bytes, std::io::Error>> = bytes
                .chunks(512)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            Body::from_stream(futures_util::stream::iter(pieces)).into_response()
        }
        ("delay", Ok(seconds)) => {
            origin.clock.sleep(Duration::from_secs(seconds)).await;
            "late".into_response()
        }
        _ => (StatusCode::NOT_FOUND, "no such page").into_response(),
    }
}

fn json_page(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

/// Bytes anybody can foretell: their place modulo 251.
fn some_bytes(count: u64) -> Vec<u8> {
    let count = usize::try_from(count).unwrap_or(BODY).min(BODY);
    (0..count).map(|place| (place % 251) as u8).collect()
}

/// `/basic-auth/USER/PASSWORD`: whether the request carries them.
fn basic_auth(head: &Parts, wanted: &str) -> Response {
    let (user, password) = wanted.split_once('/').unwrap_or((wanted, ""));
    let expected = format!(
        "Basic {}",
        BASE64.encode(format!("{user}:{password}").as_bytes())
    );
    let given = head.headers.get("authorization");
    if given.is_some_and(|given| given.as_bytes() == expected.as_bytes()) {
        json_page(&json!({ "authenticated": true, "user": user }))
    } else {
        let challenge = [("www-authenticate", "Basic realm=\"Fake Realm\"")];
        (StatusCode::UNAUTHORIZED, challenge).into_response()
    }
}

/// `/drip?numbytes=10&duration=2&delay=0&code=200`: after the delay, bytes one by
/// one over the duration.
async fn drip(origin: &Origin, head: &Parts) -> Response {
    let query = query(head);
    let number = |name: &str, default: u64| {
        let text = query.iter().find(|(key, _)| key == name);
        text.and_then(|(_, value)| value.parse().ok())
            .unwrap_or(default)
    };
    let count = number("numbytes", 10).clamp(1, BODY as u64);
    let pause = Duration::from_secs(number("duration", 2)) / u32::try_from(count).unwrap_or(1);
    origin
        .clock
        .sleep(Duration::from_secs(number("delay", 0)))
        .await;
    let clock = Arc::clone(&origin.clock);
    let bytes = futures_util::stream::unfold(0, move |sent| {
        let clock = Arc::clone(&clock);
        async move {
            if sent == count {
                return None;
            }
            clock.sleep(pause).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"*")), sent + 1))
        }
    });
    let status = u16::try_from(number("code", 200)).ok();
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    Response::builder()
        .status(status.unwrap_or(StatusCode::OK))
        .header("content-type", "application/octet-stream")
        .header("content-length", count)
        .body(Body::from_stream(bytes))
        .unwrap_or_default()
}

/// `%41` and `+` as they are meant.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |c: u8| char::from(c).to_digit(16);
        let mut ahead = rest.clone();
        let pair = (ahead.next().and_then(hex), ahead.next().and_then(hex));
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                bytes.push((high * 16 + low) as u8);
                rest = ahead;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `a=1&b=2` as pairs.
fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

fn query(head: &Parts) -> Vec<(String, String)> {
    pairs(head.uri.query().unwrap_or(""))
}

fn object(pairs: Vec<(String, String)>) -> Value {
    let fields = pairs
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)));
    Value::Object(fields.collect())
}

/// A form's fields and files (RFC 7578).
fn multipart(boundary: &str, body: &str) -> (Value, Value) {
    let (mut form, mut files) = (Map::new(), Map::new());
    for part in body.split(&format!("--{boundary}")).skip(1) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let content = content.strip_suffix("\r\n").unwrap_or(content);
        let value = |name: &str| {
            let (_, after) = head.split_once(&format!("{name}=\""))?;
            after.split_once('"').map(|(value, _)| value.to_owned())
        };
        let fields = if value("filename").is_some() {
            &mut files
        } else {
            &mut form
        };
        // "filename=" contains "name=": the first of them is the field's.
        if let Some(name) = value(" name").or_else(|| value(";name")) {
            fields.insert(name, content.into());
        }
    }
    (Value::Object(form), Value::Object(files))
}

/// What was asked, as JSON in httpbin's fields.
fn echo(head: &Parts, body: &Bytes) -> Value {
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (title_case(name.as_str()), Value::String(value))
        })
        .collect();
    let kind = head.headers.get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let text = String::from_utf8_lossy(body).into_owned();
    let mut data = text.clone();
    let (mut form, mut files) = (json!({}), json!({}));
    if kind.starts_with("application/x-www-form-urlencoded") {
        form = object(pairs(&std::mem::take(&mut data)));
    } else if let Some((_, boundary)) = kind.split_once("boundary=") {
        let boundary = boundary.split(';').next().unwrap_or("").trim_matches('"');
        (form, files) = multipart(boundary, &std::mem::take(&mut data));
    }
    let host = head.headers.get("host").and_then(|host| host.to_str().ok());
    json!({
        "method": head.method.as_str(),
        "url": format!("http://{}{}", host.unwrap_or(""), head.uri),
        "args": object(query(head)),
        "headers": headers,
        "data": data,
        "form": form,
        "files": files,
        "json": serde_json::from_str::<Value>(&text).unwrap_or(Value::Null),
    })
}

/// `content-type` as `Content-Type`.
fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}
