//! `prometheus.yml`: one file, and the rule files and scrape files it names, read and checked as a whole.

mod expand;
mod files;
mod redact;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collector_discovery::DiscoveryError;
use collector_model::{Labels, PromDuration};
use collector_remote::{DestinationConfig, Destinations, InfluxWriteConfig, RemoteWriteConfig};
use collector_ruler::{RuleFile, RuleFileError, Settings as RuleSettings, is_label_name};
use collector_scrape::{GlobalConfig, ScrapeConfig, ScrapeJob};
use serde::Deserialize;

/// A configuration as it is written. Each list's entries belong to the crate that uses them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `global`
    pub global: GlobalConfig,
    /// `runtime`: settings of Go's runtime, without effect here.
    pub runtime: Option<serde_yaml_ng::Value>,
    /// `rule_files`: patterns, relative to the configuration file.
    pub rule_files: Vec<String>,
    /// `scrape_config_files`: patterns of files that hold more `scrape_configs`.
    pub scrape_config_files: Vec<String>,
    /// `scrape_configs`
    pub scrape_configs: Vec<ScrapeConfig>,
    /// `remote_write`
    pub remote_write: Vec<RemoteWriteConfig>,
    /// `influxdb_write`: InfluxDB 2 and 3 by line protocol.
    pub influxdb_write: Vec<InfluxWriteConfig>,
    /// `alerting`: taken, but alerts are recorded and shown here, not sent.
    pub alerting: Option<serde_yaml_ng::Value>,
    /// `storage`: without effect; the window is set by flags.
    pub storage: Option<serde_yaml_ng::Value>,
    /// `tracing`: without effect.
    pub tracing: Option<serde_yaml_ng::Value>,
    /// `remote_read`: not supported.
    pub remote_read: Vec<serde_yaml_ng::Value>,
    /// `otlp`: without effect.
    pub otlp: Option<serde_yaml_ng::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScrapeFile {
    #[serde(default)]
    scrape_configs: Vec<ScrapeConfig>,
}

/// A configuration that passed every check, ready to be put in force.
#[derive(Debug)]
pub struct Loaded {
    /// The file's text with secrets blanked out.
    pub shown: String,
    /// Added to everything that is sent.
    pub external_labels: Labels,
    /// What to scrape.
    pub jobs: Vec<ScrapeJob>,
    /// What to evaluate.
    pub rules: Vec<RuleFile>,
    /// How to evaluate it.
    pub rule_settings: RuleSettings,
    /// Where to deliver.
    pub destinations: Vec<DestinationConfig>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

/// A configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// YAML, or a key or value that does not belong.
    #[error("{}{}: {message}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1, where one is known.
        line: Option<usize>,
        /// What is wrong, with the key.
        message: String,
    },
    /// Scrape configurations that contradict themselves.
    #[error("{}: cannot use scrape_configs", path.display())]
    Scrape {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<collector_scrape::ConfigError>,
    },
    /// Destinations that cannot be used.
    #[error("{}: cannot use a destination", path.display())]
    Destinations {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: collector_remote::ConfigError,
    },
    /// A rule file.
    #[error(transparent)]
    Rules(#[from] RuleFileError),
    /// An external label with a name that no label may have.
    #[error("{}: external_labels: {name:?} is not a valid label name", path.display())]
    LabelName {
        /// Which file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A pattern of files that is not one.
    #[error("{}: {pattern:?} is not a valid file pattern", path.display())]
    Pattern {
        /// Which file names it.
        path: PathBuf,
        /// The pattern.
        pattern: String,
    },
    /// A provider of targets that cannot be set up.
    #[error("cannot set up the discovery of targets")]
    Discovery(#[from] DiscoveryError),
}

impl Config {
    /// Reads a file without what it names. An empty file is a configuration that does nothing.
    ///
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::Yaml`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let parsed: Option<Self> = yaml(path, text)?;
        Ok(parsed.unwrap_or_default())
    }

    /// Reads a file and everything it names, and checks it all.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        let text = files::read(path)?;
        let config = Self::parse(path, &text)?;
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        let mut warnings = config.without_effect();
        let external_labels = external_labels(path, config.global.external_labels.as_ref())?;
        let rules = rule_files(path, &config.rule_files, &mut warnings)?;
        let jobs = scrape_jobs(path, &config.global, config.scrape_configs, &config.scrape_config_files)?;
        let destinations = destinations(path, &directory, config.remote_write, config.influxdb_write)?;
        Ok(Loaded {
            shown: redact::without_secrets(&text),
            rule_settings: RuleSettings {
                evaluation_interval: config.global.evaluation_interval(),
                query_offset: config.global.rule_query_offset.unwrap_or(PromDuration::default()),
                external_labels: external_labels.clone(),
                external_url: String::new(),
            },
            external_labels,
            jobs,
            rules,
            destinations,
            warnings,
        })
    }

    fn without_effect(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.alerting.is_some() {
            warnings
                .push("alerting: alerts are recorded and shown here, they are not sent to an Alertmanager".to_owned());
        }
        if self.storage.is_some() {
            warnings.push("storage: has no effect; the window is set by --storage.tsdb.retention.time".to_owned());
        }
        if !self.remote_read.is_empty() {
            warnings.push("remote_read: has no effect; queries see the local window only".to_owned());
        }
        for (key, value) in [("runtime", &self.runtime), ("tracing", &self.tracing), ("otlp", &self.otlp)] {
            if value.is_some() {
                warnings.push(format!("{key}: has no effect"));
            }
        }
        warnings
    }
}

fn yaml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    serde_yaml_ng::from_str(text).map_err(|error| {
        let line = error.location().map(|at| at.line()).filter(|line| *line > 0);
        let message = error.to_string();
        let message = match message.rsplit_once(" at line ") {
            Some((head, tail)) if line.is_some() && tail.starts_with(|c: char| c.is_ascii_digit()) => head.to_owned(),
            _ => message,
        };
        // A key may be of several lines.
        let message = message.replace(char::is_control, " ");
        ConfigError::Yaml { path: path.to_owned(), line, message }
    })
}

fn external_labels(path: &Path, written: Option<&BTreeMap<String, String>>) -> Result<Labels, ConfigError> {
    let mut pairs = Vec::new();
    for (name, value) in written.into_iter().flatten() {
        if !is_label_name(name) {
            return Err(ConfigError::LabelName { path: path.to_owned(), name: name.clone() });
        }
        pairs.push((name.clone(), expand::environment(value, |variable| std::env::var(variable).ok())));
    }
    Ok(Labels::from_pairs(pairs))
}

fn rule_files(path: &Path, patterns: &[String], warnings: &mut Vec<String>) -> Result<Vec<RuleFile>, ConfigError> {
    let mut rules = Vec::new();
    for pattern in patterns {
        let found = files::matching(path, pattern)?;
        if found.is_empty() {
            warnings.push(format!("rule_files: {pattern:?} matches no file"));
        }
        for file in found {
            let text = files::read(&file)?;
            rules.push(RuleFile::parse(file.display().to_string(), &text)?);
        }
    }
    Ok(rules)
}

fn scrape_jobs(
    path: &Path,
    global: &GlobalConfig,
    inline: Vec<ScrapeConfig>,
    patterns: &[String],
) -> Result<Vec<ScrapeJob>, ConfigError> {
    let resolve = |file: &Path, configs: Vec<ScrapeConfig>| {
        let directory = file.parent().map(Path::to_owned).unwrap_or_default();
        ScrapeConfig::resolve_all(configs, global, &directory)
            .map_err(|source| ConfigError::Scrape { path: file.to_owned(), source: Box::new(source) })
    };
    let mut jobs = resolve(path, inline)?;
    for pattern in patterns {
        for file in files::matching(path, pattern)? {
            let parsed: Option<ScrapeFile> = yaml(&file, &files::read(&file)?)?;
            for job in resolve(&file, parsed.map(|f| f.scrape_configs).unwrap_or_default())? {
                if jobs.iter().any(|other| other.name() == job.name()) {
                    let source = Box::new(collector_scrape::ConfigError::DuplicateJob(job.name().to_owned()));
                    return Err(ConfigError::Scrape { path: file, source });
                }
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}

fn destinations(
    path: &Path,
    directory: &Path,
    remote_write: Vec<RemoteWriteConfig>,
    influxdb_write: Vec<InfluxWriteConfig>,
) -> Result<Vec<DestinationConfig>, ConfigError> {
    let mut all = Vec::new();
    for mut config in remote_write {
        config.resolve_paths(directory);
        all.push(DestinationConfig::from(config));
    }
    for mut config in influxdb_write {
        config.resolve_paths(directory);
        all.push(DestinationConfig::from(config));
    }
    Destinations::check(&all).map_err(|source| ConfigError::Destinations { path: path.to_owned(), source })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::chain;

    fn load(text: &str) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prometheus.yml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    /// In the style that the collector was asked for with: every key of it must be understood.
    const WHOLE: &str = r#"
global:
  scrape_interval: 15s
  evaluation_interval: 15s
  external_labels: { monitor: docker-host-alpha }
rule_files: []
scrape_configs:
  - job_name: nodeexporter
    scrape_interval: 5s
    static_configs: [{ targets: ['192.168.50.2:9100', '192.168.50.3:9100'] }]
  - job_name: cadvisor
    scrape_interval: 5s
    static_configs: [{ targets: ['192.168.50.2:8080', '192.168.50.3:8080'] }]
  - job_name: prometheus
    scrape_interval: 10s
    static_configs: [{ targets: ['localhost:9090'] }]
remote_write:
  - url: http://192.168.50.2:8086/api/v1/prom/write?db=prometheus
    write_relabel_configs: [{ source_labels: [__name__], regex: 'job_instance:.*', action: keep }]
  - url: http://192.168.50.2:8087/api/v1/prom/write?db=prometheus
    write_relabel_configs: [{ source_labels: [__name__], regex: 'job_container:.*', action: keep }]
"#;

    #[test]
    fn the_whole_of_an_ordinary_file_is_understood() {
        let loaded = load(WHOLE).unwrap();
        assert_eq!(
            loaded.jobs.iter().map(ScrapeJob::name).collect::<Vec<_>>(),
            ["nodeexporter", "cadvisor", "prometheus"]
        );
        assert_eq!(loaded.external_labels.get("monitor"), Some("docker-host-alpha"));
        assert_eq!(loaded.destinations.len(), 2);
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }

    #[test]
    fn an_empty_file_does_nothing() {
        for text in ["", "# nothing\n", "global: {}\n"] {
            let loaded = load(text).unwrap();
            assert!(loaded.jobs.is_empty() && loaded.rules.is_empty() && loaded.destinations.is_empty());
        }
    }

    #[track_caller]
    fn refused(text: &str, wanted: &[&str]) {
        let said = chain(&load(text).unwrap_err());
        assert!(wanted.iter().all(|w| said.contains(w)), "{said}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        refused("global:\n  scrape_intervall: 5s\n", &["prometheus.yml:2", "scrape_intervall"]);
        refused("scrape_config: []\n", &["prometheus.yml:1", "scrape_config"]);
        refused("scrape_configs:\n- job_name: a\n- job_name: a\n", &["job name \"a\""]);
        refused("remote_write: [{ url: 'nowhere' }]", &["prometheus.yml", "remote_write: url"]);
        refused("global: { external_labels: { 'a-b': c } }", &["a-b"]);
        refused("a: [", &["prometheus.yml"]);
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let loaded = load("alerting: { alertmanagers: [] }\nrule_files: [no-such-*.yml]\n").unwrap();
        assert!(loaded.warnings.iter().any(|w| w.contains("Alertmanager")));
        assert!(loaded.warnings.iter().any(|w| w.contains("no-such-*.yml")));
    }
}
