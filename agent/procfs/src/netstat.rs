//! `/proc/net/netstat`, `/proc/net/snmp` (a line of names, then a line of values, per protocol) and
//! `/proc/net/snmp6` (a name and a value per line).

use crate::scan::{self, Lossy};

/// The fields of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// Such as `TcpExt`.
    pub protocol: &'a str,
    names: &'a [u8],
    values: &'a [u8],
}

/// One field of a protocol. Most readers want few of the many there are, so its number is read on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Such as `ListenDrops`.
    pub name: &'a str,
    /// Its place in the line, from 0.
    pub column: usize,
    value: &'a [u8],
}

impl Field<'_> {
    /// Its value; `None` when it is no number. Signed: `Tcp` has `MaxConn -1`.
    pub fn value(&self) -> Option<i64> {
        scan::signed(self.value)
    }
}

impl<'a> Table<'a> {
    /// The fields; one whose name is no word is left out.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        scan::fields(self.names).zip(scan::fields(self.values)).enumerate().filter_map(|(column, (name, value))| {
            let name = Some(name).filter(|name| scan::is_word(name)).and_then(scan::text)?;
            Some(Field { name, column, value })
        })
    }

    /// The line of names as it stands there. While it is the same, so is what each column means.
    pub fn names(&self) -> &'a [u8] {
        self.names
    }

    /// The values of some columns, given in ascending order; one that is no number is `None`.
    pub fn values(&self, columns: impl Iterator<Item = usize>) -> impl Iterator<Item = Option<i64>> {
        let (mut values, mut next) = (scan::fields(self.values), 0);
        columns.map(move |column| {
            let value = values.nth(column.checked_sub(next)?)?;
            next = column + 1;
            scan::signed(value)
        })
    }
}

/// Reads pairs of lines. A pair that does not fit together costs that protocol; after a line that has lost its
/// partner, reading goes on with the next one.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Table<'_>>> {
    let mut out = Lossy::new(Vec::new());
    let mut waiting: Option<(usize, &[u8], &[u8])> = None;
    for (number, line) in scan::lines(bytes) {
        let Some((protocol, fields)) = scan::cut(line, b':') else {
            out.skip(number, "expected a protocol and a colon");
            continue;
        };
        match waiting.take() {
            Some((_, partner, names)) if partner == protocol => match table(protocol, names, fields) {
                Some(table) => out.value.push(table),
                None => out.skip(number, "expected as many values as names"),
            },
            Some((lonely, ..)) => {
                out.skip(lonely, "expected a line of values after the line of names");
                waiting = Some((number, protocol, fields));
            }
            None => waiting = Some((number, protocol, fields)),
        }
    }
    if let Some((lonely, ..)) = waiting {
        out.skip(lonely, "expected a line of values after the line of names");
    }
    out
}

fn table<'a>(protocol: &'a [u8], names: &'a [u8], values: &'a [u8]) -> Option<Table<'a>> {
    let protocol = scan::text(protocol).filter(|p| scan::is_word(p.as_bytes()))?;
    // The kernel puts one blank before each.
    let blanks = |line| memchr::memchr_iter(b' ', line).count();
    (blanks(names) == blanks(values)).then_some(Table { protocol, names, values })
}

/// A line of `/proc/net/snmp6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field6<'a> {
    /// Such as `Udp6`: what stands before and including the first 6.
    pub protocol: &'a str,
    /// What follows, such as `InDatagrams`.
    pub name: &'a str,
    /// Its value.
    pub value: u64,
}

/// Reads `/proc/net/snmp6`; lines are independent of each other. A name without a 6 is passed over.
pub fn parse6(bytes: &[u8]) -> Lossy<Vec<Field6<'_>>> {
    let mut out = Lossy::new(Vec::new());
    for (number, line) in scan::lines(bytes) {
        let mut fields = scan::fields(line);
        let name = fields.next().filter(|n| scan::is_word(n)).and_then(scan::text);
        let value = fields.next().and_then(scan::number);
        let (Some(name), Some(value)) = (name, value) else {
            out.skip(number, "expected a name and a number");
            continue;
        };
        if let Some((protocol, name)) = name.find('6').and_then(|six| name.split_at_checked(six + 1)) {
            out.value.push(Field6 { protocol, name, value });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_meet_their_values() {
        let got = parse(b"Tcp: RtoMin MaxConn InErrs\nTcp: 200 -1 5\nIpExt: InOctets\nIpExt: 7\n");
        assert_eq!(got.bad_lines, 0);
        let fields: Vec<_> =
            got.value.iter().flat_map(|t| t.fields().map(|f| (t.protocol, f.name, f.value()))).collect();
        assert_eq!(
            fields,
            [
                ("Tcp", "RtoMin", Some(200)),
                ("Tcp", "MaxConn", Some(-1)),
                ("Tcp", "InErrs", Some(5)),
                ("IpExt", "InOctets", Some(7))
            ]
        );
    }

    #[test]
    fn some_columns_alone() {
        let got = parse(b"Tcp: A B C D\nTcp: 1 -2 x 4\n").value;
        let values: Vec<_> = got[0].values([1, 2, 3, 7].into_iter()).collect();
        assert_eq!(values, [Some(-2), None, Some(4), None]);
        assert_eq!(got[0].names(), b" A B C D");
        let columns: Vec<_> = got[0].fields().map(|field| (field.name, field.column)).collect();
        assert_eq!(columns, [("A", 0), ("B", 1), ("C", 2), ("D", 3)]);
    }

    #[test]
    fn a_bad_pair_costs_that_protocol() {
        #[track_caller]
        fn check(bad: &str, bad_lines: usize) {
            let input = format!("Tcp: A\nTcp: 1\n{bad}Udp: B\nUdp: 2\n");
            let got = parse(input.as_bytes());
            assert_eq!(got.value.iter().map(|t| t.protocol).collect::<Vec<_>>(), ["Tcp", "Udp"], "{bad}");
            assert_eq!(got.bad_lines, bad_lines, "{bad}");
        }
        check("Ip: X Y\nIp: 1\n", 1);
        check("Ip: X Y\n", 1);
        check("nonsense\n", 1);
        check("I p: X\nI p: 1\n", 1);
        check("\n\n", 0);
    }

    #[test]
    fn a_value_that_is_no_number_costs_that_field() {
        let got = parse(b"Tcp: A B\nTcp: x 2\n");
        let fields: Vec<_> = got.value[0].fields().map(|f| (f.name, f.value())).collect();
        assert_eq!(fields, [("A", None), ("B", Some(2))]);
    }

    #[test]
    fn names_of_version_6_are_cut_after_the_6() {
        let got =
            parse6(b"Ip6InOctets                     \t460\nIcmp6OutType133 2\nUdpLite6InErrors 0\nOdd 3\nUdp6X y\n");
        let fields: Vec<_> = got.value.iter().map(|f| (f.protocol, f.name, f.value)).collect();
        assert_eq!(fields, [("Ip6", "InOctets", 460), ("Icmp6", "OutType133", 2), ("UdpLite6", "InErrors", 0)]);
        assert_eq!(got.bad_lines, 1);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            for table in parse(&bytes).value {
                table.fields().filter_map(|field| field.value()).count();
            }
            let _ = parse6(&bytes);
        }
    }
}
