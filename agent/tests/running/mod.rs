//! The real binary, started on ports of its own, and a client for it.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use agent_exposition::{Event, Format, Parser};

/// How long anything may take that is not meant to take long.
pub const SOON: Duration = Duration::from_secs(20);

/// A running agent. It is killed when dropped.
pub struct Agent {
    pub process: Child,
    /// `HOST:PORT` of the node page.
    pub address: String,
    /// `HOST:PORT` of the container page, where it has one of its own.
    pub containers: Option<String>,
    log: BufReader<ChildStderr>,
}

/// The binary with flags and no Docker: what other tests do to containers is not this test's affair.
pub fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atalaia-agent"));
    command.args(flags);
    command
}

impl Agent {
    /// Starts it on loopback with further flags, and waits until it listens.
    pub fn start(flags: &[&str]) -> Self {
        let apart = flags.iter().any(|flag| flag.contains("container-listen-address"));
        let mut process = command(&["--web.listen-address=127.0.0.1:0", "--docker="])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the agent starts");
        let log = BufReader::new(process.stderr.take().expect("its log is a pipe"));
        let mut agent = Self { process, address: String::new(), containers: None, log };
        let wanted = 1 + usize::from(apart);
        for _ in 0..wanted {
            let line = agent.log_line("msg=\"listening\"");
            let word =
                |key: &str| line.split(key).nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
            let address = word("address=").expect("the line has an address");
            match word("role=").as_deref() {
                Some("containers") => agent.containers = Some(address),
                _ => agent.address = address,
            }
        }
        agent
    }

    /// Reads the log up to a line with this text.
    pub fn log_line(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).expect("the log is text");
            assert!(read > 0, "the log ended without {text:?}:\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    /// The rest of the log, once the process has ended.
    pub fn rest_of_log(&mut self) -> String {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("the log is text");
        rest
    }

    pub fn get(&self, path: &str) -> Answer {
        request(&self.address, "GET", path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        request(&self.address, "GET", path, headers)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).expect("the process is there");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// One request on a connection of its own.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the agent listens");
    stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    stream.write_all(text.as_bytes()).expect("the agent reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the agent answers in time");
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the answer has a head");
    let head = String::from_utf8(answer[..split].to_vec()).expect("the head is text");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("the head has a status");
    Answer { status, head, body: answer[split + 4..].to_vec() }
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
