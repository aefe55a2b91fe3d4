//! Sockets and TCP's counters of network namespaces: `tcp`, `tcp6`, `udp`, `udp6`, `netstat` and `snmp` below
//! `/proc/PID/net`.
//!
//! These files are opened for each scrape: an open one would keep the namespace of a container that has ended alive,
//! with its interfaces. The kernel goes through all of the machine's connections to print those of one namespace, twice,
//! so those of TCP are asked of it in the namespace itself wherever the rights allow ([`enter`]).

mod enter;

use std::path::PathBuf;

use agent_procfs::tcp::{self, Sockets};
use agent_procfs::{Root, netstat, udp};

use super::network::Place;
use crate::catalogue::Metric;
use crate::cgroups::{Records, read_in};
use crate::compat::Quirk;
use crate::sets::{Set, Sets};
use crate::sheet::Sheet;

/// Adds the sockets of each place, as far as the sets ask for them.
pub(crate) fn collect(places: &[Place], sets: Sets, root: &Root, sheet: &mut Sheet<'_>) {
    let mut answers = if sets.has(Set::Tcp) { enter::tcp_of(places, root) } else { Vec::new() }.into_iter();
    // A buffer for this scrape alone: a namespace with 100,000 connections has 15 MiB of them.
    let mut buffer = vec![0; 16 * 1024];
    for place in places {
        let folder = root.procfs.join(place.pid.to_string()).join("net");
        let mut read = |name: &str, parse: &mut dyn FnMut(&[u8])| {
            let path: PathBuf = folder.join(name);
            if let Some(text) =
                read_in(rustix::fs::CWD, &path, &mut buffer, Records::Long).and_then(|to| buffer.get(..to))
            {
                parse(text);
            }
        };
        if sets.has(Set::Tcp) {
            let mut parse = |metric, text: &[u8]| {
                put_tcp(sheet, metric, place, &tcp::parse(text, Sockets::default()).value);
            };
            match answers.next().flatten() {
                Some(answer) => {
                    for (metric, sockets) in [(Metric::NetTcp, answer.tcp), (Metric::NetTcp6, answer.tcp6)] {
                        if let Some(sockets) = sockets {
                            put_tcp(sheet, metric, place, &sockets);
                        }
                    }
                }
                None => {
                    read("tcp", &mut |text| parse(Metric::NetTcp, text));
                    read("tcp6", &mut |text| parse(Metric::NetTcp6, text));
                }
            }
        }
        if sets.has(Set::AdvancedTcp) {
            read("netstat", &mut |text| put_counters(sheet, place, "TcpExt", text));
            read("snmp", &mut |text| put_counters(sheet, place, "Tcp", text));
        }
        if sets.has(Set::Udp) {
            read("udp", &mut |text| put_udp(sheet, Metric::NetUdp, place, text));
            read("udp6", &mut |text| put_udp(sheet, Metric::NetUdp6, place, text));
        }
    }
}

fn put_tcp(sheet: &mut Sheet<'_>, metric: Metric, place: &Place, sockets: &Sockets) {
    for (state, name) in tcp::STATES {
        // `fin_wait1` is `finwait1` in cAdvisor.
        let name = name.replace('_', "");
        sheet.put(metric, place.labels, &[("tcp_state", &name)], sockets.in_state(state) as f64);
    }
}

fn put_counters(sheet: &mut Sheet<'_>, place: &Place, protocol: &str, text: &[u8]) {
    let tables = netstat::parse(text).value;
    for field in tables.iter().filter(|table| table.protocol == protocol).flat_map(netstat::Table::fields) {
        if let Some(value) = field.value() {
            let name = field.name.to_ascii_lowercase();
            sheet.put(Metric::NetTcpCounters, place.labels, &[("tcp_state", &name)], value as f64);
        }
    }
}

fn put_udp(sheet: &mut Sheet<'_>, metric: Metric, place: &Place, text: &[u8]) {
    let sockets = udp::sockets(text).value;
    let (mut receive, mut transmit) = (sockets.queues.receive, sockets.queues.transmit);
    if sheet.compat.has(Quirk::UdpQueuesSwapped) {
        std::mem::swap(&mut receive, &mut transmit);
    }
    let figures =
        [("dropped", sockets.drops), ("listen", sockets.count), ("rxqueued", receive), ("txqueued", transmit)];
    for (state, value) in figures {
        sheet.put(metric, place.labels, &[("udp_state", state)], value as f64);
    }
}
