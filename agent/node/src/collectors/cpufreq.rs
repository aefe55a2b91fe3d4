//! How fast CPUs run and may run, from `/sys/devices/system/cpu/cpufreq`.
//!
//! The kernel sets frequencies by policy, and a policy may be for several CPUs: it is read once for all of them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::scan;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "cpufreq",
    help: "Frequencies of CPUs.",
    default_on: true,
    flags: &[],
    build: |context| {
        let policies = Devices::new(context.root.sys("devices/system/cpu/cpufreq"));
        Ok(Box::new(Cpufreq { policies, descriptors: Arc::clone(&context.descriptors) }))
    },
};

/// The kernel counts in kHz.
const FREQUENCIES: &[Row] = &[
    Row::gauge("cpuinfo_avg_freq", "node_cpu_frequency_avg_hertz", "Frequency of the CPU, on average lately.")
        .times(1000.0),
    Row::gauge("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Frequency of the CPU, as the hardware says.")
        .times(1000.0),
    Row::gauge("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Highest frequency of the CPU.").times(1000.0),
    Row::gauge("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Lowest frequency of the CPU.").times(1000.0),
    Row::gauge("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Frequency of the CPU, as the kernel set it.")
        .times(1000.0),
    Row::gauge("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "Highest frequency that is allowed.")
        .times(1000.0),
    Row::gauge("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "Lowest frequency that is allowed.")
        .times(1000.0),
];

struct Cpufreq {
    policies: Devices<Attributes>,
    descriptors: Arc<Descriptors>,
}

impl Collector for Cpufreq {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.policies
            .refresh(|name, directory| name.starts_with("policy").then(|| Attributes::new(directory, descriptors)))?;
        let (mut outcome, mut seen) = (Outcome::Nothing, HashSet::new());
        for (_, policy) in self.policies.iter_mut() {
            // Those of the policy that are online. A CPU is in one policy only.
            let cpus = policy.get("affected_cpus", numbers).unwrap_or_default();
            let cpus: Vec<_> = cpus.into_iter().filter(|cpu| seen.insert(*cpu)).map(|cpu| cpu.to_string()).collect();
            outcome = Outcome::Collected;
            for row in FREQUENCIES {
                let Some(value) = policy.number(row.file()) else { continue };
                cpus.iter().for_each(|cpu| row.add(page, &[("cpu", cpu)], value));
            }
            add_governors(page, policy, &cpus);
        }
        Ok(outcome)
    }
}

/// Numbers between white space.
fn numbers(content: &[u8]) -> Option<Vec<u64>> {
    scan::fields(content).map(scan::number).collect()
}

fn add_governors(page: &mut Page, policy: &mut Attributes, cpus: &[String]) {
    let Some(governor) = policy.text("scaling_governor") else { return };
    let Some(available) = policy.text("scaling_available_governors") else { return };
    let governors: BTreeSet<_> = available.split_ascii_whitespace().collect();
    let help = "1 for the governor that sets the frequency, 0 for those that could.";
    let family = page.family("node_cpu_scaling_governor", help, Kind::Gauge);
    for cpu in cpus {
        for name in &governors {
            page.sample(family, &[("cpu", cpu), ("governor", name)], f64::from(u8::from(*name == governor)));
        }
    }
}
