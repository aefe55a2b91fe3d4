use super::{RelabelConfig, process};
use crate::{Labels, LabelsBuilder};

fn parse(yaml: &str) -> Result<Vec<RelabelConfig>, String> {
    serde_yaml_ng::from_str(yaml).map_err(|e| e.to_string())
}

fn labels(pairs: &str) -> LabelsBuilder {
    let mut builder = LabelsBuilder::default();
    for pair in pairs.split_whitespace() {
        let (name, value) = pair.split_once('=').unwrap();
        builder.set(name, value);
    }
    builder
}

/// `want` is what the labels become, or `dropped`.
#[track_caller]
fn check(rules: &str, pairs: &str, want: &str) {
    let mut got = labels(pairs);
    let kept = process(&mut got, &parse(rules).unwrap());
    let want = (want != "dropped").then(|| labels(want).build());
    assert_eq!(kept.then(|| got.build()), want, "{rules} on {pairs}");
}

#[track_caller]
fn refused(rule: &str, want: &str) {
    let error = parse(&format!("[{rule}]")).expect_err(rule);
    assert!(error.contains(want), "{rule}: {error:?} lacks {want:?}");
}

#[test]
fn replace() {
    check(
        "[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}]",
        "a=foo b=bar",
        "a=foo b=bar d=choo-choo",
    );
    check(
        "[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}]",
        "a=foo b=bar",
        "a=boobam b=bar",
    );
    check("[{source_labels: [a, b], separator: '-', target_label: c}]", "a=foo", "a=foo c=foo-");
    check("[{source_labels: [a], regex: x, target_label: b, replacement: y}]", "a=ax", "a=ax");
    check("[{source_labels: [a], regex: x, target_label: b, replacement: y}]", "a=x", "a=x b=y");
    check("[{target_label: b, replacement: y}]", "a=x", "a=x b=y");
    check("[{target_label: a, replacement: ''}]", "a=x b=y", "b=y");
    check("[{source_labels: [none], target_label: a}]", "a=x b=y", "b=y");
    check("[{source_labels: [a], regex: '(.*)', target_label: '${1}', replacement: v}]", "a=x", "a=x x=v");
    check("[{source_labels: [none], target_label: '${1}', replacement: v}]", "a=x", "a=x");
    check(
        "[{source_labels: [a], regex: '(?P<host>[^:]+):.*', target_label: h, replacement: '$host'}]",
        "a=n1:9100",
        "a=n1:9100 h=n1",
    );
    check("[{source_labels: [a], target_label: port, replacement: 9100}]", "a=x", "a=x port=9100");
}

#[test]
fn the_expression_is_anchored_and_crosses_lines() {
    let rules = parse("[{source_labels: [a], regex: 'x.*z', action: keep}]").unwrap();
    let kept = |value: &str| process(&mut Labels::from_pairs([("a", value)]).to_builder(), &rules);
    assert!(kept("xyz") && kept("x\ny\nz"));
    assert!(!kept("wxyz") && !kept("xyz\n"));
}

#[test]
fn keep_and_drop() {
    check("[{source_labels: [a], regex: 'f|g', action: keep}]", "a=f", "a=f");
    check("[{source_labels: [a], regex: 'f|g', action: keep}]", "a=fg", "dropped");
    check("[{source_labels: [a], regex: 'f|g', action: drop}]", "a=g", "dropped");
    check("[{source_labels: [a], regex: 'f|g', action: drop}]", "a=h", "a=h");
    check("[{source_labels: [none], regex: '', action: drop}]", "a=h", "dropped");
    check("[{action: keep}]", "a=h", "a=h");
    check("[{action: DROP}]", "a=h", "dropped");
}

#[test]
fn keepequal_and_dropequal() {
    check("[{source_labels: [p], target_label: q, action: keepequal}]", "p=1 q=1", "p=1 q=1");
    check("[{source_labels: [p], target_label: q, action: keepequal}]", "p=1 q=2", "dropped");
    check("[{source_labels: [p], target_label: q, action: dropequal}]", "p=1 q=1", "dropped");
    check("[{source_labels: [p], target_label: q, action: dropEqual}]", "p=1", "p=1");
}

#[test]
fn hashmod() {
    // The last 16 digits of `printf %s baz | md5sum` modulo 1000.
    check("[{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}]", "c=baz", "c=baz d=976");
    check(
        "[{source_labels: [a], target_label: d, action: hashmod, modulus: 1000}]",
        "a=foo\\nbar",
        "a=foo\\nbar d=680",
    );
    check("[{source_labels: [none], target_label: d, action: HashMod, modulus: 1}]", "a=b", "a=b d=0");
}

#[test]
fn labelmap_labeldrop_labelkeep() {
    check(
        "[{regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}]",
        "a=1 b1=2 b2=3",
        "a=1 b1=2 b2=3 bar_b1=2 bar_b2=3",
    );
    check(
        "[{regex: '__meta_(my.*)', action: labelmap}]",
        "__meta_my_x=1 __meta_other=2",
        "__meta_my_x=1 __meta_other=2 my_x=1",
    );
    check("[{regex: '(b.*)', action: labeldrop}]", "a=1 b1=2 xb=3", "a=1 xb=3");
    check("[{regex: '(b.*)', action: labelkeep}]", "a=1 b1=2 xb=3", "b1=2");
}

#[test]
fn lowercase_and_uppercase() {
    check(
        "[{source_labels: [a], target_label: l, action: lowercase}, {source_labels: [a], target_label: u, action: uppercase}]",
        "a=bAr123Foo",
        "a=bAr123Foo l=bar123foo u=BAR123FOO",
    );
    check("[{source_labels: [none], target_label: a, action: lowercase}]", "a=x b=y", "b=y");
}

#[test]
fn rules_apply_in_order_and_stop_at_a_drop() {
    check("[{source_labels: [a], target_label: b}, {source_labels: [b], target_label: c}]", "a=x", "a=x b=x c=x");
    check("[{target_label: b, replacement: y}, {source_labels: [b], regex: y, action: drop}]", "a=x", "dropped");
}

#[test]
fn refusals_name_the_key() {
    refused("{action: relabel}", "unknown relabel action \"relabel\"");
    refused("{action: ''}", "unknown relabel action \"\"");
    refused("{action: replace}", "relabel action replace requires target_label");
    refused("{action: lowercase}", "relabel action lowercase requires target_label");
    refused("{action: keepequal}", "relabel action keepequal requires target_label");
    refused("{action: hashmod, target_label: a}", "relabel action hashmod requires a modulus above zero");
    refused("{action: hashmod, modulus: 3}", "relabel action hashmod requires target_label");
    refused(
        "{action: uppercase, target_label: a, replacement: b}",
        "relabel action uppercase does not take replacement",
    );
    refused("{action: labelmap, replacement: ''}", "relabel action labelmap requires a replacement");
    refused("{action: keepequal, target_label: a, regex: b}", "relabel action keepequal does not take regex");
    refused("{action: dropequal, target_label: a, modulus: 1}", "relabel action dropequal does not take modulus");
    refused("{action: dropequal, target_label: a, separator: ','}", "relabel action dropequal does not take separator");
    refused(
        "{action: labeldrop, regex: a, source_labels: [b]}",
        "relabel action labeldrop does not take source_labels",
    );
    refused("{action: labelkeep, regex: a, target_label: b}", "relabel action labelkeep does not take target_label");
    refused("{action: labelkeep, regex: a, replacement: b}", "relabel action labelkeep does not take replacement");
    refused("{target_label: a, regex: '('}", "relabel regex \"(\" is malformed");
    refused("{target_label: a, modulus: -1}", "modulus");
    refused("{target_label: a, sourcelabels: [b]}", "unknown field `sourcelabels`");
    refused("null", "expected struct");
}

#[test]
fn rules_compare_by_what_they_say() {
    let rule = |yaml: &str| parse(&format!("[{yaml}]")).unwrap().remove(0);
    assert_eq!(rule("{target_label: a}"), rule("{target_label: a, regex: (.*), replacement: $1, action: Replace}"));
    assert_ne!(rule("{target_label: a, regex: x}"), rule("{target_label: a, regex: y}"));
    assert!(format!("{:?}", rule("{target_label: a}")).contains("(.*)"));
}
