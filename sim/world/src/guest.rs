//! The airtun server as a guest: the real program on a tokio runtime without
//! timers and sockets, run until it would park.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use airbench_airtun::{Event, Observer, Opcode, Server, tls};
use airbench_clock::Instant;
use airbench_trace::Kind;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

use crate::pipe::Pipe;
use crate::virtual_clock::VirtualClock;

/// What the server observed, ready for the log.
type Observed = Arc<Mutex<Vec<(Kind, Vec<u8>)>>>;

/// Collects the server's events.
struct Collector(Observed);

impl Observer for Collector {
    fn observe(&self, _: u64, event: Event<'_>) {
        let message = |opcode: Opcode, payload: &[u8]| {
            let mut bytes = Vec::with_capacity(payload.len() + 7);
            bytes.extend_from_slice(opcode.name().as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(payload);
            bytes
        };
        let entry = match event {
            Event::Handshake(head) => (Kind::Handshake, head.as_bytes().to_vec()),
            Event::Received(opcode, payload) => (Kind::MessageIn, message(opcode, payload)),
            Event::Sent(opcode, payload) => (Kind::MessageOut, message(opcode, payload)),
            Event::Closed(how) => (Kind::Closed, how.as_bytes().to_vec()),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }
}

/// Tells when the runtime has nothing left to do.
#[derive(Clone, Default)]
struct ParkSignal {
    parked: Arc<AtomicBool>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl ParkSignal {
    fn signal(&self) {
        self.parked.store(true, Ordering::Relaxed);
        if let Some(waker) = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            waker.wake();
        }
    }
}

/// The server and its connections.
pub(crate) struct Guest {
    runtime: Runtime,
    signal: ParkSignal,
    server: Server,
    acceptor: Option<TlsAcceptor>,
    clock: VirtualClock,
    observed: Observed,
    pipes: BTreeMap<u64, Pipe>,
    last: u64,
}

impl Guest {
    pub(crate) fn new(epoch: i64) -> Self {
        let signal = ParkSignal::default();
        let parking = signal.clone();
        let runtime = Builder::new_current_thread()
            .on_thread_park(move || parking.signal())
            .build()
            .expect("a runtime without drivers asks the system for nothing");
        let clock = VirtualClock::new(epoch);
        let observed = Observed::default();
        let server = Server::new(
            Arc::new(clock.clone()),
            Arc::new(Collector(Arc::clone(&observed))),
        );
        Self {
            runtime,
            signal,
            server,
            acceptor: None,
            clock,
            observed,
            pipes: BTreeMap::new(),
            last: 0,
        }
    }

    /// The TLS set-up, made when it is first needed: Ed25519, whose signatures
    /// all have the same length.
    fn acceptor(&mut self) -> TlsAcceptor {
        self.acceptor
            .get_or_insert_with(|| {
                let names = ["echo.airtun.air32.cn".to_owned()];
                let config = tls::self_signed(&names, tls::KeyKind::Ed25519)
                    .expect("a fixed name gives a certificate");
                TlsAcceptor::from(config)
            })
            .clone()
    }

    /// A client has connected.
    pub(crate) fn connect(&mut self, secure: bool) -> u64 {
        self.last += 1;
        let pipe = Pipe::default();
        let stream = pipe.guest();
        let server = self.server.clone();
        if secure {
            let acceptor = self.acceptor();
            self.runtime.spawn(async move {
                // A client that breaks off its handshake is its own affair.
                if let Ok(stream) = acceptor.accept(stream).await {
                    server.serve(stream).await;
                }
            });
        } else {
            self.runtime
                .spawn(async move { server.serve(stream).await });
        }
        self.pipes.insert(self.last, pipe);
        self.last
    }

    /// The stream of a connection.
    pub(crate) fn pipe(&self, connection: u64) -> Option<&Pipe> {
        self.pipes.get(&connection)
    }

    /// Forgets a connection.
    pub(crate) fn forget(&mut self, connection: u64) {
        if let Some(pipe) = self.pipes.remove(&connection) {
            pipe.end();
        }
    }

    /// Moves the guest's clock on; true if a timer of its went off.
    pub(crate) fn advance(&self, now: Instant) -> bool {
        self.clock.advance(now)
    }

    /// Runs until there is nothing left to do.
    pub(crate) fn run(&self) {
        self.signal.parked.store(false, Ordering::Relaxed);
        self.runtime.block_on(poll_fn(|cx| {
            if self.signal.parked.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            let mut waker = self
                .signal
                .waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *waker = Some(cx.waker().clone());
            Poll::Pending
        }));
    }

    /// What the server observed since the last call.
    pub(crate) fn take_observed(&self) -> Vec<(Kind, Vec<u8>)> {
        std::mem::take(&mut *self.observed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When a timer of the guest is due.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.clock.next_wake()
    }
}
