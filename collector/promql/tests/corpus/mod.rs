//! Queries over the samples of `support`.

/// What 2.42 answers otherwise than 3.x, with the reason. Each of them is checked to differ still.
pub const CHANGED_SINCE_2_42: &[(&str, &str)] = &[
    ("temperature atan2 on(room) group_left limit", "atan2 drops the metric name since 3.x"),
    ("1_000 * 2", "digit separators are new"),
    ("5m", "a duration is a number of seconds"),
    ("first_over_time(temperature[5m])", "the function is new"),
    ("{\"temperature\", room=\"attic\"}", "quoted metric names are new"),
    ("stddev(limit{room=\"moon\"})", "an infinite value makes the deviation NaN; 2.42 gives 0 for a single one"),
    ("stddev(temperature) by (floor)", "as with infinite values: NaN for a single NaN"),
    ("stdvar(temperature) by (floor)", "as with infinite values: NaN for a single NaN"),
    ("temperature atan2 3", "atan2 drops the metric name since 3.x"),
    ("3 atan2 temperature", "atan2 drops the metric name since 3.x"),
    ("rate(temperature[10m:])", "the way to zero is only considered after the threshold"),
    ("increase(temperature[10m:])", "the way to zero is only considered after the threshold"),
    ("histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))", "as with rate"),
    ("histogram_fraction(0, 0.5, latency_seconds_bucket)", "fractions of classic histograms are new"),
];

const VALUE_FUNCTIONS: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "exp",
    "ln",
    "log2",
    "log10",
    "sqrt",
    "sgn",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "deg",
    "rad",
    "round",
    "sort",
    "sort_desc",
    "absent",
    "timestamp",
    "scalar",
];

const WINDOW_FUNCTIONS: &[&str] = &[
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "absent_over_time",
];

const DATE_FUNCTIONS: &[&str] =
    &["minute", "hour", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "month", "year"];

const AGGREGATIONS: &[&str] = &["sum", "avg", "min", "max", "group", "count", "stddev", "stdvar"];

const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<="];

/// All queries that must give the same.
pub fn queries() -> Vec<String> {
    let mut all: Vec<String> = PLAIN.iter().map(|q| (*q).to_owned()).collect();
    for function in VALUE_FUNCTIONS {
        all.push(format!("{function}(temperature)"));
        all.push(format!("{function}(limit{{room!=\"moon\"}} / 21)"));
    }
    for function in WINDOW_FUNCTIONS {
        for window in [
            "http_requests_total{job=\"api\"}[5m]",
            "temperature[4m]",
            "sparse[10m]",
            "late_total[7m]",
            "slow[3m]",
            "limit[2m]",
            "steps[15m]",
            "(sum by (job) (up))[10m:50s]",
            "temperature[10m:]",
        ] {
            all.push(format!("{function}({window})"));
        }
    }
    for function in DATE_FUNCTIONS {
        all.push(format!("{function}()"));
        all.push(format!("{function}(clock_seconds)"));
    }
    for aggregation in AGGREGATIONS {
        for grouping in ["", " by (job)", " without (code)", " by (code, nothing)"] {
            all.push(format!("{aggregation}{grouping} (http_requests_total)"));
        }
        all.push(format!("{aggregation}(temperature) by (floor)"));
        all.push(format!("{aggregation}(sparse)"));
        all.push(format!("{aggregation}(rate(http_requests_total[2m])) without(instance)"));
        all.push(format!("{aggregation}(nothing_there)"));
    }
    for operator in OPERATORS {
        all.push(format!("temperature {operator} on(room) limit"));
        all.push(format!("limit {operator} 5"));
        all.push(format!("5 {operator} limit"));
        all.push(format!("http_requests_total {operator} on(job, instance) group_left up"));
        all.push(format!("up {operator} ignoring(code) group_right http_requests_total"));
        all.push(format!("temperature {operator} nothing_there"));
    }
    for comparison in ["==", "!=", ">", "<", ">=", "<="] {
        all.push(format!("temperature {comparison} bool 3"));
        all.push(format!("3 {comparison} bool temperature"));
        all.push(format!("2 {comparison} bool 3"));
        all.push(format!("temperature {comparison} bool on(room) limit"));
    }
    all.retain(|query| CHANGED_SINCE_2_42.iter().all(|(changed, _)| changed != query));
    all
}

const PLAIN: &[&str] = &[
    // Literals and selectors.
    "1",
    "-1",
    "1 + 2 * 3 ^ 2 ^ 0.5 % 7",
    "-2 ^ 2",
    "Inf",
    "-Inf",
    "NaN",
    "0x1F",
    "1e3",
    "\"text\"",
    "time()",
    "pi()",
    "up",
    "UP",
    "{__name__=~\"up|limit\"}",
    "{__name__=~\"lat.*\", le=\"0.5\"}",
    "up{job=\"api\"}",
    "up{job!=\"api\"}",
    "up{job=~\"a.*|db\"}",
    "up{job!~\"a.*\"}",
    "up{job=~\"api\",job!~\"x\"}",
    "up{nothing=\"\"}",
    "up{nothing!=\"\"}",
    "up{job=~\".+\",instance=~\"a:.*\"}",
    "sparse",
    "sparse offset 5m",
    "sparse offset -5m",
    "sparse @ 1700001000",
    "sparse @ start()",
    "sparse @ end()",
    "sparse @ 1700001000 offset 3m",
    "http_requests_total offset 1m",
    "sparse[5m]",
    "temperature[1m] offset 30s",
    "sparse[10m] @ 1700001800",
    "temperature{room=\"attic\"}[5m:1m]",
    "rate(http_requests_total[1m])[5m:30s]",
    // Errors.
    "rate(up)",
    "sum(up[5m])",
    "{}",
    "{job=~\".*\"}",
    "up{",
    "1 +",
    "nope(up)",
    "1 > 2",
    "up and 1",
    "up == on(job) (",
    "http_requests_total + on(job) up",
    "http_requests_total + on(job) http_requests_total",
    "up * on(job) http_requests_total",
    "up * on(job) group_right(code) up * on(job) group_left up",
    "sum by (code) (http_requests_total) + on() sum by (job) (http_requests_total)",
    "rate({__name__=~\"latency_seconds_sum|latency_seconds_count\"}[5m])",
    "{__name__=~\"latency_seconds_sum|latency_seconds_count\"} * 2",
    "histogram_quantile(0.5, {__name__=~\"latency_seconds_.*\"})",
    // Offsets and fixed times inside functions.
    "rate(http_requests_total[5m] offset 2m)",
    "rate(http_requests_total[5m] @ 1700002000)",
    "sum(rate(http_requests_total[5m] @ end())) by (job)",
    "increase(late_total[30m])",
    "increase(late_total[5m])",
    "rate(late_total[40m])",
    "max_over_time(rate(http_requests_total{code=\"200\"}[2m])[10m:30s])",
    "avg_over_time((temperature > 0)[10m:20s])",
    "sum_over_time(up[5m] offset 10m)",
    "min_over_time(sum(up)[10m:45s] offset 3m)",
    "max_over_time(sum(up)[10m:45s] @ 1700002000)",
    "deriv(free_bytes[10m])",
    "predict_linear(free_bytes[10m], 3600)",
    "predict_linear(free_bytes[10m] offset 1m, 60)",
    "predict_linear(flat_total[5m], 100)",
    "deriv(flat_total[5m])",
    "deriv(limit[5m])",
    "quantile_over_time(0.9, temperature[5m])",
    "quantile_over_time(0, temperature[5m])",
    "quantile_over_time(1.5, temperature[5m])",
    "quantile_over_time(-1, temperature[5m])",
    "quantile_over_time(scalar(up{job=\"api\"}), temperature[5m])",
    // Clamping and rounding.
    "clamp(temperature, -5, 5)",
    "clamp(temperature, 5, -5)",
    "clamp_min(temperature, 3)",
    "clamp_max(temperature, 3)",
    "clamp_max(temperature, NaN)",
    "round(temperature, 0.5)",
    "round(temperature, 10)",
    "round(temperature * -1)",
    // Labels.
    "label_replace(with_text, \"name\", \"$1\", \"path\", \"/(.)/.*\")",
    "label_replace(with_text, \"name\", \"${letter}x\", \"path\", \"/(?P<letter>.)/.*\")",
    "label_replace(with_text, \"name\", \"x\", \"path\", \"nomatch\")",
    "label_replace(with_text, \"empty_like\", \"\", \"path\", \".*\")",
    "label_replace(with_text, \"path\", \"same\", \"path\", \".*\")",
    "label_replace(up, \"job\", \"same\", \"job\", \".*\")",
    "label_replace(up, \"__name__\", \"down\", \"job\", \"api\")",
    "label_replace(up, \"x\", \"y\", \"z\", \"(\")",
    "label_join(with_text, \"both\", \"-\", \"path\", \"empty_like\")",
    "label_join(with_text, \"both\", \"-\")",
    "label_join(with_text, \"path\", \"\", \"nothing\")",
    "label_join(up, \"job\", \",\", \"instance\")",
    // Histograms.
    "histogram_quantile(0.5, latency_seconds_bucket)",
    "histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))",
    "histogram_quantile(0.99, sum by (le) (rate(latency_seconds_bucket[5m])))",
    "histogram_quantile(0, latency_seconds_bucket)",
    "histogram_quantile(1, latency_seconds_bucket)",
    "histogram_quantile(2, latency_seconds_bucket)",
    "histogram_quantile(-1, latency_seconds_bucket)",
    "histogram_quantile(NaN, latency_seconds_bucket)",
    "histogram_quantile(0.5, latency_seconds_bucket{le!=\"+Inf\"})",
    "histogram_quantile(0.5, up)",
    "histogram_quantile(0.01, latency_seconds_bucket * -1)",
    "histogram_count(up)",
    "histogram_sum(up)",
    // Aggregations with parameters.
    "topk(2, http_requests_total)",
    "topk(1, http_requests_total) by (job)",
    "bottomk(2, temperature)",
    "topk(0, up)",
    "topk(-1, up)",
    "topk(100, up)",
    "topk(scalar(sum(up)), temperature)",
    "topk(2, nothing_there)",
    "bottomk by (code) (1, rate(http_requests_total[5m]))",
    "topk without (instance, code) (1, http_requests_total)",
    "quantile(0.5, temperature)",
    "quantile by (job) (0.9, http_requests_total)",
    "quantile(-1, temperature)",
    "quantile(2, temperature)",
    "quantile(NaN, temperature)",
    "count_values(\"value\", up)",
    "count_values(\"value\", limit)",
    "count_values by (job) (\"v\", up)",
    "count_values without (job) (\"v\", up)",
    "count_values(\"job\", up) by (job)",
    "count_values(\"v\", temperature * 1e-9)",
    // Matching.
    "http_requests_total * on(instance) group_left(version) build_info",
    "build_info * on(instance) group_right(version, os) http_requests_total",
    "http_requests_total * on(instance) group_left(job) build_info",
    "sum by (instance) (http_requests_total) / on(instance) sum by (instance) (http_requests_total{code=\"200\"})",
    "temperature and on(room) limit",
    "temperature and on() up",
    "temperature and limit",
    "temperature unless on(room) limit",
    "temperature unless on() nothing_there",
    "limit or on(room) temperature",
    "temperature or limit",
    "up or on() vector(1)",
    "nothing_there or vector(0)",
    "vector(1) or up",
    "up and up{job=\"api\"}",
    "up unless up{job=\"api\"}",
    "temperature > 5 and temperature < 15",
    "temperature > on(room) limit",
    "temperature > bool on(room) limit",
    "sparse and sparse{kind=\"gaps\"}",
    "sparse or up",
    "sparse unless on() sparse{kind=\"begins\"}",
    "sparse + sparse",
    "sparse - ignoring(kind) group_left sparse{kind=\"gaps\"}",
    "-temperature",
    "--temperature",
    "+up",
    "-up ^ 2",
    "2 ^ -up",
    "vector(1) == vector(1)",
    "vector(time())",
    "scalar(up)",
    "scalar(clock_seconds)",
    "up * 0 / 0",
    "1 / (up * 0)",
    "temperature * 1e308 * 10",
    "10 atan2 3",
    "temperature atan2 3",
    "3 atan2 temperature",
    // Absence.
    "absent(nothing_there)",
    "absent(nothing_there{a=\"b\",c=~\"d\",e!=\"f\"})",
    "absent(nothing{a=\"b\",a=\"c\",d=\"e\"})",
    "absent(sum(nothing_there{a=\"b\"}))",
    "absent(up)",
    "absent(sparse{kind=\"gaps\"})",
    "absent_over_time(nothing_there{a=\"b\"}[5m])",
    "absent_over_time(sparse{kind=\"gaps\"}[2m])",
    "absent_over_time((nothing_there{a=\"b\"})[5m:1m])",
    "absent(absent(up))",
    // Timestamps.
    "timestamp(sparse)",
    "timestamp(up offset 1m)",
    "timestamp(up + 0)",
    "timestamp(timestamp(up))",
    "timestamp((up))",
    "time() - timestamp(slow)",
    "timestamp(up @ 1700001000)",
    "timestamp(vector(1))",
    // As dashboards ask.
    "100 - avg by (instance) (rate(http_requests_total{code=\"200\"}[5m])) * 100",
    "sum(rate(http_requests_total{code=~\"5..\"}[5m])) / sum(rate(http_requests_total[5m])) > 0",
    "count(count by (job) (up))",
    "sort_desc(sum(rate(http_requests_total[5m])) by (job))",
    "SUM(rate(http_requests_total[5m])) BY (job)",
    "avg(temperature) WITHOUT (room)",
    "time() - clock_seconds > 0",
    "changes(up[1h]) > 2",
    "max(up) by (job) == 0",
    "ALERTS",
    "avg_over_time(sum by (job) (rate(http_requests_total[1m]))[30m:1m])",
    "label_replace(sum by (instance) (up), \"host\", \"$1\", \"instance\", \"(.*):.*\") * on(host) group_left() vector(1)",
    "sum by (job) (http_requests_total) / ignoring(job) group_left sum(http_requests_total)",
    "stddev by (job) (http_requests_total)",
    "count without (code, instance) (http_requests_total > 2000)",
    "(temperature > 0) * 2 + 1",
    "sum(temperature{room=~\"attic|hall\"})",
    "group(up) by (job)",
    "days_in_month(vector(1709251200))",
    "day_of_year(vector(1709251200))",
    "month(vector(-86400))",
    "year(vector(0.9))",
    "day_of_week(vector(-1.5))",
    "minute(up * 59.9)",
    "hour(vector(1e9))",
    "sum_over_time(limit{room=\"hall\"}[1m:10s])",
    "count_over_time(up[1m:7s])",
    "last_over_time(up[1m:7s] offset 1m)",
    "rate(http_requests_total[1m:])",
    "quantile_over_time(0.5, (up * 2)[5m:30s])",
    "resets(steps[1h])",
];
