//! The firmware's DNS client: its servers, its retries, its log lines.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use airbench_clock::Instant;

use crate::dns::{self, Answer};
use crate::stack::{IpStack, UdpId};

/// Slots: 0 and 1 are the user's, 2 and 3 the carrier's.
const SLOTS: usize = 4;
/// Tries per server.
const TRIES: u32 = 3;
/// The first try waits this long, the n-th n times as long (0.9, 1.8, 2.7 s) …
const TIMEOUT: Duration = Duration::from_millis(900);
/// … and then for the adapter's timer, which looks once a second.
const LOOK: u64 = 1_000_000_000;
/// Addresses kept of an answer.
const ADDRESSES: usize = 4;

/// A lookup under way.
#[derive(Debug)]
struct Job {
    id: u16,
    host: String,
    server: usize,
    tries: u32,
    begun: Instant,
    deadline: Instant,
    socket: UdpId,
}

/// What a lookup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The number `start` gave.
    pub id: u16,
    /// Addresses, at most four; empty if none was found.
    pub addresses: Vec<Ipv4Addr>,
    /// Seconds they may be kept.
    pub ttl: u32,
}

/// The DNS client.
#[derive(Debug, Default)]
pub struct Resolver {
    servers: [Option<Ipv4Addr>; SLOTS],
    jobs: Vec<Job>,
    last_id: u16,
    lines: Vec<(LineLevel, String)>,
}

/// How important a line of the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineLevel {
    /// What it does.
    Debug,
    /// It is done.
    Info,
    /// It has failed.
    Error,
}

impl Resolver {
    /// Fills a server slot (0 to 3; others are ignored).
    pub fn set_server(&mut self, slot: usize, server: Option<Ipv4Addr>) {
        if let Some(entry) = self.servers.get_mut(slot) {
            *entry = server;
        }
    }

    /// Begins a lookup and gives its number.
    pub fn start(&mut self, now: Instant, host: &str, stack: &mut dyn IpStack) -> u16 {
        self.last_id = self.last_id.wrapping_add(1);
        let mut job = Job {
            id: self.last_id,
            host: host.to_owned(),
            server: 0,
            tries: 0,
            begun: now,
            deadline: now,
            socket: stack.udp_open(0),
        };
        self.ask(now, &mut job, stack);
        self.jobs.push(job);
        self.last_id
    }

    /// Sends the next question of a job, or sets it up to fail at once.
    fn ask(&mut self, now: Instant, job: &mut Job, stack: &mut dyn IpStack) {
        while self.servers.get(job.server).is_some_and(Option::is_none) {
            job.server += 1;
        }
        let server = self.servers.get(job.server).copied().flatten();
        let message = dns::question(job.id, &job.host);
        let (Some(server), Some(message)) = (server, message) else {
            job.server = SLOTS;
            job.deadline = now;
            let line = "DNS no ipv6, no ipv4".to_owned();
            self.lines.push((LineLevel::Error, line));
            return;
        };
        let line = format!(
            "DNS {} state 0 id {} ipv6 0 use dns server{}, try {}",
            job.host, job.id, job.server, job.tries
        );
        self.lines.push((LineLevel::Debug, line));
        // A question that cannot be sent counts as unanswered.
        stack.udp_send(job.socket, SocketAddrV4::new(server, 53), &message);
        let due = (now + TIMEOUT * (job.tries + 1)).since(job.begun);
        let looks = u64::try_from(due.as_nanos())
            .unwrap_or(u64::MAX)
            .div_ceil(LOOK);
        job.deadline =
            job.begun + Duration::from_nanos(LOOK) * u32::try_from(looks).unwrap_or(u32::MAX);
    }

    /// Takes answers and time-outs; gives a finished lookup.
    pub fn poll(&mut self, now: Instant, stack: &mut dyn IpStack) -> Option<Lookup> {
        for index in 0..self.jobs.len() {
            while let Some((_, message)) = stack.udp_receive(self.jobs[index].socket) {
                match dns::read_answer(self.jobs[index].id, &message) {
                    Some(Answer::Addresses(mut addresses, ttl)) => {
                        addresses.truncate(ADDRESSES);
                        return Some(self.finish(index, addresses, ttl, stack));
                    }
                    // That a name does not exist is not heard: the client asks
                    // on until its tries are over.
                    Some(Answer::Nothing) | None => {}
                }
            }
            if self.jobs[index].deadline > now {
                continue;
            }
            let mut job = self.jobs.remove(index);
            if job.server < SLOTS {
                job.tries += 1;
                if job.tries >= TRIES {
                    job.tries = 0;
                    job.server += 1;
                }
                self.ask(now, &mut job, stack);
            }
            self.jobs.insert(index, job);
            if self.jobs[index].server >= SLOTS {
                return Some(self.finish(index, Vec::new(), 0, stack));
            }
        }
        None
    }

    fn finish(
        &mut self,
        index: usize,
        addresses: Vec<Ipv4Addr>,
        ttl: u32,
        stack: &mut dyn IpStack,
    ) -> Lookup {
        let job = self.jobs.remove(index);
        stack.udp_close(job.socket);
        if self.jobs.is_empty() {
            let line = "DNS dns all done ,now stop".to_owned();
            self.lines.push((LineLevel::Info, line));
        }
        Lookup {
            id: job.id,
            addresses,
            ttl,
        }
    }

    /// Forgets all lookups: the link is gone.
    pub fn clear(&mut self, stack: &mut dyn IpStack) {
        for job in self.jobs.drain(..) {
            stack.udp_close(job.socket);
        }
    }

    /// Log lines written since the last call.
    pub fn take_lines(&mut self) -> Vec<(LineLevel, String)> {
        std::mem::take(&mut self.lines)
    }

    /// When `poll` is needed without an answer.
    pub fn next_wake(&self) -> Option<Instant> {
        self.jobs.iter().map(|job| job.deadline).min()
    }
}
