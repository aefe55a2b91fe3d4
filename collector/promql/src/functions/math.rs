//! Functions of one value and some numbers.

use crate::float;

pub(super) fn clamp(value: f64, args: &[f64]) -> Option<f64> {
    let &[low, high] = args else { return None };
    (low <= high || low.is_nan() || high.is_nan()).then(|| float::max(low, float::min(high, value)))
}

pub(super) fn clamp_max(value: f64, args: &[f64]) -> Option<f64> {
    args.first().map(|high| float::min(*high, value))
}

pub(super) fn clamp_min(value: f64, args: &[f64]) -> Option<f64> {
    args.first().map(|low| float::max(*low, value))
}

pub(super) fn round(value: f64, args: &[f64]) -> Option<f64> {
    // Dividing by the inverse is what Prometheus does, for exactness with multiples below one.
    let inverse = 1.0 / args.first().copied().unwrap_or(1.0);
    Some((value * inverse + 0.5).floor() / inverse)
}

pub(super) fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}
