//! PostgreSQL.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::machine::{eventually, free_port, program};
use crate::process::{Process, Start};

/// The superuser of the cluster.
const USER: &str = "postgres";
/// Its password, which every connection over TCP must give.
const PASSWORD: &str = "a-tests-own";

/// A real PostgreSQL on loopback, in a folder of its own, with SCRAM passwords; database and user `postgres`.
pub struct Postgres {
    // In this order: it ends before its folder goes.
    process: Process,
    dir: tempfile::TempDir,
    /// Its port, the same after each restart.
    pub port: u16,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        init(dir.path());
        let process = spawn(dir.path(), port);
        let postgres = Self { dir, process, port };
        postgres.await_answer();
        postgres
    }

    /// `DATABASE_URL` for it.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// The same in pieces: `POSTGRES_HOST`, `POSTGRES_PORT`, `POSTGRES_USER`, `POSTGRES_PASSWORD`, `POSTGRES_DB`.
    pub fn env(&self) -> Vec<(String, String)> {
        let port = self.port.to_string();
        let pieces =
            [("HOST", "127.0.0.1"), ("PORT", &port), ("USER", USER), ("PASSWORD", PASSWORD), ("DB", "postgres")];
        pieces.into_iter().map(|(key, value)| (format!("POSTGRES_{key}"), value.to_owned())).collect()
    }

    /// Runs SQL by psql; gives the rows, each column as text and NULL as nothing. Panics on an error.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// Runs SQL; `Err` when PostgreSQL is away, does not answer in 20 s, or answers an error.
    pub fn try_query(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let output = Command::new("timeout")
            .arg("20")
            .arg(tool("psql"))
            .args(["-X", "-q", "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-v", "ON_ERROR_STOP=1", "-c", sql, &self.url()])
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let rows = text.split('\x1e').filter(|row| !row.is_empty());
        Ok(rows.map(|row| row.split('\x1f').map(str::to_owned).collect()).collect())
    }

    /// The process, for its log and its pid.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// kill -9 of all its processes at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// The quick orderly end (SIGINT): sessions are cut off, everything is written.
    pub fn terminate(&mut self) {
        self.process.signal(Signal::INT);
        self.process.await_exit();
    }

    /// Starts it (again) on the same port with the same data; kills it before, if it still runs.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.dir.path(), self.port);
        self.await_answer();
    }

    /// SIGSTOP to all its processes: it hangs, and its connections stay open.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// SIGCONT: it goes on.
    pub fn cont(&self) {
        self.process.cont();
    }

    fn await_answer(&self) {
        eventually(30, "PostgreSQL answers", || self.try_query("SELECT 1"));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An immediate end gives its shared memory back, which kill -9 would leave behind.
        if self.process.exit_status().is_none() {
            self.process.cont();
            self.process.signal(Signal::QUIT);
            let deadline = Instant::now() + Duration::from_secs(5);
            while self.process.exit_status().is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// A program of PostgreSQL's newest version here: Debian keeps the server's own outside the search path.
fn tool(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let path = newest.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}")));
    path.filter(|path| path.exists()).unwrap_or_else(|| program(name))
}

/// Whom the server runs as: it refuses root. Nothing to change where the test is not root.
fn server_user(folder: &Path) -> Option<(u32, u32)> {
    let ours = folder.metadata().unwrap().uid();
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let fields: Vec<&str> = users.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f[0] == name)?;
        Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    };
    (ours == 0).then(|| ids("postgres").or_else(|| ids("nobody")).expect("there is a user nobody"))
}

fn as_server(folder: &Path, name: &str) -> Start {
    let start = Start::new(tool(name)).folder(folder).env("LC_ALL", "C.UTF-8");
    match server_user(folder) {
        Some((uid, gid)) => start.user(uid, gid),
        None => start,
    }
}

fn init(folder: &Path) {
    let passwords = folder.join("password");
    std::fs::write(&passwords, PASSWORD).unwrap();
    // The folder itself stays ours, so that the user of the server is found anew at each start.
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    if let Some((uid, gid)) = server_user(folder) {
        chown(&passwords, Some(uid), Some(gid)).unwrap();
        chown(&data, Some(uid), Some(gid)).unwrap();
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut initdb = as_server(folder, "initdb")
        .args(["--no-sync", "--encoding=UTF8", "--username", USER, "--auth=scram-sha-256", "--pwfile", "password"])
        .args(["--pgdata", "data"])
        .spawn();
    let status = initdb.await_exit();
    assert!(status.success(), "initdb: {}{}", initdb.output(), initdb.log());
}

fn spawn(folder: &Path, port: u16) -> Process {
    as_server(folder, "postgres")
        .args(["-D", "data", "-h", "127.0.0.1", "-k", "", "-p", &port.to_string()])
        .args(["-c", "max_connections=50", "-c", "shared_buffers=16MB"])
        .spawn()
}
