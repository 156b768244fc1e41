//! What `debug(true)` on a socket, MQTT or WebSocket object makes the adapter
//! print: each event of lwIP with the control block's state before and after it
//! (luat_network_adapter.c, `network_default_socket_callback`).

use std::net::Ipv4Addr;

use super::{Owner, SocketEvent, SocketId, stage};
use crate::runtime::Runtime;

/// An event of lwIP or of the resolver, numbered from `EV_NW_RESET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Low {
    Link = 1,
    Dns = 3,
    Sent = 4,
    Received = 5,
    Closed = 7,
    RemoteClosed = 8,
    Connected = 9,
    Error = 10,
}

/// `EV_NW_RESET`.
const FIRST: u32 = 0xF200_0000;

const EVENTS: [&str; 11] = [
    "适配器复位",
    "LINK状态变更",
    "超时",
    "DNS结果",
    "发送成功",
    "有新的数据",
    "接收缓存满了",
    "断开成功",
    "对端关闭",
    "连接成功",
    "连接异常",
];

const WAITS: [&str; 6] = [
    "无等待",
    "等待硬件上线",
    "等待连接完成",
    "等待发送完成",
    "等待离线完成",
    "等待任意网络变化",
];
const WAIT_ONLINE: usize = 2;
const WAIT_CLOSED: usize = 4;

/// An event with the block's [`stage`] on both sides of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) low: Low,
    pub(super) before: i32,
    pub(super) after: i32,
}

/// What a socket has for its owner, and for the log if it is debugged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) owner: Owner,
    pub(super) event: Option<SocketEvent>,
    pub(super) trace: Option<Trace>,
}

fn state(stage: i32) -> String {
    let text = usize::try_from(stage)
        .ok()
        .and_then(|at| stage::NAMES.get(at));
    format!("{stage}({})", text.unwrap_or(&"未知"))
}

/// The line in front of an event; link changes come from another place in the
/// source.
pub(super) fn before(socket: i32, trace: &Trace, wait: usize) -> String {
    let number = trace.low as u32;
    let line = if trace.low == Low::Link { 1143 } else { 1107 };
    format!(
        "network_default_socket_callback {line}:before process socket {socket},event:0x{:x}({}),state:{},wait:{wait}({})",
        FIRST + number,
        EVENTS[number as usize],
        state(trace.before),
        WAITS[wait]
    )
}

/// The line behind it.
pub(super) fn after(socket: i32, trace: &Trace, wait: usize) -> String {
    let line = if trace.low == Low::Link { 1147 } else { 1111 };
    format!(
        "network_default_socket_callback {line}:after process socket {socket},state:{},wait:{wait}({})",
        state(trace.after),
        WAITS[wait]
    )
}

/// One address of an answer; `expiry` in seconds of the board's uptime.
pub(super) fn address(index: usize, address: Ipv4Addr, expiry: u64) -> String {
    format!("network_state_wait_dns 628:dns ip{index}, ttl {expiry}, {address}")
}

/// The lines when one of a name's addresses did not answer.
pub(super) fn unreachable(tried: usize, of: usize) -> Vec<String> {
    let one = format!("network_state_connecting 680:dns ip {tried} no connect!,{of}");
    let all = "network_state_connecting 684:all ip try connect failed".to_owned();
    if tried + 1 < of {
        vec![one]
    } else {
        vec![one, all]
    }
}

impl Runtime {
    /// `debug(true)` or `debug(false)` on the owner's object.
    pub(crate) fn socket_debug(&mut self, owner: Owner, on: bool) {
        let mut sockets = self.network.sockets.values_mut();
        if let Some(socket) = sockets.find(|socket| socket.owner == owner) {
            socket.debug = on;
        }
    }

    /// What the owner waits for at `stage`, numbered as the adapter does.
    fn waits_for(&self, owner: Owner, stage: i32) -> usize {
        match owner {
            Owner::Ctrl(id) => self.ctrl_wait_number(id),
            _ if (stage::DNS..=stage::TLS).contains(&stage) || stage == stage::LINK_OFF => {
                WAIT_ONLINE
            }
            _ => 0,
        }
    }

    /// An orderly close of a debugged socket, `number` until then, is done.
    pub(super) fn debug_closed(&mut self, number: i32, id: SocketId) {
        let socket = self.network.sockets.get(&id);
        if !socket.is_some_and(|socket| socket.debug) {
            return;
        }
        let trace = Trace {
            low: Low::Closed,
            before: stage::CLOSING,
            after: stage::OFF_LINE,
        };
        self.line(before(number, &trace, WAIT_CLOSED));
        self.line(after(-1, &trace, 0));
    }

    /// Prints one side of a notice.
    pub(super) fn debug_notice(
        &mut self,
        notice: &Notice,
        stage: fn(&Trace) -> i32,
        line: fn(i32, &Trace, usize) -> String,
    ) {
        let Some(trace) = &notice.trace else { return };
        // Without a connection there is no lwIP socket.
        let socket = if (stage::CONNECTING..=stage::ONLINE).contains(&stage(trace)) {
            self.network.number(notice.owner)
        } else {
            -1
        };
        let wait = self.waits_for(notice.owner, stage(trace));
        let text = line(socket, trace, wait);
        self.line(text);
    }
}
