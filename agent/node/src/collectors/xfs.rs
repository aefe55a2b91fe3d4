//! What XFS file systems have done, from `/sys/fs/xfs`.

use agent_exposition::{Kind, Page};
use agent_procfs::counter_lines;

use crate::devices::Devices;
use crate::source::Source;
use crate::xfs_counters::COUNTERS;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "xfs",
    help: "What XFS file systems have done.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Xfs { devices: Devices::new(context.root.sys("fs/xfs")) })),
};

struct Xfs {
    devices: Devices<Source>,
}

impl Collector for Xfs {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        // The counters of all file systems together are in a directory beside those of the devices.
        self.devices
            .refresh(|name, directory| (name != "stats").then(|| Source::new(directory.join("stats/stats"))))?;
        let mut outcome = Outcome::Nothing;
        for (device, file) in self.devices.iter_mut() {
            // One that was unmounted meanwhile costs itself.
            let Ok(lines) = file.parse_lossy(|bytes| Ok(counter_lines::parse(bytes))) else { continue };
            outcome = Outcome::Collected;
            for (line, place, name, help) in COUNTERS {
                if let Some(value) = counter_lines::find(&lines, line).get(*place) {
                    let family = page.family(*name, *help, Kind::Counter);
                    page.sample(family, &[("device", device)], *value as f64);
                }
            }
        }
        Ok(outcome)
    }
}
