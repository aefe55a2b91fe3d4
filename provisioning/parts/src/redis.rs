//! Redis.

use std::process::Command;

use crate::machine::{eventually, free_port, program};
use crate::process::{Process, Start};

/// A real Redis on loopback, in a folder of its own.
pub struct Redis {
    // In this order: it ends before its folder goes.
    process: Process,
    dir: tempfile::TempDir,
    durable: bool,
    /// Its port, the same after each restart.
    pub port: u16,
}

impl Redis {
    /// Starts one that forgets everything when it ends.
    pub fn start() -> Self {
        Self::with(false)
    }

    /// Starts one that has each write on its disk before it answers (append-only file, fsync always).
    pub fn durable() -> Self {
        Self::with(true)
    }

    fn with(durable: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = spawn(&dir, port, durable);
        let redis = Self { dir, process, durable, port };
        redis.await_answer();
        redis
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `REDIS_HOST` and `REDIS_PORT`, as the services take them.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![("REDIS_HOST".to_owned(), "127.0.0.1".to_owned()), ("REDIS_PORT".to_owned(), self.port.to_string())]
    }

    /// Runs a command by redis-cli; gives its answer as plain text, a list one element a line. Panics on an error.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap_or_else(|e| panic!("redis {words:?}: {e}"))
    }

    /// Runs a command; `Err` when Redis is away, does not answer in 5 s, or answers an error.
    pub fn try_command(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new("timeout")
            .arg("5")
            .arg(program("redis-cli"))
            .args(["-e", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("{} {}{}", output.status, text(&output.stdout), text(&output.stderr))),
        }
    }

    /// The process, for its log and its pid.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM: it saves what it should, and ends.
    pub fn terminate(&mut self) {
        self.process.terminate();
    }

    /// Starts it (again) on the same port with the same data; kills it before, if it still runs.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(&self.dir, self.port, self.durable);
        self.await_answer();
    }

    /// SIGSTOP: it hangs, and its connections stay open.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// SIGCONT: it goes on.
    pub fn cont(&self) {
        self.process.cont();
    }

    fn await_answer(&self) {
        eventually(20, "Redis answers", || match self.try_command(&["PING"])?.as_str() {
            "PONG" => Ok(()),
            other => Err(other.to_owned()),
        });
    }
}

fn spawn(dir: &tempfile::TempDir, port: u16, durable: bool) -> Process {
    let appendonly = if durable { "yes" } else { "no" };
    Start::new(program("redis-server"))
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--daemonize", "no"])
        .args(["--appendonly", appendonly, "--appendfsync", "always"])
        .folder(dir.path())
        .spawn()
}
