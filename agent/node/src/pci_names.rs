//! Names of PCI devices, from the list that Debian's `pci.ids` is.

/// The numbers of a device, in hexadecimal digits without `0x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Six digits: class, subclass, and how it is programmed.
    pub(crate) class: String,
    pub(crate) vendor: String,
    pub(crate) device: String,
    pub(crate) subsystem_vendor: String,
    pub(crate) subsystem_device: String,
}

/// What the list calls them; the numbers where it does not know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) class: String,
    pub(crate) vendor: String,
    pub(crate) device: String,
    pub(crate) subsystem_vendor: String,
    pub(crate) subsystem_device: String,
}

/// Looks a device up. A line without a tab begins a vendor, or a class after `C `; with one tab it is a device or a
/// subclass, with two a subsystem or a way of being programmed. Two blanks separate number and name.
pub(crate) fn look_up(list: &str, numbers: &Numbers) -> Names {
    let Numbers { class, vendor, device, subsystem_vendor, subsystem_device } = numbers;
    let mut names = Names {
        class: format!("Unknown class ({class})"),
        vendor: vendor.clone(),
        device: device.clone(),
        subsystem_vendor: subsystem_vendor.clone(),
        subsystem_device: subsystem_device.clone(),
    };
    let subsystem = format!("{subsystem_vendor} {subsystem_device}");
    let digits = |from: usize| class.get(from..from + 2).unwrap_or_default();
    let (mut is_class, mut inside, mut deep_inside) = (false, false, false);
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let depth = line.len() - line.trim_start_matches('\t').len();
        let Some((number, name)) = line.trim_start_matches('\t').split_once("  ") else { continue };
        let name = name.trim();
        match depth {
            0 => {
                let class = number.strip_prefix("C ");
                is_class = class.is_some();
                inside = class.map_or(number == vendor, |class| class == digits(0));
                deep_inside = false;
                if is_class && inside {
                    name.clone_into(&mut names.class);
                } else if inside {
                    name.clone_into(&mut names.vendor);
                }
                if !is_class && number == subsystem_vendor {
                    name.clone_into(&mut names.subsystem_vendor);
                }
            }
            1 => {
                deep_inside = inside && number == if is_class { digits(2) } else { device };
                if deep_inside {
                    name.clone_into(if is_class { &mut names.class } else { &mut names.device });
                }
            }
            _ if deep_inside && is_class && number == digits(4) => name.clone_into(&mut names.class),
            _ if deep_inside && !is_class && number == subsystem => name.clone_into(&mut names.subsystem_device),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a comment\n8086  Intel Corporation\n\t0953  PCIe Data Center SSD\n\t\t8086 3702  DC P3700 SSD\n\
        \t1234  Another\n\t\t8086 3702  Not this one\n1d0f  Amazon.com, Inc.\n\t0953  Not this one either\n\
        C 01  Mass storage controller\n\t08  Non-Volatile memory controller\n\t\t02  NVM Express\n\tff  Other\n\
        C 02  Network controller\n\t08  Not this one\n";

    #[track_caller]
    fn check(numbers: [&str; 5], want: [&str; 5]) {
        let [class, vendor, device, subsystem_vendor, subsystem_device] = numbers.map(str::to_owned);
        let names = look_up(LIST, &Numbers { class, vendor, device, subsystem_vendor, subsystem_device });
        let Names { class, vendor, device, subsystem_vendor, subsystem_device } = names;
        assert_eq!([class, vendor, device, subsystem_vendor, subsystem_device], want);
    }

    #[test]
    fn the_most_exact_name_counts() {
        let intel = "Intel Corporation";
        let ssd = "PCIe Data Center SSD";
        check(["010802", "8086", "0953", "8086", "3702"], ["NVM Express", intel, ssd, intel, "DC P3700 SSD"]);
        let class = "Non-Volatile memory controller";
        check(["010803", "8086", "0953", "1d0f", "3702"], [class, intel, ssd, "Amazon.com, Inc.", "3702"]);
        check(["017f00", "8086", "ffff", "0000", "0000"], ["Mass storage controller", intel, "ffff", "0000", "0000"]);
    }

    #[test]
    fn the_unknown_keep_their_numbers() {
        let class = "Unknown class (ff0000)";
        check(["ff0000", "abcd", "0953", "abcd", "0001"], [class, "abcd", "0953", "abcd", "0001"]);
        check(["", "", "", "", ""], ["Unknown class ()", "", "", "", ""]);
    }
}
