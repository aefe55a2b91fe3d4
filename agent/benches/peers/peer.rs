//! A program that is measured.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Form};

/// How often it is asked in each form: so many turns, each of so many scrapes.
#[derive(Clone, Copy)]
pub struct Effort {
    pub turns: usize,
    pub scrapes: usize,
}

/// A turn ends here, whatever is left of it: some peers are slow.
const LONGEST_TURN: Duration = Duration::from_millis(500);
const WARM_UP: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);
/// The agent gives back what its start left behind after ten seconds.
const START: Duration = Duration::from_secs(12);

/// A program with its flags, and the column that its figures stand in.
pub struct Peer {
    pub column: &'static str,
    pub program: PathBuf,
    pub flags: &'static [&'static str],
}

/// What was measured of a peer.
#[derive(Debug, Default)]
pub struct Figures {
    pub column: String,
    /// By the forms' order.
    pub forms: [FormFigures; Form::ALL.len()],
    pub resident_kib: u64,
    /// Of one processor, unasked.
    pub idle: Option<f64>,
}

/// What one form of the page took.
#[derive(Debug, Default)]
pub struct FormFigures {
    /// CPU time of a scrape in the turn in which it was the least, milliseconds.
    pub cpu_ms: Option<f64>,
    /// All scrapes, milliseconds.
    pub wall_ms: Vec<f64>,
    pub bytes: usize,
}

impl Peer {
    pub fn is_there(&self) -> bool {
        self.command().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    }

    /// It does not outlive this process, even if that is killed.
    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
        command
    }

    pub fn start(&self) -> Running {
        let mut process = self.command().args(self.flags).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let port = self.flags.iter().find_map(|flag| flag.strip_prefix("-port="));
        let (address, log) = match port {
            Some(port) => (Some(format!("127.0.0.1:{port}")), log),
            None => self.address(log),
        };
        // A full pipe would stop it.
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(drop));
        let mut running = Running { process, started: Instant::now(), connection: None, figures: Figures::default() };
        running.figures.column = self.column.to_owned();
        let address = address.unwrap_or_else(|| panic!("{} did not say where it listens", self.program.display()));
        running.await_answer(&address);
        running.connection = Some(Connection::open(&address));
        running
    }

    fn address(
        &self,
        mut log: BufReader<std::process::ChildStderr>,
    ) -> (Option<String>, BufReader<std::process::ChildStderr>) {
        let mut line = String::new();
        while log.read_line(&mut line).is_ok_and(|read| read > 0) {
            let address = line.split_once("address=127.0.0.1:").filter(|_| line.to_lowercase().contains("listening"));
            if let Some((_, rest)) = address {
                let port = rest.split_ascii_whitespace().next().unwrap_or_default();
                return (Some(format!("127.0.0.1:{port}")), log);
            }
            line.clear();
        }
        (None, log)
    }
}

/// A peer that listens. It is killed when dropped.
pub struct Running {
    process: Child,
    started: Instant,
    connection: Option<Connection>,
    pub figures: Figures,
}

impl Running {
    fn await_answer(&self, address: &str) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nobody listens at {address}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn warm_up(&mut self, form: Form) {
        for _ in 0..WARM_UP {
            self.scrape(form);
        }
    }

    fn scrape(&mut self, form: Form) -> usize {
        self.connection.as_mut().unwrap().scrape(form)
    }

    pub fn take_turn(&mut self, form: Form, scrapes: usize) {
        let (began, before) = (Instant::now(), self.cpu());
        let mut done = 0;
        let mut wall_ms = Vec::with_capacity(scrapes);
        while done < scrapes && began.elapsed() < LONGEST_TURN {
            let asked = Instant::now();
            let bytes = self.scrape(form);
            wall_ms.push(ms(asked.elapsed()));
            self.figures.forms[form as usize].bytes = bytes;
            done += 1;
        }
        let cpu_ms = ms(self.cpu() - before) / done as f64;
        let figures = &mut self.figures.forms[form as usize];
        figures.wall_ms.append(&mut wall_ms);
        figures.cpu_ms = Some(figures.cpu_ms.map_or(cpu_ms, |least| least.min(cpu_ms)));
    }

    /// Of all its threads. None of theirs ends within minutes.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().flatten();
        let nanoseconds = tasks
            .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok());
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Ends it, and gives its figures with the memory that it has after some more scrapes of every form.
    pub fn stop(mut self) -> Figures {
        std::thread::sleep(START.saturating_sub(self.started.elapsed()));
        for form in Form::ALL {
            self.warm_up(form);
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        self.figures.resident_kib = line.trim().trim_end_matches(" kB").parse().unwrap();
        std::mem::take(&mut self.figures)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
