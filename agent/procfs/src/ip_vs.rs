//! `/proc/net/ip_vs` and `/proc/net/ip_vs_stats`: the kernel's load balancer.

use std::net::{IpAddr, Ipv6Addr};

use crate::scan::{self, Lossy, Malformed};

/// A server that takes connections of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend<'a> {
    /// `TCP`, `UDP`, `SCTP`, or `FWM` for a service by firewall mark.
    pub protocol: &'a str,
    /// Where the service is reached: an address and a port, or a firewall mark.
    pub service: Service<'a>,
    /// The server's address.
    pub address: IpAddr,
    /// The server's port.
    pub port: u16,
    /// How much of the connections it is to get.
    pub weight: u64,
    /// Connections that are open.
    pub active: u64,
    /// Connections that were closed lately.
    pub inactive: u64,
}

/// Where a service is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service<'a> {
    /// At an address and a port.
    Address(IpAddr, u16),
    /// By packets that the firewall marks with this number, in hexadecimal digits.
    Mark(&'a str),
}

/// What the balancer has done since boot. The kernel counts in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub incoming_packets: u64,
    /// Packets to clients, as far as they go through the balancer.
    pub outgoing_packets: u64,
    /// Bytes from clients.
    pub incoming_bytes: u64,
    /// Bytes to clients.
    pub outgoing_bytes: u64,
}

/// Reads `/proc/net/ip_vs`. A line that makes no sense costs itself, and that of a service its backends.
pub fn backends(bytes: &[u8]) -> Lossy<Vec<Backend<'_>>> {
    let mut out = Lossy::new(Vec::new());
    let mut service = None;
    for (number, line) in scan::lines(bytes) {
        let mut fields = scan::fields(line);
        match fields.next() {
            Some(b"IP" | b"Prot") => {}
            Some(b"->") => match backend(fields, service) {
                Some(backend) => out.value.push(backend),
                None if line.starts_with(b"-> RemoteAddress:Port") => {}
                None => out.skip(number, "expected a backend of a service"),
            },
            Some(protocol) => {
                service = scan::text(protocol).zip(fields.next().and_then(|place| self::service(protocol, place)));
                if service.is_none() {
                    out.skip(number, "expected a service");
                }
            }
            None => {}
        }
    }
    out
}

fn service<'a>(protocol: &[u8], place: &'a [u8]) -> Option<Service<'a>> {
    match protocol {
        b"TCP" | b"UDP" | b"SCTP" => address(place).map(|(address, port)| Service::Address(address, port)),
        b"FWM" => scan::hex(place).and_then(|_| scan::text(place)).map(Service::Mark),
        _ => None,
    }
}

fn backend<'a>(
    mut fields: impl Iterator<Item = &'a [u8]>,
    service: Option<(&'a str, Service<'a>)>,
) -> Option<Backend<'a>> {
    let (protocol, service) = service?;
    let (address, port) = address(fields.next()?)?;
    let _forward = fields.next()?;
    let mut number = || fields.next().and_then(scan::number);
    Some(Backend { protocol, service, address, port, weight: number()?, active: number()?, inactive: number()? })
}

/// An address and a port: `C0A80016:0CEA`, or `[2001:0DB8:...:0001]:0050`.
fn address(text: &[u8]) -> Option<(IpAddr, u16)> {
    let split = text.iter().rposition(|byte| *byte == b':')?;
    let (address, port) = (text.get(..split)?, text.get(split + 1..)?);
    let port = u16::try_from(scan::hex(port)?).ok()?;
    let address = match address.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        Some(v6) => IpAddr::V6(scan::text(v6)?.parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(u32::try_from(scan::hex(address)?).ok()?.into()),
    };
    Some((address, port))
}

/// Reads `/proc/net/ip_vs_stats`.
///
/// # Errors
/// When the third line is not five hexadecimal numbers.
pub fn totals(bytes: &[u8]) -> Result<Totals, Malformed> {
    let malformed = Malformed { line: 3, reason: "expected five hexadecimal numbers" };
    let (_, line) = scan::lines(bytes).nth(2).ok_or_else(|| malformed.clone())?;
    let numbers: Option<Vec<u64>> = scan::fields(line).map(scan::hex).collect();
    match numbers.as_deref() {
        Some(&[connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes]) => {
            Ok(Totals { connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes })
        }
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
                           -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";

    #[test]
    fn backends_of_services() {
        let text = format!(
            "{HEADING}TCP  C0A80016:0CEA wlc\n  -> C0A85216:0CEA      Tunnel  100    248        2\n\
             FWM  10001000 wlc\n  -> [2001:0DB8:0000:0000:0000:0000:0000:0001]:0050 Route 20 64 4\n"
        );
        let got = backends(text.as_bytes());
        assert_eq!((got.value.len(), got.bad_lines), (2, 0));
        let first = got.value[0];
        assert_eq!(first.service, Service::Address("192.168.0.22".parse().unwrap(), 3306));
        assert_eq!((first.protocol, first.address.to_string(), first.port), ("TCP", "192.168.82.22".to_owned(), 3306));
        assert_eq!((first.weight, first.active, first.inactive), (100, 248, 2));
        let second = got.value[1];
        assert_eq!((second.protocol, second.service), ("FWM", Service::Mark("10001000")));
        assert_eq!((second.address.to_string(), second.port), ("2001:db8::1".to_owned(), 80));
    }

    #[test]
    fn a_bad_service_costs_its_backends() {
        let text = format!(
            "{HEADING}TCP  C0A80016 wlc\n  -> C0A85216:0CEA Tunnel 1 2 3\n\
             UDP  C0A80016:0CEA wlc\n  -> C0A85216:0CEA Tunnel 1 2 x\n  -> C0A85217:0CEA Tunnel 1 2 3\n"
        );
        let got = backends(text.as_bytes());
        assert_eq!((got.value.len(), got.bad_lines), (1, 3));
        assert_eq!(backends(b"").value, []);
    }

    #[test]
    fn totals_are_hexadecimal() {
        let text =
            b"   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets  Bytes Bytes\n \
                     16AA370 E33656E5        0     51D8C8883AB3                0\n\n Conns/s\n";
        let got = totals(text).unwrap();
        assert_eq!((got.connections, got.incoming_bytes), (23_765_872, 89_991_519_156_915));
        for bad in [&b""[..], b"a\nb\n1 2 3 4\n", b"a\nb\n1 2 3 4 x\n"] {
            assert_eq!(totals(bad).unwrap_err().line, 3);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (backends(&bytes), totals(&bytes));
        }

        #[test]
        fn no_address_panics(bytes: Vec<u8>) {
            let _ = address(&bytes);
        }
    }
}
