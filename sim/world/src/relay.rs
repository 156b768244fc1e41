//! A name that leads out of the simulation: TCP connections to a real server on
//! the user's machine. Such a run keeps pace with the wall clock and does not
//! repeat.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use airbench_clock::Instant;
use airbench_net::{IpStack, SmolStack, TcpId, TcpState};

/// Between two looks at the real sockets.
const LOOK: Duration = Duration::from_millis(5);
/// Time a real server has to accept.
const CONNECT: Duration = Duration::from_secs(2);
/// Most bytes moved at a time.
const CHUNK: usize = 16 * 1024;

struct Connection {
    tcp: TcpId,
    real: TcpStream,
    /// From the real server, not yet taken by TCP.
    to_device: Vec<u8>,
    /// For the real server, not yet taken by it.
    to_server: Vec<u8>,
    /// The real server has closed.
    ended: bool,
}

/// Connections to one real server.
pub(crate) struct Relay {
    server: SocketAddr,
    connections: Vec<Connection>,
    looked: Instant,
}

impl Relay {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            connections: Vec::new(),
            looked: Instant::ZERO,
        }
    }

    /// When the real sockets want to be looked at.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        (!self.connections.is_empty()).then(|| self.looked + LOOK)
    }

    /// Moves bytes both ways.
    pub(crate) fn work(&mut self, stack: &mut SmolStack, now: Instant) {
        self.looked = now;
        while let Some((tcp, _)) = stack.accept() {
            let real = TcpStream::connect_timeout(&self.server, CONNECT).and_then(|real| {
                real.set_nonblocking(true)?;
                real.set_nodelay(true)?;
                Ok(real)
            });
            match real {
                Ok(real) => self.connections.push(Connection {
                    tcp,
                    real,
                    to_device: Vec::new(),
                    to_server: Vec::new(),
                    ended: false,
                }),
                // As if the server had refused.
                Err(_) => stack.tcp_abort(tcp),
            }
        }
        self.connections
            .retain_mut(|connection| connection.shuttle(stack));
    }
}

impl Connection {
    /// False once it is over.
    fn shuttle(&mut self, stack: &mut SmolStack) -> bool {
        let status = stack.tcp_status(self.tcp);
        self.to_server.append(&mut stack.tcp_read(self.tcp, CHUNK));
        match self.real.write(&self.to_server) {
            Ok(taken) => drop(self.to_server.drain(..taken)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.ended = true,
        }
        let mut bytes = [0; CHUNK];
        if self.to_device.len() < CHUNK && !self.ended {
            match self.real.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(len) => self.to_device.extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.ended = true,
            }
        }
        let taken = stack.tcp_write(self.tcp, &self.to_device);
        self.to_device.drain(..taken);
        let device_gone = status.state != TcpState::Open && self.to_server.is_empty();
        let over = (self.ended && self.to_device.is_empty()) || device_gone;
        if over {
            stack.tcp_close(self.tcp);
        }
        !over
    }
}
