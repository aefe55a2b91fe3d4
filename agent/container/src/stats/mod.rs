//! What is read of one cgroup, a file here for each kind of figure.

pub(crate) mod cpu;
pub(crate) mod disks;
pub(crate) mod hugetlb;
pub(crate) mod io;
pub(crate) mod memory;
pub(crate) mod network;
pub(crate) mod nodes;
pub(crate) mod pids;
pub(crate) mod pressure;
pub(crate) mod resctrl;
pub(crate) mod results;
pub(crate) mod sockets;
pub(crate) mod spec;
pub(crate) mod volumes;

use agent_exposition::SharedId;

use crate::catalogue::Metric;
use crate::cgroups::{Cgroup, Desk, File, Layout, Limits, Named};
use crate::compat::Quirk;
use crate::machine::Machine;
use crate::sets::Sets;
use crate::sheet::Sheet;

/// One cgroup being read, and all that its figures need.
pub(crate) struct Reading<'a, 'p> {
    pub(crate) layout: &'a Layout,
    pub(crate) desk: &'a mut Desk,
    pub(crate) cgroup: &'a mut Cgroup,
    pub(crate) sheet: &'a mut Sheet<'p>,
    pub(crate) labels: SharedId,
    pub(crate) machine: &'a Machine,
    pub(crate) sets: Sets,
}

impl Reading<'_, '_> {
    fn read(&mut self, file: File) -> Option<&[u8]> {
        self.desk.read(self.layout, self.cgroup, file)
    }

    fn read_named(&mut self, named: Named) -> Option<&[u8]> {
        self.desk.read_named(self.layout, self.cgroup, named)
    }

    /// Whether one of cAdvisor's faults is asked for.
    fn has(&self, quirk: Quirk) -> bool {
        self.sheet.compat.has(quirk)
    }

    /// What the cgroup was given.
    fn limits(&mut self) -> Limits {
        Limits::of(self.layout, self.desk, self.cgroup)
    }

    fn number(&mut self, file: File) -> Option<u64> {
        self.read(file).and_then(agent_procfs::cgroup::number)
    }

    fn put(&mut self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        self.sheet.put(metric, self.labels, labels, value);
    }

    fn put_some(&mut self, metric: Metric, value: Option<u64>) {
        self.sheet.put_some(metric, self.labels, value);
    }

    fn put_nanos(&mut self, metric: Metric, value: Option<u64>) {
        self.sheet.put_nanos(metric, self.labels, value);
    }

    fn put_micros(&mut self, metric: Metric, value: Option<u64>) {
        self.sheet.put_micros(metric, self.labels, value);
    }
}
