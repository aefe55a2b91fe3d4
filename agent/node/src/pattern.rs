//! Regular expressions given by flags: compiled once, wrong ones refused with the flag's name.
//!
//! They are searched for anywhere in the name, as node_exporter does; whoever wants the whole name writes `^` and `$`.

use std::cell::RefCell;

use regex::Regex;

use crate::{BuildError, FlagSpec, Flags};

/// A regular expression that is compiled while names are asked about. What is compiled takes a quarter of a MiB, which is
/// much for one that has said once what it thinks of each name.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    compiled: RefCell<Option<Regex>>,
}

impl Pattern {
    /// # Errors
    /// When it is no regular expression.
    pub(crate) fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(text).map(|_| Self { text: text.to_owned(), compiled: RefCell::default() })
    }

    /// Whether it is found in the name.
    pub(crate) fn is_match(&self, name: &str) -> bool {
        let mut compiled = self.compiled.borrow_mut();
        if compiled.is_none() {
            // It was once compiled already, so it can be.
            *compiled = Regex::new(&self.text).ok();
        }
        compiled.as_ref().is_some_and(|regex| regex.is_match(name))
    }

    /// To be told when no new names came for a while.
    pub(crate) fn rest(&self) {
        self.compiled.take();
    }
}

/// The regular expression of a flag; `None` when it is unset or empty.
///
/// # Errors
/// When it is no regular expression.
pub(crate) fn of_flag(flags: &Flags, flag: &FlagSpec) -> Result<Option<Pattern>, BuildError> {
    match flags.value(flag) {
        None | Some("") => Ok(None),
        Some(value) => compile(flag.name, value).map(Some),
    }
}

fn compile(flag: &str, value: &str) -> Result<Pattern, BuildError> {
    let what_is_wrong = |error: regex::Error| {
        // The message of a syntax error draws the expression over several lines; its last line says what is wrong.
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    Pattern::new(value).map_err(|error| BuildError {
        flag: flag.to_owned(),
        value: value.to_owned(),
        reason: format!("not a regular expression: {}", what_is_wrong(error)),
    })
}

/// The flags of a [`Filter`].
pub(crate) struct FilterFlags {
    pub(crate) include: &'static FlagSpec,
    pub(crate) exclude: &'static FlagSpec,
    /// Older spellings.
    pub(crate) old_include: Option<&'static FlagSpec>,
    pub(crate) old_exclude: Option<&'static FlagSpec>,
}

/// Which of the machine's things to report, by name: those that match `include`, or those that do not match `exclude`.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    include: Option<Pattern>,
    exclude: Option<Pattern>,
}

impl Filter {
    /// The filter that the flags ask for. The default of `exclude` holds only while nothing is to be included.
    ///
    /// # Errors
    /// When an expression is wrong, or when flags that exclude each other are given.
    pub(crate) fn build(flags: &Flags, names: &FilterFlags) -> Result<Self, BuildError> {
        let include = one_of(flags, names.include, names.old_include)?;
        let exclude = one_of(flags, names.exclude, names.old_exclude)?;
        if let (Some((flag, value)), Some((other, _))) = (include, exclude) {
            return Err(clash(flag, value, other));
        }
        let compiled = |given: Option<(&str, &str)>| given.map(|(flag, value)| compile(flag, value)).transpose();
        match (include, names.exclude.default) {
            (None, Some(default)) if flags.get(names.exclude.name).is_none() && exclude.is_none() => {
                Ok(Self { include: None, exclude: Some(compile(names.exclude.name, default)?) })
            }
            _ => Ok(Self { include: compiled(include)?, exclude: compiled(exclude)? }),
        }
    }

    /// The filter of flags that may stand beside each other: what matches the one and not the other.
    ///
    /// # Errors
    /// When an expression is wrong.
    pub(crate) fn of_both(flags: &Flags, include: &FlagSpec, exclude: &FlagSpec) -> Result<Self, BuildError> {
        Ok(Self { include: of_flag(flags, include)?, exclude: of_flag(flags, exclude)? })
    }

    /// As [`of_both`](Self::of_both), with older spellings, and for expressions that must fit the whole name.
    ///
    /// # Errors
    /// When an expression is wrong, or when both spellings of a flag are given.
    pub(crate) fn of_whole_names(flags: &Flags, names: &FilterFlags) -> Result<Self, BuildError> {
        let whole = |flag: &'static FlagSpec, old| {
            let given = one_of(flags, flag, old)?;
            let is_unset = given.is_none() && flags.get(flag.name) == Some("");
            let default = || flag.default.map(|default| (flag.name, default));
            let (name, value) = match given.or_else(default).filter(|_| !is_unset) {
                Some(value) => value,
                None => return Ok(None),
            };
            compile(name, value)?;
            compile(name, &format!("^(?:{value})$")).map(Some)
        };
        Ok(Self {
            include: whole(names.include, names.old_include)?,
            exclude: whole(names.exclude, names.old_exclude)?,
        })
    }

    /// Whether to report the thing of that name.
    pub(crate) fn allows(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|r| r.is_match(name))
            && !self.exclude.as_ref().is_some_and(|r| r.is_match(name))
    }

    /// As [`Pattern::rest`].
    pub(crate) fn rest(&self) {
        self.include.iter().chain(&self.exclude).for_each(Pattern::rest);
    }
}

/// The value given by either spelling of a flag, with the spelling; an empty one counts as not given.
fn one_of<'a>(
    flags: &'a Flags,
    flag: &'static FlagSpec,
    old: Option<&'static FlagSpec>,
) -> Result<Option<(&'static str, &'a str)>, BuildError> {
    let given = |flag: &FlagSpec| flags.get(flag.name).filter(|v| !v.is_empty());
    match (given(flag), old.and_then(|old| Some((old.name, given(old)?)))) {
        (Some(value), Some((old, _))) => Err(clash(flag.name, value, old)),
        (Some(value), None) => Ok(Some((flag.name, value))),
        (None, old) => Ok(old),
    }
}

fn clash(flag: &str, value: &str, other: &str) -> BuildError {
    BuildError { flag: flag.to_owned(), value: value.to_owned(), reason: format!("cannot be given beside --{other}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    static INCLUDE: FlagSpec = FlagSpec::value("x.include", "");
    static EXCLUDE: FlagSpec = FlagSpec::value("x.exclude", "").or("^lo$");
    static OLD_EXCLUDE: FlagSpec = FlagSpec::value("x.ignored", "").hidden();

    const NAMES: FilterFlags =
        FilterFlags { include: &INCLUDE, exclude: &EXCLUDE, old_include: None, old_exclude: Some(&OLD_EXCLUDE) };

    fn flags(given: &[(&str, &str)]) -> Flags {
        let mut flags = Flags::default();
        for (name, value) in given {
            flags.push(*name, *value);
        }
        flags
    }

    #[test]
    fn a_pattern_that_rested_says_the_same() {
        let pattern = Pattern::new("^eth[0-9]+$").unwrap();
        for _ in 0..2 {
            assert!(pattern.is_match("eth12") && !pattern.is_match("veth12"));
            assert!(pattern.compiled.borrow().is_some());
            pattern.rest();
            assert!(pattern.compiled.borrow().is_none());
        }
        assert!(Pattern::new("eth(").is_err());
    }

    #[test]
    fn names_are_filtered() {
        #[track_caller]
        fn check(given: &[(&str, &str)], allowed: &[&str]) {
            let filter = Filter::build(&flags(given), &NAMES).unwrap();
            let got: Vec<_> = ["lo", "eth0", "eth1"].into_iter().filter(|name| filter.allows(name)).collect();
            assert_eq!(got, allowed, "{given:?}");
        }
        check(&[], &["eth0", "eth1"]);
        check(&[("x.exclude", "0")], &["lo", "eth1"]);
        check(&[("x.exclude", "")], &["lo", "eth0", "eth1"]);
        check(&[("x.ignored", "eth")], &["lo"]);
        check(&[("x.include", "lo|1")], &["lo", "eth1"]);
        check(&[("x.include", "1"), ("x.exclude", "")], &["eth1"]);
    }

    #[test]
    fn whole_names_are_filtered() {
        #[track_caller]
        fn check(given: &[(&str, &str)], allowed: &[&str]) {
            let filter = Filter::of_whole_names(&flags(given), &NAMES).unwrap();
            let got: Vec<_> = ["lo", "lo0", "eth0"].into_iter().filter(|name| filter.allows(name)).collect();
            assert_eq!(got, allowed, "{given:?}");
        }
        check(&[], &["lo0", "eth0"]);
        check(&[("x.exclude", "")], &["lo", "lo0", "eth0"]);
        check(&[("x.include", "lo.?")], &["lo0"]);
        check(&[("x.include", "l|eth"), ("x.exclude", "x")], &[]);
        check(&[("x.ignored", "eth|lo0")], &["lo", "eth0"]);
        assert!(Filter::of_whole_names(&flags(&[("x.include", "(")]), &NAMES).is_err());
    }

    #[test]
    fn wrong_and_clashing_flags_are_refused() {
        #[track_caller]
        fn check(given: &[(&str, &str)], want: &str) {
            assert_eq!(Filter::build(&flags(given), &NAMES).unwrap_err().to_string(), want);
        }
        check(&[("x.include", "(")], "--x.include=(: not a regular expression: unclosed group");
        check(&[("x.include", "a"), ("x.exclude", "b")], "--x.include=a: cannot be given beside --x.exclude");
        check(&[("x.include", "a"), ("x.ignored", "b")], "--x.include=a: cannot be given beside --x.ignored");
        check(&[("x.exclude", "a"), ("x.ignored", "b")], "--x.exclude=a: cannot be given beside --x.ignored");
    }
}
