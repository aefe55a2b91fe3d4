//! Version 2: stats, specs and summaries of containers by their paths.

use std::sync::Arc;

use super::figures::{self, Has, Step, rate, steps};
use super::json::Json;
use crate::history::{About, Recent, Sample};

/// Stats as 2.0 has them, with `has_…` flags.
pub(super) fn stats_2_0(recent: &Recent, all: &[&Arc<About>], most: usize) -> String {
    let mut json = Json::default();
    json.object();
    for about in all {
        let samples: Vec<_> = recent.samples(about).collect();
        json.list_in(&about.path);
        for step in steps(&samples, most) {
            let has = Has::of(Some(step.sample));
            json.object();
            json.time("timestamp", step.at);
            json.flag("has_cpu", has.cpu);
            figures::cpu(&mut json, &step.sample.cpu);
            cpu_inst(&mut json, &step);
            json.flag("has_diskio", has.disk_io);
            figures::disk_io(&mut json, &step.sample.devices);
            json.flag("has_memory", has.memory);
            figures::memory(&mut json, &step.sample.memory);
            json.flag("has_hugetlb", false);
            json.flag("has_network", has.network);
            figures::network(&mut json, &step.sample.interfaces, false);
            json.flag("has_processes", has.processes);
            figures::processes(&mut json, step.sample.tasks);
            json.flag("has_filesystem", has.file_systems);
            figures::file_systems(&mut json, &step.sample.file_systems, &*about.path == "/");
            json.flag("has_load", false);
            json.flag("has_custom_metrics", false);
            json.end_object();
        }
        json.end_list();
    }
    json.end_object();
    json.finish()
}

/// Spec and stats as 2.1 has them. The machine's are under `machinestats` alone.
pub(super) fn stats_2_1(recent: &Recent, all: &[&Arc<About>], most: usize) -> String {
    let mut json = Json::default();
    json.object();
    for about in all.iter().filter(|about| &*about.path != "/") {
        let samples: Vec<_> = recent.samples(about).collect();
        json.object_in(&about.path);
        json.object_in("spec");
        figures::spec(&mut json, about, samples.last().map(|(_, sample)| *sample), true);
        json.end_object();
        json.list_in("stats");
        for step in steps(&samples, most) {
            json.object();
            figures_2_1(&mut json, &step);
            if Has::of(Some(step.sample)).processes {
                figures::processes(&mut json, step.sample.tasks);
            }
            if let Some(layer) = step.sample.file_systems.first() {
                json.object_in("filesystem");
                json.number("totalUsageBytes", layer.used);
                json.number("baseUsageBytes", layer.used);
                json.end_object();
            }
            json.end_object();
        }
        json.end_list();
        json.end_object();
    }
    json.end_object();
    json.finish()
}

/// Stats of the machine as a whole.
pub(super) fn machine_stats(recent: &Recent, root: &About, most: usize) -> String {
    let samples: Vec<_> = recent.samples(root).collect();
    let mut json = Json::default();
    json.list();
    for step in steps(&samples, most) {
        json.object();
        figures_2_1(&mut json, &step);
        json.list_in("filesystem");
        for file_system in &step.sample.file_systems {
            json.object();
            json.text("device", &file_system.device);
            json.number("capacity", file_system.size);
            json.number("usage", file_system.used);
            json.end_object();
        }
        json.end_list();
        json.end_object();
    }
    json.end_list();
    json.finish()
}

/// Only what there is.
fn figures_2_1(json: &mut Json, step: &Step<'_>) {
    let has = Has::of(Some(step.sample));
    json.time("timestamp", step.at);
    if has.cpu {
        figures::cpu(json, &step.sample.cpu);
        cpu_inst(json, step);
    }
    if has.disk_io {
        figures::disk_io(json, &step.sample.devices);
    }
    if has.memory {
        figures::memory(json, &step.sample.memory);
    }
    if has.network {
        figures::network(json, &step.sample.interfaces, false);
    }
}

/// CPU time per second since the reading before, in nanoseconds (billionths of a CPU).
fn cpu_inst(json: &mut Json, step: &Step<'_>) {
    let Some((before_at, before)) = step.before else { return };
    let Ok(span) = step.at.duration_since(before_at) else { return };
    let (now, before) = (&step.sample.cpu, &before.cpu);
    let Some(total) = rate(now.total, before.total, span) else { return };
    json.object_in("cpu_inst");
    json.object_in("usage");
    json.number("total", Some(total));
    let by_cpu = now.by_cpu.iter().zip(&before.by_cpu);
    let by_cpu: Option<Vec<_>> = by_cpu.map(|(now, before)| rate(Some(*now), Some(*before), span)).collect();
    if let Some(by_cpu) = by_cpu.filter(|by_cpu| !by_cpu.is_empty()) {
        json.list_in("per_cpu_usage");
        by_cpu.into_iter().for_each(|rate| json.item(rate));
        json.end_list();
    }
    json.number("user", rate(now.user, before.user, span));
    json.number("system", rate(now.system, before.system, span));
    json.end_object();
    json.end_object();
}

/// Specs.
pub(super) fn specs(recent: &Recent, all: &[&Arc<About>]) -> String {
    let mut json = Json::default();
    json.object();
    for about in all {
        let newest = recent.samples(about).next_back().map(|(_, sample)| sample);
        json.object_in(&about.path);
        figures::spec(&mut json, about, newest, true);
        json.end_object();
    }
    json.end_object();
    json.finish()
}

/// The latest use and percentiles of the last minute. Hours and days are not kept.
pub(super) fn summaries(recent: &Recent, all: &[&Arc<About>]) -> String {
    let mut json = Json::default();
    json.object();
    for about in all {
        let samples: Vec<_> = recent.samples(about).collect();
        let minute = steps(&samples, 61);
        let Some(last) = minute.last() else { continue };
        let milli_cpus: Vec<u64> = minute.iter().filter_map(milli_cpus).collect();
        let memory: Vec<u64> = minute.iter().filter_map(|step| in_use(step.sample)).collect();
        let covered = minute.first().and_then(|first| last.at.duration_since(first.at).ok()).unwrap_or_default();
        json.object_in(&about.path);
        json.time("timestamp", last.at);
        json.object_in("latest_usage");
        json.number("cpu", milli_cpus.last().copied());
        json.number("memory", memory.last().copied());
        json.end_object();
        usage(&mut json, "minute_usage", (covered.as_secs() * 100 / 60).min(100), milli_cpus, memory);
        usage(&mut json, "hour_usage", 0, Vec::new(), Vec::new());
        usage(&mut json, "day_usage", 0, Vec::new(), Vec::new());
        json.end_object();
    }
    json.end_object();
    json.finish()
}

fn milli_cpus(step: &Step<'_>) -> Option<u64> {
    let (before_at, before) = step.before?;
    let span = step.at.duration_since(before_at).ok()?;
    rate(step.sample.cpu.total, before.cpu.total, span).map(|nanos| nanos / 1_000_000)
}

fn in_use(sample: &Sample) -> Option<u64> {
    sample.memory.working_set
}

fn usage(json: &mut Json, name: &str, percent: u64, cpu: Vec<u64>, memory: Vec<u64>) {
    json.object_in(name);
    json.number("percent_complete", Some(percent));
    percentiles(json, "cpu", cpu);
    percentiles(json, "memory", memory);
    json.end_object();
}

/// By nearest rank.
fn percentiles(json: &mut Json, name: &str, mut values: Vec<u64>) {
    values.sort_unstable();
    let count = values.len();
    let rank = |percent: usize| values.get((count * percent).div_ceil(100).saturating_sub(1)).copied();
    json.object_in(name);
    json.flag("present", count > 0);
    if count > 0 {
        let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
        json.number("mean", u64::try_from(sum / count as u128).ok());
        json.number("max", values.last().copied());
        json.number("fifty", rank(50));
        json.number("ninety", rank(90));
        json.number("ninetyfive", rank(95));
    }
    json.end_object();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: Vec<u64>, want: &str) {
        let mut json = Json::default();
        json.object();
        percentiles(&mut json, "cpu", values);
        json.end_object();
        assert_eq!(json.finish(), want);
    }

    #[test]
    fn nearest_ranks() {
        let of = |name: &str| format!(r#"{{"cpu":{{"present":{name}}}}}"#);
        check(vec![], &of("false"));
        check(vec![7], &of(r#"true,"mean":7,"max":7,"fifty":7,"ninety":7,"ninetyfive":7"#));
        let hundred = (1..=100).rev().collect();
        check(hundred, &of(r#"true,"mean":50,"max":100,"fifty":50,"ninety":90,"ninetyfive":95"#));
    }
}
