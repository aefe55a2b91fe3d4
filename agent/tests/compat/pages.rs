//! A page as the checker sees it.

use std::collections::BTreeMap;

use agent_exposition::{Event, Format, Kind, Parser};

/// Name and labels, sorted.
pub type Series = (String, Vec<(String, String)>);

/// The families of a page and the values of its series.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub kinds: BTreeMap<String, Kind>,
    pub helps: BTreeMap<String, String>,
    pub values: BTreeMap<Series, f64>,
}

impl Page {
    /// Reads a page in the text format; any line that is not legal is a panic.
    pub fn parse(text: &str) -> Self {
        let mut page = Self::default();
        for event in Parser::new(Format::Text004, text.as_bytes()) {
            match event.expect("a legal page") {
                Event::Type { name, kind } => drop(page.kinds.insert(name.into_owned(), kind)),
                Event::Help { name, text } => drop(page.helps.insert(name.into_owned(), text.into_owned())),
                Event::Sample(sample) => {
                    let mut labels: Vec<_> =
                        sample.labels().map(|(label, value)| (label.into_owned(), value.into_owned())).collect();
                    labels.sort_unstable();
                    page.values.insert((sample.name().into_owned(), labels), sample.value);
                }
                _ => {}
            }
        }
        page
    }

    /// The family that a sample belongs to: its own name, or that before `_bucket`, `_sum` or `_count`.
    pub fn family<'a>(&self, sample: &'a str) -> &'a str {
        let parts = ["_bucket", "_sum", "_count"].into_iter();
        let of_parts =
            || parts.filter_map(|part| sample.strip_suffix(part)).find(|base| self.kinds.contains_key(*base));
        if self.kinds.contains_key(sample) { sample } else { of_parts().unwrap_or(sample) }
    }
}

/// A series as the text format writes it.
pub fn written((name, labels): &Series) -> String {
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    if labels.is_empty() { name.clone() } else { format!("{name}{{{}}}", labels.join(",")) }
}
