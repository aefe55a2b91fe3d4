//! What a target's series texts mean: `name{a="b"}` as it stands in the page, and the series it became.
//!
//! A page mostly repeats the one before it, in the same order. So each entry remembers which entry came after it
//! last time, and a known line costs a hash of its text and one comparison with that guess; only where the guess is
//! wrong the table is asked. Texts themselves are not kept: 128 bits of a seeded hash stand for them.

use agent_exposition::Format;
use collector_model::{Labels, SeriesRef};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Stands for "no entry".
const NONE: u32 = u32::MAX;
/// Stands for "dropped by relabelling".
const DROPPED: SeriesRef = SeriesRef(u64::MAX);
/// Entries not seen for a while that are kept at least, so that a few flapping series cost nothing.
const SPARE: usize = 100;

/// The position of an entry in the cache, valid until the end of the scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// The hash of a series text, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    hash: [u64; 2],
    length: u32,
}

/// What is known of a series text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Known(Slot),
    New(Text),
}

#[derive(Debug)]
struct Entry {
    text: Text,
    /// Right for trackers alone.
    series: SeriesRef,
    labels: Labels,
    /// What came after it in the last scrape.
    next: u32,
    /// The entry that stands for its series: itself, unless another text of the same series came first.
    tracker: u32,
    /// The last scrape that had this text.
    seen: u32,
    /// The last scrape that had this series, explicit time stamps apart.
    tracked: u32,
    /// Whether the series goes stale when the next scrape lacks it.
    alive: bool,
}

/// The cache of one target, through scrape after scrape: [`begin`](Self::begin), then look up and
/// [`track`](Self::track), then [`vanished`](Self::vanished) and [`commit`](Self::commit).
#[derive(Debug)]
pub(crate) struct SeriesCache {
    entries: Vec<Entry>,
    by_text: HashTable<u32>,
    by_series: HashTable<u32>,
    /// Series that were alive when the texts were forgotten.
    orphans: Vec<SeriesRef>,
    seed: u64,
    salt: u64,
    first: u32,
    previous: u32,
    scrape: u32,
    last_good: u32,
    /// Texts of this scrape.
    seen: usize,
    /// Series of this scrape that are tracked, and how many of them were alive before.
    tracked: usize,
    still_alive: usize,
    alive: usize,
    /// How many texts the last good scrape had.
    good: usize,
}

impl SeriesCache {
    /// `seed` should be secret to the process, so that no target can make texts collide.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            by_text: HashTable::new(),
            by_series: HashTable::new(),
            orphans: Vec::new(),
            seed,
            salt: 0,
            first: NONE,
            previous: NONE,
            scrape: 0,
            last_good: 0,
            seen: 0,
            tracked: 0,
            still_alive: 0,
            alive: 0,
            good: 0,
        }
    }

    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape += 1;
        self.previous = NONE;
        (self.seen, self.tracked, self.still_alive) = (0, 0, 0);
    }

    /// Keeps texts apart that come in pages of different formats: what is fine in one may be wrong in another.
    pub(crate) fn set_format(&mut self, format: Format) {
        self.salt = match format {
            Format::Text004 => 1,
            Format::OpenMetrics100 => 2,
        };
    }

    /// What is known of the next line's series text, when it was not guessed.
    pub(crate) fn lookup(&mut self, text: &str) -> Lookup {
        let text = self.text(text);
        let entries = &self.entries;
        let found = self.by_text.find(text.hash[0], |i| entries.get(*i as usize).is_some_and(|e| e.text == text));
        match found.copied() {
            Some(position) => {
                self.came_next(position);
                Lookup::Known(Slot(position))
            }
            None => Lookup::New(text),
        }
    }

    /// Whether a line begins with the text that came next the last time: its entry, and the length of the text.
    pub(crate) fn guess(&self, line: &str) -> Option<(Slot, usize)> {
        let position = self.entry(self.previous).map_or(self.first, |previous| previous.next);
        let entry = self.entry(position)?;
        let length = entry.text.length as usize;
        (self.text(line.get(..length)?) == entry.text).then_some((Slot(position), length))
    }

    /// Notes that the next line's text was guessed right.
    pub(crate) fn confirm(&mut self, slot: Slot) {
        self.previous = slot.0;
    }

    fn text(&self, text: &str) -> Text {
        let hash = xxh3_128_with_seed(text.as_bytes(), self.seed ^ self.salt);
        Text { hash: [hash as u64, (hash >> 64) as u64], length: u32::try_from(text.len()).unwrap_or(u32::MAX) }
    }

    /// Notes that this scrape has the text. False when it had it before.
    pub(crate) fn see(&mut self, slot: Slot) -> bool {
        let scrape = self.scrape;
        let Some(entry) = self.entries.get_mut(slot.0 as usize) else { return false };
        let first = entry.seen != scrape;
        entry.seen = scrape;
        self.seen += usize::from(first);
        first
    }

    /// Whether the text is new, or the last good scrape lacked it. Ask before [`see`](Self::see).
    pub(crate) fn is_added(&self, slot: Slot) -> bool {
        self.entry(slot.0).is_some_and(|entry| entry.seen == 0 || entry.seen < self.last_good)
    }

    /// The series of a text; `None` when relabelling dropped it.
    pub(crate) fn series(&self, slot: Slot) -> Option<SeriesRef> {
        let tracker = self.entry(self.entry(slot.0)?.tracker)?;
        (tracker.series != DROPPED).then_some(tracker.series)
    }

    /// The labels of a text's series; empty when it was dropped.
    pub(crate) fn labels(&self, slot: Slot) -> Option<&Labels> {
        self.entry(slot.0).map(|entry| &entry.labels)
    }

    /// Notes that this scrape has the series of this text, so that it goes stale when the next one lacks it.
    pub(crate) fn track(&mut self, slot: Slot) {
        let scrape = self.scrape;
        let Some(tracker) = self.entry(slot.0).map(|entry| entry.tracker) else { return };
        let Some(entry) = self.entries.get_mut(tracker as usize) else { return };
        if entry.tracked != scrape {
            entry.tracked = scrape;
            self.tracked += 1;
            self.still_alive += usize::from(entry.alive);
        }
    }

    /// Enters a new text that became a series.
    pub(crate) fn insert(&mut self, text: Text, series: SeriesRef, labels: Labels) -> Slot {
        let position = self.position();
        let entries = &self.entries;
        let known =
            self.by_series.find(spread(series), |i| entries.get(*i as usize).is_some_and(|e| e.series == series));
        let tracker = known.copied().unwrap_or(position);
        if tracker == position {
            self.by_series.insert_unique(spread(series), position, rehash_series(&self.entries));
        }
        self.push(Entry { text, series, labels, next: NONE, tracker, seen: 0, tracked: 0, alive: false })
    }

    /// Enters a new text that relabelling dropped.
    pub(crate) fn insert_dropped(&mut self, text: Text) -> Slot {
        let tracker = self.position();
        let (series, labels) = (DROPPED, Labels::empty());
        self.push(Entry { text, series, labels, next: NONE, tracker, seen: 0, tracked: 0, alive: false })
    }

    /// Gives the series of a text another handle, because the window let go of the old one.
    pub(crate) fn replace(&mut self, slot: Slot, series: SeriesRef) {
        let Some(tracker) = self.entry(slot.0).map(|entry| entry.tracker) else { return };
        let Some(old) = self.entry(tracker).map(|entry| entry.series) else { return };
        if let Ok(occupied) = self.by_series.find_entry(spread(old), |i| *i == tracker) {
            occupied.remove();
        }
        if let Some(entry) = self.entries.get_mut(tracker as usize) {
            entry.series = series;
        }
        self.by_series.insert_unique(spread(series), tracker, rehash_series(&self.entries));
    }

    /// Calls `end` with every series that was alive before this scrape and is not in it; with `all`, as after a
    /// failure, with every one that was alive.
    pub(crate) fn vanished(&self, all: bool, mut end: impl FnMut(SeriesRef)) {
        if all || self.still_alive < self.alive {
            let gone = |entry: &&Entry| entry.alive && (all || entry.tracked != self.scrape);
            self.entries.iter().filter(gone).for_each(|entry| end(entry.series));
        }
        for orphan in &self.orphans {
            let entries = &self.entries;
            let known =
                self.by_series.find(spread(*orphan), |i| entries.get(*i as usize).is_some_and(|e| e.series == *orphan));
            let tracked = known.and_then(|i| self.entry(*i)).is_some_and(|entry| entry.tracked == self.scrape);
            if all || !tracked {
                end(*orphan);
            }
        }
    }

    /// Ends a scrape; the series of a good one are alive now, after a failure none is. True when the cache had
    /// outgrown its bound and what was not seen had to go.
    pub(crate) fn commit(&mut self, good: bool) -> bool {
        self.orphans.clear();
        let unchanged = good && self.tracked == self.alive && self.still_alive == self.alive;
        if !unchanged {
            let scrape = self.scrape;
            self.entries.iter_mut().for_each(|entry| entry.alive = good && entry.tracked == scrape);
            self.alive = if good { self.tracked } else { 0 };
        }
        if good {
            self.last_good = self.scrape;
            self.good = self.seen;
            if self.entries.len() > self.seen + self.seen / 2 + SPARE {
                self.compact();
            }
            return false;
        }
        // A target whose labels vary in scrapes that fail would otherwise make it grow without end.
        let outgrown = self.entries.len() > 2 * self.good + 1000;
        if outgrown {
            self.compact();
        }
        outgrown
    }

    /// Forgets what texts mean, because the rules changed, but not which series are alive.
    pub(crate) fn forget_texts(&mut self) {
        let alive = self.entries.iter().filter(|entry| entry.alive).map(|entry| entry.series);
        self.orphans.extend(alive);
        self.entries.clear();
        self.rebuild();
        (self.alive, self.good) = (0, 0);
    }

    /// Lets go of what the current scrape did not have.
    fn compact(&mut self) {
        let scrape = self.scrape;
        // What a tracker knows outlives it in the first text of its series that stays.
        let states: Vec<_> = self.entries.iter().map(|e| (e.series, e.tracked, e.alive)).collect();
        for entry in &mut self.entries {
            if let Some(state) = states.get(entry.tracker as usize) {
                (entry.series, entry.tracked, entry.alive) = *state;
            }
        }
        self.entries.retain(|entry| entry.seen == scrape);
        self.entries.shrink_to_fit();
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.by_text.clear();
        self.by_series.clear();
        self.by_text.shrink_to(self.entries.len(), |_| 0);
        self.by_series.shrink_to(self.entries.len(), |_| 0);
        (self.first, self.previous) = (NONE, NONE);
        let entries = std::mem::take(&mut self.entries);
        for mut entry in entries {
            let position = self.position();
            let series = entry.series;
            let known =
                self.by_series.find(spread(series), |i| self.entry(*i).is_some_and(|e| e.series == series)).copied();
            entry.tracker = known.filter(|_| series != DROPPED).unwrap_or(position);
            entry.alive &= entry.tracker == position;
            entry.next = NONE;
            self.by_text.insert_unique(entry.text.hash[0], position, rehash_text(&self.entries));
            if series != DROPPED && entry.tracker == position {
                self.by_series.insert_unique(spread(series), position, rehash_series(&self.entries));
            }
            self.entries.push(entry);
        }
    }

    fn push(&mut self, entry: Entry) -> Slot {
        let position = self.position();
        self.by_text.insert_unique(entry.text.hash[0], position, rehash_text(&self.entries));
        self.entries.push(entry);
        self.came_next(position);
        Slot(position)
    }

    fn came_next(&mut self, position: u32) {
        match self.entries.get_mut(self.previous as usize) {
            Some(previous) => previous.next = position,
            None => self.first = position,
        }
        self.previous = position;
    }

    fn entry(&self, position: u32) -> Option<&Entry> {
        self.entries.get(position as usize)
    }

    /// Where the next entry goes.
    fn position(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(NONE)
    }
}

fn rehash_text(entries: &[Entry]) -> impl Fn(&u32) -> u64 + '_ {
    |position| entries.get(*position as usize).map_or(0, |entry| entry.text.hash[0])
}

fn rehash_series(entries: &[Entry]) -> impl Fn(&u32) -> u64 + '_ {
    |position| entries.get(*position as usize).map_or(0, |entry| spread(entry.series))
}

/// Handles count up, and the table takes its tags from the high bits (Fibonacci hashing).
fn spread(series: SeriesRef) -> u64 {
    series.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap};

    /// As a page's reader does it.
    fn find(cache: &mut SeriesCache, text: &str) -> Lookup {
        match cache.guess(&format!("{text} 1")) {
            Some((slot, length)) if length == text.len() => {
                cache.confirm(slot);
                Lookup::Known(slot)
            }
            _ => cache.lookup(text),
        }
    }

    /// One scrape of lines `text`, each of series `text % 10` (so that texts share series); even texts above 90 are
    /// dropped by relabelling.
    fn scrape(cache: &mut SeriesCache, page: &[u8], good: bool) -> BTreeSet<u64> {
        cache.begin();
        for text in page {
            let slot = match find(cache, &format!("m{{a=\"{text}\"}}")) {
                Lookup::Known(slot) => slot,
                Lookup::New(hash) if *text > 90 && text % 2 == 0 => cache.insert_dropped(hash),
                Lookup::New(hash) => cache.insert(hash, SeriesRef(u64::from(text % 10)), Labels::empty()),
            };
            let first = cache.see(slot);
            assert_eq!(first, !page[..page.iter().position(|t| t == text).unwrap()].contains(text) && first);
            if let Some(series) = cache.series(slot) {
                assert_eq!(series.0, u64::from(text % 10));
                cache.track(slot);
            }
        }
        let mut gone = Vec::new();
        cache.vanished(!good, |series| gone.push(series.0));
        cache.commit(good);
        let set: BTreeSet<u64> = gone.iter().copied().collect();
        assert_eq!(set.len(), gone.len(), "a series ends once");
        set
    }

    fn series(page: &[u8]) -> BTreeSet<u64> {
        page.iter().filter(|t| **t <= 90 || **t % 2 == 1).map(|t| u64::from(t % 10)).collect()
    }

    proptest! {
        #[test]
        fn series_end_when_a_scrape_lacks_them(
            scrapes in proptest::collection::vec((proptest::collection::vec(0_u8..100, 0..30), 0..5), 1..30),
        ) {
            let mut cache = SeriesCache::new(7);
            let mut alive = BTreeSet::new();
            for (page, kind) in scrapes {
                if kind == 4 {
                    cache.forget_texts();
                }
                let good = kind != 0;
                let now = if good { series(&page) } else { BTreeSet::new() };
                let gone = scrape(&mut cache, &page, good);
                prop_assert_eq!(gone, alive.difference(&now).copied().collect());
                alive = now;
            }
        }
    }

    #[test]
    fn forgets_texts_that_do_not_come_back() {
        let mut cache = SeriesCache::new(7);
        let good = |cache: &mut SeriesCache, texts: std::ops::Range<u64>| {
            cache.begin();
            for text in texts {
                let slot = match find(cache, &text.to_string()) {
                    Lookup::Known(slot) => slot,
                    Lookup::New(hash) => cache.insert(hash, SeriesRef(text), Labels::empty()),
                };
                cache.see(slot);
                cache.track(slot);
            }
            cache.commit(true)
        };
        good(&mut cache, 0..1000);
        good(&mut cache, 1000..1010);
        assert_eq!(cache.entries.len(), 10);
        assert!((1000..1010).all(|text: u64| matches!(find(&mut cache, &text.to_string()), Lookup::Known(_))));
        // Scrapes that fail are bounded too.
        let mut outgrown = false;
        for round in 0..20 {
            cache.begin();
            for text in 0..100 {
                if let Lookup::New(hash) = find(&mut cache, &format!("{round}-{text}")) {
                    let slot = cache.insert(hash, SeriesRef(10_000 + round * 100 + text), Labels::empty());
                    cache.see(slot);
                }
            }
            outgrown |= cache.commit(false);
            assert!(cache.entries.len() <= 1120);
        }
        assert!(outgrown);
    }

    #[test]
    fn a_series_may_get_another_handle() {
        let mut cache = SeriesCache::new(7);
        scrape(&mut cache, &[1, 11, 2], true);
        let Lookup::Known(slot) = cache.lookup("m{a=\"11\"}") else { panic!("known") };
        cache.replace(slot, SeriesRef(77));
        let Lookup::Known(other) = cache.lookup("m{a=\"1\"}") else { panic!("known") };
        assert_eq!(cache.series(other), Some(SeriesRef(77)));
        let mut gone = HashMap::new();
        cache.vanished(true, |series| *gone.entry(series.0).or_insert(0) += 1);
        assert_eq!(gone, HashMap::from([(77, 1), (2, 1)]));
    }
}
