//! `/-/…`: health, readiness, reload and quit.

use crate::http::{get, post_form, send};
use crate::support::collector;

const EMPTY: &str = "global: { scrape_interval: 15s }";

#[test]
fn health_and_readiness_answer_get_and_head() {
    let collector = collector(EMPTY, &[]);
    for (path, wanted) in
        [("/-/healthy", "Atalaia collector is Healthy.\n"), ("/-/ready", "Atalaia collector is Ready.\n")]
    {
        let answer = get(&collector.address, path);
        assert_eq!((answer.status, answer.text()), (200, wanted));
        let head = send("HEAD", &collector.address, path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "HEAD {path}");
        assert_eq!(head.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[test]
fn reload_and_quit_are_forbidden_without_the_flag() {
    let mut collector = collector(EMPTY, &[]);
    for path in ["/-/reload", "/-/quit"] {
        for method in ["POST", "PUT"] {
            let answer = send(method, &collector.address, path, &[], b"");
            assert_eq!(answer.status, 403, "{method} {path}");
            assert!(answer.text().contains("--web.enable-lifecycle"), "{answer:?}");
        }
        assert_eq!(get(&collector.address, path).status, 405);
    }
    assert_eq!(get(&collector.address, "/-/healthy").status, 200, "it still runs");
    assert!(collector.process().terminate().success());
}

#[test]
fn reload_puts_a_new_file_in_force_and_refuses_a_bad_one() {
    let collector = collector(EMPTY, &["--web.enable-lifecycle"]);
    let file = collector.folder().join("prometheus.yml");
    let shown = || get(&collector.address, "/api/v1/status/config").json()["data"]["yaml"].to_string();
    for (method, interval) in [("POST", "16s"), ("PUT", "17s")] {
        std::fs::write(&file, format!("global: {{ scrape_interval: {interval} }}")).unwrap();
        let answer = send(method, &collector.address, "/-/reload", &[], b"");
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{answer:?}");
        assert!(shown().contains(interval), "{}", shown());
    }
    std::fs::write(&file, "global: { scrape_interval: never }").unwrap();
    let answer = post_form(&collector.address, "/-/reload", "");
    assert_eq!(answer.status, 500);
    assert!(answer.text().starts_with("failed to reload config: ") && answer.text().contains("never"), "{answer:?}");
    assert!(shown().contains("17s"), "the old one stays: {}", shown());
    let runtime = get(&collector.address, "/api/v1/status/runtimeinfo").json();
    assert_eq!(runtime["data"]["reloadConfigSuccess"], false);
}

#[test]
fn quit_ends_the_process_in_order() {
    for method in ["POST", "PUT"] {
        let mut collector = collector(EMPTY, &["--web.enable-lifecycle"]);
        assert_eq!(get(&collector.address, "/-/quit").status, 405);
        let answer = send(method, &collector.address, "/-/quit", &[], b"");
        assert_eq!((answer.status, answer.text()), (200, "Requesting termination... Goodbye!\n"));
        assert_eq!(collector.process().await_exit().code(), Some(0), "{method}");
        assert!(collector.process().log().contains("msg=\"stopped\""), "{}", collector.process().log());
    }
}

#[test]
fn unknown_paths_are_not_found() {
    let collector = collector(EMPTY, &[]);
    // Prometheus answers in plain text; an envelope is easier on a client.
    let answer = get(&collector.address, "/api/v1/nonsense");
    assert_eq!((answer.status, answer.json()["errorType"].as_str()), (404, Some("not_found")));
    assert_eq!(get(&collector.address, "/nonsense").status, 404);
    assert_eq!(post_form(&collector.address, "/api/v1/targets", "").status, 405);
    assert_eq!(send("DELETE", &collector.address, "/api/v1/query", &[], b"").status, 405);
}

#[test]
fn limits_cut_and_say_so() {
    let collector = collector(EMPTY, &["--web.enable-remote-write-receiver"]);
    let now = crate::write::store_one_of_each(&collector.address, "limited", &["a", "b", "c"]);
    let warning = serde_json::json!(["results truncated due to limit"]);
    for (path, list) in [
        (format!("query?query=limited&time={now}&").as_str(), "/data/result"),
        (&format!("query_range?query=limited&start={now}&end={now}&step=1&"), "/data/result"),
        ("series?match[]=limited&", "/data"),
        ("labels?match[]=limited&", "/data"),
        ("label/which/values?", "/data"),
    ] {
        let ask = |limit: &str| get(&collector.address, &format!("/api/v1/{path}limit={limit}"));
        let count = |answer: &serde_json::Value| answer.pointer(list).unwrap().as_array().unwrap().len();
        let all = ask("0").json();
        assert!(count(&all) >= 2 && all.get("warnings").is_none(), "{path}: {all}");
        let cut = ask("1").json();
        assert_eq!((count(&cut), &cut["warnings"]), (1, &warning), "{path}: {cut}");
        assert!(ask("100").json().get("warnings").is_none());
        for wrong in ["-1", "many", "1.5"] {
            assert_eq!(ask(wrong).status, 400, "{path} {wrong}");
        }
    }
}

#[test]
fn grafana_gets_what_it_needs() {
    let collector = collector(EMPTY, &[]);
    let build = get(&collector.address, "/api/v1/status/buildinfo").json();
    let version = build["data"]["version"].as_str().unwrap();
    assert!(version.split('.').count() == 3 && version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
    // The data source's health test, as Grafana sends it.
    let answer = post_form(&collector.address, "/api/v1/query", "query=1%2B1&time=1700000000.123");
    assert_eq!(answer.text(), r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.123,"2"]}}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    // Long expressions come as forms, far longer than an URL may be.
    let long = format!("query=absent(a%7Bb%3D~%22{}%22%7D)&time=1", "host-name%7C".repeat(20_000));
    assert_eq!(post_form(&collector.address, "/api/v1/query", &long).status, 200);
}
