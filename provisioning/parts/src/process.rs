//! Processes that die with the test that started them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::tree;

/// A process to be: `Start::new(program).args(["…"]).env("KEY", "value").spawn()`.
pub struct Start(Command);

impl Start {
    /// Of this program, in this test's environment and folder, with nothing on standard input.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self(command)
    }

    /// Further arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    /// One variable of its environment.
    #[must_use]
    pub fn env(self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs([(key, value)])
    }

    /// Variables of its environment.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self {
        self.0.envs(variables);
        self
    }

    /// Gives it nothing of this test's environment but the search path.
    #[must_use]
    pub fn clean_environment(mut self) -> Self {
        self.0.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        self
    }

    /// The folder that it runs in.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// The user and group that it runs as; only root can choose.
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.0.uid(uid).gid(gid);
        self
    }

    /// Lets the test write to its standard input with [`Process::say`].
    #[must_use]
    pub fn with_input(mut self) -> Self {
        self.0.stdin(Stdio::piped());
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(mut self) -> Process {
        let name = Path::new(self.0.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut child = self
            .0
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", self.0.get_program().display()));
        let output = Gathered::from(child.stdout.take().unwrap());
        let log = Gathered::from(child.stderr.take().unwrap());
        Process { input: child.stdin.take(), child, output, log, name }
    }
}

/// What a process writes, gathered by a thread.
struct Gathered {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Gathered {
    fn from(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            // Whole lines only, so that nobody searches half of one.
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                sink.lock().unwrap().append(&mut line);
            }
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Waits until all of an ended process's writing is here; not for ever, as another may have inherited the pipe.
    fn finish(&self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A process that is killed, with all that it started, when the test lets go of it. What it writes is gathered, and
/// its last lines are shown when the test fails.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Gathered,
    log: Gathered,
    name: String,
}

impl Process {
    /// Starts a program; [`Start`] can do more.
    #[track_caller]
    pub fn start(program: impl AsRef<Path>, args: &[&str]) -> Self {
        Start::new(program.as_ref()).args(args).spawn()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Everything it wrote to standard output so far.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Waits up to 30 s for something in its log.
    #[track_caller]
    pub fn await_log<T>(&mut self, what: &str, find: impl FnMut(&str) -> Option<T>) -> T {
        self.await_text(what, Self::log, find)
    }

    /// Waits up to 30 s for something on its standard output.
    #[track_caller]
    pub fn await_output<T>(&mut self, what: &str, find: impl FnMut(&str) -> Option<T>) -> T {
        self.await_text(what, Self::output, find)
    }

    #[track_caller]
    fn await_text<T>(&mut self, what: &str, text: fn(&Self) -> String, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let ended = self.exit_status();
            if let Some(found) = find(&text(self)) {
                return found;
            }
            if let Some(status) = ended {
                panic!("{} ended with {status} before {what}:\n{}{}", self.name, self.output(), self.log());
            }
            assert!(Instant::now() < deadline, "{}: no {what} in 30 s:\n{}{}", self.name, self.output(), self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The addresses it says it listens on (`listening … address=HOST:PORT`), in order, once there are `count`.
    #[track_caller]
    pub fn await_addresses(&mut self, count: usize) -> Vec<String> {
        let find = |text: &str| {
            let found: Vec<String> = text
                .lines()
                .filter(|line| line.contains("listening"))
                .filter_map(|line| line.split("address=").nth(1))
                .map(|rest| rest.trim_start_matches('"').split([' ', '"']).next().unwrap().to_owned())
                .collect();
            (found.len() >= count).then_some(found)
        };
        self.await_text("listening address", |process| process.output() + &process.log(), find)
    }

    /// Writes to its standard input, which it must have been started with.
    #[track_caller]
    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("started without with_input, or closed");
        input.write_all(text.as_ref()).and_then(|()| input.flush()).unwrap();
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        tree::signal(&[i32::try_from(self.pid()).unwrap()], signal);
    }

    /// SIGSTOP to it and all that it started: it hangs, its connections stay open.
    pub fn stop(&self) {
        // Twice, for those who were born while the first were stopped.
        for _ in 0..2 {
            tree::signal(&tree::family(self.pid()), Signal::STOP);
        }
    }

    /// SIGCONT: it goes on.
    pub fn cont(&self) {
        tree::signal(&tree::family(self.pid()), Signal::CONT);
    }

    /// kill -9 of it and of all that it started.
    pub fn kill(&mut self) {
        if self.exit_status().is_none() {
            tree::kill(self.pid());
            self.child.wait().unwrap();
        }
    }

    /// SIGTERM, then up to 20 s.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.await_exit()
    }

    /// How it ended, if it has; all that it wrote can be read then.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap()?;
        self.output.finish();
        self.log.finish();
        Some(status)
    }

    /// Waits for its end, up to 20 s.
    #[track_caller]
    pub fn await_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.exit_status() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} did not end in 20 s:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = self.output() + &self.log();
            let tail: Vec<&str> = text.lines().rev().take(30).collect();
            eprintln!("--- last lines of {}:", self.name);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}
