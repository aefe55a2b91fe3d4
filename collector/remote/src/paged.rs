//! A map from numbers that lie close together, as handles and ids do that are given out one after the other: found
//! without a hash for each, and neighbours lie side by side in memory.

use hashbrown::HashMap;

const PAGE: usize = 256;

/// A map from `u64` to small values, in pages of 256.
pub(crate) struct Paged<T> {
    pages: HashMap<u64, Page<T>>,
}

struct Page<T> {
    slots: Vec<Option<T>>,
    used: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: HashMap::new() }
    }
}

fn place(key: u64) -> (u64, usize) {
    (key / PAGE as u64, (key % PAGE as u64) as usize)
}

impl<T> Paged<T> {
    pub(crate) fn get(&self, key: u64) -> Option<&T> {
        let (page, slot) = place(key);
        self.pages.get(&page)?.slots.get(slot)?.as_ref()
    }

    pub(crate) fn insert(&mut self, key: u64, value: T) {
        let (page, slot) = place(key);
        let page = self.pages.entry(page).or_insert_with(|| Page { slots: (0..PAGE).map(|_| None).collect(), used: 0 });
        if let Some(slot) = page.slots.get_mut(slot)
            && slot.replace(value).is_none()
        {
            page.used += 1;
        }
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<T> {
        let (number, slot) = place(key);
        let page = self.pages.get_mut(&number)?;
        let value = page.slots.get_mut(slot)?.take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages.remove(&number);
        }
        Some(value)
    }

    pub(crate) fn clear(&mut self) {
        self.pages.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u64..1_000), 0..300)) {
            let (mut paged, mut model) = (Paged::default(), BTreeMap::new());
            for (value, (insert, key)) in steps.into_iter().enumerate() {
                // Keys at both ends of the range.
                let key = if key % 2 == 0 { key } else { u64::MAX - key };
                if insert {
                    paged.insert(key, value);
                    model.insert(key, value);
                } else {
                    prop_assert_eq!(paged.remove(key), model.remove(&key));
                }
                prop_assert_eq!(paged.get(key), model.get(&key));
            }
            prop_assert!(model.iter().all(|(key, value)| paged.get(*key) == Some(value)));
            let pages: std::collections::BTreeSet<u64> = model.keys().map(|key| key / PAGE as u64).collect();
            prop_assert_eq!(paged.pages.len(), pages.len());
        }
    }
}
