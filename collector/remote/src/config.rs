//! The keys that all destinations share: `queue_config`, and what else delivery needs to know of one.

use std::fmt;
use std::time::Duration;

use collector_http::ClientConfig;
use collector_model::{PromDuration, RelabelConfig};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::ConfigError;

/// `queue_config`: Prometheus's keys and defaults, and `max_disk_bytes`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Samples that a shard holds in memory; the rest waits on disk.
    pub capacity: usize,
    /// Most requests in flight at once.
    pub max_shards: usize,
    /// Fewest shards.
    pub min_shards: usize,
    /// Most samples in one request.
    pub max_samples_per_send: usize,
    /// A request that is not full goes out this long after its first sample came.
    pub batch_send_deadline: PromDuration,
    /// First wait after a failure; doubles with each further one.
    pub min_backoff: PromDuration,
    /// Longest wait after a failure, unless the receiver asks for a longer one.
    pub max_backoff: PromDuration,
    /// Whether status 429 is a reason to try again, for a receiver of remote write. InfluxDB's always is.
    pub retry_on_http_429: bool,
    /// Samples older than this are dropped instead of sent; `0s` for no bound.
    pub sample_age_limit: PromDuration,
    /// Bytes that the queue may take on disk (a number, or text such as `512MB` or `2GiB`). When they are used up,
    /// the oldest samples go.
    pub max_disk_bytes: ByteSize,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2_000,
            batch_send_deadline: PromDuration::from_secs(5),
            min_backoff: PromDuration::from_millis(30),
            max_backoff: PromDuration::from_secs(5),
            retry_on_http_429: false,
            sample_age_limit: PromDuration::default(),
            max_disk_bytes: ByteSize(2 << 30),
        }
    }
}

/// The smallest bound on a queue's disk space that makes sense: a few segments.
const MIN_DISK_BYTES: u64 = 1 << 20;

impl QueueConfig {
    /// Checks that the values make sense together.
    pub(crate) fn validate(&self, key: &'static str) -> Result<(), ConfigError> {
        let rules = [
            (self.min_shards >= 1, "min_shards must be at least 1"),
            (self.max_shards >= self.min_shards, "max_shards must not be less than min_shards"),
            (self.capacity >= 1, "capacity must be at least 1"),
            (self.max_samples_per_send >= 1, "max_samples_per_send must be at least 1"),
            (!self.batch_send_deadline.0.is_zero(), "batch_send_deadline must be more than 0s"),
            (!self.min_backoff.0.is_zero(), "min_backoff must be more than 0s"),
            (self.max_backoff >= self.min_backoff, "max_backoff must not be less than min_backoff"),
            (self.max_disk_bytes.0 >= MIN_DISK_BYTES, "max_disk_bytes must be at least 1MiB"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(ConfigError::Queue { key, rule }),
            None => Ok(()),
        }
    }
}

/// `metadata_config`: accepted, as Prometheus's configurations have it; metadata is not sent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct MetadataConfig {
    pub send: bool,
    pub send_interval: PromDuration,
    pub max_samples_per_send: usize,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { send: true, send_interval: PromDuration::from_secs(60), max_samples_per_send: 2_000 }
    }
}

/// `drop_non_finite`: whether NaN, infinities and stale markers are kept from a receiver of remote write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropNonFinite {
    /// From InfluxDB 1.x, told by its path `/api/v1/prom/write`: releases before 1.7.6 and 1.8.6 refuse the whole
    /// request for one such value.
    #[default]
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

impl<'de> Deserialize<'de> for DropNonFinite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = DropNonFinite;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto, true or false")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DropNonFinite, E> {
                match text {
                    "auto" => Ok(DropNonFinite::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<DropNonFinite, E> {
                Ok(if yes { DropNonFinite::Yes } else { DropNonFinite::No })
            }
        }
        deserializer.deserialize_any(Word)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Reads `1048576`, `512KB`, `2GiB`. Units count in steps of 1024, with or without the `i`, as Prometheus's do.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" => 0,
            "KB" | "KiB" => 10,
            "MB" | "MiB" => 20,
            "GB" | "GiB" => 30,
            "TB" | "TiB" => 40,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(1 << shift).map(Self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes such as 1048576, 512MB or 2GiB")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(number))
            }
        }
        deserializer.deserialize_any(Size)
    }
}

/// What delivery needs to know of a destination, whatever its sink.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `name`, if it has one: then its queue goes by it, and survives a change of the URL.
    pub name: Option<String>,
    /// Where to, as configured.
    pub url: String,
    /// Deadline of one request.
    pub timeout: Duration,
    /// Applied to each series once, after the external labels were added.
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// Bounds and pace.
    pub queue: QueueConfig,
    /// How to speak HTTP to it.
    pub client: ClientConfig,
    /// Whether it cannot store NaN and infinities, stale markers among them: they are dropped, and counted.
    pub finite_only: bool,
}

/// Query parameters that carry secrets: InfluxDB 1.x takes user and password there.
const SECRET_PARAMETERS: [&str; 5] = ["p", "password", "token", "api_key", "apikey"];

/// A URL without its secrets, for logs, pages and metric labels.
pub(crate) fn redacted(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else { return "<malformed>".to_owned() };
    if parsed.password().is_some() {
        // Fails only where there is no host, and then there is no password either.
        let _ = parsed.set_password(Some("xxxxx"));
    }
    if parsed.query_pairs().any(|(name, _)| SECRET_PARAMETERS.contains(&name.as_ref())) {
        let hide = |name: &str, value: &str| {
            if SECRET_PARAMETERS.contains(&name) { "xxxxx".to_owned() } else { value.to_owned() }
        };
        let pairs: Vec<_> = parsed.query_pairs().map(|(name, value)| (name.to_string(), hide(&name, &value))).collect();
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    parsed.into()
}

/// Checks the deadline of one request, which stands under the key `name`.
pub(crate) fn check_timeout(key: &'static str, name: &'static str, timeout: PromDuration) -> Result<(), ConfigError> {
    if timeout.0.is_zero() { Err(ConfigError::Timeout { key, name }) } else { Ok(()) }
}

/// The parsed URL of a destination.
pub(crate) fn http_url(key: &'static str, url: &str) -> Result<url::Url, ConfigError> {
    if url.is_empty() {
        return Err(ConfigError::Missing { key, missing: "url" });
    }
    let parsed = url::Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    parsed.ok_or_else(|| ConfigError::Url { key, url: redacted(url) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_sizes() {
        let check = |text: &str, want: Option<u64>| assert_eq!(ByteSize::parse(text).map(|b| b.0), want, "{text:?}");
        check("0", Some(0));
        check("1048576", Some(1 << 20));
        check("512MB", Some(512 << 20));
        check("2GiB", Some(2 << 30));
        check("1TB", Some(1 << 40));
        check("", None);
        check("MB", None);
        check("-1", None);
        check("5 MB", None);
        check("99999999999TB", None);
    }

    #[test]
    fn urls_lose_their_secrets() {
        let check = |url: &str, want: &str| assert_eq!(redacted(url), want);
        check("http://h:8086/api/v1/prom/write?db=prometheus", "http://h:8086/api/v1/prom/write?db=prometheus");
        check("http://u:p@h/x", "http://u:xxxxx@h/x");
        check("http://h/x?db=d&u=me&p=secret", "http://h/x?db=d&u=me&p=xxxxx");
        check("nonsense", "<malformed>");
    }

    #[test]
    fn queue_values_must_make_sense() {
        let queue = |yaml: &str| serde_yaml_ng::from_str::<QueueConfig>(yaml).unwrap().validate("remote_write");
        assert!(queue("{}").is_ok());
        assert!(queue("{max_disk_bytes: 64MB, sample_age_limit: 1h}").is_ok());
        let message = |yaml: &str| queue(yaml).unwrap_err().to_string();
        assert_eq!(message("{min_shards: 0}"), "remote_write: queue_config: min_shards must be at least 1");
        assert_eq!(
            message("{min_shards: 9, max_shards: 3}"),
            "remote_write: queue_config: max_shards must not be less than min_shards"
        );
        assert_eq!(message("{max_disk_bytes: 5}"), "remote_write: queue_config: max_disk_bytes must be at least 1MiB");
        assert!(serde_yaml_ng::from_str::<QueueConfig>("{capacityy: 1}").is_err());
    }
}
