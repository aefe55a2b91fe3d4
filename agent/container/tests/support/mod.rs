//! What the tests of this crate share: reading a page, waiting, and trees of kernel files.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use agent_container::{Config, Containers};
use agent_exposition::Page;
use agent_procfs::Root;

pub mod engine;

/// One scrape, as text.
pub fn scrape(containers: &Containers) -> String {
    let mut page = Page::new();
    containers.collect(&mut page);
    let mut text = String::new();
    page.write_text(&mut text);
    text
}

/// The samples of a family whose line holds all of the given pieces, such as `name="web"`.
pub fn values(page: &str, family: &str, pieces: &[&str]) -> Vec<f64> {
    page.lines()
        .filter(|line| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| pieces.iter().all(|piece| line.contains(piece)))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

/// The sum of [`values`], or nothing if there are none.
pub fn sum(page: &str, family: &str, pieces: &[&str]) -> Option<f64> {
    let values = values(page, family, pieces);
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Tries until it gives something, for at most a minute.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An archive of a root folder with Debian's static busybox and links to it.
pub fn busybox_tar() -> Vec<u8> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("busybox is missing: run `make setup`");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::copy(busybox, folder.path().join("bin/busybox")).unwrap();
    for applet in ["sh", "sleep", "dd", "ping", "cat", "sync", "nc"] {
        std::os::unix::fs::symlink("busybox", folder.path().join("bin").join(applet)).unwrap();
    }
    let tar = Command::new("tar").arg("-C").arg(folder.path()).args(["-c", "."]).output().unwrap();
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    tar.stdout
}

/// Runs a command with this as its input; gives what it wrote.
#[track_caller]
pub fn run_with_input(command: &mut Command, input: &[u8]) -> String {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    run(command.stdin(file))
}

/// Runs a command that must succeed; gives what it wrote.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run `make setup`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A program that runs until this is dropped, told to end and waited for.
pub struct Daemon(Child);

impl Daemon {
    /// Starts it; what it writes goes to a file.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}: run `make setup`")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A machine of files in a temporary folder.
pub struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// An empty one.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// From `tests/fixtures/NAME.tree`: `# file PATH` and its lines, `# link PATH TARGET`, `# folder PATH`. All
    /// folders were changed at the time given.
    pub fn from_fixture(name: &str, changed: SystemTime) -> Self {
        let machine = Self::new();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.tree"));
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut current = None;
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["#", "file", path] => {
                    files.insert(path, String::new());
                    current = Some(*path);
                }
                ["#", "link", path, target] => machine.link(path, target),
                ["#", "folder", path] => fs::create_dir_all(machine.path(path)).unwrap(),
                ["#", ..] => {}
                _ => {
                    let content = files.get_mut(current.expect("a line before the first file")).unwrap();
                    content.push_str(line);
                    content.push('\n');
                }
            }
        }
        for (path, content) in files {
            machine.write(path, &content);
        }
        set_times(machine.folder.path(), changed);
        machine
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// A container's cgroup of version 2 with a little CPU time and memory.
    pub fn add_container(&self, id: &str) {
        self.add_cgroup(&format!("docker/{id}"));
    }

    /// As [`add_container`](Self::add_container), anywhere.
    pub fn add_cgroup(&self, path: &str) {
        let folder = format!("sys/fs/cgroup/{path}");
        self.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        self.write(&format!("{folder}/cpu.stat"), "usage_usec 1500000\n");
        self.write(&format!("{folder}/memory.stat"), "anon 4096\nfile 8192\ninactive_file 1024\n");
        self.write(&format!("{folder}/memory.current"), "16384\n");
    }

    /// A configuration that watches this machine and no engine.
    pub fn config(&self) -> Config {
        let root = Root {
            procfs: self.path("proc"),
            sysfs: self.path("sys"),
            rootfs: self.path("rootfs"),
            udev_data: self.path("udev"),
        };
        Config { root, version: "0.0.0-test".to_owned(), ..no_runtimes() }
    }
}

/// A configuration that watches this machine and asks no runtime.
pub fn no_runtimes() -> Config {
    Config { docker: None, podman: None, containerd: None, crio: None, ..Config::default() }
}

fn set_times(folder: &Path, time: SystemTime) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            set_times(&entry.path(), time);
        }
    }
    fs::File::open(folder).unwrap().set_modified(time).unwrap();
}
