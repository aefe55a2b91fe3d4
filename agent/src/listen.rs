//! Addresses to listen on, as Go writes them: `:9100`, `127.0.0.1:9100`, `[::]:9100`, `localhost:9100`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The text is no address.
    #[error("listen address {address:?} is not of the form HOST:PORT, :PORT or unix:/PATH")]
    Form {
        /// As typed.
        address: String,
    },
    /// The system refused.
    #[error("cannot listen on {address}")]
    Bind {
        /// As typed.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path of a Unix socket that depends on where the program was started.
    #[error("listen address {address:?}: a Unix socket is written unix:/PATH, from the root on")]
    UnixPath {
        /// As typed.
        address: String,
    },
    /// A socket between a virtual machine and its host, which node_exporter can listen on.
    #[error("listen address {address:?}: vsock is not listened on here: use HOST:PORT, :PORT or unix:/PATH")]
    Vsock {
        /// As typed.
        address: String,
    },
    /// Something else has the name that the socket is to have.
    #[error("cannot listen on {address}: there is a file of that name, and it is no socket")]
    NoSocket {
        /// As typed.
        address: String,
    },
    /// Another process listens there.
    #[error("cannot listen on {address}: another process listens there")]
    InUse {
        /// As typed.
        address: String,
    },
}

/// Listens by TCP. Without a host on all addresses of both families, where the machine has both.
///
/// # Errors
/// See [`ListenError`].
pub fn listen(address: &str) -> Result<TcpListener, ListenError> {
    let bind_error = |source| ListenError::Bind { address: address.to_owned(), source };
    let form_error = || ListenError::Form { address: address.to_owned() };
    if address.starts_with("vsock:") {
        return Err(ListenError::Vsock { address: address.to_owned() });
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(form_error)?;
    let port: u16 = port.parse().map_err(|_| form_error())?;
    let bound = if host.is_empty() {
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|error| match error.kind() {
            // A machine without IPv6.
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            }
            _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            }
            _ => Err(error),
        })
    } else {
        let candidates: Vec<SocketAddr> = address.to_socket_addrs().map_err(bind_error)?.collect();
        TcpListener::bind(candidates.as_slice())
    };
    let listener = bound.map_err(bind_error)?;
    listener.set_nonblocking(true).map_err(bind_error)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_gos_forms() {
        for address in [":0", "127.0.0.1:0", "0.0.0.0:0", "localhost:0"] {
            let bound = listen(address).unwrap().local_addr().unwrap();
            assert_ne!(bound.port(), 0, "{address}");
        }
    }

    #[test]
    fn refuses_others() {
        for address in ["", "9100", ":", ":x", ":99999", "localhost", "[::1]"] {
            assert!(matches!(listen(address), Err(ListenError::Form { .. } | ListenError::Bind { .. })), "{address}");
        }
        assert!(listen("vsock://:9100").unwrap_err().to_string().contains("use HOST:PORT, :PORT or unix:/PATH"));
        let first = listen("127.0.0.1:0").unwrap();
        let taken = first.local_addr().unwrap().to_string();
        assert_eq!(listen(&taken).unwrap_err().to_string(), format!("cannot listen on {taken}"));
    }
}
