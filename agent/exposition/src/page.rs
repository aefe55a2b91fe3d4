//! A page of families under construction.
//!
//! Label text is written once, escaped, into one arena; a sample is a range of that arena, an optional shared
//! set and a value. Encoding is then mostly copying.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows, until its process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
    /// `untyped` in the text format, `unknown` in OpenMetrics.
    Untyped,
}

/// A family of this page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyId(pub(crate) usize);

/// A set of labels of this page that many samples share, such as a container's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedId(pub(crate) usize);

/// One family: what it is called, what it is, and its samples in the order they were added.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) name: Cow<'static, str>,
    pub(crate) help: Cow<'static, str>,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Appended to the family's name: `_bucket`, `_sum`, `_count`, or nothing.
    pub(crate) suffix: &'static str,
    pub(crate) labels: Range<u32>,
    pub(crate) shared: Option<SharedId>,
    pub(crate) value: f64,
    pub(crate) timestamp_ms: Option<i64>,
}

/// A page of families. Fill it with [`family`](Self::family) and [`sample`](Self::sample), then encode it.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub(crate) arena: String,
    pub(crate) families: Vec<Family>,
    pub(crate) shared: Vec<Range<u32>>,
    index: HashMap<Cow<'static, str>, FamilyId>,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// The family of that name, made when it is new. The first help and kind win.
    pub fn family(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> FamilyId {
        let name = name.into();
        if let Some(id) = self.index.get(&name) {
            return *id;
        }
        let id = FamilyId(self.families.len());
        self.index.insert(name.clone(), id);
        self.families.push(Family { name, help: help.into(), kind, samples: Vec::new() });
        id
    }

    /// A set of labels for [`sample_shared`](Self::sample_shared).
    pub fn shared<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> SharedId {
        let range = self.write_labels(labels);
        self.shared.push(range);
        SharedId(self.shared.len() - 1)
    }

    /// Adds a sample. Labels are written in the order given; their names must differ. Give them sorted by name
    /// where the order of the text matters.
    pub fn sample(&mut self, family: FamilyId, labels: &[(&str, &str)], value: f64) {
        self.push(family, "", None, labels, value);
    }

    /// Adds a sample with the labels of a shared set besides its own.
    pub fn sample_shared(&mut self, family: FamilyId, shared: SharedId, labels: &[(&str, &str)], value: f64) {
        self.push(family, "", Some(shared), labels, value);
    }

    /// A family with a single sample without labels.
    pub fn single(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        kind: Kind,
        value: f64,
    ) {
        let family = self.family(name, help, kind);
        self.sample(family, &[], value);
    }

    /// Adds a sample of a histogram or summary: `suffix` is `_bucket`, `_sum`, `_count` or nothing.
    pub fn sample_suffixed(&mut self, family: FamilyId, suffix: &'static str, labels: &[(&str, &str)], value: f64) {
        self.push(family, suffix, None, labels, value);
    }

    /// How many samples there are.
    pub fn sample_count(&self) -> usize {
        self.families.iter().map(|f| f.samples.len()).sum()
    }

    /// Moves all of another page's families to this one. A family that both have is joined.
    pub fn absorb(&mut self, other: Self) {
        let offset = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        let shared_offset = self.shared.len();
        self.arena.push_str(&other.arena);
        self.shared.extend(other.shared.iter().map(|r| r.start + offset..r.end + offset));
        for theirs in other.families {
            let id = self.family(theirs.name, theirs.help, theirs.kind);
            let Some(ours) = self.families.get_mut(id.0) else { continue };
            ours.samples.extend(theirs.samples.into_iter().map(|mut e| {
                e.labels = e.labels.start + offset..e.labels.end + offset;
                e.shared = e.shared.map(|s| SharedId(s.0 + shared_offset));
                e
            }));
        }
    }

    fn push(
        &mut self,
        family: FamilyId,
        suffix: &'static str,
        shared: Option<SharedId>,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let labels = self.write_labels(labels.iter().copied());
        if let Some(family) = self.families.get_mut(family.0) {
            family.samples.push(Entry { suffix, labels, shared, value, timestamp_ms: None });
        }
    }

    fn write_labels<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Range<u32> {
        let start = self.arena_len();
        for (position, (name, value)) in labels.into_iter().enumerate() {
            if position > 0 {
                self.arena.push(',');
            }
            self.arena.push_str(name);
            self.arena.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.arena.push_str("\\\\"),
                    '"' => self.arena.push_str("\\\""),
                    '\n' => self.arena.push_str("\\n"),
                    c => self.arena.push(c),
                }
            }
            self.arena.push('"');
        }
        start..self.arena_len()
    }

    fn arena_len(&self) -> u32 {
        u32::try_from(self.arena.len()).unwrap_or(u32::MAX)
    }
}
