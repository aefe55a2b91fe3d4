//! `atalaia-agent health`: asks the agent beside it whether it is alive, for the health check of its container.
//!
//! It knows the web configuration of the agent that it asks, and none of its users or keys: being sent away is a sign
//! of life too. Whether the certificate is right is for others to check.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use atalaia_agent::{Demands, Settings, unix_path};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

/// How long connecting and answering may take, each.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Answers of one that lives: the page, a user is needed, too many requests.
const ALIVE: [&str; 3] = ["200", "401", "429"];

/// Asks on the first address that the settings listen on.
///
/// # Errors
/// With one line that says what was asked and what came of it.
pub fn check(settings: &Settings) -> Result<(), String> {
    let listens = settings.listen.first().ok_or("there is no address to ask")?;
    let demands = settings.web_config.as_deref().map(Demands::of_file).transpose();
    let demands = demands.map_err(|error| error.to_string())?.unwrap_or_default();
    let (address, connected) = match unix_path(listens) {
        Some(path) => (listens.clone(), unix(path)),
        None => (reachable(listens), tcp(&reachable(listens))),
    };
    let asked = connected.and_then(|stream| if demands.tls { ask_by_tls(stream, demands) } else { ask(stream) });
    let status = asked.map_err(|error| format!("cannot ask {address}: {error}"))?;
    if ALIVE.contains(&status.as_str()) { Ok(()) } else { Err(format!("{address}: /healthz answered {status:?}")) }
}

/// The address by which a listener can be reached on this machine.
fn reachable(listens: &str) -> String {
    let (host, port) = listens.rsplit_once(':').unwrap_or((listens, ""));
    let host = if matches!(host, "" | "0.0.0.0" | "[::]") { "127.0.0.1" } else { host };
    format!("{host}:{port}")
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn tcp(address: &str) -> io::Result<Box<dyn Stream>> {
    let resolved = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let stream = TcpStream::connect_timeout(&resolved, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(Box::new(stream))
}

fn unix(path: &std::path::Path) -> io::Result<Box<dyn Stream>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(Box::new(stream))
}

/// The status code of the answer.
fn ask(mut stream: impl Stream) -> io::Result<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    // "HTTP/1.1 200"
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let [.., hundreds, tens, ones] = head;
    Ok([hundreds, tens, ones].map(char::from).iter().collect())
}

fn ask_by_tls(mut stream: Box<dyn Stream>, demands: Demands) -> io::Result<String> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let met = connection.complete_io(&mut stream);
    if demands.certificate && met.as_ref().err().is_none_or(is_alert) {
        // There is none to show, so this is as far as it goes.
        return Ok("401".to_owned());
    }
    met?;
    ask(rustls::Stream::new(&mut connection, &mut stream))
}

fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

/// Takes any certificate: this asks whether somebody is there, and tells him nothing.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listens: &str, want: &str) {
        assert_eq!(reachable(listens), want);
    }

    #[test]
    fn everywhere_is_here_too() {
        check(":9100", "127.0.0.1:9100");
        check("0.0.0.0:1", "127.0.0.1:1");
        check("[::]:1", "127.0.0.1:1");
        check("[::1]:1", "[::1]:1");
        check("localhost:9100", "localhost:9100");
    }
}
