//! The echo server on real sockets: `ws://…/ws/echo`, `/ws/echo2`, and the same
//! over TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use airbench_airtun::{Event, Faults, Observer, Server, TokioClock, tls};
use clap::Parser;
use tokio::net::{TcpListener, TcpStream};
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
    /// Certificate chain (PEM) for wss://; without it one is made.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Host name in the made certificate; may be repeated.
    #[arg(long, value_name = "NAME", default_values = ["localhost", "echo.airtun.air32.cn"])]
    host: Vec<String>,
    /// Largest message in bytes; the original's limit is 65536.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    max_message: usize,
    #[command(flatten)]
    faults: FaultArgs,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

/// What the server does wrong on purpose.
#[derive(clap::Args)]
#[command(next_help_heading = "Faults")]
struct FaultArgs {
    /// End connections before a request is read.
    #[arg(long)]
    refuse: bool,
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
                println!("#{connection} {}", head.lines().next().unwrap_or_default());
            }
            Event::Received(opcode, payload) => {
                println!(
                    "#{connection} < {} {}",
                    opcode.name(),
                    String::from_utf8_lossy(payload)
                );
            }
            Event::Sent(opcode, payload) => {
                println!("#{connection} > {} {} bytes", opcode.name(), payload.len());
            }
            Event::Closed(how) => println!("#{connection} closed: {how}"),
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
            eprintln!("airtun: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn bind(address: SocketAddr, scheme: &str) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; is another server there? choose a port with --listen/--tls-listen")
    })?;
    let local = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on {scheme}://{local}/ws/echo and {scheme}://{local}/ws/echo2");
    Ok(listener)
}

async fn run(args: Args) -> Result<(), String> {
    let acceptor = match (&args.cert, &args.key, args.tls_listen) {
        (Some(cert), Some(key), _) => Some(tls::from_files(cert, key)),
        (_, _, Some(_)) => Some(tls::self_signed(&args.host, tls::KeyKind::EcdsaP256)),
        _ => None,
    };
    let acceptor = acceptor
        .transpose()
        .map_err(|error| error.to_string())?
        .map(TlsAcceptor::from);
    let observer: Arc<dyn Observer> = if args.quiet {
        Arc::new(airbench_airtun::Silent)
    } else {
        Arc::new(Console)
    };
    let clock = Arc::new(TokioClock::default());
    let server = Server::with_limit(clock, observer, args.max_message);
    server.set_faults(args.faults.faults());
    let plain = bind(args.listen, "ws").await?;
    let secure = match (args.tls_listen, acceptor) {
        (Some(address), Some(acceptor)) => Some((bind(address, "wss").await?, acceptor)),
        _ => None,
    };
    let plain_server = server.clone();
    tokio::spawn(async move { serve_plain(plain, plain_server).await });
    if let Some((listener, acceptor)) = secure {
        tokio::spawn(async move { serve_tls(listener, acceptor, server).await });
    }
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| error.to_string())
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            // Jetty sends replies at once; a failure here only costs latency.
            let _ = stream.set_nodelay(true);
            Some(stream)
        }
        Err(error) => {
            eprintln!("airtun: a connection was not accepted: {error}");
            None
        }
    }
}

async fn serve_plain(listener: TcpListener, server: Server) {
    loop {
        if let Some(stream) = accept(&listener).await {
            let server = server.clone();
            tokio::spawn(async move { server.serve(stream).await });
        }
    }
}

async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, server: Server) {
    loop {
        if let Some(stream) = accept(&listener).await {
            let (server, acceptor) = (server.clone(), acceptor.clone());
            tokio::spawn(async move {
                match acceptor.accept(stream).await {
                    Ok(stream) => server.serve(stream).await,
                    Err(error) => eprintln!("airtun: TLS handshake failed: {error}"),
                }
            });
        }
    }
}
