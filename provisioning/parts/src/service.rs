//! One of our services, as its binary.

use std::path::{Path, PathBuf};

use crate::http::{self, Answer};
use crate::machine::eventually;
use crate::process::{Process, Start};

/// A running service. It sees only the environment that it is given, and listens on loopback, on a port that the
/// kernel chose.
pub struct Service {
    program: PathBuf,
    env: Vec<(String, String)>,
    process: Process,
    /// `HOST:PORT` of its HTTP listener, the same after each restart.
    pub address: String,
}

impl Service {
    /// Starts a binary (`env!("CARGO_BIN_EXE_…")`) and waits until `/healthz` answers. What is said of
    /// `BIND_ADDRESS`, `BIND_PORT` and `LOG_FORMAT` goes before the defaults of tests.
    #[track_caller]
    pub fn start<K: ToString, V: ToString>(program: impl AsRef<Path>, env: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut all = vec![
            ("BIND_ADDRESS".to_owned(), "127.0.0.1".to_owned()),
            ("BIND_PORT".to_owned(), "0".to_owned()),
            ("LOG_FORMAT".to_owned(), "text".to_owned()),
        ];
        all.extend(env.into_iter().map(|(key, value)| (key.to_string(), value.to_string())));
        let program = program.as_ref().to_owned();
        let (process, address) = spawn(&program, &all);
        Self { program, env: all, process, address }
    }

    /// An URL of it: `url("/healthz")`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `GET`, whatever the status. `Err` when it cannot be reached.
    pub fn try_get(&self, path: &str) -> Result<Answer, String> {
        http::send("GET", &self.address, path, &[], b"")
    }

    /// `GET`, whatever the status.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    /// The sum of all series on its `/metrics` page that begin like this: a name, or `name{label="value"` as written
    /// there. Nothing if there are none.
    #[track_caller]
    pub fn metric(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics");
        assert_eq!(page.status, 200, "/metrics: {}", page.text());
        let lines = page.text().lines().filter_map(|line| line.strip_prefix(series)?.rsplit_once(' '));
        let values = lines.filter(|(rest, _)| rest.is_empty() || series.contains('{') || rest.starts_with('{'));
        values.map(|(_, value)| value.parse::<f64>().unwrap()).reduce(|a, b| a + b)
    }

    /// Waits until `/readyz` says that all it depends on has been reached: a service listens before that.
    #[track_caller]
    pub fn await_ready(&self) {
        eventually(20, &format!("{} is ready", self.program.display()), || {
            let answer = self.try_get("/readyz")?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text().to_owned()) }
        });
    }

    /// The process, for its log, its pid and signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; gives how it ended.
    #[track_caller]
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.process.terminate()
    }

    /// Starts it again at the same address with the same environment; kills it before, if it still runs.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        let port = self.address.rsplit(':').next().unwrap().to_owned();
        let env: Vec<_> = self.env.iter().cloned().chain([("BIND_PORT".to_owned(), port)]).collect();
        (self.process, self.address) = spawn(&self.program, &env);
    }
}

#[track_caller]
fn spawn(program: &Path, env: &[(String, String)]) -> (Process, String) {
    let mut process = Start::new(program).clean_environment().envs(env.iter().cloned()).spawn();
    let address = process.await_addresses(1).remove(0);
    eventually(20, &format!("{} is healthy", program.display()), || http::get(&address, "/healthz"));
    (process, address)
}
