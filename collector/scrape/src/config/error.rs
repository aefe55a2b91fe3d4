//! Why a scrape configuration is refused.

use collector_http::ClientError;
use collector_model::PromDuration;

/// A scrape configuration contradicts itself or asks for what is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No `job_name`.
    #[error("job_name is empty")]
    NoJobName,
    /// Two jobs of one name.
    #[error("found multiple scrape configs with job name {0:?}")]
    DuplicateJob(String),
    /// A job cannot be scraped as it is written.
    #[error("scrape config of job {job:?} is not valid")]
    Job {
        /// Which.
        job: String,
        /// Why.
        source: Box<ConfigError>,
    },
    /// The explicit timeout is longer than the interval.
    #[error("scrape timeout {timeout} is greater than scrape interval {interval}")]
    TimeoutAboveInterval {
        /// As configured.
        timeout: PromDuration,
        /// As configured.
        interval: PromDuration,
    },
    /// A duration of zero.
    #[error("{0} must be greater than zero")]
    Zero(&'static str),
    /// A key that Prometheus has and this collector does not.
    #[error("{0} is not supported by this collector")]
    NotSupported(&'static str),
    /// A scheme other than http and https.
    #[error("scheme {0:?} is neither http nor https")]
    Scheme(String),
    /// The same protocol twice.
    #[error("scrape_protocols names {0:?} twice")]
    RepeatedProtocol(String),
    /// `scrape_protocols: []`
    #[error("scrape_protocols is empty")]
    NoProtocols,
    /// `bearer_token` beside another way to authenticate, or together with its `_file` form.
    #[error("at most one of basic_auth, authorization, bearer_token and bearer_token_file may be set")]
    BearerToken,
    /// The HTTP client's part.
    #[error("the HTTP client's keys are not valid")]
    Client(#[from] ClientError),
}
