//! How often CPUs were throttled for heat, from `/sys/devices/system/cpu/cpuN/thermal_throttle` (Intel only).

use std::collections::BTreeSet;

use agent_exposition::{Kind, Page};
use agent_procfs::{Root, scan};

use crate::source::Source;

/// The counters. CPUs of one core or package count the same, so each is read from the first CPU that has it; which
/// one that is is looked up again only when CPUs come or go.
pub(crate) struct Throttles {
    root: Root,
    online: Vec<u32>,
    cores: Vec<(String, String, Source)>,
    packages: Vec<(String, Source)>,
}

impl Throttles {
    pub(crate) fn new(root: &Root) -> Self {
        Self { root: root.clone(), online: Vec::new(), cores: Vec::new(), packages: Vec::new() }
    }

    /// Adds the counters of the CPUs given. One that cannot be read is left out.
    pub(crate) fn collect(&mut self, online: &[u32], page: &mut Page) {
        if self.online != online {
            self.find(online);
        }
        let help = "How often a core was throttled for heat.";
        let family = page.family("node_cpu_core_throttles_total", help, Kind::Counter);
        for (package, core, count) in &mut self.cores {
            if let Some(count) = number(count) {
                page.sample(family, &[("core", core), ("package", package)], count as f64);
            }
        }
        let help = "How often a package was throttled for heat.";
        let family = page.family("node_cpu_package_throttles_total", help, Kind::Counter);
        for (package, count) in &mut self.packages {
            if let Some(count) = number(count) {
                page.sample(family, &[("package", package)], count as f64);
            }
        }
    }

    fn find(&mut self, online: &[u32]) {
        self.online = online.to_vec();
        self.cores.clear();
        self.packages.clear();
        let (mut cores, mut packages) = (BTreeSet::new(), BTreeSet::new());
        for cpu in online {
            let directory = self.root.sys(format!("devices/system/cpu/cpu{cpu}"));
            let file = |path: &str| Source::new(directory.join(path));
            let Some(package) = number(&mut file("topology/physical_package_id")) else { continue };
            let Some(core) = number(&mut file("topology/core_id")) else { continue };
            let mut count = file("thermal_throttle/core_throttle_count");
            if !cores.contains(&(package, core)) && number(&mut count).is_some() {
                cores.insert((package, core));
                self.cores.push((package.to_string(), core.to_string(), count));
            }
            let mut count = file("thermal_throttle/package_throttle_count");
            if !packages.contains(&package) && number(&mut count).is_some() {
                packages.insert(package);
                self.packages.push((package.to_string(), count));
            }
        }
    }
}

fn number(file: &mut Source) -> Option<u64> {
    file.read().ok().and_then(|bytes| scan::number(bytes.trim_ascii()))
}
