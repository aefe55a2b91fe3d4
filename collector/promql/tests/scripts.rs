//! Runs the scripts in `tests/scripts`: load series, evaluate, compare.
//!
//! ```text
//! load 30s                       series follow, indented, in the notation of rule tests
//!   up{job="a"} 1 1 _ stale
//! eval instant at 1m up          what must come out follows, indented
//!   up{job="a"} 1
//! eval range from 0s to 2m step 30s up
//!   up{job="a"} 1 1 _ _ _
//! clear                          forgets all series
//! ```
//! Among the expected lines `expect fail TEXT`, `expect warn TEXT` and `expect info TEXT` ask for an error or a note
//! with that text in it, and `expect ordered` for the order of an instant vector. Without them no note may come.
//! A scalar is expected as a lone number, a string in quotes. `#` begins a comment line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use collector_model::{Labels, PromDuration};
use collector_promql::testing::MemoryStorage;
use collector_promql::{
    Engine, FUNCTIONS, Limits, Options, QueryError, QueryResult, RangeParams, Value, series_notation,
};

#[test]
fn all_scripts_hold() {
    let mut failures = Vec::new();
    let mut cases = 0;
    for (name, text) in scripts() {
        let mut script = Script { storage: MemoryStorage::new(), cases: 0, failures: Vec::new() };
        script.run(&name, &text);
        cases += script.cases;
        failures.append(&mut script.failures);
    }
    assert!(cases > 200, "only {cases} cases were found");
    assert!(failures.is_empty(), "{} of {cases} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_function_has_a_case() {
    let all: String = scripts().into_iter().map(|(_, text)| text).collect();
    let evals: Vec<&str> = all.lines().filter(|line| line.starts_with("eval ")).collect();
    for function in FUNCTIONS {
        let call = format!("{}(", function.name);
        let called = |line: &&&str| {
            line.match_indices(&call)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        };
        assert!(evals.iter().find(called).is_some(), "{} has no case", function.name);
    }
}

#[test]
fn a_wrong_expectation_fails() {
    let run = |text: &str| {
        let mut script = Script { storage: MemoryStorage::new(), cases: 0, failures: Vec::new() };
        script.run("wrong", text);
        script.failures.len()
    };
    assert_eq!(run("load 1m\n  x 1\neval instant at 0s x\n  x 1"), 0);
    assert_eq!(run("load 1m\n  x 1\neval instant at 0s x\n  x 2"), 1);
    assert_eq!(run("load 1m\n  x 1\neval instant at 0s x\n  y 1"), 1);
    assert_eq!(run("load 1m\n  x 1\neval instant at 0s x"), 1);
    assert_eq!(run("eval instant at 0s 1 + 1\n  3"), 1);
    assert_eq!(run("eval instant at 0s 1 + 1\n  expect fail anything"), 1);
    assert_eq!(run("load 1m\n  x 1 2\neval range from 0s to 1m step 1m x\n  x 1 3"), 1);
    assert_eq!(run("load 1m\n  x 1 2\neval range from 0s to 1m step 1m rate(x[5m])\n  {} _ 1"), 1);
    assert_eq!(
        run(
            "load 1m\n  x{a=\"1\"} 1\n  x{a=\"2\"} 2\neval instant at 0s sort_desc(x)\n  expect ordered\n  x{a=\"1\"} 1\n  x{a=\"2\"} 2"
        ),
        1
    );
}

fn scripts() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut all: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    all.sort();
    all
}

struct Script {
    storage: MemoryStorage,
    cases: usize,
    failures: Vec<String>,
}

impl Script {
    fn run(&mut self, name: &str, text: &str) {
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty() && !l.trim().starts_with('#')).collect();
        let mut rest = lines.as_slice();
        while let [command, tail @ ..] = rest {
            let end = tail.iter().position(|line| !line.starts_with(' ')).unwrap_or(tail.len());
            let (block, after) = tail.split_at(end);
            rest = after;
            if let Some(interval) = command.strip_prefix("load ") {
                self.load(ms(interval), block);
            } else if *command == "clear" {
                self.storage.clear();
            } else if let Some(eval) = command.strip_prefix("eval ") {
                self.cases += 1;
                if let Err(reason) = self.eval(eval, block) {
                    self.failures.push(format!("{name}: {command}\n  {reason}"));
                }
            } else {
                panic!("{name}: not a command: {command}");
            }
        }
    }

    fn load(&mut self, interval_ms: i64, block: &[&str]) {
        for line in block {
            let (labels, values) = series_notation::parse(line.trim()).unwrap();
            self.storage.load(labels, &values, 0, interval_ms);
        }
    }

    fn eval(&self, command: &str, block: &[&str]) -> Result<(), String> {
        let engine = Engine::new(Options { experimental_functions: true, ..Options::default() });
        let (result, range) = if let Some(rest) = command.strip_prefix("instant at ") {
            let (at, query) = rest.split_once(' ').unwrap();
            (engine.instant(query, ms(at), &self.storage, &Limits::default()), None)
        } else {
            let words: Vec<&str> = command.splitn(8, ' ').collect();
            let ["range", "from", from, "to", to, "step", step, query] = words[..] else {
                panic!("not an evaluation: {command}")
            };
            let range = RangeParams { start_ms: ms(from), end_ms: ms(to), step_ms: ms(step) };
            (engine.range(query, range, &self.storage, &Limits::default()), Some(range))
        };
        let (expects, values): (Vec<&str>, Vec<&str>) =
            block.iter().map(|line| line.trim()).partition(|line| line.starts_with("expect "));
        let expects: Vec<&str> = expects.iter().filter_map(|e| e.strip_prefix("expect ")).collect();
        match expects.iter().find_map(|e| e.strip_prefix("fail ")) {
            Some(text) => check_failure(result, text),
            None => {
                let result = result.map_err(|e| format!("failed: {e}"))?;
                check_notes(&result, &expects)?;
                check_value(&result.value, &values, range, expects.contains(&"ordered"))
            }
        }
    }
}

fn ms(text: &str) -> i64 {
    match text.strip_prefix('-') {
        Some(positive) => -PromDuration::parse(positive).unwrap().as_millis(),
        None => PromDuration::parse(text).unwrap().as_millis(),
    }
}

fn check_failure(result: Result<QueryResult, QueryError>, text: &str) -> Result<(), String> {
    match result {
        Ok(result) => Err(format!("gave {:?} instead of an error", result.value)),
        Err(error) if error.to_string().contains(text) => Ok(()),
        Err(error) => Err(format!("failed with {error:?} instead of {text:?}")),
    }
}

fn check_notes(result: &QueryResult, expects: &[&str]) -> Result<(), String> {
    for (kind, have) in [("warn ", &result.warnings), ("info ", &result.infos)] {
        let wanted: Vec<&str> = expects.iter().filter_map(|e| e.strip_prefix(kind)).collect();
        let fits = have.len() == wanted.len() && wanted.iter().all(|text| have.iter().any(|note| note.contains(text)));
        if !fits {
            return Err(format!("notes {have:?} instead of {wanted:?}"));
        }
    }
    Ok(())
}

fn check_value(value: &Value, lines: &[&str], range: Option<RangeParams>, ordered: bool) -> Result<(), String> {
    let have: Vec<(Labels, Vec<Option<f64>>)> = match (value, range) {
        (Value::Scalar(value), _) => {
            let want: Vec<f64> = lines.iter().map(|line| line.parse().unwrap()).collect();
            return if want.len() == 1 && same(Some(*value), Some(want[0])) {
                Ok(())
            } else {
                Err(format!("{value} instead of {want:?}"))
            };
        }
        (Value::String(text), _) => {
            return if lines == [format!("{text:?}")] { Ok(()) } else { Err(format!("{text:?}")) };
        }
        (Value::Vector(samples), _) => samples.iter().map(|s| (s.labels.clone(), vec![Some(s.value)])).collect(),
        (Value::Matrix(series), Some(range)) => series
            .iter()
            .map(|series| {
                let steps = (0..).map(|i| range.start_ms + i * range.step_ms).take_while(|t| *t <= range.end_ms);
                let at = |t: i64| series.points.iter().find(|p| p.timestamp_ms == t).map(|p| p.value);
                (series.labels.clone(), steps.map(at).collect())
            })
            .collect(),
        (Value::Matrix(series), None) => {
            series.iter().map(|s| (s.labels.clone(), s.points.iter().map(|p| Some(p.value)).collect())).collect()
        }
    };
    let want = lines.iter().map(|line| series_notation::parse(line).unwrap());
    let (mut have, mut want): (Vec<_>, Vec<_>) = (have, want.collect());
    if !ordered {
        have.sort_by(|a, b| a.0.cmp(&b.0));
        want.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let agree = have.len() == want.len()
        && have.iter().zip(&want).all(|(have, want)| {
            have.0 == want.0
                && have.1.len() == want.1.len()
                && have.1.iter().zip(&want.1).all(|(have, want)| same(*have, *want))
        });
    if agree { Ok(()) } else { Err(format!("{have:?}\n  instead of\n  {want:?}")) }
}

fn same(have: Option<f64>, want: Option<f64>) -> bool {
    match (have, want) {
        (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        (a, b) => a.is_none() && b.is_none(),
    }
}
