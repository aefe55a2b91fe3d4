//! Flaws of the CPU and what is done about them, from `/sys/devices/system/cpu/vulnerabilities`.

use std::path::{Path, PathBuf};

use agent_exposition::{Kind, Page};
use agent_procfs::Error;
use agent_procfs::vulnerability::{self, State};

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec, directory};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "cpu_vulnerabilities",
    help: "Flaws of the CPU and what is done about them.",
    default_on: false,
    flags: &[],
    build: |context| {
        let directory = context.root.sys("devices/system/cpu/vulnerabilities");
        Ok(Box::new(CpuVulnerabilities { directory, files: None }))
    },
};

struct CpuVulnerabilities {
    directory: PathBuf,
    /// By name; which flaws there are is decided when the kernel is built. What is done about them changes with SMT
    /// and microcode.
    files: Option<Vec<(Source, String)>>,
}

impl Collector for CpuVulnerabilities {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let files = match &mut self.files {
            Some(files) => files,
            None => self.files.insert(list(&self.directory)?),
        };
        let help = "1 for each flaw, with its state and what is done about it.";
        let family = page.family("node_cpu_vulnerabilities_info", help, Kind::Gauge);
        for (file, name) in files.iter_mut() {
            let flaw = file.parse(vulnerability::parse)?;
            let state = match flaw.state {
                State::NotAffected => "not affected",
                State::Vulnerable => "vulnerable",
                State::Mitigated => "mitigation",
                State::Unknown => "unknown",
            };
            page.sample(family, &[("codename", name), ("mitigation", flaw.mitigation), ("state", state)], 1.0);
        }
        Ok(if files.is_empty() { Outcome::Nothing } else { Outcome::Collected })
    }
}

/// The files in order of their names; none where the kernel does not know the directory.
fn list(directory: &Path) -> Result<Vec<(Source, String)>, Error> {
    let with_file = |name: String| (Source::new(directory.join(&name)), name);
    Ok(directory::names(directory)?.into_iter().map(with_file).collect())
}
