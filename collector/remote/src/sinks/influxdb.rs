//! InfluxDB's own write API: line protocol to 1.x (`/write`), 2.x (`/api/v2/write`) and 3 (`/api/v3/write_lp`).

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use collector_http::{Authorization, BasicAuth, ClientConfig, HeaderConfig, HttpClient, Secret, TlsConfig};
use collector_model::{PromDuration, RelabelConfig};
use http::{StatusCode, header};
use parking_lot::Mutex;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, Visitor};
use tokio::time::Instant;

use super::remote_write::dropped_points;
use super::{Outcome, Point, Scratch, Sink, SinkConfig, Spec};
use crate::ConfigError;
use crate::config::{QueueConfig, Settings, check_timeout, http_url};
use crate::line_protocol::{Layout, Precision, write_lines};
use crate::response::Answer;

/// What the sink is called.
pub const SPEC: Spec = Spec { name: "influxdb", config_key: KEY };

const KEY: &str = "influxdb_write";

/// Which write API is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// What the server says of itself at `/ping`.
    #[default]
    Auto,
    /// `/write`
    V1,
    /// `/api/v2/write`
    V2,
    /// `/api/v3/write_lp`
    V3,
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Version;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("auto, 1, 2 or 3")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Version, E> {
                match text {
                    "auto" => Ok(Version::Auto),
                    "1" => Ok(Version::V1),
                    "2" => Ok(Version::V2),
                    "3" => Ok(Version::V3),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Version, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Word)
    }
}

/// One entry of `influxdb_write`.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InfluxWriteConfig {
    /// The server, with the path where a proxy puts it; not the path of the write API.
    pub url: String,
    /// Names the destination in logs, on the page and in metrics; its queue goes by it.
    pub name: Option<String>,
    /// Organisation (2.x).
    pub org: String,
    /// Bucket (2.x); the database where `database` is not there.
    pub bucket: Option<String>,
    /// Database (1.x and 3); the bucket where `bucket` is not there.
    pub database: Option<String>,
    /// Retention policy (1.x); the database's default where absent.
    pub retention_policy: Option<String>,
    /// API token, sent as `Token` to 1.x and 2.x and as `Bearer` to 3.
    pub token: Option<Secret>,
    /// A file that holds the token, read with each request.
    pub token_file: Option<PathBuf>,
    /// Which write API.
    pub version: Version,
    /// Unit of the time stamps on the wire.
    pub precision: Precision,
    /// Deadline of one request.
    pub timeout: PromDuration,
    /// Whether bodies are compressed with gzip.
    pub gzip: bool,
    /// Whether the metric name is a tag `__name__` too, as InfluxDB 1.x makes it of remote write.
    pub name_tag: bool,
    /// Applied to each series once, after the external labels were added.
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// Bounds and pace.
    pub queue_config: QueueConfig,

    /// User and password (1.x), instead of a token.
    pub basic_auth: Option<BasicAuth>,
    /// Another `Authorization`, instead of a token.
    pub authorization: Option<Authorization>,
    /// See [`ClientConfig`].
    pub tls_config: Option<TlsConfig>,
    /// See [`ClientConfig`].
    pub follow_redirects: bool,
    /// See [`ClientConfig`].
    pub enable_http2: bool,
    /// See [`ClientConfig`].
    pub proxy_url: Option<String>,
    /// See [`ClientConfig`].
    pub no_proxy: Option<String>,
    /// See [`ClientConfig`].
    pub proxy_from_environment: bool,
    /// See [`ClientConfig`].
    pub http_headers: BTreeMap<String, HeaderConfig>,
    /// Refused.
    pub oauth2: Option<IgnoredAny>,
    /// Refused.
    pub proxy_connect_header: Option<IgnoredAny>,
}

impl Default for InfluxWriteConfig {
    fn default() -> Self {
        let client = ClientConfig::default();
        Self {
            url: String::new(),
            name: None,
            org: String::new(),
            bucket: None,
            database: None,
            retention_policy: None,
            token: None,
            token_file: None,
            version: Version::default(),
            precision: Precision::default(),
            timeout: PromDuration::from_secs(30),
            gzip: true,
            name_tag: false,
            write_relabel_configs: Vec::new(),
            queue_config: QueueConfig::default(),
            basic_auth: client.basic_auth,
            authorization: client.authorization,
            tls_config: client.tls_config,
            follow_redirects: client.follow_redirects,
            enable_http2: client.enable_http2,
            proxy_url: client.proxy_url,
            no_proxy: client.no_proxy,
            proxy_from_environment: client.proxy_from_environment,
            http_headers: client.http_headers,
            oauth2: None,
            proxy_connect_header: None,
        }
    }
}

impl InfluxWriteConfig {
    /// Makes file paths absolute: relative ones are relative to the configuration file's directory.
    pub fn resolve_paths(&mut self, directory: &std::path::Path) {
        let mut client = self.client();
        client.resolve_paths(directory);
        self.basic_auth = client.basic_auth;
        self.authorization = client.authorization;
        self.tls_config = client.tls_config;
        self.http_headers = client.http_headers;
        if let Some(path) = &mut self.token_file {
            *path = directory.join(&*path);
        }
    }

    fn client(&self) -> ClientConfig {
        ClientConfig {
            basic_auth: self.basic_auth.clone(),
            authorization: self.authorization.clone(),
            tls_config: self.tls_config.clone(),
            follow_redirects: self.follow_redirects,
            enable_http2: self.enable_http2,
            proxy_url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            proxy_from_environment: self.proxy_from_environment,
            http_headers: self.http_headers.clone(),
        }
    }

    fn database(&self) -> Option<&str> {
        self.database.as_deref().or(self.bucket.as_deref()).filter(|name| !name.is_empty())
    }

    /// The token with the word that stands before it.
    fn token(&self, version: Version) -> Result<Option<Secret>, collector_http::ClientError> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => Secret::from_file(path)?,
            (None, None) => return Ok(None),
        };
        let word = if version == Version::V3 { "Bearer" } else { "Token" };
        Ok(Some(Secret::new(format!("{word} {}", token.expose()))))
    }

    fn write_url(&self, base: &url::Url, version: Version) -> url::Url {
        let (path, precision) = match version {
            Version::V1 => ("write", self.precision.influxdb_v1()),
            Version::V2 | Version::Auto => ("api/v2/write", self.precision.influxdb_v2()),
            Version::V3 => ("api/v3/write_lp", self.precision.influxdb_v3()),
        };
        let mut url = base.clone();
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
        let database = self.database().unwrap_or("");
        let mut query = url.query_pairs_mut();
        match version {
            Version::V1 => {
                query.append_pair("db", database);
                if let Some(policy) = &self.retention_policy {
                    query.append_pair("rp", policy);
                }
            }
            Version::V2 | Version::Auto => {
                let bucket = self.bucket.as_deref().unwrap_or(database);
                query.append_pair("org", &self.org).append_pair("bucket", bucket);
            }
            Version::V3 => {
                query.append_pair("db", database).append_pair("accept_partial", "true");
            }
        }
        query.append_pair("precision", precision);
        drop(query);
        url
    }
}

impl SinkConfig for InfluxWriteConfig {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn settings(&self) -> Settings {
        Settings {
            name: self.name.clone().filter(|name| !name.is_empty()),
            url: self.url.clone(),
            timeout: self.timeout.0,
            write_relabel_configs: self.write_relabel_configs.clone(),
            queue: self.queue_config.clone(),
            client: self.client(),
            finite_only: true,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        http_url(KEY, &self.url)?;
        let keys = [("oauth2", &self.oauth2), ("proxy_connect_header", &self.proxy_connect_header)];
        if let Some((what, _)) = keys.into_iter().find(|(_, value)| value.is_some()) {
            return Err(ConfigError::Unsupported { key: KEY, what: what.to_owned() });
        }
        if self.database().is_none() {
            return Err(ConfigError::Missing { key: KEY, missing: "bucket or database" });
        }
        let token = self.token.is_some() || self.token_file.is_some();
        let conflicts = [
            (self.token.is_some() && self.token_file.is_some(), "token and token_file"),
            (token && self.basic_auth.is_some(), "token and basic_auth"),
            (token && self.authorization.is_some(), "token and authorization"),
        ];
        if let Some((_, names)) = conflicts.into_iter().find(|(both, _)| *both) {
            return Err(ConfigError::Conflict { key: KEY, names });
        }
        check_timeout(KEY, "timeout", self.timeout)?;
        self.queue_config.validate(KEY)?;
        self.client().validate().map_err(|source| ConfigError::Client { key: KEY, source })
    }

    fn build(&self, client: HttpClient) -> Result<Arc<dyn Sink>, ConfigError> {
        Ok(Arc::new(InfluxDb {
            url: http_url(KEY, &self.url)?,
            config: self.clone(),
            client,
            detected: Mutex::default(),
            lines: Scratch::default(),
        }))
    }

    fn is_same(&self, other: &dyn SinkConfig) -> bool {
        (other as &dyn std::any::Any).downcast_ref() == Some(self)
    }
}

/// A server is asked for its version again after this time.
const ASK_AGAIN: Duration = Duration::from_mins(10);

/// How long the answer to that may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What a server is taken for that does not say what it is: what most others imitate.
const SILENT: Version = Version::V2;

struct InfluxDb {
    url: url::Url,
    config: InfluxWriteConfig,
    client: HttpClient,
    /// What the server said it is, and when; nothing where the version is configured.
    detected: Mutex<Option<(Version, Instant)>>,
    lines: Scratch,
}

impl Sink for InfluxDb {
    fn encode(&self, points: &[Point]) -> Bytes {
        let layout = Layout { name_tag: self.config.name_tag, precision: self.config.precision };
        if !self.config.gzip {
            let mut lines = Vec::new();
            write_lines(points, layout, &mut lines);
            return Bytes::from(lines);
        }
        self.lines.with(|lines| {
            lines.clear();
            write_lines(points, layout, lines);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            // Writing to memory does not fail.
            let _ = encoder.write_all(lines);
            Bytes::from(encoder.finish().unwrap_or_default())
        })
    }

    fn send(&self, body: Bytes, _attempt: u32) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            let version = match self.version().await {
                Ok(version) => version,
                Err(outcome) => return outcome,
            };
            let request = match self.request(version) {
                Ok(request) => request,
                Err(error) => return outcome(version, &Answer::none(&error)),
            };
            let answer = Answer::to(request.body(body)).await;
            if answer.status == Some(StatusCode::NOT_FOUND) {
                self.forget(version);
            }
            outcome(version, &answer)
        })
    }
}

impl InfluxDb {
    fn request(&self, version: Version) -> Result<reqwest::RequestBuilder, collector_http::ClientError> {
        let mut request = self.client.post(self.config.write_url(&self.url, version))?;
        request = request
            .timeout(self.config.timeout.0)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::ACCEPT, "application/json");
        if self.config.gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        if let Some(token) = self.config.token(version)? {
            request = request.header(header::AUTHORIZATION, token.expose());
        }
        Ok(request)
    }

    /// Which API the server speaks. Asked again from time to time, and after [`forget`](Self::forget): a server may
    /// be upgraded, or a proxy have answered for it.
    async fn version(&self) -> Result<Version, Outcome> {
        if self.config.version != Version::Auto {
            return Ok(self.config.version);
        }
        let known = *self.detected.lock();
        if let Some((version, asked)) = known
            && asked.elapsed() < ASK_AGAIN
        {
            return Ok(version);
        }
        let version = match (self.ask().await, known) {
            (Ok(Some(version)), _) => version,
            // No answer that says more than is known.
            (Ok(None) | Err(_), Some((version, _))) => version,
            (Ok(None), None) => SILENT,
            (Err(outcome), None) => return Err(outcome),
        };
        *self.detected.lock() = Some((version, Instant::now()));
        Ok(version)
    }

    /// The server does not have this API: it is asked again before the next request.
    fn forget(&self, version: Version) {
        self.detected.lock().take_if(|(detected, _)| *detected == version);
    }

    /// What the server says at `/ping`; nothing where it answers and does not say.
    async fn ask(&self) -> Result<Option<Version>, Outcome> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/ping", self.url.path().trim_end_matches('/')));
        let request = self.client.get(url).map_err(|e| outcome(Version::Auto, &Answer::none(&e)))?;
        let response = match request.timeout(self.config.timeout.0.min(PING_TIMEOUT)).send().await {
            Ok(response) => response,
            Err(error) => return Err(outcome(Version::Auto, &Answer::none(&error.without_url()))),
        };
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let message = format!("{status} from /ping");
            return Err(Outcome::Retry { message, after: None, slowly: true });
        }
        let told = response.headers().get("x-influxdb-version").and_then(|v| v.to_str().ok()).unwrap_or("");
        Ok(version_of(told))
    }
}

/// The API of a server from what it says: `1.6.7`, `v2.7.1`, `3.0.1`.
fn version_of(told: &str) -> Option<Version> {
    match told.trim_start_matches('v').chars().next()? {
        '1' => Some(Version::V1),
        '3' => Some(Version::V3),
        _ => Some(Version::V2),
    }
}

fn outcome(version: Version, answer: &Answer) -> Outcome {
    let message = answer.message();
    let retry = |slowly| Outcome::Retry { message: message.clone(), after: answer.retry_after, slowly };
    match answer.status {
        None | Some(StatusCode::TOO_MANY_REQUESTS) => retry(false),
        Some(status) if status.is_success() => Outcome::Delivered,
        Some(status) if status.is_server_error() => retry(false),
        // Someone has to write the new place into the configuration.
        Some(status) if status.is_redirection() => retry(true),
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => retry(true),
        Some(StatusCode::PAYLOAD_TOO_LARGE) => Outcome::TooLarge { message },
        // Version 2 stored what it could: the rest lies outside the bucket's retention or has another type there.
        Some(StatusCode::UNPROCESSABLE_ENTITY) => Outcome::Partly { refused: dropped_points(&answer.text), message },
        Some(StatusCode::BAD_REQUEST) if answer.text.contains("partial write") => {
            let refused = match version {
                Version::V3 => answer.text.matches("\"error_message\"").count().max(1),
                Version::Auto | Version::V1 | Version::V2 => dropped_points(&answer.text),
            };
            Outcome::Partly { refused, message }
        }
        Some(StatusCode::BAD_REQUEST) => Outcome::Malformed { message },
        Some(_) => Outcome::Rejected { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> InfluxWriteConfig {
        serde_yaml_ng::from_str(yaml).unwrap()
    }

    #[track_caller]
    fn refused(yaml: &str, want: &str) {
        let got = config(yaml).validate().map_or_else(|e| e.to_string(), |()| String::new());
        assert_eq!(got, want, "{yaml}");
    }

    #[test]
    fn keys() {
        let full = config(
            "{url: 'http://h:8086', org: o, bucket: b, token_file: t, version: 2, precision: ms, timeout: 10s, \
             write_relabel_configs: [{source_labels: [__name__], regex: 'job_container:.*', action: keep}], \
             queue_config: {max_samples_per_send: 5000}, name: containers, gzip: false, name_tag: true}",
        );
        assert!(full.validate().is_ok());
        assert!(serde_yaml_ng::from_str::<InfluxWriteConfig>("{url: 'http://h', buckett: x}").is_err());
        assert!(serde_yaml_ng::from_str::<InfluxWriteConfig>("{url: 'http://h', version: 4}").is_err());
        refused("{url: 'http://h'}", "influxdb_write: bucket or database is required");
        refused("{bucket: b}", "influxdb_write: url is required");
        refused(
            "{url: 'http://h', bucket: b, token: a, token_file: b}",
            "influxdb_write: at most one of token and token_file may be set",
        );
        refused(
            "{url: 'http://h', bucket: b, token: a, basic_auth: {username: u}}",
            "influxdb_write: at most one of token and basic_auth may be set",
        );
        refused("{url: 'http://h', bucket: b, timeout: 0s}", "influxdb_write: timeout must be more than 0s");
        refused("{url: 'http://h', bucket: b, oauth2: {}}", "influxdb_write: oauth2 is not supported");
    }

    #[track_caller]
    fn writes_to(yaml: &str, version: Version, want: &str) {
        let config = config(yaml);
        let base = http_url(KEY, &config.url).unwrap();
        assert_eq!(config.write_url(&base, version).as_str(), want);
    }

    #[test]
    fn urls() {
        let keys = "{url: 'http://h:8086/', org: my org, bucket: b}";
        writes_to(keys, Version::V2, "http://h:8086/api/v2/write?org=my+org&bucket=b&precision=ms");
        writes_to(keys, Version::V3, "http://h:8086/api/v3/write_lp?db=b&accept_partial=true&precision=millisecond");
        let keys = "{url: 'http://h/proxy/influx', database: d, retention_policy: week, precision: ns}";
        writes_to(keys, Version::V1, "http://h/proxy/influx/write?db=d&rp=week&precision=ns");
    }

    #[test]
    fn versions() {
        assert_eq!(version_of("1.6.7~rc0"), Some(Version::V1));
        assert_eq!(version_of("v2.7.1"), Some(Version::V2));
        assert_eq!(version_of("3.0.1"), Some(Version::V3));
        assert_eq!(version_of("relay"), Some(Version::V2));
        assert_eq!(version_of(""), None);
    }

    /// A server whose version can be changed: it has the write API of that version only.
    async fn server(version: &'static str) -> (String, Arc<Mutex<&'static str>>) {
        let said = Arc::new(Mutex::new(version));
        let told = Arc::clone(&said);
        let answer = move |request: axum::extract::Request| {
            let version = *told.lock();
            let path = if version.starts_with('1') { "/write" } else { "/api/v2/write" };
            let status = if [path, "/ping"].contains(&request.uri().path()) { 204 } else { 404 };
            let response = axum::response::Response::builder().status(status).header("X-Influxdb-Version", version);
            std::future::ready(response.body(axum::body::Body::empty()).unwrap())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap() });
        (url, said)
    }

    #[tokio::test]
    async fn a_server_that_became_another_is_asked_again() {
        let (url, said) = server("1.8.10").await;
        let config = config(&format!("{{url: '{url}', org: o, bucket: b}}"));
        let client = HttpClient::build(&ClientConfig::default(), "test").unwrap();
        let sink = config.build(client).unwrap();
        assert_eq!(sink.send(Bytes::new(), 0).await, Outcome::Delivered);
        *said.lock() = "v2.7.1";
        assert!(matches!(sink.send(Bytes::new(), 0).await, Outcome::Retry { slowly: true, .. }));
        assert_eq!(sink.send(Bytes::new(), 1).await, Outcome::Delivered);
    }

    #[tokio::test]
    async fn the_version_is_asked_for_from_time_to_time() {
        let (url, said) = server("1.8.10").await;
        let config = config(&format!("{{url: '{url}', bucket: b}}"));
        let sink = InfluxDb {
            url: http_url(KEY, &config.url).unwrap(),
            config,
            client: HttpClient::build(&ClientConfig::default(), "test").unwrap(),
            detected: Mutex::default(),
            lines: Scratch::default(),
        };
        assert_eq!(sink.version().await, Ok(Version::V1));
        *said.lock() = "v2.7.1";
        assert_eq!(sink.version().await, Ok(Version::V1), "not with each request");
        let long_ago = || Instant::now().checked_sub(ASK_AGAIN).unwrap();
        *sink.detected.lock() = Some((Version::V1, long_ago()));
        assert_eq!(sink.version().await, Ok(Version::V2));
        // An answer that says nothing changes nothing.
        *said.lock() = "";
        *sink.detected.lock() = Some((Version::V1, long_ago()));
        assert_eq!(sink.version().await, Ok(Version::V1));
        sink.forget(Version::V2);
        assert_eq!(sink.version().await, Ok(Version::V1), "it was another version that was not found");
        sink.forget(Version::V1);
        assert_eq!(sink.version().await, Ok(Version::V2));
    }

    #[test]
    fn answers_decide() {
        let check = |version, status: u16, text: &str, want: &str| {
            let status = StatusCode::from_u16(status).ok();
            let answer = Answer { status, text: text.to_owned(), retry_after: Some(Duration::from_secs(3)) };
            let got = match outcome(version, &answer) {
                Outcome::Retry { slowly, after, .. } => format!("retry {slowly} {:?}", after.unwrap()),
                Outcome::Delivered => "delivered".to_owned(),
                Outcome::Partly { refused, .. } => format!("partly {refused}"),
                Outcome::TooLarge { .. } => "too large".to_owned(),
                Outcome::Malformed { .. } => "malformed".to_owned(),
                Outcome::Rejected { .. } => "rejected".to_owned(),
            };
            assert_eq!(got, want, "{status:?} {text}");
        };
        check(Version::V2, 0, "timed out", "retry false 3s");
        check(Version::V2, 204, "", "delivered");
        check(Version::V2, 429, "", "retry false 3s");
        check(Version::V2, 503, "", "retry false 3s");
        check(Version::V2, 401, "", "retry true 3s");
        check(Version::V2, 404, "bucket not found", "retry true 3s");
        check(Version::V2, 413, "", "too large");
        check(Version::V2, 422, "failure writing points to database: partial write: … dropped=7", "partly 7");
        check(Version::V2, 422, "points outside retention", "partly 1");
        check(Version::V2, 400, "unable to parse 'x': missing fields", "malformed");
        check(Version::V1, 400, "partial write: unable to parse 'x': missing fields dropped=0", "partly 1");
        let lines = r#"{"error":"partial write of line protocol occurred","data":[{"error_message":"a","line_number":1},
            {"error_message":"b","line_number":2}]}"#;
        check(Version::V3, 400, lines, "partly 2");
        check(Version::V2, 405, "", "rejected");
    }
}
