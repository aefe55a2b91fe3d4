//! The families of the collector netclass: the file below `/sys/class/net/NAME` that each comes from, and what
//! rtnetlink says instead of the file.

use agent_procfs::rtnetlink::{DORMANT, Link, UP};

use crate::attributes::Row;

/// Where a family's value comes from when rtnetlink is asked.
pub(crate) enum Origin {
    /// What rtnetlink says; `None` means that the kernel has the file, but it cannot be read in the device's state.
    Link(fn(&Link) -> Option<f64>),
    /// What rtnetlink may say; the file where it does not.
    LinkOrFile(fn(&Link) -> Option<f64>),
    /// The file, which does not change as long as the device has its name and address.
    FixedFile,
    /// The file.
    File,
}

/// How fast the line is. `-1` is what the kernel says where it does not know.
pub(crate) const SPEED: Row =
    gauge("speed", "node_network_speed_bytes", "Speed of the line, per second.").times(1_000_000.0 / 8.0);

/// Every family with a number.
pub(crate) const COLUMNS: &[(Row, Origin)] = &[
    (
        gauge("addr_assign_type", "node_network_address_assign_type", "How the device got its hardware address."),
        Origin::FixedFile,
    ),
    (
        gauge("carrier", "node_network_carrier", "1 if there is a carrier."),
        Origin::Link(|link| link.carrier.filter(|_| is_up(link)).map(|on| f64::from(u8::from(on)))),
    ),
    (
        counter("carrier_changes", "node_network_carrier_changes_total", "How often the carrier came or went."),
        Origin::Link(|link| link.carrier_changes.map(f64::from)),
    ),
    (
        counter("carrier_down_count", "node_network_carrier_down_changes_total", "How often the carrier went."),
        Origin::Link(|link| link.carrier_down.map(f64::from)),
    ),
    (
        counter("carrier_up_count", "node_network_carrier_up_changes_total", "How often the carrier came."),
        Origin::Link(|link| link.carrier_up.map(f64::from)),
    ),
    (gauge("dev_id", "node_network_device_id", "Number that tells devices of one address apart."), Origin::FixedFile),
    (
        gauge("dormant", "node_network_dormant", "1 if the device waits for something else, such as its key."),
        Origin::Link(|link| is_up(link).then(|| f64::from(u8::from(link.flags & DORMANT != 0)))),
    ),
    (
        gauge("flags", "node_network_flags", "Flags of the device, bit by bit."),
        Origin::LinkOrFile(|link| link.device_flags().map(f64::from)),
    ),
    (gauge("ifindex", "node_network_iface_id", "Number of the device."), Origin::Link(|link| Some(link.index.into()))),
    (
        gauge("iflink", "node_network_iface_link", "Number of the device below this one, or its own."),
        // The kernel leaves it out where it is the device's own.
        Origin::Link(|link| Some(link.below.unwrap_or(link.index).into())),
    ),
    (
        gauge("link_mode", "node_network_iface_link_mode", "0 for a usual device, 1 for one that begins dormant."),
        Origin::Link(|link| link.link_mode.map(f64::from)),
    ),
    (gauge("mtu", "node_network_mtu_bytes", "Largest packet."), Origin::Link(|link| link.mtu.map(f64::from))),
    (gauge("name_assign_type", "node_network_name_assign_type", "How the device got its name."), Origin::FixedFile),
    (
        gauge("netdev_group", "node_network_net_dev_group", "Number of the group that the device is in."),
        Origin::Link(|link| link.group.map(f64::from)),
    ),
    (
        gauge("type", "node_network_protocol_type", "What kind of hardware address the device has."),
        Origin::Link(|link| Some(link.kind.into())),
    ),
    (SPEED, Origin::File),
    (
        gauge("tx_queue_len", "node_network_transmit_queue_length", "Most packets that wait to be sent."),
        Origin::Link(|link| link.queue_length.map(f64::from)),
    ),
];

const fn gauge(file: &'static str, family: &'static str, help: &'static str) -> Row {
    Row::gauge(file, family, help)
}

const fn counter(file: &'static str, family: &'static str, help: &'static str) -> Row {
    Row::counter(file, family, help)
}

/// What files say in words and rtnetlink in other ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) address: String,
    pub(crate) admin_state: &'static str,
    pub(crate) broadcast: String,
    pub(crate) alias: String,
    pub(crate) operational_state: String,
}

impl Words {
    /// What rtnetlink says, in the words of the files.
    pub(crate) fn of(link: &Link) -> Self {
        Self {
            address: link.address.as_deref().map(hardware_address).unwrap_or_default(),
            admin_state: admin_state(Some(is_up(link))),
            broadcast: link.broadcast.as_deref().map(hardware_address).unwrap_or_default(),
            alias: link.alias.clone().unwrap_or_default(),
            operational_state: link.operational_state.map(operational_state).unwrap_or_default().to_owned(),
        }
    }
}

/// Whether the administrator wants the device to work.
pub(crate) fn admin_state(is_up: Option<bool>) -> &'static str {
    match is_up {
        Some(true) => "up",
        Some(false) => "down",
        None => "unknown",
    }
}

fn is_up(link: &Link) -> bool {
    link.flags & UP != 0
}

/// A hardware address as the files have it.
pub(crate) fn hardware_address(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// The word for `IF_OPER_*`.
fn operational_state(state: u8) -> &'static str {
    const STATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];
    STATES.get(usize::from(state)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_the_files_have_them() {
        assert_eq!(hardware_address(&[0x02, 0x42, 0xac, 0x11, 0, 0x0f]), "02:42:ac:11:00:0f");
        assert_eq!(hardware_address(&[]), "");
        assert_eq!((operational_state(6), operational_state(0), operational_state(7)), ("up", "unknown", ""));
    }
}
