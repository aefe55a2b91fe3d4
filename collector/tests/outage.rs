//! Nothing is lost and nothing doubled: InfluxDB goes away for a while, the collector is killed with -9 meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;

use provisioning_parts::{Collector, Container, Influx, configuration, eventually, prom_query};
use serde_json::Value;
use support::{CONTAINER_SERIES, VM_SERIES, collector};

/// What the window holds of a series, as (time in ms, value), in time order.
fn window_points(collector: &Collector, series: &str) -> Vec<(i64, f64)> {
    let rows = prom_query(&collector.address, &format!("{{__name__=\"{series}\"}}[1h]")).unwrap();
    let mut points = Vec::new();
    for row in rows {
        for pair in row["values"].as_array().unwrap() {
            let seconds = pair[0].as_f64().unwrap();
            let value: f64 = pair[1].as_str().unwrap().parse().unwrap();
            points.push(((seconds * 1000.0).round() as i64, value));
        }
    }
    points.sort_by_key(|p| p.0);
    points
}

/// A point: when (in ms), of which series, which value.
type Point = (i64, String, f64);

/// Labels but the name and the external one, which the window does not hold.
fn series_text(labels: &Value) -> String {
    let labels: BTreeMap<String, Value> = serde_json::from_value(labels.clone()).unwrap();
    let own = labels.iter().filter(|(name, value)| !["__name__", "monitor"].contains(&name.as_str()) && *value != "");
    own.map(|(name, value)| format!("{name}={value} ")).collect()
}

fn sorted(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)).then(a.2.total_cmp(&b.2)));
    points
}

/// Every point of a measurement, with its series.
fn all_in_influx(influx: &Influx, measurement: &str) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    for series in influx.query(&format!("SELECT value FROM \"{measurement}\" GROUP BY *"))? {
        let text = series_text(&series["tags"]);
        let rows = series["values"].as_array().unwrap();
        points.extend(rows.iter().map(|row| (row[0].as_i64().unwrap(), text.clone(), row[1].as_f64().unwrap())));
    }
    Ok(sorted(points))
}

/// Every sample of that name in the window, with its series.
fn all_in_window(collector: &Collector, name: &str) -> Vec<Point> {
    let mut points = Vec::new();
    for row in prom_query(&collector.address, &format!("{{__name__=\"{name}\"}}[1h]")).unwrap() {
        let text = series_text(&row["metric"]);
        for pair in row["values"].as_array().unwrap() {
            let at_ms = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
            points.push((at_ms, text.clone(), pair[1].as_str().unwrap().parse().unwrap()));
        }
    }
    sorted(points)
}

/// Whether two points are the same. JSON numbers are read with an error in the last bit.
fn same(a: &Point, b: &Point) -> bool {
    (a.0, &a.1) == (b.0, &b.1) && (a.2 - b.2).abs() <= a.2.abs() * 1e-14
}

/// Holds what a destination has against the window, up to the newest sample that the window has now: the same
/// points of the same series, none missing and none doubled. Gives the points.
fn holds_the_window(influx: &Influx, collector: &Collector, name: &str) -> Vec<Point> {
    let wanted = all_in_window(collector, name);
    let newest = wanted.last().unwrap_or_else(|| panic!("{name}: nothing in the window")).0;
    assert!(wanted.windows(2).all(|two| (two[0].0, &two[0].1) != (two[1].0, &two[1].1)), "{name}: doubled");
    eventually(30, &format!("{name} is in InfluxDB as in the window"), || {
        let got: Vec<Point> = all_in_influx(influx, name)?.into_iter().filter(|p| p.0 <= newest).collect();
        let missing = wanted.iter().find(|p| !got.iter().any(|q| same(p, q)));
        let extra = got.iter().find(|p| !wanted.iter().any(|q| same(p, q)));
        match got.len() == wanted.len() && got.iter().zip(&wanted).all(|(p, q)| same(p, q)) {
            true => Ok(()),
            false => Err(format!("{} points, not {}; missing {missing:?}, extra {extra:?}", got.len(), wanted.len())),
        }
    });
    wanted
}

#[test]
fn an_outage_and_a_kill_lose_and_double_nothing() {
    let (mut vms, containers) = (Influx::start(), Influx::start());
    let container = Container::script("outage", "while :; do /bin/busybox sleep 0.2; done");
    let agent = support::agent();
    let mut collector = collector(&configuration(&agent, &vms, &containers, ""), &[]);
    let series = VM_SERIES[1];
    let arrived = |influx: &Influx, at_least: usize| {
        let count = influx.points(series).len();
        if count >= at_least { Ok(count) } else { Err(format!("{count} points")) }
    };
    let before = eventually(60, "points before the outage", || arrived(&vms, 3));

    vms.pause();
    let backlog = |collector: &Collector, at_least: usize| {
        let count = window_points(collector, series).len();
        if count >= at_least { Ok(count) } else { Err(format!("{count} points in the window")) }
    };
    eventually(60, "points during the outage", || backlog(&collector, before + 5));
    collector.kill();
    // What was acknowledged before the kill must be there after it.
    collector.resume();
    let after_kill = eventually(60, "points after the kill", || backlog(&collector, before + 8));
    collector.kill();
    collector.resume();
    eventually(60, "points after the second kill", || backlog(&collector, after_kill + 3));

    vms.resume();
    eventually(60, "the backlog arrives", || arrived(&vms, after_kill + 3));
    // Meanwhile every series of both destinations went through the outage of the one and both kills.
    for series in VM_SERIES {
        let points = holds_the_window(&vms, &collector, series);
        assert!(points.len() >= before + 8, "{series}: {points:?}");
    }
    for series in CONTAINER_SERIES {
        let points = holds_the_window(&containers, &collector, series);
        let own = points.iter().filter(|(_, text, _)| text.contains(&format!("name=\"{}\"", container.name)));
        assert!(own.count() >= 8, "{series}: {points:?}");
    }
}

#[test]
fn a_dead_destination_does_not_delay_the_other() {
    let (vms, mut containers) = (Influx::start(), Influx::start());
    containers.pause();
    let agent = support::agent();
    let collector = collector(&configuration(&agent, &vms, &containers, ""), &[]);
    eventually(60, "points in the living one", || {
        let count = vms.points(VM_SERIES[1]).len();
        if count >= 10 { Ok(()) } else { Err(format!("{count} points")) }
    });
    // The living queue is near empty, the dead one grows and says why.
    let pending = prom_query(&collector.address, "vector(1)").unwrap();
    assert_eq!(pending.len(), 1);
    let page = provisioning_parts::get(&collector.address, "/").unwrap();
    assert!(page.contains(&containers.address), "the page names the dead destination");
}
