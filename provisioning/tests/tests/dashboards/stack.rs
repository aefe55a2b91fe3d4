//! Everything that the boards ask about, running: the agent, containers, the services with what they need, the
//! collector, the two databases; and something to do for all of them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use provisioning_parts::{
    Agent, Collector, Container, Influx, Postgres, Redis, Service, binary, configuration, demo_image, get,
};

use crate::load;

/// Computes, writes to its volume past the page cache and reads it again, sends to its gateway.
const BUSY: &str = r#"
b=/bin/busybox
gateway=$($b ip route | $b awk '/default/ {print $3}')
$b ping -i 0.2 -s 1000 "$gateway" >/dev/null 2>&1 &
while :; do
  $b dd if=/dev/zero of=/volume/file bs=64k count=4 oflag=direct 2>/dev/null
  $b dd if=/volume/file of=/dev/null bs=64k iflag=direct 2>/dev/null
  i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done
done"#;

/// The running services, and the name under which each is scraped.
pub struct Services {
    pub files: Service,
    pub vote: Service,
    pub worker: Service,
    pub result: Service,
    pub echo: Service,
    /// `HOST:PORT` for lines to the echo server.
    pub lines: String,
    pub hits: Service,
    pub registry: Service,
    // After those that use them.
    _redis: Redis,
    _postgres: Postgres,
    _folders: [tempfile::TempDir; 2],
}

impl Services {
    fn start() -> Self {
        let (redis, postgres) = (Redis::start(), Postgres::start());
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let folder = |key: &str, number: usize| (key.to_owned(), folders[number].path().display().to_string());
        let both = [redis.env(), postgres.env()].concat();
        let mut echo = Service::start(binary("echo-server"), [("SERVER_PORT", "0")]);
        let lines = echo.process().await_output("the address for lines", |output| {
            let found = output.lines().find_map(|line| line.split("Serving lines on ").nth(1));
            found.map(|rest| rest.split(',').next().unwrap().to_owned())
        });
        Self {
            files: Service::start(binary("file-transfer"), [folder("FILES_DIR", 0)]),
            vote: Service::start(binary("vote"), redis.env()),
            worker: Service::start(binary("vote-worker"), both),
            result: Service::start(binary("vote-result"), postgres.env()),
            echo,
            lines,
            hits: Service::start(binary("hits"), redis.env()),
            registry: Service::start(binary("registry"), [folder("DATA_DIR", 1)]),
            _redis: redis,
            _postgres: postgres,
            _folders: folders,
        }
    }

    fn scraped(&self) -> [(&'static str, &Service); 7] {
        [
            ("file-transfer", &self.files),
            ("vote", &self.vote),
            ("worker", &self.worker),
            ("result", &self.result),
            ("echo", &self.echo),
            ("hits", &self.hits),
            ("registry", &self.registry),
        ]
    }
}

/// All of it, with load on the services while it lives.
pub struct Stack {
    pub vms: Influx,
    pub containers: Influx,
    pub collector: Collector,
    agent: Agent,
    services: Arc<Services>,
    stop: Arc<AtomicBool>,
    load: Option<JoinHandle<()>>,
    // Ends before its volume goes.
    _containers: [Container; 2],
    _volume: tempfile::TempDir,
}

/// A container with work to do, limits for memory and CPU, and a volume.
fn busy(volume: &Path) -> Container {
    let mounted = format!("{}:/volume", volume.display());
    let mut options = vec!["--memory", "64m", "--cpus", "0.2", "-v", &mounted];
    // Newer kernels of cgroup v1 count block I/O only on disks for which some limit was ever set.
    let limit = disk_under(volume).map(|disk| format!("{disk}:1gb"));
    options.extend(limit.iter().flat_map(|limit| ["--device-write-bps", limit]));
    Container::run("busy", &options, demo_image(), &[BUSY])
}

/// The whole disk under a path; nothing where there is none, as on an overlay.
fn disk_under(path: &Path) -> Option<String> {
    let device = std::fs::metadata(path).unwrap().dev();
    let sys = PathBuf::from(format!("/sys/dev/block/{}:{}", rustix::fs::major(device), rustix::fs::minor(device)));
    let whole = if sys.join("partition").exists() { sys.join("..") } else { sys };
    let told = std::fs::read_to_string(whole.join("uevent")).ok()?;
    told.lines().find_map(|line| line.strip_prefix("DEVNAME=")).map(|name| format!("/dev/{name}"))
}

impl Stack {
    pub fn start() -> Self {
        let (vms, containers) = (Influx::start(), Influx::start());
        let volume = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let running = [busy(volume.path()), Container::script("idle", "while :; do /bin/busybox sleep 1; done")];
        let agent = Agent::start(binary("atalaia-agent"));
        let services = Arc::new(Services::start());
        let config = configuration(&agent, &vms, &containers, &jobs(&services));
        let collector = Collector::start(binary("atalaia-collector"), &config, &[]);
        // It scrapes itself, as it does where a port is known beforehand.
        let target = serde_json::json!([{"targets": [collector.address]}]);
        std::fs::write(collector.folder().join("collector.json"), target.to_string()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let load = std::thread::spawn({
            let (services, stop) = (Arc::clone(&services), Arc::clone(&stop));
            move || load::run(&services, || stop.load(Ordering::Relaxed))
        });
        Self {
            vms,
            containers,
            collector,
            agent,
            services,
            stop,
            load: Some(load),
            _containers: running,
            _volume: volume,
        }
    }

    /// The names of all series that the pages of all programs have at present.
    pub fn names(&self) -> BTreeSet<String> {
        let services = self.services.scraped().map(|(_, service)| service.address.as_str());
        let ours = [self.agent.node.as_str(), &self.agent.containers, &self.collector.address];
        let pages = services.into_iter().chain(ours).map(|address| get(address, "/metrics").unwrap());
        pages.flat_map(|page| names_of(&page)).collect()
    }
}

/// A job for the services, and one for the collector itself, whose address is in a file as soon as it is known.
fn jobs(services: &Services) -> String {
    let targets = services.scraped().map(|(name, service)| {
        format!("      - {{ targets: [\"{}\"], labels: {{ service: {name} }} }}\n", service.address)
    });
    format!(
        "  - job_name: prometheus\n    file_sd_configs: [{{ files: [collector.json], refresh_interval: 1s }}]\n  \
         - job_name: services\n    static_configs:\n{}",
        targets.concat()
    )
}

/// The series of a page in the text format or OpenMetrics.
fn names_of(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(load) = self.load.take() {
            let _ = load.join();
        }
    }
}
