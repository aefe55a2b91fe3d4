//! What can be wrong with a destination's configuration, and with its queue when it is opened.

use std::path::PathBuf;

use collector_http::ClientError;

/// A destination's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A URL that is no HTTP URL.
    #[error("{key}: url {url:?} is not an http or https URL")]
    Url {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// The URL, without its secrets.
        url: String,
    },
    /// A key that Prometheus has and this program does not support.
    #[error("{key}: {what} is not supported")]
    Unsupported {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// The key, and the value where only that is at fault.
        what: String,
    },
    /// A key that must be there.
    #[error("{key}: {missing} is required")]
    Missing {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// What.
        missing: &'static str,
    },
    /// Two keys of which only one may be there.
    #[error("{key}: at most one of {names} may be set")]
    Conflict {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// Which.
        names: &'static str,
    },
    /// A deadline that no request could meet.
    #[error("{key}: {name} must be more than 0s")]
    Timeout {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// The key of the deadline.
        name: &'static str,
    },
    /// A value of `queue_config` that makes no sense.
    #[error("{key}: queue_config: {rule}")]
    Queue {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// What must hold.
        rule: &'static str,
    },
    /// Two destinations of one kind with one name.
    #[error("{key}: more than one destination is named {name:?}")]
    DuplicateName {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// The name.
        name: String,
    },
    /// The HTTP client's keys.
    #[error("{key}: cannot use the HTTP client's keys")]
    Client {
        /// `remote_write` or `influxdb_write`.
        key: &'static str,
        /// What is wrong with them.
        source: ClientError,
    },
}

/// Delivery could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration cannot be used.
    #[error("cannot use the configuration of a destination")]
    Config(#[from] ConfigError),
    /// The folder of a queue could not be made or read.
    #[error("cannot open the queue in {}", path.display())]
    Queue {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
