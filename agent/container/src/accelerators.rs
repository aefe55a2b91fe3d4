//! GPUs of containers, under the names that cAdvisor had until 0.46.
//!
//! cAdvisor showed a container every GPU that it was given, and of each the figures of the whole board. Here a figure is
//! the container's own: what its processes hold and use. A container has a GPU if a process of it uses it, which tells the
//! same on both versions of cgroups and for shared GPUs; on version 1 also if the list of its devices names it, though
//! nothing uses it now. That list cannot be read on version 2. What runs outside containers counts for its own cgroup;
//! parents do not add up what is below them, as in cAdvisor.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use agent_exposition::Page;
use agent_gpu::Board;

use crate::catalogue::Metric;
use crate::cgroups::{Key, Records};
use crate::collect::Collection;
use crate::runtimes::View;
use crate::sheet::Sheet;

/// What cAdvisor wrote into the label `make`.
const MAKE: &str = "nvidia";
/// The number of NVIDIA's devices.
const MAJOR: &str = "195";

/// What a cgroup has of one GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share {
    /// `None` where the memory of one of its processes is not told.
    memory: Option<u64>,
    duty: u32,
}

impl Default for Share {
    /// Given, and not used.
    fn default() -> Self {
        Self { memory: Some(0), duty: 0 }
    }
}

/// By cgroup and the GPU's place in the list.
type Shares = BTreeMap<(Key, usize), Share>;

impl Collection {
    /// Adds what the cgroups have of these GPUs.
    pub(crate) fn collect_accelerators(&mut self, page: &mut Page, view: &View, boards: &[Board], now: SystemTime) {
        self.refresh(view);
        let wanted = self.registry.wanted(&self.tree);
        let shares = self.shares(boards, &wanted);
        let at_ms = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut sheet = Sheet::new(page, self.config().compat, i64::try_from(at_ms).unwrap_or(i64::MAX));
        let shown = self.share_labels(&mut sheet, &wanted);
        for ((key, at), share) in shares {
            let labels = shown.iter().find(|shown| shown.key == key).map(|shown| shown.labels);
            let (Some(labels), Some(board)) = (labels, boards.get(at)) else { continue };
            let own = [("acc_id", board.uuid.as_str()), ("make", MAKE), ("model", board.model.as_str())];
            let mut put = |metric, value: Option<f64>| {
                if let Some(value) = value {
                    sheet.put(metric, labels, &own, value);
                }
            };
            put(Metric::AcceleratorMemoryTotal, board.memory_total.map(|bytes| bytes as f64));
            put(Metric::AcceleratorMemoryUsed, share.memory.map(|bytes| bytes as f64));
            put(Metric::AcceleratorDutyCycle, board.tells_duty.then(|| f64::from(share.duty.min(100))));
        }
    }

    fn shares(&mut self, boards: &[Board], wanted: &[Key]) -> Shares {
        let mut shares = Shares::new();
        for (at, board) in boards.iter().enumerate() {
            for process in &board.processes {
                let Some(key) = self.place_of(process.pid, wanted) else { continue };
                let share = shares.entry((key, at)).or_default();
                share.memory = share.memory.zip(process.memory).map(|(sum, own)| sum + own);
                share.duty += process.duty;
            }
        }
        let devices = self.config().cgroup_root().join("devices");
        if devices.is_dir() {
            for key in wanted.iter().copied() {
                let known = self.registry.get(key).filter(|known| known.is_container);
                let (Some(_), Some(cgroup)) = (known, self.tree.get(key)) else { continue };
                let file = devices.join(cgroup.relative_path()).join("devices.list");
                let Some(list) = self.desk.read_path(&file, Records::Short) else { continue };
                for (at, board) in boards.iter().enumerate() {
                    if board.minor.is_some_and(|minor| is_given(list, minor)) {
                        shares.entry((key, at)).or_default();
                    }
                }
            }
        }
        shares
    }

    /// The container that a process runs in, or else the cgroup, of those that are shown.
    fn place_of(&self, pid: u32, wanted: &[Key]) -> Option<Key> {
        let root = &self.config().root;
        let mut text = Vec::new();
        root.read_into(&root.proc(format!("{pid}/cgroup")), &mut text).ok()?;
        let text = String::from_utf8_lossy(&text);
        // `4:memory:/path`: the longest that is known, for on version 1 some hierarchies leave all at the top.
        let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let nearest = paths.filter_map(|path| self.nearest(path)).max_by_key(|key| self.depth(*key))?;
        let mut above = std::iter::successors(Some(nearest), |key| self.registry.get(*key)?.parent);
        let is_shown = |key: &Key| wanted.contains(key);
        let is_container = |key: &Key| self.registry.get(*key).is_some_and(|known| known.is_container);
        let mut of_container = above.clone().filter(is_shown).filter(is_container);
        of_container.next().or_else(|| above.find(is_shown))
    }

    /// The cgroup at a path, or where it is not known the closest above it.
    fn nearest(&self, path: &str) -> Option<Key> {
        let mut path = path;
        loop {
            if let Some(key) = self.tree.find(if path.is_empty() { "/" } else { path }) {
                return Some(key);
            }
            path = path.rsplit_once('/')?.0;
        }
    }

    fn depth(&self, key: Key) -> usize {
        self.tree.get(key).map_or(0, |cgroup| cgroup.relative_path().len())
    }
}

/// Whether a list of devices names this GPU. Whoever may use all devices was not given a GPU by that.
fn is_given(list: &[u8], minor: u32) -> bool {
    let minor = minor.to_string();
    String::from_utf8_lossy(list).lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some("c") && words.next().and_then(|device| device.split_once(':')) == Some((MAJOR, &minor))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_devices() {
        let list = b"c 1:5 rwm\nc 195:255 rw\nc 195:1 rw\nb 195:2 rw\n";
        assert!(is_given(list, 1) && is_given(list, 255));
        assert!(!is_given(list, 0) && !is_given(list, 2) && !is_given(list, 5));
        assert!(!is_given(b"a *:* rwm\n", 0) && !is_given(b"c 195:* rwm\n", 0) && !is_given(b"", 0));
    }
}
