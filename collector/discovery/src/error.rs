//! Why discovery cannot begin or go on.

use std::path::PathBuf;
use std::time::Duration;

use collector_http::ClientError;
use hickory_resolver::net::NetError;
use reqwest::StatusCode;

/// A provider could not be configured, or could not read what it reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A path that file discovery does not take.
    #[error(
        "path {0:?} is not valid for file discovery: it must end in .json, .yml or .yaml and may have * in its last part alone"
    )]
    Pattern(PathBuf),
    /// `files` is empty.
    #[error("file discovery needs at least one path")]
    NoFiles,
    /// A duration of zero where one must pass.
    #[error("{0} must be greater than zero")]
    ZeroInterval(&'static str),
    /// A file with targets could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file with targets is malformed.
    #[error("{} does not hold target groups: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A key without which nothing can be discovered.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A key that belongs to another provider.
    #[error("unknown field `{0}`")]
    UnknownKey(&'static str),
    /// `host` is not where an engine can be.
    #[error("host {0:?} is none of unix:///PATH, tcp://HOST:PORT, http://HOST:PORT and https://HOST:PORT")]
    EngineHost(String),
    /// `role` is none of the three.
    #[error("role {0:?} is none of services, tasks and nodes")]
    SwarmRole(String),
    /// The keys of the HTTP client contradict each other, or a file that they name cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Not everything was read in time.
    #[error("no complete answer from {peer} within {within:?}")]
    Deadline {
        /// Who was asked.
        peer: String,
        /// For how long.
        within: Duration,
    },
    /// An engine could not be reached, or its answer broke off.
    #[error("cannot read {path} of the engine at {host}")]
    Ask {
        /// Which engine.
        host: String,
        /// What was asked for.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
    /// An engine answers with an error. One that is no manager of a swarm says so in the reason.
    #[error("the engine at {host} refuses {path} with {status}: {reason}")]
    Refused {
        /// Which engine.
        host: String,
        /// What was asked for.
        path: String,
        /// The HTTP status.
        status: StatusCode,
        /// What the engine says.
        reason: String,
    },
    /// An answer is longer than any list should be.
    #[error("the engine at {host} answers {path} with more than {most} bytes")]
    TooLong {
        /// Which engine.
        host: String,
        /// What was asked for.
        path: String,
        /// The bound.
        most: usize,
    },
    /// An answer is not the list that was asked for.
    #[error("the engine at {host} answers {path} with something else than such a list")]
    NoList {
        /// Which engine.
        host: String,
        /// What was asked for.
        path: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// `type` is no kind of record that targets can be made of.
    #[error("type {0:?} is none of SRV, A, AAAA, MX and NS")]
    RecordType(String),
    /// A name that cannot be asked for.
    #[error("{0:?} is not a domain name")]
    DomainName(String),
    /// Records of this kind tell no port, and neither does the configuration.
    #[error("records of type {0} need a port beside them")]
    NoPort(String),
    /// The file that names the name servers is of no use.
    #[error("{} names no name servers: {reason}", path.display())]
    NameServers {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// Not even that a name does not exist could be found out.
    #[error("cannot look up {name}")]
    Lookup {
        /// Which name.
        name: String,
        /// Why.
        source: Box<NetError>,
    },
}
