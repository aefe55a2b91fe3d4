//! `/proc/PID/mountstats`: what NFS mounts have done.

use std::borrow::Cow;

use crate::mountinfo::unescape;
use crate::scan::{self, Lossy};

/// An NFS mount. What this kernel does not print is absent or shorter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NfsMount<'a> {
    /// The server and its directory, escaped as the kernel prints it.
    pub export: &'a str,
    /// Where it is mounted, unescaped. Not always UTF-8.
    pub mount_point: Cow<'a, [u8]>,
    /// Seconds since it was mounted.
    pub age: Option<u64>,
    /// Bytes read, written, read and written directly, read and written in all; pages read and written.
    pub bytes: Vec<u64>,
    /// What happened, in the order of the kernel's `enum nfs_stat_eventcounters`.
    pub events: Vec<u64>,
    /// Connections to the server.
    pub transports: Vec<Transport<'a>>,
    /// Calls by operation.
    pub operations: Vec<Operation<'a>>,
}

/// A connection to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport<'a> {
    /// Such as `tcp` or `udp`.
    pub protocol: &'a str,
    /// How often a port was bound.
    pub bind: u64,
    /// How often it connected; not for UDP.
    pub connect: Option<u64>,
    /// Seconds without traffic; not for UDP.
    pub idle: Option<u64>,
    /// Calls sent.
    pub sends: u64,
    /// Answers received.
    pub receives: u64,
    /// Answers to unknown calls.
    pub bad_ids: u64,
    /// Calls that waited for a slot, added up over all calls.
    pub backlog: u64,
    /// Most slots ever used (kernel 3.2 and later).
    pub most_slots: Option<u64>,
    /// Calls that waited to be sent, added up over all calls (kernel 3.2 and later).
    pub sending: Option<u64>,
    /// Calls that waited for an answer, added up over all calls (kernel 3.2 and later).
    pub pending: Option<u64>,
}

/// The calls of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Such as `READ`.
    pub name: &'a str,
    /// Calls.
    pub requests: u64,
    /// How often calls were sent.
    pub transmissions: u64,
    /// Calls that waited too long.
    pub major_timeouts: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Milliseconds in the queue.
    pub queue_ms: u64,
    /// Milliseconds between sending and the answer.
    pub response_ms: u64,
    /// Milliseconds from the beginning to the end.
    pub request_ms: u64,
}

/// Reads the file. Mounts of other kinds are passed over; a line that makes no sense is left out of its mount.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<NfsMount<'_>>> {
    let mut out = Lossy::new(Vec::<NfsMount>::new());
    let mut inside = false;
    for (number, line) in scan::lines(bytes) {
        if line.starts_with(b"device ") || line.starts_with(b"no device ") {
            let mount = mount(line);
            inside = mount.is_some();
            out.value.extend(mount);
        } else if let Some(mount) = out.value.last_mut().filter(|_| inside)
            && mount.take(line).is_none()
        {
            out.skip(number, "expected a name, a colon and numbers");
        }
    }
    out
}

/// `device SERVER:/DIRECTORY mounted on /DIRECTORY with fstype nfs4 statvers=1.1`
fn mount(line: &[u8]) -> Option<NfsMount<'_>> {
    let mut fields = scan::fields(line);
    let export = scan::text(fields.nth(1)?)?;
    let mount_point = unescape(fields.nth(2)?);
    let kind = fields.nth(2)?;
    let has_statistics = fields.next().is_some_and(|field| field.starts_with(b"statvers="));
    let is_nfs = matches!(kind, b"nfs" | b"nfs4");
    (is_nfs && has_statistics).then_some(NfsMount { export, mount_point, ..NfsMount::default() })
}

impl<'a> NfsMount<'a> {
    fn take(&mut self, line: &'a [u8]) -> Option<()> {
        let (name, rest) = scan::cut(line, b':').unwrap_or((line, &[]));
        match name {
            b"age" => self.age = Some(scan::number(rest.trim_ascii())?),
            b"bytes" => self.bytes = numbers(rest)?,
            b"events" => self.events = numbers(rest)?,
            b"xprt" => self.transports.push(transport(rest)?),
            b"opts" | b"caps" | b"sec" | b"nfsv4" | b"impl_id" | b"fsc" | b"lease" | b"per-op statistics" => {}
            name if name.starts_with(b"RPC iostats") => {}
            name => self.operations.push(operation(scan::text(name)?, &numbers(rest)?)?),
        }
        Some(())
    }
}

fn numbers(rest: &[u8]) -> Option<Vec<u64>> {
    scan::fields(rest).map(scan::number).collect()
}

fn transport(rest: &[u8]) -> Option<Transport<'_>> {
    let mut fields = scan::fields(rest);
    let protocol = scan::text(fields.next()?)?;
    let all: Vec<u64> = fields.map(scan::number).collect::<Option<_>>()?;
    let (port_and_bind, connection, rest) = match protocol {
        "udp" => (all.get(..2)?, None, all.get(2..)?),
        _ => (all.get(..2)?, Some(all.get(2..5)?), all.get(5..)?),
    };
    let number = |index: usize| rest.get(index).copied();
    Some(Transport {
        protocol,
        bind: *port_and_bind.get(1)?,
        connect: connection.and_then(|c| c.first()).copied(),
        // Before there was any traffic, some kernels print the difference to a time in the future.
        idle: connection.and_then(|c| c.get(2)).copied().filter(|seconds| *seconds < 1 << 53),
        sends: number(0)?,
        receives: number(1)?,
        bad_ids: number(2)?,
        backlog: number(4)?,
        most_slots: number(5),
        sending: number(6),
        pending: number(7),
    })
}

fn operation<'a>(name: &'a str, numbers: &[u64]) -> Option<Operation<'a>> {
    let [requests, transmissions, major_timeouts, sent, received, queue_ms, response_ms, request_ms, ..] = *numbers
    else {
        return None;
    };
    Some(Operation { name, requests, transmissions, major_timeouts, sent, received, queue_ms, response_ms, request_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "device rootfs mounted on / with fstype rootfs\n\
        device nas:/home mounted on /my\\040home with fstype nfs4 statvers=1.1\n\
        \topts:\trw,vers=4.1\n\tage:\t97\n\timpl_id:\tname='',domain='',date='0,0'\n\tcaps:\tcaps=0x7,wtmult=512\n\
        \tnfsv4:\tbm0=0x1\n\tsec:\tflavor=1\n\tevents:\t1 2 3\n\tbytes:\t4 5 6 7 8 9 10 11\n\
        \tRPC iostats version: 1.1  p/v: 100003/4 (nfs)\n\txprt:\ttcp 832 1 2 3 4 5 6 7 8 9 10 11 12\n\
        \txprt:\tudp 833 1 2 3 4 5 6\n\tper-op statistics\n\t        READ: 1 2 3 4 5 6 7 8 9\n\n\
        no device mounted on /proc with fstype proc\n\tage:\t5\n";

    #[test]
    fn an_nfs_mount() {
        let got = parse(TEXT.as_bytes());
        let [mount] = got.value.as_slice() else { panic!("{got:?}") };
        assert_eq!((mount.export, &*mount.mount_point, mount.age), ("nas:/home", b"/my home".as_slice(), Some(97)));
        assert_eq!((mount.events.len(), mount.bytes.len(), got.bad_lines), (3, 8, 0));
        let operation = mount.operations[0];
        assert_eq!((operation.name, operation.requests, operation.request_ms), ("READ", 1, 8));
        let [tcp, udp] = mount.transports.as_slice() else { panic!("{mount:?}") };
        let connection = (tcp.bind, tcp.connect, tcp.idle, tcp.sends, tcp.receives, tcp.bad_ids, tcp.backlog);
        assert_eq!(connection, (1, Some(2), Some(4), 5, 6, 7, 9));
        assert_eq!((tcp.most_slots, tcp.sending, tcp.pending), (Some(10), Some(11), Some(12)));
        assert_eq!(
            (udp.bind, udp.connect, udp.idle, udp.sends, udp.backlog, udp.most_slots),
            (1, None, None, 2, 6, None)
        );
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let text = "\tage:\t1\ndevice a:/b mounted on /c with fstype nfs statvers=1.1\n\tage:\tx\n\tbytes:\t1 y\n\
                    \txprt:\ttcp 1\n\tREAD: 1 2\n\tWRITE: 1 2 3 4 5 6 7 8\n";
        let got = parse(text.as_bytes());
        assert_eq!((got.value[0].operations.len(), got.value[0].age, got.bad_lines), (1, None, 4));
    }

    #[test]
    fn what_has_no_statistics_is_passed_over() {
        assert_eq!(parse(b"device a:/b mounted on /c with fstype nfs\n\tage:\t1\n").value, []);
        assert_eq!(parse(b"device a\ndevice a mounted on\n").value, []);
    }

    #[test]
    fn an_idle_time_before_any_traffic_is_absent() {
        let text = b" tcp 832 1 2 3 18446744073709551 5 6 7 8 9";
        assert_eq!(transport(text).unwrap().idle, None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[b"device a mounted on b with fstype nfs statvers=1\nxprt: tcp ".as_slice(), &bytes].concat());
        }
    }
}
