//! `tls_server_config` as rustls understands it, with ring.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::clients::Clients;
use super::config::{ClientAuth, Tls, WebConfigError};
use super::words::Version;

/// Builds what handshakes are made with. Reads the files that are named; `path` is the configuration's own, for
/// messages.
pub(super) fn server_config(path: &Path, tls: &Tls) -> Result<Arc<ServerConfig>, WebConfigError> {
    let place = Place(path);
    let provider = Arc::new(provider(tls));
    let versions = versions(tls).map_err(|message| place.wrong("tls_server_config.max_version", message))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| place.wrong("tls_server_config.cipher_suites", error.to_string()))?;
    let builder = match clients(place, tls, &provider)? {
        Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = identity(place, tls)?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| place.wrong("tls_server_config", format!("certificate and key cannot be used: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = tls.prefer_server_cipher_suites.unwrap_or(true);
    Ok(Arc::new(config))
}

/// The configuration's file, to say where something is wrong.
#[derive(Clone, Copy)]
struct Place<'a>(&'a Path);

impl Place<'_> {
    fn wrong(self, key: &'static str, message: impl Into<String>) -> WebConfigError {
        WebConfigError::Value { path: self.0.to_owned(), key, message: message.into() }
    }
}

/// What the two keys of a pair such as `cert` and `cert_file` give. The file wins, as it does in exporter-toolkit.
fn text_or_file(text: Option<&str>, file: Option<&PathBuf>) -> Result<Option<Vec<u8>>, WebConfigError> {
    if let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) {
        let read = std::fs::read(path).map_err(|source| WebConfigError::Read { path: path.clone(), source });
        return read.map(Some);
    }
    Ok(text.filter(|text| !text.is_empty()).map(|text| text.as_bytes().to_vec()))
}

fn identity(
    place: Place<'_>,
    tls: &Tls,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), WebConfigError> {
    let cert = text_or_file(tls.cert.as_deref(), tls.cert_file.as_ref())?
        .ok_or_else(|| place.wrong("tls_server_config", "TLS needs a certificate: set cert_file (or cert)"))?;
    let key = text_or_file(tls.key.as_ref().map(|key| key.expose()), tls.key_file.as_ref())?
        .ok_or_else(|| place.wrong("tls_server_config", "TLS needs a private key: set key_file (or key)"))?;
    let chain = certificates(&cert)
        .ok_or_else(|| place.wrong("tls_server_config.cert_file", "cert_file or cert holds no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
        place.wrong("tls_server_config.key_file", "key_file or key holds no unencrypted private key in PEM")
    })?;
    Ok((chain, key))
}

/// All certificates of a text; `None` when there is none, or a broken one.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

/// Who may connect; `None` when nobody is asked.
fn clients(place: Place<'_>, tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Option<Clients>, WebConfigError> {
    let kind = tls.client_auth_type.unwrap_or_default();
    let authorities = text_or_file(tls.client_ca.as_deref(), tls.client_ca_file.as_ref())?;
    if kind == ClientAuth::NoClientCert && authorities.is_some() {
        let message = "there are authorities for clients, but no client is asked: use RequireAndVerifyClientCert";
        return Err(place.wrong("tls_server_config.client_auth_type", message));
    }
    if tls.client_allowed_sans.is_some() && !kind.requires() {
        let message = "who shows no certificate has no name: it needs client_auth_type RequireAndVerifyClientCert";
        return Err(place.wrong("tls_server_config.client_allowed_sans", message));
    }
    if kind == ClientAuth::NoClientCert {
        return Ok(None);
    }
    let verifier = match authorities.filter(|_| kind.verifies()) {
        Some(pem) => Some(verifier(place, &pem, provider)?),
        None if kind.verifies() => {
            let message = format!("{kind:?} needs the authorities to verify with: set client_ca_file (or client_ca)");
            return Err(place.wrong("tls_server_config.client_auth_type", message));
        }
        None => None,
    };
    let names = tls.client_allowed_sans.clone().map(|names| names.into_iter().collect());
    Ok(Some(Clients::new(kind.requires(), verifier, names, provider)))
}

fn verifier(
    place: Place<'_>,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, WebConfigError> {
    let wrong = |message: String| place.wrong("tls_server_config.client_ca_file", message);
    let authorities =
        certificates(pem).ok_or_else(|| wrong("client_ca_file or client_ca holds no certificate in PEM".to_owned()))?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| wrong(format!("an authority cannot be used: {error}")))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| wrong(format!("the authorities cannot be used: {error}")))
}

/// As in Go, the suites of TLS 1.3 are not for choosing: all are there, whatever is named.
fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let named: Vec<SupportedCipherSuite> = tls.cipher_suites.iter().map(|cipher| cipher.0).collect();
    if !named.is_empty() {
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.extend(named.into_iter().filter(|suite| suite.tls13().is_none()));
    }
    if !tls.curve_preferences.is_empty() {
        provider.kx_groups = tls.curve_preferences.iter().map(|curve| curve.0).collect();
    }
    provider
}

fn versions(tls: &Tls) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let from = tls.min_version.unwrap_or(Version::Tls12);
    let to = tls.max_version.unwrap_or(Version::Tls13);
    let known = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)];
    let spoken: Vec<_> =
        known.into_iter().filter(|(version, _)| (from..=to).contains(version)).map(|(_, version)| version).collect();
    if spoken.is_empty() { Err("it is lower than min_version".to_owned()) } else { Ok(spoken) }
}
