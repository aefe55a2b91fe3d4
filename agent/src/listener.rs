//! What connections come from and what they are: TCP or Unix sockets, opened here or handed over.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net as std_unix;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::listen::{ListenError, listen};

/// Who may connect to a Unix socket of ours: its owner and its group.
const UNIX_MODE: u32 = 0o660;
/// Connections that wait to be accepted, as the standard library has it for TCP.
const BACKLOG: i32 = 128;

/// A socket that takes connections. To be made inside a tokio runtime.
#[derive(Debug)]
pub struct Listener {
    inner: Inner,
    address: String,
    /// Removed with the listener.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens on an address as Go writes it, or on `unix:/path` (or `unix:///path`).
    ///
    /// The file of a Unix socket is open to its owner and its group (mode 0660). It is removed at the end, and the one
    /// that a process left which is no more is replaced.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn open(address: &str) -> Result<Self, ListenError> {
        let bind_error = |source| ListenError::Bind { address: address.to_owned(), source };
        let Some(path) = unix_path(address) else {
            return TcpListener::from_std(listen(address)?).and_then(Self::try_from).map_err(bind_error);
        };
        if !path.is_absolute() {
            return Err(ListenError::UnixPath { address: address.to_owned() });
        }
        let (listener, file) = open_unix(path, address)?;
        listener.set_nonblocking(true).map_err(bind_error)?;
        let inner = Inner::Unix(UnixListener::from_std(listener).map_err(bind_error)?);
        Ok(Self { inner, address: format!("unix:{}", path.display()), _file: Some(file) })
    }

    /// Takes over a socket that already listens, such as from systemd. Its file, if it has one, is the giver's affair.
    ///
    /// # Errors
    /// When it is not a stream socket of TCP or Unix that listens.
    pub fn from_descriptor(socket: OwnedFd) -> io::Result<Self> {
        let refuse = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what.to_owned()));
        let is_stream = sockopt::socket_type(&socket).is_ok_and(|kind| kind == SocketType::STREAM);
        if !is_stream || !sockopt::socket_acceptconn(&socket)? {
            return refuse("it is no stream socket that listens (systemd: ListenStream=, Accept=no)");
        }
        match sockopt::socket_domain(&socket)? {
            AddressFamily::INET | AddressFamily::INET6 => {
                let listener = std::net::TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                Self::try_from(TcpListener::from_std(listener)?)
            }
            AddressFamily::UNIX => {
                let listener = std_unix::UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                let path = listener.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
                let inner = Inner::Unix(UnixListener::from_std(listener)?);
                Ok(Self { inner, address: format!("unix:{}", path.display()), _file: None })
            }
            _ => refuse("it is neither TCP nor a Unix socket"),
        }
    }

    /// `HOST:PORT`, with the port that was given where 0 was asked for, or `unix:/path`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Socket> {
        match &self.inner {
            Inner::Tcp(listener) => listener.accept().await.map(|(stream, _)| Socket::Tcp(stream)),
            Inner::Unix(listener) => listener.accept().await.map(|(stream, _)| Socket::Unix(stream)),
        }
    }
}

impl TryFrom<TcpListener> for Listener {
    type Error = io::Error;

    fn try_from(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { address: listener.local_addr()?.to_string(), inner: Inner::Tcp(listener), _file: None })
    }
}

/// The path of a Unix socket's address.
pub fn unix_path(address: &str) -> Option<&Path> {
    let path = address.strip_prefix("unix:")?;
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}

/// A socket's file. It goes with this, unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // There is nobody left to tell.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn open_unix(path: &Path, address: &str) -> Result<(std_unix::UnixListener, SocketFile), ListenError> {
    make_way(path, address)?;
    let opened = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(path)?)?;
        let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
        // Before it listens, so that nobody gets in by what the umask would allow.
        std::fs::set_permissions(path, Permissions::from_mode(UNIX_MODE))?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok((std_unix::UnixListener::from(socket), file))
    };
    opened().map_err(|source| ListenError::Bind { address: address.to_owned(), source })
}

/// Removes the socket's file of a process that is no more.
fn make_way(path: &Path, address: &str) -> Result<(), ListenError> {
    let address = || address.to_owned();
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(ListenError::NoSocket { address: address() }),
        Ok(_) => {}
    }
    match std_unix::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| ListenError::Bind { address: address(), source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Also one of which it cannot be told.
        _ => Err(ListenError::InUse { address: address() }),
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection as the server sees it, TLS or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Socket {
    /// The first byte that the peer sends, which stays to be read.
    pub(crate) async fn peek(&self) -> io::Result<u8> {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.peek(&mut byte).await?,
            Self::Unix(stream) => {
                let peek = || Ok(rustix::net::recv(stream.as_fd(), &mut byte, rustix::net::RecvFlags::PEEK)?.0);
                stream.async_io(Interest::READABLE, peek).await?
            }
        };
        let [byte] = byte;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(byte) }
    }

    /// The stream below, for what only TCP has.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
