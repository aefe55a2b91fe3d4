//! Which series there are, and which of them carry which label.
//!
//! A series has a *slot*, a small number that is used again once the series is gone; the lists of series behind
//! each label pair hold slots. The outside knows a series by its [`SeriesRef`], the slot together with a
//! *generation* that is never used twice.

use collector_model::{Labels, MatchOp, Matcher, SeriesRef};
use hashbrown::{HashMap, HashTable};

/// The place of a series.
pub(crate) type Slot = u32;

/// Tells the series apart that had the same slot one after the other.
pub(crate) type Generation = u32;

/// The outside's handle.
pub(crate) fn series_ref(slot: Slot, generation: Generation) -> SeriesRef {
    SeriesRef(u64::from(generation) << 32 | u64::from(slot))
}

/// The two halves of a handle.
pub(crate) fn parts(series: SeriesRef) -> (Slot, Generation) {
    (series.0 as u32, (series.0 >> 32) as u32)
}

/// A series in the index.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) labels: Labels,
    pub(crate) generation: Generation,
}

#[derive(Clone, Copy)]
struct Known {
    hash: u32,
    slot: Slot,
}

/// The values of one label name, each with the slots of its series, ascending.
type Values = HashMap<Box<str>, Vec<Slot>>;

/// All series, by labels and by slot.
#[derive(Default)]
pub(crate) struct Index {
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    by_labels: HashTable<Known>,
    names: HashMap<Box<str>, Values>,
    generations: Generation,
}

fn hash_of(labels: &Labels) -> u32 {
    labels.stable_hash() as u32
}

/// The table wants good high bits, of which the short hash has none.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// The series in a slot.
    pub(crate) fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    /// One more than the highest slot ever used.
    pub(crate) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The series with these labels.
    pub(crate) fn find(&self, labels: &Labels) -> Option<(Slot, Generation)> {
        let hash = hash_of(labels);
        let known = self.by_labels.find(spread(hash), |known| {
            known.hash == hash && self.entry(known.slot).is_some_and(|e| e.labels == *labels)
        })?;
        Some((known.slot, self.entry(known.slot)?.generation))
    }

    /// Enters a series that [`find`](Self::find) does not find.
    pub(crate) fn insert(&mut self, labels: &Labels) -> (Slot, Generation) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as Slot
        });
        self.generations += 1;
        let generation = self.generations;
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            *entry = Some(Entry { labels: labels.clone(), generation });
        }
        let hash = hash_of(labels);
        self.by_labels.insert_unique(spread(hash), Known { hash, slot }, |known| spread(known.hash));
        for (name, value) in labels {
            let values = self.names.entry_ref(name).or_default();
            let slots = values.entry_ref(value).or_default();
            if let Err(place) = slots.binary_search(&slot) {
                slots.insert(place, slot);
            }
        }
        (slot, generation)
    }

    /// Takes series out. Their slots are used again from now on.
    pub(crate) fn remove(&mut self, slots: &[Slot]) {
        let gone: Vec<(Slot, Entry)> =
            slots.iter().filter_map(|&slot| Some((slot, self.entries.get_mut(slot as usize)?.take()?))).collect();
        // Per value once, not per series: many series that go together share most of their labels.
        let mut touched: HashMap<(&str, &str), Vec<Slot>> = HashMap::new();
        for (slot, entry) in &gone {
            let hash = hash_of(&entry.labels);
            if let Ok(known) = self.by_labels.find_entry(spread(hash), |known| known.slot == *slot) {
                known.remove();
            }
            for pair in &entry.labels {
                touched.entry(pair).or_default().push(*slot);
            }
        }
        for ((name, value), mut leaving) in touched {
            leaving.sort_unstable();
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(slots) = values.get_mut(value) {
                slots.retain(|slot| leaving.binary_search(slot).is_err());
                slots.shrink_to_fit();
                if slots.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
        self.free.extend(gone.iter().map(|(slot, _)| *slot));
    }

    /// The slots of the series that match all of the matchers, ascending.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<Slot> {
        // First those that name exact values, then the ones that any value decides.
        let (exact, other): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| exact_values(m).is_some());
        let mut chosen: Option<Vec<Slot>> = None;
        for matcher in exact {
            let values = self.names.get(matcher.name());
            let lists = exact_values(matcher).into_iter().flatten().filter_map(|v| values?.get(v));
            chosen = Some(intersect(chosen, union(lists)));
        }
        for matcher in other {
            let values = self.names.get(matcher.name());
            let cheap = chosen.as_ref().is_some_and(|c| values.is_none_or(|v| c.len() <= v.len()));
            let may_lack = matcher.matches("");
            if cheap {
                let holds = |slot: &Slot| self.entry(*slot).is_some_and(|e| matcher.matches_labels(&e.labels));
                chosen.as_mut().into_iter().for_each(|c| c.retain(holds));
                continue;
            }
            // A matcher that an absent label satisfies is the complement of the values that do not.
            let named = values.into_iter().flatten().filter(|(v, _)| matcher.matches(v) != may_lack).map(|(_, s)| s);
            let named = union(named);
            chosen = Some(if may_lack {
                let mut all = chosen.unwrap_or_else(|| self.all());
                all.retain(|slot| named.binary_search(slot).is_err());
                all
            } else {
                intersect(chosen, named)
            });
        }
        chosen.unwrap_or_else(|| self.all())
    }

    fn all(&self) -> Vec<Slot> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.is_some()).map(|(slot, _)| slot).collect()
    }

    /// Every label name, in no order.
    pub(crate) fn label_names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|name| &**name)
    }

    /// Every value of a label with the number of its series, in no order.
    pub(crate) fn label_values(&self, name: &str) -> impl Iterator<Item = (&str, usize)> {
        self.names.get(name).into_iter().flatten().map(|(value, slots)| (&**value, slots.len()))
    }

    /// Bytes of memory, reckoned.
    pub(crate) fn memory_bytes(&self) -> usize {
        let values: usize = self
            .names
            .values()
            .map(|values| {
                let table = values.capacity() * (size_of::<(Box<str>, Vec<Slot>)>() + 1);
                table + values.iter().map(|(v, s)| v.len() + s.capacity() * size_of::<Slot>()).sum::<usize>()
            })
            .sum();
        let tables =
            self.entries.capacity() * size_of::<Option<Entry>>() + self.by_labels.capacity() * (size_of::<Known>() + 1);
        values + tables
    }
}

/// The values that alone satisfy a matcher, where it is such a list and an absent label is not on it.
fn exact_values(matcher: &Matcher) -> Option<Vec<&str>> {
    let values: Vec<&str> = match matcher.op() {
        MatchOp::Equal => vec![matcher.value()],
        MatchOp::Regex => matcher.regex()?.literals()?.iter().map(String::as_str).collect(),
        MatchOp::NotEqual | MatchOp::NotRegex => return None,
    };
    (!values.iter().any(|v| v.is_empty())).then_some(values)
}

fn union<'a>(lists: impl Iterator<Item = &'a Vec<Slot>>) -> Vec<Slot> {
    let mut lists = lists.peekable();
    let Some(first) = lists.next() else { return Vec::new() };
    let mut all = first.clone();
    if lists.peek().is_some() {
        lists.for_each(|list| all.extend_from_slice(list));
        all.sort_unstable();
        all.dedup();
    }
    all
}

fn intersect(chosen: Option<Vec<Slot>>, mut list: Vec<Slot>) -> Vec<Slot> {
    let Some(mut chosen) = chosen else { return list };
    if chosen.len() > list.len() {
        std::mem::swap(&mut chosen, &mut list);
    }
    chosen.retain(|slot| list.binary_search(slot).is_ok());
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_index() -> Index {
        let mut index = Index::default();
        for (name, job, extra) in
            [("up", "a", ""), ("up", "b", "x"), ("cpu", "a", "y"), ("cpu", "b", ""), ("mem", "", "x")]
        {
            index.insert(&Labels::from_pairs([("__name__", name), ("job", job), ("extra", extra)]));
        }
        index
    }

    fn matcher(text: &str) -> Matcher {
        for (sign, op) in
            [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)]
        {
            if let Some((name, value)) = text.split_once(sign) {
                return Matcher::new(op, name, value).unwrap();
            }
        }
        panic!("no matcher: {text}")
    }

    #[track_caller]
    fn check(matchers: &str, want: &[Slot]) {
        let index = sample_index();
        let matchers: Vec<_> = matchers.split(' ').filter(|m| !m.is_empty()).map(matcher).collect();
        assert_eq!(index.select(&matchers), want, "{matchers:?}");
        // The index must agree with the matchers' own opinion.
        let slow: Vec<_> = (0..5)
            .filter(|slot| matchers.iter().all(|m| m.matches_labels(&index.entry(*slot).unwrap().labels)))
            .collect();
        assert_eq!(slow, want, "{matchers:?}");
    }

    #[test]
    fn selects_as_the_matchers_say() {
        check("", &[0, 1, 2, 3, 4]);
        check("__name__=up", &[0, 1]);
        check("__name__=up job=b", &[1]);
        check("__name__=gone", &[]);
        check("nothing=x", &[]);
        check("nothing=", &[0, 1, 2, 3, 4]);
        check("job=", &[4]);
        check("job!=", &[0, 1, 2, 3]);
        check("job!=a", &[1, 3, 4]);
        check("extra=~x|y", &[1, 2, 4]);
        check("extra=~x|", &[0, 1, 3, 4]);
        check("extra!~x|", &[2]);
        check("extra!~.+", &[0, 3]);
        check("extra=~.+ job=~a|b", &[1, 2]);
        check("__name__=~.*p.* job=a", &[0, 2]);
        check("__name__=~.*p.* extra!=x", &[0, 2, 3]);
        check("__name__=~u.* __name__!~up", &[]);
    }

    #[test]
    fn a_removed_series_leaves_nothing_behind_but_its_slot() {
        let mut index = sample_index();
        let labels = index.entry(2).unwrap().labels.clone();
        let (_, old) = index.find(&labels).unwrap();
        index.remove(&[2, 4, 77]);
        assert_eq!(index.len(), 3);
        assert_eq!(index.find(&labels), None);
        assert_eq!(index.select(&[matcher("extra=y")]), []);
        assert_eq!(index.label_values("__name__").map(|(v, _)| v).filter(|v| *v == "mem").count(), 0);
        let (_, new) = index.insert(&labels);
        assert!(new > old);
        assert_eq!(index.slots(), 5);
        assert_eq!(index.select(&[matcher("__name__=cpu")]).len(), 2);
    }
}
