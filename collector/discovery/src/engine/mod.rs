//! A Docker engine, or whatever else answers its API, asked over a Unix socket or HTTP.
//!
//! Not by way of a client library for Docker: none takes the HTTP client that all of the collector shares, with its
//! credentials and its TLS, and the answers that are needed are lists of which a few fields count.

mod config;
mod networks;

use std::time::Duration;

use collector_http::HttpClient;
use collector_model::chain;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::debug;
use url::Url;

use self::config::Host;
pub(crate) use self::config::{EngineConfig, Filters, Keys, filters};
pub(crate) use self::networks::{Networks, networks};
use crate::{Context, DiscoveryError};

/// Bytes of one list. A task takes one thousand or a few, so that this is a swarm with tens of thousands.
const LARGEST_LIST: usize = 64 << 20;
/// Bytes of a refusal that are read to find the reason in it.
const LARGEST_REFUSAL: usize = 16 << 10;
/// Characters of the reason that are shown.
const LONGEST_REASON: usize = 300;
/// The newest version of the API that is asked for; an older engine is asked in its own.
const NEWEST: Version = Version(1, 51);

/// A stream of events is opened anew after this time: one whose engine is gone may look open for ever.
const LISTENING: Duration = Duration::from_mins(10);
/// Between two looks at the stream, so that a flood of events costs little.
const PACE: Duration = Duration::from_millis(100);

/// A version of the API, as in `1.41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// The way to one engine.
pub(crate) struct Engine {
    client: HttpClient,
    base: Url,
    /// For messages.
    host: String,
}

impl Engine {
    /// Prepares the client; nothing is asked yet. Credentials and TLS are for an engine over HTTP alone.
    pub(crate) fn new(config: &EngineConfig, context: &Context) -> Result<Self, DiscoveryError> {
        let (host, user_agent) = (config.host.to_string(), &context.user_agent);
        let client = match &config.host {
            Host::Socket(path) => HttpClient::build_over_socket(path, user_agent)?,
            Host::Url(_) => HttpClient::build(&config.client, user_agent)?,
        };
        let base = config.host.base().ok_or_else(|| DiscoveryError::EngineHost(host.clone()))?;
        Ok(Self { client, base, host })
    }

    /// Asks for the version to speak. An engine that does not tell is asked without one.
    pub(crate) async fn session(&self) -> Result<Session<'_>, DiscoveryError> {
        let answer = self.send(None, "/_ping", &Filters::new()).await?;
        let told = answer.headers().get("api-version").and_then(|version| Version::parse(version.to_str().ok()?));
        Ok(Session { engine: self, version: told.map(|version| version.min(NEWEST)) })
    }

    /// Rings the bell when the engine tells of an event that the filters let through. It never ends; an engine that
    /// tells nothing is asked again after the interval.
    pub(crate) async fn listen(&self, filters: &Filters, interval: Duration, bell: &Notify) {
        loop {
            if let Ok(ended) = timeout(LISTENING, self.follow(filters, bell)).await {
                let error = ended.err().map(|error| chain(&error));
                debug!(
                    host = self.host,
                    error, "the engine does not tell of events; it is asked at the interval alone"
                );
                sleep(interval).await;
            }
        }
    }

    async fn follow(&self, filters: &Filters, bell: &Notify) -> Result<(), DiscoveryError> {
        let mut events = self.session().await?.get("/events", filters).await?;
        // Nobody has listened before.
        bell.notify_one();
        // What an event says does not count: it is a sign to look.
        while events.chunk().await.map_err(|source| self.failed("/events", source))?.is_some() {
            bell.notify_one();
            sleep(PACE).await;
        }
        Ok(())
    }

    async fn send(&self, version: Option<Version>, path: &str, filters: &Filters) -> Result<Response, DiscoveryError> {
        let mut url = self.base.clone();
        let version = version.map(|Version(major, minor)| format!("/v{major}.{minor}")).unwrap_or_default();
        url.set_path(&format!("{}{version}{path}", self.base.path().trim_end_matches('/')));
        if !filters.is_empty() {
            let filters = serde_json::to_string(filters).unwrap_or_default();
            url.query_pairs_mut().append_pair("filters", &filters);
        }
        self.client.get(url)?.send().await.map_err(|source| self.failed(path, source))
    }

    fn failed(&self, path: &str, source: reqwest::Error) -> DiscoveryError {
        // Host and path say the same as the URL, without filters of any length.
        DiscoveryError::Ask { host: self.host.clone(), path: path.to_owned(), source: source.without_url() }
    }
}

/// An engine whose version is known.
pub(crate) struct Session<'a> {
    engine: &'a Engine,
    version: Option<Version>,
}

impl Session<'_> {
    /// A list: all of it that the filters let through.
    pub(crate) async fn list<T>(&self, path: &str, filters: &Filters) -> Result<Vec<T>, DiscoveryError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let answer = self.get(path, filters).await?;
        let body = self.body(path, answer, LARGEST_LIST).await?;
        let (host, path) = (self.engine.host.clone(), path.to_owned());
        if body.len() > LARGEST_LIST {
            return Err(DiscoveryError::TooLong { host, path, most: LARGEST_LIST });
        }
        // A long list would keep others waiting.
        let parsed = tokio::task::spawn_blocking(move || serde_json::from_slice::<Option<Vec<T>>>(&body)).await;
        match parsed {
            Ok(Ok(list)) => Ok(list.unwrap_or_default()),
            Ok(Err(source)) => Err(DiscoveryError::NoList { host, path, source }),
            Err(ended) => Err(DiscoveryError::NoList { host, path, source: serde::de::Error::custom(ended) }),
        }
    }

    /// An answer that is none of refusal.
    async fn get(&self, path: &str, filters: &Filters) -> Result<Response, DiscoveryError> {
        let answer = self.engine.send(self.version, path, filters).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let reason = reason(&self.body(path, answer, LARGEST_REFUSAL).await?);
        Err(DiscoveryError::Refused { host: self.engine.host.clone(), path: path.to_owned(), status, reason })
    }

    /// A body up to its end or until it is longer than allowed.
    async fn body(&self, path: &str, mut answer: Response, most: usize) -> Result<Vec<u8>, DiscoveryError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|source| self.engine.failed(path, source))? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                break;
            }
        }
        Ok(body)
    }
}

/// Why the engine refuses, fit for one line of a log.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    text.take(LONGEST_REASON).collect()
}
