//! A server-side capture: what each connection read and wrote, as TCP packets.
//!
//! The kernel's own packets are out of a program's reach, so these are made from
//! the streams: one handshake, segments of at most [`SEGMENT`] bytes at the times
//! the program read or wrote them, one end. Losses and repetitions do not show.

use std::fs::File;
use std::io::{self, BufWriter};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use airbench_trace::pcapng::Pcapng;
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep, TcpHeader};
use rustls::KeyLog;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes of one packet's payload.
const SEGMENT: usize = 1400;
const WINDOW: u16 = 65_535;
const TTL: u8 = 64;

/// A pcapng file with the connections of a server and the keys of their TLS.
pub struct Capture {
    file: Mutex<Pcapng<BufWriter<File>>>,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Capture")
    }
}

impl Capture {
    /// Makes the file.
    pub fn create(path: &Path) -> io::Result<Arc<Self>> {
        let file = BufWriter::new(File::create(path)?);
        let what = "made from what airtun read and wrote, at its own times";
        let file = Mutex::new(Pcapng::new(file, "airtun", what)?);
        Ok(Arc::new(Self { file }))
    }

    fn file(&self) -> MutexGuard<'_, Pcapng<BufWriter<File>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection from `peer` to `local` that shows in the capture.
    pub fn tap<S>(self: &Arc<Self>, stream: S, peer: SocketAddr, local: SocketAddr) -> Tapped<S> {
        let mut wire = Wire {
            capture: Arc::clone(self),
            ends: [peer, local],
            next: [1, 1],
            closed: [false; 2],
            held: Vec::new(),
        };
        wire.open();
        Tapped { stream, wire }
    }

    /// Ends the file.
    pub fn finish(&self) -> io::Result<()> {
        self.file().finish()
    }
}

/// Keys stand in the file before what they encrypt.
impl KeyLog for Capture {
    fn log(&self, label: &str, random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        self.file()
            .secret(&format!("{label} {} {}", hex(random), hex(secret)));
    }
}

/// Who sends.
const PEER: usize = 0;
const SERVER: usize = 1;

/// One connection as packets.
struct Wire {
    capture: Arc<Capture>,
    /// The peer's address and the server's.
    ends: [SocketAddr; 2],
    /// Each side's next sequence number; both begin at 0.
    next: [u32; 2],
    closed: [bool; 2],
    /// Packets of the peer that wait, with their times: the server makes the keys
    /// of a handshake out of what it has just read.
    held: Vec<(Duration, Vec<u8>)>,
}

impl Wire {
    fn open(&mut self) {
        self.send(PEER, 0, &[], |tcp| {
            tcp.syn = true;
            tcp.ack = false;
        });
        self.send(SERVER, 0, &[], |tcp| tcp.syn = true);
        self.send(PEER, 1, &[], |_| ());
    }

    fn send(
        &mut self,
        from: usize,
        sequence: u32,
        payload: &[u8],
        flags: impl FnOnce(&mut TcpHeader),
    ) {
        let (source, target) = (self.ends[from], self.ends[1 - from]);
        let mut tcp = TcpHeader::new(source.port(), target.port(), sequence, WINDOW);
        tcp.ack = true;
        tcp.acknowledgment_number = self.next[1 - from];
        flags(&mut tcp);
        if !tcp.ack {
            tcp.acknowledgment_number = 0;
        }
        let ip: Option<PacketBuilderStep<IpHeaders>> = match (source, target) {
            (SocketAddr::V4(a), SocketAddr::V4(b)) => {
                Some(PacketBuilder::ipv4(a.ip().octets(), b.ip().octets(), TTL))
            }
            (SocketAddr::V6(a), SocketAddr::V6(b)) => {
                Some(PacketBuilder::ipv6(a.ip().octets(), b.ip().octets(), TTL))
            }
            // Both ends of a connection are of one family.
            _ => None,
        };
        let Some(builder) = ip.map(|ip| ip.tcp_header(tcp)) else {
            return;
        };
        let mut packet = Vec::with_capacity(builder.size(payload.len()));
        // Into memory, and never longer than an IP packet may be.
        if builder.write(&mut packet, payload).is_ok() {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.unwrap_or(Duration::ZERO);
            if from == PEER {
                self.held.push((now, packet));
            } else {
                self.release();
                self.capture.file().packet(now, false, &packet);
            }
        }
    }

    /// What was read before has been worked off: its keys are there.
    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut file = self.capture.file();
        for (at, packet) in self.held.drain(..) {
            file.packet(at, true, &packet);
        }
    }

    fn data(&mut self, from: usize, bytes: &[u8]) {
        for piece in bytes.chunks(SEGMENT) {
            self.send(from, self.next[from], piece, |tcp| tcp.psh = true);
            self.next[from] = self.next[from].wrapping_add(piece.len() as u32);
        }
    }

    fn close(&mut self, from: usize) {
        if !std::mem::replace(&mut self.closed[from], true) {
            self.send(from, self.next[from], &[], |tcp| tcp.fin = true);
            self.next[from] = self.next[from].wrapping_add(1);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.close(SERVER);
        self.release();
        self.capture.file().flush();
    }
}

/// A stream whose bytes show in a capture.
pub struct Tapped<S> {
    stream: S,
    wire: Wire,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.release();
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &result {
            match &buf.filled()[before..] {
                [] if room => self.wire.close(PEER),
                bytes => self.wire.data(PEER, bytes),
            }
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(len)) = result {
            self.wire.data(SERVER, &bytes[..len]);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        if let Poll::Ready(Ok(())) = &result {
            self.wire.close(SERVER);
        }
        result
    }
}
