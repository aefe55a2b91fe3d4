//! What delivery is told.

use std::path::PathBuf;
use std::time::Duration;

/// Where the agent delivers its pages by itself, and how. The defaults are those of the flags.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// The remote-write receiver, `http` or `https`. Without user and password: those have places of their own.
    pub url: String,
    /// From one scrape of our own to the next.
    pub interval: Duration,
    /// The label `job` of all series.
    pub job: String,
    /// The label `instance`; without it the machine's name and the port of the node page.
    pub instance: Option<String>,
    /// Labels for series that have none of that name.
    pub external_labels: Vec<(String, String)>,
    /// Who the agent says it is.
    pub credentials: Credentials,
    /// Certificates of the authorities that may vouch for the receiver, PEM; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a request may take, connecting included.
    pub timeout: Duration,
    /// Bytes of compressed requests that may wait. Beyond that the oldest are dropped.
    pub queue_bytes: usize,
}

/// Who the agent says it is. Files are read for every request, so that what is in them can be replaced.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// A user with a password (RFC 7617).
    Basic {
        /// Who.
        username: String,
        /// Where the password is; blanks and newlines around it do not count.
        password_file: PathBuf,
    },
    /// A bearer of a token (RFC 6750).
    Bearer {
        /// Where the token is; blanks and newlines around it do not count.
        token_file: PathBuf,
    },
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            interval: Duration::from_secs(15),
            job: "agent".to_owned(),
            instance: None,
            external_labels: Vec::new(),
            credentials: Credentials::None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            // A page of 1,400 samples is about 25 kB: almost three hours of it.
            queue_bytes: 16 * 1024 * 1024,
        }
    }
}
