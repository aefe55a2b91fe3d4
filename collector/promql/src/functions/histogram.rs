//! Quantiles and shares of classic histograms, whose buckets are series with an `le` label.

use collector_model::{Labels, METRIC_NAME};
use hashbrown::HashMap;

use crate::QueryError;
use crate::eval::{ABSENT, Column, Columns, Evaluator, Grid, Operand, is_present};
use crate::expr::{Call, Grouping};

/// Relative difference between the counts of neighbouring buckets that is taken for a rounding error.
const SMALL_DELTA: f64 = 1e-12;

/// Functions of native histograms only: floats give nothing.
pub(super) fn of_native(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    evaluator.vector_arg(call, 0, grid)?;
    evaluator.columns(Vec::new()).map(Operand::Vector)
}

pub(super) fn quantile(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    let phis = evaluator.scalar_arg(call, 0, grid)?;
    for phi in &phis {
        evaluator.note(|notes| notes.quantile_out_of_range(*phi));
    }
    let columns = evaluator.vector_arg(call, 1, grid)?;
    per_histogram(evaluator, grid, &columns, |step, metric, buckets| {
        let phi = phis.get(step).copied().unwrap_or(f64::NAN);
        let (value, forced) = bucket_quantile(phi, buckets);
        if forced {
            evaluator.note(|notes| notes.forced_monotonicity(metric));
        }
        value
    })
}

pub(super) fn fraction(evaluator: &Evaluator<'_>, call: &Call, grid: &Grid) -> Result<Operand, QueryError> {
    let lowers = evaluator.scalar_arg(call, 0, grid)?;
    let uppers = evaluator.scalar_arg(call, 1, grid)?;
    let columns = evaluator.vector_arg(call, 2, grid)?;
    per_histogram(evaluator, grid, &columns, |step, _, buckets| {
        let bound = |bounds: &[f64]| bounds.get(step).copied().unwrap_or(f64::NAN);
        bucket_fraction(bound(&lowers), bound(&uppers), buckets)
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// Groups bucket series into histograms and computes one value for each at every step that has buckets.
fn per_histogram(
    evaluator: &Evaluator<'_>,
    grid: &Grid,
    columns: &Columns,
    compute: impl Fn(usize, &str, &mut Vec<Bucket>) -> f64,
) -> Result<Operand, QueryError> {
    let mut order: Vec<(Labels, Vec<(f64, &Column)>)> = Vec::new();
    let mut known: HashMap<Labels, usize> = HashMap::new();
    for column in &columns.series {
        let le = column.labels.get("le").unwrap_or("");
        let Some(upper) = parse_bound(le) else {
            evaluator.note(|notes| notes.bad_bucket_label(column.labels.metric_name(), le));
            continue;
        };
        let key = Labels::from_sorted(column.labels.iter().filter(|(name, _)| *name != "le"));
        let index = *known.entry(key.clone()).or_insert_with(|| {
            order.push((key, Vec::new()));
            order.len() - 1
        });
        if let Some((_, buckets)) = order.get_mut(index) {
            buckets.push((upper, column));
        }
    }
    let mut results = Vec::with_capacity(order.len());
    let mut buckets = Vec::new();
    for (labels, members) in order {
        evaluator.check_canceled()?;
        let metric = labels.get(METRIC_NAME).unwrap_or("");
        let mut values = vec![ABSENT; grid.steps];
        for (step, out) in values.iter_mut().enumerate() {
            buckets.clear();
            buckets.extend(members.iter().filter_map(|(upper, column)| {
                let count = column.values.get(step).copied().filter(|v| is_present(*v))?;
                Some(Bucket { upper: *upper, count })
            }));
            if !buckets.is_empty() {
                *out = compute(step, metric, &mut buckets);
            }
        }
        results.push(Column { labels: Grouping::Except(Vec::new()).key(&labels), values });
    }
    evaluator.columns(results)?.merge_same_labels().map(Operand::Vector)
}

/// Reads a bound as Go reads numbers.
fn parse_bound(le: &str) -> Option<f64> {
    le.parse().ok()
}

/// Orders buckets, adds up those with the same bound, and says whether the last one is infinite.
fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    buckets.last().is_some_and(|b| b.upper == f64::INFINITY)
}

/// Makes counts rise with the bounds; says whether more than rounding errors had to be mended.
fn force_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let mut before = f64::NEG_INFINITY;
    for bucket in buckets {
        if before == f64::NEG_INFINITY || bucket.count == before {
            before = bucket.count;
        } else if almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

/// The estimated quantile, and whether counts had to be forced to rise.
fn bucket_quantile(phi: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if phi.is_nan() {
        return (f64::NAN, false);
    }
    if phi < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if phi > 1.0 {
        return (f64::INFINITY, false);
    }
    if !prepare(buckets) {
        return (f64::NAN, false);
    }
    let forced = force_monotonic(buckets);
    (interpolate(phi, buckets), forced)
}

fn interpolate(phi: f64, buckets: &[Bucket]) -> f64 {
    let [.., second_last, last] = buckets else { return f64::NAN };
    let total = last.count;
    if total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    let mut rank = phi * total;
    let at = buckets.partition_point(|b| b.count < rank).min(buckets.len() - 1);
    if at == buckets.len() - 1 {
        return second_last.upper;
    }
    let Some(bucket) = buckets.get(at) else { return f64::NAN };
    let Some(below) = at.checked_sub(1).and_then(|i| buckets.get(i)) else {
        // The lowest bucket starts at zero, unless it lies below zero and so has no start.
        return if bucket.upper <= 0.0 { bucket.upper } else { bucket.upper * (rank / bucket.count) };
    };
    rank -= below.count;
    below.upper + (bucket.upper - below.upper) * (rank / (bucket.count - below.count))
}

/// The estimated share of observations in `[lower, upper]`.
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !prepare(buckets) || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    let total = buckets.last().map_or(0.0, |b| b.count);
    if total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / total
}

/// How many observations lie below a value, interpolated in its bucket.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let (mut start, mut below) = (f64::NEG_INFINITY, 0.0);
    for (index, bucket) in buckets.iter().enumerate() {
        if index == 0 && bucket.upper > 0.0 {
            start = 0.0;
        }
        if value <= start {
            return below;
        }
        if value < bucket.upper {
            // Without a finite start or end nothing says where in the bucket the observations lie.
            let inside = if start.is_finite() && bucket.upper.is_finite() {
                (bucket.count - below) * ((value - start) / (bucket.upper - start))
            } else if bucket.upper.is_finite() {
                bucket.count - below
            } else {
                0.0
            };
            return below + inside;
        }
        (start, below) = (bucket.upper, bucket.count);
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(of: &[(f64, f64)]) -> Vec<Bucket> {
        of.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[track_caller]
    fn check(phi: f64, of: &[(f64, f64)], want: f64) {
        let (have, _) = bucket_quantile(phi, &mut buckets(of));
        assert!(have == want || (have.is_nan() && want.is_nan()), "{phi} of {of:?} is {have}, not {want}");
    }

    #[test]
    fn interpolates_quantiles() {
        let inf = f64::INFINITY;
        check(0.5, &[(1.0, 2.0), (2.0, 4.0), (inf, 4.0)], 1.0);
        check(0.75, &[(1.0, 2.0), (2.0, 4.0), (inf, 4.0)], 1.5);
        check(0.25, &[(1.0, 2.0), (inf, 4.0)], 0.5);
        check(1.0, &[(1.0, 2.0), (2.0, 3.0), (inf, 4.0)], 2.0);
        check(0.1, &[(-1.0, 2.0), (2.0, 3.0), (inf, 4.0)], -1.0);
        check(0.5, &[(1.0, 0.0), (inf, 0.0)], f64::NAN);
        check(0.5, &[(1.0, 1.0), (2.0, 2.0)], f64::NAN);
        check(0.5, &[(inf, 2.0)], f64::NAN);
        check(2.0, &[(inf, 2.0)], inf);
        check(0.5, &[(2.0, 1.0), (1.0, 1.0), (2.0, 1.0), (inf, 2.0)], 1.0);
    }

    #[test]
    fn mends_counts_that_fall() {
        let mut small = buckets(&[(1.0, 1.0), (2.0, 1.0 - 1e-15), (3.0, 2.0)]);
        assert!(!force_monotonic(&mut small));
        assert_eq!(small[1].count, 1.0);
        let mut large = buckets(&[(1.0, 2.0), (2.0, 1.0), (3.0, 3.0)]);
        assert!(force_monotonic(&mut large));
        assert_eq!(large[1].count, 2.0);
    }

    #[test]
    fn shares_of_observations() {
        let of = [(1.0, 2.0), (2.0, 4.0), (f64::INFINITY, 8.0)];
        assert_eq!(bucket_fraction(0.0, 1.0, &mut buckets(&of)), 0.25);
        assert_eq!(bucket_fraction(0.5, 1.5, &mut buckets(&of)), 0.25);
        assert_eq!(bucket_fraction(2.0, f64::INFINITY, &mut buckets(&of)), 0.5);
        assert_eq!(bucket_fraction(2.0, 1.0, &mut buckets(&of)), 0.0);
        assert!(bucket_fraction(f64::NAN, 1.0, &mut buckets(&of)).is_nan());
    }
}
