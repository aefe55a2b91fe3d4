//! Functions of the samples in a window.

use collector_model::Sample;

use crate::eval::Window;
use crate::float::{Mean, Sum, Variance, quantile};

fn values<'a>(window: &Window<'a>) -> impl Iterator<Item = f64> + use<'a> {
    window.samples.iter().map(|s| s.value)
}

pub(super) fn sum(window: &Window<'_>) -> Option<f64> {
    let mut sum = Sum::default();
    values(window).for_each(|v| sum.add(v));
    Some(sum.value())
}

pub(super) fn avg(window: &Window<'_>) -> Option<f64> {
    let mut mean = Mean::default();
    values(window).for_each(|v| mean.add(v));
    Some(mean.value())
}

pub(super) fn stdvar(window: &Window<'_>) -> Option<f64> {
    let mut variance = Variance::default();
    values(window).for_each(|v| variance.add(v));
    Some(variance.value())
}

pub(super) fn stddev(window: &Window<'_>) -> Option<f64> {
    stdvar(window).map(f64::sqrt)
}

pub(super) fn count(window: &Window<'_>) -> Option<f64> {
    Some(window.samples.len() as f64)
}

pub(super) fn present(_window: &Window<'_>) -> Option<f64> {
    Some(1.0)
}

pub(super) fn first(window: &Window<'_>) -> Option<f64> {
    window.samples.first().map(|s| s.value)
}

pub(super) fn last(window: &Window<'_>) -> Option<f64> {
    window.samples.last().map(|s| s.value)
}

pub(super) fn first_at(window: &Window<'_>) -> Option<f64> {
    window.samples.first().map(seconds)
}

pub(super) fn last_at(window: &Window<'_>) -> Option<f64> {
    window.samples.last().map(seconds)
}

pub(super) fn max(window: &Window<'_>) -> Option<f64> {
    furthest(window, |value, best| value > best).map(|s| s.value)
}

pub(super) fn min(window: &Window<'_>) -> Option<f64> {
    furthest(window, |value, best| value < best).map(|s| s.value)
}

pub(super) fn max_at(window: &Window<'_>) -> Option<f64> {
    furthest(window, |value, best| value >= best).map(seconds)
}

pub(super) fn min_at(window: &Window<'_>) -> Option<f64> {
    furthest(window, |value, best| value <= best).map(seconds)
}

/// The sample that beats the others; a NaN loses against any number.
fn furthest<'a>(window: &Window<'a>, beats: impl Fn(f64, f64) -> bool) -> Option<&'a Sample> {
    window.samples.iter().reduce(|best, s| if beats(s.value, best.value) || best.value.is_nan() { s } else { best })
}

fn seconds(sample: &Sample) -> f64 {
    sample.timestamp_ms as f64 / 1_000.0
}

pub(super) fn changes(window: &Window<'_>) -> Option<f64> {
    let differ = |a: f64, b: f64| a != b && !(a.is_nan() && b.is_nan());
    Some(pairs(window, differ))
}

pub(super) fn resets(window: &Window<'_>) -> Option<f64> {
    Some(pairs(window, |before, after| after < before))
}

fn pairs(window: &Window<'_>, counts: impl Fn(f64, f64) -> bool) -> f64 {
    values(window).zip(values(window).skip(1)).filter(|(a, b)| counts(*a, *b)).count() as f64
}

pub(super) fn mad(window: &Window<'_>) -> Option<f64> {
    let mut sorted: Vec<f64> = values(window).collect();
    let median = quantile(0.5, &mut sorted);
    sorted.iter_mut().for_each(|v| *v = (*v - median).abs());
    Some(quantile(0.5, &mut sorted))
}

pub(super) fn deriv(window: &Window<'_>) -> Option<f64> {
    let first = window.samples.first()?;
    regression(window.samples, first.timestamp_ms).map(|(slope, _)| slope)
}

pub(super) fn predict_linear(window: &Window<'_>) -> Option<f64> {
    let ahead = window.args.first()?;
    regression(window.samples, window.at_ms).map(|(slope, intercept)| slope * ahead + intercept)
}

/// Slope per second, and value at `intercept_ms`, of the line with the least squares; needs two samples.
fn regression(samples: &[Sample], intercept_ms: i64) -> Option<(f64, f64)> {
    let [first, _, ..] = samples else { return None };
    if samples.iter().all(|s| s.value == first.value) {
        // Regression over equal values gives noise instead of a flat line.
        return Some(if first.value.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first.value) });
    }
    let (mut sum_x, mut sum_y, mut sum_xy, mut sum_xx) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in samples {
        let x = (sample.timestamp_ms - intercept_ms) as f64 / 1_000.0;
        sum_x.add(x);
        sum_y.add(sample.value);
        sum_xy.add(x * sample.value);
        sum_xx.add(x * x);
    }
    let n = samples.len() as f64;
    let (x, y, xy, xx) = (sum_x.folded(), sum_y.folded(), sum_xy.folded(), sum_xx.folded());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Some((slope, y / n - slope * x / n))
}
