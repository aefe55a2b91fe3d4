//! What the agent is told, checked: the binary makes it from flags, another program fills it in itself.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use agent_container::Config as Containers;
use agent_node::Flags;
use agent_node::collectors::COLLECTORS;
use agent_procfs::Root;

use crate::push::PushSettings;

/// The name under which the container side takes part in `collect[]` and `exclude[]`, and is reported.
pub const CONTAINER: &str = "container";

/// The name under which the GPUs of containers do; its set of metrics has the same.
pub const ACCELERATOR: &str = "accelerator";

/// Everything that [`Agent`](crate::Agent) needs to know. The default is what the binary does without flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the node page is served, as Go writes addresses, or as `unix:/path`.
    pub listen: Vec<String>,
    /// The path of the node page.
    pub telemetry_path: String,
    /// Where the container families are served. Empty puts them on the node page.
    pub container_listen: Vec<String>,
    /// The path of the container page.
    pub container_path: String,
    /// TLS, users and more for all listeners, as exporter-toolkit's file has them. `None` serves everybody in the clear.
    pub web_config: Option<PathBuf>,
    /// Whether `POST /-/reload` reads the files again.
    pub lifecycle: bool,
    /// How many requests for metrics may be answered at the same time; 0 for any number.
    pub max_requests: usize,
    /// Whether cAdvisor's API and pages are served beside the container families.
    pub api: bool,
    /// Whether the agent's own process and requests are on the node page.
    pub exporter_metrics: bool,
    /// Where the kernel's files are.
    pub root: Root,
    /// The node collectors that run.
    pub collectors: BTreeSet<&'static str>,
    /// The collectors' own flags.
    pub flags: Flags,
    /// The container side; `None` turns it off.
    pub containers: Option<Containers>,
    /// Where the agent delivers its pages by itself; `None` where others come for them.
    pub push: Option<PushSettings>,
    /// Bounds of the server.
    pub limits: Limits,
}

/// What a client can take of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections per listener; more wait until one ends.
    pub connections: usize,
    /// How long a connection may be without the head of a request, and then how long a body may take to arrive.
    pub idle: Duration,
    /// How long requests may go on when the agent has been told to stop.
    pub grace: Duration,
    /// How long a scrape may take that does not say its own timeout.
    pub scrape_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            // Longer than the scrape interval of a minute, so that its connection is used again.
            idle: Duration::from_secs(90),
            grace: Duration::from_secs(5),
            scrape_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![":9100".to_owned()],
            telemetry_path: "/metrics".to_owned(),
            container_listen: Vec::new(),
            container_path: "/metrics".to_owned(),
            web_config: None,
            lifecycle: false,
            max_requests: 40,
            api: true,
            exporter_metrics: true,
            root: Root::default(),
            collectors: COLLECTORS.iter().filter(|spec| spec.default_on).map(|spec| spec.name).collect(),
            flags: Flags::default(),
            containers: Some(Containers::default()),
            push: None,
            limits: Limits::default(),
        }
    }
}
