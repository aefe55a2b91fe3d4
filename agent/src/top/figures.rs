//! What is shown: rates and sizes of the machine and of each cgroup.

use std::sync::Arc;
use std::time::SystemTime;

use agent_container::history::{About, Recent, Sample};
use agent_procfs::{Root, cpu_list, loadavg};

/// Where the machine's own figures are.
#[derive(Clone, Debug)]
pub struct Machine {
    root: Root,
}

impl Machine {
    pub fn new(root: &Root) -> Self {
        Self { root: root.clone() }
    }

    fn cpus(&self) -> Option<usize> {
        let list = std::fs::read(self.root.sys("devices/system/cpu/online")).ok()?;
        cpu_list::parse(&list).ok().map(|cpus| cpus.len()).filter(|count| *count > 0)
    }

    fn load(&self) -> Option<[f64; 3]> {
        let text = std::fs::read(self.root.proc("loadavg")).ok()?;
        loadavg::parse(&text).ok().map(|load| load.averages)
    }
}

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub name: String,
    pub image: String,
    pub is_container: bool,
    /// CPUs kept busy.
    pub cpu: Option<f64>,
    /// The working set, bytes.
    pub memory: Option<u64>,
    /// Bytes; nothing without a limit.
    pub memory_limit: Option<u64>,
    /// Bytes per second.
    pub received: Option<f64>,
    /// Bytes per second.
    pub sent: Option<f64>,
    /// Bytes per second.
    pub read: Option<f64>,
    /// Bytes per second.
    pub written: Option<f64>,
    pub processes: Option<u64>,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub machine: Row,
    pub cpus: Option<usize>,
    pub load: Option<[f64; 3]>,
    pub rows: Vec<Row>,
}

impl Figures {
    pub fn new(recent: &Recent, machine: &Machine) -> Self {
        let root = recent.get("/").map(|about| row(recent, about)).unwrap_or_default();
        let rows = recent.all().filter(|about| &*about.path != "/").map(|about| row(recent, about)).collect();
        Self { machine: root, cpus: machine.cpus(), load: machine.load(), rows }
    }
}

fn row(recent: &Recent, about: &Arc<About>) -> Row {
    let mut newest = recent.samples(about).rev();
    let (now, before) = (newest.next(), newest.next());
    let rate = |value: &dyn Fn(&Sample) -> Option<u64>| rate(now?, before?, value);
    let sample = now.map(|(_, sample)| sample);
    Row {
        name: about.name.clone().unwrap_or_else(|| about.path.to_string()),
        image: about.image.clone().unwrap_or_default(),
        is_container: about.is_container,
        cpu: rate(&|sample| sample.cpu.total).map(|nanos| nanos / 1e9),
        memory: sample.and_then(|sample| sample.memory.working_set),
        memory_limit: about.limits.memory.filter(|bytes| *bytes > 0),
        received: rate(&|sample| sum(sample.interfaces.iter().map(|interface| Some(interface.rx_bytes)))),
        sent: rate(&|sample| sum(sample.interfaces.iter().map(|interface| Some(interface.tx_bytes)))),
        read: rate(&|sample| sum(sample.devices.iter().map(|device| device.read_bytes))),
        written: rate(&|sample| sum(sample.devices.iter().map(|device| device.written_bytes))),
        processes: sample.and_then(|sample| sample.tasks.processes),
    }
}

/// Nothing of nothing.
fn sum(values: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    values.flatten().reduce(|sum, value| sum.saturating_add(value))
}

/// The growth per second; nothing where it fell.
fn rate(
    (now, newer): (SystemTime, &Sample),
    (before, older): (SystemTime, &Sample),
    value: &dyn Fn(&Sample) -> Option<u64>,
) -> Option<f64> {
    let grown = value(newer)?.checked_sub(value(older)?)?;
    let span = now.duration_since(before).ok()?.as_secs_f64();
    (span > 0.0).then(|| grown as f64 / span)
}
