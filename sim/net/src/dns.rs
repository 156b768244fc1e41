//! DNS messages: A questions and their answers.

use std::net::Ipv4Addr;

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, ResourceRecord, TYPE};

/// Seconds an answer of ours may be kept.
const TTL: u32 = 60;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The name's addresses, at least one, and the seconds they may be kept.
    Addresses(Vec<Ipv4Addr>, u32),
    /// The name does not exist, or has no IPv4 address.
    Nothing,
}

/// A question for `name`'s IPv4 addresses; `None` if it is no domain name.
pub fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(
        name,
        QTYPE::TYPE(TYPE::A),
        CLASS::IN.into(),
        false,
    ));
    packet.build_bytes_vec().ok()
}

/// The answer to a question message: looks the name up with `resolve`. `None`
/// for bytes that are no question.
pub fn answer(
    message: &[u8],
    resolve: impl FnOnce(&str) -> Option<Vec<Ipv4Addr>>,
) -> Option<Vec<u8>> {
    let query = Packet::parse(message).ok()?;
    let question = query.questions.first()?;
    if query.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let name = question.qname.to_string();
    let addresses = resolve(&name);
    let mut reply = Packet::new_reply(query.id());
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE | PacketFlag::RECURSION_DESIRED);
    if addresses.is_none() {
        *reply.rcode_mut() = RCODE::NameError;
    }
    reply.questions.push(question.clone());
    if question.qtype == QTYPE::TYPE(TYPE::A) {
        for address in addresses.into_iter().flatten() {
            let data = RData::A(A {
                address: address.into(),
            });
            reply.answers.push(ResourceRecord::new(
                question.qname.clone(),
                CLASS::IN,
                TTL,
                data,
            ));
        }
    }
    reply.build_bytes_vec_compressed().ok()
}

/// Reads the answer to question `id`; `None` for anything else.
pub fn read_answer(id: u16, message: &[u8]) -> Option<Answer> {
    let packet = Packet::parse(message).ok()?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let addresses: Vec<Ipv4Addr> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address)),
            _ => None,
        })
        .collect();
    let ttl = packet.answers.iter().map(|record| record.ttl).min();
    let ttl = ttl.unwrap_or_default();
    Some(if addresses.is_empty() {
        Answer::Nothing
    } else {
        Answer::Addresses(addresses, ttl)
    })
}
