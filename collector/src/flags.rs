//! The command line: Prometheus's own flag names, and the flags of its that mean nothing here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use collector_model::PromDuration;

use crate::commands;

/// Scrapes targets, keeps a recent window, evaluates rules and delivers to InfluxDB and remote-write receivers.
#[derive(Parser, Debug)]
#[command(
    name = "atalaia-collector",
    version,
    about,
    after_help = "Without a sub-command the collector runs. It takes prometheus.yml as it is; see `atalaia-collector check config FILE`.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run.
    #[command(flatten)]
    pub flags: Flags,
}

/// Sub-commands, after promtool's.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Check a configuration, rule files or a metrics page without running.
    #[command(subcommand)]
    Check(commands::Check),
    /// Run unit tests.
    #[command(subcommand)]
    Test(commands::Test),
    /// Ask a running collector, or any Prometheus API.
    #[command(subcommand)]
    Query(commands::Query),
}

/// How to run the collector.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Configuration file.
    #[arg(long = "config.file", value_name = "FILE", default_value = "prometheus.yml")]
    pub config_file: PathBuf,
    /// Address for the page, the API and /metrics; may be repeated.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub listen_addresses: Vec<String>,
    /// The URL under which the collector is reachable from outside; its path becomes the route prefix.
    #[arg(long = "web.external-url", value_name = "URL")]
    pub external_url: Option<String>,
    /// Prefix of every route; the external URL's path where it is not given.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub route_prefix: Option<String>,
    /// Allow reload and quit by HTTP.
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,
    /// Take remote writes at /api/v1/write.
    #[arg(long = "web.enable-remote-write-receiver")]
    pub enable_remote_write_receiver: bool,
    /// Connections served at once.
    #[arg(long = "web.max-connections", value_name = "N", default_value_t = 512)]
    pub max_connections: usize,
    /// How long a request may take to arrive.
    #[arg(long = "web.read-timeout", value_name = "DURATION", default_value = "5m", value_parser = PromDuration::parse)]
    pub read_timeout: PromDuration,
    /// Folder of the window, the write-ahead log and the delivery queues.
    #[arg(long = "storage.tsdb.path", value_name = "DIR", default_value = "data/")]
    pub storage_path: PathBuf,
    /// How long samples are kept here. This is a window for queries and rules, not the archive: that is where
    /// the samples are written to.
    #[arg(long = "storage.tsdb.retention.time", value_name = "DURATION", default_value = "6h", value_parser = PromDuration::parse)]
    pub retention_time: PromDuration,
    /// Series the window may hold; a target that would exceed it loses its newest series, nobody else.
    #[arg(long = "storage.max-series", value_name = "N", default_value_t = 2_000_000)]
    pub max_series: usize,
    /// How long to go on delivering when told to stop.
    #[arg(long = "storage.remote.flush-deadline", value_name = "DURATION", default_value = "1m", value_parser = PromDuration::parse)]
    pub flush_deadline: PromDuration,
    /// How far back an instant selector looks for a sample.
    #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m", value_parser = PromDuration::parse)]
    pub lookback_delta: PromDuration,
    /// How long a query may take.
    #[arg(long = "query.timeout", value_name = "DURATION", default_value = "2m", value_parser = PromDuration::parse)]
    pub query_timeout: PromDuration,
    /// Queries evaluated at once.
    #[arg(long = "query.max-concurrency", value_name = "N", default_value_t = 20)]
    pub query_concurrency: usize,
    /// Samples one query may load.
    #[arg(long = "query.max-samples", value_name = "N", default_value_t = 50_000_000)]
    pub query_max_samples: usize,
    /// Only log messages of this severity or above: debug, info, warn, error.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", value_parser = ["debug", "info", "warn", "error"])]
    pub log_level: String,
    /// Form of log messages: logfmt or json.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", value_parser = ["logfmt", "json"])]
    pub log_format: String,
}

impl Flags {
    /// Every flag with its value, as `/api/v1/status/flags` shows them.
    pub fn listing(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("config.file", self.config_file.display().to_string()),
            ("web.listen-address", self.listen_addresses.join(",")),
            ("web.external-url", self.external_url.clone().unwrap_or_default()),
            ("web.route-prefix", self.route_prefix.clone().unwrap_or_default()),
            ("web.enable-lifecycle", self.enable_lifecycle.to_string()),
            ("web.enable-remote-write-receiver", self.enable_remote_write_receiver.to_string()),
            ("web.max-connections", self.max_connections.to_string()),
            ("web.read-timeout", self.read_timeout.to_string()),
            ("storage.tsdb.path", self.storage_path.display().to_string()),
            ("storage.tsdb.retention.time", self.retention_time.to_string()),
            ("storage.max-series", self.max_series.to_string()),
            ("storage.remote.flush-deadline", self.flush_deadline.to_string()),
            ("query.lookback-delta", self.lookback_delta.to_string()),
            ("query.timeout", self.query_timeout.to_string()),
            ("query.max-concurrency", self.query_concurrency.to_string()),
            ("query.max-samples", self.query_max_samples.to_string()),
            ("log.level", self.log_level.clone()),
            ("log.format", self.log_format.clone()),
        ])
    }
}

/// Prometheus's flags that change nothing here, with whether each takes a value. They are accepted, so that a
/// command line can be carried over, and named once in the log.
const WITHOUT_EFFECT: &[(&str, bool)] = &[
    ("alertmanager.drain-notification-queue-on-shutdown", false),
    ("alertmanager.notification-queue-capacity", true),
    ("auto-gomaxprocs", false),
    ("auto-gomemlimit", false),
    ("auto-gomemlimit.ratio", true),
    ("config.auto-reload-interval", true),
    ("enable-feature", true),
    ("rules.alert.for-grace-period", true),
    ("rules.alert.for-outage-tolerance", true),
    ("rules.alert.resend-delay", true),
    ("rules.max-concurrent-evals", true),
    ("scrape.adjust-timestamps", false),
    ("scrape.discovery-reload-interval", true),
    ("scrape.timestamp-tolerance", true),
    ("storage.remote.read-concurrent-limit", true),
    ("storage.remote.read-max-bytes-in-frame", true),
    ("storage.remote.read-sample-limit", true),
    ("storage.tsdb.allow-overlapping-blocks", false),
    ("storage.tsdb.head-chunks-write-queue-size", true),
    ("storage.tsdb.max-block-duration", true),
    ("storage.tsdb.min-block-duration", true),
    ("storage.tsdb.no-lockfile", false),
    ("storage.tsdb.wal-compression", false),
    ("storage.tsdb.wal-compression-type", true),
    ("storage.tsdb.wal-segment-size", true),
    ("web.console.libraries", true),
    ("web.console.templates", true),
    ("web.cors.origin", true),
    ("web.enable-admin-api", false),
    ("web.page-title", true),
    ("web.user-assets", true),
];

/// Takes the flags without effect out of a command line; gives what is left and the names that were there.
pub fn strip_flags_without_effect(args: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<&'static str>) {
    let (mut kept, mut ignored) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, _)) => (name, true),
            None => (arg.as_str(), false),
        };
        let bare = name.strip_prefix("--").map(|n| n.strip_prefix("no-").unwrap_or(n));
        match WITHOUT_EFFECT.iter().find(|(flag, _)| Some(*flag) == bare) {
            Some((flag, takes_value)) => {
                ignored.push(*flag);
                if *takes_value && !inline {
                    args.next();
                }
            }
            None => kept.push(arg),
        }
    }
    (kept, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_without_effect_are_taken_out_with_their_values() {
        let line = "c --config.file=a.yml --web.console.templates /x --storage.tsdb.wal-compression --web.cors.origin=.* --web.enable-lifecycle";
        let (kept, ignored) = strip_flags_without_effect(line.split(' ').map(str::to_owned));
        assert_eq!(kept, ["c", "--config.file=a.yml", "--web.enable-lifecycle"]);
        assert_eq!(ignored, ["web.console.templates", "storage.tsdb.wal-compression", "web.cors.origin"]);
    }

    #[test]
    fn every_flag_is_listed() {
        let cli = Cli::parse_from(["c"]);
        let listed = cli.flags.listing();
        for arg in Cli::command().get_arguments().filter_map(|a| a.get_long()) {
            assert!(arg == "help" || arg == "version" || listed.contains_key(arg), "--{arg} is not in the listing");
        }
    }
}
