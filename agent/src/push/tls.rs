//! TLS towards the receiver.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::PushError;

/// Whom to expect and whom to trust.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the file of authorities, or those of the system.
    pub(crate) fn new(host: &str, ca_file: Option<&Path>) -> Result<Self, PushError> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| PushError::Url("has a host that no certificate can have"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        Ok(Self { connector: Arc::new(config).into(), name })
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, PushError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(PushError::NoSystemCertificates) } else { Ok(roots) };
    };
    let pem = std::fs::read(path).map_err(|source| PushError::File { path: path.to_owned(), source })?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| PushError::NoCertificate { path: path.to_owned() })?;
        roots.add(certificate)?;
    }
    if roots.is_empty() { Err(PushError::NoCertificate { path: path.to_owned() }) } else { Ok(roots) }
}
