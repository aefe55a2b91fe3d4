//! `/api/v1/write`: the receiver of Prometheus remote write 1.0.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector_model::{Append, AppendError, Labels, METRIC_NAME, NORMAL_NAN, RefSample, Rejection, is_stale};
use collector_remote::decode_write_request;
use collector_remote::prompb::{TimeSeries, WriteRequest};

use crate::Shared;
use collector_model::chain;

/// The largest body once decompressed, in bytes; Prometheus's sender stays far below.
const DECOMPRESSED_LIMIT: usize = 64 << 20;

/// Takes a remote write. 204 when everything was stored; 400 with one line when the request or part of it was
/// wrong (the rest is stored, as the specification has it); 503 when the window cannot take samples now, so that
/// the sender tries again.
pub async fn write(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if !shared.flags.enable_remote_write_receiver {
        let message = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n";
        return (StatusCode::NOT_FOUND, message).into_response();
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if kind.contains("io.prometheus.write.v2") {
        let message = "remote write 2.0 is not spoken here; send application/x-protobuf (version 1.0)\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    let stored = tokio::task::spawn_blocking(move || {
        let request = decode_write_request(&body, DECOMPRESSED_LIMIT).map_err(|e| WriteError::Bad(chain(&e)))?;
        store(shared.window.as_ref(), request)
    });
    match stored.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(WriteError::Bad(reason))) => (StatusCode::BAD_REQUEST, format!("{reason}\n")).into_response(),
        Ok(Err(WriteError::Window(error))) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", chain(&error))).into_response()
        }
        Ok(Err(WriteError::Again)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "a series was let go meanwhile\n").into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

enum WriteError {
    Bad(String),
    Again,
    Window(AppendError),
}

fn store(window: &dyn Append, request: WriteRequest) -> Result<(), WriteError> {
    let mut batch = Vec::new();
    let mut wrong = None;
    for series in &request.timeseries {
        match labels_of(series) {
            Err(reason) => wrong = wrong.or(Some(reason)),
            Ok(labels) => match window.resolve(&labels) {
                Ok(series_ref) => batch.extend(series.samples.iter().map(|sample| RefSample {
                    series: series_ref,
                    timestamp_ms: sample.timestamp,
                    value: normalized(sample.value),
                })),
                Err(error @ AppendError::SeriesLimit { .. }) => wrong = wrong.or(Some(error.to_string())),
                Err(error) => return Err(WriteError::Window(error)),
            },
        }
    }
    let appended = window.append(&batch).map_err(WriteError::Window)?;
    // A series that was let go between the two calls above: the sender tries again, what was stored stays.
    if appended.rejected.iter().any(|(_, reason)| *reason == Rejection::UnknownSeries) {
        return Err(WriteError::Again);
    }
    if let Some((_, reason)) = appended.rejected.first() {
        wrong = wrong.or(Some(format!(
            "{} of {} samples refused: {}",
            appended.rejected.len(),
            batch.len(),
            reason.as_str()
        )));
    }
    match wrong {
        None => Ok(()),
        Some(reason) => Err(WriteError::Bad(reason)),
    }
}

/// There is one ordinary NaN; the stale marker keeps its bits.
fn normalized(value: f64) -> f64 {
    if value.is_nan() && !is_stale(value) { NORMAL_NAN } else { value }
}

/// The labels of a series. They should come sorted; they are taken in any order, but each name once.
fn labels_of(series: &TimeSeries) -> Result<Labels, String> {
    let mut pairs: Vec<(&str, &str)> = series.labels.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect();
    pairs.sort_unstable();
    let mut previous = "";
    for (name, _) in &pairs {
        if name.is_empty() {
            return Err("a label without a name".to_owned());
        }
        if *name == previous {
            return Err(format!("label {name:?} twice in one series"));
        }
        previous = name;
    }
    let labels = Labels::from_pairs(pairs);
    match labels.get(METRIC_NAME) {
        Some(_) => Ok(labels),
        None => Err(format!("series {labels} has no metric name")),
    }
}
