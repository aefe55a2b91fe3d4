//! Processes and threads by state, from `/proc/PID/stat` and `/proc/PID/task/TID/stat`.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use agent_exposition::{Kind, Page};
use agent_procfs::pid_stat::{self, PidStat};
use agent_procfs::{Error, scan};
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "processes",
    help: "Processes and threads by state.",
    default_on: false,
    flags: &[],
    build: |context| {
        Ok(Box::new(Processes {
            directory: context.root.procfs.clone(),
            most_threads: Source::new(context.root.proc("sys/kernel/threads-max")),
            most_processes: Source::new(context.root.proc("sys/kernel/pid_max")),
            complained: false,
            scrape: None,
        }))
    },
};

struct Processes {
    directory: PathBuf,
    most_threads: Source,
    most_processes: Source,
    complained: bool,
    scrape: Option<Scrape>,
}

impl Collector for Processes {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut count = Count::default();
        let deadline = self.scrape.unwrap_or_else(Scrape::untold).deadline;
        let result = count.walk(&self.directory, deadline);
        result.map_err(|source| Error::Read { path: self.directory.clone(), source })?;
        if let Some(first) = count.unreadable.take().filter(|_| !self.complained) {
            self.complained = true;
            tracing::warn!(%first, "leaving out tasks that cannot be looked at");
        }
        count.add(page);
        let most = self.most_threads.parse(scan::single)?;
        page.single("node_processes_max_threads", "Most threads there can be.", Kind::Gauge, most as f64);
        let most = self.most_processes.parse(scan::single)?;
        let help = "Where the numbers of processes end, and so how many there can be.";
        page.single("node_processes_max_processes", help, Kind::Gauge, most as f64);
        Ok(Outcome::Collected)
    }
}

/// What one walk through `/proc` finds.
#[derive(Default)]
struct Count {
    processes: u64,
    threads: u64,
    /// By the letter of the state.
    process_states: BTreeMap<char, u64>,
    thread_states: BTreeMap<char, u64>,
    /// A task that is there, but cannot be looked at.
    unreadable: Option<String>,
}

impl Count {
    /// Looks at every task. Half a walk would count too little, so that one that is late is an error.
    fn walk(&mut self, directory: &std::path::Path, deadline: Instant) -> std::io::Result<()> {
        let all = rustix::fs::open(directory, DIRECTORY, Mode::empty())?;
        each_number(&all, |process| {
            if Instant::now() >= deadline {
                return Err(Errno::TIMEDOUT);
            }
            let Some(stat) = self.look(all.as_fd(), process) else { return Ok(()) };
            self.processes += 1;
            self.threads += stat.threads;
            *self.process_states.entry(stat.state).or_default() += 1;
            *self.thread_states.entry(stat.state).or_default() += 1;
            // The first thread has the number and the state of the process.
            match stat.threads {
                0 | 1 => Ok(()),
                _ => self.look_at_threads(&all, process),
            }
        })?;
        Ok(())
    }

    /// Counts the threads of a process, the first one apart.
    fn look_at_threads(&mut self, all: &OwnedFd, process: &str) -> Result<(), Errno> {
        let Ok(threads) = rustix::fs::openat(all, format!("{process}/task"), DIRECTORY, Mode::empty()) else {
            return Ok(());
        };
        each_number(&threads, |thread| {
            if thread != process
                && let Some(stat) = self.look(threads.as_fd(), thread)
            {
                *self.thread_states.entry(stat.state).or_default() += 1;
            }
            Ok(())
        })
    }

    /// The task of that number; `None` for one that has ended meanwhile, and for one that cannot be looked at.
    fn look(&mut self, directory: BorrowedFd, number: &str) -> Option<PidStat> {
        // The kernel prints some fifty numbers and a name of at most 64 bytes.
        let mut buffer = [0; 2048];
        let read = rustix::fs::openat(directory, format!("{number}/stat"), FILE, Mode::empty())
            .and_then(|file| rustix::io::read(file, &mut buffer));
        let stat = match read {
            Ok(length) => pid_stat::parse(buffer.get(..length)?).map_err(|malformed| malformed.to_string()),
            Err(Errno::NOENT | Errno::SRCH) => return None,
            Err(errno) => Err(errno.to_string()),
        };
        stat.map_err(|reason| self.unreadable.get_or_insert_with(|| format!("{number}: {reason}"))).ok()
    }

    fn add(&self, page: &mut Page) {
        page.single("node_processes_pids", "Processes.", Kind::Gauge, self.processes as f64);
        page.single("node_processes_threads", "Threads of all processes.", Kind::Gauge, self.threads as f64);
        let help = "Processes by state: R runs, S sleeps, D sleeps and cannot be woken, Z is a zombie.";
        by_state(page, ("node_processes_state", help, "state"), &self.process_states);
        let help = "Threads by state: R runs, S sleeps, D sleeps and cannot be woken, Z is a zombie.";
        by_state(page, ("node_processes_threads_state", help, "thread_state"), &self.thread_states);
    }
}

fn by_state(page: &mut Page, (name, help, label): (&'static str, &'static str, &str), states: &BTreeMap<char, u64>) {
    let family = page.family(name, help, Kind::Gauge);
    for (state, count) in states {
        page.sample(family, &[(label, state.encode_utf8(&mut [0; 4]))], *count as f64);
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Hands over the names in a directory that are numbers. One that is gone meanwhile had none left.
fn each_number(directory: &OwnedFd, mut take: impl FnMut(&str) -> Result<(), Errno>) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::NOENT | Errno::SRCH) => break,
            Err(errno) => return Err(errno),
        };
        let name = entry.file_name().to_bytes();
        if scan::number(name).is_some()
            && let Some(name) = scan::text(name)
        {
            take(name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[track_caller]
    fn walk(directory: &std::path::Path, left: Duration) -> std::io::Result<Count> {
        let mut count = Count::default();
        count.walk(directory, Instant::now() + left).map(|()| count)
    }

    fn task(directory: &std::path::Path, path: &str, state: char, threads: u64) {
        let path = directory.join(path);
        std::fs::create_dir_all(&path).unwrap();
        let text = format!("1 (a b) {state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 1");
        std::fs::write(path.join("stat"), text).unwrap();
    }

    #[test]
    fn this_process_with_its_threads() {
        let others: Vec<_> =
            (0..3).map(|_| std::thread::spawn(|| std::thread::park_timeout(Duration::from_secs(30)))).collect();
        let count = walk(std::path::Path::new("/proc"), Duration::from_secs(30)).unwrap();
        others.iter().for_each(|thread| thread.thread().unpark());
        assert!(count.processes >= 1 && count.threads >= count.processes + 3);
        assert!(count.thread_states.values().sum::<u64>() >= count.processes + 3);
        assert_eq!(count.process_states.values().sum::<u64>(), count.processes);
    }

    #[test]
    fn a_walk_that_is_late_is_an_error() {
        let error = walk(std::path::Path::new("/proc"), NOW).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(Errno::TIMEDOUT.raw_os_error()));
    }

    #[test]
    fn what_ends_or_cannot_be_read_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        task(directory.path(), "10", 'S', 3);
        task(directory.path(), "10/task/10", 'Z', 3);
        task(directory.path(), "10/task/11", 'R', 3);
        task(directory.path(), "12", 'R', 1);
        task(directory.path(), "self", 'R', 1);
        std::fs::create_dir_all(directory.path().join("10/task/13")).unwrap();
        std::fs::create_dir_all(directory.path().join("14")).unwrap();
        std::fs::create_dir_all(directory.path().join("15/stat")).unwrap();
        let count = walk(directory.path(), Duration::from_secs(30)).unwrap();
        assert_eq!((count.processes, count.threads), (2, 4));
        assert_eq!(count.process_states, BTreeMap::from([('R', 1), ('S', 1)]));
        assert_eq!(count.thread_states, BTreeMap::from([('R', 2), ('S', 1)]));
        assert!(count.unreadable.unwrap().starts_with("15: "));
    }
}
