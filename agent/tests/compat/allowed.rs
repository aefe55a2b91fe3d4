//! The differences that are meant, each with its reason. One that matches nothing has outlived its reason.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::pages::Series;

/// What may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// Only our page has the family.
    Ours,
    /// Only theirs has it.
    Theirs,
    /// The type is another.
    Type,
    /// One of the two has this label beside the others.
    Label(&'static str),
    /// Our page alone has series with this label and value.
    SeriesOf(&'static str, &'static str),
    /// The series are not compared.
    AllSeries,
    /// The values are not compared.
    Values,
    /// The values of series with this label and value are not compared.
    ValuesOf(&'static str, &'static str),
    /// Values may be so far off.
    Near(f64),
}

/// One entry: a family (a star at its end stands for the rest of the name), what of it may differ, and why.
pub type Entry = (&'static str, What, &'static str);

use What::{AllSeries, Label, Near, Ours, SeriesOf, Theirs, Type, Values, ValuesOf};

const NEW: &str = "came after 1.5";
const SELF: &str = "about the exporter itself";

/// The list.
#[rustfmt::skip]
pub const ALLOWED: &[Entry] = &[
    ("node_cpu_online", Ours, NEW),
    ("node_bcachefs_*", Ours, NEW),
    ("node_btrfs_commit*", Ours, NEW),
    ("node_btrfs_last_commit_seconds", Ours, NEW),
    ("node_btrfs_max_commit_seconds", Ours, NEW),
    ("node_cpu_frequency_avg_hertz", Ours, NEW),
    ("node_cpu_scaling_governor", Ours, NEW),
    ("node_cpu_vulnerabilities_info", Ours, NEW),
    ("node_dmmultipath_*", Ours, NEW),
    ("node_edac_channel_*", Ours, NEW),
    ("node_filesystem_mount_info", Ours, NEW),
    ("node_filesystem_purgeable_bytes", Ours, NEW),
    ("node_infiniband_duplicate_*", Ours, NEW),
    ("node_infiniband_implied_*", Ours, NEW),
    ("node_infiniband_lifespan_*", Ours, NEW),
    ("node_infiniband_local_ack_*", Ours, NEW),
    ("node_infiniband_np_*", Ours, NEW),
    ("node_infiniband_out_of_*", Ours, NEW),
    ("node_infiniband_packet_sequence_*", Ours, NEW),
    ("node_infiniband_req_*", Ours, NEW),
    ("node_infiniband_resp_*", Ours, NEW),
    ("node_infiniband_rnr_*", Ours, NEW),
    ("node_infiniband_roce_*", Ours, NEW),
    ("node_infiniband_rp_*", Ours, NEW),
    ("node_infiniband_rx_*", Ours, NEW),
    ("node_kernel_hung_tasks_total", Ours, NEW),
    ("node_ksmd_general_profit_bytes", Ours, NEW),
    ("node_lnstat_entries", Ours, "they call it a counter, under a counter's name, alone"),
    ("node_md_degraded", Ours, NEW),
    ("node_md_raid_disks", Ours, NEW),
    ("node_mountstats_nfs_mountpoint_info", Ours, NEW),
    ("node_nvme_namespace_*", Ours, NEW),
    ("node_os_support_end_timestamp_seconds", Ours, NEW),
    ("node_pcidevice_*", Ours, NEW),
    ("node_pressure_irq_stalled_seconds_total", Ours, NEW),
    ("node_softirqs_*", Ours, NEW),
    ("node_softnet_*", Ours, NEW),
    ("node_swap_*", Ours, NEW),
    ("node_systemd_virtualization_info", Ours, NEW),
    ("node_watchdog_*", Ours, NEW),
    ("node_xfrm_*", Ours, NEW),
    ("node_zfs_arc_memory_available_bytes", Ours, "1.5 takes numbers without a sign alone"),
    ("node_zfs_dbuf_*", Ours, "1.5 looks for the file under an older name"),
    ("atalaia_*", Ours, SELF),
    ("go_*", Theirs, SELF),
    ("node_exporter_build_info", AllSeries, SELF),
    ("promhttp_*", AllSeries, SELF),
    ("process_*", Values, SELF),
    ("node_scrape_collector_duration_seconds", Values, SELF),
    ("node_scrape_collector_success", Values, "some of theirs say 1 of a directory that is empty; atalaia_collector_outcome tells"),
    ("node_scrape_collector_*", SeriesOf("collector", "bcachefs"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "cpu_vulnerabilities"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "dmmultipath"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "kernel_hung"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "nvidia"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "pcidevice"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "softirqs"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "swap"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "watchdog"), NEW),
    ("node_scrape_collector_*", SeriesOf("collector", "xfrm"), NEW),
    ("node_perf_*", Values, "each counts from when it began to"),
    ("node_bcache_btree_read_average_duration_seconds", Values, "they take microseconds for nanoseconds"),
    ("node_tcp_connection_states", ValuesOf("state", "tx_queued_bytes"), "they add how many connections may wait to be accepted"),
    ("node_systemd_socket_refused_connections_total", Type, "it only grows, and they call it a gauge"),
    ("node_disk_info", Label("rotational"), NEW),
    ("node_disk_info", Label("serial"), "1.5 does not look at ID_SERIAL"),
    ("node_filesystem_*", Label("device_error"), NEW),
    ("node_mountstats_nfs_transport_*", Label("transport"), NEW),
    ("node_network_info", Label("adminstate"), NEW),
    ("node_nvme_info", Label("cntlid"), NEW),
    ("node_zfs_zpool_state", SeriesOf("state", "suspended"), NEW),
    // The kernel counts open files per CPU and adds up in batches of some dozens, and both hold files open, and with
    // them objects in the kernel's caches, while they read.
    ("node_filefd_allocated", Near(200.0), "the kernel adds up in batches"),
    ("node_slabinfo_active_objects", Near(1000.0), "whoever reads takes some"),
    ("node_slabinfo_objects", Near(1000.0), "whoever reads takes some"),
];

/// The entries, and which of them have been of use.
pub struct Allowed {
    entries: &'static [Entry],
    used: RefCell<BTreeSet<usize>>,
}

impl Allowed {
    pub fn new(entries: &'static [Entry]) -> Self {
        Self { entries, used: RefCell::default() }
    }

    /// Why something may differ, if it may.
    pub fn why(&self, family: &str, fits: impl Fn(What) -> bool) -> Option<&'static str> {
        self.find(family, fits).map(|(_, _, why)| *why)
    }

    /// Why a label is left out of the comparison, if it is.
    pub fn label_left_out(&self, family: &str, label: &str) -> Option<&'static str> {
        self.why(family, |what| matches!(what, Label(left_out) if left_out == label))
    }

    /// Why nothing but name and type is compared, if that is so.
    pub fn name_alone(&self, family: &str) -> Option<&'static str> {
        self.why(family, |what| what == AllSeries)
    }

    /// Why a series of ours may have no counterpart, if it may.
    pub fn series_of_ours(&self, family: &str, series: &Series) -> Option<&'static str> {
        self.why(family, |what| matches!(what, SeriesOf(label, value) if has(series, label, value)))
    }

    /// Why the values of a series are not compared, if they are not.
    pub fn without_value(&self, family: &str, series: &Series) -> Option<&'static str> {
        self.why(family, |what| match what {
            Values => true,
            ValuesOf(label, value) => has(series, label, value),
            _ => false,
        })
    }

    /// How far off a value may be.
    pub fn slack(&self, family: &str) -> f64 {
        match self.find(family, |what| matches!(what, Near(_))) {
            Some((_, Near(slack), _)) => *slack,
            _ => 0.0,
        }
    }

    /// The entries that nothing was found for.
    pub fn unused(&self) -> Vec<Entry> {
        let used = self.used.borrow();
        self.entries.iter().enumerate().filter(|(at, _)| !used.contains(at)).map(|(_, entry)| *entry).collect()
    }

    fn find(&self, family: &str, fits: impl Fn(What) -> bool) -> Option<&'static Entry> {
        let names =
            |pattern: &str| pattern.strip_suffix('*').map_or(family == pattern, |begin| family.starts_with(begin));
        let at = self.entries.iter().position(|(pattern, what, _)| names(pattern) && fits(*what))?;
        self.used.borrow_mut().insert(at);
        self.entries.get(at)
    }
}

fn has((_, labels): &Series, label: &str, value: &str) -> bool {
    labels.iter().any(|(l, v)| l == label && v == value)
}
