//! What keeps delivery from starting.

use std::path::PathBuf;

/// Delivery cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The URL is none that can be delivered to. It is not shown: it may hold a password.
    #[error("the URL to push to {0}")]
    Url(&'static str),
    /// A file with a password, a token or certificates cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no certificates.
    #[error("{path} holds no certificate in PEM form")]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The system has no certificates.
    #[error("the system has no certificates of authorities to check the receiver with; name a file of them")]
    NoSystemCertificates,
    /// Certificates are not what TLS takes.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}
