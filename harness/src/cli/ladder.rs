//! `airbench ladder`: what the device's TCP sends into a black hole, and when.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_net::{IpStack, LwipConfig, LwipStack, Shape, SmolStack, TcpId, TcpState};

use super::Failure;

const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 64, 12, 34);
const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 10), 80);
/// Longer than any ladder.
const PATIENCE: Instant = Instant::from_millis(3_600_000);

/// A device and a host, and a wire that is cut at will.
struct Wire {
    device: LwipStack,
    host: SmolStack,
    cut: bool,
    now: Instant,
    /// When the device sent something.
    sent: Vec<Instant>,
}

impl Wire {
    fn new(config: LwipConfig) -> Self {
        let mut device = LwipStack::new(config, 1);
        let mut host = SmolStack::new(Shape::host(), 2);
        device.set_address(Some(DEVICE));
        host.set_address(Some(*HOST.ip()));
        host.listen(HOST.port());
        Self {
            device,
            host,
            cut: false,
            now: Instant::ZERO,
            sent: Vec::new(),
        }
    }

    /// Exchanges packets until both ends are quiet.
    fn settle(&mut self) {
        loop {
            self.device.poll(self.now);
            self.host.poll(self.now);
            let up = self.device.transmit();
            let down = self.host.transmit();
            if up.is_none() && down.is_none() {
                return;
            }
            self.sent.extend(up.as_ref().map(|_| self.now));
            let passes = !self.cut;
            if let Some(packet) = up.filter(|_| passes) {
                self.host.receive(packet);
            }
            if let Some(packet) = down.filter(|_| passes) {
                self.device.receive(packet);
            }
        }
    }

    /// Runs until the connection has ended; when the device sent, and when it
    /// gave up, from the first packet on.
    fn run_out(&mut self, id: TcpId) -> (Vec<Duration>, Duration) {
        self.sent.clear();
        self.settle();
        let begin = self.now;
        while self.device.tcp_status(id).state != TcpState::Closed {
            let wake = self.device.next_wake(self.now);
            let Some(at) = wake.filter(|at| *at <= PATIENCE) else {
                break;
            };
            self.now = at;
            self.settle();
        }
        let times = self.sent.iter().map(|at| at.since(begin)).collect();
        (times, self.now.since(begin))
    }
}

/// A connect into a black hole.
fn connect(config: LwipConfig) -> (Vec<Duration>, Duration) {
    let mut wire = Wire::new(config);
    wire.cut = true;
    match wire.device.tcp_connect(HOST, 0) {
        Some(id) => wire.run_out(id),
        None => (Vec::new(), Duration::ZERO),
    }
}

/// A write into a connection that has just become a black hole.
fn data(config: LwipConfig) -> (Vec<Duration>, Duration) {
    let mut wire = Wire::new(config);
    let Some(id) = wire.device.tcp_connect(HOST, 0) else {
        return (Vec::new(), Duration::ZERO);
    };
    wire.settle();
    wire.cut = true;
    wire.device.tcp_write(id, b"into the dark");
    wire.run_out(id)
}

/// A line of the table; whether both agree.
fn compare(name: &str, expected: Duration, measured: Option<Duration>) -> bool {
    let seconds = |span: Duration| format!("{:.1} s", span.as_secs_f64());
    let shown = measured.map_or_else(|| "never".to_owned(), seconds);
    let agree = measured == Some(expected);
    let mark = if agree { "" } else { "  <- differs" };
    outln!("{name:<22} {:>10} {shown:>10}{mark}", seconds(expected));
    agree
}

fn table(
    title: &str,
    what: &str,
    expected: (Vec<Duration>, Duration),
    measured: (Vec<Duration>, Duration),
) -> bool {
    outln!("{title:<22} {:>10} {:>10}", "expected", "measured");
    let mut agree = expected.0.len() >= measured.0.len();
    for (index, at) in expected.0.iter().enumerate() {
        let name = match index {
            0 => what.to_owned(),
            n => format!("  again, {n}"),
        };
        agree &= compare(&name, *at, measured.0.get(index).copied());
    }
    agree &= compare("given up", expected.1, Some(measured.1));
    agree
}

/// Prints both ladders; exit code 1 if the stack does not follow them.
pub(super) fn run() -> Result<ExitCode, Failure> {
    let config = LwipConfig::default();
    let connecting = table("connect", "SYN", config.connect_ladder(), connect(config));
    outln!("");
    // Nothing was measured yet, so the first time-out holds.
    let expected = config.data_ladder(config.first_rto);
    let writing = table("write", "data", expected, data(config));
    Ok(if connecting && writing {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
