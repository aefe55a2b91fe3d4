//! A client of the HTTP API.

use std::time::{Duration, SystemTime};

use collector_model::{PromDuration, TimestampMs};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How long an answer may take; longer than a server's own query timeout, so that its word is heard.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Asks one server.
#[derive(Debug)]
pub(super) struct Client {
    base: url::Url,
}

/// What every answer of the API is wrapped in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Client {
    /// A client of the server at `url`, which may have a path prefix.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let base =
            url::Url::parse(&with_scheme).map_err(|error| format!("cannot parse the server's URL {url:?}: {error}"))?;
        match base.cannot_be_a_base() {
            true => Err(format!("cannot parse the server's URL {url:?}")),
            false => Ok(Self { base }),
        }
    }

    fn endpoint(&self, path: &str) -> url::Url {
        let mut url = self.base.clone();
        let prefix = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}/api/v1/{path}"));
        url
    }

    /// Sends the parameters as a form; gives the data of the answer.
    pub(super) fn post(&self, path: &str, params: &[(&str, String)]) -> Result<Value, String> {
        let url = self.endpoint(path);
        ask(url, |http, url| {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
            http.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(body)
        })
    }

    /// Sends the parameters in the URL; gives the data of the answer.
    pub(super) fn get(&self, path: &str, params: &[(&str, String)]) -> Result<Value, String> {
        let mut url = self.endpoint(path);
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        ask(url, |http, url| http.get(url))
    }
}

fn ask(
    url: url::Url,
    request: impl FnOnce(&reqwest::Client, url::Url) -> reqwest::RequestBuilder,
) -> Result<Value, String> {
    // Fails only where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|error| super::super::chain(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let (status, body) = runtime
        .block_on(async {
            let answer = request(&http, url).send().await?;
            Ok((answer.status(), answer.bytes().await?))
        })
        .map_err(|error: reqwest::Error| super::super::chain(&error))?;
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&body) else {
        return Err(match status.is_success() {
            true => "bad_response: the answer is not of Prometheus's API".to_owned(),
            false if status.is_client_error() => format!("client_error: client error: {}", status.as_u16()),
            false => format!("server_error: server error: {}", status.as_u16()),
        });
    };
    for warning in &envelope.warnings {
        eprintln!("query warning: {warning}");
    }
    match envelope.status.as_str() {
        "success" => Ok(envelope.data),
        _ => Err(format!("{}: {}", envelope.error_type, envelope.error)),
    }
}

/// A time as users write it: seconds since the epoch with a fraction, or RFC 3339.
pub(in crate::commands) fn parse_time(text: &str) -> Result<TimestampMs, String> {
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite()) {
        return Ok((seconds * 1000.0).round() as TimestampMs);
    }
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(time) => Ok(TimestampMs::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(TimestampMs::MAX)),
        Err(_) => Err(format!("cannot parse {text:?} to a valid timestamp")),
    }
}

/// A step as users write it: a duration, or seconds.
pub(super) fn parse_step(text: &str) -> Result<PromDuration, String> {
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0) {
        return Ok(PromDuration(Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?));
    }
    PromDuration::parse(text).map_err(|error| error.to_string())
}

/// Now.
pub(super) fn now_ms() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(since_epoch.as_millis()).unwrap_or(TimestampMs::MAX)
}

/// A time as the API takes it.
pub(super) fn seconds(ms: TimestampMs) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<i64>) {
        assert_eq!(parse_time(text).ok(), want, "{text}");
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        check("0", Some(0));
        check("1435781451.781", Some(1_435_781_451_781));
        check("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781));
        check("2015-07-01T22:10:51+02:00", Some(1_435_781_451_000));
        check("yesterday", None);
        check("NaN", None);
        assert_eq!(seconds(1_435_781_451_781), "1435781451.781");
        assert_eq!(seconds(-1), "-1.999");
    }

    #[test]
    fn a_path_prefix_is_kept() {
        let endpoint = |url| Client::new(url).unwrap().endpoint("query").to_string();
        assert_eq!(endpoint("http://a:9090"), "http://a:9090/api/v1/query");
        assert_eq!(endpoint("http://a:9090/prom/"), "http://a:9090/prom/api/v1/query");
        assert_eq!(endpoint("a:9090"), "http://a:9090/api/v1/query");
        assert!(Client::new("http://").is_err());
    }
}
