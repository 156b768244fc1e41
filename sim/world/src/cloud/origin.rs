//! An HTTP origin: routes of the user's own, then a few that are always there.
//!
//! `/get /post /put /delete /anything…` answer with what was asked, as JSON;
//! `/status/N`, `/bytes/N` (predictable bytes), `/chunked/N`, `/delay/SECONDS`
//! do what they say.

use std::sync::Arc;
use std::time::Duration;

use airbench_airtun::Clock;
use airbench_trace::Kind;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Notes;

/// Largest body taken or made.
const BODY: usize = 4 << 20;

/// A route of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    let built = response.body(Body::from(route.body));
    built.unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
    })
}

async fn builtin(
    origin: &Origin,
    head: &axum::http::request::Parts,
    path: &str,
    body: &Bytes,
) -> Response {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (first, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let number = rest.parse::<u64>();
    match (first, number) {
        ("get" | "post" | "put" | "delete" | "patch" | "anything", _) => {
            let echo = echo(head, body).to_string();
            ([("content-type", "application/json")], echo).into_response()
        }
        ("status", Ok(code)) => u16::try_from(code)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::BAD_REQUEST)
            .into_response(),
        ("bytes", Ok(count)) => some_bytes(count).into_response(),
        ("chunked", Ok(count)) => {
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

/// Bytes anybody can foretell: their place modulo 251.
fn some_bytes(count: u64) -> Vec<u8> {
    let count = usize::try_from(count).unwrap_or(BODY).min(BODY);
    (0..count).map(|place| (place % 251) as u8).collect()
}

/// What was asked, as JSON.
fn echo(head: &axum::http::request::Parts, body: &Bytes) -> Value {
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), Value::String(value))
        })
        .collect();
    json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query().unwrap_or(""),
        "headers": headers,
        "body": String::from_utf8_lossy(body),
    })
}
