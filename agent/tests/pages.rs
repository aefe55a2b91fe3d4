//! What the pages answer, and in which form.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::collections::HashSet;
use std::io::Read;

use agent_exposition::Format::{OpenMetrics100, Text004};
use running::{Agent, request, samples, value};

#[test]
fn text_and_openmetrics_say_the_same() {
    let agent = Agent::start(&[]);
    let text = agent.get("/metrics");
    assert_eq!(text.status, 200);
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let open = agent.get_with("/metrics", &[("Accept", accept)]);
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().ends_with("# EOF\n"));
    let series = |format, body: &[u8]| -> HashSet<String> {
        let all = samples(format, body);
        let distinct: HashSet<_> = all.iter().map(|(series, _)| series.clone()).collect();
        assert_eq!(distinct.len(), all.len(), "a series comes twice");
        distinct
    };
    let (text, open) = (series(Text004, &text.body), series(OpenMetrics100, &open.body));
    assert!(text.iter().any(|s| s.starts_with("node_load1")), "{text:?}");
    // Interfaces, mounts and cgroups come and go with other tests; the fixed ones do not.
    let fixed = |all: &HashSet<String>| -> HashSet<String> {
        all.iter().filter(|s| !s.contains("{") || s.contains("collector=\"")).cloned().collect()
    };
    assert_eq!(fixed(&text), fixed(&open));
}

#[test]
fn gzip_is_given_to_who_takes_it() {
    let agent = Agent::start(&[]);
    let plain = agent.get("/metrics");
    assert_eq!(plain.header("content-encoding"), None);
    let packed = agent.get_with("/metrics", &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("content-length"), Some(packed.body.len().to_string().as_str()));
    assert!(packed.body.len() * 2 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert!(value(&unpacked, "node_load1").is_some());
}

#[test]
fn head_and_post_scrape_too() {
    let agent = Agent::start(&[]);
    let head = request(&agent.address, "HEAD", "/metrics", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
    let post = request(&agent.address, "POST", "/metrics", &[]);
    assert!(value(post.text(), "node_load1").is_some());
    assert_eq!(request(&agent.address, "DELETE", "/metrics", &[]).status, 405);
}

#[test]
fn collectors_can_be_chosen() {
    let agent = Agent::start(&["--no-collector.stat"]);
    let reported = |path: &str| -> Vec<String> {
        let answer = agent.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let all = samples(Text004, &answer.body);
        all.into_iter().filter(|(s, _)| s.starts_with("node_scrape_collector_success")).map(|(s, _)| s).collect()
    };
    assert_eq!(reported("/metrics?collect[]=loadavg"), ["node_scrape_collector_success{collector=\"loadavg\"}"]);
    assert_eq!(reported("/metrics?collect%5B%5D=loadavg&collect%5B%5D=meminfo").len(), 2);
    let all = reported("/metrics");
    let without = reported("/metrics?exclude[]=loadavg&exclude[]=nonsense");
    assert_eq!(without.len() + 1, all.len());
    assert!(without.iter().all(|series| !series.contains("loadavg")));
    let none: String = all.iter().map(|series| format!("exclude[]={}&", series.split('"').nth(1).unwrap())).collect();
    assert_eq!(reported(&format!("/metrics?{none}")), Vec::<String>::new());
    let answer = agent.get(&format!("/metrics?{none}"));
    assert!(!answer.text().contains("node_load1"), "{}", answer.text());

    for (path, want) in [
        ("/metrics?collect[]=nonsense", "no such collector, there are "),
        ("/metrics?collect[]=stat", "--collector.stat turns it on"),
        ("/metrics?collect[]=loadavg&exclude[]=meminfo", "cannot be combined"),
    ] {
        let answer = agent.get(path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains(want), "{path}: {}", answer.text());
        assert_eq!(answer.text().lines().count(), 1, "{path}");
    }
    let page = agent.get("/metrics");
    assert_eq!(value(page.text(), "promhttp_metric_handler_requests_total{code=\"400\"}"), Some(3.0));
}

#[test]
fn the_agent_tells_about_itself_unless_told_not_to() {
    let page = Agent::start(&[]).get("/metrics");
    for series in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_virtual_memory_max_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "promhttp_metric_handler_requests_in_flight",
    ] {
        assert!(value(page.text(), series).is_some_and(|v| v >= 0.0), "{series}");
    }
    assert!(page.text().contains("\nnode_exporter_build_info{") && page.text().contains("\natalaia_build_info{"));
    let page = Agent::start(&["--web.disable-exporter-metrics"]).get("/metrics");
    assert!(!page.text().contains("process_cpu") && !page.text().contains("promhttp_"), "{}", page.text());
    assert!(value(page.text(), "node_load1").is_some());
}

#[test]
fn containers_move_to_a_listener_of_their_own() {
    let together = Agent::start(&[]).get("/metrics");
    let agent =
        Agent::start(&["--web.container-listen-address=127.0.0.1:0", "--prometheus_endpoint=/container-metrics"]);
    let containers = agent.containers.clone().unwrap();
    let node = agent.get("/metrics");
    let apart = request(&containers, "GET", "/container-metrics", &[]);
    let has = |body: &[u8], prefix: &str| samples(Text004, body).iter().any(|(series, _)| series.starts_with(prefix));
    for (body, nodes, container) in
        [(&together.body, true, true), (&node.body, true, false), (&apart.body, false, true)]
    {
        assert_eq!(has(body, "node_load1"), nodes);
        assert_eq!(has(body, "machine_cpu_cores"), container);
    }
    assert!(has(&apart.body, "atalaia_collector_outcome{collector=\"container\",outcome=\"ok\"}"));
    assert_eq!(request(&containers, "GET", "/metrics", &[]).status, 404);
    assert_eq!(request(&containers, "GET", "/healthz", &[]).status, 200);
    assert!(!has(&Agent::start(&["--no-collector.container"]).get("/metrics").body, "machine_"));
}

#[test]
fn the_other_pages_answer() {
    let agent = Agent::start(&["--web.telemetry-path=/m"]);
    for path in ["/healthz", "/-/healthy", "/-/ready"] {
        let answer = agent.get(path);
        assert_eq!((answer.status, answer.text()), (200, "ok\n"), "{path}");
    }
    let landing = agent.get("/");
    assert!(landing.header("content-type").unwrap().starts_with("text/html"));
    assert!(landing.text().contains("<a href=\"/m\">"), "{}", landing.text());
    assert_eq!(agent.get("/metrics").status, 404);
    assert_eq!(agent.get("/m").status, 200);
    let unknown = agent.get("/info/no-such-container");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("no container \"no-such-container\""), "{}", unknown.text());
    let off = Agent::start(&["--no-collector.container"]).get("/info/x");
    assert_eq!(off.status, 404);
    assert!(off.text().contains("container metrics are off"), "{}", off.text());
}

#[test]
fn scrapes_at_the_same_time_are_all_whole() {
    let agent = Agent::start(&[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let page = agent.get("/metrics");
                    assert_eq!(page.status, 200);
                    let all = samples(Text004, &page.body);
                    let stuck = all.iter().find(|(series, _)| series.contains("outcome=\"stuck\""));
                    assert_eq!(stuck, None);
                    assert!(value(page.text(), "node_load1").is_some());
                }
            });
        }
    });
    let page = agent.get("/metrics");
    assert_eq!(value(page.text(), "promhttp_metric_handler_requests_total{code=\"200\"}"), Some(40.0));
}
