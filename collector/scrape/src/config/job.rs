//! A job with all defaults filled in, checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use collector_discovery::DiscoveryConfig;
use collector_http::{Authorization, ClientConfig};
use collector_model::{PromDuration, RelabelConfig};

use super::keys::Keys;
use super::{ConfigError, EscapingScheme, GlobalConfig, ScrapeConfig, ScrapeProtocol, ValidationScheme};

/// A job with all defaults filled in, checked. Two that are equal scrape alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeJob {
    pub(crate) name: String,
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    pub(crate) track_timestamps_staleness: bool,
    pub(crate) params: BTreeMap<String, Vec<String>>,
    pub(crate) interval: PromDuration,
    pub(crate) timeout: PromDuration,
    pub(crate) protocols: Vec<ScrapeProtocol>,
    pub(crate) fallback_protocol: Option<ScrapeProtocol>,
    pub(crate) metrics_path: String,
    pub(crate) scheme: String,
    pub(crate) enable_compression: bool,
    pub(crate) limits: Limits,
    pub(crate) validation: ValidationScheme,
    pub(crate) escaping: EscapingScheme,
    pub(crate) extra_metrics: bool,
    pub(crate) relabel: Vec<RelabelConfig>,
    pub(crate) metric_relabel: Vec<RelabelConfig>,
    pub(crate) client: ClientConfig,
    pub(crate) discovery: Vec<DiscoveryConfig>,
}

/// Bounds of a job. Zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a page after decompression.
    pub(crate) body_size: u64,
    /// Samples of a page after relabelling.
    pub(crate) samples: u64,
    pub(crate) targets: u64,
    pub(crate) labels: u64,
    pub(crate) label_name_length: u64,
    pub(crate) label_value_length: u64,
    /// Dropped targets that are remembered for show.
    pub(crate) dropped_targets: u64,
}

impl ScrapeJob {
    /// `job_name`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `scrape_interval`
    pub fn interval(&self) -> Duration {
        self.interval.0
    }

    /// `scrape_timeout`
    pub fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

impl ScrapeConfig {
    /// `job_name` as written.
    pub fn job_name(&self) -> &str {
        self.keys.job_name.as_deref().unwrap_or("")
    }

    /// Fills in the defaults, makes file paths absolute (relative ones are relative to `directory`, the
    /// configuration file's) and checks the whole.
    ///
    /// # Errors
    /// The first contradiction, missing key, or key that is not supported, inside [`ConfigError::Job`].
    pub fn resolve(self, global: &GlobalConfig, directory: &Path) -> Result<ScrapeJob, ConfigError> {
        let Some(job) = self.keys.job_name.clone().filter(|name| !name.is_empty()) else {
            return Err(ConfigError::NoJobName);
        };
        resolve(self, global, directory).map_err(|source| ConfigError::Job { job, source: Box::new(source) })
    }

    /// Resolves a whole list and checks that no two jobs have one name.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), or [`ConfigError::DuplicateJob`].
    pub fn resolve_all(
        configs: Vec<Self>,
        global: &GlobalConfig,
        directory: &Path,
    ) -> Result<Vec<ScrapeJob>, ConfigError> {
        global.validate()?;
        let mut jobs: Vec<ScrapeJob> = Vec::with_capacity(configs.len());
        for config in configs {
            let job = config.resolve(global, directory)?;
            if jobs.iter().any(|other| other.name == job.name) {
                return Err(ConfigError::DuplicateJob(job.name));
            }
            jobs.push(job);
        }
        Ok(jobs)
    }
}

fn resolve(config: ScrapeConfig, global: &GlobalConfig, directory: &Path) -> Result<ScrapeJob, ConfigError> {
    let ScrapeConfig { mut keys, mut discovery } = config;
    check_supported(&keys, global)?;
    let (interval, timeout) = times(&keys, global)?;
    let validation = keys.metric_name_validation_scheme.or(global.metric_name_validation_scheme).unwrap_or_default();
    let default_escaping = match validation {
        ValidationScheme::Utf8 => EscapingScheme::AllowUtf8,
        ValidationScheme::Legacy => EscapingScheme::Underscores,
    };
    let scheme = keys.scheme.take().unwrap_or_else(|| "http".to_owned()).to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(ConfigError::Scheme(scheme));
    }
    discovery.iter_mut().for_each(|config| config.resolve_paths(directory));
    Ok(ScrapeJob {
        client: client(&mut keys, directory)?,
        protocols: protocols(&mut keys, global)?,
        limits: limits(&keys, global),
        name: keys.job_name.unwrap_or_default(),
        honor_labels: keys.honor_labels.unwrap_or(false),
        honor_timestamps: keys.honor_timestamps.unwrap_or(true),
        track_timestamps_staleness: keys.track_timestamps_staleness.unwrap_or(false),
        params: keys.params.unwrap_or_default(),
        interval,
        timeout,
        fallback_protocol: keys.fallback_scrape_protocol,
        metrics_path: keys.metrics_path.unwrap_or_else(|| "/metrics".to_owned()),
        scheme,
        enable_compression: keys.enable_compression.unwrap_or(true),
        validation,
        escaping: keys.metric_name_escaping_scheme.or(global.metric_name_escaping_scheme).unwrap_or(default_escaping),
        extra_metrics: keys.extra_scrape_metrics.or(global.extra_scrape_metrics).unwrap_or(false),
        relabel: keys.relabel_configs.unwrap_or_default(),
        metric_relabel: keys.metric_relabel_configs.unwrap_or_default(),
        discovery,
    })
}

fn check_supported(keys: &Keys, global: &GlobalConfig) -> Result<(), ConfigError> {
    let proto = Some(ScrapeProtocol::PrometheusProto);
    let listed = keys.scrape_protocols.as_ref().or(global.scrape_protocols.as_ref());
    let unsupported = [
        ("scrape_native_histograms", keys.scrape_native_histograms == Some(true)),
        ("convert_classic_histograms_to_nhcb", keys.convert_classic_histograms_to_nhcb == Some(true)),
        ("scrape_failure_log_file", keys.scrape_failure_log_file.is_some()),
        ("oauth2", keys.oauth2.is_some()),
        ("proxy_connect_header", keys.proxy_connect_header.is_some()),
        ("fallback_scrape_protocol PrometheusProto", keys.fallback_scrape_protocol == proto),
        ("scrape protocol PrometheusProto", listed.is_some_and(|l| l.contains(&ScrapeProtocol::PrometheusProto))),
    ];
    match unsupported.iter().find(|(_, set)| *set) {
        Some((key, _)) => Err(ConfigError::NotSupported(key)),
        None => Ok(()),
    }
}

/// Interval and timeout. A timeout that is only the default is lowered to the interval.
fn times(keys: &Keys, global: &GlobalConfig) -> Result<(PromDuration, PromDuration), ConfigError> {
    let set = |duration: Option<PromDuration>| duration.filter(|d| !d.0.is_zero());
    let interval = set(keys.scrape_interval).unwrap_or_else(|| global.scrape_interval());
    match set(keys.scrape_timeout) {
        Some(timeout) if timeout > interval => Err(ConfigError::TimeoutAboveInterval { timeout, interval }),
        Some(timeout) => Ok((interval, timeout)),
        None => Ok((interval, global.scrape_timeout().min(interval))),
    }
}

fn protocols(keys: &mut Keys, global: &GlobalConfig) -> Result<Vec<ScrapeProtocol>, ConfigError> {
    let listed = keys.scrape_protocols.take().or_else(|| global.scrape_protocols.clone());
    let listed = listed.unwrap_or_else(|| ScrapeProtocol::DEFAULT.to_vec());
    if listed.is_empty() {
        return Err(ConfigError::NoProtocols);
    }
    for (position, protocol) in listed.iter().enumerate() {
        if listed.iter().take(position).any(|earlier| earlier == protocol) {
            return Err(ConfigError::RepeatedProtocol(format!("{protocol:?}")));
        }
    }
    Ok(listed)
}

fn limits(keys: &Keys, global: &GlobalConfig) -> Limits {
    let of = |own: Option<u64>, inherited: Option<u64>| own.filter(|n| *n > 0).or(inherited).unwrap_or(0);
    Limits {
        body_size: of(keys.body_size_limit.map(|s| s.0), global.body_size_limit.map(|s| s.0)),
        samples: of(keys.sample_limit, global.sample_limit),
        targets: of(keys.target_limit, global.target_limit),
        labels: of(keys.label_limit, global.label_limit),
        label_name_length: of(keys.label_name_length_limit, global.label_name_length_limit),
        label_value_length: of(keys.label_value_length_limit, global.label_value_length_limit),
        dropped_targets: of(keys.keep_dropped_targets, global.keep_dropped_targets),
    }
}

fn client(keys: &mut Keys, directory: &Path) -> Result<ClientConfig, ConfigError> {
    let bearer = keys.bearer_token.is_some() || keys.bearer_token_file.is_some();
    if bearer {
        let both = keys.bearer_token.is_some() && keys.bearer_token_file.is_some();
        if both || keys.basic_auth.is_some() || keys.authorization.is_some() {
            return Err(ConfigError::BearerToken);
        }
        keys.authorization = Some(Authorization {
            credentials: keys.bearer_token.take(),
            credentials_file: keys.bearer_token_file.take(),
            ..Authorization::default()
        });
    }
    let mut client = ClientConfig {
        basic_auth: keys.basic_auth.take(),
        authorization: keys.authorization.take(),
        tls_config: keys.tls_config.take(),
        follow_redirects: keys.follow_redirects.unwrap_or(true),
        enable_http2: keys.enable_http2.unwrap_or(true),
        proxy_url: keys.proxy_url.take(),
        no_proxy: keys.no_proxy.take(),
        proxy_from_environment: keys.proxy_from_environment.unwrap_or(false),
        http_headers: keys.http_headers.take().unwrap_or_default(),
    };
    client.resolve_paths(directory);
    client.validate()?;
    Ok(client)
}
