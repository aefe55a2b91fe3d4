//! One entry of `scrape_configs` as written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use collector_discovery::{DiscoveryConfig, Spec, config_keys, spec_of};
use collector_http::{Authorization, BasicAuth, HeaderConfig, Secret, TlsConfig};
use collector_model::{PromDuration, RelabelConfig};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{ByteSize, EscapingScheme, ScrapeProtocol, ValidationScheme};

/// One entry of `scrape_configs` as written. [`resolve`](Self::resolve) fills in the defaults and checks it.
#[derive(Clone, Debug)]
pub struct ScrapeConfig {
    pub(super) keys: Keys,
    pub(super) discovery: Vec<DiscoveryConfig>,
}

/// All keys but those of discovery, whose names the providers bring.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    pub(super) job_name: Option<String>,
    pub(super) honor_labels: Option<bool>,
    pub(super) honor_timestamps: Option<bool>,
    pub(super) track_timestamps_staleness: Option<bool>,
    pub(super) params: Option<BTreeMap<String, Vec<String>>>,
    pub(super) scrape_interval: Option<PromDuration>,
    pub(super) scrape_timeout: Option<PromDuration>,
    pub(super) scrape_protocols: Option<Vec<ScrapeProtocol>>,
    pub(super) fallback_scrape_protocol: Option<ScrapeProtocol>,
    pub(super) scrape_native_histograms: Option<bool>,
    /// Accepted, and true whatever it says: classic histograms are always scraped.
    pub(super) always_scrape_classic_histograms: Option<bool>,
    pub(super) convert_classic_histograms_to_nhcb: Option<bool>,
    pub(super) scrape_failure_log_file: Option<String>,
    pub(super) metrics_path: Option<String>,
    pub(super) scheme: Option<String>,
    pub(super) enable_compression: Option<bool>,
    pub(super) body_size_limit: Option<ByteSize>,
    pub(super) sample_limit: Option<u64>,
    pub(super) target_limit: Option<u64>,
    pub(super) label_limit: Option<u64>,
    pub(super) label_name_length_limit: Option<u64>,
    pub(super) label_value_length_limit: Option<u64>,
    /// Accepted, as is the next: without native histograms there is nothing that they could limit.
    pub(super) native_histogram_bucket_limit: Option<u64>,
    pub(super) native_histogram_min_bucket_factor: Option<f64>,
    pub(super) keep_dropped_targets: Option<u64>,
    pub(super) metric_name_validation_scheme: Option<ValidationScheme>,
    pub(super) metric_name_escaping_scheme: Option<EscapingScheme>,
    pub(super) extra_scrape_metrics: Option<bool>,
    pub(super) relabel_configs: Option<Vec<RelabelConfig>>,
    pub(super) metric_relabel_configs: Option<Vec<RelabelConfig>>,
    pub(super) basic_auth: Option<BasicAuth>,
    pub(super) authorization: Option<Authorization>,
    pub(super) bearer_token: Option<Secret>,
    pub(super) bearer_token_file: Option<PathBuf>,
    pub(super) oauth2: Option<IgnoredAny>,
    pub(super) tls_config: Option<TlsConfig>,
    pub(super) follow_redirects: Option<bool>,
    pub(super) enable_http2: Option<bool>,
    pub(super) proxy_url: Option<String>,
    pub(super) no_proxy: Option<String>,
    pub(super) proxy_from_environment: Option<bool>,
    pub(super) proxy_connect_header: Option<IgnoredAny>,
    pub(super) http_headers: Option<BTreeMap<String, HeaderConfig>>,
}

impl<'de> Deserialize<'de> for ScrapeConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ConfigVisitor)
    }
}

struct ConfigVisitor;

impl<'de> Visitor<'de> for ConfigVisitor {
    type Value = ScrapeConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scrape config")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ScrapeConfig, A::Error> {
        let mut discovery = Vec::new();
        let sifted = Sift { map, seen: Vec::new(), discovery: &mut discovery };
        let keys = Keys::deserialize(MapAccessDeserializer::new(sifted))?;
        Ok(ScrapeConfig { keys, discovery })
    }
}

/// Hands the keys of discovery to their providers and lets all others through.
struct Sift<'a, A> {
    map: A,
    seen: Vec<&'static str>,
    discovery: &'a mut Vec<DiscoveryConfig>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Sift<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            match spec_of(&key) {
                Some(spec) if self.seen.contains(&spec.key) => return Err(A::Error::duplicate_field(spec.key)),
                Some(spec) => {
                    self.seen.push(spec.key);
                    self.discovery.extend(self.map.next_value_seed(Entries(spec))?);
                }
                None if key.ends_with("_sd_configs") => return Err(unknown_discovery(&key)),
                None => return seed.deserialize(StringDeserializer::new(key)).map(Some),
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

fn unknown_discovery<E: Error>(key: &str) -> E {
    let supported: Vec<&str> = config_keys().collect();
    E::custom(format_args!("{key} is not supported by this collector, which has {}", supported.join(", ")))
}

/// The list under a key of discovery.
struct Entries(&'static Spec);

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Vec<DiscoveryConfig>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        (self.0.parse)(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer)).map_err(D::Error::custom)
    }
}
