//! `check rules FILE…`

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use collector_ruler::RuleFile;

use super::{EXIT_DOUBTFUL, all_exist};

/// Arguments of `check rules`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The rule files.
    #[arg(required = true, value_name = "RULE-FILES")]
    files: Vec<PathBuf>,
    /// What to look for beyond errors.
    #[arg(long, default_value = "duplicate-rules", value_parser = ["all", "duplicate-rules", "none"])]
    lint: String,
    /// Exit with 3 when something was found.
    #[arg(long)]
    lint_fatal: bool,
}

/// How a rule file fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to say.
    Good,
    /// Valid, with something that looks like a mistake.
    Doubtful,
    /// Refused.
    Bad,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if !all_exist(args.files.iter().map(PathBuf::as_path)) {
        return ExitCode::FAILURE;
    }
    let verdicts: Vec<Verdict> = args.files.iter().map(|file| check(file, args.lint != "none")).collect();
    if verdicts.contains(&Verdict::Bad) {
        ExitCode::FAILURE
    } else if args.lint_fatal && verdicts.contains(&Verdict::Doubtful) {
        ExitCode::from(EXIT_DOUBTFUL)
    } else {
        ExitCode::SUCCESS
    }
}

/// Checks one file and prints what was found.
pub(super) fn check(path: &Path, lint: bool) -> Verdict {
    println!("Checking {}", path.display());
    let verdict = match load(path) {
        Ok(file) => {
            let twins = if lint { duplicates(&file) } else { Vec::new() };
            if twins.is_empty() {
                println!("  SUCCESS: {} rules found", file.rule_count());
                Verdict::Good
            } else {
                eprintln!("  FAILED:\nlint error {}", describe(&twins));
                Verdict::Doubtful
            }
        }
        Err(message) => {
            eprintln!("  FAILED:\n{message}");
            Verdict::Bad
        }
    };
    println!();
    verdict
}

/// Reads and checks a rule file.
pub(super) fn load(path: &Path) -> Result<RuleFile, String> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    RuleFile::parse(shown, &text).map_err(|error| error.to_string())
}

type Identity = (String, Vec<(String, String)>);

/// Rules that have the same name and labels as one before them.
fn duplicates(file: &RuleFile) -> Vec<Identity> {
    let mut seen: BTreeMap<Identity, usize> = BTreeMap::new();
    for rule in file.groups.iter().flat_map(|group| &group.rules) {
        let labels = rule.labels().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        *seen.entry((rule.name().to_owned(), labels)).or_default() += 1;
    }
    seen.into_iter().flat_map(|(rule, count)| std::iter::repeat_n(rule, count - 1)).collect()
}

fn describe(twins: &[Identity]) -> String {
    let mut text = format!("{} duplicate rule(s) found.\n", twins.len());
    for (name, labels) in twins {
        let _ = writeln!(text, "Metric: {name}\nLabel(s):");
        for (label, value) in labels {
            let _ = writeln!(text, "\t{label}: {value}");
        }
    }
    text.push_str("Might cause inconsistency while recording expressions");
    text
}
