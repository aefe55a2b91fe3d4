//! Counters of the IP protocols, from `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6`.

use agent_exposition::{Kind, Page};
use agent_procfs::netstat::{self, Table};

use crate::fields::{Fields, Metric};
use crate::source::Source;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "netstat",
    help: "Counters of IP, ICMP, TCP and UDP.",
    default_on: true,
    flags: &[FIELDS],
    build: |context| {
        let file = |path| Source::new(context.root.proc(path)).with_short_lines();
        Ok(Box::new(Netstat {
            files: ["net/netstat", "net/snmp"].map(|path| Tables { file: file(path), chosen: Vec::new() }),
            snmp6: file("net/snmp6"),
            fields: Fields::build(&context.flags, &FIELDS, "node_netstat_", help)?,
            key: String::new(),
        }))
    },
};

const FIELDS: FlagSpec =
    FlagSpec::value("collector.netstat.fields", "Which fields to report: a regular expression on PROTOCOL_FIELD.").or(
        concat!(
            "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)",
            "|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)",
            "|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)",
            "|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"
        ),
    );

struct Netstat {
    files: [Tables; 2],
    snmp6: Source,
    fields: Fields,
    /// `PROTOCOL_FIELD`, built here again and again.
    key: String,
}

/// A file of tables, and which columns of them are wanted.
struct Tables {
    file: Source,
    chosen: Vec<Chosen>,
}

/// The wanted columns of a table.
#[derive(Default)]
struct Chosen {
    protocol: String,
    names: Vec<u8>,
    columns: Vec<(usize, Metric)>,
}

impl Chosen {
    /// Looks the columns up, unless this is about the same ones.
    fn refresh(&mut self, table: &Table, wanted: &mut impl FnMut(&str, &str) -> Option<Metric>) {
        if self.protocol != table.protocol || self.names != table.names() {
            table.protocol.clone_into(&mut self.protocol);
            table.names().clone_into(&mut self.names);
            let column = |field: netstat::Field| Some((field.column, wanted(table.protocol, field.name)?));
            self.columns = table.fields().filter_map(column).collect();
        }
    }
}

impl Collector for Netstat {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let Self { files, snmp6, fields, key } = self;
        let mut wanted = |protocol: &str, name: &str| {
            key.clear();
            key.extend([protocol, "_", name]);
            fields.wanted(key)
        };
        for Tables { file, chosen } in files {
            let tables = file.parse_lossy(|bytes| Ok(netstat::parse(bytes)))?;
            chosen.resize_with(tables.len(), Chosen::default);
            for (table, chosen) in tables.iter().zip(chosen) {
                chosen.refresh(table, &mut wanted);
                let values = table.values(chosen.columns.iter().map(|(column, _)| *column));
                for ((_, (name, help)), value) in chosen.columns.iter().zip(values) {
                    if let Some(value) = value {
                        page.single(*name, *help, Kind::Untyped, value as f64);
                    }
                }
            }
        }
        match snmp6.parse_lossy(|bytes| Ok(netstat::parse6(bytes))) {
            Ok(lines) => lines.iter().for_each(|line| {
                if let Some((name, help)) = wanted(line.protocol, line.name) {
                    page.single(name, help, Kind::Untyped, line.value as f64);
                }
            }),
            // A kernel without IPv6 does not have the file.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Outcome::Collected)
    }
}

/// One sentence per field of the default set; what a field means does not depend on the version of IP.
fn help(key: &str) -> String {
    let (protocol, field) = key.split_once('_').unwrap_or((key, ""));
    let meaning = match field {
        "ActiveOpens" => "connections opened from here",
        "CurrEstab" => "connections that are established or half closed by the other end",
        "Forwarding" => "1 when packets are forwarded between devices, 2 when not",
        "InDatagrams" => "datagrams delivered",
        "InErrors" | "InErrs" => "messages received with an error",
        "InMsgs" => "messages received",
        "InOctets" => "bytes received",
        "InSegs" => "segments received",
        "ListenDrops" => "connections dropped at a listening socket",
        "ListenOverflows" => "connections dropped because a listening socket's queue was full",
        "NoPorts" => "datagrams received for a port where nobody listens",
        "OutDatagrams" => "datagrams sent",
        "OutMsgs" => "messages sent",
        "OutOctets" => "bytes sent",
        "OutRsts" => "resets sent",
        "OutSegs" => "segments sent",
        "PassiveOpens" => "connections accepted",
        "RcvbufErrors" => "datagrams lost because the receive buffer was full",
        "RetransSegs" => "segments sent again",
        "SndbufErrors" => "datagrams lost because the send buffer was full",
        "SyncookiesFailed" => "SYN cookies received that were wrong",
        "SyncookiesRecv" => "SYN cookies received",
        "SyncookiesSent" => "SYN cookies sent",
        "TCPOFOQueue" => "segments received out of order and kept",
        "TCPRcvQDrop" => "segments dropped because the receive queue was full",
        "TCPSynRetrans" => "SYNs sent again",
        "TCPTimeouts" => "expiries of the retransmission timer",
        field => return format!("{protocol}: the kernel's field {field}."),
    };
    format!("{protocol}: {meaning}.")
}
