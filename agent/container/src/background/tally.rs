//! Counts of how something went, one for each way that it can go.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// The ways that something can go, each with its name: the value of a label.
pub(crate) trait Named: Copy + PartialEq + 'static {
    const ALL: &'static [(Self, &'static str)];
}

/// How often each came to pass. All begin at 0, since an alert needs the series before its first case.
#[derive(Debug)]
pub(crate) struct Tally<N> {
    counts: Box<[AtomicU64]>,
    of: PhantomData<N>,
}

impl<N: Named> Default for Tally<N> {
    fn default() -> Self {
        Self { counts: N::ALL.iter().map(|_| AtomicU64::default()).collect(), of: PhantomData }
    }
}

impl<N: Named> Tally<N> {
    pub(crate) fn count(&self, case: N) {
        let found = N::ALL.iter().zip(&self.counts).find(|((known, _), _)| *known == case);
        if let Some((_, count)) = found {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All names with their counts, in the order of [`Named::ALL`].
    pub(crate) fn told(&self) -> impl Iterator<Item = (&'static str, u64)> {
        N::ALL.iter().zip(&self.counts).map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }

    /// The names of what happened, with their counts.
    #[cfg(test)]
    pub(crate) fn happened(&self) -> Vec<(&'static str, u64)> {
        self.told().filter(|(_, count)| *count > 0).collect()
    }
}
