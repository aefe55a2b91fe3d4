//! The numbers of a power supply: files below `/sys/class/power_supply/NAME`, and the families they become.

use crate::attributes::Row;

/// As they are.
pub(crate) const PLAIN: &[Row] = &[
    row("authentic", "node_power_supply_authentic", "1 if the supply is a genuine part."),
    row("calibrate", "node_power_supply_calibrate", "1 while the battery is calibrated."),
    row("capacity", "node_power_supply_capacity", "Charge of the battery, in percent."),
    row(
        "capacity_alert_max",
        "node_power_supply_capacity_alert_max",
        "Charge in percent above which the supply warns.",
    ),
    row(
        "capacity_alert_min",
        "node_power_supply_capacity_alert_min",
        "Charge in percent below which the supply warns.",
    ),
    row("cycle_count", "node_power_supply_cyclecount", "How often the battery was charged and emptied."),
    row(
        "online",
        "node_power_supply_online",
        "0 if the supply gives no power, 1 if it does, 2 if it does at a programmable voltage.",
    ),
    row("present", "node_power_supply_present", "1 if the supply is there."),
    row("time_to_empty_now", "node_power_supply_time_to_empty_seconds", "Time until the battery is empty."),
    row("time_to_full_now", "node_power_supply_time_to_full_seconds", "Time until the battery is full."),
];

/// In millionths: the kernel counts in µA, µV, µW, µAh and µWh.
pub(crate) const MILLIONTHS: &[Row] = &[
    millionths("charge_now", "node_power_supply_charge_ampere", "Charge of the battery, in ampere-hours."),
    millionths(
        "charge_control_limit",
        "node_power_supply_charge_control_limit",
        "Limit of the current of charging now, in amperes.",
    ),
    millionths(
        "charge_control_limit_max",
        "node_power_supply_charge_control_limit_max",
        "Highest limit of the current of charging, in amperes.",
    ),
    millionths(
        "charge_counter",
        "node_power_supply_charge_counter",
        "Charge gone through the battery, in ampere-hours.",
    ),
    millionths(
        "charge_empty",
        "node_power_supply_charge_empty",
        "Charge at which the battery counts as empty, in ampere-hours.",
    ),
    millionths(
        "charge_empty_design",
        "node_power_supply_charge_empty_design",
        "Charge at which the battery was made to count as empty, in ampere-hours.",
    ),
    millionths(
        "charge_full",
        "node_power_supply_charge_full",
        "Charge of the full battery when it was last full, in ampere-hours.",
    ),
    millionths(
        "charge_full_design",
        "node_power_supply_charge_full_design",
        "Charge of the full battery as made, in ampere-hours.",
    ),
    millionths(
        "charge_term_current",
        "node_power_supply_charge_term_current",
        "Current at which charging ends, in amperes.",
    ),
    millionths(
        "constant_charge_current",
        "node_power_supply_constant_charge_current",
        "Current of charging, in amperes.",
    ),
    millionths(
        "constant_charge_current_max",
        "node_power_supply_constant_charge_current_max",
        "Highest current of charging, in amperes.",
    ),
    millionths(
        "constant_charge_voltage",
        "node_power_supply_constant_charge_voltage",
        "Voltage of charging, in volts.",
    ),
    millionths(
        "constant_charge_voltage_max",
        "node_power_supply_constant_charge_voltage_max",
        "Highest voltage of charging, in volts.",
    ),
    millionths("current_now", "node_power_supply_current_ampere", "Current now, in amperes."),
    millionths("current_boot", "node_power_supply_current_boot", "Current at boot, in amperes."),
    millionths("current_max", "node_power_supply_current_max", "Highest current, in amperes."),
    millionths(
        "energy_empty",
        "node_power_supply_energy_empty",
        "Energy at which the battery counts as empty, in watt-hours.",
    ),
    millionths(
        "energy_empty_design",
        "node_power_supply_energy_empty_design",
        "Energy at which the battery was made to count as empty, in watt-hours.",
    ),
    millionths(
        "energy_full",
        "node_power_supply_energy_full",
        "Energy of the full battery when it was last full, in watt-hours.",
    ),
    millionths(
        "energy_full_design",
        "node_power_supply_energy_full_design",
        "Energy of the full battery as made, in watt-hours.",
    ),
    millionths("energy_now", "node_power_supply_energy_watthour", "Energy in the battery, in watt-hours."),
    millionths(
        "input_current_limit",
        "node_power_supply_input_current_limit",
        "Limit of the current that is taken in, in amperes.",
    ),
    millionths("power_now", "node_power_supply_power_watt", "Power now, in watts."),
    millionths(
        "precharge_current",
        "node_power_supply_precharge_current",
        "Current of charging while the battery is nearly empty, in amperes.",
    ),
    millionths("voltage_boot", "node_power_supply_voltage_boot", "Voltage at boot, in volts."),
    millionths("voltage_max", "node_power_supply_voltage_max", "Highest voltage, in volts."),
    millionths("voltage_max_design", "node_power_supply_voltage_max_design", "Highest voltage as made, in volts."),
    millionths("voltage_min", "node_power_supply_voltage_min", "Lowest voltage, in volts."),
    millionths("voltage_min_design", "node_power_supply_voltage_min_design", "Lowest voltage as made, in volts."),
    millionths("voltage_ocv", "node_power_supply_voltage_ocv", "Voltage without a load, in volts."),
    millionths("voltage_now", "node_power_supply_voltage_volt", "Voltage now, in volts."),
];

/// In tenths of a degree.
pub(crate) const TENTHS: &[Row] = &[
    tenths("temp_alert_max", "node_power_supply_temp_alert_max_celsius", "Temperature above which the supply warns."),
    tenths("temp_alert_min", "node_power_supply_temp_alert_min_celsius", "Temperature below which the supply warns."),
    tenths("temp_ambient", "node_power_supply_temp_ambient_celsius", "Temperature around the supply."),
    tenths(
        "temp_ambient_max",
        "node_power_supply_temp_ambient_max_celsius",
        "Highest temperature allowed around the supply.",
    ),
    tenths(
        "temp_ambient_min",
        "node_power_supply_temp_ambient_min_celsius",
        "Lowest temperature allowed around the supply.",
    ),
    tenths("temp", "node_power_supply_temp_celsius", "Temperature of the supply."),
    tenths("temp_max", "node_power_supply_temp_max_celsius", "Highest temperature allowed."),
    tenths("temp_min", "node_power_supply_temp_min_celsius", "Lowest temperature allowed."),
];

const fn row(file: &'static str, family: &'static str, help: &'static str) -> Row {
    Row::gauge(file, family, help)
}

const fn millionths(file: &'static str, family: &'static str, help: &'static str) -> Row {
    row(file, family, help).over(1e6)
}

const fn tenths(file: &'static str, family: &'static str, help: &'static str) -> Row {
    row(file, family, help).over(10.0)
}
