//! Which fields of a kernel file become metrics, decided once per field.

use std::collections::HashMap;

use crate::pattern::Pattern;
use crate::{BuildError, FlagSpec, Flags, pattern};

/// The fields that a flag's regular expression picks, with the name and help of their metric. Each field is matched
/// when it is first seen. The kernel prints them in the same order every time, so that the next one asked for is
/// nearly always the one that followed last time.
///
/// Names and helps stay for as long as the process runs, as collectors do, so that no sample needs a copy of its own.
pub(crate) struct Fields {
    pick: Option<Pattern>,
    prefix: &'static str,
    help: fn(&str) -> String,
    /// In the order in which they were first seen.
    decided: Vec<(String, Option<Metric>)>,
    by_name: HashMap<String, usize>,
    next: usize,
    /// Whether the last one that was asked for was a new one.
    was_new: bool,
}

/// The name and help of a field's metric.
pub(crate) type Metric = (&'static str, &'static str);

/// More fields than any kernel has; a file of endless new names gets no further.
const MOST: usize = 4096;

impl Fields {
    pub(crate) fn build(
        flags: &Flags,
        flag: &FlagSpec,
        prefix: &'static str,
        help: fn(&str) -> String,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            pick: pattern::of_flag(flags, flag)?,
            prefix,
            help,
            decided: Vec::new(),
            by_name: HashMap::new(),
            next: 0,
            was_new: false,
        })
    }

    /// The metric's name and help; `None` for a field that is not wanted.
    pub(crate) fn wanted(&mut self, field: &str) -> Option<Metric> {
        let was_new = std::mem::take(&mut self.was_new);
        let index = match self.decided.get(self.next) {
            Some((expected, _)) if expected == field => self.next,
            _ => match self.by_name.get(field) {
                Some(index) => *index,
                None => {
                    self.was_new = true;
                    self.decide(field)?
                }
            },
        };
        if was_new && !self.was_new {
            self.pick.iter().for_each(Pattern::rest);
        }
        self.next = index + 1;
        self.decided.get(index)?.1
    }

    fn decide(&mut self, field: &str) -> Option<usize> {
        let index = self.decided.len();
        if index >= MOST {
            return None;
        }
        let picked = self.pick.as_ref().is_none_or(|pick| pick.is_match(field));
        let stay = |text: String| -> &'static str { text.leak() };
        let metric = picked.then(|| (stay(format!("{}{field}", self.prefix)), stay((self.help)(field))));
        self.decided.push((field.to_owned(), metric));
        self.by_name.insert(field.to_owned(), index);
        Some(index)
    }
}

/// A name of the kernel's in the alphabet of metrics.
pub(crate) fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(expression: &'static str) -> Fields {
        let mut flags = Flags::default();
        flags.push("x", expression);
        Fields::build(&flags, &FlagSpec::value("x", ""), "p_", str::to_uppercase).unwrap()
    }

    #[test]
    fn any_order_gives_the_same_answer() {
        let mut fields = fields("^a");
        for field in ["ab", "b", "ac", "ab", "b", "ac", "ac", "b", "ab", "new", "ab"] {
            let want = field.starts_with('a').then(|| (format!("p_{field}"), field.to_uppercase()));
            let got = fields.wanted(field).map(|(name, help)| (name.to_owned(), help.to_owned()));
            assert_eq!(got, want, "{field}");
        }
        assert_eq!(fields.decided.len(), 4);
    }

    #[test]
    fn endless_new_names_get_no_further() {
        let mut fields = fields(".");
        let wanted = (0..2 * MOST).filter(|i| fields.wanted(&i.to_string()).is_some()).count();
        assert_eq!(wanted, MOST);
    }
}
