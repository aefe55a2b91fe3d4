//! The sub-commands beside promtool, on the same files: same exit code, same output where the two say the same
//! thing, same kind of lines where each has words of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OURS: &str = env!("CARGO_BIN_EXE_atalaia-collector");

/// What a program answered.
#[derive(Debug, PartialEq)]
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(program: &str, folder: &Path, args: &[&str], input: &str) -> Answer {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}; `make setup` installs what tests need"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Answer {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn both(folder: &Path, args: &[&str], input: &str) -> (Answer, Answer) {
    (run("promtool", folder, args, input), run(OURS, folder, args, input))
}

/// Both answer the same, to the letter.
#[track_caller]
fn same(folder: &Path, args: &[&str], input: &str) -> Answer {
    let (theirs, ours) = both(folder, args, input);
    assert_eq!(ours, theirs, "{args:?} (left: ours, right: promtool's)");
    ours
}

/// Both end with the same code and print the same to standard output; standard error begins with the same line and
/// ours says `reason`.
#[track_caller]
fn alike(folder: &Path, args: &[&str], reason: &str) {
    let (theirs, ours) = both(folder, args, "");
    assert_eq!((ours.code, &ours.out), (theirs.code, &theirs.out), "{args:?}: {}{}", ours.err, theirs.err);
    assert_eq!(ours.err.lines().next(), theirs.err.lines().next(), "{args:?}: {ours:?}");
    assert!(ours.err.contains(reason), "{args:?}: {}", ours.err);
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn rules_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules")
}

const RULE_FILES: [&str; 2] = ["vms.rules.yml", "containers.rules.yml"];
const TEST_FILES: [&str; 2] = ["tests/vms.test.yml", "tests/containers.test.yml"];

#[test]
fn the_rules_of_this_house_pass_both() {
    let check = same(&rules_folder(), &["check", "rules", RULE_FILES[0], RULE_FILES[1]], "");
    assert_eq!(check.code, Some(0));
    let test = same(&rules_folder(), &["test", "rules", TEST_FILES[0], TEST_FILES[1]], "");
    assert_eq!(test.code, Some(0));
}

/// A rule that is changed is noticed by its tests, by both programs and in the same words.
#[test]
fn the_tests_of_the_rules_notice_every_changed_rule() {
    let changes = [
        (0, "mode=\"idle\"", "mode=\"user\""),
        (0, "- node_memory_Cached_bytes", ""),
        (0, "irate(node_network_receive", "idelta(node_network_receive"),
        (0, "node_network_transmit", "node_network_receive"),
        (1, "container_cpu_usage_seconds_total", "container_cpu_load_average_10s"),
        (1, "(container_cpu_load_average_10s", "(container_memory_usage_bytes"),
        (1, "(container_memory_usage_bytes{name!=\"\"})", "(container_memory_usage_bytes)"),
        (1, "by (job, instance, id, name, image) (container_memory", "by (job, id, name, image) (container_memory"),
        (1, "(rate(container_network_receive", "(deriv(container_network_transmit"),
        (1, "rate(container_network_transmit", "-rate(container_network_transmit"),
    ];
    for (file, from, to) in changes {
        let text = std::fs::read_to_string(rules_folder().join(RULE_FILES[file])).unwrap();
        assert!(text.contains(from), "{from}");
        let test = std::fs::read_to_string(rules_folder().join(TEST_FILES[file])).unwrap();
        let test = test.replace("../", "");
        let folder = folder(&[(RULE_FILES[file], &text.replace(from, to)), ("t.yml", &test)]);
        let answer = same(folder.path(), &["test", "rules", "t.yml"], "");
        assert_eq!(answer.code, Some(1), "{from} -> {to}");
    }
}

const RULES: &str = r#"
groups:
- name: first
  rules:
  - record: sum:m
    expr: sum(m) by (x)
  - record: twice
    expr: 2 * sum:m
    labels: {y: z}
  - alert: High
    expr: m > 1
    for: 2m
    labels: {severity: page}
    annotations:
      summary: '{{ $labels.x }} is at {{ $value }} of {{ $externalLabels.monitor }}'
  - alert: Kept
    expr: m > 1 < 4
    keep_firing_for: 3m
- name: second
  interval: 5m
  rules:
  - record: thrice
    expr: sum:m + ignoring(y) twice
"#;

const SERIES: &str = r#"
  input_series:
  - series: 'm{x="1"}'
    values: '0+1x10'
  - series: 'm{x="2"}'
    values: '_ 3x3 stale'
"#;

fn tests(head: &str, cases: &str) -> String {
    format!("rule_files: [r*.yml]\n{head}\ntests:\n- interval: 1m\n  name: a case\n{SERIES}{cases}")
}

#[track_caller]
fn test_rules(head: &str, cases: &str, code: i32) {
    let folder = folder(&[("rules.yml", RULES), ("t.yml", &tests(head, cases))]);
    let answer = same(folder.path(), &["test", "rules", "t.yml"], "");
    assert_eq!(answer.code, Some(code), "{answer:?}");
}

#[test]
fn expressions_that_hold() {
    test_rules(
        // Without an order promtool takes the groups as they come out of a hash map.
        "evaluation_interval: 1m\ngroup_eval_order: [first, second]",
        r#"
  promql_expr_test:
  - {expr: 'sum:m', eval_time: 3m, exp_samples: [{labels: 'sum:m{x="1"}', value: 3}, {labels: 'sum:m{x="2"}', value: 3}]}
  - {expr: 'twice', eval_time: 6m, exp_samples: [{labels: 'twice{x="1", y="z"}', value: 12}]}
  - {expr: 'thrice', eval_time: 2m, exp_samples: [{labels: 'thrice{x="1"}', value: 6}, {labels: 'thrice{x="2"}', value: 9}]}
  - {expr: 'nothing', eval_time: 2m}
  - {expr: 'scalar(m{x="1"}) * 1e10', eval_time: 90s, exp_samples: [{value: 1e10}]}
  - {expr: 'count_over_time(m{x="1"}[3m:1m] offset 1s)', eval_time: 5m, exp_samples: [{labels: '{x="1"}', value: 3}]}
"#,
        0,
    );
}

#[test]
fn expressions_that_fail_name_expr_time_exp_and_got() {
    test_rules(
        "evaluation_interval: 1m",
        r#"
  promql_expr_test:
  - {expr: 'sum:m', eval_time: 3m, exp_samples: [{labels: 'sum:m{x="2"}', value: 3.5}, {labels: 'sum:m{x="1"}', value: 3}]}
  - {expr: 'sum:m', eval_time: 90s}
  - {expr: 'nothing', eval_time: 1h30m, exp_samples: [{labels: '{}', value: -1e-9}]}
  - {expr: 'm * 1e20', eval_time: 1m30s, exp_samples: [{labels: 'm', value: 0}]}
  - {expr: 'm{x="1"} / 0 * 0', eval_time: 1m, exp_samples: [{labels: '{x="1"}', value: 1}]}
  - {expr: 'm{x="1"} / 0', eval_time: 1m, exp_samples: [{labels: '{x="1"}', value: 1}]}
"#,
        1,
    );
}

#[test]
fn alerts_that_hold() {
    test_rules(
        "",
        r#"
  external_labels: {monitor: m1}
  alert_rule_test:
  - {eval_time: 2m, alertname: High}
  - {eval_time: 3m, alertname: High, exp_alerts: [{exp_labels: {severity: page, x: "2"}, exp_annotations: {summary: '2 is at 3 of m1'}}]}
  - eval_time: 4m
    alertname: High
    exp_alerts:
    - {exp_labels: {severity: page, x: "1"}, exp_annotations: {summary: '1 is at 4 of m1'}}
    - {exp_labels: {severity: page, x: "2"}, exp_annotations: {summary: '2 is at 3 of m1'}}
  - {eval_time: 6m, alertname: Kept, exp_alerts: [{exp_labels: {x: "1"}}, {exp_labels: {x: "2"}}]}
  - {eval_time: 7m, alertname: Kept, exp_alerts: [{exp_labels: {x: "2"}}]}
  - {eval_time: 8m, alertname: Kept}
  - {eval_time: 7m, alertname: Unknown}
"#,
        0,
    );
}

#[test]
fn alerts_that_fail_show_both_lists() {
    test_rules(
        "group_eval_order: [first, second]",
        r#"
  alert_rule_test:
  - {eval_time: 4m30s, alertname: High, exp_alerts: [{exp_labels: {x: "9"}, exp_annotations: {a: "b \"c\""}}]}
  - {eval_time: 0m, alertname: High, exp_alerts: [{exp_labels: {x: "9"}}, {exp_labels: {x: "8"}}]}
  - {eval_time: 2m, alertname: Kept}
  promql_expr_test:
  - {expr: 'ALERTS', eval_time: 3m}
"#,
        1,
    );
}

/// Every template's expansion, by way of an expectation that fails.
#[test]
fn templates_expand_alike() {
    let texts = [
        "{{ $value }}",
        "{{ $value | humanize }}",
        "{{ humanize1024 $value }}",
        "{{ $value | humanizePercentage }}",
        "{{ humanizeDuration $value }}",
        r#"{{ printf "%.2f|%8.1f|%-8.1f|%08.1f|%+.0f|%e|%g|%v|%d" $value $value $value $value $value $value $value $value $value }}"#,
        r#"{{ printf "%s %q %5s %-5s| %d %v %.1s" $labels.x $labels.x $labels.x $labels.x 7 7 "long" }}"#,
        r#"a {{- " b " -}} c {{/* no */}}{{ .Labels.x }}{{ .Value }}{{ $labels.none }}"#,
        r#"{{ title "two words" }}{{ toUpper "up" }}{{ "DOWN" | toLower }}{{ stripPort "a:1" }}{{ stripPort "[::1]:1" }}"#,
        "{{ $labels }} {{ $externalLabels }}",
        r#"{{ print $value "x" | printf "<%s>" }}"#,
    ];
    let values = [
        "0",
        "1",
        "-1",
        "0.5",
        "12.345678",
        "999.99",
        "1000",
        "12345",
        "999999",
        "1000000",
        "1048576",
        "123456789",
        "1.5e9",
        "90061",
        "3661.9",
        "59.99",
        "0.000123",
        "-0.000001234",
        "1e18",
        "1e-7",
        "NaN",
        "+Inf",
        "-Inf",
    ];
    for (number, text) in texts.iter().enumerate() {
        let rule = format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: m == m or (m != m)\n    annotations:\n      text: '{}'\n",
            text.replace('\'', "''")
        );
        let mut test = "rule_files: [r.yml]\ntests:\n".to_owned();
        for value in values {
            test.push_str(&format!(
                "- interval: 1m\n  external_labels: {{monitor: m1}}\n  input_series: [{{series: 'm{{x=\"host\"}}', values: '{value}'}}]\n  alert_rule_test: [{{eval_time: 0m, alertname: A}}]\n"
            ));
        }
        let folder = folder(&[("r.yml", &rule), ("t.yml", &test)]);
        let answer = same(folder.path(), &["test", "rules", "t.yml"], "");
        assert_eq!(answer.err.matches("Annotations:{text=").count(), values.len(), "{number}: {answer:?}");
    }
}

#[test]
fn test_files_that_cannot_be_run() {
    let bad = |text: &str, reason: &str| {
        let folder = folder(&[("r.yml", RULES), ("t.yml", text), ("many.yml", MANY)]);
        alike(folder.path(), &["test", "rules", "t.yml"], reason);
    };
    const MANY: &str = "groups: [{name: g, rules: [{record: a, expr: m * on() m}]}]";
    bad("rule_files: [r.yml]\nfoo: 1\n", "unknown field `foo`");
    bad("rule_files: [t.yml]\ntests: [{}]\n", "unknown field `rule_files`");
    bad(
        "rule_files: [r.yml]\ntests: [{input_series: [{series: 'm{x=\"1', values: '1'}]}]\n",
        "unterminated quoted string",
    );
    bad(
        "rule_files: [r.yml]\ntests: [{promql_expr_test: [{expr: 'sum(', eval_time: 1m}]}]\n",
        "expr: \"sum(\", time: 1m, err: ",
    );
    bad(
        "rule_files: [many.yml]\ntests: [{input_series: [{series: 'm{x=\"1\"}', values: 1}, {series: 'm{x=\"2\"}', values: 1}], promql_expr_test: [{expr: a, eval_time: 0m}]}]\n",
        "rule: a, time: 0s, err: ",
    );
    bad("rule_files: [r.yml]\ngroup_eval_order: [first, first]\n", "group name repeated in evaluation order: first");
    bad("rule_files: [r.yml, none*.yml]\ntests: [{}]\n", "WARNING: no file match pattern none*.yml");
    let empty = folder(&[]);
    let (theirs, ours) = both(empty.path(), &["test", "rules", "absent.yml"], "");
    assert_eq!((ours.code, theirs.code), (Some(1), Some(1)));
    assert!(ours.err.contains("path 'absent.yml' does not exist"), "{ours:?}");
}

/// What only newer promtools have.
#[test]
fn newer_keys_of_test_files() {
    let test = |fuzzy: bool, start: &str, value: &str| {
        let text = format!(
            "rule_files: []\nfuzzy_compare: {fuzzy}\ntests:\n- start_timestamp: {start}\n  input_series: [{{series: m, values: '0.1'}}]\n  promql_expr_test:\n  - {{expr: 'm + 0.2', eval_time: 0m, exp_samples: [{{value: {value}}}]}}\n  - {{expr: 'timestamp(m)', eval_time: 0m, exp_samples: [{{value: 1735689600}}]}}\n"
        );
        run(OURS, folder(&[("t.yml", &text)]).path(), &["test", "rules", "/dev/stdin"], &text).code
    };
    assert_eq!(test(true, "1735689600", "0.3"), Some(0));
    assert_eq!(test(true, "2025-01-01T00:00:00Z", "0.3"), Some(0));
    assert_eq!(test(false, "1735689600", "0.3"), Some(1));
    assert_eq!(test(true, "0", "0.3"), Some(1));
    assert_eq!(test(true, "1735689600", "0.30001"), Some(1));
}

#[test]
fn rule_files_good_and_bad() {
    let twins = "groups:\n- name: g\n  rules:\n  - {record: a, expr: m, labels: {x: y}}\n  - {record: a, expr: n, labels: {x: y}}\n  - {record: a, expr: n}\n";
    let folder = folder(&[("good.yml", RULES), ("empty.yml", ""), ("twins.yml", twins)]);
    same(folder.path(), &["check", "rules", "good.yml", "empty.yml"], "");
    assert_eq!(same(folder.path(), &["check", "rules", "twins.yml", "good.yml"], "").code, Some(0));
    assert_eq!(same(folder.path(), &["check", "rules", "--lint-fatal", "twins.yml"], "").code, Some(3));
    assert_eq!(same(folder.path(), &["check", "rules", "--lint=none", "twins.yml"], "").code, Some(0));
    let bad = [
        ("foo: 1", "bad.yml:1: unknown field `foo`"),
        ("groups: [{name: g, rules: [{record: a, expr: 'sum(m'}]}]", "could not parse expression"),
        ("groups: [{name: g, rules: [{record: a b, expr: m}]}]", "invalid recording rule name"),
        ("groups: [{name: g}, {name: g}]", "is repeated in the same file"),
        ("groups: [{name: g, rules: [{record: a, alert: b, expr: m}]}]", "only one of 'record' and 'alert'"),
        ("groups: [{name: g, rules: [{expr: m}]}]", "one of 'record' or 'alert' must be set"),
        ("groups: [{name: g, rules: [{record: a}]}]", "field 'expr' must be set"),
        ("groups: [{name: g, rules: [{record: a, expr: m, for: 1m}]}]", "invalid field 'for'"),
        ("groups: [{name: g, rules: [{alert: a, expr: m, for: soon}]}]", "not a valid duration"),
        ("groups: [{name: g, rules: [{alert: a, expr: m, labels: {a-b: c}}]}]", "invalid label"),
        ("groups: [{name: g, rules: [{alert: a, expr: m, annotations: {a: '{{ $x'}}]}]", "unclosed action"),
        ("groups: [", ""),
    ];
    for (text, reason) in bad {
        std::fs::write(folder.path().join("bad.yml"), text).unwrap();
        alike(folder.path(), &["check", "rules", "bad.yml", "good.yml"], reason);
    }
}

#[test]
fn configuration_files_good_and_bad() {
    let config = "global: {scrape_interval: 15s, external_labels: {monitor: a}}\nrule_files: [rules.yml]\nscrape_configs: [{job_name: a, static_configs: [{targets: ['localhost:1']}]}]\n";
    let folder = folder(&[("good.yml", config), ("rules.yml", RULES)]);
    assert_eq!(same(folder.path(), &["check", "config", "good.yml"], "").code, Some(0));
    let bad = [
        (config.replace("job_name", "jobname"), "bad.yml:3"),
        (config.replace("15s", "often"), "bad.yml:1"),
        (config.replace("[{job_name", "[{job_name: a}, {job_name"), "job"),
    ];
    for (text, reason) in bad {
        std::fs::write(folder.path().join("bad.yml"), text).unwrap();
        let (theirs, ours) = both(folder.path(), &["check", "config", "bad.yml"], "");
        assert_eq!((ours.code, &ours.out), (theirs.code, &theirs.out), "{ours:?}");
        assert!(ours.err.starts_with("  FAILED: ") && ours.err.contains(reason), "{ours:?}");
    }
}

#[test]
fn metrics_pages_good_and_bad() {
    let here = Path::new(".");
    let words = [
        "kilobytes",
        "bits",
        "minutes",
        "fahrenheit",
        "millimeters",
        "kilojoules",
        "milligrams",
        "weeks",
        "seconds",
        "kelvin",
        "celsius",
        "percent",
        "ms",
        "sec",
        "mb",
        "s",
        "gauge",
        "histogram",
        "counter",
        "summary",
        "count",
        "sum",
        "bucket",
        "total",
        "total_seconds",
        "bytes_total",
        "info",
    ];
    for kind in ["gauge", "counter", "untyped"] {
        let page: String = words
            .iter()
            .map(|word| format!("# HELP x_{word} x\n# TYPE x_{word} {kind}\nx_{word}{{le=\"1\"}} 1\n"))
            .collect();
        assert_eq!(same(here, &["check", "metrics"], &page).code, Some(3));
    }
    let page = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n# HELP s x\n# TYPE s summary\ns{quantile=\"1\"} 1\ns_sum 1\ns_count 1\na:b 1\nfooBar{someLabel=\"1\"} 1\n";
    assert_eq!(same(here, &["check", "metrics"], page).code, Some(3));
    assert_eq!(
        same(here, &["check", "metrics"], "# HELP a_total x\n# TYPE a_total counter\na_total 1\n").code,
        Some(0)
    );
    assert_eq!(same(here, &["check", "metrics"], "").code, Some(0));
    let (theirs, ours) = both(here, &["check", "metrics"], "a b c\n");
    assert_eq!((ours.code, theirs.code), (Some(1), Some(1)));
    assert!(ours.err.starts_with("error while linting: text format parsing error in line 1: "), "{ours:?}");
}

/// Serves the same answers over and over, by path, until the test ends.
fn serve(answers: &'static [(&'static str, u16, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut request, mut length) = (String::new(), 0);
            stream.read_line(&mut request).unwrap();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            let path = request.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
            let found = answers.iter().find(|(suffix, ..)| path == format!("/api/v1/{suffix}"));
            let (code, body) = found.map_or((404, "not found"), |(_, code, body)| (*code, *body));
            let head = format!(
                "HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn queries_print_alike() {
    let url = serve(&[
        (
            "query",
            200,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a \"b\""},"value":[1435781451.781,"1"]},{"metric":{"x":"y"},"value":[1435781451,"NaN"]},{"metric":{},"value":[0,"+Inf"]},{"metric":{"__name__":"bare"},"value":[1435781451,"1e-07"]}]}}"#,
        ),
        (
            "query_range",
            200,
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[1435781430.781,"1"],[1435781445.781,"0.5"]]},{"metric":{"__name__":"up","job":"b"},"values":[[1435781430,"1"]]}]}}"#,
        ),
        ("series", 200, r#"{"status":"success","data":[{"__name__":"up","job":"b"},{"__name__":"up","job":"a"}]}"#),
        ("label/job/values", 200, r#"{"status":"success","data":["a","b c"]}"#),
        ("label/none/values", 200, r#"{"status":"success","data":[]}"#),
        ("label/bad/values", 422, r#"{"status":"error","errorType":"execution","error":"too much"}"#),
    ]);
    let ask = |args: &[&str]| same(Path::new("."), args, "");
    assert_eq!(ask(&["query", "instant", &url, "up"]).code, Some(0));
    assert_eq!(ask(&["query", "instant", "--time=1435781451.781", &url, "up"]).out.lines().count(), 4);
    assert_eq!(
        ask(&["query", "range", "--start=1435781430", "--end=1435781460", "--step=15s", &url, "up"]).code,
        Some(0)
    );
    assert_eq!(ask(&["query", "series", "--match=up", &url]).code, Some(0));
    assert_eq!(ask(&["query", "labels", &url, "job"]).code, Some(0));
    assert_eq!(ask(&["query", "labels", &url, "none"]).code, Some(0));
    assert_eq!(ask(&["query", "labels", &url, "bad"]).code, Some(1));
    assert_eq!(ask(&["query", "range", "--start=2", "--end=1", &url, "up"]).code, Some(1));
    let (theirs, ours) = both(Path::new("."), &["query", "instant", "-o", "json", &url, "up"], "");
    let json = |answer: &Answer| serde_json::from_str::<serde_json::Value>(&answer.out).unwrap();
    assert_eq!(json(&ours)[0], json(&theirs)[0]);
    assert_eq!(ours.code, theirs.code);
}

/// A server may answer anything.
#[test]
fn odd_answers_are_no_panic() {
    for body in [
        r#"{"status":"success","data":"text"}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[7]}}"#,
        r#"{"status":"success","data":{"resultType":"matrix","result":{}}}"#,
        r#"{"status":"success"}"#,
        "[]",
        "",
    ] {
        let url = serve(vec![("query", 200, body), ("query_range", 200, body), ("series", 200, body)].leak());
        for args in [
            &["query", "instant", &url, "up"][..],
            &["query", "instant", "-o", "json", &url, "up"],
            &["query", "range", "-o", "json", &url, "up"],
            &["query", "series", "--match=up", &url],
        ] {
            let answer = run(OURS, Path::new("."), args, "");
            assert!(matches!(answer.code, Some(0 | 1)), "{body}: {answer:?}");
        }
    }
}

#[test]
fn scalars_and_strings_print_alike() {
    let scalar = serve(&[(
        "query",
        200,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"2.5"]}}"#,
    )]);
    same(Path::new("."), &["query", "instant", &scalar, "2.5"], "");
    let large = serve(&[(
        "query",
        200,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1435781451,"-1.5e+21"]}}"#,
    )]);
    same(Path::new("."), &["query", "instant", &large, "large"], "");
    let empty = serve(&[("query", 200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#)]);
    same(Path::new("."), &["query", "instant", &empty, "none"], "");
    let bad = serve(&[("query", 400, r#"{"status":"error","errorType":"bad_data","error":"1:1: parse error: no"}"#)]);
    assert_eq!(same(Path::new("."), &["query", "instant", &bad, "("], "").code, Some(1));
    // This promtool cannot read a string.
    let string = serve(&[(
        "query",
        200,
        r#"{"status":"success","data":{"resultType":"string","result":[1435781451.781,"text"]}}"#,
    )]);
    assert_eq!(run(OURS, Path::new("."), &["query", "instant", &string, "'text'"], "").out, "text\n");
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (theirs, ours) = both(Path::new("."), &["query", "instant", &url, "up"], "");
    assert_eq!((ours.code, theirs.code), (Some(1), Some(1)));
    assert!(ours.err.starts_with("query error: ") && ours.err.contains("refused"), "{ours:?}");
}
