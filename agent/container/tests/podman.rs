//! Podman, the real one: an engine of the test's own with its own storage, over the socket that it serves.
//!
//! Needs root and Debian's `podman`, which `make setup` installs; where it is missing the tests fail and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::process::Command;

use agent_container::api::{Reply, Request};
use agent_container::{Config, Containers};
use support::{Daemon, busybox_tar, eventually, no_runtimes, run, run_with_input, scrape, values};

const IMAGE: &str = "atalaia-test/busybox:1";

/// A Podman of its own; all that it made is removed in the end.
struct Podman {
    folder: tempfile::TempDir,
    service: Option<Daemon>,
}

impl Podman {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let podman = Self { folder, service: None };
        run_with_input(podman.command().args(["import", "-", IMAGE]), &busybox_tar());
        podman
    }

    fn command(&self) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("podman");
        command.arg("--root").arg(path("root")).arg("--runroot").arg(path("run")).arg("--tmpdir").arg(path("tmp"));
        // Neither systemd nor a file system fit for overlays is needed.
        let settings = ["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc"];
        command.args(settings);
        command
    }

    fn address(&self) -> String {
        format!("unix://{}/podman.sock", self.folder.path().display())
    }

    fn serve(&mut self) {
        let mut command = self.command();
        command.args(["system", "service", "--time=0", &self.address()]);
        self.service = Some(Daemon::start(&mut command, &self.folder.path().join("log")));
        eventually("the socket", || self.folder.path().join("podman.sock").exists().then_some(()));
    }

    /// Runs a script in a container and gives its id.
    #[track_caller]
    fn run(&self, name: &str, options: &[&str], script: &str) -> String {
        let mut command = self.command();
        // Podman's own limits are above what a container around this test may allow.
        let limits = ["--network=none", "--ulimit=nofile=1000:1000", "--ulimit=nproc=10000:10000"];
        command.args(["run", "-d", "--name", name]).args(limits).args(options);
        run(command.args([IMAGE, "sh", "-c", script]))
    }

    fn watch(&self) -> Containers {
        let user_runtimes = self.folder.path().join("no-users");
        let containers =
            Containers::new(Config { podman: Some(self.address()), user_runtimes, ..no_runtimes() }).unwrap();
        containers.start().unwrap();
        containers
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.service = None;
        let _ = self.command().args(["rm", "--all", "--force", "--time=0"]).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_have_names_and_ends() {
    let mut podman = Podman::new();
    let web = podman.run(
        "web",
        &["--label", "com.example.tier=front", "--memory=32m", "--log-driver=k8s-file"],
        "echo up; sleep 1000",
    );
    podman.run("before", &[], "exit 4");
    eventually("the end of one that nobody watches", || {
        let state = run(podman.command().args(["inspect", "--format", "{{.State.Status}}", "before"]));
        (state == "exited").then_some(())
    });
    podman.serve();
    let containers = podman.watch();
    let path = format!("/libpod_parent/libpod-{web}\"");
    let identity = [
        &*path,
        "name=\"web\"",
        "image=\"localhost/atalaia-test/busybox:1\"",
        "container_label_com_example_tier=\"front\"",
    ];
    // A start time is there as soon as it was asked about.
    let page = eventually("the name", || {
        let page = scrape(&containers);
        (values(&page, "container_memory_usage_bytes", &identity).len() == 1
            && values(&page, "container_state", &["web", "state=\"running\""]) == [1.0])
        .then_some(page)
    });
    assert_eq!(values(&page, "container_spec_memory_limit_bytes", &[&path]), [33_554_432.0]);
    assert_eq!(values(&page, "atalaia_container_runtime_info", &["runtime=\"podman\"", "version=\"4"]).len(), 1);
    assert_eq!(values(&page, "atalaia_container_runtime_connected", &["runtime=\"podman\""]), [1.0]);
    let request = Request { path: "v1.3/docker/web", parameters: &[], body: &[] };
    let Reply::Json(told) = containers.api(request).unwrap() else { panic!("no JSON") };
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let told = told.as_object().unwrap().values().next().unwrap();
    assert_eq!((&told["namespace"], &told["id"]), (&"podman".into(), &web.as_str().into()));
    let report = containers.validate();
    assert!(report.contains("ok       runtime podman: 4."), "{report}");

    eventually("the log", || {
        let log = values(&scrape(&containers), "container_log_usage_bytes", &["name=\"web\""]);
        log.first().is_some_and(|bytes| *bytes > 0.0).then_some(())
    });

    eventually("the end of one that stopped before", || {
        (values(&scrape(&containers), "container_last_exit_code", &["name=\"before\""]) == [4.0]).then_some(())
    });

    podman.run("short", &[], "sleep 1; exit 3");
    let short = eventually("the end of one that came later", || {
        let page = scrape(&containers);
        (values(&page, "container_last_exit_code", &["name=\"short\""]) == [3.0]).then_some(page)
    });
    assert_eq!(values(&short, "container_state", &["name=\"short\"", "state=\"exited\""]), [1.0]);
    run(podman.command().args(["rm", "short"]));
    eventually("its removal", || {
        (values(&scrape(&containers), "container_state", &["name=\"short\"", "state=\"removed\""]) == [1.0])
            .then_some(())
    });
    run(podman.command().args(["kill", "web"]));
    eventually("the kill", || {
        let page = scrape(&containers);
        (values(&page, "container_last_exit_code", &["name=\"web\""]) == [137.0]
            && values(&page, "container_memory_usage_bytes", &["name=\"web\""]).is_empty())
        .then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_comes_late_and_goes_away() {
    let mut podman = Podman::new();
    podman.serve();
    let containers = podman.watch();
    podman.run("web", &[], "sleep 1000");
    let is_there = || !values(&scrape(&containers), "container_memory_usage_bytes", &["name=\"web\""]).is_empty();
    eventually("the name", || is_there().then_some(()));
    podman.service = None;
    eventually("the loss of the engine", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [0.0]).then_some(())
    });
    assert!(is_there(), "the container runs on, and so does its name");
    podman.serve();
    eventually("the engine again", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [1.0]).then_some(())
    });
    podman.run("second", &[], "sleep 1000");
    eventually("a container that came after", || {
        (values(&scrape(&containers), "container_state", &["name=\"second\"", "running"]) == [1.0]).then_some(())
    });
}
