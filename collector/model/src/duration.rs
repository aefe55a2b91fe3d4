//! Durations as Prometheus writes them: `1h30m`, `15s`, `100ms`, `0`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A duration in Prometheus's notation: whole numbers with the units `y w d h m s ms`, each at most once and in
/// that order. A day has 24 hours, a year 365 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(pub Duration);

/// Units from the longest, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration that does not follow the notation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid duration string: {0:?} (write it like 15s, 1m30s, 2h or 100ms)")]
pub struct DurationError(pub String);

impl PromDuration {
    /// So many milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// In milliseconds, the unit of time stamps.
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }

    /// Reads the notation.
    ///
    /// # Errors
    /// When the text is empty, has another unit, a unit twice or out of order, or is too long for 64 bits.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let bad = || DurationError(text.to_owned());
        if text == "0" {
            return Ok(Self::default());
        }
        let mut rest = text;
        let mut total = 0_u64;
        let mut next_unit = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let (number, tail) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| bad())?;
            let letters = tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let position = UNITS.iter().position(|(u, _)| *u == unit).ok_or_else(bad)?;
            let (_, ms) = UNITS.get(position).filter(|_| position >= next_unit).ok_or_else(bad)?;
            total = number.checked_mul(*ms).and_then(|ms| total.checked_add(ms)).ok_or_else(bad)?;
            next_unit = position + 1;
            rest = tail;
        }
        // Prometheus keeps nanoseconds in 63 bits; what does not fit there is an error there too.
        if text.is_empty() || total > i64::MAX as u64 / 1_000_000 {
            return Err(bad());
        }
        Ok(Self::from_millis(total))
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, ms) in UNITS {
            // Years and weeks only when nothing smaller is left over, so that 90d stays 90d.
            let exact_only = matches!(unit, "y" | "w" | "d");
            if exact_only && !rest.is_multiple_of(ms) && (unit != "d" || rest < ms) {
                continue;
            }
            let count = rest / ms;
            if count > 0 {
                write!(f, "{count}{unit}")?;
                rest -= count * ms;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = PromDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 15s, 1m30s, 2h or 100ms")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PromDuration, E> {
                PromDuration::parse(text).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<PromDuration, E> {
                PromDuration::parse(&number.to_string()).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want_ms: Option<u64>) {
        assert_eq!(PromDuration::parse(text).ok(), want_ms.map(PromDuration::from_millis), "{text:?}");
    }

    #[test]
    fn reads_prometheus_notation() {
        check("0", Some(0));
        check("15s", Some(15_000));
        check("1h30m", Some(5_400_000));
        check("1m500ms", Some(60_500));
        check("2w", Some(1_209_600_000));
        check("", None);
        check("5", None);
        check("1s1m", None);
        check("1m1m", None);
        check("1.5h", None);
        check("-1s", None);
        check("300000y", None);
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["15s", "1m30s", "90d", "1d12h", "2w", "1y", "100ms", "5m"] {
            assert_eq!(PromDuration::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(PromDuration::default().to_string(), "0s");
    }
}
