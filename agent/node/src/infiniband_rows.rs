//! The counters of an InfiniBand port: files below `/sys/class/infiniband/DEVICE/ports/PORT`, and the families they
//! become. Data is counted in words of four bytes.

use crate::attributes::Row;

/// Every counter. Which ones a port has depends on its maker.
pub(crate) const COUNTERS: &[Row] = &[
    counter(
        "hw_counters/duplicate_request",
        "node_infiniband_duplicate_requests_packets_total",
        "Requests that had come before.",
    ),
    counter(
        "counters/excessive_buffer_overrun_errors",
        "node_infiniband_excessive_buffer_overrun_errors_total",
        "Overruns of the buffer in a row.",
    ),
    counter(
        "hw_counters/implied_nak_seq_err",
        "node_infiniband_implied_nak_seq_errors_total",
        "Acknowledgements that skipped others.",
    ),
    counter(
        "counters_ext/port_rcv_data_64",
        "node_infiniband_legacy_data_received_bytes_total",
        "Bytes received, as the older counters have it.",
    )
    .times(4.0),
    counter(
        "counters_ext/port_xmit_data_64",
        "node_infiniband_legacy_data_transmitted_bytes_total",
        "Bytes sent, as the older counters have it.",
    )
    .times(4.0),
    counter(
        "counters_ext/port_multicast_rcv_packets",
        "node_infiniband_legacy_multicast_packets_received_total",
        "Multicast packets received, as the older counters have it.",
    ),
    counter(
        "counters_ext/port_multicast_xmit_packets",
        "node_infiniband_legacy_multicast_packets_transmitted_total",
        "Multicast packets sent, as the older counters have it.",
    ),
    counter(
        "counters_ext/port_rcv_packets_64",
        "node_infiniband_legacy_packets_received_total",
        "Packets received, as the older counters have it.",
    ),
    counter(
        "counters_ext/port_xmit_packets_64",
        "node_infiniband_legacy_packets_transmitted_total",
        "Packets sent, as the older counters have it.",
    ),
    counter(
        "counters_ext/port_unicast_rcv_packets",
        "node_infiniband_legacy_unicast_packets_received_total",
        "Unicast packets received, as the older counters have it.",
    ),
    counter(
        "counters_ext/port_unicast_xmit_packets",
        "node_infiniband_legacy_unicast_packets_transmitted_total",
        "Unicast packets sent, as the older counters have it.",
    ),
    gauge(
        "hw_counters/lifespan",
        "node_infiniband_lifespan_seconds",
        "How long the hardware counters are kept until they are read anew.",
    )
    .over(1000.0),
    counter("counters/link_downed", "node_infiniband_link_downed_total", "How often the link went down."),
    counter(
        "counters/link_error_recovery",
        "node_infiniband_link_error_recovery_total",
        "How often the link recovered from an error.",
    ),
    counter(
        "hw_counters/local_ack_timeout_err",
        "node_infiniband_local_ack_timeout_errors_total",
        "Packets that were not acknowledged in time.",
    ),
    counter(
        "counters/local_link_integrity_errors",
        "node_infiniband_local_link_integrity_errors_total",
        "Errors of the link beyond what is allowed.",
    ),
    counter(
        "counters/multicast_rcv_packets",
        "node_infiniband_multicast_packets_received_total",
        "Multicast packets received.",
    ),
    counter(
        "counters/multicast_xmit_packets",
        "node_infiniband_multicast_packets_transmitted_total",
        "Multicast packets sent.",
    ),
    counter(
        "hw_counters/np_cnp_sent",
        "node_infiniband_np_cnp_packets_sent_total",
        "Notifications of congestion sent.",
    ),
    counter(
        "hw_counters/np_ecn_marked_roce_packets",
        "node_infiniband_np_ecn_marked_roce_packets_received_total",
        "Packets received that were marked for congestion.",
    ),
    counter(
        "hw_counters/out_of_buffer",
        "node_infiniband_out_of_buffer_drops_total",
        "Packets dropped for want of a buffer.",
    ),
    counter(
        "hw_counters/out_of_sequence",
        "node_infiniband_out_of_sequence_packets_received_total",
        "Packets received out of order.",
    ),
    counter(
        "hw_counters/packet_seq_err",
        "node_infiniband_packet_sequence_errors_total",
        "Packets reported missing by the other end.",
    ),
    counter(
        "counters/port_rcv_constraint_errors",
        "node_infiniband_port_constraint_errors_received_total",
        "Packets received that the port does not allow.",
    ),
    counter(
        "counters/port_xmit_constraint_errors",
        "node_infiniband_port_constraint_errors_transmitted_total",
        "Packets not sent because the port does not allow them.",
    ),
    counter("counters/port_rcv_data", "node_infiniband_port_data_received_bytes_total", "Bytes received.").times(4.0),
    counter("counters/port_xmit_data", "node_infiniband_port_data_transmitted_bytes_total", "Bytes sent.").times(4.0),
    counter(
        "counters/port_rcv_discards",
        "node_infiniband_port_discards_received_total",
        "Packets received and dropped.",
    ),
    counter(
        "counters/port_xmit_discards",
        "node_infiniband_port_discards_transmitted_total",
        "Packets dropped instead of sent.",
    ),
    counter(
        "counters/port_rcv_errors",
        "node_infiniband_port_errors_received_total",
        "Packets received with an error.",
    ),
    counter("counters/port_rcv_packets", "node_infiniband_port_packets_received_total", "Packets received."),
    counter("counters/port_xmit_packets", "node_infiniband_port_packets_transmitted_total", "Packets sent."),
    counter(
        "counters/port_rcv_remote_physical_errors",
        "node_infiniband_port_receive_remote_physical_errors_total",
        "Packets received that the other end marked as bad.",
    ),
    counter(
        "counters/port_rcv_switch_relay_errors",
        "node_infiniband_port_receive_switch_relay_errors_total",
        "Packets received that could not be passed on.",
    ),
    counter(
        "counters/port_xmit_wait",
        "node_infiniband_port_transmit_wait_total",
        "Ticks in which data waited and could not be sent.",
    ),
    counter("hw_counters/req_cqe_error", "node_infiniband_req_cqes_errors_total", "Requests that failed."),
    counter("hw_counters/req_cqe_flush_error", "node_infiniband_req_cqes_flush_errors_total", "Requests thrown away."),
    counter(
        "hw_counters/req_remote_access_errors",
        "node_infiniband_req_remote_access_errors_total",
        "Requests refused by the other end for their access.",
    ),
    counter(
        "hw_counters/req_remote_invalid_request",
        "node_infiniband_req_remote_invalid_request_errors_total",
        "Requests refused by the other end as wrong.",
    ),
    counter("hw_counters/resp_cqe_error", "node_infiniband_resp_cqes_errors_total", "Answers that failed."),
    counter("hw_counters/resp_cqe_flush_error", "node_infiniband_resp_cqes_flush_errors_total", "Answers thrown away."),
    counter(
        "hw_counters/resp_local_length_error",
        "node_infiniband_resp_local_length_errors_total",
        "Answers of a wrong length.",
    ),
    counter(
        "hw_counters/resp_remote_access_errors",
        "node_infiniband_resp_remote_access_errors_total",
        "Answers refused for their access.",
    ),
    counter(
        "hw_counters/rnr_nak_retry_err",
        "node_infiniband_rnr_nak_retry_packets_received_total",
        "Packets received that say that the other end is not ready.",
    ),
    counter(
        "hw_counters/roce_adp_retrans_to",
        "node_infiniband_roce_adp_retransmits_timeout_total",
        "Timeouts of adaptive sending.",
    ),
    counter(
        "hw_counters/roce_adp_retrans",
        "node_infiniband_roce_adp_retransmits_total",
        "Packets sent again, adaptively.",
    ),
    counter(
        "hw_counters/roce_slow_restart_cnps",
        "node_infiniband_roce_slow_restart_cnps_total",
        "Notifications of congestion made while sending slowly.",
    ),
    counter(
        "hw_counters/roce_slow_restart_trans",
        "node_infiniband_roce_slow_restart_total",
        "How often sending went on slowly.",
    ),
    counter(
        "hw_counters/roce_slow_restart",
        "node_infiniband_roce_slow_restart_used_total",
        "How often sending slowly was used.",
    ),
    counter(
        "hw_counters/rp_cnp_ignored",
        "node_infiniband_rp_cnp_ignored_packets_received_total",
        "Notifications of congestion received and ignored.",
    ),
    counter(
        "hw_counters/rp_cnp_handled",
        "node_infiniband_rp_cnp_packets_handled_total",
        "Notifications of congestion received and heeded.",
    ),
    counter("hw_counters/rx_atomic_requests", "node_infiniband_rx_atomic_requests_total", "Atomic requests received."),
    counter(
        "hw_counters/rx_dct_connect",
        "node_infiniband_rx_dct_connect_requests_total",
        "Requests to connect received.",
    ),
    counter(
        "hw_counters/rx_icrc_encapsulated",
        "node_infiniband_rx_icrc_encapsulated_errors_total",
        "Packets received with a wrong checksum inside.",
    ),
    counter("hw_counters/rx_read_requests", "node_infiniband_rx_read_requests_total", "Requests to read received."),
    counter("hw_counters/rx_write_requests", "node_infiniband_rx_write_requests_total", "Requests to write received."),
    counter("counters/symbol_error", "node_infiniband_symbol_error_total", "Small errors of the link."),
    counter(
        "counters/unicast_rcv_packets",
        "node_infiniband_unicast_packets_received_total",
        "Unicast packets received.",
    ),
    counter(
        "counters/unicast_xmit_packets",
        "node_infiniband_unicast_packets_transmitted_total",
        "Unicast packets sent.",
    ),
    counter("counters/VL15_dropped", "node_infiniband_vl15_dropped_total", "Management packets dropped."),
];

const fn gauge(file: &'static str, family: &'static str, help: &'static str) -> Row {
    Row::gauge(file, family, help)
}

const fn counter(file: &'static str, family: &'static str, help: &'static str) -> Row {
    Row::counter(file, family, help)
}
