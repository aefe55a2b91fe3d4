//! Label matchers and the regular expressions in them, anchored and dot-matches-newline as Prometheus 3 has them.

use std::fmt;

use regex::Regex;

use crate::{Labels, anchored_pattern};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A regular expression over a whole string: `^(?s:…)$`, with a short cut for plain alternatives such as `a|b`.
#[derive(Clone)]
pub struct AnchoredRegex {
    source: String,
    plan: Plan,
}

#[derive(Clone)]
enum Plan {
    Anything,
    NotEmpty,
    OneOf(Vec<String>),
    Prefix(String),
    Regex(Regex),
}

impl AnchoredRegex {
    /// Compiles an expression in the RE2 syntax that Prometheus uses.
    ///
    /// # Errors
    /// When the expression is malformed or larger than the engine's bound once compiled.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        let plan = match literal_plan(source) {
            Some(plan) => plan,
            None => Plan::Regex(Regex::new(&anchored_pattern(source))?),
        };
        Ok(Self { source: source.to_owned(), plan })
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.plan {
            Plan::Anything => true,
            Plan::NotEmpty => !text.is_empty(),
            Plan::OneOf(literals) => literals.iter().any(|l| l == text),
            Plan::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Plan::Regex(regex) => regex.is_match(text),
        }
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The finite list of strings that match, when the expression is such a list: an index can look these up.
    pub fn literals(&self) -> Option<&[String]> {
        match &self.plan {
            Plan::OneOf(literals) => Some(literals),
            _ => None,
        }
    }
}

fn literal_plan(source: &str) -> Option<Plan> {
    const META: &[char] = &['.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$', '\\'];
    match source {
        ".*" => return Some(Plan::Anything),
        ".+" => return Some(Plan::NotEmpty),
        _ => {}
    }
    if let Some(prefix) = source.strip_suffix(".*")
        && !prefix.contains(META)
    {
        return Some(Plan::Prefix(prefix.to_owned()));
    }
    let literals: Vec<&str> = source.split('|').collect();
    if literals.iter().any(|l| l.contains(META)) {
        return None;
    }
    Some(Plan::OneOf(literals.into_iter().map(str::to_owned).collect()))
}

impl fmt::Debug for AnchoredRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

/// One condition on one label. An absent label is the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    value: String,
    op: MatchOp,
    regex: Option<AnchoredRegex>,
}

impl Matcher {
    /// A matcher; compiles the value when the operator asks for it.
    ///
    /// # Errors
    /// When the operator is a regular one and the value is not a regular expression.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, regex::Error> {
        let value = value.into();
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(AnchoredRegex::new(&value)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Self { name: name.into(), value, op, regex })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), op: MatchOp::Equal, regex: None }
    }

    /// Which label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Compared with what, as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Compared how.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The compiled expression of a regular matcher.
    pub fn regex(&self) -> Option<&AnchoredRegex> {
        self.regex.as_ref()
    }

    /// Whether a value of the label matches; pass the empty string for an absent label.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    /// Whether a series matches.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, want: bool) {
        assert_eq!(AnchoredRegex::new(pattern).unwrap().is_match(text), want, "/{pattern}/ on {text:?}");
    }

    #[test]
    fn matches_whole_strings_only() {
        check("a|b", "b", true);
        check("a|b", "ab", false);
        check("a|b", "", false);
        check("a|", "", true);
        check("job_.*", "job_a", true);
        check("job_.*", "xjob_a", false);
        check(".+", "", false);
        check("a.b", "a\nb", true);
        check("(?i)ABC", "abc", true);
    }

    #[test]
    fn an_absent_label_is_the_empty_string() {
        let labels = Labels::from_pairs([("job", "x")]);
        assert!(Matcher::equal("name", "").matches_labels(&labels));
        assert!(!Matcher::new(MatchOp::NotEqual, "name", "").unwrap().matches_labels(&labels));
        assert!(Matcher::new(MatchOp::NotRegex, "name", ".+").unwrap().matches_labels(&labels));
    }
}
