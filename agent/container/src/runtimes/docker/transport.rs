//! The way to the engine: a connection for each request, with bounds on what may come back.
//!
//! The client library reads an answer whole, however long it is; so the bound is here, on the bytes of the
//! connection.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bollard::errors::Error as DockerError;
use bollard::{BollardRequest, ClientVersion, Docker};
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::Error;

/// The list of some ten thousand containers has this size.
pub(super) const LARGEST_ANSWER: u64 = 32 << 20;
/// That of an engine that a user runs: anybody may, and have this process read what he likes.
pub(super) const LARGEST_ANSWER_OF_USER: u64 = 1 << 20;
/// Bytes of the event stream in which at least one event must end.
const LARGEST_EVENT: u64 = 256 << 10;
/// The newest version of the interface that this was made for.
pub(super) const NEWEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 51 };

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl Address {
    /// As configured for a runtime.
    pub(in super::super) fn of(runtime: &'static str, address: &str) -> Result<Self, Error> {
        Self::parse(address).map_err(|reason| Error::Address { runtime, address: address.to_owned(), reason })
    }

    fn parse(address: &str) -> Result<Self, &'static str> {
        if let Some(path) = address.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err("the path of a socket begins with a slash, as in unix:///var/run/docker.sock"),
            };
        }
        match address.strip_prefix("tcp://").or_else(|| address.strip_prefix("http://")) {
            Some(host)
                if host.trim_end_matches('/').rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) =>
            {
                Ok(Self::Tcp(host.trim_end_matches('/').to_owned()))
            }
            Some(_) => Err("an address over TCP is tcp://host:port"),
            None => Err("expected unix:///path or tcp://host:port"),
        }
    }

    /// A client that speaks this version and takes answers of so many bytes, and the allowance of the event stream, see
    /// [`refill`].
    pub(super) fn client(&self, version: ClientVersion, largest: u64) -> Result<(Docker, Arc<AtomicU64>), DockerError> {
        let allowance = Arc::new(AtomicU64::new(LARGEST_EVENT));
        let (address, events) = (self.clone(), allowance.clone());
        let transport = move |request: BollardRequest| send(address.clone(), events.clone(), largest, request);
        // The address is only the authority in the request; the transport has its own.
        let docker = Docker::connect_with_custom_transport(transport, Some("http://docker"), 120, &version)?;
        Ok((docker, allowance))
    }
}

/// The version to speak with an engine that has all from `oldest` to `newest`: the newest that both know. An engine that
/// has dropped ours is spoken to in its oldest, in the hope that what is used of it has not changed.
pub(super) fn spoken(newest: Option<&str>, oldest: Option<&str>) -> ClientVersion {
    let of = |(major, minor): (usize, usize)| ClientVersion { major_version: major, minor_version: minor };
    let ours = (NEWEST.major_version, NEWEST.minor_version);
    let newest = newest.and_then(numbers).unwrap_or(ours);
    let oldest = oldest.and_then(numbers).unwrap_or(newest).min(newest);
    of(ours.min(newest).max(oldest))
}

/// `1.41`.
fn numbers(version: &str) -> Option<(usize, usize)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// An allowance that was not enough.
const EXCEEDED: u64 = u64::MAX;

/// Whether more came than was allowed. The client library makes text of an error in a stream, so that it cannot be
/// told from the error itself.
pub(super) fn is_exceeded(allowance: &AtomicU64) -> bool {
    allowance.load(Ordering::Relaxed) == EXCEEDED
}

/// An event was understood: the next one may be as long again.
pub(super) fn refill(allowance: &AtomicU64) {
    allowance.store(LARGEST_EVENT, Ordering::Relaxed);
}

async fn send(
    address: Address,
    events: Arc<AtomicU64>,
    largest: u64,
    request: BollardRequest,
) -> Result<Response<Incoming>, DockerError> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = unversioned(path);
    let is_stream = path.split('?').next().is_some_and(|path| path.ends_with("/events"));
    parts.uri = path.parse().map_err(http::Error::from)?;
    parts.headers.insert(http::header::HOST, http::HeaderValue::from_static("docker"));
    let allowance = if is_stream { events } else { Arc::new(AtomicU64::new(largest)) };
    let request = http::Request::from_parts(parts, body);
    let stream: Box<dyn Stream> = match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(connecting)?),
        Address::Tcp(host) => Box::new(TcpStream::connect(host).await.map_err(connecting)?),
    };
    exchange(stream, allowance, request).await
}

/// The question for the version is put without one: an engine refuses a path with a version that it does not have,
/// and which it has is what is asked.
fn unversioned(path: &str) -> &str {
    match path.split_once("/version") {
        Some((before, "")) if before.starts_with("/v1.") => "/version",
        _ => path,
    }
}

async fn exchange(
    stream: Box<dyn Stream>,
    allowance: Arc<AtomicU64>,
    request: BollardRequest,
) -> Result<Response<Incoming>, DockerError> {
    let io = TokioIo::new(Bounded { stream, allowance });
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    // It ends with the answer, or when nobody waits for the answer any more; its error is the answer's too.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender.send_request(request).await?)
}

/// To an engine, by whichever way: of one kind, so that the code of a whole HTTP client is there once.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream that gives an error when more comes in than is allowed.
struct Bounded {
    stream: Box<dyn Stream>,
    allowance: Arc<AtomicU64>,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        let left = self.allowance.load(Ordering::Relaxed);
        match left.checked_sub(read) {
            Some(left) => {
                self.allowance.store(left, Ordering::Relaxed);
                Poll::Ready(Ok(()))
            }
            None => {
                self.allowance.store(EXCEEDED, Ordering::Relaxed);
                Poll::Ready(Err(io::Error::other(Flood)))
            }
        }
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the engine sends more than it ever should")]
struct Flood;

#[derive(Debug, thiserror::Error)]
#[error("cannot connect to the engine")]
struct Connecting(#[source] io::Error);

fn connecting(error: io::Error) -> io::Error {
    io::Error::other(Connecting(error))
}

/// Whether connecting failed, and not what came later.
pub(super) fn is_connecting(error: &DockerError) -> bool {
    causes(error, |cause| cause.is::<Connecting>())
}

/// Whether too much came.
pub(super) fn is_flood(error: &DockerError) -> bool {
    causes(error, |cause| cause.is::<Flood>())
}

/// Looks for a cause along the chain; an I/O error hides what it was made of one step further.
fn causes(error: &DockerError, wanted: impl Fn(&(dyn std::error::Error + 'static)) -> bool) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if wanted(error) || inner.is_some_and(|inner| wanted(inner)) {
            return true;
        }
        next = error.source();
    }
    match error {
        DockerError::IOError { err } => err.get_ref().is_some_and(|inner| wanted(inner)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, want: Option<Address>) {
        assert_eq!(Address::parse(address).ok(), want, "{address}");
    }

    #[test]
    fn addresses() {
        check("unix:///var/run/docker.sock", Some(Address::Unix("/var/run/docker.sock".into())));
        check("tcp://127.0.0.1:2375", Some(Address::Tcp("127.0.0.1:2375".to_owned())));
        check("http://engine:2375/", Some(Address::Tcp("engine:2375".to_owned())));
        check("unix://docker.sock", None);
        check("tcp://engine", None);
        check("tcp://engine:port", None);
        check("ssh://engine", None);
        check("", None);
    }

    #[track_caller]
    fn check_spoken(newest: Option<&str>, oldest: Option<&str>, want: usize) {
        let spoken = spoken(newest, oldest);
        assert_eq!((spoken.major_version, spoken.minor_version), (1, want), "{newest:?} {oldest:?}");
    }

    #[test]
    fn versions() {
        check_spoken(Some("1.41"), Some("1.12"), 41); // 20.10
        check_spoken(Some("1.43"), Some("1.12"), 43); // 24
        check_spoken(Some("1.44"), Some("1.24"), 44); // 25
        check_spoken(Some("1.51"), Some("1.24"), 51); // 28
        check_spoken(Some("1.52"), Some("1.44"), 51); // 29
        check_spoken(Some("1.70"), Some("1.60"), 60);
        check_spoken(Some("1.41"), None, 41);
        check_spoken(None, None, 51);
        check_spoken(Some("new"), Some("1.99"), 51);
    }

    #[test]
    fn only_the_question_for_the_version_loses_its_version() {
        assert_eq!(unversioned("/v1.51/version"), "/version");
        assert_eq!(unversioned("/v1.51/containers/json?all=false"), "/v1.51/containers/json?all=false");
        assert_eq!(unversioned("/v1.51/containers/version/json"), "/v1.51/containers/version/json");
    }
}
