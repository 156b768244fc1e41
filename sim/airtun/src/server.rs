//! HTTP: the upgrade handshake and everything that is not one.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use axum::routing::any;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::ws::{self, Endpoint};
use crate::{Clock, Event, Observer};

/// Identification of the Java stack.
const SERVER: HeaderValue = HeaderValue::from_static("Jetty(9.4.48.v20220622)");
/// Jetty's limit on the header block, in bytes.
const HEADER_LIMIT: usize = 8192;

struct Shared {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    connections: AtomicU64,
}

/// The server: give it connections, it serves them.
#[derive(Clone)]
pub struct Server {
    router: Router,
}

impl Server {
    /// A server with these sources of time and sinks of news.
    pub fn new(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        let shared = Arc::new(Shared {
            clock,
            observer,
            connections: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/ws/echo", any(echo))
            .route("/ws/echo2", any(echo2))
            .fallback(any(missing))
            .with_state(shared);
        Self { router }
    }

    /// Serves one connection to its end. Must run inside a tokio runtime; TLS,
    /// if any, is already taken off.
    pub async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(self.router.clone());
        // A peer that breaks the connection off is no error of ours.
        let _ = hyper::server::conn::http1::Builder::new()
            .auto_date_header(false)
            .max_buf_size(HEADER_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    }
}

async fn echo(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    upgrade(&shared, request, Endpoint::Echo)
}

async fn echo2(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    upgrade(&shared, request, Endpoint::Echo2)
}

async fn missing() -> Response<Body> {
    status(StatusCode::NOT_FOUND)
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response.headers_mut().insert(header::SERVER, SERVER);
    response
}

/// The request asks for a WebSocket, as Jetty sees it. Anything less falls
/// through to the servlet that knows no such page.
fn wants_websocket(request: &Request) -> bool {
    let headers = request.headers();
    let is = |name, text: &str| {
        headers
            .get(name)
            .is_some_and(|v: &HeaderValue| v.as_bytes().eq_ignore_ascii_case(text.as_bytes()))
    };
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && is(header::UPGRADE, "websocket")
}

fn connection_upgrades(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',')
                .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        })
    })
}

fn upgrade(shared: &Arc<Shared>, mut request: Request, endpoint: Endpoint) -> Response<Body> {
    if !wants_websocket(&request) {
        return status(StatusCode::NOT_FOUND);
    }
    let headers = request.headers();
    if !connection_upgrades(headers) {
        return status(StatusCode::BAD_REQUEST);
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|v| v != "13") {
        let mut response = status(StatusCode::BAD_REQUEST);
        let thirteen = HeaderValue::from_static("13");
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_VERSION, thirteen);
        return response;
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let accept = derive_accept_key(key.as_bytes().trim_ascii());
    let connection = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    shared
        .observer
        .observe(connection, Event::Handshake(&head(&request)));
    let upgraded = hyper::upgrade::on(&mut request);
    let (clock, observer) = (Arc::clone(&shared.clock), Arc::clone(&shared.observer));
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            ws::serve(TokioIo::new(stream), endpoint, connection, clock, observer).await;
        }
    });
    switching_protocols(&*shared.clock, &accept)
}

fn switching_protocols(clock: &dyn Clock, accept: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    let date = httpdate::fmt_http_date(clock.date());
    let ascii = |text: &str| HeaderValue::from_str(text).expect("dates and base64 are ASCII");
    headers.insert(header::DATE, ascii(&date));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, ascii(accept));
    headers.insert(header::SERVER, SERVER);
    headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
    response
}

/// Request line and headers as text, for the observer.
fn head(request: &Request) -> String {
    let mut text = format!(
        "{} {} {:?}",
        request.method(),
        request.uri(),
        request.version()
    );
    for (name, value) in request.headers() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    text
}
