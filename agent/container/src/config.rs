//! What the container side is told: plain data, filled in by the agent's flags.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_procfs::Root;

use crate::compat::Compat;
use crate::perf::PerfEvents;
use crate::rename::Renames;
use crate::sets::{Set, Sets};

/// Everything that [`Containers`](crate::Containers) needs to know. The default watches this machine and the
/// runtimes at their usual sockets, as cAdvisor does.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where /proc, /sys and / of the watched machine are.
    pub root: Root,
    /// Where the cgroup hierarchies are mounted; `None` means `fs/cgroup` below [`Root::sysfs`].
    pub cgroup_root: Option<PathBuf>,
    /// Docker's address: `unix:///path` or `tcp://host:port` (`--docker`); `None` asks no engine.
    pub docker: Option<String>,
    /// Podman's address, of the same form (`--podman`). The sockets of users who run it without root are then followed
    /// too.
    pub podman: Option<String>,
    /// The folder with one of each user, where those sockets are: `UID/podman/podman.sock`.
    pub user_runtimes: PathBuf,
    /// The socket of containerd (`--containerd`).
    pub containerd: Option<String>,
    /// The namespaces of containerd that are looked into (`--containerd-namespace`); `*` for all.
    pub containerd_namespaces: Vec<String>,
    /// The socket of CRI-O (`--crio`).
    pub crio: Option<String>,
    /// How long an answer of CRI-O may take (`--crio_client_timeout`); zero for ten seconds.
    pub crio_timeout: Duration,
    /// For how long containers that stopped are told of (`--container.stopped-for`); zero for not at all.
    pub stopped_for: Duration,
    /// Only containers and `/`, no slices, services and scopes (`--docker_only`).
    pub docker_only: bool,
    /// When not empty, of the cgroups that are no containers only `/` and those with one of these prefixes
    /// (`--raw_cgroup_prefix_whitelist`).
    pub raw_cgroup_prefixes: Vec<String>,
    /// Leaves out `/` (`--disable_root_cgroup_stats`).
    pub disable_root: bool,
    /// Which labels of a container become labels of its series.
    pub labels: LabelPolicy,
    /// Which sets of metrics are collected.
    pub sets: Sets,
    /// How often cgroups are read for the API and the pages while somebody asks (`--housekeeping_interval`).
    pub housekeeping_interval: Duration,
    /// How long these readings are kept (`--storage_duration`).
    pub storage_duration: Duration,
    /// Series of one cgroup at most, 0 for any number; the root has no bound (`--container.series-limit`).
    pub series_limit: u32,
    /// Looks at all tasks for their states (`--enable_load_reader`).
    pub load_reader: bool,
    /// After how many looks at referenced memory its marks are cleared; 0 for never (`--referenced_reset_interval`).
    pub referenced_reset_interval: u64,
    /// Makes a monitoring group of resctrl for each container (`--container.resctrl-groups`).
    pub resctrl_groups: bool,
    /// How often tasks that came later are put into those groups; zero for never (`--resctrl_interval`).
    pub resctrl_interval: Duration,
    /// Which events of CPUs and kernel are counted (`--perf_events_config`).
    pub perf_events: Arc<PerfEvents>,
    /// Which of cAdvisor's faults are reproduced (`--compat`).
    pub compat: Compat,
    /// `cadvisorVersion` of `cadvisor_version_info`: the agent's own version.
    pub version: String,
    /// `cadvisorRevision` of `cadvisor_version_info`: the commit that the agent was built from.
    pub revision: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: Root::default(),
            cgroup_root: None,
            docker: Some("unix:///var/run/docker.sock".to_owned()),
            podman: Some("unix:///var/run/podman/podman.sock".to_owned()),
            user_runtimes: "/run/user".into(),
            containerd: Some("/run/containerd/containerd.sock".to_owned()),
            containerd_namespaces: vec!["k8s.io".to_owned()],
            crio: Some("/var/run/crio/crio.sock".to_owned()),
            crio_timeout: Duration::ZERO,
            stopped_for: Duration::from_secs(600),
            docker_only: false,
            raw_cgroup_prefixes: Vec::new(),
            disable_root: false,
            labels: LabelPolicy::default(),
            sets: Sets::default(),
            housekeeping_interval: Duration::from_secs(1),
            storage_duration: Duration::from_secs(120),
            series_limit: 10_000,
            load_reader: false,
            referenced_reset_interval: 0,
            resctrl_groups: false,
            resctrl_interval: Duration::ZERO,
            perf_events: Arc::default(),
            compat: Compat::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: String::new(),
        }
    }
}

impl Config {
    /// The folder of the cgroup hierarchies.
    pub fn cgroup_root(&self) -> PathBuf {
        self.cgroup_root.clone().unwrap_or_else(|| self.root.sys("fs/cgroup"))
    }

    /// Whether monitoring groups are made.
    pub(crate) fn makes_groups(&self) -> bool {
        self.sets.has(Set::Resctrl) && self.resctrl_groups
    }

    /// Whether events of CPUs and kernel are counted.
    pub(crate) fn counts_events(&self) -> bool {
        self.sets.has(Set::PerfEvent) && !self.perf_events.is_empty()
    }
}

/// Which labels and variables of a container become labels of its series, and under which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPolicy {
    /// All of them (`--store_container_labels`).
    pub store_all: bool,
    /// Without `store_all`, only these (`--whitelisted_container_labels`).
    pub allowed: Vec<String>,
    /// Variables of the environment whose names begin so become `container_env_*` (`--env_metadata_whitelist`).
    pub variables: Vec<String>,
    /// Other names (`--container.rename-label`).
    pub renames: Renames,
}

impl Default for LabelPolicy {
    fn default() -> Self {
        Self { store_all: true, allowed: Vec::new(), variables: Vec::new(), renames: Renames::default() }
    }
}
