//! Counters of the CPUs and of the kernel, as `perf stat` has them, since this agent began to count.

use std::collections::BTreeMap;
use std::io;

use agent_exposition::{Kind, Page};
use agent_procfs::perf_event::{CACHES, Counter, Event, HARDWARE, SOFTWARE, TRACEPOINTS, cache};
use agent_procfs::{CachedFile, Root, cpu_list, scan};

use crate::fields::word;
use crate::source::Source;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Flags, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "perf",
    help: "Counters of CPUs and kernel; needs CAP_PERFMON or kernel.perf_event_paranoid of 0 at most.",
    default_on: false,
    flags: &[
        CPUS,
        TRACEPOINT,
        DISABLE_HARDWARE,
        HARDWARE_PROFILERS,
        DISABLE_SOFTWARE,
        SOFTWARE_PROFILERS,
        DISABLE_CACHE,
        CACHE_PROFILERS,
    ],
    build,
};

const CPUS: FlagSpec =
    FlagSpec::value("collector.perf.cpus", "CPUs to count on, such as 0,2-4 or 0-9:3 (each third); all by default.");
const TRACEPOINT: FlagSpec = FlagSpec::repeated(
    "collector.perf.tracepoint",
    "A place in the kernel to count passings of, such as sched:sched_process_exec.",
);
const DISABLE_HARDWARE: FlagSpec =
    FlagSpec::switch("collector.perf.disable-hardware-profilers", false, "Leave out what the CPUs count.");
const HARDWARE_PROFILERS: FlagSpec =
    FlagSpec::repeated("collector.perf.hardware-profilers", "Which counters of the CPUs; all by default.");
const DISABLE_SOFTWARE: FlagSpec =
    FlagSpec::switch("collector.perf.disable-software-profilers", false, "Leave out what the kernel counts.");
const SOFTWARE_PROFILERS: FlagSpec =
    FlagSpec::repeated("collector.perf.software-profilers", "Which counters of the kernel; all by default.");
const DISABLE_CACHE: FlagSpec =
    FlagSpec::switch("collector.perf.disable-cache-profilers", false, "Leave out what the CPUs' caches count.");
const CACHE_PROFILERS: FlagSpec =
    FlagSpec::repeated("collector.perf.cache-profilers", "Which counters of the caches; all by default.");

/// Name on the command line, family, help, and number.
type Profiler = (&'static str, &'static str, &'static str, u64);

#[rustfmt::skip]
const HARDWARE_ROWS: &[Profiler] = &[
    ("CpuCycles", "node_perf_cpucycles_total", "Cycles of the CPU.", 0),
    ("CpuInstr", "node_perf_instructions_total", "Instructions done.", 1),
    ("CacheRef", "node_perf_cache_refs_total", "Looks into the last cache.", 2),
    ("CacheMisses", "node_perf_cache_misses_total", "Looks into the last cache in vain.", 3),
    ("BranchInstr", "node_perf_branch_instructions_total", "Branches done.", 4),
    ("BranchMisses", "node_perf_branch_misses_total", "Branches guessed wrong.", 5),
    ("StalledCyclesFrontend", "node_perf_stalled_cycles_frontend_total", "Cycles without instructions to begin.", 7),
    ("StalledCyclesBackend", "node_perf_stalled_cycles_backend_total", "Cycles in which instructions waited for something.", 8),
    ("RefCpuCycles", "node_perf_ref_cpucycles_total", "Cycles of the CPU at its nominal frequency.", 9),
];

#[rustfmt::skip]
const SOFTWARE_ROWS: &[Profiler] = &[
    ("PageFault", "node_perf_page_faults_total", "Page faults.", 2),
    ("ContextSwitch", "node_perf_context_switches_total", "Switches from one task to another.", 3),
    ("CpuMigration", "node_perf_cpu_migrations_total", "Tasks that came from another CPU.", 4),
    ("MinorFault", "node_perf_minor_faults_total", "Page faults without I/O.", 5),
    ("MajorFault", "node_perf_major_faults_total", "Page faults that had to wait for I/O.", 6),
];

#[rustfmt::skip]
const CACHE_ROWS: &[Profiler] = &[
    ("L1DataReadHit", "node_perf_cache_l1d_read_hits_total", "Reads from the first cache of data.", cache(0, READ, HIT)),
    ("L1DataReadMiss", "node_perf_cache_l1d_read_misses_total", "Reads that the first cache of data could not serve.", cache(0, READ, MISS)),
    ("L1DataWriteHit", "node_perf_cache_l1d_write_hits_total", "Writes to the first cache of data.", cache(0, WRITE, HIT)),
    ("L1InstrReadMiss", "node_perf_cache_l1_instr_read_misses_total", "Reads that the first cache of instructions could not serve.", cache(1, READ, MISS)),
    ("LLReadHit", "node_perf_cache_ll_read_hits_total", "Reads from the last cache.", cache(2, READ, HIT)),
    ("LLReadMiss", "node_perf_cache_ll_read_misses_total", "Reads that the last cache could not serve.", cache(2, READ, MISS)),
    ("LLWriteHit", "node_perf_cache_ll_write_hits_total", "Writes to the last cache.", cache(2, WRITE, HIT)),
    ("LLWriteMiss", "node_perf_cache_ll_write_misses_total", "Writes that the last cache could not take.", cache(2, WRITE, MISS)),
    ("DataTLBReadHit", "node_perf_cache_tlb_data_read_hits_total", "Reads whose address the TLB of data was asked for.", cache(3, READ, HIT)),
    ("DataTLBReadMiss", "node_perf_cache_tlb_data_read_misses_total", "Reads whose address the TLB of data did not know.", cache(3, READ, MISS)),
    ("DataTLBWriteHit", "node_perf_cache_tlb_data_write_hits_total", "Writes whose address the TLB of data was asked for.", cache(3, WRITE, HIT)),
    ("DataTLBWriteMiss", "node_perf_cache_tlb_data_write_misses_total", "Writes whose address the TLB of data did not know.", cache(3, WRITE, MISS)),
    ("InstrTLBReadHit", "node_perf_cache_tlb_instr_read_hits_total", "Instructions whose address the TLB of instructions was asked for.", cache(4, READ, HIT)),
    ("InstrTLBReadMiss", "node_perf_cache_tlb_instr_read_misses_total", "Instructions whose address the TLB of instructions did not know.", cache(4, READ, MISS)),
    ("BPUReadHit", "node_perf_cache_bpu_read_hits_total", "Looks into the branch predictor.", cache(5, READ, HIT)),
    ("BPUReadMiss", "node_perf_cache_bpu_read_misses_total", "Looks into the branch predictor in vain.", cache(5, READ, MISS)),
];

const READ: u64 = 0;
const WRITE: u64 = 1;
/// What the kernel calls an access, and node_exporter a hit.
const HIT: u64 = 0;
const MISS: u64 = 1;

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let flags = &*context.flags;
    let mut wanted = Vec::new();
    let groups = [
        (HARDWARE, HARDWARE_ROWS, DISABLE_HARDWARE, HARDWARE_PROFILERS),
        (SOFTWARE, SOFTWARE_ROWS, DISABLE_SOFTWARE, SOFTWARE_PROFILERS),
        (CACHES, CACHE_ROWS, DISABLE_CACHE, CACHE_PROFILERS),
    ];
    for (kind, rows, disable, names) in groups {
        let picked = picked(rows, flags, &names)?;
        if !flags.is_on(&disable) {
            wanted.extend(picked.into_iter().map(|(_, family, help, config)| Wanted {
                family: (*family).to_owned(),
                help: (*help).to_owned(),
                event: Event::new(kind, *config),
            }));
        }
    }
    for tracepoint in flags.all(TRACEPOINT.name) {
        wanted.extend(traced(&context.root, tracepoint)?);
    }
    let cpus = flags.value(&CPUS).filter(|cpus| !cpus.is_empty());
    let cpus =
        cpus.map(|given| cpus_of(given).ok_or_else(|| wrong(&CPUS, given, "expected CPUs such as 0,2-4 or 0-9:3")));
    Ok(Box::new(Perf {
        cpus: cpus.transpose()?,
        online: Source::new(context.root.sys("devices/system/cpu/online")),
        wanted,
        counters: BTreeMap::new(),
        refusal: None,
    }))
}

fn wrong(flag: &FlagSpec, value: &str, reason: impl Into<String>) -> BuildError {
    BuildError { flag: flag.name.to_owned(), value: value.to_owned(), reason: reason.into() }
}

/// The rows that a flag names, or all.
fn picked<'a>(rows: &'a [Profiler], flags: &Flags, names: &FlagSpec) -> Result<Vec<&'a Profiler>, BuildError> {
    let given = flags.all(names.name);
    if given.is_empty() {
        return Ok(rows.iter().collect());
    }
    let row = |given: &String| {
        rows.iter().find(|(name, ..)| name == given).ok_or_else(|| {
            let known: Vec<_> = rows.iter().map(|(name, ..)| *name).collect();
            wrong(names, given, format!("expected one of {}", known.join(", ")))
        })
    };
    given.iter().map(row).collect()
}

/// A tracepoint by its name. `None` where the kernel does not have it, or does not let us see it.
fn traced(root: &Root, name: &str) -> Result<Option<Wanted>, BuildError> {
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let parts = name.split_once(':').filter(|(subsystem, event)| is_plain(subsystem) && is_plain(event));
    let Some((subsystem, event)) = parts else {
        return Err(wrong(&TRACEPOINT, name, "expected a subsystem and an event, such as sched:sched_process_exec"));
    };
    let number = ["kernel/tracing", "kernel/debug/tracing"].into_iter().find_map(|tracing| {
        let mut file = CachedFile::new(root.sys(tracing).join("events").join(subsystem).join(event).join("id"));
        file.read().ok().and_then(|content| scan::number(content.trim_ascii()))
    });
    let Some(config) = number else {
        tracing::warn!(tracepoint = name, "no such tracepoint can be seen in /sys/kernel/tracing, leaving it out");
        return Ok(None);
    };
    let family = format!("node_perf_{}_{}", word(subsystem), word(event));
    let help = format!("Passings of the kernel's tracepoint {name}.");
    Ok(Some(Wanted { family, help, event: Event::new(TRACEPOINTS, config) }))
}

/// CPUs as the flag has them: numbers and ranges between commas, ranges perhaps with a stride.
fn cpus_of(text: &str) -> Option<Vec<u32>> {
    const MOST: usize = 65_536;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (range, stride) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| scan::number(text.as_bytes()).and_then(|number| u32::try_from(number).ok());
        let stride = number(stride).filter(|stride| *stride > 0)?;
        let range = number(first)?..=number(last)?;
        cpus.extend(range.step_by(usize::try_from(stride).ok()?).take(MOST));
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

struct Perf {
    /// As the flag has them; all that are online where it is not given.
    cpus: Option<Vec<u32>>,
    online: Source,
    wanted: Vec<Wanted>,
    /// By CPU, in the order of `wanted`. Nothing for one that the kernel refuses.
    counters: BTreeMap<u32, Vec<Option<Counter>>>,
    /// Why it last did.
    refusal: Option<i32>,
}

struct Wanted {
    family: String,
    help: String,
    event: Event,
}

impl Collector for Perf {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let cpus = match &self.cpus {
            Some(cpus) => cpus.clone(),
            None => self.online.parse(cpu_list::parse)?,
        };
        self.open(&cpus);
        for (index, wanted) in self.wanted.iter().enumerate() {
            let counter = |counters: &Vec<Option<Counter>>| counters.get(index)?.as_ref()?.read().ok();
            let counted = self.counters.iter().filter_map(|(cpu, counters)| Some((cpu, counter(counters)?)));
            let family = page.family(wanted.family.clone(), wanted.help.clone(), Kind::Counter);
            for (cpu, value) in counted {
                page.sample(family, &[("cpu", &cpu.to_string())], value as f64);
            }
        }
        match self.refusal {
            Some(errno) if page.sample_count() == 0 => {
                Err(CollectError::Call { name: "perf_event_open", source: io::Error::from_raw_os_error(errno) })
            }
            _ => Ok(if page.sample_count() == 0 { Outcome::Nothing } else { Outcome::Collected }),
        }
    }
}

impl Perf {
    /// Begins to count on CPUs that are new, and ends on those that are gone.
    fn open(&mut self, cpus: &[u32]) {
        self.counters.retain(|cpu, _| cpus.contains(cpu));
        for cpu in cpus {
            let (wanted, refusal) = (&self.wanted, &mut self.refusal);
            self.counters.entry(*cpu).or_insert_with(|| {
                let open = |wanted: &Wanted| Counter::open(wanted.event, *cpu);
                let mut refused = |error: io::Error| *refusal = error.raw_os_error().or(*refusal);
                wanted.iter().map(|wanted| open(wanted).map_err(&mut refused).ok()).collect()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn cpus_as_the_flag_has_them() {
        #[track_caller]
        fn check(text: &str, want: Option<&[u32]>) {
            assert_eq!(cpus_of(text).as_deref(), want, "{text}");
        }
        check("0", Some(&[0]));
        check("4,0-2", Some(&[0, 1, 2, 4]));
        check("0-9:3,3", Some(&[0, 3, 6, 9]));
        check("2-1", Some(&[]));
        check("1-3:0", None);
        check("a", None);
        check("1-", None);
        check("", None);
    }

    #[test]
    fn names_differ() {
        let rows = [HARDWARE_ROWS, SOFTWARE_ROWS, CACHE_ROWS].concat();
        assert_eq!(rows.iter().map(|(name, ..)| name).collect::<HashSet<_>>().len(), rows.len());
        assert_eq!(rows.iter().map(|(_, family, ..)| family).collect::<HashSet<_>>().len(), rows.len());
        for rows in [HARDWARE_ROWS, SOFTWARE_ROWS, CACHE_ROWS] {
            assert_eq!(rows.iter().map(|(.., config)| config).collect::<HashSet<_>>().len(), rows.len());
        }
    }

    #[test]
    fn tracepoints_have_a_number() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root { sysfs: directory.path().to_owned(), ..Root::default() };
        let events = root.sys("kernel/debug/tracing/events/sched/sched_process_exec");
        std::fs::create_dir_all(&events).unwrap();
        std::fs::write(events.join("id"), "317\n").unwrap();
        let found = traced(&root, "sched:sched_process_exec").unwrap().unwrap();
        assert_eq!(found.event, Event::new(TRACEPOINTS, 317));
        assert_eq!(found.family, "node_perf_sched_sched_process_exec");
        assert!(traced(&root, "sched:other").unwrap().is_none());
        for wrong in ["sched", "sched:", ":x", "a/b:c", "a:../c"] {
            assert!(traced(&root, wrong).is_err(), "{wrong}");
        }
    }
}
