//! Scrape configurations: what is taken, what is refused and how it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::time::Duration;

use collector_scrape::{ConfigError, GlobalConfig, ScrapeConfig, ScrapeJob};

fn resolve(keys: &str, global: &str) -> Result<ScrapeJob, String> {
    let config: ScrapeConfig =
        serde_yaml_ng::from_str(&format!("{{job_name: j, {keys}}}")).map_err(|e| e.to_string())?;
    let global: GlobalConfig = serde_yaml_ng::from_str(global).map_err(|e| e.to_string())?;
    config.resolve(&global, Path::new("/etc")).map_err(|e| chain(&e))
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |source| format!("{error}: {}", chain(source)))
}

#[track_caller]
fn refused(keys: &str, want: &str) {
    let error = resolve(keys, "{}").expect_err(keys);
    assert!(error.contains(want), "{keys}: {error:?} lacks {want:?}");
}

#[track_caller]
fn taken(keys: &str) {
    if let Err(error) = resolve(keys, "{}") {
        panic!("{keys}: {error}");
    }
}

#[test]
fn every_key_that_works_is_taken() {
    taken("honor_labels: true, honor_timestamps: false, track_timestamps_staleness: true, params: {a: [b]}");
    taken("scrape_interval: 15s, scrape_timeout: 10s, scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]");
    taken("fallback_scrape_protocol: PrometheusText1.0.0, metrics_path: /m, scheme: HTTPS, enable_compression: false");
    taken("body_size_limit: 10MB, sample_limit: 1, target_limit: 2, label_limit: 3, label_name_length_limit: 4");
    taken("label_value_length_limit: 5, keep_dropped_targets: 6, extra_scrape_metrics: true");
    taken("metric_name_validation_scheme: legacy, metric_name_escaping_scheme: underscores");
    taken("scrape_native_histograms: false, always_scrape_classic_histograms: true, native_histogram_bucket_limit: 1");
    taken("basic_auth: {username: u, password: p}, tls_config: {insecure_skip_verify: true}, follow_redirects: false");
    taken("proxy_url: 'http://p:1', no_proxy: x, enable_http2: false, http_headers: {A: {values: [b]}}");
    taken("static_configs: [{targets: ['a:1'], labels: {n: 1}}], file_sd_configs: [{files: [a.yml]}]");
    taken("relabel_configs: [{action: keep, regex: 1}], metric_relabel_configs: null, static_configs: null");
}

#[test]
fn what_is_not_there_is_named() {
    refused("dns_sd_configss: 1", "unknown field `dns_sd_configss`");
    refused(
        "kubernetes_sd_configs: []",
        "kubernetes_sd_configs is not supported by this collector, which has dns_sd_configs, docker_sd_configs, \
         dockerswarm_sd_configs, file_sd_configs, static_configs",
    );
    for (keys, key) in [
        ("scrape_native_histograms: true", "scrape_native_histograms"),
        ("convert_classic_histograms_to_nhcb: true", "convert_classic_histograms_to_nhcb"),
        ("scrape_failure_log_file: f", "scrape_failure_log_file"),
        ("oauth2: {client_id: c}", "oauth2"),
        ("proxy_connect_header: {a: [b]}", "proxy_connect_header"),
        ("scrape_protocols: [PrometheusProto]", "scrape protocol PrometheusProto"),
        ("fallback_scrape_protocol: PrometheusProto", "fallback_scrape_protocol PrometheusProto"),
    ] {
        refused(keys, &format!("scrape config of job \"j\" is not valid: {key} is not supported by this collector"));
    }
}

#[test]
fn contradictions_are_refused() {
    refused("scrape_interval: 5s, scrape_timeout: 6s", "scrape timeout 6s is greater than scrape interval 5s");
    refused("scrape_protocols: []", "scrape_protocols is empty");
    refused("scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]", "names \"PrometheusText004\" twice");
    refused("scheme: ftp", "scheme \"ftp\" is neither http nor https");
    refused("bearer_token: a, bearer_token_file: b", "at most one of basic_auth, authorization, bearer_token");
    refused("bearer_token: a, basic_auth: {username: u}", "at most one of");
    refused(
        "basic_auth: {username: u}, authorization: {credentials: c}",
        "at most one of basic_auth and authorization",
    );
    refused("body_size_limit: 10", "not a valid size: \"10\"");
    refused("scrape_interval: 5", "not a valid duration string: \"5\"");
    refused("honor_label: true", "unknown field `honor_label`");
    refused("honor_labels: true, honor_labels: true", "duplicate");
    refused("static_configs: [], static_configs: []", "duplicate");
    refused("relabel_configs: [null]", "expected struct");
    refused("sample_limit: -1", "sample_limit");
}

#[test]
fn times_are_inherited_and_the_default_timeout_gives_way() {
    let times = |keys: &str, global: &str| {
        let job = resolve(keys, global).unwrap();
        (job.interval().as_secs(), job.timeout().as_secs())
    };
    assert_eq!(times("", "{}"), (60, 10));
    assert_eq!(times("", "scrape_interval: 5s"), (5, 5));
    assert_eq!(times("scrape_interval: 3s", "{scrape_interval: 30s, scrape_timeout: 20s}"), (3, 3));
    assert_eq!(times("scrape_timeout: 2s", "scrape_interval: 5s"), (5, 2));
    assert_eq!(resolve("", "scrape_interval: 0s").unwrap().interval(), Duration::from_secs(60));
}

#[test]
fn jobs_are_checked_together() {
    let jobs = |yaml: &str, global: &str| {
        let configs: Vec<ScrapeConfig> = serde_yaml_ng::from_str(yaml).unwrap();
        ScrapeConfig::resolve_all(configs, &serde_yaml_ng::from_str(global).unwrap(), Path::new("/"))
    };
    assert_eq!(jobs("[{job_name: a}, {job_name: b}]", "{}").unwrap().len(), 2);
    assert!(
        matches!(jobs("[{job_name: a}, {job_name: a}]", "{}"), Err(ConfigError::DuplicateJob(name)) if name == "a")
    );
    assert!(matches!(jobs("[{}]", "{}"), Err(ConfigError::NoJobName)));
    let error = jobs("[]", "{scrape_interval: 5s, scrape_timeout: 10s}").unwrap_err();
    assert!(matches!(error, ConfigError::TimeoutAboveInterval { .. }));
    assert!(matches!(jobs("[]", "query_log_file: q"), Err(ConfigError::NotSupported("query_log_file"))));
    assert!(serde_yaml_ng::from_str::<GlobalConfig>("scrape_intervall: 5s").is_err());
}
