//! IP packets to the device's stack, and DNS messages both ways.
#![no_main]

use std::net::Ipv4Addr;

use airbench_clock::Instant;
use airbench_net::{IpStack, Shape, SmolStack, dns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut stack = SmolStack::new(Shape::device(), 1);
    stack.set_address(Some(Ipv4Addr::new(10, 64, 12, 34)));
    stack.listen(80);
    stack.receive(data.to_vec());
    stack.poll(Instant::ZERO);
    while stack.transmit().is_some() {}
    let _ = dns::answer(data, |_| Some(vec![Ipv4Addr::LOCALHOST]));
    let _ = dns::read_answer(1, data);
});
