//! `check metrics`: reads a page from standard input and says what is inconsistent or named against the habits.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::ExitCode;

use atalaia_agent::exposition::{Event, Format, Kind, ParseError, Parser};

use super::{EXIT_DOUBTFUL, chain};

/// Arguments of `check metrics`: none.
#[derive(clap::Args, Debug)]
pub struct Args {}

pub(super) fn run(_: &Args) -> ExitCode {
    let mut page = Vec::new();
    if let Err(error) = std::io::stdin().lock().read_to_end(&mut page) {
        eprintln!("error while linting: cannot read standard input: {error}");
        return ExitCode::FAILURE;
    }
    match lint(&page) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for (metric, problem) in problems {
                eprintln!("{metric} {problem}");
            }
            ExitCode::from(EXIT_DOUBTFUL)
        }
        Err(error) => {
            eprintln!("error while linting: text format parsing error in {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Family {
    help: bool,
    kind: Option<Kind>,
    labels: BTreeSet<String>,
}

/// The problems of a page, each with the metric that has it, sorted.
fn lint(page: &[u8]) -> Result<BTreeSet<(String, String)>, ParseError> {
    let mut problems = BTreeSet::new();
    for (name, family) in families(page)? {
        lint_family(&name, &family, &mut |problem| {
            problems.insert((name.clone(), problem));
        });
    }
    Ok(problems)
}

fn families(page: &[u8]) -> Result<BTreeMap<String, Family>, ParseError> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for event in Parser::new(Format::Text004, page) {
        match event? {
            Event::Help { name, text } => {
                families.entry(name.into_owned()).or_default().help = !text.is_empty();
            }
            Event::Type { name, kind } => families.entry(name.into_owned()).or_default().kind = Some(kind),
            Event::Sample(sample) => {
                let name = family_of(&sample.name(), &families);
                let family = families.entry(name).or_default();
                for (label, _) in sample.labels() {
                    if !family.labels.contains(label.as_ref()) {
                        family.labels.insert(label.into_owned());
                    }
                }
            }
            Event::Unit { .. } | Event::Comment => {}
        }
    }
    Ok(families)
}

/// The family that a sample of this name belongs to: a histogram's and a summary's samples have suffixes.
fn family_of(name: &str, families: &BTreeMap<String, Family>) -> String {
    let suffixed = ["_bucket", "_sum", "_count"].iter().filter_map(|suffix| name.strip_suffix(suffix));
    let kind = |base: &str| families.get(base).and_then(|family| family.kind);
    suffixed
        .into_iter()
        .find(|base| matches!(kind(base), Some(Kind::Histogram | Kind::Summary)))
        .unwrap_or(name)
        .to_owned()
}

fn lint_family(name: &str, family: &Family, problem: &mut dyn FnMut(String)) {
    let kind = family.kind.unwrap_or(Kind::Untyped);
    if !family.help {
        problem("no help text".to_owned());
    }
    if let Some((unit, base)) = unit_not_base(name) {
        problem(format!("use base unit {base:?} instead of {unit:?}"));
    }
    if kind != Kind::Untyped {
        lint_kind(name, kind, family, problem);
    }
    for kind in ["counter", "gauge", "summary", "histogram"] {
        if has_word(name, kind) {
            problem(format!("metric name should not include type '{kind}'"));
        }
    }
    if name.contains(':') {
        problem("metric names should not contain ':'".to_owned());
    }
    if is_camel_case(name) {
        problem("metric names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
    if family.labels.iter().any(|label| is_camel_case(label)) {
        problem("label names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
    if ABBREVIATIONS.iter().any(|unit| has_word(name, unit)) {
        problem("metric names should not contain abbreviated units".to_owned());
    }
}

fn lint_kind(name: &str, kind: Kind, family: &Family, problem: &mut dyn FnMut(String)) {
    let (histogram, summary) = (kind == Kind::Histogram, kind == Kind::Summary);
    match (kind == Kind::Counter, name.ends_with("_total")) {
        (true, false) => problem("counter metrics should have \"_total\" suffix".to_owned()),
        (false, true) => problem("non-counter metrics should not have \"_total\" suffix".to_owned()),
        _ => {}
    }
    if !histogram && name.ends_with("_bucket") {
        problem("non-histogram metrics should not have \"_bucket\" suffix".to_owned());
    }
    for suffix in ["_count", "_sum"] {
        if !histogram && !summary && name.ends_with(suffix) {
            problem(format!("non-histogram and non-summary metrics should not have {suffix:?} suffix"));
        }
    }
    if !histogram && family.labels.contains("le") {
        problem("non-histogram metrics should not have \"le\" label".to_owned());
    }
    if !summary && family.labels.contains("quantile") {
        problem("non-summary metrics should not have \"quantile\" label".to_owned());
    }
}

/// Units with the base unit to be used in their place; a base unit stands for itself.
const UNITS: &[(&str, &str)] = &[
    ("amperes", "amperes"),
    ("bits", "bytes"),
    ("bytes", "bytes"),
    ("calories", "joules"),
    ("celsius", "celsius"),
    ("days", "seconds"),
    ("fahrenheit", "celsius"),
    ("grams", "grams"),
    ("hours", "seconds"),
    ("inches", "meters"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("kelvins", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("miles", "meters"),
    ("minutes", "seconds"),
    ("moles", "moles"),
    ("ounces", "grams"),
    ("pounds", "grams"),
    ("rankine", "celsius"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("weeks", "seconds"),
    ("yards", "meters"),
];

const PREFIXES: &[&str] = &[
    "", "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga",
    "gibi", "tera", "tebi", "peta", "pebi",
];

const ABBREVIATIONS: &[&str] = &["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

/// The unit in a name that is not its base unit, with the base unit.
fn unit_not_base(name: &str) -> Option<(&str, &'static str)> {
    name.split('_').find_map(|word| {
        let (_, base) =
            UNITS.iter().find(|(unit, _)| word.strip_suffix(unit).is_some_and(|prefix| PREFIXES.contains(&prefix)))?;
        (word != *base).then_some((word, *base))
    })
}

/// Whether a name has the word behind an underscore, in any case of letters.
fn has_word(name: &str, word: &str) -> bool {
    name.to_ascii_lowercase().split('_').skip(1).any(|part| part == word)
}

fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(page: &str, want: &[&str]) {
        let problems: Vec<String> =
            lint(page.as_bytes()).unwrap().into_iter().map(|(metric, problem)| format!("{metric} {problem}")).collect();
        assert_eq!(problems, want, "{page}");
    }

    #[test]
    fn names_that_follow_the_habits_pass() {
        check("# HELP a_bytes_total b\n# TYPE a_bytes_total counter\na_bytes_total 1\n", &[]);
        check("# HELP h b\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", &[]);
        check("# HELP untyped_count b\nuntyped_count{le=\"1\"} 1\n", &[]);
        check("", &[]);
    }

    #[test]
    fn each_habit_has_its_problem() {
        check("a 1\n", &["a no help text"]);
        check("# HELP a b\n# TYPE a counter\na 1\n", &["a counter metrics should have \"_total\" suffix"]);
        check("# HELP a_ms b\na_ms 1\n", &["a_ms metric names should not contain abbreviated units"]);
        check(
            "# HELP a_kilobytes b\na_kilobytes 1\n",
            &["a_kilobytes use base unit \"bytes\" instead of \"kilobytes\""],
        );
        check(
            "# HELP aB b\naB{cD=\"1\"} 1\n",
            &[
                "aB label names should be written in 'snake_case' not 'camelCase'",
                "aB metric names should be written in 'snake_case' not 'camelCase'",
            ],
        );
    }

    #[test]
    fn a_page_that_cannot_be_read_is_an_error() {
        assert!(lint(b"a\n").is_err());
    }
}
