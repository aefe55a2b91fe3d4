//! What the tests on real parts share: processes that die with the test, free ports, and HTTP without ceremony.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod stack;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The collector under test.
pub fn collector_binary() -> PathBuf {
    env!("CARGO_BIN_EXE_atalaia-collector").into()
}

/// The agent, built beside the collector.
pub fn agent_binary() -> PathBuf {
    let path = collector_binary().with_file_name("atalaia-agent");
    assert!(path.exists(), "{} is missing: cargo build -p atalaia-agent", path.display());
    path
}

/// A program of the machine, or a failure that says how to get it.
pub fn program(name: &str) -> PathBuf {
    let found = std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .chain(["/usr/sbin", "/usr/bin"])
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: make setup-test"))
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that is killed when the test lets go of it, with its standard error gathered.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    name: String,
}

impl Process {
    /// Starts a program.
    pub fn start(program: impl AsRef<Path>, args: &[&str]) -> Self {
        let program = program.as_ref();
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", program.display()));
        let log = Arc::new(Mutex::new(String::new()));
        let (sink, pipe) = (Arc::clone(&log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log, name: program.file_name().unwrap().to_string_lossy().into_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for something in its log.
    pub fn await_log<T>(&mut self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = find(&self.log()) {
                return found;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status} before {what}:\n{}", self.name, self.log());
            }
            assert!(Instant::now() < deadline, "{}: no {what} in 30 s:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The addresses it says it listens on, in order, once there are `count`.
    pub fn await_addresses(&mut self, count: usize) -> Vec<String> {
        self.await_log("listening address", |log| {
            let found: Vec<String> = log
                .lines()
                .filter(|line| line.contains("listening"))
                .filter_map(|line| line.split("address=").nth(1))
                .map(|rest| rest.split([' ', '"']).next().unwrap().to_owned())
                .collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, then up to 20 s.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let status = Command::new("kill").arg(self.pid().to_string()).status().unwrap();
        assert!(status.success());
        self.await_exit()
    }

    /// Waits for its end, up to 20 s.
    pub fn await_exit(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} did not end in 20 s:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("--- last lines of {}:", self.name);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// Tries until `attempt` gives something; fails with `what` after `seconds`.
#[track_caller]
pub fn eventually<T>(seconds: u64, what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match attempt() {
            Ok(found) => return found,
            Err(reason) if Instant::now() >= deadline => panic!("{what}: not within {seconds} s; {reason}"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// A request over a connection of its own; gives status and body. `Err` when the peer cannot be reached.
pub fn request(method: &str, address: &str, path: &str, form: &str) -> Result<(u16, String), String> {
    let mut stream = TcpStream::connect(address).map_err(|e| format!("{address}: {e}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(form.as_bytes())).map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|e| e.to_string())?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of headers")?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or("no status")?;
    Ok((status, body.to_owned()))
}

/// `GET`, expecting 200.
pub fn get(address: &str, path: &str) -> Result<String, String> {
    match request("GET", address, path, "")? {
        (200, body) => Ok(body),
        (status, body) => Err(format!("{status}: {body}")),
    }
}

/// A form of one field after another.
pub fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// An instant query; gives `data.result`.
pub fn prom_query(address: &str, query: &str) -> Result<Vec<Value>, String> {
    let (status, body) = request("POST", address, "/api/v1/query", &form(&[("query", query)]))?;
    let answer: Value = serde_json::from_str(&body).map_err(|e| format!("{status}: {e}: {body}"))?;
    if answer["status"] != "success" {
        return Err(body);
    }
    Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
}

/// A real InfluxDB 1.x with a database `prometheus`, in a folder of its own.
pub struct Influx {
    dir: tempfile::TempDir,
    process: Option<Process>,
    /// Where its HTTP API listens.
    pub address: String,
}

impl Influx {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let template = std::fs::read_to_string(root().join("provisioning/local/influxdb.conf.template")).unwrap();
        let config = template.replace("@DIR@", dir.path().to_str().unwrap()).replace("@ADDRESS@", &address);
        std::fs::write(dir.path().join("influxdb.conf"), config).unwrap();
        let mut influx = Self { dir, process: None, address };
        influx.resume();
        influx
    }

    /// Stops it, keeping its data.
    pub fn pause(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
        }
    }

    /// Starts it again on the same port, with the same data.
    pub fn resume(&mut self) {
        let config = self.dir.path().join("influxdb.conf");
        let process = Process::start(program("influxd"), &["-config", config.to_str().unwrap()]);
        self.process = Some(process);
        eventually(30, "InfluxDB answers", || {
            let q = form(&[("q", "CREATE DATABASE prometheus")]);
            match request("POST", &self.address, "/query", &q)? {
                (200, _) => Ok(()),
                (status, body) => Err(format!("{status}: {body}")),
            }
        });
    }

    /// Runs a query; gives `results[0].series`.
    pub fn query(&self, q: &str) -> Result<Vec<Value>, String> {
        let path = format!("/query?{}", form(&[("db", "prometheus"), ("epoch", "ms"), ("q", q)]));
        let answer: Value = serde_json::from_str(&get(&self.address, &path)?).map_err(|e| e.to_string())?;
        match answer["results"][0].get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["results"][0]["series"].as_array().cloned().unwrap_or_default()),
        }
    }

    /// The names of all measurements, sorted.
    pub fn measurements(&self) -> Vec<String> {
        let series = self.query("SHOW MEASUREMENTS").unwrap_or_default();
        let rows = series.first().and_then(|s| s["values"].as_array().cloned()).unwrap_or_default();
        rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
    }

    /// Every point of a measurement, as (time in ms, value), in time order, all series together.
    pub fn points(&self, measurement: &str) -> Vec<(i64, f64)> {
        let series = self.query(&format!("SELECT value FROM \"{measurement}\"")).unwrap_or_default();
        let rows = series.first().and_then(|s| s["values"].as_array().cloned()).unwrap_or_default();
        rows.iter().map(|row| (row[0].as_i64().unwrap(), row[1].as_f64().unwrap())).collect()
    }
}
