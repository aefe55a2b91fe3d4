//! Rate, errors and duration of requests, by route.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds: from a cached page to a large file.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
}

/// What is told of requests.
#[derive(Clone)]
pub(super) struct Metrics {
    requests: Family<Answered, Counter>,
    durations: Family<Asked, Histogram>,
    in_flight: Gauge,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            in_flight: Gauge::default(),
        };
        registry.register(
            "http_requests",
            "Requests answered, by method, route and status code",
            metrics.requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Seconds from the head of a request to the end of its answer",
            metrics.durations.clone(),
        );
        registry.register("http_requests_in_flight", "Requests whose answer has not ended", metrics.in_flight.clone());
        metrics
    }
}

/// Counts a request, and takes its time until the last byte of the answer is handed over or the peer has gone.
pub(super) async fn measure(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    // What no route knows is one route, whatever its path: peers do not choose label values.
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let asked = Asked { method: method(request.method()), route };
    metrics.in_flight.inc();
    let mut open = Open { metrics, asked, code: None, since: Instant::now() };
    let response = next.run(request).await;
    open.code = Some(response.status().as_u16());
    response.map(|body| Body::new(Measured { body, _open: open }))
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A request under way; told when it is let go.
struct Open {
    metrics: Metrics,
    asked: Asked,
    /// None until there is an answer: the peer may go before.
    code: Option<u16>,
    since: Instant,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        self.metrics.durations.get_or_create(&self.asked).observe(self.since.elapsed().as_secs_f64());
        let Asked { method, route } = self.asked.clone();
        // 499: the peer closed the request, as nginx counts it.
        self.metrics.requests.get_or_create(&Answered { method, route, code: self.code.unwrap_or(499) }).inc();
    }
}

struct Measured {
    body: Body,
    _open: Open,
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
