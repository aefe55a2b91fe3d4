//! Endpoint by endpoint beside a real Prometheus 2.42. What differs on purpose is named where it differs.

use provisioning_parts::form;

use crate::compare::{Comparison, Rules};
use crate::exporter::STEPS;
use crate::pair::Pair;

const PLAIN: Rules<'static> =
    Rules { masked: &[], ours_alone: &[], theirs_alone: &[], unordered: false, without_empty_groups: false };
const ANY_ORDER: Rules<'static> = Rules { unordered: true, ..PLAIN };

#[test]
fn the_api_answers_as_prometheus_does() {
    let pair = Pair::start();
    let mut comparison = Comparison::new(&pair);
    instant(&pair, &mut comparison);
    range(&pair, &mut comparison);
    series(&pair, &mut comparison);
    targets(&mut comparison);
    rules(&mut comparison);
    status(&mut comparison);
    errors(&pair, &mut comparison);
    comparison.finish();
}

/// Expressions whose instant and range results are compared; all over samples that both have.
const EXPRESSIONS: &[&str] = &[
    "api_requests_total",
    "api_temperature_celsius",
    "api_temperature_celsius{room=~\"t.*|h.*\"}",
    "api_odd",
    "api_text",
    "api_gone",
    "api_missing",
    "rate(api_requests_total[1m])",
    "increase(api_requests_total{code=\"500\"}[2m])",
    "irate(api_requests_total[1m])",
    "sum by (code) (rate(api_requests_total[1m]))",
    "histogram_quantile(0.9, rate(api_latency_seconds_bucket[2m]))",
    "api_requests_total{code=\"404\"} / ignoring (code) group_right () api_requests_total{code=\"200\"}",
    "max_over_time(api_temperature_celsius[2m])",
    "api_requests_total offset 1m",
    "api_requests_total > 100",
    "api_requests_total > bool 100",
    "max_over_time(rate(api_requests_total[1m])[5m:30s])",
    "absent(api_missing{a=\"b\"})",
    "label_replace(api_gone, \"new\", \"$1\", \"why\", \"(.*) early\")",
    "count_values(\"value\", api_odd)",
    "1 / 0",
    "-1 / 0",
    "0 / 0",
    "1e-7 * 3",
    "1e21",
    "1e20",
    "-0",
    "time()",
    "vector(0.1 + 0.2)",
    "scalar(api_temperature_celsius{room=\"south\"})",
];

fn instant(pair: &Pair, comparison: &mut Comparison<'_>) {
    for expression in EXPRESSIONS.iter().chain(&["\"a \\\"string\\\" é\"", "api_requests_total[1m]", "api_odd[40s]"]) {
        for (step, plus_ms) in [(12, 4_321), (30, 999), (STEPS - 1, 1)] {
            let asked = form(&[("query", expression), ("time", &pair.exporter.at(step, plus_ms))]);
            comparison.get(&format!("/api/v1/query?{asked}"), ANY_ORDER);
        }
    }
    for ordered in ["sort(api_requests_total)", "sort_desc(api_temperature_celsius)", "topk(2, api_requests_total)"] {
        let asked = form(&[("query", ordered), ("time", &pair.exporter.at(30, 999))]);
        comparison.post("/api/v1/query", &asked, PLAIN);
    }
    // Parameters may come in the URL, in the form, or half and half; times in both notations.
    let asked = |time: &str| form(&[("query", "api_requests_total"), ("time", time)]);
    let time = pair.exporter.at(20, 1_000);
    comparison.post("/api/v1/query", &asked(&time), ANY_ORDER);
    comparison.post(&format!("/api/v1/query?{}", form(&[("time", &time)])), "query=api_odd", ANY_ORDER);
    comparison.post(&format!("/api/v1/query?{}", asked(&time)), "query=api_gone", ANY_ORDER);
    comparison.post(&format!("/api/v1/query?{}", asked(&time)), "query=", ANY_ORDER);
    comparison.get(&format!("/api/v1/query?{}", asked("2023-11-14T22:13:20.5Z")), ANY_ORDER);
    comparison.get("/api/v1/query?query=1&time=1700000000.5", PLAIN);
    comparison.get("/api/v1/query?query=1&time=-0.25", PLAIN);
    comparison.get("/api/v1/query?query=1&time=1.7e9", PLAIN);
    comparison.get("/api/v1/query?query=1&time=1&timeout=10s", PLAIN);
    comparison.get("/api/v1/query?query=1&time=1&timeout=2.5", PLAIN);
}

fn range(pair: &Pair, comparison: &mut Comparison<'_>) {
    let (start, end) = (pair.exporter.at(3, 1_000), pair.exporter.at(36, 0));
    for expression in EXPRESSIONS {
        for step in ["30s", "7.5"] {
            let asked = form(&[("query", expression), ("start", &start), ("end", &end), ("step", step)]);
            comparison.get(&format!("/api/v1/query_range?{asked}"), PLAIN);
        }
    }
    let asked = form(&[("query", "api_requests_total"), ("start", &start), ("end", &end), ("step", "1m")]);
    comparison.post("/api/v1/query_range", &asked, PLAIN);
    comparison.get(&format!("/api/v1/query_range?query=api_odd&start={start}&end={start}&step=1"), PLAIN);
    comparison.get("/api/v1/query_range?query=1&start=0&end=11000&step=1", PLAIN);
}

fn series(pair: &Pair, comparison: &mut Comparison<'_>) {
    let window = [("start", pair.exporter.at(0, 0)), ("end", pair.exporter.at(STEPS, 0))];
    let asked = |matches: &[&str]| {
        let mut pairs: Vec<(&str, &str)> = window.iter().map(|(n, v)| (*n, v.as_str())).collect();
        pairs.extend(matches.iter().map(|m| ("match[]", *m)));
        form(&pairs)
    };
    let sets: &[&[&str]] = &[
        &["api_requests_total"],
        &["api_requests_total", "api_odd"],
        &["api_requests_total", "{code=\"200\"}"],
        &["{__name__=~\"api_.*\"}"],
        &["api_requests_total{code!=\"200\"}"],
        &["api_requests_total{nothing=\"\"}"],
        &["api_missing"],
    ];
    for matches in sets {
        let query = asked(matches);
        comparison.get(&format!("/api/v1/series?{query}"), ANY_ORDER);
        comparison.post("/api/v1/series", &query, ANY_ORDER);
        comparison.get(&format!("/api/v1/labels?{query}"), PLAIN);
        comparison.post("/api/v1/labels", &query, PLAIN);
        for name in ["code", "__name__", "room", "job", "nothing"] {
            comparison.get(&format!("/api/v1/label/{name}/values?{query}"), PLAIN);
        }
    }
    // Without bounds; without selectors, for names that no own series of either has.
    comparison.get("/api/v1/series?match[]=api_odd", ANY_ORDER);
    comparison.get("/api/v1/labels?match[]=api_odd", PLAIN);
    for name in ["code", "room", "kind", "le", "quantile", "rack", "job", "site"] {
        comparison.get(&format!("/api/v1/label/{name}/values"), PLAIN);
        // With bounds but without a selector Prometheus takes all that the block has, the collector what has samples
        // there: these labels are the exporter's alone.
        if !["job", "room"].contains(&name) {
            comparison.get(&format!("/api/v1/label/{name}/values?{}", asked(&[])), PLAIN);
        }
    }
    comparison.get(&format!("/api/v1/labels?{}", asked(&["{job=\"synthetic\",__name__=~\"api_.*\"}"])), PLAIN);
    // Long ago there was nothing.
    for path in ["series?match[]=api_odd&", "labels?match[]=api_odd&", "label/code/values?"] {
        comparison.get(&format!("/api/v1/{path}start=1000&end=2000"), PLAIN);
    }
}

fn targets(comparison: &mut Comparison<'_>) {
    let shape = Rules {
        masked: &["lastScrape", "lastScrapeDuration", "lastError"],
        // Both came with later versions of Prometheus.
        ours_alone: &["droppedTargetCounts", "scrapePool"],
        ..PLAIN
    };
    for query in ["", "?state=any", "?state=active", "?state=dropped", "?state=Active"] {
        comparison.get(&format!("/api/v1/targets{query}"), shape);
    }
    for query in [
        "?metric=api_requests_total",
        "?metric=api_odd&match_target={job=\"synthetic\"}",
        "?match_target={job=\"synthetic\"}",
        "?match_target={job=\"dead\"}",
        "?match_target={job=\"nobody\"}",
        "?metric=api_missing",
        "?match_target={job=\"synthetic\"}&limit=2000",
    ] {
        comparison.get(&format!("/api/v1/targets/metadata{query}"), ANY_ORDER);
    }
    for query in ["", "?metric=api_latency_seconds", "?metric=api_missing", "?limit=1000", "?limit_per_metric=1"] {
        comparison.get(&format!("/api/v1/metadata{query}"), PLAIN);
    }
    comparison.get("/api/v1/alertmanagers", PLAIN);
}

fn rules(comparison: &mut Comparison<'_>) {
    let shape = Rules { masked: &["evaluationTime", "lastEvaluation", "activeAt", "lastError", "file"], ..PLAIN };
    comparison.get("/api/v1/rules", shape);
    for query in ["?type=alert", "?type=record", "?type=Alert"] {
        comparison.get(&format!("/api/v1/rules{query}"), Rules { without_empty_groups: true, ..shape });
    }
    comparison.get("/api/v1/alerts", Rules { unordered: true, ..shape });
}

fn status(comparison: &mut Comparison<'_>) {
    comparison.get(
        "/api/v1/status/buildinfo",
        Rules {
            masked: &["version", "revision", "branch", "buildUser", "buildDate", "goVersion"],
            ours_alone: &["application", "applicationVersion"],
            ..PLAIN
        },
    );
    comparison.get(
        "/api/v1/status/runtimeinfo",
        Rules {
            masked: &[
                "startTime",
                "CWD",
                "lastConfigTime",
                "goroutineCount",
                "GOMAXPROCS",
                "GOMEMLIMIT",
                "GOGC",
                "GODEBUG",
                "storageRetention",
            ],
            ours_alone: &["hostname", "serverTime", "timeSeriesCount", "GOMEMLIMIT"],
            // Damage is counted by its kind, in /metrics.
            theirs_alone: &["corruptionCount"],
            ..PLAIN
        },
    );
    let lists = [
        "headStats",
        "seriesCountByMetricName",
        "labelValueCountByLabelName",
        "memoryInBytesByLabelName",
        "seriesCountByLabelValuePair",
    ];
    comparison.get("/api/v1/status/tsdb", Rules { masked: &lists, ..PLAIN });
    comparison.get("/api/v1/status/config", Rules { masked: &["yaml"], ..PLAIN });
    // `state` came with a later version of Prometheus.
    let replay = Rules { masked: &["min", "max", "current"], ours_alone: &["state"], ..PLAIN };
    comparison.get("/api/v1/status/walreplay", replay);
    comparison.get("/api/v1/query_exemplars?query=api_odd&start=1&end=2", PLAIN);
}

fn errors(pair: &Pair, comparison: &mut Comparison<'_>) {
    let many =
        form(&[("query", "api_requests_total * on (code) api_requests_total"), ("time", &pair.exporter.at(9, 1))]);
    for path in [
        "query",
        "query?query=",
        "query?query=sum(",
        "query?query=nosuch(1)",
        "query?query=1&time=yesterday",
        "query?query=1&timeout=soon",
        "query?query=rate(api_odd)",
        &format!("query?{many}"),
        "query_range",
        "query_range?query=1",
        "query_range?query=1&start=1&end=2",
        "query_range?query=1&start=a&end=2&step=1",
        "query_range?query=1&start=1&end=b&step=1",
        "query_range?query=1&start=3&end=2&step=1",
        "query_range?query=1&start=1&end=2&step=0",
        "query_range?query=1&start=1&end=2&step=-1",
        "query_range?query=1&start=1&end=2&step=x",
        "query_range?query=1&start=0&end=11001&step=1",
        "query_range?query=api_odd[1m]&start=1&end=2&step=1",
        "query_range?query=\"text\"&start=1&end=2&step=1",
        "query_range?query=sum(&start=1&end=2&step=1",
        "series",
        "series?match[]=",
        "series?match[]={}",
        "series?match[]={a=\"\"}",
        "series?match[]={a=~\"(\"}",
        "series?match[]=rate(api_odd[1m])",
        "series?match[]=api_odd&start=never",
        "labels?match[]={}",
        "labels?start=never",
        "labels?end=never",
        "label/code/values?match[]={}",
        "label/code/values?start=never",
        "targets/metadata?match_target=}",
        "targets/metadata?limit=x",
        "metadata?limit=x",
        "rules?type=nonsense",
        "query_exemplars?query=sum(&start=1&end=2",
        "query_exemplars",
    ] {
        comparison.get(&format!("/api/v1/{path}"), PLAIN);
    }
}
