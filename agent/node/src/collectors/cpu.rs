//! CPU time by mode, from `/proc/stat`; which CPUs are online, isolated or throttled, from
//! `/sys/devices/system/cpu`; what they are, from `/proc/cpuinfo`.

use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::cpuinfo::{self, CpuInfo};
use agent_procfs::stat::{self, Mode};
use agent_procfs::{Root, cpu_list};

use crate::pattern::Pattern;
use crate::shared::SharedStat;
use crate::source::Source;
use crate::throttle::Throttles;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Flags, Outcome, Scrape, Spec, pattern};

/// Registration.
pub const SPEC: Spec =
    Spec { name: "cpu", help: "CPU time by mode.", default_on: true, flags: &[GUEST, INFO, FLAGS, BUGS], build };

const GUEST: FlagSpec = FlagSpec::switch("collector.cpu.guest", true, "Report the time given to guests.");
const INFO: FlagSpec = FlagSpec::switch("collector.cpu.info", false, "Report what the CPUs are, as labels.");
const FLAGS: FlagSpec = FlagSpec::value(
    "collector.cpu.info.flags-include",
    "Which features of the first CPU to report: a regular expression. Turns --collector.cpu.info on.",
);
const BUGS: FlagSpec = FlagSpec::value(
    "collector.cpu.info.bugs-include",
    "Which bugs of the first CPU to report: a regular expression. Turns --collector.cpu.info on.",
);

/// The kernel counts time in `USER_HZ`, which is 100 on every architecture of today.
const TICKS_PER_SECOND: f64 = 100.0;

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let root = &context.root;
    Ok(Box::new(Cpu {
        stat: Arc::clone(&context.stat),
        scrape: 0,
        seen: Vec::new(),
        guest: context.flags.is_on(&GUEST),
        info: Info::build(root, &context.flags)?,
        present: Source::new(root.sys("devices/system/cpu/present")).with_short_lines(),
        online: Source::new(root.sys("devices/system/cpu/online")).with_short_lines(),
        isolated: isolated(root),
        throttles: Throttles::new(root),
    }))
}

struct Cpu {
    stat: Arc<SharedStat>,
    scrape: u64,
    seen: Vec<Seen>,
    guest: bool,
    info: Option<Info>,
    present: Source,
    online: Source,
    /// Read once: the kernel sets it at boot.
    isolated: Vec<String>,
    throttles: Throttles,
}

impl Collector for Cpu {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = scrape.number;
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        if let Some(info) = &mut self.info {
            info.collect(page)?;
        }
        let stat = self.stat.get(self.scrape)?;
        update(&mut self.seen, &stat.cpus);
        self.times(page);
        let family = page.family("node_cpu_isolated", "1 for a CPU that the scheduler leaves alone.", Kind::Gauge);
        self.isolated.iter().for_each(|cpu| page.sample(family, &[("cpu", cpu)], 1.0));
        self.online(page)?;
        Ok(Outcome::Collected)
    }
}

impl Cpu {
    fn times(&self, page: &mut Page) {
        const MODES: [(&str, Mode); 8] = [
            ("idle", Mode::Idle),
            ("iowait", Mode::Iowait),
            ("irq", Mode::Irq),
            ("nice", Mode::Nice),
            ("softirq", Mode::Softirq),
            ("steal", Mode::Steal),
            ("system", Mode::System),
            ("user", Mode::User),
        ];
        const GUESTS: [(&str, Mode); 2] = [("nice", Mode::GuestNice), ("user", Mode::Guest)];
        let help = "Time that CPUs spent in each mode.";
        let seconds = page.family("node_cpu_seconds_total", help, Kind::Counter);
        let help = "Time that CPUs gave to guests; it is also within the modes user and nice.";
        let guest_seconds = page.family("node_cpu_guest_seconds_total", help, Kind::Counter);
        for cpu in &self.seen {
            let mut add = |family, modes: &[(&str, Mode)]| {
                for (mode, column) in modes {
                    if let Some(ticks) = cpu.ticks.get(*column as usize) {
                        page.sample(family, &[("cpu", &cpu.label), ("mode", mode)], *ticks as f64 / TICKS_PER_SECOND);
                    }
                }
            };
            add(seconds, &MODES);
            if self.guest {
                add(guest_seconds, &GUESTS);
            }
        }
    }

    /// Which of the CPUs that are there are online. A kernel without hot-plugging does not say.
    fn online(&mut self, page: &mut Page) -> Result<(), CollectError> {
        let online = match self.online.parse(cpu_list::parse) {
            Ok(online) => online,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let present = self.present.parse(cpu_list::parse).unwrap_or_else(|_| online.clone());
        let family = page.family("node_cpu_online", "1 for a CPU that is online, 0 for one that is not.", Kind::Gauge);
        for cpu in present {
            let is_online = online.binary_search(&cpu).is_ok();
            page.sample(family, &[("cpu", &cpu.to_string())], f64::from(u8::from(is_online)));
        }
        self.throttles.collect(&online, page);
        Ok(())
    }
}

/// A CPU and the most that each of its counters has reached.
struct Seen {
    number: u32,
    label: String,
    ticks: Vec<u64>,
}

/// Takes over the new counters. One that has gone back a little (the kernel's idle and iowait do) keeps its value;
/// when idle has gone back 3 s or more the CPU was unplugged meanwhile, and all of it begins anew. CPUs that are no
/// longer listed are dropped.
fn update(seen: &mut Vec<Seen>, cpus: &[stat::Cpu]) {
    const UNPLUGGED: u64 = 300;
    seen.retain(|old| cpus.iter().any(|cpu| cpu.number == old.number));
    for cpu in cpus {
        let ticks = cpu.times.columns();
        let Some(old) = seen.iter_mut().find(|old| old.number == cpu.number) else {
            seen.push(Seen { number: cpu.number, label: cpu.number.to_string(), ticks: ticks.to_vec() });
            continue;
        };
        let idle = |ticks: &[u64]| ticks.get(Mode::Idle as usize).copied().unwrap_or_default();
        if old.ticks.len() != ticks.len() || idle(&old.ticks).saturating_sub(idle(ticks)) >= UNPLUGGED {
            old.ticks = ticks.to_vec();
        }
        for (old, new) in old.ticks.iter_mut().zip(ticks) {
            *old = (*old).max(*new);
        }
    }
}

fn isolated(root: &Root) -> Vec<String> {
    let list = Source::new(root.sys("devices/system/cpu/isolated")).parse(cpu_list::parse);
    list.unwrap_or_default().iter().map(u32::to_string).collect()
}

struct Info {
    file: Source,
    /// Vendor and name of the CPUs where the file does not say them, as on ARM; looked up once.
    names: Option<(String, String)>,
    /// Whether the file is that of this machine, and other sources tell of the same CPUs.
    is_this_machine: bool,
    flags: Option<Pattern>,
    bugs: Option<Pattern>,
}

impl Info {
    /// `None` when nobody asks for it.
    fn build(root: &Root, flags: &Flags) -> Result<Option<Self>, BuildError> {
        let (features, bugs) = (pattern::of_flag(flags, &FLAGS)?, pattern::of_flag(flags, &BUGS)?);
        let wanted = flags.is_on(&INFO) || features.is_some() || bugs.is_some();
        Ok(wanted.then(|| Self {
            file: Source::new(root.proc("cpuinfo")),
            names: None,
            is_this_machine: root.procfs == Root::default().procfs,
            flags: features,
            bugs,
        }))
    }

    fn collect(&mut self, page: &mut Page) -> Result<(), CollectError> {
        let cpus = self.file.parse(|bytes| Ok(cpuinfo::parse(bytes)))?;
        if self.is_this_machine && self.names.is_none() && cpus.iter().any(|cpu| cpu.get("model name").is_none()) {
            self.names = Some(names_by_part_number());
        }
        let (vendor, name) = self.names.as_ref().map(|(v, n)| (v.as_str(), n.as_str())).unwrap_or_default();
        let family = page.family("node_cpu_info", "What each CPU is, as labels.", Kind::Gauge);
        for cpu in &cpus {
            const LABELS: [(&str, &str); 10] = [
                ("cachesize", "cache size"),
                ("core", "core id"),
                ("cpu", "processor"),
                ("family", "cpu family"),
                ("microcode", "microcode"),
                ("model", "model"),
                ("model_name", "model name"),
                ("package", "physical id"),
                ("stepping", "stepping"),
                ("vendor", "vendor_id"),
            ];
            let unsaid = |key| match key {
                "vendor_id" => vendor,
                "model name" => name,
                _ => "",
            };
            page.sample(family, &LABELS.map(|(label, key)| (label, cpu.get(key).unwrap_or_else(|| unsaid(key)))), 1.0);
        }
        if let Some(first) = cpus.first() {
            let help = "1 for each feature of the first CPU that is asked for.";
            each(page, ("node_cpu_flag_info", help, "flag"), self.flags.as_ref(), first.flags());
            let help = "1 for each bug of the first CPU that is asked for.";
            each(page, ("node_cpu_bug_info", help, "bug"), self.bugs.as_ref(), words(first, "bugs"));
        }
        Ok(())
    }
}

/// Vendor and name of the first CPU from tables of part numbers.
fn names_by_part_number() -> (String, String) {
    let what = sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing());
    let system = sysinfo::System::new_with_specifics(what);
    system.cpus().first().map(|cpu| (cpu.vendor_id().to_owned(), cpu.brand().to_owned())).unwrap_or_default()
}

fn words<'a>(cpu: &CpuInfo<'a>, key: &str) -> impl Iterator<Item = &'a str> {
    cpu.get(key).unwrap_or_default().split_ascii_whitespace()
}

/// A family (name, help and label) with a 1 for each value that the expression picks.
fn each<'a>(
    page: &mut Page,
    (name, help, label): (&'static str, &'static str, &str),
    pick: Option<&Pattern>,
    values: impl Iterator<Item = &'a str>,
) {
    let Some(pick) = pick else { return };
    let family = page.family(name, help, Kind::Gauge);
    values.filter(|value| pick.is_match(value)).for_each(|value| page.sample(family, &[(label, value)], 1.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(files: &[&str]) -> Vec<(u32, Vec<u64>)> {
        let mut seen = Vec::new();
        for file in files {
            update(&mut seen, &stat::parse(file.as_bytes()).unwrap().value.cpus);
        }
        seen.into_iter().map(|cpu| (cpu.number, cpu.ticks)).collect()
    }

    #[test]
    fn counters_never_go_back_a_little() {
        assert_eq!(after(&["cpu0 10 20 30 4000 50", "cpu0 11 19 31 3701 49"]), [(0, vec![11, 20, 31, 4000, 50])]);
    }

    #[test]
    fn idle_going_back_three_seconds_is_another_cpu() {
        assert_eq!(after(&["cpu0 10 20 30 4000 50", "cpu0 1 2 3 3700 5"]), [(0, vec![1, 2, 3, 3700, 5])]);
    }

    #[test]
    fn part_numbers_give_the_names_that_the_kernel_gives() {
        let text = std::fs::read("/proc/cpuinfo").unwrap();
        let (vendor, name) = names_by_part_number();
        if let Some(model_name) = cpuinfo::parse(&text).first().and_then(|cpu| cpu.get("model name")) {
            assert_eq!(name, model_name);
        }
        assert!(!vendor.is_empty() || !name.is_empty());
    }

    #[test]
    fn cpus_come_and_go() {
        assert_eq!(after(&["cpu0 1 1 1 1\ncpu1 2 2 2 2", "cpu1 2 2 2 3"]), [(1, vec![2, 2, 2, 3])]);
        assert_eq!(after(&["cpu0 1 1 1 1", "cpu0 1 1 1 1\ncpu3 9 9 9 9"]), [(0, vec![1; 4]), (3, vec![9; 4])]);
    }
}
