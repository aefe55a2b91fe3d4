//! TCP connections by name. Names are resolved here and not by the C library, whose resolver does not work in a static
//! binary inside an empty image.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::proto::rr::Name;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

/// How long to ask for a name, and how long to wait for each of its addresses.
const DEADLINE: Duration = Duration::from_secs(2);

/// `HOST:PORT`, where the host is a name or an address (IPv6 in brackets).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A text is no address.
#[derive(Debug, thiserror::Error)]
#[error("not of the form HOST:PORT, such as server:12345")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(AddressError);
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| AddressError)? })
    }
}

/// Connects to the first address of the name that answers.
///
/// # Errors
/// The name is not known, or the last of its addresses refused or did not answer in 2 seconds.
pub async fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", address.host));
    for ip in resolve(&address.host).await? {
        match tokio::time::timeout(DEADLINE, TcpStream::connect(SocketAddr::new(ip, address.port))).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                notice_loss(&stream)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {ip} in 2 s")),
        }
    }
    Err(last)
}

/// Has a peer that vanished without a word, with its machine or the network, noticed within half a minute.
fn notice_loss(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    sockopt::set_tcp_user_timeout(stream, 30_000)?;
    Ok(())
}

/// The addresses of a name, never from a cache: those of containers change.
async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    static RESOLVER: OnceCell<TokioResolver> = OnceCell::const_new();
    let resolver = RESOLVER.get_or_try_init(|| async { resolver() }).await?;
    let unknown =
        |reason: String| io::Error::new(io::ErrorKind::NotFound, format!("cannot resolve {host:?}: {reason}"));
    // Not by `FromStr`, which refuses the underscores that names of containers and swarm services may have.
    let name = Name::from_ascii(host).map_err(|error| unknown(error.to_string()))?;
    let asked = tokio::time::timeout(DEADLINE, resolver.lookup_ip(name)).await;
    match asked {
        Ok(Ok(found)) => Ok(found.iter().collect()),
        Ok(Err(error)) => Err(unknown(error.to_string())),
        Err(_) => Err(unknown("no answer in 2 s".to_owned())),
    }
}

/// As `/etc/resolv.conf` and `/etc/hosts` say.
fn resolver() -> io::Result<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
    builder.options_mut().cache_size = 0;
    // What `/etc/hosts` knows in one family must not wait for a server that is asked for the other.
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    builder.build().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for (text, want) in [
            ("server:12345", Some(("server", 12345))),
            ("[::1]:80", Some(("::1", 80))),
            ("server", None),
            (":80", None),
            ("a b:80", None),
            ("server:65536", None),
            ("server:http", None),
        ] {
            let got = text.parse::<Address>().ok();
            assert_eq!(got.as_ref().map(|a| (a.host.as_str(), a.port)), want, "{text}");
            if let Some(address) = got {
                assert_eq!(address.to_string(), text);
            }
        }
    }

    #[tokio::test]
    async fn an_unknown_name_is_named() {
        for name in ["no-such-host.invalid", "tasks.no_such_host.invalid"] {
            let error = connect(&format!("{name}:80").parse().unwrap()).await.unwrap_err();
            assert!(error.to_string().contains(name) && !error.to_string().contains("characters"), "{error}");
        }
    }
}
