//! Fibre Channel adapters, from `/sys/class/fc_host`.

use std::sync::Arc;

use agent_exposition::{Kind, Page};

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "fibrechannel",
    help: "Fibre Channel adapters.",
    default_on: true,
    flags: &[],
    build: |context| {
        let hosts = Devices::new(context.root.sys("class/fc_host"));
        Ok(Box::new(Fibrechannel { hosts, descriptors: Arc::clone(&context.descriptors) }))
    },
};

const STATISTICS: &[Row] = &[
    Row::counter("statistics/dumped_frames", "node_fibrechannel_dumped_frames_total", "Frames thrown away."),
    Row::counter("statistics/error_frames", "node_fibrechannel_error_frames_total", "Frames with an error."),
    Row::counter("statistics/fcp_packet_aborts", "node_fibrechannel_fcp_packet_aborts_total", "Packets given up."),
    Row::counter(
        "statistics/invalid_crc_count",
        "node_fibrechannel_invalid_crc_total",
        "Frames with a wrong checksum.",
    ),
    Row::counter("statistics/invalid_tx_word_count", "node_fibrechannel_invalid_tx_words_total", "Words sent wrongly."),
    Row::counter("statistics/link_failure_count", "node_fibrechannel_link_failure_total", "Failures of the link."),
    Row::counter("statistics/loss_of_signal_count", "node_fibrechannel_loss_of_signal_total", "Losses of the signal."),
    Row::counter("statistics/loss_of_sync_count", "node_fibrechannel_loss_of_sync_total", "Losses of synchronisation."),
    Row::counter("statistics/nos_count", "node_fibrechannel_nos_total", "Signals that the other end does not work."),
    Row::counter("statistics/rx_frames", "node_fibrechannel_rx_frames_total", "Frames received."),
    Row::counter("statistics/rx_words", "node_fibrechannel_rx_words_total", "Words of four bytes received."),
    Row::counter(
        "statistics/seconds_since_last_reset",
        "node_fibrechannel_seconds_since_last_reset_total",
        "Seconds since the counters began.",
    ),
    Row::counter("statistics/tx_frames", "node_fibrechannel_tx_frames_total", "Frames sent."),
    Row::counter("statistics/tx_words", "node_fibrechannel_tx_words_total", "Words of four bytes sent."),
];

/// What an adapter says where it does not count: all bits are set.
const NOT_COUNTED: f64 = u64::MAX as f64;

/// Files that become labels of the same name; `None` is the adapter's own name.
const LABELS: [Option<&str>; 11] = [
    Some("dev_loss_tmo"),
    Some("fabric_name"),
    None,
    Some("port_id"),
    Some("port_name"),
    Some("port_state"),
    Some("port_type"),
    Some("speed"),
    Some("supported_classes"),
    Some("supported_speeds"),
    Some("symbolic_name"),
];

struct Fibrechannel {
    hosts: Devices<Attributes>,
    descriptors: Arc<Descriptors>,
}

impl Collector for Fibrechannel {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let descriptors = &self.descriptors;
        self.hosts.refresh(|_, directory| Some(Attributes::new(directory, descriptors)))?;
        let mut outcome = Outcome::Nothing;
        for (name, host) in self.hosts.iter_mut() {
            outcome = Outcome::Collected;
            add_labels(page, name, host);
            for row in STATISTICS {
                if let Some(value) = host.number(row.file()).filter(|value| *value < NOT_COUNTED) {
                    row.add(page, &[("fc_host", name)], value);
                }
            }
        }
        Ok(outcome)
    }
}

fn add_labels(page: &mut Page, name: &str, host: &mut Attributes) {
    let texts = LABELS.map(|file| match file {
        Some(file) => (file, host.text(file).unwrap_or_default()),
        None => ("fc_host", name.to_owned()),
    });
    // Names and numbers are hexadecimal, and node_exporter shows them without the mark of it.
    let labels = texts.each_ref().map(|(label, text)| (*label, text.strip_prefix("0x").unwrap_or(text)));
    let family = page.family("node_fibrechannel_info", "What the adapter is, as labels.", Kind::Gauge);
    page.sample(family, &labels, 1.0);
}
