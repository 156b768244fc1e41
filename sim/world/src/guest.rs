//! Server programs as guests: on a tokio runtime without timers and sockets,
//! run until it would park.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use airbench_airtun::{Clock, Event, Faults, Observer, Server, entry, tls};
use airbench_clock::Instant;
use airbench_trace::Kind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

use crate::cloud::Notes;
use crate::cloud::broker::Broker;
use crate::cloud::ftp::{DATA_PORTS, FtpServer};
use crate::cloud::origin::{Origin, Route};
use crate::pipe::Pipe;
use crate::virtual_clock::VirtualClock;

/// First byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// Where FTP begins with TLS.
pub(crate) const FTPS_PORT: u16 = 990;

/// The programs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The airtun WebSocket server.
    Airtun,
    /// The MQTT broker.
    Broker,
    /// The HTTP origin.
    Origin,
    /// The FTP server.
    Ftp,
}

impl Program {
    /// It greets its clients.
    pub(crate) fn speaks_first(self) -> bool {
        self == Self::Ftp
    }
}

/// Collects airtun's events.
struct Collector(Notes);

impl Observer for Collector {
    fn observe(&self, _: u64, event: Event<'_>) {
        let (kind, bytes) = entry(event);
        self.0.add(kind, bytes);
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

/// A program, ready to serve one connection.
enum Serve {
    Airtun(Server),
    Broker(Broker),
    Origin(Origin),
    Ftp(FtpServer),
}

impl Serve {
    async fn on<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self {
            Self::Airtun(server) => server.serve(stream).await,
            Self::Broker(broker) => broker.serve(stream).await,
            Self::Origin(origin) => origin.serve(stream).await,
            Self::Ftp(server) => server.serve(stream).await,
        }
    }
}

/// The programs and their connections.
pub(crate) struct Guest {
    runtime: Runtime,
    signal: ParkSignal,
    airtun: Server,
    broker: Broker,
    origin: Origin,
    ftp: FtpServer,
    /// The servers' TLS, and one with a certificate nobody should take.
    acceptors: [Option<TlsAcceptor>; 2],
    clock: VirtualClock,
    notes: Notes,
    pipes: BTreeMap<u64, Pipe>,
    last: u64,
}

impl Guest {
    pub(crate) fn new(epoch: i64, ftp: Ipv4Addr, routes: Vec<Route>) -> Self {
        let signal = ParkSignal::default();
        let parking = signal.clone();
        let runtime = Builder::new_current_thread()
            .on_thread_park(move || parking.signal())
            .build()
            .expect("a runtime without drivers asks the system for nothing");
        let clock = VirtualClock::new(epoch);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let notes = Notes::default();
        Self {
            runtime,
            signal,
            airtun: Server::new(Arc::clone(&shared), Arc::new(Collector(notes.clone()))),
            broker: Broker::new(Arc::clone(&shared), notes.clone()),
            ftp: FtpServer::new(ftp, &routes, Arc::clone(&shared), notes.clone()),
            origin: Origin::new(routes, shared, notes.clone()),
            acceptors: [None, None],
            clock,
            notes,
            pipes: BTreeMap::new(),
            last: 0,
        }
    }

    /// Sets what airtun does wrong from now on.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.airtun.set_faults(faults);
    }

    /// The TLS set-up, made when it is first needed: Ed25519, whose signatures
    /// all have the same length.
    fn acceptor(&mut self, wrong: bool) -> TlsAcceptor {
        self.acceptors[usize::from(wrong)]
            .get_or_insert_with(|| {
                let kind = tls::KeyKind::Ed25519;
                let names = ["echo.airtun.air32.cn".to_owned()];
                let config = if wrong {
                    tls::wrong(kind)
                } else {
                    tls::self_signed(&names, kind)
                };
                let config = config.expect("a fixed name gives a certificate");
                TlsAcceptor::from(Arc::new(config))
            })
            .clone()
    }

    /// A client has come to a port of a program, with its first byte where it
    /// speaks first; that byte tells whether it wants TLS.
    pub(crate) fn connect(&mut self, program: Program, port: u16, first: Option<u8>) -> u64 {
        self.last += 1;
        let pipe = Pipe::default();
        let stream = pipe.guest();
        if program == Program::Ftp && DATA_PORTS.contains(&port) {
            self.ftp.deliver(port, stream);
        } else if first == Some(TLS_HANDSHAKE) || port == FTPS_PORT {
            let wrong = program == Program::Airtun && self.airtun.faults().wrong_certificate;
            let acceptor = self.acceptor(wrong);
            let serve = self.server(program);
            self.runtime.spawn(async move {
                // A client that breaks off its handshake is its own affair.
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve.on(stream).await;
                }
            });
        } else {
            self.runtime.spawn(self.server(program).on(stream));
        }
        self.pipes.insert(self.last, pipe);
        self.last
    }

    fn server(&self, program: Program) -> Serve {
        match program {
            Program::Airtun => Serve::Airtun(self.airtun.clone()),
            Program::Broker => Serve::Broker(self.broker.clone()),
            Program::Origin => Serve::Origin(self.origin.clone()),
            Program::Ftp => Serve::Ftp(self.ftp.clone()),
        }
    }

    /// Publishes through the broker.
    pub(crate) fn publish(&self, topic: &str, payload: &[u8], qos: u8, retain: bool) {
        self.broker.publish(topic, payload, qos, retain);
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

    /// What the programs noted since the last call.
    pub(crate) fn take_notes(&self) -> Vec<(Kind, Vec<u8>)> {
        self.notes.take()
    }

    /// When a timer of the guest is due.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.clock.next_wake()
    }
}
