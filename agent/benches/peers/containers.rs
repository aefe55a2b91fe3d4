//! Containers that do nothing, with a network of their own each.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ROOT;

const IMAGE: &str = "atalaia/demo:local";
/// How many are started at the same time.
const AT_ONCE: usize = 4;
/// There are as many as could be started within this.
const LONGEST_START: Duration = Duration::from_secs(150);

pub struct Containers {
    label: String,
    count: usize,
    remover: Child,
}

impl Containers {
    /// `None` where no engine answers.
    pub fn new() -> Option<Self> {
        let version = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output().ok()?;
        if !version.status.success() {
            return None;
        }
        let image = Command::new("provisioning/local/demo-container.sh").arg("image").current_dir(ROOT).status();
        assert!(image.is_ok_and(|status| status.success()), "the image {IMAGE} cannot be built");
        let label = format!("atalaia-bench-{}", std::process::id());
        Some(Self { remover: remover(&label), label, count: 0 })
    }

    /// Starts what is missing. Gives how many there are, which is fewer where the machine is slow.
    pub fn grow_to(&mut self, count: usize) -> usize {
        let deadline = Instant::now() + LONGEST_START;
        while self.count < count && Instant::now() < deadline {
            let together = AT_ONCE.min(count - self.count);
            let starting: Vec<_> = (0..together).map(|_| self.start_one()).collect();
            for mut one in starting {
                assert!(one.wait().unwrap().success(), "a container cannot be started");
            }
            self.count += together;
        }
        self.count
    }

    fn start_one(&self) -> Child {
        let mut run = Command::new("docker");
        run.args(["run", "-d", "--network", "bridge", "--label", &self.label, IMAGE, "exec /bin/busybox sleep 3600"]);
        run.stdout(Stdio::null()).spawn().unwrap()
    }
}

/// Removes the containers when this process has closed its end of the pipe, in whatever way it ended. An engine that
/// hangs then keeps them, and nobody waiting.
fn remover(label: &str) -> Child {
    let script = format!(
        "trap '' INT TERM HUP; read -r _; docker ps -aq --filter label={label} | timeout 300 xargs -r -n 10 -P 4 docker rm -f >/dev/null"
    );
    Command::new("setsid").args(["sh", "-c", &script]).stdin(Stdio::piped()).spawn().unwrap()
}

impl Drop for Containers {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
    }
}
