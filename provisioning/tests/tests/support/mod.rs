//! Compose projects and HTTP as the tests of this folder use them.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod swarm;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use provisioning_parts::{docker, eventually, free_port, root};

/// Runs a command; gives its standard output.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?} ended with {status}:\n{out}{err}");
    out
}

/// `curl` as somebody types it, in a folder; gives what it prints.
#[track_caller]
pub fn curl(folder: &Path, line: &str) -> String {
    run(Command::new("bash").args(["-c", &format!("curl -sS --fail-with-body -m 20 {line}")]).current_dir(folder))
}

/// The full name of an image of ours, which the tests need and do not build.
#[track_caller]
pub fn image(name: &str) -> String {
    let image = format!("atalaia/{name}:{}", tag());
    must_be_there(&image);
    image
}

#[track_caller]
fn must_be_there(image: &str) {
    let there = Command::new("docker").args(["image", "inspect", image]).output().unwrap().status.success();
    assert!(there, "the image {image} is missing (make docker-image), or no engine answers");
}

/// Every image that the compose files name, and the stack with InfluxDB 1: ours and those of others.
#[track_caller]
pub fn images_are_there() {
    listed().iter().for_each(|[name, ..]| drop(image(name)));
    ["REDIS_IMAGE", "POSTGRES_IMAGE", "INFLUXDB_1_IMAGE", "BUSYBOX_IMAGE", "CURL_IMAGE"]
        .into_iter()
        .for_each(|variable| must_be_there(&pinned(variable)));
}

/// What a variable of `provisioning/versions.env` says, or the environment instead.
#[track_caller]
pub fn pinned(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        let text = std::fs::read_to_string(root().join("provisioning/versions.env")).unwrap();
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == variable).unwrap_or_else(|| panic!("no {variable}")).1.to_owned()
    })
}

/// The tag of our images.
pub fn tag() -> String {
    std::env::var("ATALAIA_TAG").unwrap_or_else(|_| "local".to_owned())
}

/// Lines of `provisioning/images/list`: image, binary, package, Dockerfile.
pub fn listed() -> Vec<[String; 4]> {
    let text = std::fs::read_to_string(root().join("provisioning/images/list")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()).collect()
}

/// Compose, version 2 or 1.
pub fn compose_command() -> Command {
    let second = Command::new("docker").args(["compose", "version"]).output();
    if second.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("docker");
        command.arg("compose");
        return command;
    }
    let first = Command::new("docker-compose").arg("version").output();
    assert!(first.is_ok(), "neither docker compose nor docker-compose is installed: make setup-test");
    Command::new("docker-compose")
}

/// One of the compose files, running under a name and on ports of the test's own; taken away, volumes too, when the
/// test lets go of it.
pub struct Project {
    pub name: String,
    file: PathBuf,
    variables: BTreeMap<&'static str, String>,
}

impl Project {
    /// `file` of `provisioning/compose`, not started yet.
    pub fn new(file: &str) -> Self {
        Self::of(&root().join("provisioning/compose").join(file))
    }

    /// A file elsewhere.
    pub fn of(file: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("atalaia-test-{}-{number}", std::process::id());
        let ports = [
            "VOTE_PORT",
            "RESULT_PORT",
            "FILES_PORT",
            "REGISTRY_PORT",
            "HITS_PORT",
            "ECHO_PORT",
            "AGENT_PORT",
            "COLLECTOR_PORT",
            "INFLUXDB_VMS_PORT",
            "INFLUXDB_CONTAINERS_PORT",
        ];
        let mut variables: BTreeMap<_, _> = ports.map(|port| (port, free_port().to_string())).into();
        variables.insert("ECHO_SERVER_NAME", format!("{name}-server"));
        variables.insert("ECHO_CLIENT_NAME", format!("{name}-client1"));
        variables.insert("TESTING_NET", format!("10.125.{}.0/24", (std::process::id() + number) % 250));
        Self { name, file: file.to_owned(), variables }
    }

    /// Sets a variable of the file.
    pub fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.variables.insert(variable, value.into());
    }

    /// A variable of the file.
    pub fn get(&self, variable: &str) -> &str {
        &self.variables[variable]
    }

    /// `127.0.0.1:PORT`.
    pub fn at(&self, port: &str) -> String {
        format!("127.0.0.1:{}", self.get(port))
    }

    /// A compose command on the project, ready to be run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = compose_command();
        command.args(["-p", &self.name, "-f"]).arg(&self.file).args(args).envs(&self.variables);
        command
    }

    /// Runs a compose command; gives what it prints.
    #[track_caller]
    pub fn compose(&self, args: &[&str]) -> String {
        run(&mut self.command(args))
    }

    /// `up -d`, and waits until every container that has a health check is well.
    #[track_caller]
    pub fn up(&self) {
        images_are_there();
        self.compose(&["up", "-d"]);
        eventually(90, "everything is healthy", || {
            let unwell: Vec<String> = self
                .containers()
                .into_iter()
                .filter(|c| matches!(c.health.as_str(), "starting" | "unhealthy"))
                .map(|c| c.name)
                .collect();
            if unwell.is_empty() { Ok(()) } else { Err(unwell.join(", ")) }
        });
    }

    /// Its containers, ended ones too.
    pub fn containers(&self) -> Vec<State> {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let ids = docker(&["ps", "-aq", "--no-trunc", "--filter", &label]);
        ids.lines().map(State::of).collect()
    }

    /// The one of a service.
    #[track_caller]
    pub fn container(&self, service: &str) -> State {
        let all = self.containers();
        all.into_iter().find(|c| c.service == service).unwrap_or_else(|| panic!("{service} has no container"))
    }

    /// `stop -t 1`, as `make docker-compose-down` does, and that every container ended in order: with 0, and not
    /// because it was killed.
    #[track_caller]
    pub fn stop_in_order(&self) {
        self.compose(&["stop", "-t", "1"]);
        for container in self.containers() {
            assert!(!container.running, "{} still runs", container.name);
            assert_eq!(container.exit_code, 0, "{} did not end by itself:\n{}", container.name, container.logs());
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.command(&["ps"]).status();
            let logs = self.command(&["logs", "--no-color", "--tail", "30"]).output();
            eprintln!("{}", logs.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default());
        }
        let _ = self.command(&["down", "-v", "-t", "1", "--remove-orphans"]).output();
    }
}

/// What the engine says of a container.
pub struct State {
    pub name: String,
    pub service: String,
    pub running: bool,
    /// `healthy`, `starting`, `unhealthy`, or nothing where there is no check.
    pub health: String,
    pub exit_code: i64,
    pub networks: Vec<String>,
}

impl State {
    /// By id or name.
    #[track_caller]
    pub fn of(id: &str) -> Self {
        let all: serde_json::Value = serde_json::from_str(&docker(&["inspect", id])).unwrap();
        let one = &all[0];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            name: text(&one["Name"]).trim_start_matches('/').to_owned(),
            service: text(&one["Config"]["Labels"]["com.docker.compose.service"]),
            running: one["State"]["Running"].as_bool().unwrap(),
            health: text(&one["State"]["Health"]["Status"]),
            exit_code: one["State"]["ExitCode"].as_i64().unwrap(),
            networks: one["NetworkSettings"]["Networks"].as_object().unwrap().keys().cloned().collect(),
        }
    }

    /// Standard output and standard error.
    pub fn logs(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.name]).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Waits until it has said something.
    #[track_caller]
    pub fn says(&self, seconds: u64, words: &str) {
        eventually(seconds, &format!("{} says {words:?}", self.name), || {
            let logs = self.logs();
            if logs.contains(words) { Ok(()) } else { Err(format!("it says:\n{logs}")) }
        });
    }
}

/// What a container on `network` prints that runs `command` in the image of that name.
pub fn inside(network: &str, image: &str, command: &[&str]) -> Result<String, String> {
    let all = [&["run", "--rm", "-i", "--network", network, image], command].concat();
    let output = Command::new("docker").args(&all).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
}
