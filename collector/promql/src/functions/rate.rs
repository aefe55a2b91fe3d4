//! Differences over a window, extrapolated to its bounds as Prometheus 3 does it.

use collector_model::Sample;

use crate::eval::Window;

pub(super) fn rate(window: &Window<'_>) -> Option<f64> {
    extrapolate(window, true).map(|increase| increase / (window.range_ms() as f64 / 1_000.0))
}

pub(super) fn increase(window: &Window<'_>) -> Option<f64> {
    extrapolate(window, true)
}

pub(super) fn delta(window: &Window<'_>) -> Option<f64> {
    extrapolate(window, false)
}

pub(super) fn irate(window: &Window<'_>) -> Option<f64> {
    let (before, last) = last_two(window)?;
    let seconds = (last.timestamp_ms - before.timestamp_ms) as f64 / 1_000.0;
    // After a reset the counter counts from zero.
    let increase = if last.value < before.value { last.value } else { last.value - before.value };
    (seconds != 0.0).then(|| increase / seconds)
}

pub(super) fn idelta(window: &Window<'_>) -> Option<f64> {
    let (before, last) = last_two(window)?;
    (last.timestamp_ms != before.timestamp_ms).then_some(last.value - before.value)
}

fn last_two<'a>(window: &Window<'a>) -> Option<(&'a Sample, &'a Sample)> {
    match window.samples {
        [.., before, last] => Some((before, last)),
        _ => None,
    }
}

/// The difference between the ends, stretched over the part of the window that the samples do not cover, but no
/// further than half their distance where the series seems to begin or end inside the window.
fn extrapolate(window: &Window<'_>, counter: bool) -> Option<f64> {
    let [first, .., last] = window.samples else { return None };
    let mut increase = last.value - first.value;
    if counter {
        let mut before = first.value;
        for sample in window.samples {
            if sample.value < before {
                increase += before;
            }
            before = sample.value;
        }
    }
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1_000.0;
    let sampled = seconds(first.timestamp_ms, last.timestamp_ms);
    let average = sampled / (window.samples.len() - 1) as f64;
    let threshold = average * 1.1;
    let mut to_start = seconds(window.start_ms, first.timestamp_ms);
    let mut to_end = seconds(last.timestamp_ms, window.end_ms);
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if counter && increase > 0.0 && first.value >= 0.0 {
        // A counter cannot have been below zero.
        to_start = to_start.min(sampled * (first.value / increase));
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    Some(increase * ((sampled + to_start + to_end) / sampled))
}
