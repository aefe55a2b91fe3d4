//! `GET /metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use agent_exposition::{Coding, Page, Representation, negotiate, negotiate_coding};
use agent_node::Collector;
use agent_node::collectors::COLLECTORS;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::encode::Encoder;
use crate::exporter::{Answer, Requests, add_build_info, add_reports};
use crate::guard::Guard;
use crate::process::Process;
use crate::push::Progress;
use crate::schedule::Schedule;
use crate::selection::Selection;
use crate::settings::{CONTAINER, Settings};

/// How much of its timeout a scrape may use; the rest is for the way back.
const SHARE_OF_TIMEOUT: f64 = 0.8;
/// What nobody needs to wait for.
const LONGEST_TIMEOUT: f64 = 600.0;
/// Whoever waits no longer than this gets his answer later: collectors are not given up for him.
const LEAST_TIMEOUT: f64 = 0.1;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Stands in for node_exporter, and carries the container families unless they have a page of their own.
    Node,
    /// Stands in for cAdvisor.
    Containers,
}

impl Role {
    /// As it is logged.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Containers => "containers",
        }
    }
}

/// A page of metrics, for any number of listeners.
pub(crate) struct MetricsPage {
    role: Role,
    schedule: Arc<Schedule>,
    names: Vec<&'static str>,
    requests: Requests,
    in_flight: AtomicUsize,
    max_requests: usize,
    process: Option<Process>,
    guard: Option<Arc<Guard>>,
    push: Option<Progress>,
    encoder: Encoder,
    default_timeout: Duration,
}

impl MetricsPage {
    /// A page of these collectors, which tells how its guard and delivery do where there are any.
    pub(crate) fn new(
        role: Role,
        collectors: Vec<(&'static str, Box<dyn Collector>)>,
        guard: Option<Arc<Guard>>,
        push: Option<Progress>,
        settings: &Settings,
    ) -> Self {
        let schedule = Arc::new(Schedule::new(collectors));
        // On a page apart they would come twice.
        let own = settings.exporter_metrics && role == Role::Node;
        Self {
            role,
            names: schedule.names().collect(),
            schedule,
            requests: Requests::default(),
            in_flight: AtomicUsize::new(0),
            max_requests: settings.max_requests,
            process: own.then(Process::new),
            guard: guard.filter(|_| own),
            push: push.filter(|_| role == Role::Node),
            encoder: Encoder::new(),
            default_timeout: settings.limits.scrape_timeout,
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The names of the collectors that run.
    pub(crate) fn collectors(&self) -> &[&'static str] {
        &self.names
    }

    /// Runs the collectors that `wanted` names, then hands the filled page to `print` on a thread that may block, and
    /// gives what it made of it. `None` stands for a panic there.
    pub(crate) async fn collect<T: Send + 'static>(
        self: Arc<Self>,
        wanted: impl Fn(&str) -> bool,
        deadline: Instant,
        print: impl FnOnce(&mut Page) -> T + Send + 'static,
    ) -> Option<T> {
        let collection = self.schedule.collect(wanted, deadline).await;
        // Printing a page of a thousand containers takes long enough to be done elsewhere.
        let printed = tokio::task::spawn_blocking(move || {
            let mut families = collection.page;
            let as_node_exporter = self.role == Role::Node;
            add_reports(&mut families, &collection.reports, as_node_exporter);
            add_build_info(&mut families, as_node_exporter);
            if let Some(process) = &self.process {
                process.add_to(&mut families);
                self.requests.add_to(&mut families, self.in_flight.load(Relaxed));
            }
            if let Some(guard) = &self.guard {
                guard.add_to(&mut families);
            }
            if let Some(push) = &self.push {
                push.add_to(&mut families);
            }
            let printed = print(&mut families);
            self.schedule.give_back(families);
            printed
        });
        printed.await.ok()
    }

    async fn scrape(self: Arc<Self>, selection: Selection, request: Request) -> Response {
        let deadline = Instant::now() + request.timeout.unwrap_or(self.default_timeout).mul_f64(SHARE_OF_TIMEOUT);
        let (page, representation, coding) = (self.clone(), request.representation, request.coding);
        let print = move |families: &mut Page| page.encoder.encode(families, representation, coding);
        let Some(Some(body)) = self.collect(|name| selection.has(name), deadline, print).await else {
            return (StatusCode::INTERNAL_SERVER_ERROR, "cannot print the page\n").into_response();
        };
        let mut response = ([(header::CONTENT_TYPE, representation.content_type())], body).into_response();
        if let Some(name) = coding.name() {
            response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static(name));
        }
        response
    }
}

/// How pages can be compressed, the preferred first where a scraper does not mind.
const CODINGS: &[Coding] = &[Coding::Identity, Coding::Gzip, Coding::Zstd];

/// What a request's headers ask for.
struct Request {
    representation: Representation,
    coding: Coding,
    timeout: Option<Duration>,
}

impl Request {
    fn new(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let seconds = text("x-prometheus-scrape-timeout-seconds").and_then(|text| text.parse::<f64>().ok());
        Self {
            representation: negotiate(text("accept")),
            coding: negotiate_coding(text("accept-encoding"), CODINGS),
            timeout: seconds
                .filter(|s| *s > 0.0)
                .map(|s| Duration::from_secs_f64(s.clamp(LEAST_TIMEOUT, LONGEST_TIMEOUT))),
        }
    }
}

/// Counts a request as long as it lives.
struct InFlight(Arc<MetricsPage>);

impl InFlight {
    /// `None` when there are too many already.
    fn enter(page: &Arc<MetricsPage>) -> Option<Self> {
        let before = page.in_flight.fetch_add(1, Relaxed);
        let entered = Self(page.clone());
        (page.max_requests == 0 || before < page.max_requests).then_some(entered)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

pub(super) async fn answer(
    State(page): State<Arc<MetricsPage>>,
    Query(parameters): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let Some(_in_flight) = InFlight::enter(&page) else {
        page.requests.count(Answer::Unavailable);
        let text = format!("{} requests are being answered, no more are taken: try again later\n", page.max_requests);
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let all: Vec<_> = COLLECTORS.iter().map(|spec| spec.name).chain([CONTAINER]).collect();
    match Selection::from_query(&parameters, &page.names, &all) {
        Ok(selection) => {
            let response = page.clone().scrape(selection, Request::new(&headers)).await;
            page.requests.count(if response.status().is_success() { Answer::Ok } else { Answer::Failed });
            response
        }
        Err(error) => {
            page.requests.count(Answer::BadRequest);
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever gives less could have every collector taken for stuck, and the log filled with it.
    #[test]
    fn timeouts_are_within_reason() {
        let timeout = |text: &str| {
            let headers = HeaderMap::from_iter([(
                header::HeaderName::from_static("x-prometheus-scrape-timeout-seconds"),
                text.parse().unwrap(),
            )]);
            Request::new(&headers).timeout
        };
        for (text, want) in [("15", 15_000), ("2.5", 2500), ("1e9", 600_000), ("0.000001", 100), ("1e-300", 100)] {
            assert_eq!(timeout(text), Some(Duration::from_millis(want)), "{text}");
        }
        for text in ["0", "-1", "NaN", "soon", ""] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }
}
