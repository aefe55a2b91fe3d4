//! Size and use of mounted file systems, from `/proc/1/mountinfo` and `statfs(2)`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_exposition::{Kind, Page};
use agent_procfs::mountinfo::Mount;

use crate::pattern::{Filter, FilterFlags};
use crate::shared::FromMounts;
use crate::stat_pool::{Reply, StatPool, Target, Usage};
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Flags, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "filesystem",
    help: "Size and use of mounted file systems.",
    default_on: true,
    flags: &[
        MOUNT_POINTS_EXCLUDE,
        MOUNT_POINTS_INCLUDE,
        FS_TYPES_EXCLUDE,
        FS_TYPES_INCLUDE,
        MOUNT_TIMEOUT,
        STAT_WORKERS,
        IGNORED_MOUNT_POINTS,
        IGNORED_FS_TYPES,
    ],
    build,
};

const MOUNT_POINTS_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.filesystem.mount-points-exclude",
    "Mount points to leave out: a regular expression. Not beside mount-points-include.",
)
.or("^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)");
const MOUNT_POINTS_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.filesystem.mount-points-include",
    "Mount points to report: a regular expression. Not beside mount-points-exclude.",
);
const FS_TYPES_EXCLUDE: FlagSpec = FlagSpec::value(
    "collector.filesystem.fs-types-exclude",
    "Types of file systems to leave out: a regular expression. Not beside fs-types-include.",
)
.or(concat!(
    "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay",
    "|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$"
));
const FS_TYPES_INCLUDE: FlagSpec = FlagSpec::value(
    "collector.filesystem.fs-types-include",
    "Types of file systems to report: a regular expression. Not beside fs-types-exclude.",
);
const MOUNT_TIMEOUT: FlagSpec = FlagSpec::value(
    "collector.filesystem.mount-timeout",
    "How long to wait for a mount; in any case no longer than the scrape may take.",
)
.or("5s")
.hidden();
const STAT_WORKERS: FlagSpec =
    FlagSpec::value("collector.filesystem.stat-workers", "Threads kept for asking mounts.").or("4").hidden();
const IGNORED_MOUNT_POINTS: FlagSpec =
    FlagSpec::value("collector.filesystem.ignored-mount-points", "Older name of mount-points-exclude.").hidden();
const IGNORED_FS_TYPES: FlagSpec =
    FlagSpec::value("collector.filesystem.ignored-fs-types", "Older name of fs-types-exclude.").hidden();

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let (root, flags) = (&context.root, &*context.flags);
    let filter = |include, exclude, old| {
        Filter::build(flags, &FilterFlags { include, exclude, old_include: None, old_exclude: Some(old) })
    };
    Ok(Box::new(Filesystem {
        mounts: FromMounts::new(&context.mounts),
        wanted: Wanted {
            rootfs: root.rootfs.clone(),
            mount_points: filter(&MOUNT_POINTS_INCLUDE, &MOUNT_POINTS_EXCLUDE, &IGNORED_MOUNT_POINTS)?,
            fs_types: filter(&FS_TYPES_INCLUDE, &FS_TYPES_EXCLUDE, &IGNORED_FS_TYPES)?,
        },
        timeout: mount_timeout(flags)?,
        scrape: None,
        pool: StatPool::new(stat_workers(flags)?, statfs),
    }))
}

fn mount_timeout(flags: &Flags) -> Result<Duration, BuildError> {
    let value = flags.value(&MOUNT_TIMEOUT).unwrap_or_default();
    agent_procfs::duration::parse(value).filter(|time| !time.is_zero()).ok_or_else(|| BuildError {
        flag: MOUNT_TIMEOUT.name.to_owned(),
        value: value.to_owned(),
        reason: "expected a time such as 5s, 500ms or 1m30s".to_owned(),
    })
}

fn stat_workers(flags: &Flags) -> Result<usize, BuildError> {
    let value = flags.value(&STAT_WORKERS).unwrap_or_default();
    let number = value.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| BuildError {
        flag: STAT_WORKERS.name.to_owned(),
        value: value.to_owned(),
        reason: "expected a number from 1 to 64".to_owned(),
    })
}

struct Filesystem {
    mounts: FromMounts<Vec<Reported>>,
    wanted: Wanted,
    timeout: Duration,
    scrape: Option<Scrape>,
    pool: StatPool,
}

/// Which mounts to report, and through which root.
struct Wanted {
    rootfs: PathBuf,
    mount_points: Filter,
    fs_types: Filter,
}

/// A mount that is reported, with what the labels say.
struct Reported {
    target: Arc<Target>,
    device: String,
    fs_type: String,
    mount_point: String,
    major: String,
    minor: String,
    read_only: bool,
    /// What the mount itself said of that last. It may differ where this process has mounts of its own.
    said_read_only: Option<bool>,
    /// Whether asking it can never block.
    is_local: bool,
}

impl Reported {
    /// Whether it says something else than it did. The kernel tells of no change where it did that by itself, after
    /// errors of a disk.
    fn has_turned(&mut self, reply: &Reply) -> bool {
        let Reply::Usage(usage) = reply else { return false };
        self.said_read_only.replace(usage.is_read_only).is_some_and(|before| before != usage.is_read_only)
    }
}

impl Collector for Filesystem {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let scrape = self.scrape.unwrap_or_else(Scrape::untold);
        let mut replies = self.ask_all(scrape)?;
        if replies.has_turned {
            self.mounts.doubt();
            replies = self.ask_all(scrape)?;
        }
        let families = Families::of(page);
        for (mount, reply) in replies.mounts.iter().zip(&replies.replies) {
            families.add(page, mount, reply);
        }
        Ok(if replies.mounts.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}

/// All mounts that are reported, and what each said.
struct Replies<'a> {
    mounts: &'a [Reported],
    replies: Vec<Reply>,
    has_turned: bool,
}

impl Filesystem {
    fn ask_all(&mut self, scrape: Scrape) -> Result<Replies<'_>, CollectError> {
        let Self { mounts, wanted, pool, .. } = self;
        let mut is_new = false;
        let mounts = mounts.get(scrape.number, |mounts| {
            is_new = true;
            let reported = wanted.pick(mounts);
            pool.forget_all_but(&reported.iter().map(|mount| Arc::clone(&mount.target)).collect::<Vec<_>>());
            reported
        })?;
        if !is_new {
            wanted.mount_points.rest();
            wanted.fs_types.rest();
        }
        let others = mounts.iter().filter(|mount| !mount.is_local);
        let others: Vec<_> = others.map(|mount| Arc::clone(&mount.target)).collect();
        let until = wait_until(self.timeout, scrape.deadline);
        let mut of_others = if others.is_empty() { Vec::new() } else { pool.ask(&others, until) }.into_iter();
        let mut has_turned = false;
        let mut replies = Vec::with_capacity(mounts.len());
        for mount in mounts.iter_mut() {
            let reply = if mount.is_local { Some(ask(&mount.target.path)) } else { of_others.next() };
            let reply = reply.unwrap_or(Reply::NotAsked);
            has_turned |= mount.has_turned(&reply);
            replies.push(reply);
        }
        Ok(Replies { mounts, replies, has_turned })
    }
}

/// A mount may take its time-out, but must leave the scrape some time to answer with the others.
fn wait_until(timeout: Duration, deadline: Instant) -> Instant {
    let now = Instant::now();
    (now + timeout).min(now + deadline.saturating_duration_since(now).mul_f64(0.8))
}

impl Wanted {
    fn pick(&self, mounts: &[Mount]) -> Vec<Reported> {
        let mut seen = HashSet::new();
        let local = local_mounts(mounts, &self.rootfs);
        mounts
            .iter()
            .filter_map(|mount| report(mount, &self.rootfs, local.contains(&mount.id)))
            .filter(|mount| self.mount_points.allows(&mount.mount_point) && self.fs_types.allows(&mount.fs_type))
            .filter(|mount| seen.insert([mount.device.clone(), mount.mount_point.clone(), mount.fs_type.clone()]))
            .collect()
    }
}

fn report(mount: &Mount, rootfs: &Path, is_local: bool) -> Option<Reported> {
    let inside = Path::new(OsStr::from_bytes(&mount.mount_point));
    // With --path.rootfs=/host the kernel lists /host/home, which is /home of the machine.
    let shown = match inside.strip_prefix(rootfs) {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => inside.to_owned(),
    };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some(Reported {
        target: Arc::new(Target { id: mount.id, path: rootfs.join(shown.strip_prefix("/").ok()?) }),
        device: text(mount.source),
        fs_type: text(mount.fs_type),
        mount_point: shown.to_string_lossy().into_owned(),
        major: mount.major.to_string(),
        minor: mount.minor.to_string(),
        read_only: mount.is_read_only(),
        said_read_only: None,
        is_local,
    })
}

/// The mounts whose `statfs` answers from memory, so that no thread is needed to ask them: their type keeps the
/// numbers at hand, and so do all mounts that the way to them leads through. (The directories on that way cannot leave
/// the kernel's cache while something is mounted there.) Through another root the way is not known.
fn local_mounts(mounts: &[Mount], rootfs: &Path) -> HashSet<u64> {
    const IN_MEMORY: [&[u8]; 9] =
        [b"devtmpfs", b"ext2", b"ext3", b"ext4", b"proc", b"ramfs", b"sysfs", b"tmpfs", b"xfs"];
    if rootfs != Path::new("/") {
        return HashSet::new();
    }
    let mut parents: HashMap<u64, u64> = HashMap::new();
    for mount in mounts.iter().filter(|mount| IN_MEMORY.contains(&mount.fs_type)) {
        parents.insert(mount.id, mount.parent);
    }
    let listed: HashSet<_> = mounts.iter().map(|mount| mount.id).collect();
    // A parent that is not listed is beyond this root. No chain is longer than the list, even one that bites its tail.
    let is_local = |id: &u64| {
        let mut at = *id;
        for _ in 0..=mounts.len() {
            match parents.get(&at) {
                Some(parent) => at = *parent,
                None => return !listed.contains(&at),
            }
        }
        false
    };
    parents.keys().copied().filter(|id| is_local(id)).collect()
}

fn ask(path: &Path) -> Reply {
    statfs(path).map_or_else(Reply::Refused, Reply::Usage)
}

/// `ST_RDONLY`.
const READ_ONLY: u64 = 1;

fn statfs(path: &Path) -> io::Result<Usage> {
    let fs = rustix::fs::statfs(path)?;
    Ok(Usage {
        block_size: fs.f_bsize as u64,
        blocks: fs.f_blocks,
        free: fs.f_bfree,
        available: fs.f_bavail,
        files: fs.f_files,
        files_free: fs.f_ffree,
        is_read_only: fs.f_flags as u64 & READ_ONLY != 0,
    })
}

struct Families {
    sizes: [agent_exposition::FamilyId; 6],
    device_error: agent_exposition::FamilyId,
    mount_info: agent_exposition::FamilyId,
    read_only: agent_exposition::FamilyId,
}

impl Families {
    fn of(page: &mut Page) -> Self {
        let mut family = |name, help| page.family(name, help, Kind::Gauge);
        Self {
            sizes: [
                family("node_filesystem_avail_bytes", "Free space for users without privileges."),
                family("node_filesystem_files", "Files that the file system has room for."),
                family("node_filesystem_files_free", "Files that the file system has still room for."),
                family("node_filesystem_free_bytes", "Free space, including what is kept for root."),
                family("node_filesystem_purgeable_bytes", "Space that the system could free by itself; on Linux none."),
                family("node_filesystem_size_bytes", "Size of the file system."),
            ],
            device_error: family(
                "node_filesystem_device_error",
                "1 when the file system could not be asked; the label device_error says why.",
            ),
            mount_info: family("node_filesystem_mount_info", "Device numbers of a mount, as labels."),
            read_only: family("node_filesystem_readonly", "1 when nothing can be written to the mount."),
        }
    }

    fn add(&self, page: &mut Page, mount: &Reported, reply: &Reply) {
        let error = error_text(reply);
        let labels = page.shared([
            ("device", mount.device.as_str()),
            ("device_error", &error),
            ("fstype", &mount.fs_type),
            ("mountpoint", &mount.mount_point),
        ]);
        page.sample_shared(self.device_error, labels, &[], f64::from(u8::from(!error.is_empty())));
        page.sample_shared(self.read_only, labels, &[], f64::from(u8::from(mount.read_only)));
        let Reply::Usage(usage) = reply else { return };
        let bytes = |blocks: u64| blocks as f64 * usage.block_size as f64;
        let sizes = [
            bytes(usage.available),
            usage.files as f64,
            usage.files_free as f64,
            bytes(usage.free),
            0.0,
            bytes(usage.blocks),
        ];
        for (family, value) in self.sizes.into_iter().zip(sizes) {
            page.sample_shared(family, labels, &[], value);
        }
        let labels = [
            ("device", mount.device.as_str()),
            ("major", &mount.major),
            ("minor", &mount.minor),
            ("mountpoint", &mount.mount_point),
        ];
        page.sample(self.mount_info, &labels, 1.0);
    }
}

/// What the label `device_error` says: nothing, or the error in the words that node_exporter has for it.
fn error_text(reply: &Reply) -> Cow<'static, str> {
    match reply {
        Reply::Usage(_) => "".into(),
        Reply::TimedOut => "mountpoint timeout".into(),
        Reply::NotAsked => "no thread left to ask it".into(),
        Reply::Refused(error) if error.raw_os_error() == Some(rustix::io::Errno::STALE.raw_os_error()) => {
            "stale NFS file handle".into()
        }
        Reply::Refused(error) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut chars = text.chars();
            chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect()).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_procfs::mountinfo;

    use super::*;

    #[test]
    fn errors_in_words() {
        #[track_caller]
        fn check(errno: i32, want: &str) {
            assert_eq!(error_text(&Reply::Refused(io::Error::from_raw_os_error(errno))), want);
        }
        check(13, "permission denied");
        check(107, "transport endpoint is not connected");
        check(116, "stale NFS file handle");
        assert_eq!(error_text(&Reply::TimedOut), "mountpoint timeout");
        assert_eq!(error_text(&Reply::Usage(Usage::default())), "");
    }

    #[test]
    fn mount_points_lose_the_root_they_are_seen_through() {
        #[track_caller]
        fn check(rootfs: &str, mount_point: &str, shown: &str, asked: &str) {
            let line = format!("1 0 8:1 / {mount_point} rw - ext4 /dev/sda1 rw");
            let mounts = mountinfo::parse(line.as_bytes()).value;
            let got = report(&mounts[0], Path::new(rootfs), false).unwrap();
            assert_eq!((got.mount_point.as_str(), got.target.path.to_str().unwrap()), (shown, asked));
        }
        check("/", "/", "/", "/");
        check("/", "/home", "/home", "/home");
        check("/host", "/host", "/", "/host/");
        check("/host", "/host/home", "/home", "/host/home");
        check("/host", "/home", "/home", "/host/home");
        check("/host", "/hostage", "/hostage", "/host/hostage");
    }

    #[test]
    fn only_mounts_that_are_reached_through_memory_are_local() {
        #[track_caller]
        fn check(lines: &[&str], rootfs: &str, want: &[u64]) {
            let text = lines.join("\n");
            let mut got: Vec<_> =
                local_mounts(&mountinfo::parse(text.as_bytes()).value, Path::new(rootfs)).into_iter().collect();
            got.sort_unstable();
            assert_eq!(got, want);
        }
        let root = "1 0 8:1 / / rw - ext4 /dev/sda1 rw";
        let nfs = "2 1 0:9 / /nfs rw - nfs4 nas:/x rw";
        let below_nfs = "3 2 8:2 / /nfs/local rw - ext4 /dev/sdb1 rw";
        let run = "4 1 0:3 / /run rw - tmpfs tmpfs rw";
        let user = "5 4 0:4 / /run/user rw - tmpfs tmpfs rw";
        check(&[root, nfs, below_nfs, run, user], "/", &[1, 4, 5]);
        check(&[user, run, root], "/", &[1, 4, 5]);
        check(&[root, run], "/host", &[]);
        check(&["7 8 8:1 / /a rw - ext4 a rw", "8 7 8:1 / /b rw - ext4 b rw"], "/", &[]);
    }
}
