//! Errors of memory, from `/sys/devices/system/edac/mc`.

use std::path::Path;
use std::sync::Arc;

use agent_exposition::Page;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::directory::{self, number_after};
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "edac",
    help: "Errors of memory.",
    default_on: true,
    flags: &[],
    build: |context| {
        let controllers = Devices::new(context.root.sys("devices/system/edac/mc"));
        Ok(Box::new(Edac { controllers, descriptors: Arc::clone(&context.descriptors) }))
    },
};

const CONTROLLER: &[Row] = &[
    Row::counter("ce_count", "node_edac_correctable_errors_total", "Errors that were corrected."),
    Row::counter("ue_count", "node_edac_uncorrectable_errors_total", "Errors that could not be corrected."),
];

const CORRECTED: &str = "node_edac_csrow_correctable_errors_total";
const CORRECTED_HELP: &str = "Errors that were corrected, by row.";
const UNCORRECTED: &str = "node_edac_csrow_uncorrectable_errors_total";
const UNCORRECTED_HELP: &str = "Errors that could not be corrected, by row.";

/// Errors of a row that is not known.
const UNKNOWN_ROW: &[Row] = &[
    Row::counter("ce_noinfo_count", CORRECTED, CORRECTED_HELP),
    Row::counter("ue_noinfo_count", UNCORRECTED, UNCORRECTED_HELP),
];

const ROW: &[Row] =
    &[Row::counter("ce_count", CORRECTED, CORRECTED_HELP), Row::counter("ue_count", UNCORRECTED, UNCORRECTED_HELP)];

const CHANNEL_CORRECTED: Row = Row::counter(
    "ce_count",
    "node_edac_channel_correctable_errors_total",
    "Errors that were corrected, by channel of a row.",
);
const CHANNEL_UNCORRECTED: Row = Row::counter(
    "ue_count",
    "node_edac_channel_uncorrectable_errors_total",
    "Errors that could not be corrected, by channel of a row.",
);

struct Edac {
    controllers: Devices<Controller>,
    descriptors: Arc<Descriptors>,
}

/// A memory controller. Its rows are found when the driver is loaded, and are looked for once.
struct Controller {
    number: String,
    attributes: Attributes,
    rows: Vec<MemoryRow>,
}

struct MemoryRow {
    number: String,
    attributes: Attributes,
    channels: Vec<Channel>,
}

struct Channel {
    number: String,
    label: String,
}

impl Collector for Edac {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.controllers.refresh(|name, directory| {
            let number = number_after("mc", name)?.to_owned();
            let rows = numbers_in(&directory, "csrow", "").into_iter();
            let rows = rows.map(|number| MemoryRow::open(&directory, number, descriptors)).collect();
            Some(Controller { number, attributes: Attributes::new(directory, descriptors), rows })
        })?;
        let mut outcome = Outcome::Nothing;
        for (_, controller) in self.controllers.iter_mut() {
            outcome = Outcome::Collected;
            controller.add(page);
        }
        Ok(outcome)
    }
}

impl Controller {
    fn add(&mut self, page: &mut Page) {
        let controller = ("controller", self.number.as_str());
        Row::add_all(CONTROLLER, &mut self.attributes, &[controller], page);
        Row::add_all(UNKNOWN_ROW, &mut self.attributes, &[controller, ("csrow", "unknown")], page);
        for row in &mut self.rows {
            Row::add_all(ROW, &mut row.attributes, &[controller, ("csrow", &row.number)], page);
            for channel in &row.channels {
                let labels = [
                    ("channel", channel.number.as_str()),
                    controller,
                    ("csrow", &row.number),
                    ("dimm_label", &channel.label),
                ];
                for family in [&CHANNEL_CORRECTED, &CHANNEL_UNCORRECTED] {
                    let file = format!("ch{}_{}", channel.number, family.file());
                    if let Some(value) = row.attributes.number(&file) {
                        family.add(page, &labels, value);
                    }
                }
            }
        }
    }
}

impl MemoryRow {
    fn open(controller: &Path, number: String, descriptors: &Arc<Descriptors>) -> Self {
        let directory = controller.join(format!("csrow{number}"));
        let numbers = numbers_in(&directory, "ch", "_ce_count");
        let mut attributes = Attributes::new(directory, descriptors);
        let mut channel = |number: String| {
            let label = attributes.text(&format!("ch{number}_dimm_label"));
            Channel { label: label.map_or_else(|| "unknown".to_owned(), |label| words_apart(&label)), number }
        };
        Self { channels: numbers.into_iter().map(&mut channel).collect(), number, attributes }
    }
}

/// What the board calls a memory module, in node_exporter's spelling: `mc#0csrow#1` is `mc0_csrow1`.
fn words_apart(label: &str) -> String {
    label.replace('#', "").replace("csrow", "_csrow").replace("channel", "_channel")
}

/// The numbers between the prefix and the suffix in the names in a directory, in order.
fn numbers_in(directory: &Path, prefix: &str, suffix: &str) -> Vec<String> {
    let names = directory::names(directory).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| number_after(prefix, name.strip_suffix(suffix)?));
    numbers.map(str::to_owned).collect()
}
