//! The sensors of a chip: which files it has, and which families they become.

use std::collections::BTreeMap;

use agent_exposition::Kind;

/// What a file of a sensor becomes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    /// Below the chip's directory.
    pub(crate) file: String,
    pub(crate) family: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    /// The label `sensor`.
    pub(crate) sensor: String,
    /// How many of the kernel's units make one of the metric's.
    pub(crate) divisor: f64,
}

/// A sensor, and the file of each of its properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sensor {
    /// Such as `temp`.
    kind: String,
    /// The file by property; the property is empty for a file that is named after the sensor alone.
    files: BTreeMap<String, String>,
}

/// Sorts files into sensors, by the sensors' names such as `temp1`. Later files take the place of earlier ones of the
/// same name in another directory. Others than those of sensors are left out.
pub(crate) fn sensors(files: impl IntoIterator<Item = String>) -> BTreeMap<String, Sensor> {
    let mut sensors: BTreeMap<String, Sensor> = BTreeMap::new();
    for file in files {
        let name = file.rsplit('/').next().unwrap_or_default();
        if let Some((kind, number, property)) = split(name) {
            let (kind, property) = (kind.to_owned(), property.to_owned());
            let sensor = sensors.entry(format!("{kind}{number}")).or_default();
            sensor.kind = kind;
            sensor.files.insert(property, file);
        }
    }
    sensors
}

/// The kind, number and property that a file's name has, such as `temp`, 1 and `crit_alarm`.
fn split(name: &str) -> Option<(&str, u32, &str)> {
    const KINDS: [&str; 14] = [
        "vrm",
        "beep_enable",
        "update_interval",
        "in",
        "cpu",
        "fan",
        "pwm",
        "temp",
        "curr",
        "power",
        "energy",
        "humidity",
        "intrusion",
        "freq",
    ];
    let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (kind, rest) = name.split_at_checked(digits)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, property) = rest.split_at_checked(end)?;
    let number = if number.is_empty() { 0 } else { number.parse().ok()? };
    let property = if property.is_empty() { "" } else { property.strip_prefix('_').filter(|p| !p.is_empty())? };
    KINDS.contains(&kind).then_some((kind, number, property))
}

impl Sensor {
    /// The file that holds the sensor's label.
    pub(crate) fn label(&self) -> Option<&str> {
        self.files.get("label").map(String::as_str)
    }

    /// What the sensor's files become. `label` is what its label says, in the alphabet of metrics.
    pub(crate) fn readings(&self, name: &str, label: Option<&str>) -> Vec<Reading> {
        let has_bare_file = self.files.contains_key("");
        let files = self.files.iter().filter(|(property, _)| *property != "label");
        files.map(|(property, file)| self.reading(property, file, (name, label), has_bare_file)).collect()
    }

    fn reading(&self, property: &str, file: &str, (name, label): (&str, Option<&str>), has_bare_file: bool) -> Reading {
        let kind = self.kind.as_str();
        let reading = |family: String, help: String, divisor: f64| Reading {
            file: file.to_owned(),
            kind: if family.ends_with("_total") { Kind::Counter } else { Kind::Gauge },
            family,
            help,
            sensor: name.to_owned(),
            divisor,
        };
        let whole = |family: &str, help: &str, divisor| reading(family.to_owned(), help.to_owned(), divisor);
        match kind {
            "beep_enable" => return whole("node_hwmon_beep_enabled", "1 if the chip may beep.", 1.0),
            "vrm" => return whole("node_hwmon_voltage_regulator_version", "Version of the voltage regulator.", 1.0),
            "update_interval" => {
                let help = "How long the chip takes to measure anew.";
                return whole("node_hwmon_update_interval_seconds", help, 1000.0);
            }
            _ => {}
        }
        let base = match property {
            // The value itself, unless there is a file with the bare name.
            "input" if !has_bare_file => format!("node_hwmon_{kind}"),
            "" => format!("node_hwmon_{kind}"),
            property => format!("node_hwmon_{kind}_{}", clean(property)),
        };
        let (unit, divisor) = unit(kind, property);
        let mut reading = reading(format!("{base}{unit}"), help(kind, property), divisor);
        if (kind, property) == ("freq", "input") {
            reading.sensor = label.unwrap_or(name).to_owned();
        }
        reading
    }
}

/// What is appended to the family's name, and how many of the kernel's units make one of the metric's.
fn unit(kind: &str, property: &str) -> (&'static str, f64) {
    match (kind, property) {
        (_, "fault" | "alarm") => ("", 1.0),
        (_, "beep") => ("_enabled", 1.0),
        ("in" | "cpu", _) => ("_volts", 1000.0),
        ("temp", "type") => ("", 1.0),
        ("temp", _) => ("_celsius", 1000.0),
        ("curr", _) => ("_amps", 1000.0),
        ("energy", _) => ("_joule_total", 1e6),
        ("power", "accuracy") => ("", 1e6),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => ("_seconds", 1000.0),
        ("power", _) => ("_watt", 1e6),
        ("humidity", _) => ("", 1e6),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", 1.0),
        ("freq", "input") => ("_freq_mhz", 1e6),
        _ => ("", 1.0),
    }
}

fn help(kind: &str, property: &str) -> String {
    let thing = match kind {
        "in" => "voltage",
        "cpu" => "voltage of the CPU",
        "fan" => "fan",
        "pwm" => "control of the fan",
        "temp" => "temperature",
        "curr" => "current",
        "power" => "power",
        "energy" => "energy",
        "humidity" => "humidity",
        "intrusion" => "opening of the case",
        "freq" => "frequency",
        kind => kind,
    };
    match property {
        "" | "input" => format!("What the sensor measures: {thing}."),
        property => format!("What the sensor says as {}: {thing}.", property.replace('_', " ")),
    }
}

/// A text in the alphabet of metrics' names: lower case, with underscores for what is no letter or digit, and none at
/// its ends.
pub(crate) fn clean(text: &str) -> String {
    let of = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | ':' | '_') => c,
        _ => '_',
    };
    text.trim().chars().map(of).collect::<String>().trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        #[track_caller]
        fn check(name: &str, want: Option<(&str, u32, &str)>) {
            assert_eq!(split(name), want, "{name}");
        }
        check("temp1_input", Some(("temp", 1, "input")));
        check("temp12_crit_alarm", Some(("temp", 12, "crit_alarm")));
        check("pwm1", Some(("pwm", 1, "")));
        check("pwm1_auto_point1_pwm", Some(("pwm", 1, "auto_point1_pwm")));
        check("beep_enable", Some(("beep_enable", 0, "")));
        check("update_interval", Some(("update_interval", 0, "")));
        check("vrm", Some(("vrm", 0, "")));
        check("name", None);
        check("temp1_", None);
        check("temp1x", None);
        check("in99999999999_input", None);
        check("1_input", None);
        check("", None);
    }

    #[test]
    fn what_files_become() {
        #[track_caller]
        fn check(files: &[&str], want: &[(&str, f64)]) {
            let sensors = sensors(files.iter().map(|file| (*file).to_owned()));
            let readings: Vec<_> = sensors.iter().flat_map(|(name, sensor)| sensor.readings(name, None)).collect();
            let got: Vec<_> = readings.iter().map(|reading| (reading.family.as_str(), reading.divisor)).collect();
            assert_eq!(got, want);
        }
        check(&["temp1_input", "temp1_label"], &[("node_hwmon_temp_celsius", 1000.0)]);
        check(&["temp1_crit_alarm"], &[("node_hwmon_temp_crit_alarm_celsius", 1000.0)]);
        check(&["fan1_input", "fan1"], &[("node_hwmon_fan", 1.0), ("node_hwmon_fan_input_rpm", 1.0)]);
        check(&["fan2_min", "fan2_alarm"], &[("node_hwmon_fan_alarm", 1.0), ("node_hwmon_fan_min_rpm", 1.0)]);
        check(&["energy1_input"], &[("node_hwmon_energy_joule_total", 1e6)]);
        check(&["power1_average_interval"], &[("node_hwmon_power_average_interval_seconds", 1000.0)]);
        check(&["update_interval"], &[("node_hwmon_update_interval_seconds", 1000.0)]);
        check(&["freq1_input"], &[("node_hwmon_freq_freq_mhz", 1e6)]);
    }

    #[test]
    fn the_device_s_own_directory_comes_first() {
        let files = ["temp1_input", "device/temp1_input"].map(str::to_owned);
        let sensors = sensors(files);
        assert_eq!(sensors["temp1"].readings("temp1", None)[0].file, "device/temp1_input");
    }

    #[test]
    fn texts_in_the_alphabet_of_metrics() {
        assert_eq!(clean("Package id 0\n"), "package_id_0");
        assert_eq!(clean("--"), "");
        assert_eq!(clean("0000:01:00.0"), "0000:01:00_0");
    }
}
