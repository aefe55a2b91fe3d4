//! The `global` section.

use std::collections::BTreeMap;

use collector_model::PromDuration;
use serde::Deserialize;

use super::{ByteSize, ConfigError, EscapingScheme, ScrapeProtocol, ValidationScheme};

/// The whole `global` section, key by key. Scraping takes its defaults from it; the keys of rules and logs are here
/// because a section can only be read as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct GlobalConfig {
    pub scrape_interval: Option<PromDuration>,
    pub scrape_timeout: Option<PromDuration>,
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    pub evaluation_interval: Option<PromDuration>,
    pub rule_query_offset: Option<PromDuration>,
    pub external_labels: Option<BTreeMap<String, String>>,
    pub query_log_file: Option<String>,
    pub scrape_failure_log_file: Option<String>,
    pub body_size_limit: Option<ByteSize>,
    pub sample_limit: Option<u64>,
    pub target_limit: Option<u64>,
    pub label_limit: Option<u64>,
    pub label_name_length_limit: Option<u64>,
    pub label_value_length_limit: Option<u64>,
    pub keep_dropped_targets: Option<u64>,
    pub metric_name_validation_scheme: Option<ValidationScheme>,
    pub metric_name_escaping_scheme: Option<EscapingScheme>,
    pub scrape_native_histograms: Option<bool>,
    pub always_scrape_classic_histograms: Option<bool>,
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    pub extra_scrape_metrics: Option<bool>,
}

const MINUTE: PromDuration = PromDuration::from_secs(60);
const TEN_SECONDS: PromDuration = PromDuration::from_secs(10);

impl GlobalConfig {
    /// `scrape_interval`, one minute when not set.
    pub fn scrape_interval(&self) -> PromDuration {
        self.scrape_interval.filter(|d| !d.0.is_zero()).unwrap_or(MINUTE)
    }

    /// `scrape_timeout`; when not set ten seconds, or the interval where that is shorter.
    pub fn scrape_timeout(&self) -> PromDuration {
        let set = self.scrape_timeout.filter(|d| !d.0.is_zero());
        set.unwrap_or_else(|| TEN_SECONDS.min(self.scrape_interval()))
    }

    /// `evaluation_interval`, one minute when not set.
    pub fn evaluation_interval(&self) -> PromDuration {
        self.evaluation_interval.filter(|d| !d.0.is_zero()).unwrap_or(MINUTE)
    }

    /// Checks what the scrape keys say together.
    ///
    /// # Errors
    /// The first contradiction, or key that is not supported.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (interval, timeout) = (self.scrape_interval(), self.scrape_timeout());
        if timeout > interval {
            return Err(ConfigError::TimeoutAboveInterval { timeout, interval });
        }
        let unsupported = [
            ("query_log_file", self.query_log_file.is_some()),
            ("scrape_failure_log_file", self.scrape_failure_log_file.is_some()),
            ("scrape_native_histograms", self.scrape_native_histograms == Some(true)),
            ("convert_classic_histograms_to_nhcb", self.convert_classic_histograms_to_nhcb == Some(true)),
        ];
        match unsupported.iter().find(|(_, set)| *set) {
            Some((key, _)) => Err(ConfigError::NotSupported(key)),
            None => Ok(()),
        }
    }
}
