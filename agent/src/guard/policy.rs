//! A configuration that was found good, ready for use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderName, HeaderValue};
use rustls::ServerConfig;

use super::config::{Config, RateLimit, WebConfigError};
use super::password::PasswordHash;
use super::rate::Bucket;
use super::tls;

/// What is asked of connections and requests.
pub(super) struct Policy {
    /// `None` for connections in the clear.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Set in every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty when everybody may ask.
    pub(super) users: BTreeMap<String, PasswordHash>,
    /// `None` for any number of requests.
    pub(super) rate: Option<RateLimit>,
}

/// What a configuration asks of who connects, for one who means to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// To speak TLS.
    pub tls: bool,
    /// To show a certificate.
    pub certificate: bool,
}

impl Demands {
    /// Reads a file of `--web.config.file`; the certificates that it names are not read.
    ///
    /// # Errors
    /// When it cannot be read or is not of the form.
    pub fn of_file(path: &Path) -> Result<Self, WebConfigError> {
        let config = Config::parse(path, &read(path)?)?;
        let kind = config.tls_server_config.as_ref().and_then(|tls| tls.client_auth_type).unwrap_or_default();
        Ok(Self { tls: config.speaks_tls(), certificate: kind.requires() })
    }
}

fn read(path: &Path) -> Result<String, WebConfigError> {
    std::fs::read_to_string(path).map_err(|source| WebConfigError::Read { path: path.to_owned(), source })
}

impl Policy {
    /// Reads a file and what it names; `before` is told of each file before it is read.
    pub(super) fn read(path: &Path, mut before: impl FnMut(&Path)) -> Result<Self, WebConfigError> {
        before(path);
        let config = Config::parse(path, &read(path)?)?;
        config.files().for_each(|file| before(file));
        Self::from_config(path, config)
    }

    fn from_config(path: &Path, config: Config) -> Result<Self, WebConfigError> {
        let wrong = |key, message| WebConfigError::Value { path: path.to_owned(), key, message };
        let is_tls = config.speaks_tls();
        let headers = config.http_server_config.unwrap_or_default().headers();
        let rate = config.rate_limit.filter(|rate| !rate.interval.is_zero());
        if rate.is_some_and(|rate| rate.burst == 0) {
            return Err(wrong("rate_limit.burst", "0 would refuse every request: use 1 or more".to_owned()));
        }
        Ok(Self {
            headers: headers.map_err(|message| wrong("http_server_config.headers", message))?,
            tls: match config.tls_server_config.filter(|_| is_tls) {
                Some(section) => Some(tls::server_config(path, &section)?),
                None => None,
            },
            users: config.basic_auth_users.unwrap_or_default().0,
            rate,
        })
    }

    /// A full bucket for its rate.
    pub(super) fn bucket(&self) -> Option<Arc<Bucket>> {
        self.rate.map(|rate| Arc::new(Bucket::new(rate, Instant::now())))
    }
}
