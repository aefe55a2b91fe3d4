//! The columns of the collector netdev: names of families, what they mean, and which counters make them up.

use agent_procfs::netdev::{RECEIVE, TRANSMIT};
use agent_procfs::rtnetlink::Counter;

/// What a family of network devices means.
pub(crate) fn help(name: &str) -> &'static str {
    HELP.iter().find(|(known, _)| *known == name).map_or("A counter of network devices.", |(_, help)| help)
}

/// What makes up each column of `/proc/net/dev`, as the kernel sums them there, and one column that is not there.
pub(crate) const SUMS: &[(&str, &[Counter])] = &[
    ("node_network_receive_bytes_total", &[Counter::RxBytes]),
    ("node_network_receive_compressed_total", &[Counter::RxCompressed]),
    ("node_network_receive_drop_total", &[Counter::RxDropped, Counter::RxMissedErrors]),
    ("node_network_receive_errs_total", &[Counter::RxErrors]),
    ("node_network_receive_fifo_total", &[Counter::RxFifoErrors]),
    (
        "node_network_receive_frame_total",
        &[Counter::RxFrameErrors, Counter::RxLengthErrors, Counter::RxOverErrors, Counter::RxCrcErrors],
    ),
    ("node_network_receive_multicast_total", &[Counter::Multicast]),
    ("node_network_receive_nohandler_total", &[Counter::RxNohandler]),
    ("node_network_receive_packets_total", &[Counter::RxPackets]),
    ("node_network_transmit_bytes_total", &[Counter::TxBytes]),
    (
        "node_network_transmit_carrier_total",
        &[Counter::TxCarrierErrors, Counter::TxAbortedErrors, Counter::TxHeartbeatErrors, Counter::TxWindowErrors],
    ),
    ("node_network_transmit_colls_total", &[Counter::Collisions]),
    ("node_network_transmit_compressed_total", &[Counter::TxCompressed]),
    ("node_network_transmit_drop_total", &[Counter::TxDropped]),
    ("node_network_transmit_errs_total", &[Counter::TxErrors]),
    ("node_network_transmit_fifo_total", &[Counter::TxFifoErrors]),
    ("node_network_transmit_packets_total", &[Counter::TxPackets]),
];

/// The kernel's counters one by one.
pub(crate) const DETAILED: &[(&str, &[Counter])] = &[
    ("node_network_collisions_total", &[Counter::Collisions]),
    ("node_network_multicast_total", &[Counter::Multicast]),
    ("node_network_receive_bytes_total", &[Counter::RxBytes]),
    ("node_network_receive_compressed_total", &[Counter::RxCompressed]),
    ("node_network_receive_crc_errors_total", &[Counter::RxCrcErrors]),
    ("node_network_receive_dropped_total", &[Counter::RxDropped]),
    ("node_network_receive_errors_total", &[Counter::RxErrors]),
    ("node_network_receive_fifo_errors_total", &[Counter::RxFifoErrors]),
    ("node_network_receive_frame_errors_total", &[Counter::RxFrameErrors]),
    ("node_network_receive_length_errors_total", &[Counter::RxLengthErrors]),
    ("node_network_receive_missed_errors_total", &[Counter::RxMissedErrors]),
    ("node_network_receive_nohandler_total", &[Counter::RxNohandler]),
    ("node_network_receive_over_errors_total", &[Counter::RxOverErrors]),
    ("node_network_receive_packets_total", &[Counter::RxPackets]),
    ("node_network_transmit_aborted_errors_total", &[Counter::TxAbortedErrors]),
    ("node_network_transmit_bytes_total", &[Counter::TxBytes]),
    ("node_network_transmit_carrier_errors_total", &[Counter::TxCarrierErrors]),
    ("node_network_transmit_compressed_total", &[Counter::TxCompressed]),
    ("node_network_transmit_dropped_total", &[Counter::TxDropped]),
    ("node_network_transmit_errors_total", &[Counter::TxErrors]),
    ("node_network_transmit_fifo_errors_total", &[Counter::TxFifoErrors]),
    ("node_network_transmit_heartbeat_errors_total", &[Counter::TxHeartbeatErrors]),
    ("node_network_transmit_packets_total", &[Counter::TxPackets]),
    ("node_network_transmit_window_errors_total", &[Counter::TxWindowErrors]),
];

/// The columns of `/proc/net/dev` in their order.
pub(crate) const FILE: &[&str; RECEIVE.len() + TRANSMIT.len()] = &[
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// The same columns under the names of the single counters.
pub(crate) const DETAILED_FILE: &[&str; RECEIVE.len() + TRANSMIT.len()] = &[
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errors_total",
    "node_network_receive_dropped_total",
    "node_network_receive_fifo_errors_total",
    "node_network_receive_frame_errors_total",
    "node_network_receive_compressed_total",
    "node_network_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errors_total",
    "node_network_transmit_dropped_total",
    "node_network_transmit_fifo_errors_total",
    "node_network_collisions_total",
    "node_network_transmit_carrier_errors_total",
    "node_network_transmit_compressed_total",
];

const HELP: &[(&str, &str)] = &[
    ("node_network_collisions_total", "Collisions seen while sending."),
    ("node_network_multicast_total", "Multicast packets received."),
    ("node_network_receive_bytes_total", "Bytes received."),
    ("node_network_receive_compressed_total", "Compressed packets received."),
    ("node_network_receive_crc_errors_total", "Packets received with a wrong checksum."),
    ("node_network_receive_drop_total", "Packets received and dropped."),
    ("node_network_receive_dropped_total", "Packets received and dropped for want of room."),
    ("node_network_receive_errors_total", "Packets received with an error."),
    ("node_network_receive_errs_total", "Packets received with an error."),
    ("node_network_receive_fifo_errors_total", "Overruns of the receiving queue."),
    ("node_network_receive_fifo_total", "Overruns of the receiving queue."),
    ("node_network_receive_frame_errors_total", "Packets received with a wrong frame."),
    ("node_network_receive_frame_total", "Packets received with a wrong frame, length or checksum."),
    ("node_network_receive_length_errors_total", "Packets received with a wrong length."),
    ("node_network_receive_missed_errors_total", "Packets that the device had no room for."),
    ("node_network_receive_multicast_total", "Multicast packets received."),
    ("node_network_receive_nohandler_total", "Packets received that nobody wanted."),
    ("node_network_receive_over_errors_total", "Overruns of the receiving ring."),
    ("node_network_receive_packets_total", "Packets received."),
    ("node_network_transmit_aborted_errors_total", "Sending given up by the device."),
    ("node_network_transmit_bytes_total", "Bytes sent."),
    ("node_network_transmit_carrier_errors_total", "Losses of the carrier while sending."),
    ("node_network_transmit_carrier_total", "Losses of the carrier and other failures of the line while sending."),
    ("node_network_transmit_colls_total", "Collisions seen while sending."),
    ("node_network_transmit_compressed_total", "Compressed packets sent."),
    ("node_network_transmit_drop_total", "Packets dropped instead of sent."),
    ("node_network_transmit_dropped_total", "Packets dropped instead of sent."),
    ("node_network_transmit_errors_total", "Packets not sent because of an error."),
    ("node_network_transmit_errs_total", "Packets not sent because of an error."),
    ("node_network_transmit_fifo_errors_total", "Overruns of the sending queue."),
    ("node_network_transmit_fifo_total", "Overruns of the sending queue."),
    ("node_network_transmit_heartbeat_errors_total", "Missing heartbeats of the line."),
    ("node_network_transmit_packets_total", "Packets sent."),
    ("node_network_transmit_window_errors_total", "Late collisions while sending."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_help() {
        let tables = SUMS.iter().chain(DETAILED).map(|(name, _)| name);
        for name in tables.chain(FILE).chain(DETAILED_FILE) {
            assert!(HELP.iter().any(|(known, _)| known == name), "{name}");
        }
    }
}
