//! Request parameters: from the URL and, for POST, from the form as well, as Prometheus reads them.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use collector_model::{PromDuration, TimestampMs};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ApiError;

/// The largest form that is read, in bytes.
const FORM_LIMIT: usize = 10 << 20;

/// All parameters of a request, in order; those of the form come first, as they win.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The first value of a parameter; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A parameter that must be there.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| ApiError::bad_parameter(name, "it is missing"))
    }

    /// A time in milliseconds since the epoch, if given: seconds with fraction, or RFC 3339.
    pub fn time(&self, name: &str) -> Result<Option<TimestampMs>, ApiError> {
        self.get(name)
            .map(|text| {
                parse_time(text).ok_or_else(|| {
                    ApiError::bad_parameter(name, &format!("cannot parse {text:?} to a valid timestamp"))
                })
            })
            .transpose()
    }

    /// A duration in milliseconds, if given: seconds with fraction, or Prometheus's notation.
    pub fn duration(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| {
                parse_duration(text)
                    .ok_or_else(|| ApiError::bad_parameter(name, &format!("cannot parse {text:?} to a valid duration")))
            })
            .transpose()
    }

    /// A whole number, if given; 0 means no limit and reads as absent.
    pub fn limit(&self, name: &str) -> Result<Option<usize>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => match text.parse::<usize>() {
                Ok(0) => Ok(None),
                Ok(limit) => Ok(Some(limit)),
                Err(_) => Err(ApiError::bad_parameter(name, &format!("{text:?} is not a whole number"))),
            },
        }
    }
}

/// Reads a time, in milliseconds since the epoch.
pub fn parse_time(text: &str) -> Option<TimestampMs> {
    if let Ok(seconds) = text.parse::<f64>() {
        return millis(seconds);
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Reads a duration, in milliseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return millis(seconds);
    }
    PromDuration::parse(text).ok().map(PromDuration::as_millis)
}

#[allow(clippy::cast_possible_truncation, reason = "the bounds are checked")]
fn millis(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    // 2^53: beyond it a double cannot hold every millisecond, and no clock goes there.
    (ms.is_finite() && ms.abs() < 9_007_199_254_740_992.0).then_some(ms as i64)
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let url_query = request.uri().query().unwrap_or("").to_owned();
        let is_form = request.method() == Method::POST
            && request
                .headers()
                .get(header::CONTENT_TYPE)
                .and_then(|v| v.to_str().ok())
                .is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
        let mut pairs = Vec::new();
        if is_form {
            let body = to_bytes(request.into_body(), FORM_LIMIT)
                .await
                .map_err(|e| ApiError::bad_data(format!("error reading the form: {e}")))?;
            pairs.extend(url::form_urlencoded::parse(&body).into_owned());
        }
        pairs.extend(url::form_urlencoded::parse(url_query.as_bytes()).into_owned());
        Ok(Self(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_as_prometheus_does() {
        assert_eq!(parse_time("1700000000"), Some(1_700_000_000_000));
        assert_eq!(parse_time("1700000000.123"), Some(1_700_000_000_123));
        assert_eq!(parse_time("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
        assert_eq!(parse_time("2023-11-14T23:13:20.5+01:00"), Some(1_700_000_000_500));
        assert_eq!(parse_time("NaN"), None);
        assert_eq!(parse_time("1e300"), None);
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn reads_durations_as_prometheus_does() {
        assert_eq!(parse_duration("15"), Some(15_000));
        assert_eq!(parse_duration("0.5"), Some(500));
        assert_eq!(parse_duration("5m"), Some(300_000));
        assert_eq!(parse_duration("five"), None);
    }
}
