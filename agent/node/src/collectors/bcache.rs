//! Disks that cache slower ones, from `/sys/fs/bcache`.

use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::Page;
use agent_procfs::scan;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "bcache",
    help: "Disks that cache slower ones.",
    default_on: true,
    flags: &[PRIORITY_STATS],
    build: |context| {
        Ok(Box::new(Bcache {
            priority_stats: context.flags.is_on(&PRIORITY_STATS),
            sets: Devices::new(context.root.sys("fs/bcache")),
            descriptors: Arc::clone(&context.descriptors),
        }))
    },
};

const PRIORITY_STATS: FlagSpec = FlagSpec::switch(
    "collector.bcache.priorityStats",
    false,
    "Report how full caches are, which takes long to find out.",
);

/// Of a set of caches.
const SET: &[Row] = &[
    Row::gauge("average_key_size", "node_bcache_average_key_size_sectors", "Data of a key of the tree, on average."),
    Row::gauge("btree_cache_size", "node_bcache_btree_cache_size_bytes", "Memory that the tree takes."),
    Row::gauge(
        "cache_available_percent",
        "node_bcache_cache_available_percent",
        "Share of the cache without dirty data.",
    ),
    Row::gauge("congested", "node_bcache_congested", "How congested the cache is."),
    Row::gauge("root_usage_percent", "node_bcache_root_usage_percent", "Share of the tree's root in use."),
    Row::gauge("tree_depth", "node_bcache_tree_depth", "Depth of the tree."),
    Row::gauge(
        "internal/active_journal_entries",
        "node_bcache_active_journal_entries",
        "Entries of the journal not in the tree yet.",
    ),
    Row::gauge("internal/btree_nodes", "node_bcache_btree_nodes", "Nodes of the tree."),
    Row::gauge(
        "internal/btree_read_average_duration_us",
        "node_bcache_btree_read_average_duration_seconds",
        "Time to read a node of the tree, on average.",
    )
    .over(1e6),
    Row::counter(
        "internal/cache_read_races",
        "node_bcache_cache_read_races_total",
        "Reads of data that was replaced meanwhile.",
    ),
];

/// Of a disk that is cached.
const BACKING: &[Row] = &[
    Row::gauge("dirty_data", "node_bcache_dirty_data_bytes", "Data in the cache that the disk does not have yet."),
    Row::counter("stats_total/bypassed", "node_bcache_bypassed_bytes_total", "Data read and written past the cache."),
    Row::counter(
        "stats_total/cache_bypass_hits",
        "node_bcache_cache_bypass_hits_total",
        "Requests past the cache that it could have answered.",
    ),
    Row::counter(
        "stats_total/cache_bypass_misses",
        "node_bcache_cache_bypass_misses_total",
        "Requests past the cache that it could not have answered.",
    ),
    Row::counter("stats_total/cache_hits", "node_bcache_cache_hits_total", "Requests answered by the cache."),
    Row::counter(
        "stats_total/cache_miss_collisions",
        "node_bcache_cache_miss_collisions_total",
        "Data not put into the cache because it was written meanwhile.",
    ),
    Row::counter(
        "stats_total/cache_misses",
        "node_bcache_cache_misses_total",
        "Requests that the cache could not answer.",
    ),
    // Kernels since 5.16 do not have it.
    Row::counter(
        "stats_total/cache_readaheads",
        "node_bcache_cache_readaheads_total",
        "Reads ahead of what was asked for.",
    ),
];

/// Of a disk that is cached: lines of `writeback_rate_debug`.
const WRITEBACK: &[Row] = &[
    Row::gauge(
        "change",
        "node_bcache_writeback_change",
        "Last change of the rate of writing back, in bytes per second.",
    ),
    Row::gauge("integral", "node_bcache_writeback_rate_integral_term", "Integral part of the rate of writing back."),
    Row::gauge(
        "proportional",
        "node_bcache_writeback_rate_proportional_term",
        "Proportional part of the rate of writing back.",
    ),
    Row::gauge("rate", "node_bcache_writeback_rate", "Rate of writing back, in bytes per second."),
    Row::gauge("target", "node_bcache_dirty_target_bytes", "Dirty data that is aimed at."),
];

/// Of a disk that caches.
const CACHE: &[Row] = &[
    Row::gauge("io_errors", "node_bcache_io_errors", "Errors lately."),
    Row::counter(
        "metadata_written",
        "node_bcache_metadata_written_bytes_total",
        "Data about data written to the cache.",
    ),
    Row::counter("written", "node_bcache_written_bytes_total", "Data written to the cache."),
];

/// Of a disk that caches: lines of `priority_stats`.
const PRIORITY: &[Row] = &[
    Row::gauge("Metadata", "node_bcache_priority_stats_metadata_percent", "Share of the cache with data about data."),
    Row::gauge("Unused", "node_bcache_priority_stats_unused_percent", "Share of the cache with nothing in it."),
];

struct Bcache {
    priority_stats: bool,
    sets: Devices<Set>,
    descriptors: Arc<Descriptors>,
}

/// A set of caches and the disks that it caches.
struct Set {
    attributes: Attributes,
    disks: Devices<Disk>,
}

struct Disk {
    is_cache: bool,
    attributes: Attributes,
}

impl Collector for Bcache {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        // Sets are named by their UUIDs; beside them are files to set caches up.
        self.sets.refresh(|name, directory| name.contains('-').then(|| Set::open(directory, descriptors)))?;
        let mut outcome = Outcome::Nothing;
        for (uuid, set) in self.sets.iter_mut() {
            outcome = Outcome::Collected;
            add_all(SET, &mut set.attributes, &[("uuid", uuid)], page);
            // A set that vanishes meanwhile costs its disks.
            if set.disks.refresh(|name, directory| Disk::open(name, directory, descriptors)).is_ok() {
                for (name, disk) in set.disks.iter_mut() {
                    disk.add(page, uuid, name, self.priority_stats);
                }
            }
        }
        Ok(outcome)
    }
}

impl Set {
    fn open(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        Self { attributes: Attributes::new(directory.clone(), descriptors), disks: Devices::new(directory) }
    }
}

impl Disk {
    fn open(name: &str, directory: PathBuf, descriptors: &Arc<Descriptors>) -> Option<Self> {
        let is_numbered = |prefix| {
            let number = name.strip_prefix(prefix).unwrap_or_default();
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_cache = is_numbered("cache");
        (is_cache || is_numbered("bdev"))
            .then(|| Self { is_cache, attributes: Attributes::new(directory, descriptors) })
    }

    fn add(&mut self, page: &mut Page, uuid: &str, name: &str, priority_stats: bool) {
        let files = &mut self.attributes;
        if self.is_cache {
            let labels = [("cache_device", name), ("uuid", uuid)];
            add_all(CACHE, files, &labels, page);
            if priority_stats {
                files.get("priority_stats", |content| add_lines(PRIORITY, content, &labels, page));
            }
        } else {
            let labels = [("backing_device", name), ("uuid", uuid)];
            add_all(BACKING, files, &labels, page);
            files.get("writeback_rate_debug", |content| add_lines(WRITEBACK, content, &labels, page));
        }
    }
}

fn add_all(rows: &[Row], files: &mut Attributes, labels: &[(&str, &str)], page: &mut Page) {
    for row in rows {
        if let Some(value) = files.get(row.file(), amount) {
            row.add(page, labels, value);
        }
    }
}

/// Adds a sample for each row whose line is there, such as `rate: 1.1M/sec`.
fn add_lines(rows: &[Row], content: &[u8], labels: &[(&str, &str)], page: &mut Page) -> Option<()> {
    for row in rows {
        let value = scan::lines(content).find_map(|(_, line)| {
            let (_, value) = scan::cut(line, b':').filter(|(name, _)| *name == row.file().as_bytes())?;
            let value = value.trim_ascii();
            amount(value.strip_suffix(b"/sec").or_else(|| value.strip_suffix(b"%")).unwrap_or(value))
        });
        if let Some(value) = value {
            row.add(page, labels, value);
        }
    }
    Some(())
}

/// A whole number, or one that the kernel has shortened for people, such as `1.5M`. Its fraction is in parts of 1024,
/// of which it prints the hundreds, as node_exporter reads it.
fn amount(content: &[u8]) -> Option<f64> {
    let (mantissa, power) = match content.split_last()? {
        (b'0'..=b'9', _) => return crate::attributes::number(content),
        (unit, mantissa) => (mantissa, b"kMGTPEZY".iter().position(|known| known == unit)? + 1),
    };
    let (whole, fraction) = scan::cut(mantissa, b'.').unwrap_or((mantissa, b"0"));
    let fraction = scan::number(fraction)? as f64 / 10.24;
    let value = scan::signed(whole)? as f64;
    let magnitude = (value.abs() + fraction) * 1024_f64.powi(i32::try_from(power).ok()?);
    Some(if whole.starts_with(b"-") { -magnitude.trunc() } else { magnitude.trunc() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_for_people() {
        #[track_caller]
        fn check(text: &str, want: Option<f64>) {
            assert_eq!(amount(text.as_bytes()), want, "{text}");
        }
        check("512", Some(512.0));
        check("-7", Some(-7.0));
        check("10.2k", Some(10_440.0));
        check("1.5M", Some(1_560_576.0));
        check("-1.0k", Some(-1024.0));
        check("2G", Some(2_147_483_648.0));
        check("k", None);
        check("1.xk", None);
        check("1.5X", None);
        check("", None);
    }
}
