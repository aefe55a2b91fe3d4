//! `/run/udev/data/bMAJOR:MINOR`: what udev found out about a device.

use crate::scan;

/// The properties of a device, looked up by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    values: Vec<(String, String)>,
}

impl Properties {
    /// The value of a property such as `ID_MODEL`; `None` where udev has not set it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rfind(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the lines `E:NAME=VALUE`; links, tags and time stamps are passed over. Bytes that are no UTF-8 are replaced.
pub fn parse(bytes: &[u8]) -> Properties {
    let property = |line: &[u8]| {
        let (name, value) = scan::cut(line.strip_prefix(b"E:")?, b'=')?;
        Some((scan::text(name)?.to_owned(), String::from_utf8_lossy(value).into_owned()))
    };
    Properties { values: scan::lines(bytes).filter_map(|(_, line)| property(line)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_only() {
        let got =
            parse(b"S:disk/by-id/x\nI:1234\nE:ID_MODEL=WDC=1\nE:EMPTY=\nE:NOTHING\nG:systemd\nE:ID_SERIAL=\xff\n");
        assert_eq!(got.get("ID_MODEL"), Some("WDC=1"));
        assert_eq!(got.get("EMPTY"), Some(""));
        assert_eq!(got.get("NOTHING"), None);
        assert_eq!(got.get("ID_SERIAL"), Some("\u{fffd}"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
