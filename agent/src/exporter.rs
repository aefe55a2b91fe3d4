//! What the agent says about itself beside its process: how its requests went, what it is, how its collectors did.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use agent_exposition::{Kind, Page};

use crate::schedule::{Outcome, Report};

/// The commit that this was built from, where the build said it.
const REVISION: &str = match option_env!("ATALAIA_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Requests for one page, counted as promhttp counts them.
#[derive(Debug, Default)]
pub struct Requests {
    ok: AtomicU64,
    bad_request: AtomicU64,
    failed: AtomicU64,
    unavailable: AtomicU64,
}

/// How a request for a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 500
    Failed,
    /// 503
    Unavailable,
}

impl Requests {
    /// Counts a request.
    pub fn count(&self, answer: Answer) {
        let counter = match answer {
            Answer::Ok => &self.ok,
            Answer::BadRequest => &self.bad_request,
            Answer::Failed => &self.failed,
            Answer::Unavailable => &self.unavailable,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Adds `promhttp_metric_handler_*`. `in_flight` counts the request that asks.
    pub fn add_to(&self, page: &mut Page, in_flight: usize) {
        let total = page.family(
            "promhttp_metric_handler_requests_total",
            "Requests for metrics by status of the answer.",
            Kind::Counter,
        );
        let codes = [("200", &self.ok), ("400", &self.bad_request), ("500", &self.failed), ("503", &self.unavailable)];
        for (code, count) in codes {
            page.sample(total, &[("code", code)], count.load(Relaxed) as f64);
        }
        // What contradicts another family is left out by the collector that read it, and told there: so nothing can go
        // wrong between collecting and printing.
        let errors =
            page.family("promhttp_metric_handler_errors_total", "Pages that could not be made.", Kind::Counter);
        for (cause, count) in [("encoding", self.failed.load(Relaxed)), ("gathering", 0)] {
            page.sample(errors, &[("cause", cause)], count as f64);
        }
        page.single(
            "promhttp_metric_handler_requests_in_flight",
            "Requests for metrics that are being answered.",
            Kind::Gauge,
            in_flight as f64,
        );
    }
}

/// Adds the build under our name, and under node_exporter's where the page stands in for it.
pub fn add_build_info(page: &mut Page, as_node_exporter: bool) {
    let labels = [
        ("goarch", architecture()),
        ("goos", std::env::consts::OS),
        ("revision", REVISION),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    let help = "A 1 with the version of the agent.";
    if as_node_exporter {
        let family = page.family("node_exporter_build_info", help, Kind::Gauge);
        page.sample(family, &labels, 1.0);
    }
    let family = page.family("atalaia_build_info", help, Kind::Gauge);
    let ours = labels.map(|(name, value)| (name.trim_start_matches("go"), value));
    page.sample(family, &ours, 1.0);
}

/// Version and commit, for `--version`.
pub fn version() -> String {
    format!("{} (revision {REVISION}, {} {})", env!("CARGO_PKG_VERSION"), std::env::consts::OS, architecture())
}

/// The commit that this was built from.
pub fn revision() -> &'static str {
    REVISION
}

/// Go's name for the machine's architecture, which dashboards know.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Adds how the collectors did: node_exporter's two families where the page stands in for it, and ours, which tell
/// "nothing of the kind here" from "failed".
pub fn add_reports(page: &mut Page, reports: &[Report], as_node_exporter: bool) {
    if as_node_exporter {
        let duration =
            page.family("node_scrape_collector_duration_seconds", "Time that a collector took, seconds.", Kind::Gauge);
        let success = page.family(
            "node_scrape_collector_success",
            "Whether a collector had something to give: 0 too where this machine has nothing of the kind.",
            Kind::Gauge,
        );
        for report in reports {
            let labels = [("collector", report.collector)];
            page.sample(duration, &labels, report.took.as_secs_f64());
            page.sample(success, &labels, f64::from(u8::from(report.outcome == Outcome::Ok)));
        }
    }
    let outcome = page.family("atalaia_collector_outcome", "A 1 with what the collection came to.", Kind::Gauge);
    let stuck = page.family(
        "atalaia_collector_stuck_seconds",
        "How long a collector has not come back; only for those that are stuck.",
        Kind::Gauge,
    );
    for report in reports {
        page.sample(outcome, &[("collector", report.collector), ("outcome", report.outcome.name())], 1.0);
        if report.outcome == Outcome::Stuck {
            page.sample(stuck, &[("collector", report.collector)], report.took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_could_not_be_made_is_an_error() {
        let requests = Requests::default();
        for answer in [Answer::Ok, Answer::Failed, Answer::Failed] {
            requests.count(answer);
        }
        let mut page = Page::new();
        requests.add_to(&mut page, 1);
        let mut text = String::new();
        page.write(agent_exposition::Format::Text004, &mut text);
        for line in [
            "promhttp_metric_handler_requests_total{code=\"200\"} 1\n",
            "promhttp_metric_handler_requests_total{code=\"500\"} 2\n",
            "promhttp_metric_handler_errors_total{cause=\"encoding\"} 2\n",
            "promhttp_metric_handler_errors_total{cause=\"gathering\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
