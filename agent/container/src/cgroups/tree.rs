//! The cgroups there are, each with its place in all hierarchies.
//!
//! They are looked for when the kernel tells that one came or went ([`Watch`]), or once in a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::{Desk, Slots};
use super::layout::{Layout, MAX_HIERARCHIES};
use super::limits::Limits;
use super::walk::{Directory, Walk};
use super::watch::Watch;
use crate::identity;

/// More groups than these are left out and counted.
const MAX_CGROUPS: usize = 20_000;
/// How often everything is looked at although nothing was told: a controller that is switched on brings new files
/// without a word.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// A cgroup's place in the tree; stays its own while it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(usize);

/// One cgroup: a path in all hierarchies that have it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    /// `/` or `/system.slice/docker-….scope`: the label `id`.
    pub(crate) path: Arc<str>,
    /// The container's id as the path tells it.
    pub(crate) container: Option<Arc<str>>,
    pub(super) inodes: [u64; MAX_HIERARCHIES],
    pub(crate) slots: Slots,
    /// Seconds since 1970, by the directories' times of change: the earliest seen.
    pub(crate) created: Option<i64>,
    /// Changes when the group was removed and made again under the same path.
    pub(crate) incarnation: u64,
    /// While nobody has changed them.
    pub(super) limits: Option<Limits>,
}

impl Cgroup {
    fn new(path: &str) -> Self {
        Self {
            path: path.into(),
            container: identity::container_of_path(path).map(Into::into),
            inodes: [0; MAX_HIERARCHIES],
            slots: Slots::default(),
            created: None,
            incarnation: 0,
            limits: None,
        }
    }

    pub(crate) fn inode(&self, hierarchy: usize) -> u64 {
        self.inodes.get(hierarchy).copied().unwrap_or(0)
    }

    /// From the hierarchy's mount point, without the leading slash; `.` for the root.
    pub(crate) fn relative_path(&self) -> &str {
        relative(&self.path)
    }

    pub(crate) fn is_root(&self) -> bool {
        &*self.path == "/"
    }
}

/// All cgroups of all hierarchies.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    roots: Vec<Directory>,
    cgroups: Vec<Option<Cgroup>>,
    free: Vec<usize>,
    by_path: HashMap<Arc<str>, Key>,
    order: Vec<Key>,
    pub(super) watch: Watch,
    /// When everything was last looked at.
    looked: Option<Instant>,
    /// Grows with every cgroup that comes, goes or is made anew.
    pub(crate) generation: u64,
    /// Cgroups left out because there are too many, or because their names are no text, in the last walk.
    pub(crate) left_out: usize,
}

impl Tree {
    /// Forgets everything, for a new layout.
    pub(crate) fn reset(&mut self, desk: &mut Desk) {
        for cgroup in self.cgroups.iter_mut().flatten() {
            desk.close(&mut cgroup.slots);
        }
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }

    /// All cgroups, by path.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.order
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Cgroup> {
        self.cgroups.get(key.0).and_then(Option::as_ref)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Cgroup> {
        self.cgroups.get_mut(key.0).and_then(Option::as_mut)
    }

    /// The nearest cgroup above that is known.
    pub(crate) fn parent_of(&self, path: &str) -> Option<Key> {
        let mut path = path;
        while let Some((above, _)) = path.rsplit_once('/') {
            if path == "/" {
                return None;
            }
            path = if above.is_empty() { "/" } else { above };
            if let Some(key) = self.by_path.get(path) {
                return Some(*key);
            }
        }
        None
    }

    /// The cgroup at a path.
    pub(crate) fn find(&self, path: &str) -> Option<Key> {
        self.by_path.get(path).copied()
    }

    /// Brings the tree up to date.
    pub(crate) fn refresh(&mut self, layout: &Layout, desk: &mut Desk) {
        if self.looked.is_none() {
            self.watch = Watch::new(layout);
        }
        let news = self.watch.news();
        let is_due = news.is_incomplete || self.looked.is_none_or(|looked| looked.elapsed() > LOOK_AGAIN);
        for key in news.limits {
            if let Some(cgroup) = self.get_mut(key) {
                cgroup.limits = None;
            }
        }
        if is_due {
            self.cgroups.iter_mut().flatten().for_each(|cgroup| cgroup.limits = None);
        }
        if is_due || news.of_tree {
            self.look(layout, desk);
        }
        desk.limits_are_told = self.watch.is_whole();
    }

    /// Walks all trees.
    fn look(&mut self, layout: &Layout, desk: &mut Desk) {
        self.looked = Some(Instant::now());
        let before = self.generation;
        self.left_out = 0;
        let mut roots = std::mem::take(&mut self.roots);
        roots.resize_with(layout.hierarchies.len(), Directory::default);
        for (at, (hierarchy, root)) in layout.hierarchies.iter().zip(&mut roots).enumerate() {
            Walk::new(self, desk, hierarchy, at).follow(root);
        }
        self.roots = roots;
        if self.generation != before {
            self.order = self.by_path.values().copied().collect();
            let (cgroups, order) = (&self.cgroups, &mut self.order);
            order.sort_unstable_by_key(|key| cgroups.get(key.0).and_then(Option::as_ref).map(|c| c.path.clone()));
        }
    }

    /// The cgroup of a path; nothing where there are too many.
    pub(super) fn enter(&mut self, path: &str) -> Option<Key> {
        if let Some(key) = self.by_path.get(path) {
            return Some(*key);
        }
        if self.by_path.len() >= MAX_CGROUPS {
            self.left_out += 1;
            return None;
        }
        let cgroup = Cgroup::new(path);
        let name = cgroup.path.clone();
        let at = self.free.pop().unwrap_or_else(|| {
            self.cgroups.push(None);
            self.cgroups.len() - 1
        });
        *self.cgroups.get_mut(at)? = Some(cgroup);
        self.by_path.insert(name, Key(at));
        self.generation += 1;
        Some(Key(at))
    }

    /// Of a cgroup that no hierarchy has any more.
    pub(super) fn forget(&mut self, key: Key) {
        let Some(cgroup) = self.cgroups.get_mut(key.0).and_then(Option::take) else { return };
        self.by_path.remove(&cgroup.path);
        self.free.push(key.0);
    }
}

/// A path from the hierarchy's mount point, without the leading slash; `.` for the root.
pub(crate) fn relative(path: &str) -> &str {
    path.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(".")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    struct Case {
        root: tempfile::TempDir,
        tree: Tree,
        desk: Desk,
    }

    impl Case {
        fn new(hierarchies: &[&str]) -> Self {
            let root = tempfile::tempdir().unwrap();
            for hierarchy in hierarchies {
                fs::create_dir_all(root.path().join(hierarchy)).unwrap();
                fs::write(root.path().join(hierarchy).join("cgroup.procs"), "").unwrap();
            }
            Self { root, tree: Tree::default(), desk: Desk::new() }
        }

        fn make(&self, path: &str) {
            fs::create_dir_all(self.root.path().join(path)).unwrap();
        }

        fn remove(&self, path: &str) {
            fs::remove_dir_all(self.root.path().join(path)).unwrap();
        }

        #[track_caller]
        fn check(&mut self, want: &[&str]) {
            self.tree.refresh(&Layout::detect(Path::new(self.root.path())), &mut self.desk);
            let paths: Vec<_> =
                self.tree.keys().iter().map(|key| self.tree.get(*key).unwrap().path.to_string()).collect();
            assert_eq!(paths, want);
            let used = self.tree.cgroups.iter().flatten().count();
            assert_eq!((used, self.tree.by_path.len()), (want.len(), want.len()), "nothing is left behind");
        }
    }

    #[test]
    fn cgroups_come_and_go() {
        let mut case = Case::new(&["memory"]);
        case.check(&["/"]);
        case.make("memory/a/b");
        case.make("memory/c");
        case.check(&["/", "/a", "/a/b", "/c"]);
        case.remove("memory/a");
        case.check(&["/", "/c"]);
        case.remove("memory/c");
        case.make("memory/d");
        case.check(&["/", "/d"]);
    }

    #[test]
    fn one_that_takes_the_place_of_another_is_found() {
        let mut case = Case::new(&["memory"]);
        case.make("memory/a/x");
        case.check(&["/", "/a", "/a/x"]);
        case.remove("memory/a/x");
        case.make("memory/a/y");
        case.check(&["/", "/a", "/a/y"]);
    }

    #[test]
    fn a_cgroup_made_again_is_a_new_one() {
        let mut case = Case::new(&["memory"]);
        case.make("memory/a");
        case.check(&["/", "/a"]);
        let key = case.tree.find("/a").unwrap();
        let first = case.tree.get(key).unwrap().incarnation;
        // Held open, so that the file system cannot give its inode to the next.
        let _kept = fs::File::open(case.root.path().join("memory/a")).unwrap();
        case.remove("memory/a");
        case.make("memory/a");
        case.check(&["/", "/a"]);
        let key = case.tree.find("/a").unwrap();
        assert_ne!(case.tree.get(key).unwrap().incarnation, first);
    }

    #[test]
    fn a_cgroup_that_comes_to_one_hierarchy_after_another_is_the_same() {
        let mut case = Case::new(&["memory", "pids"]);
        let incarnation = |case: &Case| case.tree.get(case.tree.find("/a").unwrap()).unwrap().incarnation;
        case.make("memory/a");
        case.check(&["/", "/a"]);
        let first = incarnation(&case);
        case.make("pids/a");
        case.check(&["/", "/a"]);
        assert_eq!(incarnation(&case), first);
        // Held open, so that the file system cannot give its inode to the next.
        let _kept = fs::File::open(case.root.path().join("pids/a")).unwrap();
        case.remove("pids/a");
        case.make("pids/a");
        case.check(&["/", "/a"]);
        assert_ne!(incarnation(&case), first);
    }

    #[test]
    fn hierarchies_are_joined_by_path() {
        let mut case = Case::new(&["memory", "pids"]);
        case.make("memory/a");
        case.make("pids/a");
        case.make("memory/only");
        case.check(&["/", "/a", "/only"]);
        case.remove("pids/a");
        case.check(&["/", "/a", "/only"]);
        case.remove("memory/a");
        case.check(&["/", "/only"]);
    }

    #[test]
    fn mount_units_are_passed_over() {
        let mut case = Case::new(&["memory"]);
        case.make("memory/system.slice/dev-mqueue.mount");
        case.make("memory/system.slice/cron.service");
        case.check(&["/", "/system.slice", "/system.slice/cron.service"]);
        case.remove("memory/system.slice/cron.service");
        case.make("memory/system.slice/ssh.service");
        case.check(&["/", "/system.slice", "/system.slice/ssh.service"]);
    }

    #[test]
    fn one_that_takes_the_place_of_a_mount_unit_is_found() {
        let mut case = Case::new(&["memory"]);
        case.make("memory/system.slice/dev-mqueue.mount");
        case.make("memory/system.slice/cron.service");
        case.check(&["/", "/system.slice", "/system.slice/cron.service"]);
        case.remove("memory/system.slice/dev-mqueue.mount");
        case.make("memory/system.slice/docker-1.scope");
        case.check(&["/", "/system.slice", "/system.slice/cron.service", "/system.slice/docker-1.scope"]);
    }

    #[test]
    fn a_name_that_is_no_text_is_left_out() {
        use std::os::unix::ffi::OsStrExt;
        let mut case = Case::new(&["memory"]);
        let name = std::ffi::OsStr::from_bytes(b"b\xffd");
        fs::create_dir(case.root.path().join("memory").join(name)).unwrap();
        case.make("memory/good");
        case.check(&["/", "/good"]);
        assert_eq!(case.tree.left_out, 1);
    }

    /// A file that is written to by another name in another folder: nobody is told of it here.
    fn write_unseen(case: &Case, file: &str, text: &str) {
        let other = case.root.path().join("other");
        fs::hard_link(case.root.path().join(file), &other).unwrap();
        fs::write(&other, text).unwrap();
        fs::remove_file(other).unwrap();
    }

    fn memory_limit(case: &mut Case) -> Option<u64> {
        let layout = Layout::detect(Path::new(case.root.path()));
        case.tree.refresh(&layout, &mut case.desk);
        let key = case.tree.find("/a").unwrap();
        Limits::of(&layout, &mut case.desk, case.tree.get_mut(key).unwrap()).memory
    }

    #[test]
    fn a_limit_is_read_again_when_it_was_set() {
        let mut case = Case::new(&["memory"]);
        let file = "memory/a/memory.limit_in_bytes";
        case.make("memory/a");
        fs::write(case.root.path().join(file), "100\n").unwrap();
        assert_eq!(memory_limit(&mut case), Some(100));
        write_unseen(&case, file, "150\n");
        assert_eq!(memory_limit(&mut case), Some(100), "it is not read for nothing");
        fs::write(case.root.path().join("memory/a/cgroup.procs"), "1\n").unwrap();
        assert_eq!(memory_limit(&mut case), Some(100), "a process that comes in changes no limit");
        fs::write(case.root.path().join(file), "200\n").unwrap();
        assert_eq!(memory_limit(&mut case), Some(200));
    }

    #[test]
    fn nothing_is_looked_at_while_nothing_is_told() {
        let mut case = Case::new(&["memory"]);
        case.make("memory/a");
        case.check(&["/", "/a"]);
        let looked = case.tree.looked;
        case.check(&["/", "/a"]);
        assert_eq!(case.tree.looked, looked);
        case.make("memory/a/b/c");
        case.check(&["/", "/a", "/a/b", "/a/b/c"]);
        assert_ne!(case.tree.looked, looked);
        let looked = case.tree.looked;
        case.remove("memory/a/b/c");
        case.check(&["/", "/a", "/a/b"]);
        assert_ne!(case.tree.looked, looked);
    }

    #[test]
    fn without_a_watch_everything_is_looked_at() {
        let mut case = Case::new(&["memory"]);
        let file = "memory/a/memory.limit_in_bytes";
        case.make("memory/a");
        case.check(&["/", "/a"]);
        case.tree.watch = Watch::default();
        fs::write(case.root.path().join(file), "100\n").unwrap();
        assert_eq!(memory_limit(&mut case), Some(100));
        write_unseen(&case, file, "150\n");
        assert_eq!(memory_limit(&mut case), Some(150));
        case.make("memory/a/b");
        case.check(&["/", "/a", "/a/b"]);
        case.remove("memory/a");
        case.check(&["/"]);
    }

    #[test]
    fn parents() {
        let mut case = Case::new(&["memory"]);
        case.make("memory/a/b");
        case.check(&["/", "/a", "/a/b"]);
        assert_eq!(case.tree.parent_of("/a/b"), case.tree.find("/a"));
        assert_eq!(case.tree.parent_of("/a/unknown/x"), case.tree.find("/a"));
        assert_eq!(case.tree.parent_of("/a"), case.tree.find("/"));
        assert_eq!(case.tree.parent_of("/"), None);
    }
}
