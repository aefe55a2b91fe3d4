//! `tls_config` as rustls understands it, with ring.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};

use crate::{ClientError, TlsConfig};

/// The TLS set-up of one client. Files are read here; the system's own certificates only when the first peer shows
/// its certificate, as most peers are spoken to without TLS.
pub(crate) fn rustls_config(config: &TlsConfig) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = if config.insecure_skip_verify {
        Trust::Anyone
    } else if let Some(pem) = text_or_file(config.ca.as_deref(), config.ca_file.as_deref(), "ca")? {
        Trust::Roots(named_roots(&pem, &provider)?)
    } else {
        Trust::System(OnceLock::new())
    };
    let verifier = Arc::new(Verifier { trust, server_name: server_name(config)?, provider: Arc::clone(&provider) });
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(config)?)
        .map_err(ClientError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match identity(config)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(ClientError::Tls),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// The files that a TLS set-up was read from, to notice when one is replaced.
pub(crate) fn files(config: &TlsConfig) -> Vec<PathBuf> {
    [&config.ca_file, &config.cert_file, &config.key_file].into_iter().flatten().cloned().collect()
}

/// The versions that the configuration leaves. TLS 1.0 and 1.1 are not spoken at all, so as a lower bound they
/// change nothing.
pub(crate) fn versions(config: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, ClientError> {
    let refuse = |key, version: &str| ClientError::TlsVersion { key, version: version.to_owned() };
    let from = match config.min_version.as_deref() {
        None | Some("TLS10" | "TLS11" | "TLS12") => 2,
        Some("TLS13") => 3,
        Some(other) => return Err(refuse("min_version", other)),
    };
    let to = match config.max_version.as_deref() {
        None | Some("TLS13") => 3,
        Some("TLS12") if from <= 2 => 2,
        Some(other) => return Err(refuse("max_version", other)),
    };
    let known = [(2, &rustls::version::TLS12), (3, &rustls::version::TLS13)];
    Ok(known.into_iter().filter(|(minor, _)| (from..=to).contains(minor)).map(|(_, version)| version).collect())
}

/// The name that the peer's certificate must carry, where it is not the URL's.
pub(crate) fn server_name(config: &TlsConfig) -> Result<Option<ServerName<'static>>, ClientError> {
    match config.server_name.as_deref() {
        None | Some("") => Ok(None),
        Some(name) => {
            ServerName::try_from(name.to_owned()).map(Some).map_err(|_| ClientError::ServerName(name.to_owned()))
        }
    }
}

/// What a pair of keys such as `ca` and `ca_file` gives, with the name of its place for messages.
struct Pem {
    text: Vec<u8>,
    place: String,
}

fn text_or_file(text: Option<&str>, file: Option<&Path>, key: &str) -> Result<Option<Pem>, ClientError> {
    match (text, file) {
        (Some(text), _) => Ok(Some(Pem { text: text.as_bytes().to_vec(), place: key.to_owned() })),
        (None, Some(path)) => {
            let text = std::fs::read(path).map_err(|source| ClientError::ReadFile { path: path.to_owned(), source })?;
            Ok(Some(Pem { text, place: path.display().to_string() }))
        }
        (None, None) => Ok(None),
    }
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let bad = || ClientError::Pem { what: "certificate", place: pem.place.clone() };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.text).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(bad)
}

fn identity(config: &TlsConfig) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, ClientError> {
    let cert = text_or_file(config.cert.as_deref(), config.cert_file.as_deref(), "cert")?;
    let key = config.key.as_ref().map(crate::Secret::expose);
    let key = text_or_file(key, config.key_file.as_deref(), "key")?;
    let (Some(cert), Some(key)) = (cert, key) else { return Ok(None) };
    let parsed = PrivateKeyDer::from_pem_slice(&key.text)
        .map_err(|_| ClientError::Pem { what: "private key", place: key.place })?;
    Ok(Some((certificates(&cert)?, parsed)))
}

fn named_roots(pem: &Pem, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(ClientError::Tls)?;
    }
    verifier_of(roots, provider).map_err(ClientError::Tls)
}

fn system_roots(provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(rustls::Error::General("the system has no CA certificates; name one with ca_file".to_owned()));
    }
    verifier_of(roots, provider)
}

fn verifier_of(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|e| rustls::Error::General(e.to_string()))
}

#[derive(Debug)]
enum Trust {
    Anyone,
    Roots(Arc<WebPkiServerVerifier>),
    System(OnceLock<Result<Arc<WebPkiServerVerifier>, rustls::Error>>),
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    server_name: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = match &self.trust {
            Trust::Anyone => return Ok(ServerCertVerified::assertion()),
            Trust::Roots(verifier) => verifier,
            Trust::System(cell) => cell.get_or_init(|| system_roots(&self.provider)).as_ref().map_err(Clone::clone)?,
        };
        let server_name = self.server_name.as_ref().unwrap_or(server_name);
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
