//! The same pages, read by a real Prometheus: it has to take and refuse what the parser takes and refuses, and to see
//! the same series in them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cases;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use agent_exposition::{Event, Parser};
use cases::{ACCEPTED, Case, Oracle, REFUSED};
use provisioning_parts::{Prometheus, eventually, prom_query};

/// Labels without those of the target, and the value.
type Series = (BTreeMap<String, String>, f64);

#[test]
fn a_real_prometheus_agrees() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    let prometheus = prometheus(&address);
    let health: BTreeMap<String, bool> = eventually(60, "all targets are scraped", || {
        let up = query(&prometheus, "up");
        match up.len() == ACCEPTED.len() + REFUSED.len() {
            true => Ok(up.into_iter().map(|(labels, up)| (labels["case"].clone(), up == 1.0)).collect()),
            false => Err(format!("only {}", up.len())),
        }
    });
    let mut disagreements = Vec::new();
    for (number, case) in all().enumerate() {
        let ours = number < ACCEPTED.len();
        let theirs = health[&number.to_string()];
        let agrees = match case.oracle {
            Oracle::Agrees => theirs == ours && (!ours || seen(&prometheus, number) == series(case)),
            Oracle::Since3 => true,
            Oracle::Laxer(_) => theirs && !ours,
            Oracle::Stricter(_) => ours && !theirs,
        };
        if !agrees {
            let page = String::from_utf8_lossy(case.page);
            let seen = (seen(&prometheus, number), if ours { series(case) } else { Vec::new() });
            disagreements.push(format!("{:?} {page:?}: ours {ours}, theirs {theirs}, {seen:?}", case.format));
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

fn all() -> impl Iterator<Item = &'static Case> {
    ACCEPTED.iter().chain(REFUSED)
}

/// What our parser sees, in a form that compares: sorted, the last of samples of the same series left out as
/// Prometheus leaves them out.
fn series(case: &Case) -> Vec<Series> {
    let mut all = Vec::new();
    for event in Parser::new(case.format, case.page) {
        let Event::Sample(sample) = event.unwrap() else { continue };
        // Samples with a time of their own are too old or too new to be asked for.
        if sample.timestamp_ms.is_some() {
            continue;
        }
        let mut labels: BTreeMap<_, _> = sample.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        labels.insert("__name__".to_owned(), sample.name().into_owned());
        all.push((labels, sample.value));
    }
    normal(all)
}

fn normal(mut all: Vec<Series>) -> Vec<Series> {
    // NaN is compared as a number of our own.
    all.iter_mut().filter(|s| s.1.is_nan()).for_each(|s| s.1 = -12345.0);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn serve(mut stream: TcpStream) {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    reader.read_line(&mut request).unwrap();
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|n| n > 2) {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("");
    let case = path.trim_start_matches('/').parse().ok().and_then(|number| all().nth(number)).expect(path);
    let (kind, length) = (case.format.content_type(), case.page.len());
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(case.page)).unwrap();
}

/// A Prometheus that scrapes each case as a target of its own.
fn prometheus(target: &str) -> Prometheus {
    let mut config =
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: cases\n  static_configs:\n"
            .to_owned();
    for number in 0..all().count() {
        config +=
            &format!("  - targets: ['{target}']\n    labels: {{case: '{number}', __metrics_path__: '/{number}'}}\n");
    }
    Prometheus::start(&config, &[])
}

/// What Prometheus sees in a case.
fn seen(prometheus: &Prometheus, case: usize) -> Vec<Series> {
    let found = query(prometheus, &format!("{{case=\"{case}\",__name__!~\"up|scrape_.*\"}}"));
    normal(
        found
            .into_iter()
            .map(|(mut labels, value)| {
                ["case", "instance", "job"].iter().for_each(|name| drop(labels.remove(*name)));
                (labels, value)
            })
            .collect(),
    )
}

fn query(prometheus: &Prometheus, promql: &str) -> Vec<Series> {
    let rows = prom_query(&prometheus.address, promql).unwrap();
    rows.iter()
        .map(|row| {
            let labels = serde_json::from_value(row["metric"].clone()).unwrap();
            (labels, row["value"][1].as_str().unwrap().parse().unwrap())
        })
        .collect()
}
