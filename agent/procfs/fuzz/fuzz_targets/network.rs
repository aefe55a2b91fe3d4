//! Devices, protocols, sockets, and the answers of rtnetlink.

#![no_main]

use agent_procfs::rtnetlink::{self, Counter, Message};
use agent_procfs::tcp::{self, Sockets};
use agent_procfs::{arp, conntrack, counter_lines, ip_vs, lnstat, netdev, netstat, nl80211, qdisc, route};
use agent_procfs::{sockstat, softnet, udp};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for device in netdev::parse(bytes).value {
        assert!(!device.name.is_empty());
    }
    for table in netstat::parse(bytes).value {
        table.fields().filter_map(|field| field.value()).count();
        table.values([0, 3, 1].into_iter()).count();
    }
    for field in netstat::parse6(bytes).value {
        assert!(field.protocol.ends_with('6'));
    }
    let _ = sockstat::parse(bytes);
    let _ = (arp::devices(bytes), conntrack::parse(bytes), softnet::parse(bytes), udp::queues(bytes));
    assert!(udp::sockets(bytes).value.count <= bytes.len() as u64);
    let _ = (counter_lines::parse(bytes), ip_vs::backends(bytes), ip_vs::totals(bytes));
    let _ = tcp::parse(bytes, Sockets::default());
    for cpu in lnstat::parse(bytes).value.cpus {
        assert!(!cpu.is_empty());
    }
    // An input that begins with its own sequence number gets past the filter.
    let sequence = bytes.first_chunk().map_or(0, |chunk| u32::from_ne_bytes(*chunk));
    for message in rtnetlink::messages(bytes, sequence) {
        if let Message::Link(link) = message {
            assert!(!link.name.is_empty());
            let _ = link.counter(Counter::RxNohandler);
        }
    }
    let _ = tcp::diag_answer(bytes, sequence, &mut Sockets::default());
    let _ = nl80211::answer_of(bytes, sequence, &mut |_| {});
    let _ = nl80211::family_answer(bytes, sequence, &mut |_| {});
    let _ = qdisc::answer(bytes, sequence, drop);
    let _ = route::answer(bytes, sequence, |route| assert!(!route.hops.is_empty()));
});
