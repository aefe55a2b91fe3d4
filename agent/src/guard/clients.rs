//! Which certificates of clients are taken: Go's kinds of `client_auth_type`, and names that are allowed.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::names::alternative_names;

/// The check of a client's certificate. That it holds the key is checked always, whatever else is not.
#[derive(Debug)]
pub(super) struct Clients {
    is_mandatory: bool,
    /// Checks that the certificate comes from a known authority, where it must.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// The names of which it must carry one.
    names: Option<BTreeSet<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    pub(super) fn new(
        is_mandatory: bool,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
        names: Option<BTreeSet<String>>,
        provider: &CryptoProvider,
    ) -> Self {
        Self { is_mandatory, verifier, names, algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.as_ref().map_or(&[], |verifier| verifier.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(verifier) = &self.verifier {
            verifier.verify_client_cert(certificate, intermediates, now)?;
        }
        if let Some(allowed) = &self.names
            && !alternative_names(certificate).iter().any(|name| allowed.contains(name))
        {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
