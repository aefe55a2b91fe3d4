//! A map from numbers that lie close together, as ids do that are given out one after the other: neighbours lie side
//! by side in memory. A lonely number takes a whole page, so it is for nothing else.

use hashbrown::HashMap;

const PAGE: usize = 256;

/// A map from `u64` to small values, in pages of 256.
pub(crate) struct Paged<T> {
    pages: HashMap<u64, Box<[Option<T>]>>,
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
        self.pages.get(&page)?.get(slot)?.as_ref()
    }

    pub(crate) fn insert(&mut self, key: u64, value: T) {
        let (page, slot) = place(key);
        let page = self.pages.entry(page).or_insert_with(|| (0..PAGE).map(|_| None).collect());
        if let Some(slot) = page.get_mut(slot) {
            *slot = Some(value);
        }
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
        fn it_is_a_map(keys in proptest::collection::vec(0_u64..1_000, 0..300)) {
            let (mut paged, mut model) = (Paged::default(), BTreeMap::new());
            for (value, key) in keys.into_iter().enumerate() {
                // Keys at both ends of the range.
                let key = if key % 2 == 0 { key } else { u64::MAX - key };
                prop_assert_eq!(paged.get(key), model.get(&key));
                paged.insert(key, value);
                model.insert(key, value);
                prop_assert_eq!(paged.get(key), Some(&value));
            }
            prop_assert!(model.iter().all(|(key, value)| paged.get(*key) == Some(value)));
            let pages: std::collections::BTreeSet<u64> = model.keys().map(|key| key / PAGE as u64).collect();
            prop_assert_eq!(paged.pages.len(), pages.len());
        }
    }
}
