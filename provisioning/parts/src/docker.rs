//! Docker: containers and networks that are gone when the test lets go of them.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::machine::root;

/// Runs the docker client; gives its trimmed output.
#[track_caller]
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker is not installed: make setup");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker {args:?} failed (no engine? provisioning/local/docker-engine.sh start): {error}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Fails, and says what to do, when no engine answers.
#[track_caller]
pub fn docker_available() {
    docker(&["version", "--format", "{{.Server.Version}}"]);
}

/// A name that no other test has.
fn own_name(purpose: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("atalaia-test-{purpose}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The image that the local stack's demo container is built from, built now if it is missing: Debian's static
/// busybox, and a shell that takes a script.
#[track_caller]
pub fn demo_image() -> &'static str {
    let script = root().join("provisioning/local/demo-container.sh");
    let output = Command::new(script).arg("image").output().unwrap();
    assert!(
        output.status.success(),
        "cannot build the image (does a Docker engine answer? provisioning/local/docker-engine.sh start): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    "atalaia/demo:local"
}

/// A running container; removed when the test lets go of it.
pub struct Container {
    /// Its name.
    pub name: String,
}

impl Container {
    /// `docker run -d OPTIONS IMAGE COMMAND`, under a name of its own that tells what it is for.
    #[track_caller]
    pub fn run(purpose: &str, options: &[&str], image: &str, command: &[&str]) -> Self {
        // The guard comes first: a container that was made but does not start has to go too.
        let container = Self { name: own_name(purpose) };
        docker(&[&["run", "-d", "--name", &container.name], options, &[image], command].concat());
        container
    }

    /// One that runs a shell script in busybox, with 64 MiB of memory.
    #[track_caller]
    pub fn script(purpose: &str, script: &str) -> Self {
        Self::run(purpose, &["--memory", "64m"], demo_image(), &[script])
    }

    /// One field of `docker inspect`, such as `{{.State.Pid}}`.
    #[track_caller]
    pub fn inspect(&self, field: &str) -> String {
        docker(&["inspect", "-f", field, &self.name])
    }

    /// Its address on the first of its networks, which this machine reaches too.
    #[track_caller]
    pub fn address(&self) -> String {
        let all = self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}");
        all.split_whitespace().next().unwrap_or_else(|| panic!("{} has no address", self.name)).to_owned()
    }

    /// The port of the host behind which a published port of the container is.
    #[track_caller]
    pub fn published(&self, port: u16) -> u16 {
        let shown = docker(&["port", &self.name, &port.to_string()]);
        let first = shown.lines().next().unwrap_or_default();
        first.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in {shown:?}"))
    }

    /// What it wrote to standard output and standard error so far.
    pub fn logs(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.name]).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- logs of {}:\n{}", self.name, self.logs());
        }
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.name]).output();
    }
}

/// A bridge network of the test's own; removed when the test lets go of it. Let go of its containers first.
pub struct Network {
    /// Its name.
    pub name: String,
}

impl Network {
    /// Makes one.
    #[track_caller]
    pub fn create(purpose: &str) -> Self {
        let network = Self { name: own_name(purpose) };
        docker(&["network", "create", &network.name]);
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["network", "rm", &self.name]).output();
    }
}
