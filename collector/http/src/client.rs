//! The client itself: connections, redirects, and the credentials of each request.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{IntoUrl, Method, RequestBuilder};

use crate::names::Names;
use crate::{Authorization, BasicAuth, ClientConfig, ClientError, Secret, TlsConfig, tls};

/// Redirects that one request follows.
const MAX_REDIRECTS: usize = 10;

/// Idle connections are kept longer than the usual scrape interval.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// A client for one peer or one group of peers: connections are reused, credentials are added to each request, and
/// secrets, keys and certificates that lie in files are read again when they change.
///
/// It sets no deadline: each request needs its own ([`RequestBuilder::timeout`]). Clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    config: Arc<ClientConfig>,
    follow: Follow,
    user_agent: Arc<str>,
    credentials: Arc<AtomicBool>,
    built: Arc<Mutex<Built>>,
}

/// Which redirects are followed, where `follow_redirects` allows any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    /// All.
    Any,
    /// Those that keep method and body.
    SameMethod,
}

#[derive(Debug)]
struct Built {
    client: reqwest::Client,
    stamps: Vec<Stamp>,
}

impl HttpClient {
    /// Builds a client. Certificates and keys are read now; the secrets of requests are read with each request.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or a TLS file is missing or malformed.
    pub fn build(config: &ClientConfig, user_agent: &str) -> Result<Self, ClientError> {
        Self::build_following(config, user_agent, Follow::Any)
    }

    /// As [`build`](Self::build), for a client that sends bodies: it follows only redirects that keep them (307 and
    /// 308). After 301, 302 and 303 an HTTP client asks again with GET and no body, and the answer to that would
    /// pass for the answer to the POST; here the redirect itself is the answer.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_for_posts(config: &ClientConfig, user_agent: &str) -> Result<Self, ClientError> {
        Self::build_following(config, user_agent, Follow::SameMethod)
    }

    /// A client of whoever listens on a Unix socket: there all connections go, whatever host a URL names. It has no
    /// credentials and follows no redirect.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_over_socket(socket: &Path, user_agent: &str) -> Result<Self, ClientError> {
        let config = ClientConfig { follow_redirects: false, ..ClientConfig::default() };
        let builder = reqwest_builder(&config, user_agent, Policy::none())?;
        let client = builder.unix_socket(socket).build().map_err(ClientError::Build)?;
        Ok(Self::of(client, config, user_agent, Follow::Any, Arc::default()))
    }

    fn build_following(config: &ClientConfig, user_agent: &str, follow: Follow) -> Result<Self, ClientError> {
        config.validate()?;
        let credentials = Arc::new(AtomicBool::new(config.basic_auth.is_some() || config.authorization.is_some()));
        let client = reqwest_client(config, user_agent, redirects(config, follow, Arc::clone(&credentials)))?;
        Ok(Self::of(client, config.clone(), user_agent, follow, credentials))
    }

    fn of(
        client: reqwest::Client,
        config: ClientConfig,
        user_agent: &str,
        follow: Follow,
        credentials: Arc<AtomicBool>,
    ) -> Self {
        let built = Built { client, stamps: stamps(&tls_files(&config)) };
        Self {
            config: Arc::new(config),
            follow,
            user_agent: Arc::from(user_agent),
            credentials,
            built: Arc::new(Mutex::new(built)),
        }
    }

    /// A request with the configured credentials and headers on it.
    ///
    /// # Errors
    /// When a secret's file cannot be read or holds what a header cannot carry, or a replaced TLS file is malformed.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> Result<RequestBuilder, ClientError> {
        let headers = headers(&self.config)?;
        let url = url.into_url().map_err(ClientError::Build)?;
        if !url.username().is_empty() || url.password().is_some() {
            // The library makes `Authorization` of them, so they need the same care at a redirect.
            self.credentials.store(true, Ordering::Relaxed);
        }
        Ok(self.client()?.request(method, url).headers(headers))
    }

    /// A GET request; see [`request`](Self::request).
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn get(&self, url: impl IntoUrl) -> Result<RequestBuilder, ClientError> {
        self.request(Method::GET, url)
    }

    /// A POST request; see [`request`](Self::request).
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn post(&self, url: impl IntoUrl) -> Result<RequestBuilder, ClientError> {
        self.request(Method::POST, url)
    }

    /// The client of now: built anew, with new connections, once a TLS file has been replaced.
    fn client(&self) -> Result<reqwest::Client, ClientError> {
        let files = tls_files(&self.config);
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.is_empty() {
            let now = stamps(&files);
            if now != built.stamps {
                let redirects = redirects(&self.config, self.follow, Arc::clone(&self.credentials));
                built.client = reqwest_client(&self.config, &self.user_agent, redirects)?;
                built.stamps = now;
            }
        }
        Ok(built.client.clone())
    }
}

fn tls_files(config: &ClientConfig) -> Vec<PathBuf> {
    config.tls_config.as_ref().map(tls::files).unwrap_or_default()
}

/// What tells that a file has been replaced: when it was written, and its length. Nothing where there is no file.
pub(crate) type Stamp = Option<(SystemTime, u64)>;

pub(crate) fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

fn reqwest_client(config: &ClientConfig, user_agent: &str, redirects: Policy) -> Result<reqwest::Client, ClientError> {
    reqwest_builder(config, user_agent, redirects)?.build().map_err(ClientError::Build)
}

fn reqwest_builder(
    config: &ClientConfig,
    user_agent: &str,
    redirects: Policy,
) -> Result<reqwest::ClientBuilder, ClientError> {
    let plain = TlsConfig::default();
    let tls = tls::rustls_config(config.tls_config.as_ref().unwrap_or(&plain))?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(Names::default()))
        .user_agent(user_agent)
        .referer(false)
        .http1_only()
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(redirects);
    if let Some(url) = &config.proxy_url {
        let exceptions = config.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
        builder = builder.proxy(reqwest::Proxy::all(url).map_err(ClientError::Build)?.no_proxy(exceptions));
    } else if !config.proxy_from_environment {
        builder = builder.no_proxy();
    }
    Ok(builder)
}

/// Follows redirects, but never takes credentials to another host.
///
/// The HTTP library drops `Authorization` on the step that leaves a host, and puts it back on the step after
/// (reqwest 0.13.5 compares each URL with the one before, not with the first). So with credentials one step away
/// is the last, and headers of the configuration, which the library does not know to be secret, stay at home.
fn redirects(config: &ClientConfig, follow: Follow, credentials: Arc<AtomicBool>) -> Policy {
    if !config.follow_redirects {
        return Policy::none();
    }
    let headers = !config.http_headers.is_empty();
    Policy::custom(move |attempt| {
        let left = left_home(&attempt);
        if follow == Follow::SameMethod && !matches!(attempt.status().as_u16(), 307 | 308) {
            attempt.stop()
        } else if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if headers && left.is_some() {
            attempt.error("redirected to another host, where http_headers must not go")
        } else if left == Some(Step::Later) && credentials.load(Ordering::Relaxed) {
            attempt.error("redirected on by another host, where credentials must not go")
        } else {
            attempt.follow()
        }
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// This step leaves the first host.
    First,
    /// An earlier one did.
    Later,
}

fn left_home(attempt: &Attempt<'_>) -> Option<Step> {
    let home = attempt.previous().first()?;
    let away = |url: &url::Url| {
        url.scheme() != home.scheme()
            || url.host_str() != home.host_str()
            || url.port_or_known_default() != home.port_or_known_default()
    };
    if attempt.previous().iter().any(&away) { Some(Step::Later) } else { away(attempt.url()).then_some(Step::First) }
}

fn headers(config: &ClientConfig) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.http_headers {
        let bad = || ClientError::BadHeader(name.clone());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        for value in &value.values {
            headers.append(&header, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        for secret in &value.secrets {
            headers.append(&header, sensitive(secret.expose()).ok_or_else(bad)?);
        }
        for file in &value.files {
            headers.append(&header, sensitive(Secret::from_file(file)?.expose()).ok_or_else(bad)?);
        }
    }
    let authorization = match (&config.basic_auth, &config.authorization) {
        (Some(basic), _) => Some(basic_value(basic)?),
        (None, Some(authorization)) => authorization_value(authorization)?,
        (None, None) => None,
    };
    if let Some(text) = authorization {
        let value = sensitive(&text).ok_or_else(|| ClientError::BadHeader(AUTHORIZATION.to_string()))?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic_value(basic: &BasicAuth) -> Result<String, ClientError> {
    use base64::Engine as _;
    let user = match &basic.username_file {
        Some(path) => Secret::from_file(path)?,
        None => Secret::new(basic.username.clone()),
    };
    let password = secret_or_file(basic.password.as_ref(), basic.password_file.as_deref())?.unwrap_or_default();
    let pair = format!("{}:{}", user.expose(), password.expose());
    Ok(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

/// `TYPE CREDENTIALS`, or nothing where there are no credentials.
fn authorization_value(authorization: &Authorization) -> Result<Option<String>, ClientError> {
    let secret = secret_or_file(authorization.credentials.as_ref(), authorization.credentials_file.as_deref())?;
    let scheme = match authorization.scheme.trim() {
        "" => "Bearer",
        scheme => scheme,
    };
    Ok(secret.map(|secret| format!("{scheme} {}", secret.expose())))
}

fn secret_or_file(secret: Option<&Secret>, file: Option<&Path>) -> Result<Option<Secret>, ClientError> {
    match (secret, file) {
        (Some(secret), _) => Ok(Some(secret.clone())),
        (None, Some(path)) => Secret::from_file(path).map(Some),
        (None, None) => Ok(None),
    }
}
