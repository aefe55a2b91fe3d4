//! `/proc/stat`: CPU time by mode, interrupts, context switches, processes.

use crate::scan::{self, Lossy, Malformed};

/// Where a CPU's time went, in the order of the file's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Mode {
    /// Normal user time, guests included.
    User,
    /// User time at low priority, guests at low priority included.
    Nice,
    /// Kernel time.
    System,
    /// Nothing to do.
    Idle,
    /// Nothing to do while I/O was outstanding.
    Iowait,
    /// Hard interrupts.
    Irq,
    /// Soft interrupts.
    Softirq,
    /// Taken by the hypervisor.
    Steal,
    /// A guest's user time.
    Guest,
    /// A guest's user time at low priority.
    GuestNice,
}

/// How many modes there are.
pub const MODES: usize = 10;

/// The time of one CPU by mode, in ticks of 1/100 s (`USER_HZ`, which is 100 wherever Linux runs today).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    ticks: [u64; MODES],
    given: usize,
}

impl CpuTimes {
    /// The ticks spent in a mode; `None` where this kernel does not count it.
    pub fn ticks(&self, mode: Mode) -> Option<u64> {
        self.ticks.get(..self.given)?.get(mode as usize).copied()
    }

    /// All columns that this kernel prints, in the order of [`Mode`].
    pub fn columns(&self) -> &[u64] {
        self.ticks.get(..self.given).unwrap_or_default()
    }
}

/// One line `cpuN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// N.
    pub number: u32,
    /// Its time.
    pub times: CpuTimes,
}

/// The names of the soft interrupts, in the order of the columns of the line `softirq` after the sum.
pub const SOFTIRQS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The line `cpu`: the sum over all CPUs.
    pub total: Option<CpuTimes>,
    /// The CPUs that are online, as listed.
    pub cpus: Vec<Cpu>,
    /// `intr`, first number: interrupts since boot.
    pub interrupts: Option<u64>,
    /// `ctxt`: context switches since boot.
    pub context_switches: Option<u64>,
    /// `btime`: Unix time of boot, in seconds.
    pub boot_time: Option<u64>,
    /// `processes`: forks since boot.
    pub forks: Option<u64>,
    /// `procs_running`: runnable tasks now.
    pub procs_running: Option<u64>,
    /// `procs_blocked`: tasks waiting for I/O now.
    pub procs_blocked: Option<u64>,
    /// `softirq`: soft interrupts since boot, in the order of [`SOFTIRQS`]; as many as the kernel prints.
    pub softirqs: Vec<u64>,
}

/// Reads the file. A line that makes no sense is skipped; lines of names unknown here are passed over.
///
/// # Errors
/// When there is not one known line.
pub fn parse(bytes: &[u8]) -> Result<Lossy<Stat>, Malformed> {
    let mut out = Lossy::new(Stat::default());
    for (line_number, line) in scan::lines(bytes) {
        // The line `intr` has a number per interrupt, thousands on big machines: only its first field is looked at.
        let (name, rest) = scan::cut(line, b' ').unwrap_or((line, &[]));
        if !out.value.take(name, rest) {
            out.skip(line_number, "expected a name and its numbers");
        }
    }
    match (out.value == Stat::default(), &out.first_bad) {
        (true, first_bad) => Err(first_bad.clone().unwrap_or(Malformed { line: 1, reason: "expected CPU lines" })),
        (false, _) => Ok(out),
    }
}

impl Stat {
    /// Takes one line; false when it is malformed.
    fn take(&mut self, name: &[u8], rest: &[u8]) -> bool {
        let single = || scan::fields(rest).next().and_then(scan::number);
        let target = match name {
            b"intr" => &mut self.interrupts,
            b"ctxt" => &mut self.context_switches,
            b"btime" => &mut self.boot_time,
            b"processes" => &mut self.forks,
            b"procs_running" => &mut self.procs_running,
            b"procs_blocked" => &mut self.procs_blocked,
            b"cpu" => {
                self.total = cpu_times(rest);
                return self.total.is_some();
            }
            b"softirq" => {
                let Some(vectors) = scan::fields(rest).skip(1).map(scan::number).collect() else { return false };
                self.softirqs = vectors;
                return true;
            }
            _ => return self.take_cpu(name, rest),
        };
        let value = single();
        *target = value.or(*target);
        value.is_some()
    }

    fn take_cpu(&mut self, name: &[u8], rest: &[u8]) -> bool {
        let Some(digits) = name.strip_prefix(b"cpu") else { return scan::is_word(name) };
        let number = scan::number(digits).and_then(|n| u32::try_from(n).ok());
        let (Some(number), Some(times)) = (number, cpu_times(rest)) else { return false };
        self.cpus.push(Cpu { number, times });
        true
    }
}

/// Kernels since 2.5 print at least the first four columns.
fn cpu_times(rest: &[u8]) -> Option<CpuTimes> {
    let mut times = CpuTimes::default();
    for (slot, field) in times.ticks.iter_mut().zip(scan::fields(rest)) {
        *slot = scan::number(field)?;
        times.given += 1;
    }
    (times.given >= 4).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_CPUS: &[u8] = b"cpu  300 2 50 9000 10 0 4 1 0 0\n\
        cpu0 100 1 20 4500 6 0 3 1 0 0\ncpu1 200 1 30 4500 4 0 1 0 0 0\n\
        intr 8885917 17 0 0\nctxt 38014093\nbtime 1418183276\nprocesses 26442\nprocs_running 2\nprocs_blocked 1\n\
        softirq 5057579 250191 1481983 1647 211099 186066 0 1783454 622196 12499 508444\n";

    #[test]
    fn a_whole_file() {
        let got = parse(TWO_CPUS).unwrap();
        assert_eq!(got.bad_lines, 0);
        let stat = got.value;
        assert_eq!(stat.cpus.iter().map(|c| c.number).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(stat.cpus[1].times.ticks(Mode::User), Some(200));
        assert_eq!(stat.cpus[0].times.ticks(Mode::Steal), Some(1));
        assert_eq!(stat.total.unwrap().ticks(Mode::Idle), Some(9000));
        assert_eq!(stat.interrupts, Some(8_885_917));
        assert_eq!(stat.context_switches, Some(38_014_093));
        assert_eq!(stat.boot_time, Some(1_418_183_276));
        assert_eq!(stat.forks, Some(26442));
        assert_eq!((stat.procs_running, stat.procs_blocked), (Some(2), Some(1)));
        assert_eq!(stat.softirqs.len(), SOFTIRQS.len());
        assert_eq!(stat.softirqs[1], 1_481_983);
    }

    #[test]
    fn columns_that_the_kernel_does_not_print_are_absent() {
        let stat = parse(b"cpu0 1 2 3 4 5\n").unwrap().value;
        assert_eq!(stat.cpus[0].times.ticks(Mode::Iowait), Some(5));
        assert_eq!(stat.cpus[0].times.ticks(Mode::Irq), None);
        assert_eq!(stat.boot_time, None);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        #[track_caller]
        fn check(bad: &str) {
            let input = format!("cpu0 1 2 3 4\n{bad}\ncpu1 5 6 7 8\n");
            let got = parse(input.as_bytes()).unwrap();
            assert_eq!(got.value.cpus.len(), 2, "{bad}");
            assert_eq!((got.bad_lines, got.first_bad.unwrap().line), (1, 2), "{bad}");
        }
        check("cpu2 1 2");
        check("cpu2 1 2 x 4");
        check("cpu99999999999 1 2 3 4");
        check("cpux 1 2 3 4");
        check("ctxt");
        check("btime soon");
        check("softirq 1 2 z");
        check("\u{fffd}\u{0} 7");
    }

    #[test]
    fn newer_lines_are_passed_over() {
        let got = parse(b"cpu0 1 2 3 4\nsome_new_thing 17\n").unwrap();
        assert_eq!(got.bad_lines, 0);
    }

    #[test]
    fn nothing_known_is_an_error() {
        assert_eq!(parse(b"").unwrap_err().line, 1);
        assert_eq!(parse(b"\xff\xff").unwrap_err().line, 1);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
