//! Kernel and host names, from `uname(2)`.

use agent_exposition::{Kind, Page};
use rustix::system::uname;

use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "uname",
    help: "Names and versions of kernel and host.",
    default_on: true,
    flags: &[],
    build: |_| Ok(Box::new(Uname)),
};

struct Uname;

impl Collector for Uname {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let uname = uname();
        let family = page.family("node_uname_info", "Names and versions of kernel and host, as labels.", Kind::Gauge);
        let labels = [
            ("domainname", uname.domainname().to_string_lossy()),
            ("machine", uname.machine().to_string_lossy()),
            ("nodename", uname.nodename().to_string_lossy()),
            ("release", uname.release().to_string_lossy()),
            ("sysname", uname.sysname().to_string_lossy()),
            ("version", uname.version().to_string_lossy()),
        ];
        page.sample(family, &labels.each_ref().map(|(name, value)| (*name, &**value)), 1.0);
        Ok(Outcome::Collected)
    }
}
