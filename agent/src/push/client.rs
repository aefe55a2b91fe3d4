//! One receiver, spoken to over one connection that is kept open.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::PushError;
use super::receiver::Receiver;
use super::settings::{Credentials, PushSettings};
use super::tls::Tls;
use crate::listener::Stream;

/// Bytes of an answer that are read: of more use than a connection that is kept is none.
const MAX_ANSWER: usize = 65_536;
/// Characters of an answer that are shown.
const MAX_SHOWN: usize = 300;
/// Longest wait that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What a receiver answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
    /// What it says of an error, in one line.
    pub text: String,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("cannot read the password or token from {path}: {source}")]
    Secret { path: String, source: io::Error },
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("cannot send: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the password or token cannot stand in a header")]
    Header,
}

/// A client of one receiver.
pub(crate) struct Client {
    receiver: Receiver,
    tls: Option<Tls>,
    credentials: Credentials,
    timeout: Duration,
    connection: Option<SendRequest<Body>>,
    /// A read of the password or token that has not come back: one at a time, so that a file on a server that is gone
    /// holds one thread.
    reading: Option<JoinHandle<io::Result<String>>>,
}

impl Client {
    /// Checks what can be checked without the receiver.
    ///
    /// # Errors
    /// See [`PushError`].
    pub(crate) fn new(settings: &PushSettings) -> Result<Self, PushError> {
        let receiver = Receiver::parse(&settings.url)?;
        let tls = match receiver.https {
            true => Some(Tls::new(&receiver.host, settings.ca_file.as_deref())?),
            false => None,
        };
        if let Credentials::Basic { password_file: file, .. } | Credentials::Bearer { token_file: file } =
            &settings.credentials
        {
            secret(file).map_err(|source| PushError::File { path: file.clone(), source })?;
        }
        Ok(Self {
            receiver,
            tls,
            credentials: settings.credentials.clone(),
            timeout: settings.timeout,
            connection: None,
            reading: None,
        })
    }

    /// The receiver as it may be shown.
    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn send(&mut self, body: &Bytes) -> Result<Answer, SendError> {
        let time = self.timeout;
        let kept = self.connection.take().filter(|connection| connection.is_ready());
        let answer = timeout(time, async {
            if let Some(connection) = kept {
                // The receiver may have closed it meanwhile: that is no failure yet.
                if let Ok(answer) = self.exchange(connection, body).await {
                    return Ok(answer);
                }
            }
            let connection = self.connect().await?;
            self.exchange(connection, body).await
        });
        answer.await.unwrap_or(Err(SendError::Timeout(time)))
    }

    async fn exchange(&mut self, mut connection: SendRequest<Body>, body: &Bytes) -> Result<Answer, SendError> {
        let authorization = self.authorization().await?;
        let response = connection.send_request(self.request(body, authorization)?).await?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let read = read(response).await;
        if read.is_some() {
            self.connection = Some(connection);
        }
        let text = if status.is_success() { String::new() } else { shown(&read.unwrap_or_default()) };
        Ok(Answer { status, retry_after, text })
    }

    fn request(&self, body: &Bytes, authorization: Option<HeaderValue>) -> Result<Request<Body>, SendError> {
        let mut request = Request::post(self.receiver.path.clone())
            .header(HOST, &self.receiver.authority)
            .header(USER_AGENT, concat!("atalaia-agent/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONTENT_ENCODING, "snappy")
            .header("x-prometheus-remote-write-version", "0.1.0");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Body::from(body.clone())).map_err(|_| SendError::Header)
    }

    async fn authorization(&mut self) -> Result<Option<HeaderValue>, SendError> {
        let text = match self.credentials.clone() {
            Credentials::None => return Ok(None),
            Credentials::Basic { username, password_file } => {
                let password = self.read(password_file).await?;
                format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
            }
            Credentials::Bearer { token_file } => format!("Bearer {}", self.read(token_file).await?),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| SendError::Header)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// A secret, read on a thread that may block.
    async fn read(&mut self, path: PathBuf) -> Result<String, SendError> {
        let shown = path.display().to_string();
        let reading = self.reading.get_or_insert_with(|| tokio::task::spawn_blocking(move || secret(&path)));
        let read = reading.await;
        self.reading = None;
        let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
        read.map_err(|source| SendError::Secret { path: shown, source })
    }

    async fn connect(&self) -> Result<SendRequest<Body>, SendError> {
        let address = (self.receiver.host.as_str(), self.receiver.port);
        let stream = TcpStream::connect(address).await.map_err(SendError::Connect)?;
        // One request at a time: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        // One kind of stream for both: the code of a whole HTTP client is there once.
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(tls.connect(stream).await.map_err(SendError::Connect)?),
            None => Box::new(stream),
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped or the receiver closes it; the request in flight tells of failures.
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn secret(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned())
}

/// The whole body; `None` where it is long or breaks off.
async fn read(response: Response<Incoming>) -> Option<Bytes> {
    to_bytes(Body::new(response.into_body()), MAX_ANSWER).await.ok()
}

/// The beginning of a text, in one line.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_SHOWN).collect()
}

/// `Retry-After` in seconds or as a date, within bounds.
fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_long_to_wait() {
        let wait = |text: &str| retry_after(&Response::builder().header(RETRY_AFTER, text).body(()).unwrap());
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("Mon, 21 Oct 2999 07:28:00 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&Response::new(())), None);
    }

    /// A named pipe, which stands for a file on a server that is gone.
    #[tokio::test]
    async fn a_token_that_cannot_be_read_holds_up_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "t").unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = PushSettings {
            url: format!("http://{}/", listener.local_addr().unwrap()),
            credentials: Credentials::Bearer { token_file: token_file.clone() },
            timeout: Duration::from_millis(300),
            ..PushSettings::default()
        };
        let mut client = Client::new(&settings).unwrap();
        std::fs::remove_file(&token_file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&token_file).status().unwrap();
        assert!(made.success());
        let (seen, done) = std::sync::mpsc::channel();
        let release = std::thread::spawn(move || {
            let in_time = done.recv_timeout(Duration::from_secs(20)).is_ok();
            // Opens only for as long as somebody reads.
            let mut options = std::fs::File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(options.write(true), 0o4000);
            (in_time, options.open(&token_file).is_ok())
        });
        for _ in 0..2 {
            let answer = client.send(&Bytes::from_static(b"x")).await;
            assert!(matches!(answer, Err(SendError::Timeout(_))), "{answer:?}");
        }
        let _ = seen.send(());
        assert_eq!(release.join().unwrap(), (true, true));
    }

    #[test]
    fn answers_are_shown_in_one_short_line() {
        assert_eq!(shown(b"out of\n  order \xff\n"), "out of order \u{fffd}");
        assert_eq!(shown("é".repeat(1000).as_bytes()).chars().count(), MAX_SHOWN);
    }
}
