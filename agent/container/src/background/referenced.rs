//! `container_referenced_bytes`: how much of the processes' memory was touched of late.
//!
//! The kernel walks the page tables of a process to tell it and holds its memory map meanwhile, which delays a process
//! with a large one. So this is done only where the set is on, on this thread, process after process and never two at
//! once, for at most a hundredth of one CPU. Pages are marked as untouched again (`clear_refs`) after every n-th look
//! when `--referenced_reset_interval` says so, and otherwise never: then the figure is what was touched ever.
//!
//! To see the pages of a process of another user, or with more rights, takes `CAP_SYS_PTRACE`. Where those of one may not
//! be seen, its cgroup and those above it have no figure.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use agent_procfs::{Root, process};
use hashbrown::HashMap;
use rustix::io::Errno;

use super::Budget;
use super::board::{Board, add_up, with_ancestors};
use super::tasks::processes;
use crate::cgroups::{Records, try_read_in};

const PAUSE: Duration = Duration::from_secs(15);
/// Share of one CPU.
const BUDGET: f64 = 0.01;
/// Processes of one cgroup.
const MOST: usize = 4096;

/// Bytes by cgroup.
pub(crate) type ReferencedBoard = Board<u64>;

/// The thread's own state.
pub(crate) struct ReferencedWalker {
    root: Root,
    board: Arc<ReferencedBoard>,
    /// Looks between two resets; 0 for none.
    reset_every: u64,
    looks: u64,
    buffer: Vec<u8>,
}

impl ReferencedWalker {
    pub(crate) fn new(root: &Root, board: Arc<ReferencedBoard>, reset_every: u64) -> Self {
        Self { root: root.clone(), board, reset_every, looks: 0, buffer: vec![0; 16 * 1024] }
    }

    /// Looks again and again until the board's signal stops it.
    pub(crate) fn run(mut self) {
        while self.board.signal.wait(PAUSE) {
            self.look();
        }
    }

    /// One look at all wanted cgroups.
    pub(crate) fn look(&mut self) {
        let board = self.board.clone();
        let (layout, wanted) = board.wanted();
        let mut budget = Budget::new(&board.signal, &board.cost, BUDGET);
        self.looks += 1;
        let resets = self.reset_every > 0 && self.looks.is_multiple_of(self.reset_every);
        let mut own = HashMap::with_capacity(wanted.len());
        let mut unseen = Vec::new();
        for want in wanted.iter() {
            let Some(all) = processes(&mut self.buffer, &layout, &want.path, MOST) else { continue };
            let mut sum = Some(0_u64);
            for pid in all {
                sum = sum.zip(self.referenced(pid)).map(|(sum, more)| sum.saturating_add(more));
                if resets {
                    self.reset(pid);
                }
                // A large process alone may take all that a look should: so a pause after each.
                if !budget.pause() {
                    return;
                }
            }
            match sum {
                Some(sum) => drop(own.insert(want.path.clone(), sum)),
                None => unseen.push(want.path.clone()),
            }
        }
        let mut sums = add_up(&wanted, &own, |sum, more| *sum = sum.saturating_add(*more));
        sums.retain(|path, _| !with_ancestors(&unseen).any(|unseen| unseen == &**path));
        board.tell(sums);
    }

    /// `smaps_rollup` is the sum of `smaps`, since Linux 4.14. Nothing where it may not be seen; 0 for a process that has
    /// ended, and for a thread of the kernel's, which has no memory of its own.
    fn referenced(&mut self, pid: u32) -> Option<u64> {
        let folder = self.root.procfs.join(pid.to_string());
        for file in ["smaps_rollup", "smaps"] {
            match try_read_in(rustix::fs::CWD, folder.join(file), &mut self.buffer, Records::Long) {
                Ok(length) => {
                    if let Some(bytes) = self.buffer.get(..length).and_then(process::referenced) {
                        return Some(bytes);
                    }
                }
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => return None,
            }
        }
        Some(0)
    }

    /// 1 stands for all pages. A process that has ended has none.
    fn reset(&self, pid: u32) {
        let path = self.root.proc(format!("{pid}/clear_refs"));
        let _ = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"1"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::board::Wanted;
    use super::*;
    use crate::cgroups::Layout;

    #[test]
    fn processes_are_added_up_and_marked_every_nth_time() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("cgroup/cgroup.controllers", "cpu");
        write("cgroup/a/cgroup.procs", "10\n11\n12\n");
        write("cgroup/a/b/cgroup.procs", "20\n");
        write("proc/10/smaps_rollup", "Rss: 9 kB\nReferenced: 1 kB\n");
        write("proc/11/smaps", "Referenced: 2 kB\nReferenced: 2 kB\n");
        write("proc/20/smaps_rollup", "Referenced: 8 kB\n");
        write("proc/10/clear_refs", "");
        let root = Root { procfs: folder.path().join("proc"), ..Root::default() };
        let board = Arc::new(ReferencedBoard::default());
        let layout = Arc::new(Layout::detect(&folder.path().join("cgroup")));
        let wanted: Vec<_> = ["/a", "/a/b"].map(|path| Wanted { path: path.into(), incarnation: 1 }).into();
        board.want(layout, wanted);
        let marked = || fs::read_to_string(folder.path().join("proc/10/clear_refs")).unwrap();
        let mut walker = ReferencedWalker::new(&root, board.clone(), 2);
        walker.look();
        let bytes = board.with_found(|found| (found.get("/a").copied(), found.get("/a/b").copied()));
        assert_eq!((bytes, marked().as_str()), ((Some(13 << 10), Some(8 << 10)), ""));
        walker.look();
        assert_eq!(marked(), "1");

        // As a file that may not be read: neither can be.
        fs::create_dir_all(folder.path().join("proc/21/smaps_rollup")).unwrap();
        write("cgroup/a/b/cgroup.procs", "20\n21\n");
        walker.look();
        let told = board.with_found(|found| (found.get("/a").copied(), found.get("/a/b").copied()));
        assert_eq!(told, (None, None), "no figure without the part that is not seen");

        write("proc/10/clear_refs", "");
        let mut never = ReferencedWalker::new(&root, board, 0);
        for _ in 0..3 {
            never.look();
        }
        assert_eq!(marked(), "");
    }
}
