//! Network devices that are bonded together, from `/sys/class/net`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::attributes::{Attributes, Descriptors};
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "bonding",
    help: "Network devices that are bonded together.",
    default_on: true,
    flags: &[],
    build: |context| {
        let directory = context.root.sys("class/net");
        Ok(Box::new(Bonding {
            masters: Source::new(directory.join("bonding_masters")),
            directory,
            bonds: BTreeMap::new(),
            descriptors: Arc::clone(&context.descriptors),
        }))
    },
};

struct Bonding {
    /// Lists the bonds.
    masters: Source,
    directory: PathBuf,
    bonds: BTreeMap<String, Bond>,
    descriptors: Arc<Descriptors>,
}

struct Bond {
    /// The bond's members, as it lists them.
    members: Option<String>,
    attributes: Attributes,
}

impl Collector for Bonding {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let names = match self.masters.read() {
            Ok(content) => String::from_utf8_lossy(content),
            Err(error) if error.is_not_found() => return Ok(Outcome::Nothing),
            Err(error) => return Err(error.into()),
        };
        let names: BTreeSet<_> = names.split_ascii_whitespace().collect();
        self.bonds.retain(|name, _| names.contains(name.as_str()));
        let slaves = page.family("node_bonding_slaves", "Members of the bond.", Kind::Gauge);
        let active = page.family("node_bonding_active", "Members of the bond whose link is up.", Kind::Gauge);
        for name in names {
            let directory = self.directory.join(name);
            let open = || Bond { members: None, attributes: Attributes::new(directory, &self.descriptors) };
            // A bond that has vanished meanwhile costs itself.
            if let Some((count, up)) = self.bonds.entry(name.to_owned()).or_insert_with(open).count() {
                page.sample(slaves, &[("master", name)], f64::from(count));
                page.sample(active, &[("master", name)], f64::from(up));
            }
        }
        Ok(Outcome::Collected)
    }
}

impl Bond {
    /// How many members the bond has, and how many of them have a link.
    fn count(&mut self) -> Option<(u32, u32)> {
        let members = self.attributes.get("bonding/slaves", |text| Some(String::from_utf8_lossy(text).into_owned()))?;
        if self.members.as_ref().is_some_and(|known| *known != members) {
            // A member that was not there before may be now.
            self.attributes.forget();
        }
        let (mut count, mut up) = (0, 0);
        for member in members.split_ascii_whitespace() {
            // Kernels before 3.9 have the second name.
            let state = ["lower", "slave"]
                .iter()
                .find_map(|kind| self.attributes.text(&format!("{kind}_{member}/bonding_slave/mii_status")));
            count += u32::from(state.is_some());
            up += u32::from(state.as_deref() == Some("up"));
        }
        self.members = Some(members);
        Some((count, up))
    }
}
