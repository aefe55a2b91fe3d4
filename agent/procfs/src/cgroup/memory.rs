//! `memory.stat` and `memory.events`.

use super::pairs;

/// What both versions' `memory.stat` tell, bytes unless said otherwise. Version 1's figures are those of the
/// group with all below it (`total_…`) where it has them, as version 2's always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// Page cache, tmpfs included.
    pub cache: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
    /// Mapped files.
    pub mapped_file: Option<u64>,
    /// Swap (v1).
    pub swap: Option<u64>,
    /// Kernel memory (v2, since Linux 5.18).
    pub kernel: Option<u64>,
    /// File pages on the active list.
    pub active_file: Option<u64>,
    /// File pages on the inactive list.
    pub inactive_file: Option<u64>,
    /// File pages to be written.
    pub file_dirty: Option<u64>,
    /// File pages being written.
    pub file_writeback: Option<u64>,
    /// Page faults of the group itself (v1) or with all below it (v2).
    pub faults: Option<u64>,
    /// Of them those that had to read.
    pub major_faults: Option<u64>,
    /// Page faults with all groups below.
    pub total_faults: Option<u64>,
    /// Of them those that had to read.
    pub total_major_faults: Option<u64>,
    /// Pages scanned by reclaim (v2).
    pub scanned: Option<u64>,
    /// Pages reclaimed (v2).
    pub reclaimed: Option<u64>,
    /// File pages that came back soon after they were reclaimed.
    pub refaults_file: Option<u64>,
    /// Anonymous pages that came back soon after they were swapped out.
    pub refaults_anon: Option<u64>,
}

impl MemoryStat {
    /// Version 1. Without `use_hierarchy` (or before it) there are no `total_…` lines and the group's own count.
    pub fn parse_v1(bytes: &[u8]) -> Self {
        let (mut stat, mut total) = (Self::default(), Self::default());
        for (key, value) in pairs(bytes) {
            match key.strip_prefix(b"total_") {
                Some(key) => total.set_v1(key, value),
                None => stat.set_v1(key, value),
            }
        }
        Self {
            cache: total.cache.or(stat.cache),
            rss: total.rss.or(stat.rss),
            mapped_file: total.mapped_file.or(stat.mapped_file),
            swap: total.swap.or(stat.swap),
            active_file: total.active_file.or(stat.active_file),
            inactive_file: total.inactive_file.or(stat.inactive_file),
            file_dirty: total.file_dirty.or(stat.file_dirty),
            file_writeback: total.file_writeback.or(stat.file_writeback),
            refaults_file: total.refaults_file.or(stat.refaults_file),
            refaults_anon: total.refaults_anon.or(stat.refaults_anon),
            faults: stat.faults,
            major_faults: stat.major_faults,
            total_faults: total.faults,
            total_major_faults: total.major_faults,
            ..Self::default()
        }
    }

    fn set_v1(&mut self, key: &[u8], value: u64) {
        let field = match key {
            b"cache" => &mut self.cache,
            b"rss" => &mut self.rss,
            b"mapped_file" => &mut self.mapped_file,
            b"swap" => &mut self.swap,
            b"active_file" => &mut self.active_file,
            b"inactive_file" => &mut self.inactive_file,
            b"dirty" => &mut self.file_dirty,
            b"writeback" => &mut self.file_writeback,
            b"pgfault" => &mut self.faults,
            b"pgmajfault" => &mut self.major_faults,
            b"workingset_refault_file" => &mut self.refaults_file,
            b"workingset_refault_anon" => &mut self.refaults_anon,
            _ => return,
        };
        *field = Some(value);
    }

    /// Version 2.
    pub fn parse_v2(bytes: &[u8]) -> Self {
        let mut stat = Self::default();
        for (key, value) in pairs(bytes) {
            let field = match key {
                b"file" => &mut stat.cache,
                b"anon" => &mut stat.rss,
                b"file_mapped" => &mut stat.mapped_file,
                b"kernel" => &mut stat.kernel,
                b"active_file" => &mut stat.active_file,
                b"inactive_file" => &mut stat.inactive_file,
                b"file_dirty" => &mut stat.file_dirty,
                b"file_writeback" => &mut stat.file_writeback,
                b"pgfault" => &mut stat.faults,
                b"pgmajfault" => &mut stat.major_faults,
                b"pgscan" => &mut stat.scanned,
                b"pgsteal" => &mut stat.reclaimed,
                b"workingset_refault_file" => &mut stat.refaults_file,
                b"workingset_refault_anon" => &mut stat.refaults_anon,
                _ => continue,
            };
            *field = Some(value);
        }
        Self { total_faults: stat.faults, total_major_faults: stat.major_faults, ..stat }
    }
}

/// `memory.events` of version 2, counts since the group was made, all groups below included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEvents {
    /// The group was throttled at `memory.high`.
    pub high: Option<u64>,
    /// The group was about to pass `memory.max`.
    pub max: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kill: Option<u64>,
}

impl MemoryEvents {
    /// The file's content.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut events = Self::default();
        for (key, value) in pairs(bytes) {
            match key {
                b"high" => events.high = Some(value),
                b"max" => events.max = Some(value),
                b"oom_kill" => events.oom_kill = Some(value),
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_prefers_the_totals_but_for_faults() {
        let text =
            b"cache 1\nrss 2\nrss_huge 99\nmapped_file 3\ndirty 4\nswap 5\npgfault 6\npgmajfault 7\ninactive_file 8\n\
            active_file 9\nhierarchical_memory_limit 9223372036854771712\ntotal_cache 11\ntotal_rss 12\n\
            total_mapped_file 13\ntotal_swap 15\ntotal_pgfault 16\ntotal_pgmajfault 17\ntotal_inactive_file 18\n\
            total_active_file 19\n";
        let want = MemoryStat {
            cache: Some(11),
            rss: Some(12),
            mapped_file: Some(13),
            swap: Some(15),
            active_file: Some(19),
            inactive_file: Some(18),
            file_dirty: Some(4),
            faults: Some(6),
            major_faults: Some(7),
            total_faults: Some(16),
            total_major_faults: Some(17),
            ..MemoryStat::default()
        };
        assert_eq!(MemoryStat::parse_v1(text), want);
    }

    #[test]
    fn version_2() {
        let text = b"anon 4096\nfile 8192\nkernel 100\nkernel_stack 5\nfile_mapped 6\nfile_dirty 7\nfile_writeback 8\n\
            inactive_file 9\nactive_file 10\nworkingset_refault_anon 11\nworkingset_refault_file 12\npgscan 13\n\
            pgsteal 14\npgfault 15\npgmajfault 16\n";
        let stat = MemoryStat::parse_v2(text);
        assert_eq!((stat.rss, stat.cache, stat.kernel), (Some(4096), Some(8192), Some(100)));
        assert_eq!((stat.mapped_file, stat.file_dirty, stat.file_writeback), (Some(6), Some(7), Some(8)));
        assert_eq!((stat.inactive_file, stat.active_file), (Some(9), Some(10)));
        assert_eq!((stat.refaults_anon, stat.refaults_file), (Some(11), Some(12)));
        assert_eq!((stat.scanned, stat.reclaimed), (Some(13), Some(14)));
        assert_eq!((stat.faults, stat.major_faults), (Some(15), Some(16)));
        assert_eq!((stat.total_faults, stat.total_major_faults), (Some(15), Some(16)));
        assert_eq!(stat.swap, None, "version 2 has it in a file of its own");
    }

    #[test]
    fn absent_is_not_zero() {
        assert_eq!(MemoryStat::parse_v1(b"hierarchical_memory_limit 1\n"), MemoryStat::default());
        assert_eq!(MemoryStat::parse_v2(b""), MemoryStat::default());
    }

    #[test]
    fn events() {
        let text = b"low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n";
        assert_eq!(MemoryEvents::parse(text), MemoryEvents { high: Some(2), max: Some(3), oom_kill: Some(5) });
    }
}
