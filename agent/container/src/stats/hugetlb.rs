//! Huge pages by size: `hugetlb.*`. The sizes are the machine's.

use agent_procfs::Root;
use agent_procfs::cgroup;

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::{Controller, Desk, Layout, Named, Version};
use crate::compat::Quirk;

/// More sizes than any architecture has.
const MOST_SIZES: usize = 16;

/// The sizes of the machine and the names of their files.
#[derive(Default)]
pub(crate) struct Sizes {
    made_for: Option<Version>,
    all: Vec<Size>,
}

struct Size {
    /// As the kernel writes it in the files' names: `2MB`.
    label: String,
    /// What counts reservations comes first, since with it processes are stopped, and is newer (Linux 5.7).
    usage: [Named; 2],
    most: Option<[Named; 2]>,
    failures: Vec<Named>,
}

impl Sizes {
    /// Looks for the sizes once for each version of the controller.
    pub(crate) fn prepare(&mut self, layout: &Layout, root: &Root, desk: &mut Desk) {
        let version = layout.version(Controller::Hugetlb);
        if self.made_for == version {
            return;
        }
        self.made_for = version;
        self.all.clear();
        let Some(version) = version else { return };
        let Ok(entries) = std::fs::read_dir(root.sys("kernel/mm/hugepages")) else { return };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut sizes: Vec<u64> =
            names.filter_map(|name| name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()).collect();
        sizes.sort_unstable();
        sizes.truncate(MOST_SIZES);
        self.all = sizes.into_iter().map(|kib| Size::new(&label(kib), version, desk)).collect();
    }
}

impl Size {
    fn new(label: &str, version: Version, desk: &mut Desk) -> Self {
        let mut name = |ending: &str| desk.name(Controller::Hugetlb, version, format!("hugetlb.{label}{ending}"));
        match version {
            Version::V1 => Self {
                usage: [name(".rsvd.usage_in_bytes"), name(".usage_in_bytes")],
                most: Some([name(".rsvd.max_usage_in_bytes"), name(".max_usage_in_bytes")]),
                failures: vec![name(".rsvd.failcnt"), name(".failcnt")],
                label: label.to_owned(),
            },
            Version::V2 => Self {
                usage: [name(".rsvd.current"), name(".current")],
                most: None,
                failures: vec![name(".events")],
                label: label.to_owned(),
            },
        }
    }
}

/// As the kernel's `mem_fmt` writes sizes.
fn label(kib: u64) -> String {
    match kib {
        kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
        kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
        kib => format!("{kib}KB"),
    }
}

pub(crate) fn collect(reading: &mut Reading<'_, '_>, sizes: &Sizes) {
    let is_v2 = sizes.made_for == Some(Version::V2);
    for size in &sizes.all {
        let labels = &[("pagesize", size.label.as_str())];
        let Some(usage) = first(reading, &size.usage, cgroup::number) else { continue };
        reading.put(Metric::HugetlbUsage, labels, usage as f64);
        if let Some(most) = size.most.as_ref().and_then(|files| first(reading, files, cgroup::number)) {
            reading.put(Metric::HugetlbMaxUsage, labels, most as f64);
        } else if is_v2 && reading.has(Quirk::ZeroesOnV2) {
            reading.put(Metric::HugetlbMaxUsage, labels, 0.0);
        }
        let count = |text: &[u8]| if is_v2 { cgroup::value_of(text, b"max") } else { cgroup::number(text) };
        if let Some(failures) = first(reading, &size.failures, count) {
            reading.put(Metric::HugetlbFailures, labels, failures as f64);
        }
    }
}

fn first(reading: &mut Reading<'_, '_>, files: &[Named], parse: impl Fn(&[u8]) -> Option<u64>) -> Option<u64> {
    files.iter().find_map(|file| reading.read_named(*file).and_then(&parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_kernels() {
        assert_eq!([64, 2048, 32768, 1_048_576, 16_777_216].map(label), ["64KB", "2MB", "32MB", "1GB", "16GB"]);
    }
}
