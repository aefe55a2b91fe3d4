//! What stands before every page of every listener when there is a web configuration: TLS, users, a rate, headers.
//!
//! The file is exporter-toolkit's. It and the files that it names are looked at again for every connection and every
//! request, though not more often than once a second, and read again when one has changed. One that was changed within
//! the last second may still be being written and is left until the next look. What cannot be used changes nothing:
//! the old configuration stays, and the log says why.

mod clients;
mod config;
mod counts;
mod names;
mod password;
mod policy;
mod rate;
mod tls;
mod users;
mod watch;
mod words;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use agent_exposition::Page;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use parking_lot::{Mutex, RwLock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

pub use config::WebConfigError;
pub use policy::Demands;

use crate::chain;
use crate::listener::{Socket, Stream};
use counts::{Counts, Refusal};
use policy::Policy;
use rate::Bucket;
use users::{Passwords, Verdict};
use watch::Watch;

/// The names in a certificate in DER.
#[cfg(feature = "fuzzing")]
pub(crate) fn names_in(certificate: &[u8]) -> Vec<String> {
    names::alternative_names(certificate)
}

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a request waits for a look at the files. It takes microseconds, unless their file system hangs.
const LOOK: Duration = Duration::from_secs(1);
/// How long reading all files anew may take.
const RELOAD: Duration = Duration::from_secs(10);

/// A web configuration in force.
pub(crate) struct Guard {
    path: PathBuf,
    policy: RwLock<Arc<Policy>>,
    bucket: Mutex<Option<Arc<Bucket>>>,
    passwords: Passwords,
    watch: Mutex<Watch>,
    /// One at a time, so that files on a file system that hangs hold one thread.
    is_reloading: AtomicBool,
    /// Held while the files are read and put in force, so that what was read first is not in force last.
    reading: Mutex<()>,
    counts: Counts,
}

impl Guard {
    /// Reads a configuration and what it names.
    pub(crate) fn new(path: PathBuf) -> Result<Self, WebConfigError> {
        let (watch, policy) = Watch::read(&path);
        let policy = policy?;
        let passwords = Passwords::new().ok_or_else(|| WebConfigError::Read {
            path: "the system's randomness".into(),
            source: ErrorKind::Other.into(),
        })?;
        Ok(Self {
            bucket: Mutex::new(policy.bucket()),
            policy: RwLock::new(Arc::new(policy)),
            passwords,
            watch: Mutex::new(watch),
            is_reloading: AtomicBool::new(false),
            reading: Mutex::new(()),
            counts: Counts::new(),
            path,
        })
    }

    /// Reads it all again now.
    ///
    /// # Errors
    /// With what is wrong, also when a reload is under way; then all is as it was.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), WebConfigError> {
        let failed = |kind: ErrorKind| WebConfigError::Read { path: self.path.clone(), source: kind.into() };
        if self.is_reloading.swap(true, Relaxed) {
            return Err(failed(ErrorKind::ResourceBusy));
        }
        let guard = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let result = guard.read_again();
            guard.is_reloading.store(false, Relaxed);
            result
        });
        match tokio::time::timeout(RELOAD, reading).await {
            Ok(Ok(result)) => result,
            _ => Err(failed(ErrorKind::TimedOut)),
        }
    }

    fn read_again(&self) -> Result<(), WebConfigError> {
        let _reading = self.reading.lock();
        let (watch, policy) = Watch::read(&self.path);
        *self.watch.lock() = watch;
        let policy = match policy {
            Ok(policy) => policy,
            Err(error) => {
                self.counts.reload_failed();
                return Err(error);
            }
        };
        let mut bucket = self.bucket.lock();
        // One that goes on as it was is not filled.
        if bucket.as_ref().map(|bucket| bucket.limit()) != policy.rate {
            *bucket = policy.bucket();
        }
        *self.policy.write() = Arc::new(policy);
        self.counts.reloaded();
        Ok(())
    }

    /// What is in force now.
    async fn policy(self: &Arc<Self>) -> Arc<Policy> {
        if self.watch.lock().is_due(Instant::now()) {
            let guard = Arc::clone(self);
            let look = tokio::task::spawn_blocking(move || guard.look());
            // If it hangs, the old policy is as good as any.
            let _ = tokio::time::timeout(LOOK, look).await;
        }
        Arc::clone(&self.policy.read())
    }

    fn look(&self) {
        let files = self.watch.lock().files();
        if watch::has_changed(&files) {
            match self.read_again() {
                Ok(()) => tracing::info!(file = %self.path.display(), "web configuration read again"),
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(error, "cannot use the changed web configuration, the old one stays");
                }
            }
        }
        self.watch.lock().looked();
    }

    /// Makes a connection what it is to be: a TLS session, where that is asked for. `None` when it came to nothing.
    pub(crate) async fn receive(self: &Arc<Self>, mut socket: Socket) -> Option<Box<dyn Stream>> {
        let Some(config) = self.policy().await.tls.clone() else { return Some(Box::new(socket)) };
        let secure = async {
            // Who speaks plain HTTP is told so.
            if socket.peek().await?.is_ascii_alphabetic() {
                let _ = socket.read(&mut [0; 4096]).await?;
                let text = "Client sent an HTTP request to an HTTPS server.\n";
                let head = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n";
                socket.write_all(format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).await?;
                socket.shutdown().await?;
                return Err(std::io::Error::other("plain HTTP where TLS is spoken"));
            }
            TlsAcceptor::from(config).accept(socket).await
        };
        let result = tokio::time::timeout(HANDSHAKE, secure).await;
        match result.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(session) => Some(Box::new(session)),
            Err(error) => {
                self.counts.refused(Refusal::Handshake);
                tracing::debug!(%error, "no TLS session came about");
                None
            }
        }
    }

    /// Puts itself before all that a router answers, what it knows not included.
    pub(crate) fn protect(self: &Arc<Self>, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::clone(self), answer))
    }

    /// Whether a request may pass; the order is exporter-toolkit's.
    async fn admits(&self, policy: &Policy, headers: &HeaderMap) -> Result<(), Refusal> {
        let bucket = self.bucket.lock().clone();
        if bucket.is_some_and(|bucket| !bucket.take(Instant::now())) {
            return Err(Refusal::RateLimit);
        }
        if policy.users.is_empty() {
            return Ok(());
        }
        match self.passwords.check(&policy.users, headers).await {
            Verdict::Admitted => Ok(()),
            Verdict::Unknown => Err(Refusal::Unauthorized),
            Verdict::Busy => Err(Refusal::Busy),
        }
    }

    /// Adds how it went so far.
    pub(crate) fn add_to(&self, page: &mut Page) {
        self.counts.add_to(page);
    }
}

async fn answer(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let policy = guard.policy().await;
    let mut response = match guard.admits(&policy, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            guard.counts.refused(refusal);
            refused(refusal)
        }
    };
    response.headers_mut().extend(policy.headers.iter().cloned());
    response
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Unauthorized | Refusal::Handshake => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic")], "Unauthorized\n").into_response()
        }
        Refusal::RateLimit => (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n").into_response(),
        Refusal::Busy => {
            let text = "many passwords are being checked: try again later\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], text).into_response()
        }
    }
}
