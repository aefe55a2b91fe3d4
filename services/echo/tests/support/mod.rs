//! An echo server that runs, and peers of it.

#![allow(dead_code, reason = "each test file uses its part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use provisioning_parts::Service;

/// What the server says before what it has received.
pub const RECEIVED: &str = "Your Message has been received: ";

pub struct Server {
    pub service: Service,
    /// `HOST:PORT` for lines.
    pub lines: String,
}

impl Server {
    #[track_caller]
    pub fn start(env: &[(&str, &str)]) -> Self {
        let env = [&[("SERVER_PORT", "0")], env].concat();
        let mut service = Service::start(env!("CARGO_BIN_EXE_echo-server"), env);
        let lines = service.process().await_output("the address for lines", |output| {
            let found = output.lines().find_map(|line| line.split("Serving lines on ").nth(1));
            found.map(|rest| rest.split(',').next().unwrap().to_owned())
        });
        Self { service, lines }
    }

    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::connect(&self.lines)
    }

    /// The log so far, without the times.
    #[track_caller]
    pub fn log(&mut self) -> Vec<String> {
        let output = self.service.process().output();
        output.lines().map(without_time).collect()
    }

    /// Waits until a line of the log ends like this.
    #[track_caller]
    pub fn await_log(&mut self, end: &str) {
        let find = |output: &str| output.lines().any(|line| line.ends_with(end)).then_some(());
        self.service.process().await_output(end, find);
    }

    /// How many connections ended for this reason.
    #[track_caller]
    pub fn ended(&self, reason: &str) -> f64 {
        let series = format!("echo_connections_ended_total{{reason=\"{reason}\"");
        self.service.metric(&series).expect("all reasons are known from the start")
    }
}

/// A line of the server's log, whose time is one, without it.
#[track_caller]
pub fn without_time(line: &str) -> String {
    let (time, rest) = line.split_at(20);
    let digits_gone: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(digits_gone, "0000-00-00 00:00:00 ", "{line}");
    rest.to_owned()
}

/// A connection to a server.
pub struct Peer(BufReader<TcpStream>);

impl Peer {
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// As the server's log names it.
    pub fn name(&self) -> String {
        let address = self.stream().local_addr().unwrap();
        format!("('{}', {})", address.ip(), address.port())
    }

    #[track_caller]
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// One line of the server's, with its end; empty at the end of all.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Ends its own side.
    pub fn end(&self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// All that comes until the server closes, or resets, the connection.
    pub fn hear_all(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => String::from_utf8(bytes).unwrap(),
        }
    }
}

/// Runs a program with this input; gives what it printed.
#[track_caller]
pub fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    output.stdout
}
