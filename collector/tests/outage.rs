//! Nothing is lost and nothing doubled: InfluxDB goes away for a while, the collector is killed with -9 meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use support::stack::{Agent, Collector, VM_SERIES, configuration};
use support::{Influx, eventually, prom_query};

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

#[test]
fn an_outage_and_a_kill_lose_and_double_nothing() {
    let (mut vms, containers) = (Influx::start(), Influx::start());
    let agent = Agent::start();
    let mut collector = Collector::start(&configuration(&agent, &vms, &containers), &[]);
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
    // Compare up to a moment that both surely have: the newest point that InfluxDB holds now.
    std::thread::sleep(Duration::from_secs(2));
    let in_influx = vms.points(series);
    let newest = in_influx.last().unwrap().0;
    let in_window: Vec<_> = window_points(&collector, series).into_iter().filter(|p| p.0 <= newest).collect();
    assert_eq!(in_influx, in_window, "InfluxDB on the left, the window on the right");
    let mut times: Vec<i64> = in_influx.iter().map(|p| p.0).collect();
    times.dedup();
    assert_eq!(times.len(), in_influx.len(), "a point is doubled");
}

#[test]
fn a_dead_destination_does_not_delay_the_other() {
    let (vms, mut containers) = (Influx::start(), Influx::start());
    containers.pause();
    let agent = Agent::start();
    let collector = Collector::start(&configuration(&agent, &vms, &containers), &[]);
    eventually(60, "points in the living one", || {
        let count = vms.points(VM_SERIES[1]).len();
        if count >= 10 { Ok(()) } else { Err(format!("{count} points")) }
    });
    // The living queue is near empty, the dead one grows and says why.
    let pending = prom_query(&collector.address, "vector(1)").unwrap();
    assert_eq!(pending.len(), 1);
    let page = support::get(&collector.address, "/").unwrap();
    assert!(page.contains(&containers.address), "the page names the dead destination");
}
