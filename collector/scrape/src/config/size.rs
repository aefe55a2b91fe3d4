//! Sizes such as `10MB`, in powers of 1024 whatever the unit's spelling, as Prometheus reads them.

use std::str::FromStr;

use serde::Deserialize;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ByteSize(pub u64);

/// Text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid size: {0:?} (write it like 512KB, 10MB or 1GB)")]
pub struct SizeError(String);

const UNITS: [(&str, u32); 11] = [
    ("KiB", 10),
    ("MiB", 20),
    ("GiB", 30),
    ("TiB", 40),
    ("PiB", 50),
    ("KB", 10),
    ("MB", 20),
    ("GB", 30),
    ("TB", 40),
    ("PB", 50),
    ("B", 0),
];

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        if text == "0" {
            return Ok(Self(0));
        }
        let bad = || SizeError(text.to_owned());
        let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
        let (number, shift) = unit.ok_or_else(bad)?;
        if !number.starts_with(|c: char| c.is_ascii_digit()) || number.contains(['e', 'E']) {
            return Err(bad());
        }
        let number: f64 = number.parse().map_err(|_| bad())?;
        let bytes = number * (1_u64 << shift) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        if bytes < i64::MAX as f64 { Ok(Self(bytes as u64)) } else { Err(bad()) }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = SizeError;

    fn try_from(text: String) -> Result<Self, SizeError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, want) in [
            ("0", Some(0)),
            ("15B", Some(15)),
            ("1KB", Some(1024)),
            ("1KiB", Some(1024)),
            ("1.5MB", Some(3 << 19)),
            ("2GB", Some(2 << 30)),
            ("100", None),
            ("MB", None),
            ("-1MB", None),
            ("1e3MB", None),
            ("nanMB", None),
            ("9999999PB", None),
        ] {
            assert_eq!(text.parse::<ByteSize>().ok().map(|size| size.0), want, "{text}");
        }
    }
}
