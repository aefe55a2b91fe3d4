//! Names of events that every Linux knows, as `perf list` writes them; libpfm's names of the same events stand for them
//! too.

use agent_procfs::perf_event::{CACHES, Event, HARDWARE, SOFTWARE, cache};

#[rustfmt::skip]
const PLAIN: &[(&str, Event)] = &[
    ("cpu-cycles", Event::new(HARDWARE, 0)),
    ("cycles", Event::new(HARDWARE, 0)),
    ("instructions", Event::new(HARDWARE, 1)),
    ("cache-references", Event::new(HARDWARE, 2)),
    ("cache-misses", Event::new(HARDWARE, 3)),
    ("branch-instructions", Event::new(HARDWARE, 4)),
    ("branches", Event::new(HARDWARE, 4)),
    ("branch-misses", Event::new(HARDWARE, 5)),
    ("bus-cycles", Event::new(HARDWARE, 6)),
    ("stalled-cycles-frontend", Event::new(HARDWARE, 7)),
    ("idle-cycles-frontend", Event::new(HARDWARE, 7)),
    ("stalled-cycles-backend", Event::new(HARDWARE, 8)),
    ("idle-cycles-backend", Event::new(HARDWARE, 8)),
    ("ref-cycles", Event::new(HARDWARE, 9)),
    ("ref-cpu-cycles", Event::new(HARDWARE, 9)),
    // Clocks count nanoseconds.
    ("cpu-clock", Event::new(SOFTWARE, 0)),
    ("task-clock", Event::new(SOFTWARE, 1)),
    ("page-faults", Event::new(SOFTWARE, 2)),
    ("faults", Event::new(SOFTWARE, 2)),
    ("context-switches", Event::new(SOFTWARE, 3)),
    ("cs", Event::new(SOFTWARE, 3)),
    ("cpu-migrations", Event::new(SOFTWARE, 4)),
    ("migrations", Event::new(SOFTWARE, 4)),
    ("minor-faults", Event::new(SOFTWARE, 5)),
    ("page-faults-min", Event::new(SOFTWARE, 5)),
    ("major-faults", Event::new(SOFTWARE, 6)),
    ("page-faults-maj", Event::new(SOFTWARE, 6)),
    ("alignment-faults", Event::new(SOFTWARE, 7)),
    ("emulation-faults", Event::new(SOFTWARE, 8)),
    ("cgroup-switches", Event::new(SOFTWARE, 11)),
];

const OF_CACHES: &[(&str, u64)] =
    &[("l1-dcache", 0), ("l1-icache", 1), ("llc", 2), ("dtlb", 3), ("itlb", 4), ("branch", 5), ("node", 6)];

const OPERATIONS: &[(&str, u64, u64)] = &[
    ("loads", 0, 0),
    ("load-misses", 0, 1),
    ("stores", 1, 0),
    ("store-misses", 1, 1),
    ("prefetches", 2, 0),
    ("prefetch-misses", 2, 1),
];

/// The event of a name, in any case, with `-` or `_`, perhaps with libpfm's `perf::` or the kernel's
/// `PERF_COUNT_HW_` before it.
pub(super) fn event(name: &str) -> Option<Event> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let name = name.strip_prefix("perf::").unwrap_or(&name);
    let name = name.strip_prefix("perf-count-hw-").or_else(|| name.strip_prefix("perf-count-sw-")).unwrap_or(name);
    if let Some((_, event)) = PLAIN.iter().find(|(known, _)| *known == name) {
        return Some(*event);
    }
    let (which, operation) =
        OF_CACHES.iter().find_map(|(known, which)| Some((which, name.strip_prefix(known)?.strip_prefix('-')?)))?;
    let (_, operation, result) = OPERATIONS.iter().find(|(known, ..)| *known == operation)?;
    Some(Event::new(CACHES, cache(*which, *operation, *result)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_spelling() {
        #[track_caller]
        fn check(name: &str, want: Option<(u32, u64)>) {
            assert_eq!(event(name), want.map(|(kind, config)| Event::new(kind, config)), "{name}");
        }
        check("instructions", Some((0, 1)));
        check("INSTRUCTIONS", Some((0, 1)));
        check("cache_misses", Some((0, 3)));
        check("PERF_COUNT_HW_CPU_CYCLES", Some((0, 0)));
        check("perf::PERF_COUNT_SW_PAGE_FAULTS_MIN", Some((1, 5)));
        check("context-switches", Some((1, 3)));
        check("L1-dcache-load-misses", Some((3, 0x1_0000)));
        check("LLC-stores", Some((3, 0x102)));
        check("LLC_PREFETCH_MISSES", Some((3, 0x1_0202)));
        check("branch-loads", Some((3, 5)));
        check("branch-misses", Some((0, 5)));
        check("iTLB-load-misses", Some((3, 0x1_0004)));
        check("L1-dcache", None);
        check("L1-dcache-", None);
        check("inst_retired.any", None);
        check("", None);
        check("perf::", None);
    }
}
