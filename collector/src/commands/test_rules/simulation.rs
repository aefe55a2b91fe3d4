//! Runs a unit test file: feeds the input series step by step, evaluates the groups, compares.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use collector_model::{Append, Clock, Labels, PromDuration, RefSample, TimestampMs};
use collector_promql::{Engine, Limits, Options, QueryError, Value, series_notation};
use collector_ruler::{AlertState, Group, Ports, RuleFile, Settings};

use super::file::{AlertTest, ExprTest, TestCase, TestFile};
use super::report;
use super::window::TestWindow;
use crate::commands::{chain, check_rules};

/// Runs the tests of one file whose names match one of `wanted` (all when it is empty).
///
/// # Errors
/// One text for each thing that failed, ready to be printed.
pub(super) fn run_file(path: &Path, wanted: &[regex::Regex]) -> Result<(), Vec<String>> {
    let one = |error: String| vec![error];
    let text = std::fs::read_to_string(path).map_err(|error| one(format!("{}: {error}", path.display())))?;
    let in_one_line = |error: serde_yaml_ng::Error| error.to_string().replace(char::is_control, " ");
    let file: TestFile =
        serde_yaml_ng::from_str(&text).map_err(|error| one(format!("{}: {}", path.display(), in_one_line(error))))?;
    let order = evaluation_order(&file.group_eval_order).map_err(one)?;
    let wanted = |case: &&TestCase| wanted.is_empty() || wanted.iter().any(|pattern| pattern.is_match(&case.name));
    let cases: Vec<&TestCase> = file.tests.iter().filter(wanted).collect();
    // Rule files are read for tests alone, as promtool does it.
    let rules = if cases.is_empty() { Vec::new() } else { rule_files(path, &file.rule_files)? };
    let mut failures = Vec::new();
    for case in cases {
        let run = Case { file: &file, case, order: &order };
        failures.extend(run.run(&rules).err().into_iter().flatten());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// The rule files that the patterns name, from the folder of the test file.
fn rule_files(test_file: &Path, patterns: &[String]) -> Result<Vec<RuleFile>, Vec<String>> {
    let folder = test_file.parent().unwrap_or(Path::new(""));
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    for pattern in patterns {
        let whole = folder.join(pattern);
        let paths = match glob::glob(&whole.to_string_lossy()) {
            Ok(paths) => paths,
            Err(error) => {
                failures.push(format!("{}: {error}", whole.display()));
                continue;
            }
        };
        let mut any = false;
        for path in paths.flatten() {
            any = true;
            match check_rules::load(&path) {
                Ok(file) => files.push(file),
                Err(message) => failures.push(message),
            }
        }
        if !any {
            eprintln!("  WARNING: no file match pattern {}", whole.display());
        }
    }
    if failures.is_empty() { Ok(files) } else { Err(failures) }
}

fn evaluation_order(names: &[String]) -> Result<BTreeMap<&str, usize>, String> {
    let mut order = BTreeMap::new();
    for (position, name) in names.iter().enumerate() {
        if order.insert(name.as_str(), position).is_some() {
            return Err(format!("group name repeated in evaluation order: {name}"));
        }
    }
    Ok(order)
}

/// The time of the simulation.
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now_ms(&self) -> TimestampMs {
        self.0.load(Ordering::Relaxed)
    }
}

struct Case<'a> {
    file: &'a TestFile,
    case: &'a TestCase,
    order: &'a BTreeMap<&'a str, usize>,
}

impl Case<'_> {
    fn run(&self, rules: &[RuleFile]) -> Result<(), Vec<String>> {
        let window = Arc::new(TestWindow::default());
        let engine = Engine::new(Options {
            default_subquery_step_ms: self.file.evaluation_interval.as_millis(),
            ..Options::default()
        });
        let query = {
            let window = Arc::clone(&window);
            move |expr: &str, at_ms: TimestampMs| {
                engine.instant(expr, at_ms, window.as_ref(), &Limits::default()).map(|result| result.value)
            }
        };
        let query = Arc::new(query);
        let clock = Arc::new(TestClock(AtomicI64::new(self.case.start_timestamp)));
        let ports = Ports { query: query.clone(), append: window.clone(), clock: clock.clone() };

        let mut feed = self.feed(&window).map_err(|error| vec![error])?;
        let mut groups = self.groups(rules);
        let mut failures = Vec::new();
        let step_ms = self.file.evaluation_interval.as_millis().max(1);
        let start_ms = self.case.start_timestamp;
        let end_ms = start_ms + self.last_eval_time().as_millis();
        let mut at_ms = start_ms;
        while at_ms <= end_ms {
            clock.0.store(at_ms, Ordering::Relaxed);
            feed.until(at_ms, &window).map_err(|error| vec![error])?;
            let errors = evaluate(&mut groups, at_ms, start_ms, &ports);
            if !errors.is_empty() {
                return Err(errors);
            }
            let since_start = at_ms - start_ms..at_ms - start_ms + step_ms;
            let mut due: Vec<&AlertTest> =
                self.case.alert_rule_test.iter().filter(|t| since_start.contains(&t.eval_time.as_millis())).collect();
            due.sort_by_key(|test| test.eval_time);
            failures.extend(due.into_iter().filter_map(|test| self.check_alert(test, &groups).err()));
            at_ms += step_ms;
        }
        let query = |expr: &str, at_ms| query(expr, at_ms);
        failures.extend(self.case.promql_expr_test.iter().filter_map(|test| self.check_expr(test, &query).err()));
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    fn last_eval_time(&self) -> PromDuration {
        let alerts = self.case.alert_rule_test.iter().map(|test| test.eval_time);
        let exprs = self.case.promql_expr_test.iter().map(|test| test.eval_time);
        alerts.chain(exprs).max().unwrap_or_default()
    }

    fn groups(&self, rules: &[RuleFile]) -> Vec<Group> {
        let settings = Settings {
            evaluation_interval: self.case.interval.unwrap_or(self.file.evaluation_interval),
            external_labels: Labels::from_pairs(self.case.external_labels.clone()),
            external_url: self.case.external_url.clone(),
            ..Settings::default()
        };
        let all = rules.iter().flat_map(|file| file.groups.iter().map(move |group| (&file.path, group)));
        let mut groups: Vec<_> = all.collect();
        groups.sort_by_key(|(_, group)| self.order.get(group.name.as_str()).copied().unwrap_or(0));
        groups.into_iter().map(|(path, group)| Group::new(path, group.clone(), &settings)).collect()
    }

    fn feed(&self, window: &TestWindow) -> Result<Feed, String> {
        let interval_ms = self.case.interval.unwrap_or(self.file.evaluation_interval).as_millis();
        let mut due: BTreeMap<TimestampMs, Vec<RefSample>> = BTreeMap::new();
        for input in &self.case.input_series {
            let line = format!("{} {}", input.series, input.values);
            let (labels, values) = series_notation::parse(&line).map_err(|error| error.to_string())?;
            let series = window.resolve(&labels).map_err(|error| chain(&error))?;
            let mut timestamp_ms = self.case.start_timestamp;
            for value in values {
                if let Some(value) = value {
                    due.entry(timestamp_ms).or_default().push(RefSample { series, timestamp_ms, value });
                }
                timestamp_ms += interval_ms;
            }
        }
        Ok(Feed(due))
    }

    fn name(&self) -> String {
        if self.case.name.is_empty() { String::new() } else { format!("    name: {},\n", self.case.name) }
    }

    fn check_alert(&self, test: &AlertTest, groups: &[Group]) -> Result<(), String> {
        let mut got: Vec<(Labels, Labels)> = groups
            .iter()
            .flat_map(Group::alerts)
            .filter(|(name, _)| *name == test.alertname)
            .flat_map(|(_, alerts)| alerts)
            .filter(|alert| alert.state == AlertState::Firing)
            .map(|alert| (alert.labels, alert.annotations))
            .collect();
        got.sort();
        let expected = |alert: &super::file::ExpectedAlert| {
            let mut labels = alert.exp_labels.clone();
            labels.insert("alertname".to_owned(), test.alertname.clone());
            (Labels::from_pairs(labels), Labels::from_pairs(alert.exp_annotations.clone()))
        };
        let mut want: Vec<(Labels, Labels)> = test.exp_alerts.iter().map(expected).collect();
        want.sort();
        if want == got {
            return Ok(());
        }
        Err(format!(
            "{}    alertname: {}, time: {}, \n        exp:{}, \n        got:{}",
            self.name(),
            test.alertname,
            test.eval_time,
            report::alerts(&want),
            report::alerts(&got)
        ))
    }

    fn check_expr(
        &self,
        test: &ExprTest,
        query: &dyn Fn(&str, TimestampMs) -> Result<Value, QueryError>,
    ) -> Result<(), String> {
        let place = format!("    expr: {:?}, time: {},", test.expr, test.eval_time);
        let mut got = match query(&test.expr, self.case.start_timestamp + test.eval_time.as_millis()) {
            Ok(Value::Vector(vector)) => vector.into_iter().map(|sample| (sample.labels, sample.value)).collect(),
            Ok(Value::Scalar(value)) => vec![(Labels::empty(), value)],
            Ok(Value::Matrix(_) | Value::String(_)) => {
                return Err(format!("{place} err: rule result is not a vector or scalar"));
            }
            Err(QueryError::Parse(reason)) => return Err(format!("{place} err: {reason}")),
            Err(error) => return Err(format!("{place} err: {}", chain(&error))),
        };
        let mut want = Vec::with_capacity(test.exp_samples.len());
        for sample in &test.exp_samples {
            let labels = match sample.labels.trim() {
                "" => Labels::empty(),
                text => series_notation::parse_labels(text)
                    .map_err(|error| format!("{place} err: labels {:?}: {}", sample.labels, error.reason))?,
            };
            want.push((labels, sample.value));
        }
        want.sort_by(|a, b| a.0.cmp(&b.0));
        got.sort_by(|a, b| a.0.cmp(&b.0));
        let same = |(want, got): (&(Labels, f64), &(Labels, f64))| {
            want.0 == got.0 && same_value(want.1, got.1, self.file.fuzzy_compare)
        };
        if want.len() == got.len() && want.iter().zip(&got).all(same) {
            return Ok(());
        }
        Err(format!("{place}\n        exp: {}\n        got: {}", report::samples(&want), report::samples(&got)))
    }
}

/// Whether two values are the same; with `fuzzy` they may differ in the last bit.
fn same_value(want: f64, got: f64, fuzzy: bool) -> bool {
    let neighbour = fuzzy && (want.next_up() == got || want.next_down() == got);
    want == got || (want.is_nan() && got.is_nan()) || neighbour
}

/// Evaluates the groups in order; gives the errors of rules.
fn evaluate(groups: &mut [Group], at_ms: TimestampMs, start_ms: TimestampMs, ports: &Ports) -> Vec<String> {
    let since_start = PromDuration::from_millis((at_ms - start_ms).unsigned_abs());
    let mut errors = Vec::new();
    for group in groups {
        let outcome = group.evaluate(at_ms, ports, || true);
        for (position, error) in &outcome.failures {
            let rule = group.rule_name(*position);
            errors.push(format!("    rule: {rule}, time: {since_start}, err: {}", chain(error)));
        }
    }
    errors
}

/// The samples of the input series that have not been written yet, by time.
struct Feed(BTreeMap<TimestampMs, Vec<RefSample>>);

impl Feed {
    /// Writes what is due at `at_ms`.
    fn until(&mut self, at_ms: TimestampMs, window: &TestWindow) -> Result<(), String> {
        while let Some(entry) = self.0.first_entry().filter(|entry| *entry.key() <= at_ms) {
            let appended = window.append(&entry.remove()).map_err(|error| chain(&error))?;
            if let Some((_, reason)) = appended.rejected.first() {
                let reason = reason.as_str();
                return Err(format!("an input series is given twice, or is written by a rule too: {reason}"));
            }
        }
        Ok(())
    }
}
