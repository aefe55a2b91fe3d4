//! What the background threads are asked for: which cgroups, in which order, and what of each.

use std::collections::BTreeMap;

use super::{Boards, Collection};
use crate::background::board::Wanted;
use crate::background::disk::{self, Layer, Walker};
use crate::background::monitoring;
use crate::background::tasks::TaskWalker;
use crate::cgroups::{Cgroup, Key};
use crate::sets::Set;
use crate::stats::volumes;

impl Collection {
    /// Tells the background threads what is there, when that has changed.
    pub(super) fn ask_boards(&mut self, boards: Boards<'_>) {
        let state = (self.tree.generation, self.registry.word);
        let changed = self.asked != Some(state);
        if changed {
            let wanted = self.registry.wanted(&self.tree);
            boards.load.want(self.layout.clone(), self.load_wanted(&wanted));
            boards.disk.want(self.disk_wanted(&wanted));
            let walks = |on: bool| if on { self.with_all_below(&wanted) } else { Vec::new() };
            boards.tasks.want(self.layout.clone(), walks(TaskWalker::is_wanted(self.config.sets)));
            boards.referenced.want(self.layout.clone(), walks(self.config.sets.has(Set::ReferencedMemory)));
            if self.config.counts_events() {
                boards.perf.board.want(self.layout.clone(), self.perf_wanted(&wanted));
            }
            if self.config.makes_groups() {
                boards.monitoring.want(self.layout.clone(), self.monitoring_wanted(&wanted));
            }
            self.asked = Some(state);
        }
        if self.config.sets.has(Set::CpuLoad) {
            boards.load.signal.scraped(changed);
        }
        if Walker::is_wanted(self.config.sets) {
            boards.disk.signal.scraped(changed);
        }
        if TaskWalker::is_wanted(self.config.sets) {
            boards.tasks.signal.scraped(changed);
        }
        if self.config.sets.has(Set::ReferencedMemory) {
            boards.referenced.signal.scraped(false);
        }
        if self.config.counts_events() {
            boards.perf.board.signal.scraped(changed);
        }
        if self.config.makes_groups() {
            boards.monitoring.signal.scraped(changed);
        }
    }

    /// Those that are shown, in the order in which there is room for them. The kernel counts for each what is below it.
    fn perf_wanted(&self, wanted: &[Key]) -> Vec<Wanted> {
        let rank = |key: &Key| match (self.tree.get(*key), self.registry.get(*key)) {
            (Some(cgroup), _) if cgroup.is_root() => 0,
            (_, Some(known)) if known.is_container => 1,
            _ => 2,
        };
        let mut keys = wanted.to_vec();
        keys.sort_by_key(rank);
        self.wanted_of(&keys)
    }

    /// The containers that are shown, each with the cgroups below it that are no container's of their own.
    fn monitoring_wanted(&self, wanted: &[Key]) -> Vec<monitoring::Wanted> {
        let container = |key: &Key| {
            let described = self.registry.get(*key).and_then(|known| known.described.as_ref());
            let by_path = || self.tree.get(*key).and_then(|cgroup| cgroup.container.clone());
            let id = described.map(|described| described.id.clone()).or_else(by_path)?;
            Some((*key, monitoring::Wanted { id, paths: Vec::new() }))
        };
        let mut containers: BTreeMap<Key, _> = wanted.iter().filter_map(container).collect();
        for key in self.tree.keys() {
            let above = |key: &Key| self.registry.get(*key).and_then(|known| known.parent);
            let nearest = std::iter::successors(Some(*key), above).find(|key| containers.contains_key(key));
            if let Some((of, cgroup)) = nearest.and_then(|key| containers.get_mut(&key)).zip(self.tree.get(*key)) {
                of.paths.push(cgroup.path.clone());
            }
        }
        containers.into_values().collect()
    }

    fn load_wanted(&self, wanted: &[Key]) -> Vec<Wanted> {
        if !self.config.sets.has(Set::CpuLoad) {
            return Vec::new();
        }
        if self.config.load_reader {
            return self.with_all_below(wanted);
        }
        self.with_below_containers(wanted)
    }

    /// The cgroups that are shown and all whose processes count for them: every one if the root is shown.
    fn with_all_below(&self, wanted: &[Key]) -> Vec<Wanted> {
        let is_root = |key: &Key| self.tree.get(*key).is_some_and(Cgroup::is_root);
        match wanted.iter().any(is_root) {
            true => self.wanted_of(self.tree.keys()),
            false => self.with_below_containers(wanted),
        }
    }

    fn with_below_containers(&self, wanted: &[Key]) -> Vec<Wanted> {
        let mut keys = wanted.to_vec();
        keys.extend(self.tree.keys().iter().filter(|key| self.registry.is_below_container(**key)));
        keys.sort_unstable();
        keys.dedup();
        self.wanted_of(&keys)
    }

    fn wanted_of(&self, keys: &[Key]) -> Vec<Wanted> {
        keys.iter()
            .filter_map(|key| self.tree.get(*key))
            .map(|cgroup| Wanted { path: cgroup.path.clone(), incarnation: cgroup.incarnation })
            .collect()
    }

    fn disk_wanted(&self, wanted: &[Key]) -> Vec<disk::Wanted> {
        let sets = self.config.sets;
        if !Walker::is_wanted(sets) {
            return Vec::new();
        }
        wanted
            .iter()
            .filter_map(|key| Some((self.tree.get(*key)?, self.registry.get(*key)?)))
            .filter_map(|(cgroup, known)| {
                let described = known.described.as_ref()?;
                let layer = Layer { upper_dir: described.upper_dir.clone(), pid: described.pid };
                let volumes = described.volumes.iter().filter(|volume| volumes::is_wanted(volume, sets));
                Some(disk::Wanted {
                    path: cgroup.path.clone(),
                    layer: Some(layer).filter(|_| sets.has(Set::Disk)),
                    volumes: volumes.map(|volume| volume.source.clone()).collect(),
                    log: described.log.clone().filter(|_| sets.has(Set::Log)),
                })
            })
            .collect()
    }
}
