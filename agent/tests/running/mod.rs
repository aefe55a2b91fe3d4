//! The real binary, started on ports of its own, and a client for it.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agent_exposition::{Event, Format, Parser};
use provisioning_parts::{Answer, Process, send};

/// How long anything may take that is not meant to take long.
pub const SOON: Duration = Duration::from_secs(20);

/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_atalaia-agent");

/// A running agent. It is killed when dropped.
pub struct Agent {
    pub process: Process,
    /// `HOST:PORT` of the node page.
    pub address: String,
    /// `HOST:PORT` of the container page, where it has one of its own.
    pub containers: Option<String>,
}

/// The binary with flags, for runs that end by themselves.
pub fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(flags);
    command
}

impl Agent {
    /// Starts it on loopback with further flags, and waits until it listens. Without Docker: what other tests do to
    /// containers is not this test's affair.
    pub fn start(flags: &[&str]) -> Self {
        let apart = flags.iter().any(|flag| flag.contains("container-listen-address"));
        let flags =
            [&["--web.listen-address=127.0.0.1:0", "--docker=", "--podman=", "--containerd=", "--crio="], flags]
                .concat();
        let mut process = Process::start(BINARY, &flags);
        let mut addresses = process.await_addresses(1 + usize::from(apart)).into_iter();
        let address = addresses.next().expect("there is one");
        Self { process, address, containers: addresses.next() }
    }

    /// Waits for a line of the log with this text.
    pub fn log_line(&mut self, text: &str) -> String {
        self.process.await_log(text, |log| log.lines().find(|line| line.contains(text)).map(str::to_owned))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        request(&self.address, "GET", path, headers)
    }
}

/// One request on a connection of its own.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(method, address, path, headers, b"").expect("the agent answers")
}

/// The samples of a page: series as written, and value.
pub fn samples(format: Format, page: &[u8]) -> Vec<(String, f64)> {
    let event = |event: Event<'_>| match event {
        Event::Sample(sample) => Some((sample.series.to_owned(), sample.value)),
        _ => None,
    };
    Parser::new(format, page).filter_map(|line| event(line.expect("the page is valid"))).collect()
}

/// The value of a series on a page in the text format.
pub fn value(page: &str, series: &str) -> Option<f64> {
    samples(Format::Text004, page.as_bytes()).into_iter().find(|(s, _)| s == series).map(|(_, value)| value)
}

/// The kernel's files that are asked of the fixture tree, copied from this machine.
pub fn copy_proc(to: &Path, files: &[&str]) {
    for file in files {
        let target = to.join(file);
        std::fs::create_dir_all(target.parent().expect("it has a parent")).expect("a folder can be made");
        let content = std::fs::read(Path::new("/proc").join(file)).expect("the machine has the file");
        std::fs::write(target, content).expect("a file can be written");
    }
}
