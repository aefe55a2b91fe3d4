//! A page of families under construction.
//!
//! Label text is written once, escaped, into one arena; a sample is a range of that arena, an optional shared
//! set and a value. Encoding is then mostly copying. The samples of all families lie in one vector and each family
//! is a chain through it, so that a page costs a handful of allocations however many families it has, and none
//! when it is [cleared](Page::clear) and filled again.

use std::borrow::Cow;
use std::ops::Range;

use hashbrown::HashMap;

use crate::escape::push_escaped;
use crate::number::push_number;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows, until its process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Buckets that may fall: `_bucket`, `_gsum`, `_gcount`. OpenMetrics only.
    GaugeHistogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
    /// Text that hardly changes, as labels of a 1. OpenMetrics only.
    Info,
    /// A set of booleans. OpenMetrics only.
    StateSet,
    /// `untyped` in the text format, `unknown` in OpenMetrics.
    Untyped,
}

/// A family of this page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyId(usize);

/// A set of labels of this page that many samples share, such as a container's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedId(u32);

impl SharedId {
    /// Counted from 0 in the order in which the sets of a page were made.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One family: what it is called, what it is, and its samples in the order they were added.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) name: Cow<'static, str>,
    pub(crate) help: Cow<'static, str>,
    pub(crate) kind: Kind,
    /// Index of the first and the last sample.
    chain: Option<(u32, u32)>,
}

/// A sample. There may be a hundred thousand on a page: it is kept to 32 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: f64,
    labels: Range<u32>,
    /// Index of the shared set of labels, or [`NONE`].
    shared: u32,
    /// Index of the family's next sample, or [`NONE`].
    next: u32,
    /// Index of what few samples have, or [`NONE`].
    rare: u32,
}

/// No index: there are fewer of everything.
const NONE: u32 = u32::MAX;

/// What few samples have.
#[derive(Clone, Copy, Debug)]
struct Rare {
    /// Appended to the family's name: `_bucket`, `_sum`, `_count`, or nothing.
    suffix: &'static str,
    timestamp_ms: Option<i64>,
}

/// A page of families. Fill it with [`family`](Self::family) and [`sample`](Self::sample), then encode it.
///
/// Its text is limited to 4 GiB of labels; samples beyond that are left out.
#[derive(Clone, Debug, Default)]
pub struct Page {
    arena: String,
    families: Vec<Family>,
    entries: Vec<Entry>,
    rare: Vec<Rare>,
    shared: Vec<Range<u32>>,
    index: HashMap<Cow<'static, str>, FamilyId>,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the page and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.families.clear();
        self.entries.clear();
        self.rare.clear();
        self.shared.clear();
        self.index.clear();
    }

    /// The family of that name, made when it is new. The first help and kind win. A family that gets no sample is
    /// not printed.
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
        self.families.push(Family { name, help: help.into(), kind, chain: None });
        id
    }

    /// Whether there is a family of that name, and of which kind.
    pub fn kind_of(&self, name: &str) -> Option<Kind> {
        self.index.get(name).and_then(|id| self.families.get(id.0)).map(|family| family.kind)
    }

    /// A set of labels for [`sample_shared`](Self::sample_shared).
    pub fn shared<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> SharedId {
        let range = self.write_labels(labels);
        let id = SharedId(u32::try_from(self.shared.len()).unwrap_or(u32::MAX));
        self.shared.push(range);
        id
    }

    /// Adds a sample. Labels are written in the order given; their names must differ. Give them sorted by name
    /// where the order of the text matters.
    pub fn sample(&mut self, family: FamilyId, labels: &[(&str, &str)], value: f64) {
        self.push(family, Own { labels, ..Own::default() }, value);
    }

    /// Adds a sample with the labels of a shared set besides its own, which come first.
    pub fn sample_shared(&mut self, family: FamilyId, shared: SharedId, labels: &[(&str, &str)], value: f64) {
        self.push(family, Own { labels, shared: Some(shared), ..Own::default() }, value);
    }

    /// As [`sample_shared`](Self::sample_shared), with a time of its own, in milliseconds since 1970.
    pub fn sample_shared_at(
        &mut self,
        family: FamilyId,
        shared: SharedId,
        labels: &[(&str, &str)],
        value: f64,
        timestamp_ms: i64,
    ) {
        self.push(
            family,
            Own { labels, shared: Some(shared), timestamp_ms: Some(timestamp_ms), ..Own::default() },
            value,
        );
    }

    /// Takes the samples of a family that have a shared set out of it; gives how many. They still count in
    /// [`sample_count`](Self::sample_count).
    pub fn remove_shared(&mut self, family: FamilyId, shared: SharedId) -> usize {
        let Some(family) = self.families.get_mut(family.0) else { return 0 };
        let mut next = family.chain.take().map(|(first, _)| first);
        let mut removed = 0;
        let mut kept: Option<(u32, u32)> = None;
        while let Some(at) = next {
            let Some(entry) = self.entries.get_mut(at as usize) else { break };
            next = index(std::mem::replace(&mut entry.next, NONE));
            if entry.shared == shared.0 {
                removed += 1;
                continue;
            }
            if let Some(before) = kept.and_then(|(_, last)| self.entries.get_mut(last as usize)) {
                before.next = at;
            }
            kept = Some((kept.map_or(at, |(first, _)| first), at));
        }
        family.chain = kept;
        removed
    }

    /// Adds a sample with a time of its own, in milliseconds since 1970.
    pub fn sample_at(&mut self, family: FamilyId, labels: &[(&str, &str)], value: f64, timestamp_ms: i64) {
        self.push(family, Own { labels, timestamp_ms: Some(timestamp_ms), ..Own::default() }, value);
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

    /// Adds a sample of a histogram or summary: `suffix` is `_bucket`, `_sum`, `_count` or nothing. The numbers in
    /// `le` and `quantile` are given as the text format writes them (`1`); OpenMetrics gets its `1.0` when encoding.
    pub fn sample_suffixed(&mut self, family: FamilyId, suffix: &'static str, labels: &[(&str, &str)], value: f64) {
        self.push(family, Own { suffix, labels, ..Own::default() }, value);
    }

    /// Adds a bucket of a histogram: how many observations were at most `le`, so far.
    pub fn bucket(&mut self, family: FamilyId, labels: &[(&str, &str)], le: f64, count: f64) {
        self.push(family, Own { suffix: "_bucket", labels, edge: Some(("le", le)), ..Own::default() }, count);
    }

    /// Adds a quantile (0 to 1) of a summary.
    pub fn quantile(&mut self, family: FamilyId, labels: &[(&str, &str)], quantile: f64, value: f64) {
        self.push(family, Own { labels, edge: Some(("quantile", quantile)), ..Own::default() }, value);
    }

    /// Whether more samples fit into its memory than into the other's.
    pub fn has_more_room_than(&self, other: &Self) -> bool {
        self.entries.capacity() > other.entries.capacity()
    }

    /// How many samples there are.
    pub fn sample_count(&self) -> usize {
        self.entries.len()
    }

    /// How many families have samples.
    pub fn family_count(&self) -> usize {
        self.families.iter().filter(|family| family.chain.is_some()).count()
    }

    /// Moves all of another page's families to this one. A family that both have is joined.
    pub fn absorb(&mut self, other: Self) {
        let mut other = other;
        self.absorb_from(&mut other);
    }

    /// As [`absorb`](Self::absorb), and leaves the other page empty with its memory kept. If the other one is the larger, in
    /// samples and in memory, and has no family that this one has, it is this page's samples that are moved, and the pages
    /// have changed their memory: `true` tells so.
    pub fn absorb_from(&mut self, other: &mut Self) -> bool {
        let is_larger = other.entries.len() > self.entries.len() && other.entries.capacity() > self.entries.capacity();
        let changes = is_larger && !self.families.iter().any(|family| other.index.contains_key(&family.name));
        if changes {
            std::mem::swap(self, other);
        }
        let arena_offset = self.arena_len();
        let shared_offset = u32::try_from(self.shared.len()).unwrap_or(u32::MAX);
        let entry_offset = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let rare_offset = u32::try_from(self.rare.len()).unwrap_or(u32::MAX);
        let shift =
            |range: &Range<u32>| range.start.saturating_add(arena_offset)..range.end.saturating_add(arena_offset);
        self.arena.push_str(&other.arena);
        self.shared.extend(other.shared.iter().map(shift));
        self.entries.extend(other.entries.drain(..).map(|mut entry| {
            entry.labels = shift(&entry.labels);
            // What is NONE stays so.
            entry.shared = entry.shared.saturating_add(shared_offset);
            entry.next = entry.next.saturating_add(entry_offset);
            entry.rare = entry.rare.saturating_add(rare_offset);
            entry
        }));
        self.rare.append(&mut other.rare);
        for theirs in other.families.drain(..) {
            let Some((first, last)) = theirs.chain else { continue };
            let (first, last) = (first.saturating_add(entry_offset), last.saturating_add(entry_offset));
            let id = self.family(theirs.name, theirs.help, theirs.kind);
            self.link(id, first, last);
        }
        other.clear();
        changes
    }

    /// The families that have samples, sorted by name.
    pub(crate) fn sorted(&self) -> Vec<&Family> {
        let mut families: Vec<_> = self.families.iter().filter(|family| family.chain.is_some()).collect();
        families.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        families
    }

    /// The samples of a family, in the order they were added.
    pub(crate) fn samples<'a>(&'a self, family: &Family) -> impl Iterator<Item = &'a Entry> {
        let mut next = family.chain.map(|(first, _)| first);
        std::iter::from_fn(move || {
            let entry = self.entries.get(next? as usize)?;
            next = index(entry.next);
            Some(entry)
        })
    }

    /// What is appended to the family's name: `_bucket`, `_sum`, `_count`, or nothing.
    pub(crate) fn suffix(&self, entry: &Entry) -> &'static str {
        self.rare.get(entry.rare as usize).map_or("", |rare| rare.suffix)
    }

    /// The sample's own time.
    pub(crate) fn timestamp_ms(&self, entry: &Entry) -> Option<i64> {
        self.rare.get(entry.rare as usize)?.timestamp_ms
    }

    /// A sample's own labels and its shared ones, escaped, without braces.
    pub(crate) fn labels(&self, entry: &Entry) -> (&str, &str) {
        let own = self.slice(&entry.labels);
        let shared = self.shared.get(entry.shared as usize).map_or("", |range| self.slice(range));
        (own, shared)
    }

    fn slice(&self, range: &Range<u32>) -> &str {
        self.arena.get(range.start as usize..range.end as usize).unwrap_or("")
    }

    fn push(&mut self, family: FamilyId, own: Own<'_>, value: f64) {
        let mut labels = self.write_labels(own.labels.iter().copied());
        if let Some((name, number)) = own.edge {
            if !labels.is_empty() {
                self.arena.push(',');
            }
            self.arena.push_str(name);
            self.arena.push_str("=\"");
            push_number(&mut self.arena, number);
            self.arena.push('"');
            labels.end = self.arena_len();
        }
        let Ok(index) = u32::try_from(self.entries.len()) else { return };
        if labels.end == u32::MAX || index == NONE {
            return;
        }
        let Own { suffix, shared, timestamp_ms, .. } = own;
        let mut rare = NONE;
        if !suffix.is_empty() || timestamp_ms.is_some() {
            rare = u32::try_from(self.rare.len()).unwrap_or(NONE);
            self.rare.push(Rare { suffix, timestamp_ms });
        }
        let shared = shared.map_or(NONE, |shared| shared.0);
        self.entries.push(Entry { value, labels, shared, next: NONE, rare });
        self.link(family, index, index);
    }

    /// Appends the chain of samples from `first` to `last` to a family's own.
    fn link(&mut self, family: FamilyId, first: u32, last: u32) {
        let Some(family) = self.families.get_mut(family.0) else { return };
        let Some((_, tail)) = &mut family.chain else {
            family.chain = Some((first, last));
            return;
        };
        if let Some(entry) = self.entries.get_mut(*tail as usize) {
            entry.next = first;
        }
        *tail = last;
    }

    fn write_labels<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Range<u32> {
        let start = self.arena_len();
        for (position, (name, value)) in labels.into_iter().enumerate() {
            if position > 0 {
                self.arena.push(',');
            }
            self.arena.push_str(name);
            self.arena.push_str("=\"");
            push_escaped(&mut self.arena, value, true);
            self.arena.push('"');
        }
        start..self.arena_len()
    }

    fn arena_len(&self) -> u32 {
        u32::try_from(self.arena.len()).unwrap_or(u32::MAX)
    }
}

fn index(stored: u32) -> Option<u32> {
    (stored != NONE).then_some(stored)
}

/// What a sample brings besides its family and value.
#[derive(Default)]
struct Own<'a> {
    suffix: &'static str,
    labels: &'a [(&'a str, &'a str)],
    shared: Option<SharedId>,
    /// `le` or `quantile`, printed as a number.
    edge: Option<(&'static str, f64)>,
    timestamp_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &Page) -> String {
        let mut out = String::new();
        page.write_text(&mut out);
        out
    }

    #[test]
    fn absorbing_joins_families_and_keeps_the_order() {
        let mut a = Page::new();
        let up = a.family("up", "Is it up.", Kind::Gauge);
        let who = a.shared([("who", "a")]);
        a.sample_shared(up, who, &[("n", "1")], 1.0);
        let mut b = Page::new();
        let late = b.family("late", "How late.", Kind::Gauge);
        let up = b.family("up", "Other words.", Kind::Gauge);
        let who = b.shared([("who", "b")]);
        b.sample_shared(up, who, &[("n", "2")], 2.0);
        b.sample(late, &[], 0.5);
        b.sample_shared(up, who, &[("n", "3")], 3.0);
        a.absorb_from(&mut b);
        assert_eq!((a.sample_count(), a.family_count(), b.sample_count()), (4, 2, 0));
        assert_eq!(
            text(&a),
            "# HELP late How late.\n# TYPE late gauge\nlate 0.5\n\
             # HELP up Is it up.\n# TYPE up gauge\n\
             up{n=\"1\",who=\"a\"} 1\nup{n=\"2\",who=\"b\"} 2\nup{n=\"3\",who=\"b\"} 3\n"
        );
    }

    #[test]
    fn the_smaller_page_is_moved_unless_they_have_a_family_in_common() {
        let filled = |name: &'static str, who: &str, samples: u32| {
            let mut page = Page::new();
            let family = page.family(name, "", Kind::Gauge);
            let who = page.shared([("who", who)]);
            (0..samples).for_each(|n| page.sample_shared(family, who, &[("n", &n.to_string())], 1.0));
            page
        };
        let check = |small: &'static str, large: &'static str, changes: bool| {
            let (mut page, mut other) = (filled(small, "small", 3), filled(large, "large", 100));
            let want = {
                let (first, then) = (text(&page), text(&other));
                if small == large { first + then.split_once('\n').unwrap().1 } else { first + &then }
            };
            assert_eq!(page.absorb_from(&mut other), changes);
            assert_eq!((page.sample_count(), other.sample_count()), (103, 0));
            assert_eq!(text(&page), want);
            assert_eq!(other.entries.capacity() < 100, changes);
        };
        check("a", "b", true);
        check("a", "a", false);
        assert!(!filled("b", "large", 100).absorb_from(&mut filled("a", "small", 3)));
    }

    #[test]
    fn samples_of_a_shared_set_are_removed() {
        #[track_caller]
        fn check(order: &str, remove: &[usize], want: &str) {
            let mut page = Page::new();
            let up = page.family("up", "", Kind::Gauge);
            let sets: Vec<_> = ["a", "b"].map(|who| page.shared([("who", who)])).into();
            for (number, who) in order.chars().enumerate() {
                page.sample_shared(up, sets[usize::from(who == 'b')], &[], number as f64);
            }
            let removed: usize = remove.iter().map(|set| page.remove_shared(up, sets[*set])).sum();
            page.sample_shared_at(up, sets[0], &[], 9.0, 7);
            let left: Vec<_> =
                text(&page).lines().skip(1).map(|line| line.rsplit_once("} ").unwrap().1.to_owned()).collect();
            assert_eq!(left.join(" "), want, "{order}");
            assert_eq!(removed + left.len(), order.len() + 1);
        }
        check("aabba", &[0], "2 3 9 7");
        check("aabba", &[1], "0 1 4 9 7");
        check("abab", &[1, 0], "9 7");
        check("", &[0], "9 7");
        check("bbbb", &[0], "0 1 2 3 9 7");
    }

    #[test]
    fn samples_are_small_and_keep_what_few_have_when_they_are_moved() {
        assert_eq!(size_of::<Entry>(), 32);
        let mut page = Page::new();
        let family = page.family("h", "", Kind::Histogram);
        page.sample_suffixed(family, "_sum", &[], 1.0);
        let mut other = Page::new();
        let family = other.family("h", "", Kind::Histogram);
        other.sample_at(family, &[], 2.0, 7);
        other.sample(family, &[], 3.0);
        other.sample_suffixed(family, "_count", &[], 4.0);
        page.absorb_from(&mut other);
        assert_eq!(text(&page), "# TYPE h histogram\nh_sum 1\nh 2 7\nh 3\nh_count 4\n");
    }

    #[test]
    fn a_cleared_page_is_as_new() {
        let mut page = Page::new();
        page.single("old", "", Kind::Gauge, 1.0);
        page.clear();
        page.single("new", "", Kind::Gauge, 1.0);
        assert_eq!(text(&page), "# TYPE new gauge\nnew 1\n");
        assert_eq!(page.kind_of("old"), None);
        assert_eq!(page.kind_of("new"), Some(Kind::Gauge));
    }
}
