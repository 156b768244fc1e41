//! `airbench bench`: the numbers of the README.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

use airbench_airtun::{Clock, Server, Silent, Sleep, tls};
use airbench_clock::Instant;
use airbench_trace::Retention;
use airbench_world::{Action, World};
use clap::Args;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::tungstenite::Message;

use super::{Failure, RunOptions, setup};

/// Options of `airbench bench`.
#[derive(Args)]
pub(super) struct Options {
    /// What to run instead of the built-in firmware.
    #[command(flatten)]
    run: RunOptions,
    /// Repetitions; the best and the median are shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
}

/// Device hours per repetition unless `--for` says otherwise.
const HOURS: u64 = 240;
/// Echoes of the bare measurement.
const BARE_ECHOES: u32 = 20_000;
/// Worlds of the memory measurement.
const WORLDS: u64 = 32;

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let span = options
        .run
        .span
        .unwrap_or(Duration::from_secs(HOURS * 3600));
    let setup = setup(&options.run, &options.run.project()?, None)?;
    let (mut speeds, mut costs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.repeat {
        // Side by side: both feel the same noise of the machine.
        bare.push(bare_echo()?);
        let mut world = World::new(&setup, Retention::Last(1));
        world.act(&Action::PowerOn)?;
        let begin = Wall::now();
        world.run_until(Instant::ZERO + span)?;
        let wall = begin.elapsed().as_secs_f64();
        speeds.push(span.as_secs_f64() / 3600.0 / wall);
        costs.push(wall * 1e6 / world.stats().delivered.max(1) as f64);
    }
    let (best, median) = best_and_median(&mut speeds, f64::max);
    outln!("speed        {best:.0} device-hours per second (median {median:.0})");
    let (cost, middle) = best_and_median(&mut costs, f64::min);
    outln!("per echo     {cost:.1} µs (median {middle:.1} µs)");
    let (bare, middle) = best_and_median(&mut bare, f64::min);
    outln!(
        "bare echo    {bare:.1} µs (median {middle:.1} µs): WebSocket over TLS in memory, both ends, nothing else"
    );
    outln!("ratio        {:.2}", cost / bare);
    super::bench_vm::run(options.repeat)?;
    match first_line() {
        Ok(mut times) => {
            let (best, median) = best_and_median(&mut times, f64::min);
            outln!(
                "first line   {best:.1} ms after the start of the process (median {median:.1} ms)"
            );
        }
        Err(error) => outln!("first line   not measured: {error}"),
    }
    match memory(&setup) {
        Some(kib) => {
            outln!("memory       {kib:.0} KiB per simulated device with its network and server")
        }
        None => outln!("memory       not measured: no /proc/self/statm here"),
    }
    Ok(ExitCode::SUCCESS)
}

fn best_and_median(values: &mut [f64], better: fn(f64, f64) -> f64) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let best = values.iter().copied().reduce(better).unwrap_or(f64::NAN);
    (
        best,
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN),
    )
}

/// A clock for a server that never waits.
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn date(&self) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH
    }

    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

/// Microseconds per echo of a tokio-tungstenite client against the same server
/// over TLS in memory.
fn bare_echo() -> Result<f64, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Usage(format!("bare echo: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| failed(&e))?;
    runtime.block_on(async {
        let names = ["localhost".to_owned()];
        let config = tls::self_signed(&names, tls::KeyKind::Ed25519).map_err(|e| failed(&e))?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = Server::new(Arc::new(NoClock), Arc::new(Silent));
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(far).await {
                server.serve(stream).await;
            }
        });
        let name = ServerName::try_from("localhost").map_err(|e| failed(&e))?;
        let connector = TlsConnector::from(airbench_luatos::tls_client());
        let stream = connector
            .connect(name, near)
            .await
            .map_err(|e| failed(&e))?;
        let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/ws/echo", stream)
            .await
            .map_err(|e| failed(&e))?;
        let message = r#"{"action":"echo","msg":"Tue Sep  3 20:12:03 2024"}"#;
        let begin = Wall::now();
        for _ in 0..BARE_ECHOES {
            socket
                .send(Message::text(message))
                .await
                .map_err(|e| failed(&e))?;
            if !matches!(socket.next().await, Some(Ok(Message::Text(_)))) {
                return Err(failed(&"no answer"));
            }
        }
        Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(BARE_ECHOES))
    })
}

/// Milliseconds from the start of this program to its first log line.
fn first_line() -> std::io::Result<Vec<f64>> {
    let program = std::env::current_exe()?;
    let mut times = Vec::new();
    for _ in 0..20 {
        let begin = Wall::now();
        let mut child = Command::new(&program)
            .args(["run", "--for", "1s", "--lte", "lab"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(out) = child.stdout.take() {
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line)?;
        }
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        child.wait()?;
    }
    Ok(times)
}

/// Resident KiB of this process.
fn resident() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as f64 / 1024.0)
}

/// Resident KiB a device adds once it has echoed for ten minutes.
fn memory(setup: &airbench_world::Setup) -> Option<f64> {
    let before = resident()?;
    let mut worlds = Vec::new();
    for seed in 0..WORLDS {
        let mut setup = setup.clone();
        setup.seed = seed;
        let mut world = World::new(&setup, Retention::Last(1));
        world.act(&Action::PowerOn).ok()?;
        world.run_until(Instant::from_millis(600_000)).ok()?;
        worlds.push(world);
    }
    Some((resident()? - before) / worlds.len() as f64)
}
