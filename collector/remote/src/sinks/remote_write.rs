//! Prometheus remote write 1.0: `prometheus.WriteRequest` in protobuf, in Snappy's block form.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use collector_http::{Authorization, BasicAuth, ClientConfig, HeaderConfig, HttpClient, TlsConfig};
use collector_model::{Labels, PromDuration, RelabelConfig};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};
use serde::de::IgnoredAny;

use super::{Outcome, Point, Scratch, Sink, SinkConfig, Spec};
use crate::config::{MetadataConfig, QueueConfig, Settings, check_timeout, http_url};
use crate::response::Answer;
use crate::{ConfigError, DropNonFinite};

/// What the sink is called.
pub const SPEC: Spec = Spec { name: "remote_write", config_key: KEY };

const KEY: &str = "remote_write";

/// Where InfluxDB 1.x takes remote write.
const INFLUXDB_V1_PATH: &str = "/api/v1/prom/write";

/// The only message sent, by the name that `protobuf_message` gives it.
const MESSAGE: &str = "prometheus.WriteRequest";

/// One entry of `remote_write`: Prometheus's keys, and `drop_non_finite`.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct RemoteWriteConfig {
    pub url: String,
    pub name: Option<String>,
    pub remote_timeout: PromDuration,
    pub headers: BTreeMap<String, String>,
    pub write_relabel_configs: Vec<RelabelConfig>,
    pub protobuf_message: String,
    /// Accepted; no exemplar is kept that could be sent.
    pub send_exemplars: bool,
    /// Accepted; no native histogram is kept that could be sent.
    pub send_native_histograms: bool,
    /// Accepted; connections are kept and the resolver's order is used.
    pub round_robin_dns: bool,
    pub queue_config: QueueConfig,
    pub metadata_config: MetadataConfig,
    /// Whether NaN, infinities and stale markers are dropped (and counted) instead of sent.
    pub drop_non_finite: DropNonFinite,

    pub basic_auth: Option<BasicAuth>,
    pub authorization: Option<Authorization>,
    pub tls_config: Option<TlsConfig>,
    pub follow_redirects: bool,
    pub enable_http2: bool,
    pub proxy_url: Option<String>,
    pub no_proxy: Option<String>,
    pub proxy_from_environment: bool,
    pub http_headers: BTreeMap<String, HeaderConfig>,

    /// Refused.
    pub oauth2: Option<IgnoredAny>,
    /// Refused.
    pub sigv4: Option<IgnoredAny>,
    /// Refused.
    pub azuread: Option<IgnoredAny>,
    /// Refused.
    pub google_iam: Option<IgnoredAny>,
    /// Refused.
    pub proxy_connect_header: Option<IgnoredAny>,
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        let client = ClientConfig::default();
        Self {
            url: String::new(),
            name: None,
            remote_timeout: PromDuration::from_secs(30),
            headers: BTreeMap::new(),
            write_relabel_configs: Vec::new(),
            protobuf_message: MESSAGE.to_owned(),
            send_exemplars: false,
            send_native_histograms: false,
            round_robin_dns: false,
            queue_config: QueueConfig::default(),
            metadata_config: MetadataConfig::default(),
            drop_non_finite: DropNonFinite::Auto,
            basic_auth: client.basic_auth,
            authorization: client.authorization,
            tls_config: client.tls_config,
            follow_redirects: client.follow_redirects,
            enable_http2: false,
            proxy_url: client.proxy_url,
            no_proxy: client.no_proxy,
            proxy_from_environment: client.proxy_from_environment,
            http_headers: client.http_headers,
            oauth2: None,
            sigv4: None,
            azuread: None,
            google_iam: None,
            proxy_connect_header: None,
        }
    }
}

impl RemoteWriteConfig {
    /// Makes file paths absolute: relative ones are relative to the configuration file's directory.
    pub fn resolve_paths(&mut self, directory: &std::path::Path) {
        let mut client = self.client();
        client.resolve_paths(directory);
        self.basic_auth = client.basic_auth;
        self.authorization = client.authorization;
        self.tls_config = client.tls_config;
        self.http_headers = client.http_headers;
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

    /// Whether the receiver is an InfluxDB 1.x.
    fn is_influxdb_v1(&self) -> bool {
        url::Url::parse(&self.url).is_ok_and(|url| url.path().trim_end_matches('/').ends_with(INFLUXDB_V1_PATH))
    }

    fn unsupported(&self) -> Option<&'static str> {
        let keys = [
            ("oauth2", &self.oauth2),
            ("sigv4", &self.sigv4),
            ("azuread", &self.azuread),
            ("google_iam", &self.google_iam),
            ("proxy_connect_header", &self.proxy_connect_header),
        ];
        keys.into_iter().find(|(_, value)| value.is_some()).map(|(key, _)| key)
    }

    fn request_headers(&self) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let own =
                ["content-encoding", "content-type", "x-prometheus-remote-write-version", "authorization", "host"];
            let bad = || ConfigError::Unsupported { key: KEY, what: format!("header {name:?} in headers") };
            if own.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(bad());
            }
            let value = HeaderValue::from_str(value).map_err(|_| bad())?;
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value);
        }
        Ok(headers)
    }
}

impl SinkConfig for RemoteWriteConfig {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn settings(&self) -> Settings {
        Settings {
            name: self.name.clone().filter(|name| !name.is_empty()),
            url: self.url.clone(),
            timeout: self.remote_timeout.0,
            write_relabel_configs: self.write_relabel_configs.clone(),
            queue: self.queue_config.clone(),
            client: self.client(),
            finite_only: match self.drop_non_finite {
                DropNonFinite::Auto => self.is_influxdb_v1(),
                DropNonFinite::Yes => true,
                DropNonFinite::No => false,
            },
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        http_url(KEY, &self.url)?;
        if let Some(what) = self.unsupported() {
            return Err(ConfigError::Unsupported { key: KEY, what: what.to_owned() });
        }
        if self.protobuf_message != MESSAGE {
            let what = format!("protobuf_message {:?} (only {MESSAGE} is)", self.protobuf_message);
            return Err(ConfigError::Unsupported { key: KEY, what });
        }
        self.request_headers()?;
        check_timeout(KEY, "remote_timeout", self.remote_timeout)?;
        self.queue_config.validate(KEY)?;
        self.client().validate().map_err(|source| ConfigError::Client { key: KEY, source })
    }

    fn build(&self, client: HttpClient) -> Result<Arc<dyn Sink>, ConfigError> {
        Ok(Arc::new(RemoteWrite {
            url: http_url(KEY, &self.url)?,
            timeout: self.remote_timeout.0,
            headers: self.request_headers()?,
            retry_429: self.queue_config.retry_on_http_429,
            influxdb_v1: self.is_influxdb_v1(),
            client,
            plain: Scratch::default(),
            packed: Scratch::default(),
        }))
    }

    fn is_same(&self, other: &dyn SinkConfig) -> bool {
        (other as &dyn std::any::Any).downcast_ref() == Some(self)
    }
}

struct RemoteWrite {
    url: url::Url,
    timeout: Duration,
    headers: HeaderMap,
    retry_429: bool,
    influxdb_v1: bool,
    client: HttpClient,
    plain: Scratch,
    packed: Scratch,
}

impl Sink for RemoteWrite {
    fn encode(&self, points: &[Point]) -> Bytes {
        self.plain.with(|plain| {
            plain.clear();
            write_request(points, plain);
            self.packed.with(|packed| {
                let room = snap::raw::max_compress_len(plain.len());
                if packed.len() < room {
                    packed.resize(room, 0);
                }
                // Fails only for inputs of 4 GiB and for an output that is too small.
                let length = snap::raw::Encoder::new().compress(plain, packed).unwrap_or(0);
                Bytes::copy_from_slice(packed.get(..length).unwrap_or_default())
            })
        })
    }

    fn send(&self, body: Bytes, attempt: u32) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            let request = match self.client.post(self.url.clone()) {
                Ok(request) => request,
                Err(error) => return self.outcome(&Answer::none(&error)),
            };
            let mut request = request
                .timeout(self.timeout)
                .headers(self.headers.clone())
                .header(header::CONTENT_ENCODING, "snappy")
                .header(header::CONTENT_TYPE, "application/x-protobuf")
                .header("X-Prometheus-Remote-Write-Version", "0.1.0");
            if attempt > 0 {
                request = request.header("Retry-Attempt", attempt);
            }
            self.outcome(&Answer::to(request.body(body)).await)
        })
    }
}

impl RemoteWrite {
    fn outcome(&self, answer: &Answer) -> Outcome {
        let message = answer.message();
        let retry = |slowly| Outcome::Retry { message: message.clone(), after: answer.retry_after, slowly };
        match answer.status {
            None => retry(false),
            Some(status) if status.is_success() => Outcome::Delivered,
            Some(status) if status.is_server_error() => retry(false),
            // Someone has to write the new place into the configuration.
            Some(status) if status.is_redirection() => retry(true),
            Some(StatusCode::TOO_MANY_REQUESTS) if self.retry_429 || self.influxdb_v1 => retry(false),
            // Splitting is not in the specification, but what is too large as a whole can do no harm in halves.
            Some(StatusCode::PAYLOAD_TOO_LARGE) => Outcome::TooLarge { message },
            // An InfluxDB without the database, or with another password, is put right by someone sooner or later.
            Some(StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) if self.influxdb_v1 => {
                retry(true)
            }
            Some(StatusCode::BAD_REQUEST) if answer.text.contains("partial write") => {
                Outcome::Partly { refused: dropped_points(&answer.text), message }
            }
            Some(_) => Outcome::Rejected { message },
        }
    }
}

/// The number in InfluxDB's `partial write: … dropped=12`; at least one point was.
pub(super) fn dropped_points(text: &str) -> usize {
    let number = text.split_once("dropped=").map_or("", |(_, tail)| tail);
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..digits).and_then(|n| n.parse().ok()).unwrap_or(1).max(1)
}

/// Writes points as `prometheus.WriteRequest`. Neighbours with the same labels share one series.
pub(crate) fn write_request(points: &[Point], out: &mut Vec<u8>) {
    const TIMESERIES: u8 = 0x0a; // field 1, length-delimited
    for run in points.chunk_by(|a, b| a.labels == b.labels) {
        let Some(first) = run.first() else { continue };
        out.push(TIMESERIES);
        let start = out.len();
        out.extend_from_slice(&[0; USUAL_LEN]);
        write_labels(&first.labels, out);
        for point in run {
            write_sample(point, out);
        }
        write_len_at(start, out);
    }
}

/// Bytes that the length of a series usually takes: it is from 128 to 16,383.
const USUAL_LEN: usize = 2;

/// Writes the length of what stands behind the [`USUAL_LEN`] bytes at `start` in their place.
fn write_len_at(start: usize, out: &mut Vec<u8>) {
    let length = out.len() - start - USUAL_LEN;
    if let (USUAL_LEN, Some(room)) = (varint_len(length), out.get_mut(start..).and_then(|o| o.first_chunk_mut())) {
        *room = [length as u8 | 0x80, (length >> 7) as u8];
        return;
    }
    let mut varint = Vec::with_capacity(10);
    write_varint(length as u64, &mut varint);
    out.splice(start..start + USUAL_LEN, varint);
}

fn write_labels(labels: &Labels, out: &mut Vec<u8>) {
    const LABEL: u8 = 0x0a; // field 1, length-delimited
    const VALUE: u8 = 0x12; // field 2, length-delimited
    for (name, value) in labels {
        out.push(LABEL);
        write_varint((2 + varint_len(name.len()) + name.len() + varint_len(value.len()) + value.len()) as u64, out);
        out.push(LABEL);
        write_varint(name.len() as u64, out);
        out.extend_from_slice(name.as_bytes());
        out.push(VALUE);
        write_varint(value.len() as u64, out);
        out.extend_from_slice(value.as_bytes());
    }
}

fn write_sample(point: &Point, out: &mut Vec<u8>) {
    const SAMPLE: u8 = 0x12; // field 2, length-delimited
    const VALUE: u8 = 0x09; // field 1, 64 bits
    const TIMESTAMP: u8 = 0x10; // field 2, varint
    let timestamp = point.timestamp_ms.cast_unsigned();
    out.push(SAMPLE);
    out.push(u8::try_from(10 + varint_len_u64(timestamp)).unwrap_or(0));
    out.push(VALUE);
    out.extend_from_slice(&point.value.to_bits().to_le_bytes());
    out.push(TIMESTAMP);
    write_varint(timestamp, out);
}

fn varint_len(number: usize) -> usize {
    varint_len_u64(number as u64)
}

fn varint_len_u64(number: u64) -> usize {
    (70 - (number | 1).leading_zeros() as usize) / 7
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::prompb::WriteRequest;

    fn config(yaml: &str) -> RemoteWriteConfig {
        serde_yaml_ng::from_str(yaml).unwrap()
    }

    #[track_caller]
    fn refused(yaml: &str, want: &str) {
        let got = config(yaml).validate().map_or_else(|e| e.to_string(), |()| String::new());
        assert_eq!(got, want, "{yaml}");
    }

    #[test]
    fn keys_are_prometheus_s() {
        let full = config(
            "{url: 'http://h/w', name: n, remote_timeout: 10s, headers: {X-A: b}, write_relabel_configs: \
             [{source_labels: [__name__], regex: 'job_instance:.*', action: keep}], protobuf_message: \
             prometheus.WriteRequest, send_exemplars: true, send_native_histograms: true, round_robin_dns: true, \
             queue_config: {capacity: 1, max_shards: 2, min_shards: 1, max_samples_per_send: 3, batch_send_deadline: \
             1s, min_backoff: 1s, max_backoff: 2s, retry_on_http_429: true, sample_age_limit: 1h, max_disk_bytes: \
             1GB}, metadata_config: {send: false, send_interval: 1m, max_samples_per_send: 5}, basic_auth: {username: \
             u}, tls_config: {insecure_skip_verify: true}, follow_redirects: false, enable_http2: true, \
             proxy_url: 'http://p:1', no_proxy: x, http_headers: {A: {values: [b]}}, drop_non_finite: true}",
        );
        assert!(full.validate().is_ok(), "{:?}", full.validate());
        assert!(full.settings().finite_only);
        assert!(serde_yaml_ng::from_str::<RemoteWriteConfig>("{url: 'http://h/w', nam: x}").is_err());
        refused("{url: 'http://h/w'}", "");
        refused("{name: x}", "remote_write: url is required");
        refused("{url: 'h:1'}", "remote_write: url \"h:1\" is not an http or https URL");
        refused("{url: 'http://h/w', sigv4: {region: x}}", "remote_write: sigv4 is not supported");
        refused("{url: 'http://h/w', remote_timeout: 0s}", "remote_write: remote_timeout must be more than 0s");
        refused("{url: 'http://h/w', oauth2: {client_id: x}}", "remote_write: oauth2 is not supported");
        refused(
            "{url: 'http://h/w', protobuf_message: io.prometheus.write.v2.Request}",
            "remote_write: protobuf_message \"io.prometheus.write.v2.Request\" (only prometheus.WriteRequest is) is \
             not supported",
        );
        refused(
            "{url: 'http://h/w', headers: {Content-Type: x}}",
            "remote_write: header \"Content-Type\" in headers is not supported",
        );
    }

    #[test]
    fn only_influxdb_1_is_spared_what_is_not_finite() {
        let finite_only = |url: &str, more: &str| config(&format!("{{url: '{url}'{more}}}")).settings().finite_only;
        assert!(finite_only("http://h:8086/api/v1/prom/write?db=prometheus", ""));
        assert!(finite_only("http://h/proxy/api/v1/prom/write/", ""));
        assert!(!finite_only("http://h:8086/api/v1/prom/write?db=prometheus", ", drop_non_finite: false"));
        assert!(!finite_only("http://h:9090/api/v1/write", ""));
        assert!(finite_only("http://h:9090/api/v1/write", ", drop_non_finite: true"));
        assert!(finite_only("http://h:8086/api/v1/prom/write", ", drop_non_finite: auto"));
    }

    fn sink(yaml: &str) -> RemoteWrite {
        let config = config(yaml);
        RemoteWrite {
            url: http_url(KEY, &config.url).unwrap(),
            timeout: config.remote_timeout.0,
            headers: config.request_headers().unwrap(),
            retry_429: config.queue_config.retry_on_http_429,
            influxdb_v1: config.is_influxdb_v1(),
            client: HttpClient::build(&ClientConfig::default(), "test").unwrap(),
            plain: Scratch::default(),
            packed: Scratch::default(),
        }
    }

    #[test]
    fn answers_decide() {
        let prometheus = sink("{url: 'http://h/api/v1/write'}");
        let patient = sink("{url: 'http://h/api/v1/write', queue_config: {retry_on_http_429: true}}");
        let influxdb = sink("{url: 'http://h/api/v1/prom/write'}");
        let outcome = |sink: &RemoteWrite, status: u16, text: &str| {
            let status = StatusCode::from_u16(status).ok();
            match sink.outcome(&Answer { status, text: text.to_owned(), retry_after: None }) {
                Outcome::Retry { slowly, .. } => if slowly { "retry slowly" } else { "retry" }.to_owned(),
                Outcome::Delivered => "delivered".to_owned(),
                Outcome::Partly { refused, .. } => format!("partly {refused}"),
                Outcome::TooLarge { .. } => "too large".to_owned(),
                Outcome::Malformed { .. } => "malformed".to_owned(),
                Outcome::Rejected { .. } => "rejected".to_owned(),
            }
        };
        let check = |sink, status, text, want: &str| assert_eq!(outcome(sink, status, text), want, "{status} {text}");
        check(&prometheus, 0, "connection refused", "retry");
        check(&prometheus, 200, "", "delivered");
        check(&prometheus, 204, "", "delivered");
        check(&prometheus, 500, "", "retry");
        check(&prometheus, 503, "", "retry");
        check(&prometheus, 429, "", "rejected");
        check(&patient, 429, "", "retry");
        check(&influxdb, 429, "", "retry");
        check(&prometheus, 400, "out of order", "rejected");
        check(&prometheus, 404, "", "rejected");
        check(&influxdb, 404, "database not found", "retry slowly");
        check(&influxdb, 401, "", "retry slowly");
        check(&prometheus, 413, "", "too large");
        check(&prometheus, 302, "", "retry slowly");
        check(&influxdb, 400, "partial write: field type conflict dropped=12", "partly 12");
        check(&influxdb, 400, "partial write: points beyond retention policy", "partly 1");
    }

    fn labels() -> impl Strategy<Value = Labels> {
        proptest::collection::btree_map(".{1,200}", ".{1,200}", 0..6).prop_map(Labels::from_pairs)
    }

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let samples = proptest::collection::vec((any::<i64>(), any::<u64>()), 1..4);
        proptest::collection::vec((labels(), samples), 0..8).prop_map(|series| {
            let point = |labels: &Labels, (timestamp_ms, bits)| Point {
                labels: labels.clone(),
                timestamp_ms,
                value: f64::from_bits(bits),
            };
            series.iter().flat_map(|(l, samples)| samples.iter().map(move |s| point(l, *s))).collect()
        })
    }

    proptest! {
        #[test]
        fn prost_reads_what_is_written(points in points()) {
            let mut body = Vec::new();
            write_request(&points, &mut body);
            let request = WriteRequest::decode(body.as_slice()).unwrap();
            let mut read = Vec::new();
            for series in &request.timeseries {
                let labels: Vec<_> = series.labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect();
                for sample in &series.samples {
                    read.push((labels.clone(), sample.timestamp, sample.value.to_bits()));
                }
            }
            let pairs = |l: &Labels| l.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>();
            let written: Vec<_> =
                points.iter().map(|p| (pairs(&p.labels), p.timestamp_ms, p.value.to_bits())).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn varints_have_the_length_that_is_told(number in any::<u64>()) {
            let mut out = Vec::new();
            write_varint(number, &mut out);
            prop_assert_eq!(out.len(), varint_len_u64(number));
        }
    }
}
