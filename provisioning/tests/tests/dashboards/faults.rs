//! The checks themselves: each finds the fault that was made for it, and nothing in boards without one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::lint::{complaints, unknown_metrics};
use crate::queries::{LabelValues, metrics, substituted};
use crate::schema::{Board, DataSourceRef};

/// A board with one panel of each source, and a table that leads to itself.
fn sound() -> Value {
    let prometheus = json!({"type": "prometheus", "uid": "collector"});
    let influx = json!({"type": "influxdb", "uid": "influxdb-vms"});
    json!({
        "uid": "atalaia-sound", "title": "Sound", "description": "All is well here.", "tags": ["atalaia"],
        "schemaVersion": 41, "editable": true, "graphTooltip": 1, "timezone": "browser", "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "title": "Others", "tooltip": "", "tags": ["atalaia"], "icon": "external link",
            "asDropdown": false, "includeVars": false, "keepTime": true, "targetBlank": false}],
        "templating": {"list": [{"name": "job", "label": "Job", "type": "query", "datasource": prometheus,
            "query": "label_values(up, job)", "multi": true, "includeAll": true,
            "current": {"text": ["All"], "value": ["$__all"]}}]},
        "panels": [
            {"id": 1, "type": "row", "title": "All", "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0},
                "collapsed": false, "panels": []},
            {"id": 2, "type": "stat", "title": "Up", "description": "Targets.", "datasource": prometheus,
                "gridPos": {"h": 4, "w": 12, "x": 0, "y": 1},
                "targets": [{"refId": "A", "expr": "sum(up{job=~'$job'})"}],
                "fieldConfig": {"defaults": {"unit": "none", "color": {"mode": "fixed", "fixedColor": "text"}},
                    "overrides": []},
                "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}},
            {"id": 3, "type": "table", "title": "Targets", "description": "One a line.", "datasource": prometheus,
                "gridPos": {"h": 4, "w": 12, "x": 12, "y": 1},
                "targets": [{"refId": "A", "expr": "up{job=~'$job'}", "format": "table", "instant": true}],
                "fieldConfig": {"defaults": {"unit": "none"}, "overrides": [
                    {"matcher": {"id": "byName", "options": "Up"}, "properties": [
                        {"id": "links", "value": [{"title": "Alone", "url": "/d/atalaia-sound?var-job=${__value.raw}"}]}
                    ]}]},
                "transformations": [{"id": "organize", "options": {"excludeByName": {}, "indexByName": {},
                    "renameByName": {"Value": "Up"}}}],
                "options": {"showHeader": true, "cellHeight": "sm", "sortBy": []}},
            {"id": 4, "type": "timeseries", "title": "Memory", "description": "In use.", "datasource": influx,
                "gridPos": {"h": 8, "w": 24, "x": 0, "y": 5},
                "targets": [{"refId": "A", "rawQuery": true, "resultFormat": "time_series", "alias": "$tag_instance",
                    "query": "SELECT mean(value) FROM m WHERE $timeFilter GROUP BY time($__interval), \"instance\""}],
                "fieldConfig": {"defaults": {"unit": "bytes", "custom": {"fillOpacity": 8}}, "overrides": []},
                "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                    "tooltip": {"mode": "multi", "sort": "desc"}}}
        ]
    })
}

/// All that is found in a board which stands beside another of the same tags.
fn found(board: &Value) -> Vec<String> {
    let other = json!({"uid": "atalaia-other", "panels": [], "templating": {"list": []}, "links": []});
    let mut second = sound();
    other.as_object().unwrap().iter().for_each(|(key, value)| second[key] = value.clone());
    let read = |stem: &str, board: &Value| Board::read(stem, &board.to_string());
    let boards = match (read("sound", board), read("other", &second)) {
        (Ok(board), Ok(other)) => [board, other],
        (board, other) => return [board.err(), other.err()].into_iter().flatten().collect(),
    };
    let source = |kind: &str, uid: &str| DataSourceRef { kind: kind.to_owned(), uid: uid.to_owned() };
    let sources = BTreeSet::from([source("prometheus", "collector"), source("influxdb", "influxdb-vms")]);
    let known = BTreeSet::from(["up".to_owned()]);
    let unknown = unknown_metrics(&boards, &known).into_iter();
    complaints(&boards, &sources)
        .into_iter()
        .chain(unknown.map(|(name, _)| format!("no program gives {name}")))
        .collect()
}

/// Puts a value where the pointer says; its last part may be a new field.
fn plant(board: &mut Value, pointer: &str, value: &Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match board.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
        object => object[key] = value.clone(),
    }
}

#[test]
fn a_sound_board_has_no_complaints() {
    assert_eq!(found(&sound()), Vec::<String>::new());
}

#[test]
fn each_fault_is_found() {
    let table = [
        // what Grafana would not read, or would pass over in silence
        ("/pannels", json!([]), "unknown field `pannels`"),
        ("/panels/1/units", json!("s"), "unknown field `units`"),
        ("/panels/1/targets/0/exprs", json!(""), "unknown field `exprs`"),
        ("/panels/1/options/graphmode", json!("area"), "options: unknown field `graphmode`"),
        ("/panels/1/options/graphMode", json!("line-up"), "unknown variant `line-up`"),
        ("/panels/3/fieldConfig/defaults/custom/fillOpacity", json!("8"), "custom: invalid type: string"),
        ("/panels/2/fieldConfig/overrides/0/properties/0/id", json!("link"), "unknown variant `link`"),
        ("/panels/1/type", json!("graph"), "unknown variant `graph`"),
        ("/panels/0/collapsed", json!(true), "a row has no options, and is not collapsed"),
        ("/refresh", json!(10), "invalid type: integer `10`"),
        // identity
        ("/uid", json!("sound"), "its uid is sound, not atalaia-sound"),
        ("/description", json!(""), "it lacks a title or a description"),
        ("/schemaVersion", json!(16), "schema version 16"),
        // places
        ("/panels/2/id", json!(2), "Targets: the id 2 is that of Up too"),
        ("/panels/2/gridPos/x", json!(11), "Targets: it lies over Up"),
        ("/panels/3/gridPos/y", json!(4), "Memory: it lies over Up"),
        ("/panels/3/gridPos/w", json!(25), "Memory: 25 columns from column 0 and 8 lines do not fit"),
        // what a panel says
        ("/panels/1/title", json!(""), "it has no title"),
        ("/panels/1/description", json!(""), "Up: it has no description"),
        ("/panels/1/fieldConfig/defaults/unit", json!(null), "Up: it has no unit"),
        ("/panels/1/fieldConfig/defaults/unit", json!("furlongs"), "Up: the unit furlongs is none of ours"),
        ("/panels/1/fieldConfig/defaults/color", json!(null), "Up: without thresholds or a colour"),
        ("/panels/2/fieldConfig/overrides/0/matcher/options", json!("Down"), "Targets: there is no column Down"),
        // where it asks
        ("/panels/1/datasource", json!(null), "Up: it has no data source"),
        ("/panels/1/datasource/uid", json!("prometheus"), "Up: the data source prometheus of type prometheus is not"),
        ("/panels/1/targets", json!([]), "Up: it asks nothing"),
        (
            "/panels/3/datasource",
            json!({"type": "prometheus", "uid": "collector"}),
            "Memory: A is a query for influxdb",
        ),
        ("/panels/3/targets/0/alias", json!("$tag_host"), "Memory: the alias $tag_host is no tag that A groups by"),
        // what it asks
        ("/panels/1/targets/0/expr", json!("sum(up{job=~'$job'}"), "sound: Up: A: "),
        ("/panels/1/targets/0/expr", json!("sum(upp)"), "no program gives upp"),
        ("/templating/list/0/query", json!("label_values(upp, job)"), "no program gives upp"),
        (
            "/templating/list/0/query",
            json!("query_result(up)"),
            "the variable job: query_result(up) is no label_values",
        ),
        // variables
        ("/panels/1/targets/0/expr", json!("up{job=~'$jobs'}"), "$jobs is no variable"),
        ("/panels/1/title", json!("Up of $service"), "$service is no variable"),
        ("/templating/list/0/name", json!("work"), "the variable work is not used"),
        ("/templating/list/0/datasource", json!(null), "the variable job: it has no data source"),
        // links
        ("/links/0/tags", json!(["atalaya"]), "the link Others finds no board"),
        ("/links/0/url", json!("/d/atalaia-other"), "the link Others has the fields of another kind"),
        ("/panels/2/fieldConfig/overrides/0/properties/0/value/0/url", json!("/d/gone"), "a board that is not there"),
        (
            "/panels/2/fieldConfig/overrides/0/properties/0/value/0/url",
            json!("/d/atalaia-other?var-job=x"),
            "sets job, which other does not have",
        ),
    ];
    for (pointer, value, complaint) in table {
        let mut board = sound();
        plant(&mut board, pointer, &value);
        let found = found(&board);
        assert!(found.iter().any(|found| found.contains(complaint)), "{pointer} = {value}: {found:#?}");
    }
}

#[test]
fn two_queries_of_one_name_and_two_variables_of_one_name_are_found() {
    for (pointer, complaint) in
        [("/panels/1/targets", "two queries are called A"), ("/templating/list", "the variable job is there twice")]
    {
        let mut board = sound();
        let items = board.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
        items.push(items[0].clone());
        let found = found(&board);
        assert!(found.iter().any(|found| found.contains(complaint)), "{found:?}");
    }
}

#[test]
fn names_are_substituted_as_grafana_does() {
    for (text, wanted) in [
        ("up{job=~'$job'}", Ok("up{job=~'JOB'}")),
        ("${job}_x ${job:regex} $job", Ok("JOB_x JOB JOB")),
        ("/^$job$/ costs 5$", Ok("/^JOB$/ costs 5$")),
        ("$job_x", Err("job_x")),
        ("${__value.raw}", Err("__value.raw")),
    ] {
        let got = substituted(text, |name| (name == "job").then(|| "JOB".to_owned()));
        assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{text}");
    }
}

#[test]
fn the_names_that_promql_reads_are_found() {
    for (text, wanted) in [
        ("topk($top, a:b{x='$job'}) / on (x) group_left rate(c_total[$__rate_interval])", "a:b c_total"),
        ("max_over_time((d > bool 0)[5m:1m]) or vector(0)", "d"),
        ("-(e offset 5m) unless on () f", "e f"),
        ("{job='x'}", "a selector without a name"),
    ] {
        let names: Vec<String> = metrics(text).unwrap().into_iter().collect();
        assert_eq!(names.join(" "), wanted, "{text}");
    }
}

#[test]
fn label_values_are_read() {
    for (text, wanted) in [
        ("label_values(job)", Some((None, "job"))),
        ("label_values(up{job=~'a,b'}, instance)", Some((Some("up{job=~'a,b'}"), "instance"))),
        ("label_values(up)  ", None),
        ("label_values(up{job='x'})", None),
    ] {
        let got = LabelValues::read(text).map(|values| (values.selector, values.label));
        assert_eq!(got, wanted, "{text}");
    }
}
