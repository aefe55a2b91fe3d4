//! Getting a page: the request, the answer's head, and its body piece by piece into the reader.

use std::io::{self, Write};
use std::time::Duration;

use agent_exposition::Format;
use collector_http::{ClientError, HttpClient};
use flate2::write::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use url::Url;

use crate::ScrapeProtocol;
use crate::page::{PageError, PageReader};

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// A scrape failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("target_limit exceeded (number of targets: {targets}, limit: {limit})")]
    TargetLimit { targets: usize, limit: u64 },
    #[error("cannot prepare the request")]
    Prepare(#[from] ClientError),
    #[error("cannot get the page")]
    Request(#[source] reqwest::Error),
    #[error("the page broke off")]
    Body(#[source] reqwest::Error),
    #[error("no complete page within the scrape timeout of {0:?} (context deadline exceeded)")]
    Timeout(Duration),
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    #[error(
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
    )]
    NoContentType,
    #[error("received unsupported Content-Type {0:?} and no fallback_scrape_protocol specified for target")]
    ContentType(String),
    #[error("cannot decompress the page")]
    Gzip(#[source] io::Error),
    #[error(transparent)]
    Page(#[from] PageError),
}

impl ScrapeError {
    /// The word by which it is counted, one of [`REASONS`](crate::metrics::REASONS).
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::TargetLimit { .. } => "limit",
            Self::Prepare(_) | Self::Request(_) => "unreachable",
            Self::Body(_) | Self::Gzip(_) => "broken",
            Self::Timeout(_) => "timeout",
            Self::Status(_) => "status",
            Self::NoContentType | Self::ContentType(_) => "content_type",
            Self::Page(error) => error.reason(),
        }
    }
}

/// How a page is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) client: &'a HttpClient,
    pub(crate) url: &'a Url,
    pub(crate) accept: &'a HeaderValue,
    pub(crate) compression: bool,
    pub(crate) timeout: Duration,
    pub(crate) fallback: Option<ScrapeProtocol>,
}

/// Gets a page and reads it. The caller keeps the deadline.
pub(crate) async fn fetch(request: Request<'_>, page: &mut PageReader<'_>) -> Result<(), ScrapeError> {
    let encoding = HeaderValue::from_static(if request.compression { "gzip" } else { "identity" });
    let mut response = request
        .client
        .get(request.url.clone())?
        .header(ACCEPT, request.accept)
        .header(ACCEPT_ENCODING, encoding)
        .header(TIMEOUT_HEADER, request.timeout.as_secs_f64().to_string())
        .send()
        .await
        .map_err(ScrapeError::Request)?;
    if response.status() != StatusCode::OK {
        return Err(ScrapeError::Status(response.status()));
    }
    page.set_format(format(response.headers(), request.fallback)?);
    let gzip = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    if gzip {
        let mut decoder = MultiGzDecoder::new(Sink { page, error: None });
        while let Some(chunk) = response.chunk().await.map_err(ScrapeError::Body)? {
            let written = decoder.write_all(&chunk);
            decompressed(&mut decoder, written)?;
        }
        let finished = decoder.try_finish();
        decompressed(&mut decoder, finished)?;
    } else {
        while let Some(chunk) = response.chunk().await.map_err(ScrapeError::Body)? {
            page.feed(&chunk)?;
        }
    }
    Ok(page.finish()?)
}

/// Takes the decoder's blocks to the page and keeps what the page says, which an `io::Error` would blur.
struct Sink<'a, 'b> {
    page: &'a mut PageReader<'b>,
    error: Option<PageError>,
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        match self.page.feed(block) {
            Ok(()) => Ok(block.len()),
            Err(error) => {
                self.error = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn decompressed(decoder: &mut MultiGzDecoder<Sink<'_, '_>>, result: io::Result<()>) -> Result<(), ScrapeError> {
    match (decoder.get_mut().error.take(), result) {
        (Some(error), _) => Err(ScrapeError::Page(error)),
        (None, Err(error)) => Err(ScrapeError::Gzip(error)),
        (None, Ok(())) => Ok(()),
    }
}

/// How the page is written. What its head does not say must be configured, or nothing can be trusted.
fn format(headers: &HeaderMap, fallback: Option<ScrapeProtocol>) -> Result<Format, ScrapeError> {
    let stated = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let media_type = stated.as_deref().and_then(|text| text.split(';').next()).unwrap_or("").trim();
    let known = if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
        Some(Format::OpenMetrics100)
    } else if media_type.eq_ignore_ascii_case("text/plain") {
        Some(Format::Text004)
    } else {
        fallback.and_then(ScrapeProtocol::format)
    };
    known.ok_or_else(|| match stated {
        Some(text) if !text.trim().is_empty() => ScrapeError::ContentType(text.into_owned()),
        _ => ScrapeError::NoContentType,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: Option<&'static str>, fallback: Option<ScrapeProtocol>, want: Result<Format, &str>) {
        let headers = content_type.map(|text| (CONTENT_TYPE, HeaderValue::from_static(text))).into_iter().collect();
        let got = format(&headers, fallback).map_err(|e| e.to_string());
        match (&got, want) {
            (Ok(got), Ok(want)) => assert_eq!(*got, want, "{content_type:?}"),
            (Err(got), Err(want)) => assert!(got.contains(want), "{content_type:?}: {got}"),
            _ => panic!("{content_type:?}: {got:?}, not {want:?}"),
        }
    }

    #[test]
    fn the_content_type_decides() {
        let om = Ok(Format::OpenMetrics100);
        check(Some("text/plain; version=0.0.4; charset=utf-8"), None, Ok(Format::Text004));
        check(Some("text/plain"), Some(ScrapeProtocol::OpenMetricsText100), Ok(Format::Text004));
        check(Some("Application/OpenMetrics-Text; version=1.0.0"), None, om);
        check(Some("text/html"), None, Err("unsupported Content-Type \"text/html\""));
        check(Some("text/html"), Some(ScrapeProtocol::OpenMetricsText001), om);
        check(Some(""), None, Err("blank Content-Type"));
        check(None, None, Err("blank Content-Type"));
        check(None, Some(ScrapeProtocol::PrometheusText004), Ok(Format::Text004));
    }
}
