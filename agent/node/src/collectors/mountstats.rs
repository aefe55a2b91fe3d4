//! What NFS mounts have done, from `/proc/1/mountstats`.

use std::collections::{HashMap, HashSet};

use agent_exposition::{FamilyId, Kind, Page};
use agent_procfs::mountinfo::Mount;
use agent_procfs::mountstats::{self, NfsMount, Operation, Transport};
use agent_procfs::{Error, scan};

use crate::shared::FromMounts;
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "mountstats",
    help: "What NFS mounts have done.",
    default_on: false,
    flags: &[],
    build: |context| {
        let file = |path| Source::new(context.root.proc(path));
        Ok(Box::new(Mountstats {
            first: file("1/mountstats"),
            own: file("self/mountstats"),
            addresses: FromMounts::new(&context.mounts),
            scrape: 0,
        }))
    },
};

struct Mountstats {
    /// The mounts of the first process: those of this one are fewer inside a container.
    first: Source,
    /// For whoever may not see those of another process.
    own: Source,
    addresses: FromMounts<Addresses>,
    scrape: u64,
}

/// The server's address by mount point.
type Addresses = HashMap<Vec<u8>, String>;

impl Collector for Mountstats {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = scrape.number;
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let parse = |bytes| Ok(mountstats::parse(bytes));
        let mounts = match self.first.parse_lossy(parse) {
            Err(Error::Read { .. }) => self.own.parse_lossy(parse)?,
            result => result?,
        };
        if mounts.is_empty() {
            return Ok(Outcome::Nothing);
        }
        add(page, &mounts, self.addresses.get(self.scrape, addresses)?);
        Ok(Outcome::Collected)
    }
}

fn add(page: &mut Page, mounts: &[NfsMount], addresses: &Addresses) {
    let families = Families::new(page);
    let (mut mount_points, mut exports) = (HashSet::new(), HashSet::new());
    for mount in mounts {
        let Some(transport) = mount.transports.first() else { continue };
        let address = addresses.get(&*mount.mount_point).map_or("", String::as_str);
        let labels = Labels { export: mount.export, mountaddr: address, protocol: transport.protocol };
        let mount_point = String::from_utf8_lossy(&mount.mount_point);
        if mount_points.insert((labels, mount_point.clone())) {
            let all = labels.with("mountpoint", &mount_point);
            page.sample(families.info, &all, 1.0);
        }
        // Mounts of the same export share their numbers.
        if exports.insert(labels) {
            families.add(page, mount, labels);
        }
    }
}

/// The address stands in the list of mounts alone. The last mount hides the others.
fn addresses(mounts: &[Mount]) -> Addresses {
    let address = |options: &[u8]| {
        let option = options.split(|byte| *byte == b',').find_map(|option| option.strip_prefix(b"addr="))?;
        scan::text(option).map(str::to_owned)
    };
    mounts.iter().filter_map(|mount| Some((mount.mount_point.to_vec(), address(mount.super_options)?))).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Labels<'a> {
    export: &'a str,
    mountaddr: &'a str,
    protocol: &'a str,
}

impl<'a> Labels<'a> {
    fn all(self) -> [(&'static str, &'a str); 3] {
        [("export", self.export), ("mountaddr", self.mountaddr), ("protocol", self.protocol)]
    }

    /// With another label, in order of their names.
    fn with<'b>(self, name: &'b str, value: &'b str) -> [(&'b str, &'b str); 4]
    where
        'a: 'b,
    {
        let [export, mountaddr, protocol] = self.all();
        let mut all = [export, mountaddr, protocol, (name, value)];
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

struct Families {
    info: FamilyId,
    age: FamilyId,
    bytes: Vec<FamilyId>,
    events: Vec<Option<FamilyId>>,
    operations: Vec<FamilyId>,
    transports: Vec<FamilyId>,
}

impl Families {
    fn new(page: &mut Page) -> Self {
        let mut family = |(name, help): &(&'static str, &'static str)| {
            let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            page.family(*name, *help, kind)
        };
        Self {
            info: family(&("node_mountstats_nfs_mountpoint_info", "Where an export is mounted.")),
            age: family(&("node_mountstats_nfs_age_seconds_total", "Time since it was mounted.")),
            bytes: BYTES.iter().map(&mut family).collect(),
            events: EVENTS.iter().map(|event| event.as_ref().map(&mut family)).collect(),
            operations: OPERATIONS.iter().map(&mut family).collect(),
            transports: TRANSPORTS.iter().map(&mut family).collect(),
        }
    }

    fn add(&self, page: &mut Page, mount: &NfsMount, labels: Labels) {
        if let Some(age) = mount.age {
            page.sample(self.age, &labels.all(), age as f64);
        }
        for (family, value) in self.bytes.iter().zip(&mount.bytes) {
            page.sample(*family, &labels.all(), *value as f64);
        }
        for (family, value) in self.events.iter().zip(&mount.events) {
            if let Some(family) = family {
                page.sample(*family, &labels.all(), *value as f64);
            }
        }
        for operation in &mount.operations {
            for (family, value) in self.operations.iter().zip(values_of_operation(operation)) {
                page.sample(*family, &labels.with("operation", operation.name), value);
            }
        }
        for (index, transport) in mount.transports.iter().enumerate() {
            let index = index.to_string();
            for (family, value) in self.transports.iter().zip(values_of_transport(transport)) {
                if let Some(value) = value {
                    page.sample(*family, &labels.with("transport", &index), value as f64);
                }
            }
        }
    }
}

/// In the order of [`OPERATIONS`].
fn values_of_operation(operation: &Operation) -> [f64; 8] {
    [
        operation.requests as f64,
        operation.transmissions as f64,
        operation.major_timeouts as f64,
        operation.sent as f64,
        operation.received as f64,
        operation.queue_ms as f64 / 1000.0,
        operation.response_ms as f64 / 1000.0,
        operation.request_ms as f64 / 1000.0,
    ]
}

/// In the order of [`TRANSPORTS`].
fn values_of_transport(transport: &Transport) -> [Option<u64>; 10] {
    [
        Some(transport.bind),
        transport.connect,
        transport.idle,
        Some(transport.sends),
        Some(transport.receives),
        Some(transport.bad_ids),
        Some(transport.backlog),
        transport.most_slots,
        transport.sending,
        transport.pending,
    ]
}

/// A metric's name and help.
type Row = (&'static str, &'static str);

/// In the order of the kernel's line `bytes`.
const BYTES: [Row; 8] = [
    ("node_mountstats_nfs_read_bytes_total", "Bytes that programs read."),
    ("node_mountstats_nfs_write_bytes_total", "Bytes that programs wrote."),
    ("node_mountstats_nfs_direct_read_bytes_total", "Bytes that programs read past the cache."),
    ("node_mountstats_nfs_direct_write_bytes_total", "Bytes that programs wrote past the cache."),
    ("node_mountstats_nfs_total_read_bytes_total", "Bytes read from the server."),
    ("node_mountstats_nfs_total_write_bytes_total", "Bytes written to the server."),
    ("node_mountstats_nfs_read_pages_total", "Pages read from the server."),
    ("node_mountstats_nfs_write_pages_total", "Pages written to the server."),
];

/// In the order of the kernel's `enum nfs_stat_eventcounters`; one of them is not reported.
#[rustfmt::skip]
const EVENTS: [Option<Row>; 27] = [
    Some(("node_mountstats_nfs_event_inode_revalidate_total", "How often the server was asked whether a file is still the same.")),
    Some(("node_mountstats_nfs_event_dnode_revalidate_total", "How often the server was asked whether a name is still the same.")),
    Some(("node_mountstats_nfs_event_data_invalidate_total", "How often the cached content of a file was thrown away.")),
    Some(("node_mountstats_nfs_event_attribute_invalidate_total", "How often the cached attributes of a file were thrown away.")),
    Some(("node_mountstats_nfs_event_vfs_open_total", "Files and directories opened.")),
    Some(("node_mountstats_nfs_event_vfs_lookup_total", "Names looked up.")),
    Some(("node_mountstats_nfs_event_vfs_access_total", "Permissions checked.")),
    Some(("node_mountstats_nfs_event_vfs_update_page_total", "Changes of a page.")),
    Some(("node_mountstats_nfs_event_vfs_read_page_total", "Pages read one at a time.")),
    Some(("node_mountstats_nfs_event_vfs_read_pages_total", "Groups of pages read.")),
    Some(("node_mountstats_nfs_event_vfs_write_page_total", "Pages written one at a time.")),
    Some(("node_mountstats_nfs_event_vfs_write_pages_total", "Groups of pages written.")),
    Some(("node_mountstats_nfs_event_vfs_getdents_total", "How often a directory was listed.")),
    Some(("node_mountstats_nfs_event_vfs_setattr_total", "How often attributes were set.")),
    Some(("node_mountstats_nfs_event_vfs_flush_total", "How often what was written had to go to the server.")),
    Some(("node_mountstats_nfs_event_vfs_fsync_total", "How often what was written had to go to the server's disk.")),
    Some(("node_mountstats_nfs_event_vfs_lock_total", "Locks asked for.")),
    Some(("node_mountstats_nfs_event_vfs_file_release_total", "Files closed.")),
    None,
    Some(("node_mountstats_nfs_event_truncation_total", "How often a file was cut short.")),
    Some(("node_mountstats_nfs_event_write_extension_total", "How often a file was written beyond its end.")),
    Some(("node_mountstats_nfs_event_silly_rename_total", "Files deleted while they were open.")),
    Some(("node_mountstats_nfs_event_short_read_total", "How often the server gave less than was asked for.")),
    Some(("node_mountstats_nfs_event_short_write_total", "How often the server took less than was sent.")),
    Some(("node_mountstats_nfs_event_jukebox_delay_total", "How often the server asked for patience.")),
    Some(("node_mountstats_nfs_event_pnfs_read_total", "Reads from a data server (pNFS).")),
    Some(("node_mountstats_nfs_event_pnfs_write_total", "Writes to a data server (pNFS).")),
];

const OPERATIONS: [Row; 8] = [
    ("node_mountstats_nfs_operations_requests_total", "Calls of an operation."),
    ("node_mountstats_nfs_operations_transmissions_total", "How often calls of an operation were sent."),
    ("node_mountstats_nfs_operations_major_timeouts_total", "Calls of an operation that waited too long."),
    ("node_mountstats_nfs_operations_sent_bytes_total", "Bytes sent for an operation."),
    ("node_mountstats_nfs_operations_received_bytes_total", "Bytes received for an operation."),
    ("node_mountstats_nfs_operations_queue_time_seconds_total", "Time that calls waited to be sent."),
    ("node_mountstats_nfs_operations_response_time_seconds_total", "Time between sending a call and its answer."),
    ("node_mountstats_nfs_operations_request_time_seconds_total", "Time that calls took, from beginning to end."),
];

const TRANSPORTS: [Row; 10] = [
    ("node_mountstats_nfs_transport_bind_total", "How often a port was bound."),
    ("node_mountstats_nfs_transport_connect_total", "How often it connected to the server."),
    ("node_mountstats_nfs_transport_idle_time_seconds", "Time without traffic."),
    ("node_mountstats_nfs_transport_sends_total", "Calls sent."),
    ("node_mountstats_nfs_transport_receives_total", "Answers received."),
    ("node_mountstats_nfs_transport_bad_transaction_ids_total", "Answers to unknown calls."),
    ("node_mountstats_nfs_transport_backlog_queue_total", "Calls that waited for a slot, added up over all calls."),
    ("node_mountstats_nfs_transport_maximum_rpc_slots", "Most slots ever used."),
    ("node_mountstats_nfs_transport_sending_queue_total", "Calls that waited to be sent, added up over all calls."),
    ("node_mountstats_nfs_transport_pending_queue_total", "Calls that waited for an answer, added up over all calls."),
];
