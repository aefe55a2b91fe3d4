//! Timers that restart the machine when it hangs, from `/sys/class/watchdog`.

use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "watchdog",
    help: "Timers that restart the machine when it hangs.",
    default_on: true,
    flags: &[],
    build: |context| {
        let watchdogs = Devices::new(context.root.sys("class/watchdog"));
        Ok(Box::new(Watchdog { watchdogs, descriptors: Arc::clone(&context.descriptors) }))
    },
};

const ROWS: &[Row] = &[
    Row::gauge("access_cs0", "node_watchdog_access_cs0", "1 if the machine has booted from its other memory."),
    Row::gauge("bootstatus", "node_watchdog_bootstatus", "Why the machine was started, bit by bit."),
    Row::gauge("fw_version", "node_watchdog_fw_version", "Version of the watchdog's firmware."),
    Row::gauge("nowayout", "node_watchdog_nowayout", "1 if the watchdog cannot be stopped once it runs."),
    Row::gauge("pretimeout", "node_watchdog_pretimeout_seconds", "How long before the restart the watchdog warns."),
    Row::gauge("timeleft", "node_watchdog_timeleft_seconds", "Time left until the restart."),
    Row::gauge("timeout", "node_watchdog_timeout_seconds", "How long the machine may hang until it is restarted."),
];

/// Files that become labels of the same name; `None` is the watchdog's own name.
const LABELS: [Option<&str>; 6] =
    [Some("identity"), None, Some("options"), Some("pretimeout_governor"), Some("state"), Some("status")];

struct Watchdog {
    watchdogs: Devices<Attributes>,
    descriptors: Arc<Descriptors>,
}

impl Collector for Watchdog {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.watchdogs.refresh(|_, directory| Some(Attributes::new(directory, descriptors)))?;
        let mut outcome = Outcome::Nothing;
        for (name, watchdog) in self.watchdogs.iter_mut() {
            outcome = Outcome::Collected;
            Row::add_all(ROWS, watchdog, &[("name", name)], page);
            let texts = LABELS.map(|file| match file {
                Some(file) => (file, watchdog.text(file).unwrap_or_default()),
                None => ("name", name.to_owned()),
            });
            let family = page.family("node_watchdog_info", "What the watchdog is, as labels.", Kind::Gauge);
            page.sample(family, &texts.each_ref().map(|(label, text)| (*label, text.as_str())), 1.0);
        }
        Ok(outcome)
    }
}
