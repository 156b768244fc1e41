//! An MQTT 3.1.1 broker. Packets are read and written by rumqttc's codec, the
//! one maintained codec without a runtime of its own attached.
//!
//! It knows sessions, retained messages, wills, keep-alive and the three
//! qualities of service. It does not send unacknowledged messages again: TCP
//! below it loses nothing, and a lost connection ends the delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use airbench_airtun::Clock;
use airbench_trace::Kind;
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, PubAck, PubComp, PubRec, PubRel,
    Publish, SubAck, SubscribeReasonCode, UnsubAck,
};
use rumqttc::mqttbytes::{Error, QoS, matches};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Notes, mqtt_websocket};

/// Largest packet.
const PACKET: usize = 256 * 1024;

/// A client the broker knows.
#[derive(Default)]
struct Session {
    filters: BTreeMap<String, QoS>,
    /// Where its messages go while it is connected, and the connection's number.
    connection: Option<(u64, UnboundedSender<Packet>)>,
    clean: bool,
    /// Messages for a client that is away and keeps its session.
    waiting: Vec<Publish>,
    next_id: u16,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<String, Publish>,
    connections: u64,
}

/// The broker, shared by its connections.
#[derive(Clone)]
pub(crate) struct Broker {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    notes: Notes,
}

/// Why a connection is over.
enum End {
    /// By DISCONNECT: no will.
    Clean,
    Lost,
}

impl Broker {
    pub(crate) fn new(clock: Arc<dyn Clock>, notes: Notes) -> Self {
        Self {
            state: Arc::default(),
            clock,
            notes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Entries are changed whole; a panic elsewhere leaves them usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, text: String) {
        self.notes.add(Kind::State, text);
    }

    /// Publishes a message of the broker's own.
    pub(crate) fn publish(&self, topic: &str, payload: &[u8], qos: u8, retain: bool) {
        let qos = match qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let mut message = Publish::new(topic, qos, payload.to_vec());
        message.retain = retain;
        self.route(message);
    }

    /// Delivers a message to all who want it.
    fn route(&self, message: Publish) {
        let mut state = self.lock();
        if message.retain {
            if message.payload.is_empty() {
                state.retained.remove(&message.topic);
            } else {
                state
                    .retained
                    .insert(message.topic.clone(), message.clone());
            }
        }
        for session in state.sessions.values_mut() {
            let wanted = session
                .filters
                .iter()
                .filter(|(filter, _)| matches(&message.topic, filter))
                .map(|(_, qos)| *qos)
                .max_by_key(|qos| *qos as u8);
            if let Some(qos) = wanted {
                let mut copy = message.clone();
                copy.retain = false;
                copy.dup = false;
                session.deliver(copy, qos);
            }
        }
    }

    /// Serves a connection until it ends: MQTT, or a websocket that carries it.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let mut stream = BufReader::new(stream);
        let first = match stream.fill_buf().await {
            Ok(bytes) => bytes.first().copied(),
            Err(_) => return,
        };
        if first == Some(b'G') {
            // No MQTT packet begins with the letter of a GET.
            if let Some(carried) = mqtt_websocket::accept(stream).await {
                self.speak(carried).await;
            }
        } else {
            self.speak(stream).await;
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S) {
        let mut buffer = BytesMut::new();
        let Some(Packet::Connect(hello)) = read(&mut stream, &mut buffer).await else {
            return;
        };
        if hello.client_id.is_empty() && !hello.clean_session {
            self.note("mqtt refused a client without id and clean session".to_owned());
            let refusal = ConnAck::new(ConnectReturnCode::BadClientId, false);
            write(&mut stream, Packet::ConnAck(refusal)).await;
            return;
        }
        let (sender, receiver) = unbounded_channel();
        let (client, number, present) = self.enter(&hello, sender);
        let user = hello
            .login
            .as_ref()
            .map_or("", |login| login.username.as_str());
        self.note(format!("mqtt connect {client} user {user:?}"));
        let welcome = ConnAck::new(ConnectReturnCode::Success, present);
        write(&mut stream, Packet::ConnAck(welcome)).await;
        self.send_waiting(&client);
        let keepalive = Duration::from_millis(u64::from(hello.keep_alive) * 1500);
        let end = self
            .talk(&mut stream, &mut buffer, &client, receiver, keepalive)
            .await;
        self.leave(&client, number, end, hello.last_will);
    }

    /// Takes a client in; its name, the connection's number, and whether there
    /// was a session.
    fn enter(&self, hello: &Connect, sender: UnboundedSender<Packet>) -> (String, u64, bool) {
        let mut state = self.lock();
        state.connections += 1;
        let number = state.connections;
        let client = if hello.client_id.is_empty() {
            format!("auto-{number}")
        } else {
            hello.client_id.clone()
        };
        if hello.clean_session {
            state.sessions.remove(&client);
        }
        let present = state.sessions.contains_key(&client);
        let session = state.sessions.entry(client.clone()).or_default();
        session.clean = hello.clean_session;
        // An older connection of the same name ends when its channel does.
        session.connection = Some((number, sender));
        (client, number, present)
    }

    fn send_waiting(&self, client: &str) {
        let mut state = self.lock();
        if let Some(session) = state.sessions.get_mut(client) {
            for message in std::mem::take(&mut session.waiting) {
                let qos = message.qos;
                session.deliver(message, qos);
            }
        }
    }

    fn leave(&self, client: &str, number: u64, end: End, will: Option<LastWill>) {
        let how = match end {
            End::Clean => "disconnect",
            End::Lost => "lost",
        };
        self.note(format!("mqtt {how} {client}"));
        {
            let mut state = self.lock();
            let own = |session: &Session| matches!(&session.connection, Some((current, _)) if *current == number);
            if let Some(session) = state.sessions.get_mut(client)
                && own(session)
            {
                session.connection = None;
                if session.clean {
                    state.sessions.remove(client);
                }
            }
        }
        if let (End::Lost, Some(will)) = (end, will) {
            let mut message = Publish::from_bytes(will.topic, will.qos, will.message);
            message.retain = will.retain;
            self.route(message);
        }
    }

    /// Exchanges packets until the connection ends.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        buffer: &mut BytesMut,
        client: &str,
        mut outgoing: UnboundedReceiver<Packet>,
        keepalive: Duration,
    ) -> End {
        let mut unreleased = BTreeSet::new();
        let mut heard = self.clock.now();
        let mut silence = self.clock.sleep(if keepalive.is_zero() {
            Duration::from_secs(u64::from(u32::MAX))
        } else {
            keepalive
        });
        loop {
            tokio::select! {
                biased;
                packet = read(stream, buffer) => {
                    heard = self.clock.now();
                    match packet {
                        None => return End::Lost,
                        Some(Packet::Disconnect) => return End::Clean,
                        Some(packet) => {
                            for answer in self.answer(client, packet, &mut unreleased) {
                                if !write(stream, answer).await {
                                    return End::Lost;
                                }
                            }
                        }
                    }
                }
                packet = outgoing.recv() => match packet {
                    Some(packet) => {
                        if !write(stream, packet).await {
                            return End::Lost;
                        }
                    }
                    // Another connection took the name over.
                    None => return End::Lost,
                },
                () = &mut silence => {
                    let quiet = self.clock.now() - heard;
                    if quiet >= keepalive {
                        return End::Lost;
                    }
                    silence = self.clock.sleep(keepalive - quiet);
                }
            }
        }
    }

    /// What a packet of a client is answered with.
    fn answer(&self, client: &str, packet: Packet, unreleased: &mut BTreeSet<u16>) -> Vec<Packet> {
        match packet {
            Packet::Publish(message) => self.accept(client, message, unreleased),
            Packet::PubRec(received) => vec![Packet::PubRel(PubRel::new(received.pkid))],
            Packet::PubRel(release) => {
                unreleased.remove(&release.pkid);
                vec![Packet::PubComp(PubComp::new(release.pkid))]
            }
            Packet::Subscribe(wish) => {
                let mut codes = Vec::new();
                let mut retained = Vec::new();
                let mut state = self.lock();
                for filter in wish.filters {
                    self.note(format!("mqtt subscribe {client} {}", filter.path));
                    let kept = state
                        .retained
                        .values()
                        .filter(|message| matches(&message.topic, &filter.path));
                    retained.extend(kept.cloned().map(|message| (message, filter.qos)));
                    codes.push(SubscribeReasonCode::Success(filter.qos));
                    if let Some(session) = state.sessions.get_mut(client) {
                        session.filters.insert(filter.path, filter.qos);
                    }
                }
                if let Some(session) = state.sessions.get_mut(client) {
                    for (message, qos) in retained {
                        session.deliver(message, qos);
                    }
                }
                vec![Packet::SubAck(SubAck::new(wish.pkid, codes))]
            }
            Packet::Unsubscribe(wish) => {
                if let Some(session) = self.lock().sessions.get_mut(client) {
                    for topic in &wish.topics {
                        session.filters.remove(topic);
                    }
                }
                vec![Packet::UnsubAck(UnsubAck::new(wish.pkid))]
            }
            Packet::PingReq => vec![Packet::PingResp],
            _ => Vec::new(),
        }
    }

    /// Takes a message of a client in.
    fn accept(
        &self,
        client: &str,
        message: Publish,
        unreleased: &mut BTreeSet<u16>,
    ) -> Vec<Packet> {
        let (qos, id) = (message.qos, message.pkid);
        let text = String::from_utf8_lossy(&message.payload);
        self.note(format!("mqtt publish {client} {} {text}", message.topic));
        let answer = match qos {
            QoS::AtMostOnce => Vec::new(),
            QoS::AtLeastOnce => vec![Packet::PubAck(PubAck::new(id))],
            QoS::ExactlyOnce => vec![Packet::PubRec(PubRec::new(id))],
        };
        if qos != QoS::ExactlyOnce || unreleased.insert(id) {
            self.route(message);
        }
        answer
    }
}

impl Session {
    /// Sends a message at the lower of both qualities, or keeps it.
    fn deliver(&mut self, mut message: Publish, wanted: QoS) {
        if (wanted as u8) < message.qos as u8 {
            message.qos = wanted;
        }
        if message.qos != QoS::AtMostOnce {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            message.pkid = self.next_id;
        }
        let waits = match &self.connection {
            Some((_, sender)) => sender.send(Packet::Publish(message.clone())).is_err(),
            None => true,
        };
        if waits && message.qos != QoS::AtMostOnce && !self.clean {
            self.waiting.push(message);
        }
    }
}

/// The next packet; `None` at the end of the stream or for nonsense.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut BytesMut) -> Option<Packet> {
    loop {
        match Packet::read(buffer, PACKET) {
            Ok(packet) => return Some(packet),
            Err(Error::InsufficientBytes(_)) => {}
            Err(_) => return None,
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// False if the stream is gone.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, packet: Packet) -> bool {
    let mut bytes = BytesMut::new();
    if packet.write(&mut bytes, PACKET).is_err() {
        return false;
    }
    stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok()
}
