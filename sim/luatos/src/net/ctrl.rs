//! Control blocks as the `socket` library shows them: events and what a script
//! waits for (docs/firmware-facts.md, "socket").

use std::net::Ipv4Addr;

use airbench_lua32::Ref;
use airbench_net::Keepalive;

use super::{Certificates, Owner, Security, SocketEvent, SocketId, Target, stage};
use crate::libs::socket::CELLULAR;
use crate::message::Message;
use crate::runtime::{Level, Runtime};

/// Event codes of the library.
pub(crate) const LINK: i32 = 0x0200_0010;
const ON_LINE: i32 = LINK + 1;
const TX_OK: i32 = LINK + 2;
const CLOSED: i32 = LINK + 3;
pub(crate) const EVENT: i32 = LINK + 4;
/// What a block that was never used hears of the link.
const LINK_CHANGE: i32 = 0x0200_0001;

/// What the next result is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    None,
    Link,
    Online,
    Tx,
    Event,
}

impl Wait {
    fn code(self) -> i32 {
        match self {
            Self::None | Self::Event => EVENT,
            Self::Link => LINK,
            Self::Online => ON_LINE,
            Self::Tx => TX_OK,
        }
    }
}

/// Who hears of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listener {
    Function(Ref),
    Task(Vec<u8>),
    Topic,
}

/// A control block with its settings.
#[derive(Debug)]
pub(crate) struct Ctrl {
    socket: SocketId,
    pub(crate) listener: Listener,
    /// [`stage`], where the network does not know better.
    stage: i32,
    wait: Wait,
    /// It holds a connection, or is about to.
    connected: bool,
    /// Data arrived since the last read.
    fresh: bool,
    /// The connection is over and must be closed.
    spent: bool,
    /// It was used: from then on it hears of its own affairs only.
    used: bool,
    pub(crate) udp: bool,
    pub(crate) security: Security,
    pub(crate) local_port: u16,
    /// `socket.config`'s probes of an idle connection.
    pub(crate) keepalive: Option<Keepalive>,
}

impl Runtime {
    /// A new control block, or none.
    pub(crate) fn ctrl_create(&mut self, listener: Listener) -> Option<u32> {
        let socket = self.network.open(Owner::Ctrl(0))?;
        let id = self.ctrls.add(Ctrl {
            socket,
            listener,
            stage: stage::LINK_OFF,
            wait: Wait::None,
            connected: false,
            fresh: false,
            spent: false,
            used: false,
            udp: true,
            security: Security::Plain,
            local_port: 0,
            keepalive: None,
        });
        self.network.set_owner(socket, Owner::Ctrl(id));
        Some(id)
    }

    /// `socket.config`.
    pub(crate) fn ctrl_config(
        &mut self,
        id: u32,
        local_port: u16,
        udp: bool,
        certificates: Option<Certificates>,
        keepalive: Option<Keepalive>,
    ) {
        if let Some(ctrl) = self.ctrls.get_mut(id) {
            ctrl.local_port = local_port;
            ctrl.keepalive = keepalive;
            ctrl.udp = udp;
            ctrl.security = match certificates {
                None => Security::Plain,
                Some(given) if given == Certificates::default() => Security::Any,
                Some(given) => Security::Checked(Box::new(given)),
            };
        }
    }

    /// `socket.connect`: whether it was accepted.
    pub(crate) fn ctrl_connect(&mut self, id: u32, host: &str, port: u16) -> bool {
        let now = self.now();
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return false;
        };
        if ctrl.connected {
            return false;
        }
        ctrl.used = true;
        ctrl.connected = true;
        ctrl.spent = false;
        ctrl.wait = Wait::Online;
        ctrl.stage = stage::CONNECTING;
        let target = Target {
            host: host.to_owned(),
            port,
            security: ctrl.security.clone(),
            udp: ctrl.udp,
            local_port: ctrl.local_port,
            keepalive: ctrl.keepalive,
        };
        let socket = ctrl.socket;
        self.network.connect(now, socket, target);
        self.drive_network(now);
        true
    }

    /// `socket.linkup`: whether the link is up; else an event will say so.
    pub(crate) fn ctrl_linkup(&mut self, id: u32) -> bool {
        let up = self.network.is_up();
        if let Some(ctrl) = self.ctrls.get_mut(id) {
            ctrl.used = true;
            (ctrl.stage, ctrl.wait) = if up {
                (stage::OFF_LINE, Wait::None)
            } else {
                (stage::LINK_OFF, Wait::Link)
            };
        }
        up
    }

    /// `socket.listen`: accepted, and already listening. Nobody reaches a
    /// device behind a carrier's NAT, so nobody ever connects.
    pub(crate) fn ctrl_listen(&mut self, id: u32) -> (bool, bool) {
        let up = self.network.is_up();
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return (false, false);
        };
        if ctrl.stage == stage::LISTEN {
            return (true, true);
        }
        if ctrl.connected {
            return (false, false);
        }
        ctrl.used = true;
        ctrl.connected = up;
        ctrl.wait = Wait::Online;
        ctrl.stage = if up { stage::LISTEN } else { stage::LINK_OFF };
        (true, false)
    }

    /// `socket.discon`: true if it is closed already; else an event follows.
    pub(crate) fn ctrl_discon(&mut self, id: u32) -> bool {
        let now = self.now();
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return true;
        };
        ctrl.used = true;
        let orderly = ctrl.connected && !ctrl.udp && ctrl.stage == stage::ONLINE;
        ctrl.connected = false;
        ctrl.fresh = false;
        ctrl.spent = false;
        ctrl.wait = Wait::None;
        ctrl.stage = stage::OFF_LINE;
        let socket = ctrl.socket;
        if orderly {
            let number = self.network.number(Owner::Ctrl(id));
            self.network.finish(now, socket);
            self.debug_closed(number, socket);
            self.bus.push_back(Message::Socket(id, CLOSED, 0));
        } else {
            self.network.close(now, socket);
        }
        self.touch_outside();
        !orderly
    }

    /// The adapter closes the connection of a block that has one.
    pub(crate) fn ctrl_cut(&mut self, id: u32) {
        let stage = self.ctrl_stage(id);
        if stage.is_some_and(|at| (stage::CONNECTING..=stage::LISTEN).contains(&at)) {
            self.ctrl_discon(id);
        }
    }

    /// All control blocks there are.
    pub(crate) fn ctrl_ids(&self) -> Vec<u32> {
        self.ctrls.iter().map(|(id, _)| id).collect()
    }

    /// `socket.close`: at once and without a word; the state stays as it was.
    pub(crate) fn ctrl_close(&mut self, id: u32) {
        let now = self.now();
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return;
        };
        ctrl.stage = Self::stage_of(&self.network, ctrl);
        ctrl.connected = false;
        ctrl.fresh = false;
        ctrl.spent = false;
        ctrl.wait = Wait::None;
        let socket = ctrl.socket;
        self.network.close(now, socket);
        self.touch_outside();
    }

    /// `socket.release`; gives the block's listener back.
    pub(crate) fn ctrl_release(&mut self, id: u32) -> Option<Listener> {
        let ctrl = self.ctrls.remove(id)?;
        let now = self.now();
        self.network.release(now, ctrl.socket);
        self.touch_outside();
        Some(ctrl.listener)
    }

    /// `socket.tx`: whether the bytes are on their way.
    pub(crate) fn ctrl_send(&mut self, id: u32, bytes: &[u8], to: Option<(Ipv4Addr, u16)>) -> bool {
        let now = self.now();
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return false;
        };
        if ctrl.spent || !ctrl.connected || ctrl.stage != stage::ONLINE {
            return false;
        }
        ctrl.wait = Wait::Tx;
        if bytes.is_empty() && !ctrl.udp {
            // Nothing is acknowledged where nothing is sent.
            return true;
        }
        let socket = ctrl.socket;
        let sent = match to.filter(|_| ctrl.udp) {
            Some((address, port)) => {
                let sent = self
                    .network
                    .send_to(now, socket, super::endpoint(address, port), bytes);
                // Told at once: nobody acknowledges a datagram.
                self.ctrl_socket_event(id, SocketEvent::Acknowledged);
                sent
            }
            None => self.network.send(now, socket, bytes),
        };
        self.touch_outside();
        if let Some(ctrl) = self.ctrls.get_mut(id)
            && !sent
        {
            ctrl.spent = true;
        }
        self.drive_network(now);
        sent
    }

    /// Bytes that can be read, or `None` where reading fails.
    pub(crate) fn ctrl_pending(&mut self, id: u32) -> Option<usize> {
        let ctrl = self.ctrls.get(id)?;
        let dead = !ctrl.connected || ctrl.stage != stage::ONLINE || (ctrl.spent && !ctrl.fresh);
        let socket = ctrl.socket;
        (!dead).then(|| self.network.pending(socket))
    }

    /// Takes up to `max` bytes, of a datagram with its sender.
    pub(crate) fn ctrl_read(&mut self, id: u32, max: usize) -> (Vec<u8>, Option<(Ipv4Addr, u16)>) {
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return (Vec::new(), None);
        };
        ctrl.fresh = false;
        let (socket, udp) = (ctrl.socket, ctrl.udp);
        self.touch_outside();
        if !udp {
            return (self.network.read(socket, max), None);
        }
        match self.network.read_datagram(socket, max) {
            Some((from, bytes)) => (bytes, Some((*from.ip(), from.port()))),
            None => (Vec::new(), None),
        }
    }

    /// `socket.wait`: worked, and whether data wait already.
    pub(crate) fn ctrl_wait(&mut self, id: u32) -> (bool, bool) {
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return (false, false);
        };
        if ctrl.fresh {
            ctrl.wait = Wait::Event;
            return (true, true);
        }
        if ctrl.spent || !ctrl.connected || ctrl.stage != stage::ONLINE {
            return (false, false);
        }
        ctrl.wait = Wait::Event;
        (true, false)
    }

    /// `socket.state`.
    pub(crate) fn ctrl_stage(&self, id: u32) -> Option<i32> {
        let ctrl = self.ctrls.get(id)?;
        Some(Self::stage_of(&self.network, ctrl))
    }

    fn stage_of(network: &super::Network, ctrl: &Ctrl) -> i32 {
        let under_way = ctrl.connected && ctrl.stage == stage::CONNECTING;
        if under_way {
            network.stage(ctrl.socket)
        } else {
            ctrl.stage
        }
    }

    /// `socket.remoteIP`.
    pub(crate) fn ctrl_addresses(&self, id: u32) -> Vec<Ipv4Addr> {
        self.ctrls
            .get(id)
            .map_or_else(Vec::new, |ctrl| self.network.resolved(ctrl.socket))
    }

    /// The control block may be used by Lua.
    pub(crate) fn ctrl_exists(&self, id: u32) -> bool {
        self.ctrls.get(id).is_some()
    }

    /// What it waits for, numbered as the adapter does.
    pub(super) fn ctrl_wait_number(&self, id: u32) -> usize {
        self.ctrls.get(id).map_or(0, |ctrl| match ctrl.wait {
            Wait::None => 0,
            Wait::Link => 1,
            Wait::Online => 2,
            Wait::Tx => 3,
            Wait::Event => 5,
        })
    }

    fn ctrl_tell(&mut self, id: u32, code: i32, parameter: i32) {
        self.bus.push_back(Message::Socket(id, code, parameter));
    }

    /// Something happened on a control block's socket.
    pub(crate) fn ctrl_socket_event(&mut self, id: u32, event: SocketEvent) {
        let Some(ctrl) = self.ctrls.get_mut(id) else {
            return;
        };
        let result = match event {
            SocketEvent::Online => {
                let resolved_only = self.network.stage(ctrl.socket) == stage::OFF_LINE;
                ctrl.connected = !resolved_only;
                ctrl.stage = if resolved_only {
                    stage::OFF_LINE
                } else {
                    stage::ONLINE
                };
                Some((ctrl.wait, 0))
            }
            SocketEvent::Acknowledged if ctrl.wait == Wait::Tx => Some((Wait::Tx, 0)),
            SocketEvent::Acknowledged => {
                if ctrl.fresh {
                    self.ctrl_tell(id, EVENT, 0);
                }
                None
            }
            SocketEvent::Readable => {
                ctrl.fresh = true;
                if ctrl.wait == Wait::Tx {
                    self.ctrl_tell(id, EVENT, 0);
                    None
                } else {
                    Some((ctrl.wait, 0))
                }
            }
            SocketEvent::Failed => {
                if ctrl.stage == stage::CONNECTING {
                    ctrl.stage = self.network.stage(ctrl.socket);
                    // Without an address there is no lwIP socket yet that
                    // another `connect` would find taken.
                    ctrl.connected = ctrl.stage != stage::DNS;
                } else {
                    ctrl.spent = true;
                }
                Some((ctrl.wait, -1))
            }
        };
        if let Some((wait, parameter)) = result {
            if let Some(ctrl) = self.ctrls.get_mut(id) {
                ctrl.wait = Wait::None;
            }
            self.ctrl_tell(id, wait.code(), parameter);
        }
    }

    /// The link came up or went away.
    pub(crate) fn ctrls_link(&mut self, up: bool) {
        let ids: Vec<u32> = self.ctrls.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(ctrl) = self.ctrls.get_mut(id) else {
                continue;
            };
            if !ctrl.used {
                self.ctrl_tell(id, LINK_CHANGE, 0);
            } else if up && ctrl.stage == stage::LINK_OFF {
                ctrl.stage = stage::OFF_LINE;
                if ctrl.wait == Wait::Link {
                    ctrl.wait = Wait::None;
                    self.ctrl_tell(id, LINK, 0);
                }
            } else if !up && ctrl.stage == stage::LISTEN {
                ctrl.spent = true;
                ctrl.wait = Wait::None;
                self.ctrl_tell(id, EVENT, -1);
            }
        }
    }

    /// What a network adapter prints that has no control block to give.
    pub(crate) fn say_no_adapter(&mut self, adapter: i32) {
        self.line(if adapter == CELLULAR {
            "network_alloc_ctrl 1381:adapter no more ctrl!".to_owned()
        } else {
            format!("network_alloc_ctrl 1363:adapter index {adapter} is invalid!")
        });
    }

    /// What is printed when no control block is left.
    pub(crate) fn say_no_ctrl(&mut self, library: &str) {
        self.say_no_adapter(CELLULAR);
        self.lib_line(Level::Debug, &format!("{library} create fail"));
    }
}
