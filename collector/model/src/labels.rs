//! Label sets: immutable, sorted, cheap to clone, one allocation each.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// An immutable set of labels, sorted by name, with unique names and no empty value.
///
/// All names and values lie in one shared string, each behind its length, so that a clone is one atomic
/// increment and a series costs one allocation. Lengths are written six bits a byte, in ASCII, which keeps the
/// whole a valid `str`.
#[derive(Clone)]
pub struct Labels(Arc<str>);

/// Bit that says another length byte follows.
const MORE: u8 = 0x40;

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// A set of the given pairs, in any order. Pairs with an empty value are left out, as PromQL cannot tell
    /// them from absent ones; of two pairs with one name the later wins.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder.build()
    }

    /// The value of a label, if the set has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The metric name, or the empty string where there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that the packed form takes, for accounting.
    pub fn packed_len(&self) -> usize {
        self.0.len()
    }

    /// A 64-bit hash of the set (XXH3 of the packed form), the same in every process.
    pub fn stable_hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.0.as_bytes())
    }

    /// A builder that starts from this set.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The set without the metric name.
    pub fn without_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() {
            return self.clone();
        }
        Self::from_sorted(self.iter().filter(|(n, _)| *n != METRIC_NAME))
    }

    /// A set of pairs that are already sorted by name, unique and without empty values.
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packed = String::new();
        for (name, value) in pairs {
            push_field(&mut packed, name);
            push_field(&mut packed, value);
        }
        Self(Arc::from(packed))
    }
}

fn push_field(packed: &mut String, field: &str) {
    let mut rest = field.len();
    loop {
        let low = u8::try_from(rest & 0x3f).unwrap_or(0);
        rest >>= 6;
        if rest == 0 {
            packed.push(char::from(low));
            break;
        }
        packed.push(char::from(low | MORE));
    }
    packed.push_str(field);
}

#[inline]
fn take_field<'a>(rest: &mut &'a str) -> Option<&'a str> {
    // Most fields are shorter than 64 bytes, and this is on the way of every sample that is sent on.
    let (len, text) = match rest.as_bytes().first() {
        Some(&len) if len & MORE == 0 => (usize::from(len), rest.get(1..)?),
        _ => take_long(rest)?,
    };
    let (field, tail) = text.split_at_checked(len)?;
    *rest = tail;
    Some(field)
}

/// A length of several bytes, and what follows it.
fn take_long(rest: &str) -> Option<(usize, &str)> {
    let mut len = 0_usize;
    let mut shift = 0_u32;
    let mut used = 0_usize;
    for byte in rest.bytes() {
        used += 1;
        len |= usize::from(byte & 0x3f) << shift;
        shift += 6;
        if byte & MORE == 0 {
            break;
        }
    }
    Some((len, rest.get(used..)?))
}

/// Iterates over the pairs of a [`Labels`], sorted by name.
#[derive(Clone)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let name = take_field(&mut self.rest)?;
        let value = take_field(&mut self.rest)?;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Pair by pair, name before value, as Prometheus orders series.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Display for Labels {
    /// `name{label="value",…}` with `\`, `"` and newline escaped; `{}` for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        f.write_str(name)?;
        let mut open = false;
        for (label, value) in self.iter().filter(|(n, _)| *n != METRIC_NAME) {
            f.write_str(if open { ", " } else { "{" })?;
            open = true;
            write!(f, "{label}=\"{}\"", Escaped(value))?;
        }
        match (open, name.is_empty()) {
            (true, _) => f.write_str("}"),
            (false, true) => f.write_str("{}"),
            (false, false) => Ok(()),
        }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// Builds a [`Labels`]: set and remove in any order, then [`build`](Self::build).
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        if value.is_empty() {
            return self.remove(&name);
        }
        match self.pairs.iter_mut().find(|(n, _)| *n == name) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((name, value)),
        }
        self
    }

    /// Removes a label, if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value of a label, or the empty string.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// Keeps the labels for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) -> &mut Self {
        self.pairs.retain(|(n, v)| keep(n, v));
        self
    }

    /// The pairs set so far, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The finished set.
    pub fn build(mut self) -> Labels {
        self.pairs.sort_unstable();
        Labels::from_sorted(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sorts_drops_empty_values_and_lets_the_later_pair_win() {
        let labels = Labels::from_pairs([("job", "a"), ("__name__", "up"), ("x", ""), ("job", "b")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("__name__", "up"), ("job", "b")]);
        assert_eq!(labels.to_string(), r#"up{job="b"}"#);
        assert_eq!(labels.without_name().to_string(), r#"{job="b"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    #[test]
    fn orders_pair_by_pair() {
        let a = Labels::from_pairs([("a", "1")]);
        let ab = Labels::from_pairs([("a", "1"), ("b", "1")]);
        let b = Labels::from_pairs([("b", "0")]);
        assert!(a < ab && ab < b);
    }

    proptest! {
        #[test]
        fn keeps_what_it_was_given(pairs in proptest::collection::btree_map(".{1,8}", ".{1,5000}", 0..5)) {
            let labels = Labels::from_pairs(pairs.clone());
            let back: Vec<_> = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(back, pairs.into_iter().collect::<Vec<_>>());
        }
    }
}
