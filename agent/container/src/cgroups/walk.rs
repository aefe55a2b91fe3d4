//! Finding cgroups without listing them each time.
//!
//! On a kernel's cgroup file system one stat of a directory tells all there is to know between two walks: a new
//! inode means that the group was made anew, the link count is the number of groups below and two. So a tree is
//! walked with one stat a group, and a directory is listed only when its count does not fit what is known, or when a
//! group that was known below it has gone, a mount unit's too. The time of change would tell less: kernfs keeps none
//! for a directory that nobody has chowned. File systems that count no links (fixtures may lie on one) are listed each
//! time.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::files::Desk;
use super::layout::Hierarchy;
use super::tree::{Key, Tree, relative};

/// Groups below this depth are not looked at.
const MAX_DEPTH: usize = 48;

/// A directory as it was found last.
#[derive(Debug, Default)]
pub(super) struct Directory {
    name: String,
    inode: u64,
    /// Not for mount units, which are only looked for.
    key: Option<Key>,
    below: Vec<Directory>,
}

/// A walk through one hierarchy.
pub(super) struct Walk<'a> {
    tree: &'a mut Tree,
    desk: &'a mut Desk,
    hierarchy: &'a Hierarchy,
    at: usize,
    path: String,
    depth: usize,
}

impl<'a> Walk<'a> {
    /// Of the hierarchy of that number.
    pub(super) fn new(tree: &'a mut Tree, desk: &'a mut Desk, hierarchy: &'a Hierarchy, at: usize) -> Self {
        Self { tree, desk, hierarchy, at, path: String::from("/"), depth: 0 }
    }

    /// Brings all that is known up to date.
    pub(super) fn follow(mut self, root: &mut Directory) {
        if !self.visit(root) {
            self.leave(root);
        }
    }

    /// Brings one directory and all below it up to date. `false` when it is gone.
    fn visit(&mut self, directory: &mut Directory) -> bool {
        let Some(mut stat) = self.stat() else { return false };
        if stat.st_ino != directory.inode || directory.key.is_none() {
            // Watched before it is looked at, so that nothing comes in between.
            let watch = self.tree.watch.follow(&self.hierarchy.path.join(relative(&self.path)));
            let Some(again) = self.stat() else { return false };
            stat = again;
            if stat.st_ino != directory.inode {
                self.leave_below(directory);
            }
            self.take(directory, &stat, watch);
        }
        let Some(count) = usize::try_from(stat.st_nlink).ok().and_then(|links| links.checked_sub(2)) else {
            self.list(directory);
            return true;
        };
        if count != directory.below.len() {
            self.list(directory);
            return true;
        }
        let known = directory.below.len();
        self.visit_below(directory);
        if directory.below.len() != known {
            self.list(directory);
        }
        true
    }

    /// Of the current path, if it is a directory.
    fn stat(&self) -> Option<Stat> {
        self.directory_at(relative(&self.path))
    }

    /// Of what is there, if it is a directory.
    fn directory_at(&self, relative: &str) -> Option<Stat> {
        rustix::fs::statat(&self.hierarchy.dir, relative, AtFlags::SYMLINK_NOFOLLOW)
            .ok()
            .filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Notes the directory as a cgroup of its path.
    fn take(&mut self, directory: &mut Directory, stat: &Stat, watch: Option<i32>) {
        directory.inode = stat.st_ino;
        directory.key = self.tree.enter(&self.path);
        if let Some((watch, key)) = watch.zip(directory.key) {
            self.tree.watch.name(watch, key);
        }
        let Some(cgroup) = directory.key.and_then(|key| self.tree.get_mut(key)) else { return };
        // An engine makes a group in one hierarchy after the other: only what had another inode was made anew.
        let before = cgroup.inodes.get_mut(self.at).map(|inode| std::mem::replace(inode, stat.st_ino));
        let is_anew = before.is_some_and(|inode| inode != 0);
        if is_anew {
            cgroup.created = None;
        }
        if is_anew || cgroup.incarnation == 0 {
            cgroup.incarnation += 1;
        }
        #[allow(clippy::useless_conversion, reason = "the type of st_mtime differs by platform")]
        let changed = i64::from(stat.st_mtime);
        cgroup.created = Some(cgroup.created.map_or(changed, |created| created.min(changed)));
        cgroup.limits = None;
        self.desk.close(&mut cgroup.slots);
        self.tree.generation += 1;
    }

    /// Lists the directory, and visits all that is below.
    fn list(&mut self, directory: &mut Directory) {
        let mut names = self.names();
        names.sort_unstable();
        let mut known = std::mem::take(&mut directory.below);
        let length = self.path.len();
        for name in names {
            let found = known.iter().position(|d| d.name == name).map(|at| known.swap_remove(at));
            directory.below.push(found.unwrap_or_else(|| Directory { name, ..Directory::default() }));
        }
        for gone in &mut known {
            self.descend(&gone.name);
            self.leave(gone);
            self.path.truncate(length);
        }
        self.visit_below(directory);
    }

    fn visit_below(&mut self, directory: &mut Directory) {
        if self.depth >= MAX_DEPTH {
            self.tree.left_out += directory.below.len();
            directory.below.clear();
            return;
        }
        let length = self.path.len();
        let mut at = 0;
        while let Some(child) = directory.below.get_mut(at) {
            self.descend(&child.name);
            self.depth += 1;
            // A mount unit is not known as a cgroup, but must still be there: where it has gone and a container has
            // come, the count alone tells nothing.
            let exists = if is_mount_unit(&child.name) { self.stat().is_some() } else { self.visit(child) };
            if !exists {
                self.leave(child);
            }
            self.depth -= 1;
            self.path.truncate(length);
            if exists {
                at += 1;
            } else {
                directory.below.remove(at);
            }
        }
    }

    fn descend(&mut self, name: &str) {
        if !self.path.ends_with('/') {
            self.path.push('/');
        }
        self.path.push_str(name);
    }

    /// The directories in the current one. A name that is no text is left out: it could not be a label.
    fn names(&mut self) -> Vec<String> {
        let relative = relative(&self.path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(&self.hierarchy.dir, relative, flags, Mode::empty()).and_then(Dir::new);
        let Ok(entries) = listed else { return Vec::new() };
        let mut names = Vec::new();
        for entry in entries.flatten() {
            let is_directory = match entry.file_type() {
                FileType::Directory => true,
                FileType::Unknown => {
                    let path = format!("{relative}/{}", entry.file_name().to_string_lossy());
                    self.directory_at(&path).is_some()
                }
                _ => false,
            };
            if !is_directory || matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            match entry.file_name().to_str() {
                Ok(name) => names.push(name.to_owned()),
                Err(_) => self.tree.left_out += 1,
            }
        }
        names
    }

    /// The directory is gone: with it all below, and the cgroup where no other hierarchy has it.
    fn leave(&mut self, directory: &mut Directory) {
        self.leave_below(directory);
        directory.inode = 0;
        let Some(key) = directory.key.take() else { return };
        self.tree.generation += 1;
        let Some(cgroup) = self.tree.get_mut(key) else { return };
        if let Some(inode) = cgroup.inodes.get_mut(self.at) {
            *inode = 0;
        }
        self.desk.close(&mut cgroup.slots);
        if cgroup.inodes.iter().all(|inode| *inode == 0) {
            self.tree.forget(key);
        }
    }

    fn leave_below(&mut self, directory: &mut Directory) {
        for mut child in std::mem::take(&mut directory.below) {
            self.leave(&mut child);
        }
    }
}

/// systemd makes a cgroup for every mount; nothing ever runs in them.
fn is_mount_unit(name: &str) -> bool {
    name.ends_with(".mount")
}
