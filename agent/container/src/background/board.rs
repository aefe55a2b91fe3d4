//! Where scrapes say which cgroups they want something of, and a thread leaves what it found.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::Signal;
use crate::cgroups::Layout;

/// A cgroup of which something is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) path: Arc<str>,
    pub(crate) incarnation: u64,
}

/// What scrapes want and what the thread found of each cgroup.
#[derive(Debug)]
pub(crate) struct Board<T> {
    wanted: Mutex<(Arc<Layout>, Arc<[Wanted]>)>,
    found: Mutex<HashMap<Arc<str>, T>>,
    pub(crate) signal: Signal,
    /// Nanoseconds of CPU time that the looking took.
    pub(crate) cost: AtomicU64,
}

impl<T> Default for Board<T> {
    fn default() -> Self {
        Self {
            wanted: Mutex::default(),
            found: Mutex::default(),
            signal: Signal::default(),
            cost: AtomicU64::default(),
        }
    }
}

impl<T> Board<T> {
    /// Sets which cgroups are wanted from now on.
    pub(crate) fn want(&self, layout: Arc<Layout>, wanted: Vec<Wanted>) {
        *self.wanted.lock() = (layout, wanted.into());
    }

    /// What is wanted now.
    pub(crate) fn wanted(&self) -> (Arc<Layout>, Arc<[Wanted]>) {
        self.wanted.lock().clone()
    }

    /// What was found last, by cgroup path.
    pub(crate) fn with_found<R>(&self, read: impl FnOnce(&HashMap<Arc<str>, T>) -> R) -> R {
        read(&self.found.lock())
    }

    /// Takes the place of all that was found before.
    pub(crate) fn tell(&self, found: HashMap<Arc<str>, T>) {
        *self.found.lock() = found;
    }
}

/// The paths above, without the root.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
        .skip(1)
        .take_while(|above| !above.is_empty())
}

/// Adds to each wanted cgroup what those below it have. One without a figure of its own has none in the end, and so have
/// those above it no doubtful sum: they go without that part.
pub(crate) fn add_up<T: Clone>(
    wanted: &[Wanted],
    own: &HashMap<Arc<str>, T>,
    add: impl Fn(&mut T, &T),
) -> HashMap<Arc<str>, T> {
    let mut sums = own.clone();
    for want in wanted.iter().filter(|want| &*want.path != "/") {
        let Some(value) = own.get(&want.path) else { continue };
        for above in ancestors(&want.path).chain(std::iter::once("/")) {
            if let Some(sum) = sums.get_mut(above) {
                add(sum, value);
            }
        }
    }
    sums
}

/// Those of which something may not be seen, and all above them: a sum without it would be a wrong figure.
pub(crate) fn with_ancestors(unseen: &[Arc<str>]) -> impl Iterator<Item = &str> {
    unseen.iter().flat_map(|path| ancestors(path).chain([&**path, "/"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_above() {
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(ancestors("/a").count(), 0);
        assert_eq!(with_ancestors(&["/a/b".into()]).collect::<Vec<_>>(), ["/a", "/a/b", "/"]);
    }

    #[test]
    fn sums_have_what_is_below() {
        let wanted: Vec<_> =
            ["/", "/a", "/a/b", "/a/b/c", "/d"].map(|path| Wanted { path: path.into(), incarnation: 1 }).into();
        let own: HashMap<Arc<str>, u64> =
            [("/", 1), ("/a", 2), ("/a/b/c", 4), ("/d", 8)].map(|(path, value)| (path.into(), value)).into();
        let sums = add_up(&wanted, &own, |sum, value| *sum += value);
        let sum = |path: &str| sums.get(path).copied();
        assert_eq!(["/", "/a", "/a/b", "/a/b/c", "/d"].map(sum), [Some(15), Some(6), None, Some(4), Some(8)]);
    }
}
