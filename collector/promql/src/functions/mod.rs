//! Every function in one table: name, argument types, evaluator and documentation.
//!
//! To add one, write its evaluator in the file of its kind and add a row to [`FUNCTIONS`].

mod date;
mod histogram;
mod label;
mod math;
mod order;
mod rate;
mod smoothing;
mod whole;
mod window;

pub(crate) use order::nan_last;

use crate::QueryError;
use crate::eval::{Evaluator, Grid, Operand, Window};
use crate::expr::{Call, ValueType};

/// How many arguments a function takes beyond the fixed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optional {
    /// Exactly the declared ones.
    None,
    /// The last one may be left out.
    Last,
    /// The last one may be left out or repeated.
    LastRepeats,
}

/// A function of the language.
#[derive(Debug)]
pub struct Function {
    /// How queries call it.
    pub name: &'static str,
    /// Types of the arguments.
    pub args: &'static [ValueType],
    /// Which of them may be left out or repeated.
    pub optional: Optional,
    /// Type of the result.
    pub returns: ValueType,
    /// Whether it is refused unless [`Options::experimental_functions`](crate::Options) is set.
    pub experimental: bool,
    /// One sentence for completion lists.
    pub doc: &'static str,
    /// Whether it means something for counters only, so that another metric is worth a note.
    pub(crate) for_counters: bool,
    /// Whether the result is still the same metric and so keeps its name.
    pub(crate) keeps_name: bool,
    pub(crate) eval: Eval,
}

/// How a function is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Eval {
    /// From each value alone.
    Value(fn(f64) -> f64),
    /// From each value and the scalar arguments of the same step; `None` leaves the value out.
    ValueWith(fn(f64, &[f64]) -> Option<f64>),
    /// From each value as seconds since the epoch, or from the step's time without an argument.
    Time(fn(time::OffsetDateTime) -> f64),
    /// From the samples of each series in a window that holds at least one.
    Window(fn(&Window<'_>) -> Option<f64>),
    /// From the whole operand.
    Whole(fn(&Evaluator<'_>, &Call, &Grid) -> Result<Operand, QueryError>),
}

use ValueType::{Matrix, Scalar, String as Text, Vector};

impl Function {
    const fn new(name: &'static str, args: &'static [ValueType], returns: ValueType, eval: Eval) -> Self {
        Self {
            name,
            args,
            optional: Optional::None,
            returns,
            experimental: false,
            doc: "",
            for_counters: false,
            keeps_name: false,
            eval,
        }
    }

    const fn value(name: &'static str, eval: fn(f64) -> f64, doc: &'static str) -> Self {
        Self::new(name, &[Vector], Vector, Eval::Value(eval)).doc(doc)
    }

    const fn time(name: &'static str, eval: fn(time::OffsetDateTime) -> f64, doc: &'static str) -> Self {
        Self::new(name, &[Vector], Vector, Eval::Time(eval)).optional(Optional::Last).doc(doc)
    }

    const fn window(name: &'static str, eval: fn(&Window<'_>) -> Option<f64>, doc: &'static str) -> Self {
        Self::new(name, &[Matrix], Vector, Eval::Window(eval)).doc(doc)
    }

    const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    const fn optional(mut self, optional: Optional) -> Self {
        self.optional = optional;
        self
    }

    const fn args(mut self, args: &'static [ValueType]) -> Self {
        self.args = args;
        self
    }

    const fn experimental(mut self) -> Self {
        self.experimental = true;
        self
    }

    const fn for_counters(mut self) -> Self {
        self.for_counters = true;
        self
    }

    const fn keeps_name(mut self) -> Self {
        self.keeps_name = true;
        self
    }
}

/// All functions, ordered by name.
pub static FUNCTIONS: &[Function] = &[
    Function::value("abs", f64::abs, "The absolute value."),
    Function::new("absent", &[Vector], Vector, Eval::Whole(whole::absent))
        .doc("1 where the vector is empty, else nothing."),
    Function::new("absent_over_time", &[Matrix], Vector, Eval::Whole(whole::absent_over_time))
        .doc("1 where the windows are all empty, else nothing."),
    Function::value("acos", f64::acos, "The arccosine, in radians."),
    Function::value("acosh", f64::acosh, "The inverse hyperbolic cosine."),
    Function::value("asin", f64::asin, "The arcsine, in radians."),
    Function::value("asinh", f64::asinh, "The inverse hyperbolic sine."),
    Function::value("atan", f64::atan, "The arctangent, in radians."),
    Function::value("atanh", f64::atanh, "The inverse hyperbolic tangent."),
    Function::window("avg_over_time", window::avg, "The mean of the window."),
    Function::value("ceil", f64::ceil, "Rounds up to a whole number."),
    Function::window("changes", window::changes, "How often the value changed in the window."),
    Function::new("clamp", &[Vector, Scalar, Scalar], Vector, Eval::ValueWith(math::clamp))
        .doc("Limits values to a minimum and a maximum."),
    Function::new("clamp_max", &[Vector, Scalar], Vector, Eval::ValueWith(math::clamp_max))
        .doc("Limits values to a maximum."),
    Function::new("clamp_min", &[Vector, Scalar], Vector, Eval::ValueWith(math::clamp_min))
        .doc("Limits values to a minimum."),
    Function::value("cos", f64::cos, "The cosine of radians."),
    Function::value("cosh", f64::cosh, "The hyperbolic cosine."),
    Function::window("count_over_time", window::count, "How many samples the window holds."),
    Function::time("day_of_month", date::day_of_month, "The day of the month, 1 to 31, in UTC."),
    Function::time("day_of_week", date::day_of_week, "The day of the week, 0 for Sunday to 6, in UTC."),
    Function::time("day_of_year", date::day_of_year, "The day of the year, 1 to 366, in UTC."),
    Function::time("days_in_month", date::days_in_month, "How many days the month has, 28 to 31, in UTC."),
    Function::value("deg", f64::to_degrees, "Radians as degrees."),
    Function::window("delta", rate::delta, "The difference over the window, extrapolated to its bounds; for gauges."),
    Function::window("deriv", window::deriv, "The slope per second, by linear regression; for gauges."),
    Function::new(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Vector,
        Eval::Whole(smoothing::double_exponential),
    )
    .experimental()
    .doc("The window smoothed with a smoothing and a trend factor."),
    Function::new("end", &[], Scalar, Eval::Whole(whole::end)).experimental().doc("The end of the query, in seconds."),
    Function::value("exp", f64::exp, "e to the power of the value."),
    Function::window("first_over_time", window::first, "The oldest value in the window.").keeps_name(),
    Function::value("floor", f64::floor, "Rounds down to a whole number."),
    Function::new("histogram_avg", &[Vector], Vector, Eval::Whole(histogram::of_native))
        .doc("The mean of observations in a native histogram."),
    Function::new("histogram_count", &[Vector], Vector, Eval::Whole(histogram::of_native))
        .doc("The number of observations in a native histogram."),
    Function::new("histogram_fraction", &[Scalar, Scalar, Vector], Vector, Eval::Whole(histogram::fraction))
        .doc("The estimated share of observations between two values."),
    Function::new("histogram_quantile", &[Scalar, Vector], Vector, Eval::Whole(histogram::quantile))
        .doc("The estimated quantile of a histogram's observations."),
    Function::new("histogram_stddev", &[Vector], Vector, Eval::Whole(histogram::of_native))
        .doc("The estimated standard deviation of observations in a native histogram."),
    Function::new("histogram_stdvar", &[Vector], Vector, Eval::Whole(histogram::of_native))
        .doc("The estimated variance of observations in a native histogram."),
    Function::new("histogram_sum", &[Vector], Vector, Eval::Whole(histogram::of_native))
        .doc("The sum of observations in a native histogram."),
    Function::time("hour", date::hour, "The hour of the day, 0 to 23, in UTC."),
    Function::window("idelta", rate::idelta, "The difference between the last two samples; for gauges."),
    Function::window(
        "increase",
        rate::increase,
        "The increase over the window, extrapolated to its bounds; for counters.",
    )
    .for_counters(),
    Function::window("irate", rate::irate, "The increase per second between the last two samples; for counters."),
    Function::new("label_join", &[Vector, Text, Text, Text], Vector, Eval::Whole(label::join))
        .optional(Optional::LastRepeats)
        .doc("Sets a label to the values of others with a separator between them."),
    Function::new("label_replace", &[Vector, Text, Text, Text, Text], Vector, Eval::Whole(label::replace))
        .doc("Sets a label to a replacement where a regular expression matches another label."),
    Function::window("last_over_time", window::last, "The newest value in the window.").keeps_name(),
    Function::value("ln", f64::ln, "The natural logarithm."),
    Function::value("log10", f64::log10, "The decimal logarithm."),
    Function::value("log2", f64::log2, "The binary logarithm."),
    Function::window("mad_over_time", window::mad, "The median absolute deviation of the window.").experimental(),
    Function::new("max_of", &[Scalar, Scalar], Scalar, Eval::Whole(whole::max_of))
        .experimental()
        .doc("The larger number."),
    Function::window("max_over_time", window::max, "The largest value in the window."),
    Function::new("min_of", &[Scalar, Scalar], Scalar, Eval::Whole(whole::min_of))
        .experimental()
        .doc("The smaller number."),
    Function::window("min_over_time", window::min, "The smallest value in the window."),
    Function::time("minute", date::minute, "The minute of the hour, 0 to 59, in UTC."),
    Function::time("month", date::month, "The month, 1 to 12, in UTC."),
    Function::new("pi", &[], Scalar, Eval::Whole(whole::pi)).doc("π."),
    Function::window(
        "predict_linear",
        window::predict_linear,
        "The value so many seconds from now, by linear regression; for gauges.",
    )
    .args(&[Matrix, Scalar]),
    Function::window("present_over_time", window::present, "1 where the window holds a sample."),
    Function::new("quantile_over_time", &[Scalar, Matrix], Vector, Eval::Whole(whole::quantile_over_time))
        .doc("The quantile of the window."),
    Function::value("rad", f64::to_radians, "Degrees as radians."),
    Function::new("range", &[], Scalar, Eval::Whole(whole::range))
        .experimental()
        .doc("The length of the query, in seconds."),
    Function::window(
        "rate",
        rate::rate,
        "The increase per second over the window, extrapolated to its bounds; for counters.",
    )
    .for_counters(),
    Function::window("resets", window::resets, "How often the counter was reset in the window."),
    Function::new("round", &[Vector, Scalar], Vector, Eval::ValueWith(math::round))
        .optional(Optional::Last)
        .doc("Rounds to the nearest multiple, of 1 unless another is given."),
    Function::new("scalar", &[Vector], Scalar, Eval::Whole(whole::scalar))
        .doc("The value of the only series, or NaN when there is not exactly one."),
    Function::value("sgn", math::sgn, "The sign: 1, 0 or -1."),
    Function::value("sin", f64::sin, "The sine of radians."),
    Function::value("sinh", f64::sinh, "The hyperbolic sine."),
    Function::new("sort", &[Vector], Vector, Eval::Whole(order::ascending)).doc("Orders by value, smallest first."),
    Function::new("sort_by_label", &[Vector, Text], Vector, Eval::Whole(order::by_label))
        .optional(Optional::LastRepeats)
        .experimental()
        .doc("Orders by labels, numbers in them by their size."),
    Function::new("sort_by_label_desc", &[Vector, Text], Vector, Eval::Whole(order::by_label_descending))
        .optional(Optional::LastRepeats)
        .experimental()
        .doc("Orders by labels, last first."),
    Function::new("sort_desc", &[Vector], Vector, Eval::Whole(order::descending))
        .doc("Orders by value, largest first."),
    Function::value("sqrt", f64::sqrt, "The square root."),
    Function::new("start", &[], Scalar, Eval::Whole(whole::start))
        .experimental()
        .doc("The start of the query, in seconds."),
    Function::window("stddev_over_time", window::stddev, "The standard deviation of the window."),
    Function::window("stdvar_over_time", window::stdvar, "The variance of the window."),
    Function::new("step", &[], Scalar, Eval::Whole(whole::step))
        .experimental()
        .doc("The step of the query, in seconds."),
    Function::window("sum_over_time", window::sum, "The sum of the window."),
    Function::value("tan", f64::tan, "The tangent of radians."),
    Function::value("tanh", f64::tanh, "The hyperbolic tangent."),
    Function::new("time", &[], Scalar, Eval::Whole(whole::time))
        .doc("The time of the step, in seconds since the epoch."),
    Function::new("timestamp", &[Vector], Vector, Eval::Whole(whole::timestamp))
        .doc("When each sample was taken, in seconds since the epoch."),
    Function::window("ts_of_first_over_time", window::first_at, "When the oldest sample of the window was taken.")
        .experimental(),
    Function::window("ts_of_last_over_time", window::last_at, "When the newest sample of the window was taken.")
        .experimental(),
    Function::window("ts_of_max_over_time", window::max_at, "When the largest value of the window was last seen.")
        .experimental(),
    Function::window("ts_of_min_over_time", window::min_at, "When the smallest value of the window was last seen.")
        .experimental(),
    Function::new("vector", &[Scalar], Vector, Eval::Whole(whole::vector))
        .doc("The number as a series without labels."),
    Function::time("year", date::year, "The year, in UTC."),
];

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().and_then(|at| FUNCTIONS.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_documented_and_complete() {
        assert!(FUNCTIONS.windows(2).all(|w| w[0].name < w[1].name), "out of order");
        for function in FUNCTIONS {
            assert!(function.doc.ends_with('.'), "{} has no documentation", function.name);
            assert!(std::ptr::eq(find(function.name).unwrap(), function));
        }
        assert_eq!(FUNCTIONS.iter().filter(|f| !f.experimental).count(), 73, "Prometheus has 73 stable functions");
    }
}
