//! Targets: from what discovery found to what is scraped.

use std::time::Duration;

use collector_discovery::{ADDRESS, TargetGroup};
use collector_model::{Labels, LabelsBuilder, PromDuration, relabel};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::ScrapeJob;

const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const RESERVED_PREFIX: &str = "__";
const INSTANCE: &str = "instance";

/// Something to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) discovered: Labels,
    /// What its series carry.
    pub(crate) labels: Labels,
    /// As shown; [`request_url`](Self::request_url) is the same, parsed.
    pub(crate) url: String,
    pub(crate) request_url: Url,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// A discovered target cannot be scraped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("no address")]
    NoAddress,
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    #[error("invalid URL {url:?}: {reason}")]
    Url { url: String, reason: String },
    #[error("error parsing scrape {what}: {reason}")]
    Duration { what: &'static str, reason: String },
    #[error("scrape {0} cannot be 0")]
    Zero(&'static str),
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutAboveInterval { timeout: String, interval: String },
}

/// What becomes of a discovered target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Scrape(Box<Target>),
    /// Relabelling dropped it; these are its labels from before.
    Dropped(Labels),
    Invalid {
        discovered: Labels,
        error: TargetError,
    },
}

/// Goes over the targets of a group.
pub(crate) fn of_group<'a>(group: &'a TargetGroup, job: &'a ScrapeJob) -> impl Iterator<Item = Verdict> + 'a {
    group.targets.iter().map(|own| {
        let mut labels = own.to_builder();
        for (name, value) in &group.labels {
            default(&mut labels, name, value);
        }
        judge(labels, job)
    })
}

fn default(labels: &mut LabelsBuilder, name: &str, value: &str) {
    if labels.get(name).is_empty() {
        labels.set(name, value);
    }
}

fn judge(mut labels: LabelsBuilder, job: &ScrapeJob) -> Verdict {
    default(&mut labels, "job", &job.name);
    default(&mut labels, INTERVAL, &job.interval.to_string());
    default(&mut labels, TIMEOUT, &job.timeout.to_string());
    default(&mut labels, METRICS_PATH, &job.metrics_path);
    default(&mut labels, SCHEME, &job.scheme);
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&mut labels, &format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    let discovered = labels.clone().build();
    if !relabel::process(&mut labels, &job.relabel) {
        return Verdict::Dropped(discovered);
    }
    match target(labels, discovered.clone(), job) {
        Ok(target) => Verdict::Scrape(Box::new(target)),
        Err(error) => Verdict::Invalid { discovered, error },
    }
}

fn target(mut labels: LabelsBuilder, discovered: Labels, job: &ScrapeJob) -> Result<Target, TargetError> {
    let address = labels.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if address.contains('/') {
        return Err(TargetError::Address(address));
    }
    let interval = duration("interval", labels.get(INTERVAL))?;
    let timeout = duration("timeout", labels.get(TIMEOUT))?;
    if timeout > interval {
        let (interval, timeout) = (labels.get(INTERVAL).to_owned(), labels.get(TIMEOUT).to_owned());
        return Err(TargetError::TimeoutAboveInterval { timeout, interval });
    }
    let (url, request_url) = url(&labels, &address, job)?;
    labels.retain(|name, _| !name.starts_with(META_PREFIX));
    default(&mut labels, INSTANCE, &address);
    labels.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
    Ok(Target { discovered, labels: labels.build(), url, request_url, interval, timeout })
}

fn duration(what: &'static str, text: &str) -> Result<Duration, TargetError> {
    let duration = PromDuration::parse(text).map_err(|e| TargetError::Duration { what, reason: e.to_string() })?;
    if duration.0.is_zero() { Err(TargetError::Zero(what)) } else { Ok(duration.0) }
}

/// The URL as shown, which keeps a default port as it was written, and the parsed one.
fn url(labels: &LabelsBuilder, address: &str, job: &ScrapeJob) -> Result<(String, Url), TargetError> {
    let scheme = labels.get(SCHEME);
    let base = format!("{scheme}://{address}");
    let invalid = |reason: String| TargetError::Url { url: base.clone(), reason };
    let mut url = Url::parse(&base).map_err(|e| invalid(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("the scheme is neither http nor https".to_owned()));
    }
    if !url.username().is_empty() || url.query().is_some() || url.fragment().is_some() {
        return Err(TargetError::Address(address.to_owned()));
    }
    url.set_path(labels.get(METRICS_PATH));
    let query = query(labels, job);
    url.set_query((!query.is_empty()).then_some(&query));
    let mark = if query.is_empty() { "" } else { "?" };
    Ok((format!("{base}{}{mark}{query}", url.path()), url))
}

/// The parameters sorted by name; a `__param_NAME` label stands for the first value of its parameter.
fn query(labels: &LabelsBuilder, job: &ScrapeJob) -> String {
    let mut params = job.params.clone();
    for (label, value) in labels.iter() {
        let Some(name) = label.strip_prefix(PARAM_PREFIX) else { continue };
        let values = params.entry(name.to_owned()).or_default();
        match values.first_mut() {
            Some(first) => value.clone_into(first),
            None => values.push(value.to_owned()),
        }
    }
    let pairs = params.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Target {
    /// What makes it the same target after a reload: labels and URL, whatever its interval.
    pub(crate) fn identity(&self) -> u128 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        hash.update(&self.labels.stable_hash().to_le_bytes());
        hash.update(self.url.as_bytes());
        hash.digest128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GlobalConfig, ScrapeConfig};

    fn job(yaml: &str) -> ScrapeJob {
        let config: ScrapeConfig = serde_yaml_ng::from_str(&format!("{{job_name: j, {yaml}}}")).unwrap();
        config.resolve(&GlobalConfig::default(), std::path::Path::new("/")).unwrap()
    }

    fn verdict(yaml: &str, labels: &[(&str, &str)]) -> Verdict {
        let group = TargetGroup {
            source: String::new(),
            targets: vec![Labels::from_pairs([(ADDRESS, "host:1")])],
            labels: Labels::from_pairs(labels.iter().copied()),
        };
        of_group(&group, &job(yaml)).next().unwrap()
    }

    #[track_caller]
    fn check(yaml: &str, labels: &[(&str, &str)], want_labels: &str, want_url: &str) {
        let Verdict::Scrape(target) = verdict(yaml, labels) else { panic!("{:?}", verdict(yaml, labels)) };
        assert_eq!((target.labels.to_string().as_str(), target.url.as_str()), (want_labels, want_url));
    }

    #[track_caller]
    fn invalid(yaml: &str, want: &str) {
        let Verdict::Invalid { error, .. } = verdict(yaml, &[]) else { panic!("{:?}", verdict(yaml, &[])) };
        assert_eq!(error.to_string(), want);
    }

    #[test]
    fn labels_and_url_come_from_job_group_and_relabelling() {
        check("", &[], r#"{instance="host:1", job="j"}"#, "http://host:1/metrics");
        check(
            "",
            &[("job", "other"), ("__meta_x", "y")],
            r#"{instance="host:1", job="other"}"#,
            "http://host:1/metrics",
        );
        check("", &[("instance", "i")], r#"{instance="i", job="j"}"#, "http://host:1/metrics");
        check(
            "relabel_configs: [{source_labels: [__meta_x], target_label: x}, {target_label: __address__, replacement: 'h:80'}]",
            &[("__meta_x", "y")],
            r#"{instance="h:80", job="j", x="y"}"#,
            "http://h:80/metrics",
        );
        check(
            "scheme: https, metrics_path: /p q, params: {b: [2, 3], a: ['x&y']}",
            &[("__param_b", "4")],
            r#"{instance="host:1", job="j"}"#,
            "https://host:1/p%20q?a=x%26y&b=4&b=3",
        );
        check(
            "relabel_configs: [{target_label: __address__, replacement: '[::1]:9100'}]",
            &[],
            r#"{instance="[::1]:9100", job="j"}"#,
            "http://[::1]:9100/metrics",
        );
    }

    #[test]
    fn a_target_may_have_its_own_interval() {
        let yaml = "relabel_configs: [{target_label: __scrape_interval__, replacement: 30s}, {target_label: __scrape_timeout__, replacement: 20s}]";
        let Verdict::Scrape(target) = verdict(yaml, &[]) else { panic!() };
        assert_eq!((target.interval, target.timeout), (Duration::from_secs(30), Duration::from_secs(20)));
    }

    #[test]
    fn bad_targets_say_why() {
        let set =
            |label: &str, value: &str| format!("relabel_configs: [{{target_label: {label}, replacement: '{value}'}}]");
        invalid(&set(ADDRESS, ""), "no address");
        invalid(&set(ADDRESS, "a/b"), "\"a/b\" is not a valid hostname");
        invalid(&set(ADDRESS, "a:b"), "invalid URL \"http://a:b\": invalid port number");
        invalid(&set(SCHEME, "ftp"), "invalid URL \"ftp://host:1\": the scheme is neither http nor https");
        invalid(&set(INTERVAL, "0s"), "scrape interval cannot be 0");
        invalid(&set(TIMEOUT, "2m"), "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")");
        assert!(matches!(verdict("relabel_configs: [{action: drop}]", &[]), Verdict::Dropped(_)));
    }

    #[test]
    fn identity_ignores_the_interval_and_nothing_else() {
        let id = |yaml: &str| match verdict(yaml, &[]) {
            Verdict::Scrape(target) => target.identity(),
            other => panic!("{other:?}"),
        };
        assert_eq!(id(""), id("scrape_interval: 5s"));
        assert_ne!(id(""), id("metrics_path: /other"));
        assert_ne!(id(""), id("relabel_configs: [{target_label: a, replacement: b}]"));
    }
}
