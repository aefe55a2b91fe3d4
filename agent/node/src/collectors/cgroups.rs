//! The kernel's cgroup controllers, from `/proc/cgroups`.

use agent_exposition::{Kind, Page};
use agent_procfs::controllers;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "cgroups",
    help: "Cgroups by controller.",
    default_on: false,
    flags: &[],
    build: |context| Ok(Box::new(Cgroups { file: Source::new(context.root.proc("cgroups")) })),
};

struct Cgroups {
    file: Source,
}

impl Collector for Cgroups {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let controllers = match self.file.parse_lossy(|bytes| Ok(controllers::parse(bytes))) {
            Ok(controllers) => controllers,
            // A kernel without cgroups, or without those of version 1, does not have the file.
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        let cgroups = page.family("node_cgroups_cgroups", "Cgroups of a controller.", Kind::Gauge);
        let enabled = page.family("node_cgroups_enabled", "1 where the controller was left on at boot.", Kind::Gauge);
        for controller in &controllers {
            let labels = [("subsys_name", controller.name)];
            page.sample(cgroups, &labels, controller.cgroups as f64);
            page.sample(enabled, &labels, f64::from(u8::from(controller.enabled)));
        }
        Ok(if controllers.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}
