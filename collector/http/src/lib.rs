//! The HTTP client configuration that scraping, discovery and delivery share: authentication, TLS, proxies and
//! headers as `prometheus.yml` writes them, and the client built from it.
//!
//! A crate of its own because scraping, discovery and delivery may not import each other.

mod client;
mod config;
mod error;
mod names;
mod secret;
mod tls;

pub use client::HttpClient;
pub use config::{Authorization, BasicAuth, ClientConfig, HeaderConfig, TlsConfig};
pub use error::ClientError;
pub use secret::Secret;
