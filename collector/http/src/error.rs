//! Why a client cannot be built or a request not be prepared.

use std::path::PathBuf;

/// A client could not be built, or a request could not be given its credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// More than one way to authenticate, or a key and its `_file` form together.
    #[error("at most one of {0} may be set")]
    Conflict(&'static str),
    /// A key that has no meaning without another.
    #[error("{key} needs {needs} beside it")]
    Incomplete {
        /// The key that is there.
        key: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// `authorization: {type: basic}`, which cannot carry a user name and a password.
    #[error("authorization type cannot be \"basic\", use basic_auth instead")]
    BasicScheme,
    /// A header that the client sets itself.
    #[error("setting header {0:?} is not allowed")]
    ReservedHeader(String),
    /// A header name or value that HTTP does not allow.
    #[error("header {0:?} is not valid in HTTP")]
    BadHeader(String),
    /// A TLS version that is unknown, or older than what is spoken here.
    #[error("{key} {version:?} is not one of TLS10, TLS11, TLS12, TLS13, or leaves no version that is safe")]
    TlsVersion {
        /// `min_version` or `max_version`.
        key: &'static str,
        /// What it says.
        version: String,
    },
    /// A file named in the configuration could not be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No certificate or key in PEM form where one was expected.
    #[error("no {what} in PEM form in {place}")]
    Pem {
        /// Certificate or private key.
        what: &'static str,
        /// The key or the file.
        place: String,
    },
    /// `server_name` is neither a DNS name nor an address.
    #[error("server_name {0:?} is neither a DNS name nor an address")]
    ServerName(String),
    /// The TLS parts do not fit together.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// `proxy_url` is not the URL of an HTTP proxy.
    #[error("proxy_url is not an http or https URL")]
    ProxyUrl,
    /// The client library refused the configuration, or the URL of a request.
    #[error("cannot build the HTTP client or its request")]
    Build(#[source] reqwest::Error),
}
