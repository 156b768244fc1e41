//! The echo server on real sockets: `ws://…/ws/echo`, `/ws/echo2`, and the same
//! over TLS.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use airbench_airtun::{Capture, Event, Faults, Observer, Recording, Server, TokioClock, tls};
use airbench_trace::output::{may_replace, same_file};
use airbench_trace::{file, pcapng};
use clap::Parser;
use futures_util::future::select_all;
use rustls::{KeyLog, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A local clone of openLuat's airtun WebSocket echo server.
#[derive(Parser)]
#[command(
    name = "airtun",
    version,
    after_help = "Example: airtun --tls-listen 127.0.0.1:8443"
)]
struct Args {
    /// Where to serve ws:// (port 0: any free port).
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// Where to serve wss:// as well.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    tls_listen: Option<SocketAddr>,
    /// Certificate chain (PEM) for wss://; without it one is made. Repeat it, with
    /// its --key, for several names: the one a client asks for is shown.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Vec<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Vec<PathBuf>,
    /// Key of the made certificate.
    #[arg(long, value_enum, default_value_t = Key::Ecdsa, conflicts_with = "cert")]
    key_type: Key,
    /// Host name in the made certificate; may be repeated.
    #[arg(long, value_name = "NAME", default_values = ["localhost", "echo.airtun.air32.cn"])]
    host: Vec<String>,
    /// Largest message in bytes; the original's limit is 65536.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    max_message: usize,
    /// Write what the server sees as a recording (docs/trace-format.md).
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write the connections as pcapng, with their TLS keys, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    #[command(flatten)]
    faults: FaultArgs,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Kinds of keys.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Key {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA, 2048 bits.
    Rsa,
}

/// What the server does wrong on purpose.
#[derive(clap::Args)]
#[command(next_help_heading = "Faults")]
struct FaultArgs {
    /// End connections before a request is read.
    #[arg(long)]
    refuse: bool,
    /// Show another host's certificate, long expired.
    #[arg(long, conflicts_with = "cert")]
    wrong_certificate: bool,
    /// Answer nothing and close nothing.
    #[arg(long, conflicts_with = "refuse")]
    stall: bool,
    /// Answer so many messages and end the connection with the next, without a
    /// close frame.
    #[arg(long, value_name = "MESSAGES", default_value_t = 0)]
    close_after: u64,
    /// Take so many milliseconds longer for the handshake.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow_handshake: u64,
    /// Answer in frames with so many bytes at most.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    fragment: usize,
    /// Send a text message in the same write as the handshake's answer.
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
}

impl FaultArgs {
    fn faults(&self) -> Faults {
        Faults {
            refuse: self.refuse,
            wrong_certificate: self.wrong_certificate,
            stall: self.stall,
            close_after: self.close_after,
            handshake_ms: self.slow_handshake,
            fragment: self.fragment,
            greeting: self.greeting.clone(),
        }
    }
}

/// An address with a port; a port alone means this machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    let whole = match text.parse::<u16>() {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => text.to_owned(),
    };
    whole
        .parse()
        .map_err(|_| "write an address and a port, as 127.0.0.1:8080, or a port".to_owned())
}

/// Prints what happens.
struct Console;

impl Observer for Console {
    fn observe(&self, connection: u64, event: Event<'_>) {
        match event {
            Event::Handshake(head) => {
                say(&format!(
                    "#{connection} {}",
                    head.lines().next().unwrap_or_default()
                ));
            }
            Event::Received(opcode, payload) => {
                let text = String::from_utf8_lossy(payload);
                say(&format!("#{connection} < {} {text}", opcode.name()));
            }
            Event::Sent(opcode, payload) => {
                say(&format!(
                    "#{connection} > {} {} bytes",
                    opcode.name(),
                    payload.len()
                ));
            }
            Event::Closed(how) => say(&format!("#{connection} closed: {how}")),
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(|error| error.to_string())
        .and_then(|rt| rt.block_on(run(args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

async fn bind(address: SocketAddr, scheme: &str) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; is another server there? choose a port with --listen/--tls-listen")
    })?;
    let local = listener.local_addr().map_err(|error| error.to_string())?;
    say(&format!(
        "listening on {scheme}://{local}/ws/echo and {scheme}://{local}/ws/echo2"
    ));
    Ok(listener)
}

/// Prints, records, or both.
struct Observers(Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn observe(&self, connection: u64, event: Event<'_>) {
        for observer in &self.0 {
            observer.observe(connection, event);
        }
    }
}

/// The TLS set-up that was asked for.
fn tls_config(args: &Args) -> Result<ServerConfig, String> {
    let kind = match args.key_type {
        Key::Ecdsa => tls::KeyKind::EcdsaP256,
        Key::Rsa => tls::KeyKind::Rsa,
    };
    if args.cert.len() != args.key.len() {
        let (certificates, keys) = (args.cert.len(), args.key.len());
        return Err(format!(
            "{certificates} --cert and {keys} --key; each certificate needs its key"
        ));
    }
    let pairs: Vec<_> = args.cert.iter().cloned().zip(args.key.clone()).collect();
    let config = match pairs.is_empty() {
        false => tls::from_files(&pairs),
        true if args.faults.wrong_certificate => tls::wrong(kind),
        true => tls::self_signed(&args.host, kind),
    };
    config.map_err(|error| error.to_string())
}

/// How long connections may take to end when the server stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is written is written over nothing else.
fn check_outputs(args: &Args) -> Result<(), String> {
    if let (Some(record), Some(pcap)) = (&args.record, &args.pcap)
        && same_file(record, pcap)
    {
        return Err("--record and --pcap name the same file".to_owned());
    }
    let outputs = [
        (&args.record, &file::MAGIC[..], "recording"),
        (&args.pcap, &pcapng::MAGIC[..], "pcapng capture"),
    ];
    for (path, magic, kind) in outputs {
        if let Some(path) = path {
            may_replace(path, magic, kind).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

async fn run(args: Args) -> Result<(), String> {
    check_outputs(&args)?;
    // A certificate that cannot be used is told even where it is not needed.
    let config = (args.tls_listen.is_some() || !args.cert.is_empty()).then(|| tls_config(&args));
    let config = config.transpose()?;
    // From here on the process ends in order.
    let stop = stop_signal()?;
    let plain = bind(args.listen, "ws").await?;
    let secure = match args.tls_listen {
        Some(address) => Some(bind(address, "wss").await?),
        None => None,
    };
    let cannot = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    let record = args.record.as_deref();
    let recording = record.map(|path| Recording::create(path).map_err(|e| cannot(path, e)));
    let recording = recording.transpose()?.map(Arc::new);
    let pcap = args.pcap.as_deref();
    let capture = pcap.map(|path| Capture::create(path).map_err(|e| cannot(path, e)));
    let capture = capture.transpose()?;
    let mut observers: Vec<Arc<dyn Observer>> = Vec::new();
    if !args.quiet {
        observers.push(Arc::new(Console));
    }
    if let Some(recording) = &recording {
        observers.push(Arc::clone(recording) as Arc<dyn Observer>);
    }
    let clock = Arc::new(TokioClock::default());
    let server = Server::with_limit(clock, Arc::new(Observers(observers)), args.max_message);
    server.set_faults(args.faults.faults());
    let mut entrance = Entrance {
        listeners: vec![(plain, None)],
        server: server.clone(),
        capture: capture.clone(),
    };
    if let (Some(mut config), Some(listener)) = (config, secure) {
        if let Some(capture) = &capture {
            config.key_log = Arc::clone(capture) as Arc<dyn KeyLog>;
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        entrance.listeners.push((listener, Some(acceptor)));
    }
    let mut connections = entrance.until(stop).await;
    server.stop();
    // Who does not let go in time is cut off with the process.
    let _ = tokio::time::timeout(GOODBYE, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
    connections.shutdown().await;
    drop((entrance, server));
    if let (Some(capture), Some(path)) = (capture, pcap) {
        capture.finish().map_err(|error| cannot(path, error))?;
    }
    if let (Some(recording), Some(path)) = (recording.and_then(Arc::into_inner), record) {
        recording.finish().map_err(|error| cannot(path, error))?;
    }
    Ok(())
}

/// How long nobody is let in after a connection could not be.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a client may take for its TLS handshake: as long as for a request.
const HANDSHAKE: Duration = Duration::from_secs(300);

/// Prints a line; nobody need be there to read it.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The same on standard error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "airtun: {line}");
}

/// Where connections come in.
struct Entrance {
    listeners: Vec<(TcpListener, Option<TlsAcceptor>)>,
    server: Server,
    capture: Option<Arc<Capture>>,
}

impl Entrance {
    /// Serves until `stop`; gives the connections that are still there.
    async fn until(&self, stop: impl Future<Output = ()>) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        let mut stop = Box::pin(stop);
        loop {
            let accepts = self
                .listeners
                .iter()
                .map(|(listener, _)| Box::pin(listener.accept()));
            tokio::select! {
                () = &mut stop => return connections,
                (accepted, index, _) = select_all(accepts) => match accepted {
                    Ok((stream, peer)) => {
                        let acceptor = self.listeners[index].1.clone();
                        self.serve(&mut connections, stream, peer, acceptor);
                    }
                    Err(error) => {
                        complain(&format!("a connection was not accepted: {error}"));
                        // Out of descriptors, the next try would fail at once.
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    fn serve(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        peer: SocketAddr,
        acceptor: Option<TlsAcceptor>,
    ) {
        // Jetty sends replies at once; a failure here only costs latency.
        let _ = stream.set_nodelay(true);
        let server = self.server.clone();
        let local = stream.local_addr();
        match (&self.capture, local) {
            (Some(capture), Ok(local)) => {
                let stream = capture.tap(stream, peer, local);
                connections.spawn(welcome(stream, acceptor, server));
            }
            _ => {
                connections.spawn(welcome(stream, acceptor, server));
            }
        }
    }
}

/// SIGINT (control-C) or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Serves one connection, behind TLS if there is an acceptor.
async fn welcome<S>(stream: S, acceptor: Option<TlsAcceptor>, server: Server)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match acceptor {
        None => server.serve(stream).await,
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => server.serve(stream).await,
            Ok(Err(error)) => complain(&format!("TLS handshake failed: {error}")),
            Err(_) => {}
        },
    }
}
