//! One control block: from name to bytes.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use airbench_clock::Instant;
use airbench_net::{IpStack, TcpError, TcpId, TcpState, UdpId};
use rustls::ClientConfig;

use super::socket_debug::{self, Low, Notice, Trace};
use super::tls::{self, Tls};
use super::{Owner, Security, Target, endpoint, stage};

/// Where sockets put what their owners are to hear.
pub(super) type Notices = VecDeque<Notice>;

/// What a control block tells its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketEvent {
    /// Connected, TLS included.
    Online,
    /// Everything sent so far has been acknowledged.
    Acknowledged,
    /// Bytes can be read.
    Readable,
    /// Failed, reset, or closed by the peer.
    Failed,
}

/// Where a control block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not in use.
    Idle,
    /// Waits for the link.
    LinkOff,
    /// About to look the name up.
    Resolve,
    /// This lookup is under way.
    Dns(u16),
    /// Has addresses to try.
    Choose,
    Connecting,
    Tls,
    Online,
    /// Over, at this stage; its owner has been told.
    Failed(i32),
}

/// A control block of the adapter.
pub(super) struct Socket {
    pub(super) owner: Owner,
    pub(super) state: State,
    pub(super) target: Option<Target>,
    pub(super) addresses: Vec<Ipv4Addr>,
    tcp: Option<TcpId>,
    udp: Option<(UdpId, Ipv4Addr)>,
    tls: Option<Tls>,
    /// Written, but not yet taken by TCP.
    backlog: VecDeque<u8>,
    /// Something was sent whose acknowledgement is awaited.
    awaiting: bool,
    datagrams: VecDeque<(SocketAddrV4, Vec<u8>)>,
    /// Readable bytes the owner has been told of.
    announced: usize,
    /// Arrivals at the stack that were looked at, and how many of the latest
    /// look have not been told of.
    arrivals: u32,
    untold: u32,
    /// All that DNS said for the current target.
    pub(super) resolved: Vec<Ipv4Addr>,
    /// The device computes until then; TLS stands still.
    computing: Option<Instant>,
    /// What lwIP reports of a connection that nobody closed.
    pub(super) error: Option<TcpError>,
    /// Events are printed.
    pub(super) debug: bool,
    /// [`stage`] behind the latest event.
    shown: i32,
    /// Lines of the adapter's debug output.
    pub(super) lines: Vec<String>,
}

/// What a TLS record may grow a TCP read to; more waits in the stack.
const READ: usize = 16 * 1024;

impl Socket {
    pub(super) fn new(owner: Owner) -> Self {
        Self {
            owner,
            state: State::Idle,
            target: None,
            addresses: Vec::new(),
            tcp: None,
            udp: None,
            tls: None,
            backlog: VecDeque::new(),
            awaiting: false,
            datagrams: VecDeque::new(),
            announced: 0,
            arrivals: 0,
            untold: 0,
            resolved: Vec::new(),
            computing: None,
            error: None,
            debug: false,
            shown: stage::OFF_LINE,
            lines: Vec::new(),
        }
    }

    /// Where the connection stands.
    pub(super) fn stage(&self) -> i32 {
        match self.state {
            State::Idle => stage::OFF_LINE,
            State::LinkOff => stage::LINK_OFF,
            State::Resolve | State::Dns(_) => stage::DNS,
            State::Choose | State::Connecting => stage::CONNECTING,
            State::Tls => stage::TLS,
            State::Online => stage::ONLINE,
            State::Failed(at) => at,
        }
    }

    /// A connection is being made, or bytes are on their way.
    pub(super) fn is_busy(&self, stack: &dyn IpStack) -> bool {
        let unacknowledged = |tcp| stack.tcp_status(tcp).unacknowledged > 0;
        (stage::DNS..stage::ONLINE).contains(&self.stage())
            || !self.backlog.is_empty()
            || self.tcp.is_some_and(unacknowledged)
    }

    /// Tells the owner of an event, and the log if it is debugged.
    pub(super) fn tell(&mut self, notices: &mut Notices, event: Option<SocketEvent>, low: Low) {
        if low == Low::Received {
            self.untold = self.untold.saturating_sub(1);
        }
        let trace = self.debug.then(|| Trace {
            low,
            before: self.shown,
            after: self.stage(),
        });
        if event.is_some() || trace.is_some() {
            self.shown = self.stage();
            notices.push_back(Notice {
                owner: self.owner,
                event,
                trace,
            });
        }
    }

    /// Connects from this state.
    pub(super) fn begin(&mut self, target: Target, state: State) {
        self.target = Some(target);
        self.state = state;
        self.shown = self.stage();
    }

    /// The link is there.
    pub(super) fn link_up(&mut self, notices: &mut Notices) {
        if self.state == State::LinkOff {
            self.state = State::Resolve;
            self.tell(notices, None, Low::Link);
        }
    }

    /// The resolver's answer; addresses of a debugged socket are listed, valid
    /// until `expiry` in seconds of uptime.
    pub(super) fn resolve(&mut self, addresses: Vec<Ipv4Addr>, expiry: u64, notices: &mut Notices) {
        self.state = State::Choose;
        if self.debug {
            let list = addresses.iter().enumerate();
            let lines = list.map(|(index, one)| socket_debug::address(index, *one, expiry));
            self.lines.extend(lines);
        }
        if !addresses.is_empty() {
            self.tell(notices, None, Low::Dns);
        }
        self.resolved.clone_from(&addresses);
        self.addresses = addresses;
    }

    /// Drops the connection, if any, and everything that belongs to it.
    pub(super) fn reset(&mut self, stack: &mut dyn IpStack) {
        if let Some(tcp) = self.tcp {
            stack.tcp_abort(tcp);
        }
        if let Some((udp, _)) = self.udp {
            stack.udp_close(udp);
        }
        *self = Self {
            debug: self.debug,
            ..Self::new(self.owner)
        };
    }

    /// How the connection being made is to be secured, if at all.
    pub(super) fn wants_tls(&self) -> Option<&Security> {
        let security = &self.target.as_ref()?.security;
        let wanted = self.state == State::Connecting && *security != Security::Plain;
        wanted.then_some(security)
    }

    /// Reports the end; the owner is expected to close.
    pub(super) fn fail(&mut self, events: &mut Notices, low: Low) {
        self.state = State::Failed(match self.state {
            State::Choose => stage::DNS,
            State::Connecting => stage::CONNECTING,
            State::Tls => stage::TLS,
            _ => stage::ONLINE,
        });
        self.tell(events, Some(SocketEvent::Failed), low);
    }

    /// Tries the next address.
    pub(super) fn dial(&mut self, stack: &mut dyn IpStack, events: &mut Notices) {
        let (Some(target), false) = (&self.target, self.addresses.is_empty()) else {
            let low = match self.state {
                State::Choose => Low::Dns,
                _ => Low::Error,
            };
            self.fail(events, low);
            return;
        };
        if target.port == 0 && target.host.parse::<Ipv4Addr>().is_err() {
            // Only the address of the name was wanted.
            self.addresses.clear();
            self.state = State::Idle;
            self.tell(events, Some(SocketEvent::Online), Low::Dns);
            return;
        }
        let address = self.addresses.remove(0);
        if target.udp {
            self.udp = Some((stack.udp_open(target.local_port), address));
            self.state = State::Online;
            self.tell(events, Some(SocketEvent::Online), Low::Connected);
            return;
        }
        self.state = State::Connecting;
        self.tcp = stack.tcp_connect(endpoint(address, target.port), target.local_port);
        match self.tcp {
            Some(tcp) => stack.tcp_keepalive(tcp, target.keepalive),
            None => self.fail(events, Low::Error),
        }
    }

    /// Sends; false if not on-line, or if what TCP has not taken yet would
    /// exceed `memory`.
    pub(super) fn send(&mut self, bytes: &[u8], memory: usize, stack: &mut dyn IpStack) -> bool {
        if self.state != State::Online || self.backlog.len() + bytes.len() > memory {
            return false;
        }
        if let Some((udp, address)) = self.udp {
            let port = self.target.as_ref().map_or(0, |target| target.port);
            self.awaiting = true;
            return stack.udp_send(udp, endpoint(address, port), bytes);
        }
        match &mut self.tls {
            Some(tls) => tls.write(bytes, &mut self.backlog),
            None => self.backlog.extend(bytes),
        }
        self.awaiting = true;
        self.push_backlog(stack);
        true
    }

    /// Hands TCP as much as it takes.
    fn push_backlog(&mut self, stack: &mut dyn IpStack) {
        let Some(tcp) = self.tcp else { return };
        while !self.backlog.is_empty() {
            let taken = stack.tcp_write(tcp, self.backlog.as_slices().0);
            if taken == 0 {
                return;
            }
            self.backlog.drain(..taken);
        }
    }

    /// Takes received bytes.
    pub(super) fn read(&mut self, max: usize, stack: &mut dyn IpStack) -> Vec<u8> {
        if let Some((_, datagram)) = self.read_datagram(max) {
            return datagram;
        }
        let bytes = match (&mut self.tls, self.tcp) {
            (Some(tls), _) => tls.read(max),
            (None, Some(tcp)) => stack.tcp_read(tcp, max),
            (None, None) => Vec::new(),
        };
        self.announced = self.announced.saturating_sub(bytes.len());
        bytes
    }

    /// Takes up to `max` bytes of the oldest datagram; the rest stays.
    pub(super) fn read_datagram(&mut self, max: usize) -> Option<(SocketAddrV4, Vec<u8>)> {
        let (from, datagram) = self.datagrams.front_mut()?;
        let from = *from;
        if datagram.len() > max {
            return Some((from, datagram.drain(..max).collect()));
        }
        self.datagrams.pop_front()
    }

    /// Bytes that can be read.
    pub(super) fn pending(&self, stack: &dyn IpStack) -> usize {
        if self.udp.is_some() {
            return self.datagrams.iter().map(|(_, bytes)| bytes.len()).sum();
        }
        match (&self.tls, self.tcp) {
            (Some(tls), _) => tls.pending(),
            (None, Some(tcp)) => stack.tcp_status(tcp).readable,
            (None, None) => 0,
        }
    }

    /// Sends a datagram to anybody.
    pub(super) fn send_to(
        &mut self,
        to: SocketAddrV4,
        bytes: &[u8],
        stack: &mut dyn IpStack,
    ) -> bool {
        self.udp
            .is_some_and(|(udp, _)| stack.udp_send(udp, to, bytes))
    }

    /// Sends FIN behind what was written and lets the connection go.
    pub(super) fn finish(&mut self, stack: &mut dyn IpStack) {
        self.push_backlog(stack);
        if let Some(tcp) = self.tcp.take() {
            stack.tcp_close(tcp);
        }
        let resolved = std::mem::take(&mut self.resolved);
        self.reset(stack);
        self.resolved = resolved;
    }

    /// Looks at the connection and reports what changed.
    pub(super) fn work(
        &mut self,
        now: Instant,
        stack: &mut dyn IpStack,
        tls: Option<Result<Arc<ClientConfig>, tls::CertificateError>>,
        compute: Duration,
        events: &mut Notices,
    ) {
        self.work_udp(stack, events);
        let Some(tcp) = self.tcp.filter(|_| !matches!(self.state, State::Failed(_))) else {
            return;
        };
        let status = stack.tcp_status(tcp);
        if self.state == State::Connecting {
            match status.state {
                TcpState::Connecting => return,
                TcpState::Closed => {
                    self.error = status.error;
                    stack.tcp_abort(tcp);
                    if self.debug && !self.resolved.is_empty() {
                        let of = self.resolved.len();
                        let tried = of - self.addresses.len() - 1;
                        self.lines.extend(socket_debug::unreachable(tried, of));
                    }
                    self.dial(stack, events);
                    return;
                }
                _ => self.connected(tls, events),
            }
        }
        self.push_backlog(stack);
        let status = stack.tcp_status(tcp);
        if self.awaiting
            && status.unacknowledged == 0
            && self.backlog.is_empty()
            && self.state == State::Online
        {
            self.awaiting = false;
            self.tell(events, Some(SocketEvent::Acknowledged), Low::Sent);
        }
        if self.tls.is_some() {
            self.untold = status.arrivals.wrapping_sub(self.arrivals);
            self.work_tls(now, stack, tcp, compute, events);
        }
        let readable = self.pending(stack);
        if readable > self.announced && self.state == State::Online {
            self.announced = readable;
            self.tell(events, Some(SocketEvent::Readable), Low::Received);
        }
        if self.tls.is_some() && self.computing.is_none() {
            // The adapter hears of each segment, though the first look took all
            // and a record may want more of them.
            self.arrivals = status.arrivals;
            while self.untold > 0 {
                self.tell(events, None, Low::Received);
            }
        }
        if matches!(status.state, TcpState::Closed | TcpState::HalfClosed)
            && self.computing.is_none()
        {
            self.error = status.error;
            let low = match status.state {
                TcpState::HalfClosed => Low::RemoteClosed,
                _ => Low::Error,
            };
            self.fail(events, low);
        }
    }

    /// Takes in datagrams; a connected socket hears its peer only.
    fn work_udp(&mut self, stack: &mut dyn IpStack, events: &mut Notices) {
        let Some((udp, peer)) = self.udp else { return };
        let port = self.target.as_ref().map_or(0, |target| target.port);
        while let Some((from, bytes)) = stack.udp_receive(udp) {
            if port != 0 && from != endpoint(peer, port) {
                continue;
            }
            self.datagrams.push_back((from, bytes));
            self.tell(events, Some(SocketEvent::Readable), Low::Received);
        }
        if self.awaiting {
            self.awaiting = false;
            self.tell(events, Some(SocketEvent::Acknowledged), Low::Sent);
        }
    }

    /// TCP is there: on-line, or on to TLS.
    fn connected(
        &mut self,
        tls: Option<Result<Arc<ClientConfig>, tls::CertificateError>>,
        events: &mut Notices,
    ) {
        let host = self
            .target
            .as_ref()
            .map_or("", |target| target.host.as_str());
        match tls {
            None => {
                self.state = State::Online;
                self.tell(events, Some(SocketEvent::Online), Low::Connected);
            }
            Some(Err(_)) => self.fail(events, Low::Connected),
            Some(Ok(config)) => match Tls::new(&config, host) {
                Some(mut tls) => {
                    tls.flush(&mut self.backlog);
                    self.tls = Some(tls);
                    self.state = State::Tls;
                    self.tell(events, None, Low::Connected);
                }
                None => self.fail(events, Low::Connected),
            },
        }
    }

    /// Feeds TLS what arrived.
    fn work_tls(
        &mut self,
        now: Instant,
        stack: &mut dyn IpStack,
        tcp: TcpId,
        compute: Duration,
        events: &mut Notices,
    ) {
        let Some(tls) = &mut self.tls else { return };
        // The answer of the server is what the chip has to chew on.
        if self.state == State::Tls && !tls.computed && stack.tcp_status(tcp).readable > 0 {
            tls.computed = true;
            self.computing = Some(now + compute);
        }
        if self.computing.is_some_and(|until| now < until) {
            return;
        }
        self.computing = None;
        let bytes = stack.tcp_read(tcp, READ);
        if tls.receive(&bytes).is_err() {
            self.fail(events, Low::Received);
            return;
        }
        tls.flush(&mut self.backlog);
        if self.state == State::Tls && !tls.is_handshaking() {
            self.state = State::Online;
            // The handshake's own bytes are nobody's transmission.
            self.awaiting = false;
            self.tell(events, Some(SocketEvent::Online), Low::Received);
        } else if self.state == State::Tls && !bytes.is_empty() {
            self.tell(events, None, Low::Received);
        }
        self.push_backlog(stack);
    }

    /// When it has something to do by itself.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        match self.state {
            State::Resolve | State::Choose => Some(Instant::ZERO),
            _ => self.computing,
        }
    }
}
