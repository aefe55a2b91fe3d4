//! Which fields of a kernel file become metrics, decided once per field.

use std::collections::HashMap;

use regex::Regex;

use crate::{BuildError, FlagSpec, Flags, pattern};

/// The fields that a flag's regular expression picks, with the name and help of their metric. Each field is matched
/// when it is first seen; from then on it is looked up.
pub(crate) struct Fields {
    pick: Option<Regex>,
    prefix: &'static str,
    help: fn(&str) -> String,
    decided: HashMap<String, Option<(String, String)>>,
}

/// More fields than any kernel has; a file of endless new names gets no further.
const MOST: usize = 4096;

impl Fields {
    pub(crate) fn build(
        flags: &Flags,
        flag: &FlagSpec,
        prefix: &'static str,
        help: fn(&str) -> String,
    ) -> Result<Self, BuildError> {
        Ok(Self { pick: pattern::regex(flags, flag)?, prefix, help, decided: HashMap::new() })
    }

    /// The metric's name and help; `None` for a field that is not wanted.
    pub(crate) fn wanted(&mut self, field: &str) -> Option<&(String, String)> {
        if !self.decided.contains_key(field) {
            if self.decided.len() >= MOST {
                return None;
            }
            let picked = self.pick.as_ref().is_none_or(|pick| pick.is_match(field));
            let metric = picked.then(|| (format!("{}{field}", self.prefix), (self.help)(field)));
            self.decided.insert(field.to_owned(), metric);
        }
        self.decided.get(field)?.as_ref()
    }
}
