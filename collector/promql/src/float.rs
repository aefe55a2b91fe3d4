//! Arithmetic that has to come out as Prometheus's does.

/// A sum with Neumaier's variant of Kahan's compensation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub sum: f64,
    pub compensation: f64,
}

impl Sum {
    /// A sum that starts at a value.
    pub fn of(value: f64) -> Self {
        Self { sum: value, compensation: 0.0 }
    }

    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.compensation = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.compensation += (self.sum - total) + value;
        } else {
            self.compensation += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub fn value(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.compensation }
    }

    /// Both parts added, also when the sum is infinite.
    pub fn folded(self) -> f64 {
        self.sum + self.compensation
    }
}

/// A mean that is a compensated sum over a count, until the sum would overflow: from there on it moves along.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: f64,
    sum: Sum,
    /// Set once the sum overflowed.
    mean: Option<Sum>,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = Sum::of(value);
            return;
        }
        let before = self.count - 1.0;
        let mut mean = match self.mean {
            Some(mean) => mean,
            None => {
                let mut sum = self.sum;
                sum.add(value);
                if !sum.sum.is_infinite() {
                    self.sum = sum;
                    return;
                }
                Sum { sum: self.sum.sum / before, compensation: self.sum.compensation / before }
            }
        };
        let kept = before / self.count;
        mean = Sum { sum: mean.sum * kept, compensation: mean.compensation * kept };
        mean.add(value / self.count);
        self.mean = Some(mean);
    }

    pub fn value(&self) -> f64 {
        match self.mean {
            Some(mean) => mean.folded(),
            None => self.sum.sum / self.count + self.sum.compensation / self.count,
        }
    }
}

/// A variance by Welford's method, both of its sums compensated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.folded();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.folded()));
    }

    /// Of the population, not of a sample.
    pub fn value(&self) -> f64 {
        self.squares.folded() / self.count
    }
}

/// The φ-quantile with linear interpolation. Sorts the values, a NaN first.
pub(crate) fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let top = values.len() - 1;
    let rank = phi * top as f64;
    let lower = rank.floor().max(0.0);
    let weight = rank - rank.floor();
    let value = |index: usize| values.get(index.min(top)).copied().unwrap_or(f64::NAN);
    // `as` saturates, and the rank lies between 0 and the last index.
    let lower = lower as usize;
    value(lower) * (1.0 - weight) + value(lower + 1) * weight
}

/// The larger one; NaN when one of them is.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller one; NaN when one of them is.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// Prints as `count_values` labels its groups: shortest, never with an exponent.
pub(crate) fn to_label(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

/// Prints as Go's `%g` does in a message.
pub(crate) fn to_message(value: f64) -> String {
    let exponent = if value == 0.0 || !value.is_finite() { 0 } else { value.abs().log10().floor() as i32 };
    if value.is_finite() && !(-4..21).contains(&exponent) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    to_label(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_what_naive_addition_loses() {
        let mut sum = Sum::default();
        [1e16, 1.0, -1e16].into_iter().for_each(|v| sum.add(v));
        assert_eq!(sum.value(), 1.0);
        sum.add(f64::INFINITY);
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn means_do_not_overflow() {
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX, f64::MAX].into_iter().for_each(|v| mean.add(v));
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-12, "{}", mean.value());
        let mut mean = Mean::default();
        [1.0, 2.0, 6.0].into_iter().for_each(|v| mean.add(v));
        assert_eq!(mean.value(), 3.0);
    }

    #[test]
    fn ranks_quantiles() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0, 4.0]), 2.5);
        assert_eq!(quantile(1.0, &mut [3.0, 1.0]), 3.0);
        assert_eq!(quantile(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &mut [1.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
        assert_eq!(quantile(1.0, &mut [1.0, f64::NAN]), 1.0);
    }

    #[test]
    fn prints_numbers() {
        assert_eq!(to_label(1e21), "1000000000000000000000");
        assert_eq!(to_label(0.1), "0.1");
        assert_eq!(to_label(f64::NEG_INFINITY), "-Inf");
        assert_eq!(to_message(1e-7), "1e-07");
        assert_eq!(to_message(1.5), "1.5");
    }
}
