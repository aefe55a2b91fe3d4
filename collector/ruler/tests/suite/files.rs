//! What a rule file may say.

use collector_model::PromDuration;
use collector_ruler::{Rule, RuleFile};

#[track_caller]
fn refuse(text: &str, want: &str) {
    let error = RuleFile::parse("dir/bad.yml", text).expect_err(text).to_string();
    assert_eq!(error, want, "{text}");
}

/// A file with one group and one rule of these lines, the first of which is the third line.
fn rule(lines: &str) -> String {
    let (first, rest) = lines.split_once('\n').unwrap_or((lines, ""));
    let rest: String = rest.lines().map(|line| format!("    {line}\n")).collect();
    format!("groups:\n- {{name: g, rules: [\n  {{{}}}]}}\n", format!("{first}\n{rest}").trim_end().replace('\n', ",\n"))
}

#[test]
fn a_file_is_read_whole() {
    let text = r#"
groups:
- name: one
  interval: 30s
  query_offset: 5s
  limit: 10
  labels: {team: infra}
  rules:
  - record: a:b
    expr: sum(m)
    labels: {x: "1", empty: ""}
  - alert: High
    expr: |
      m
        > 1
    for: 5m
    keep_firing_for: 1m
    labels: {severity: 1}
    annotations: {summary: "{{ $value | humanize }}"}
- name: two
  rules:
"#;
    let file = RuleFile::parse("a.yml", text).unwrap();
    assert_eq!((file.path.as_str(), file.groups.len(), file.rule_count()), ("a.yml", 2, 2));
    let one = &file.groups[0];
    assert_eq!(one.interval, Some(PromDuration::from_secs(30)));
    assert_eq!(one.query_offset, Some(PromDuration::from_secs(5)));
    assert_eq!((one.limit, one.labels.len()), (10, 1));
    let Rule::Alerting(alert) = &one.rules[1] else { panic!("{:?}", one.rules) };
    assert_eq!((alert.expr.as_str(), alert.hold), ("m\n  > 1\n", PromDuration::from_secs(300)));
    assert_eq!(one.rules[0].labels(), [("empty", ""), ("x", "1")]);
    assert_eq!(one.rules[1].labels(), [("severity", "1")]);
    assert_eq!(RuleFile::parse("e.yml", "").unwrap().groups, []);
    assert_eq!(RuleFile::parse("e.yml", "groups:\n").unwrap().groups, []);
}

#[test]
fn an_error_has_file_line_and_key() {
    refuse("foo: 1\n", "dir/bad.yml:1: unknown field `foo`, expected `groups`");
    refuse(
        "groups:\n- name: g\n  intervall: 1m\n",
        "dir/bad.yml:3: groups[0]: unknown field `intervall`, expected one of `name`, `interval`, `query_offset`, `limit`, `labels`, `rules`",
    );
    refuse("groups:\n- rules: []\n", "dir/bad.yml:2: groups[0]: missing field `name`");
    refuse(
        "groups:\n- name: g\n- name: h\n- name: g\n",
        "dir/bad.yml:4: groups[2]: group name \"g\" is repeated in the same file",
    );
    refuse("groups:\n- name: ''\n", "dir/bad.yml:2: groups[0]: group name must not be empty");
    refuse(
        "groups:\n- name: g\n  interval: 5 minutes\n",
        "dir/bad.yml:3: groups[0].interval: not a valid duration string: \"5 minutes\" (write it like 15s, 1m30s, 2h or 100ms)",
    );
    refuse(
        "groups:\n- name: g\n  rules:\n  - record: a\n    expr: m\n    oops: 1\n",
        "dir/bad.yml:6: groups[0].rules[0]: unknown field `oops`, expected one of `record`, `alert`, `expr`, `for`, `keep_firing_for`, `labels`, `annotations`",
    );
    let error = RuleFile::parse("x.yml", "groups: [\n").unwrap_err();
    assert!(error.line.is_some(), "{error}");
}

#[test]
fn a_rule_is_one_of_two_kinds() {
    let at = "dir/bad.yml:3: groups[0].rules[0]";
    refuse(&rule("expr: m"), &format!("{at}: one of 'record' or 'alert' must be set"));
    refuse(&rule("record: a\nalert: b\nexpr: m"), &format!("{at}: only one of 'record' and 'alert' must be set"));
    refuse(&rule("record: a"), &format!("{at}: field 'expr' must be set in rule"));
    refuse(&rule("record: a\nexpr: m\nfor: 1m"), &format!("{at}: invalid field 'for' in recording rule"));
    refuse(
        &rule("record: a\nexpr: m\nannotations: {a: b}"),
        &format!("{at}: invalid field 'annotations' in recording rule"),
    );
}

#[test]
fn names_expressions_and_templates_are_checked() {
    refuse(
        &rule("record: a b\nexpr: m"),
        "dir/bad.yml:3: groups[0].rules[0].record: invalid recording rule name: \"a b\"",
    );
    let error = |lines: &str| RuleFile::parse("b.yml", &rule(lines)).expect_err(lines).to_string();
    let labels = error("record: a\nexpr: m\nlabels: {a-b: c}");
    assert!(labels.ends_with("invalid label or annotation name: \"a-b\""), "{labels}");
    let twice = error("record: a\nexpr: m\nlabels: {a: b, a: c}");
    assert!(twice.ends_with("\"a\" is set twice"), "{twice}");
    let reserved = error("record: a\nexpr: m\nlabels: {__name__: c}");
    assert!(reserved.ends_with("invalid label or annotation name: \"__name__\""), "{reserved}");
    let expr = error("record: a\nexpr: sum(m");
    assert!(expr.starts_with("b.yml:4: groups[0].rules[0].expr: could not parse expression: "), "{expr}");
    let template = error("alert: a\nexpr: m\nannotations: {s: \"{{ $labels.x\"}");
    assert!(template.contains("annotation \"s\": template action \"$labels.x\": unclosed action"), "{template}");
    let template = error("alert: a\nexpr: m\nlabels: {s: \"{{ if true }}x{{ end }}\"}");
    assert!(template.contains("label \"s\": template action \"if true\": if is not supported"), "{template}");
}
