//! containerd, the real one: a daemon of the test's own with folders of its own, and `ctr`.
//!
//! Needs root and Debian's `containerd`, which comes with `docker.io` by `make setup`; where it is missing the tests
//! fail and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agent_container::{Config, Containers, LabelPolicy};
use support::{Daemon, busybox_tar, eventually, no_runtimes, run, scrape, values};

const IMAGE: &str = "docker.io/atalaia-test/busybox:1";

/// A containerd of its own; all that it made is removed in the end.
struct Containerd {
    folder: tempfile::TempDir,
    daemon: Option<Daemon>,
    made: Vec<String>,
}

impl Containerd {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let config = format!(
            "version = 2\nroot = \"{path}/root\"\nstate = \"{path}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{path}/c.sock\"\n[ttrpc]\naddress = \"{path}/t.sock\"\n"
        );
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut containerd = Self { folder, daemon: None, made: Vec::new() };
        containerd.start();
        let archive = image(containerd.folder.path());
        containerd.ctr(&["images", "import", "--snapshotter", "native", archive.to_str().unwrap()]);
        containerd
    }

    fn start(&mut self) {
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.folder.path().join("config.toml"));
        self.daemon = Some(Daemon::start(&mut command, &self.folder.path().join("log")));
        eventually("an answer of containerd", || {
            let answer = self.command().arg("version").output();
            answer.expect("ctr is missing: run `make setup`").status.success().then_some(())
        });
    }

    fn socket(&self) -> String {
        self.folder.path().join("c.sock").display().to_string()
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ctr");
        command.args(["--address", &self.socket()]);
        command
    }

    #[track_caller]
    fn ctr(&self, arguments: &[&str]) -> String {
        run(self.command().args(arguments))
    }

    /// Runs a script in a container of that id.
    #[track_caller]
    fn run(&mut self, id: &str, options: &[&str], script: &str) {
        self.made.push(id.to_owned());
        let mut arguments = vec!["run", "--detach", "--null-io", "--snapshotter", "native"];
        arguments.extend(options);
        arguments.extend([IMAGE, id, "sh", "-c", script]);
        self.ctr(&arguments);
    }

    fn watch(&self, namespaces: &[&str]) -> Containers {
        let containerd_namespaces = namespaces.iter().map(|&name| name.to_owned()).collect();
        let labels = LabelPolicy { variables: vec!["APP_".to_owned()], ..LabelPolicy::default() };
        let config = Config { containerd: Some(self.socket()), containerd_namespaces, labels, ..no_runtimes() };
        let containers = Containers::new(config).unwrap();
        containers.start().unwrap();
        containers
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for id in &self.made {
            let _ = self.command().args(["tasks", "delete", "--force", id]).output();
            let _ = self.command().args(["containers", "delete", id]).output();
        }
        self.daemon = None;
    }
}

/// An image as `docker save` writes it, of Debian's static busybox.
fn image(folder: &Path) -> PathBuf {
    let layer = folder.join("layer.tar");
    fs::write(&layer, busybox_tar()).unwrap();
    let sum = run(Command::new("sha256sum").arg(&layer));
    let digest = sum.split(' ').next().unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
    );
    fs::write(folder.join("config.json"), config).unwrap();
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["{IMAGE}"],"Layers":["layer.tar"]}}]"#);
    fs::write(folder.join("manifest.json"), manifest).unwrap();
    let archive = folder.join("image.tar");
    run(Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&archive).args([
        "manifest.json",
        "config.json",
        "layer.tar",
    ]));
    archive
}

/// Ids of different runs do not meet: cgroups bear them.
fn own(name: &str) -> String {
    format!("atalaia-test-{}-{name}", std::process::id())
}

fn label(name: &str) -> String {
    format!("name=\"{}\"", own(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_have_names_and_ends() {
    let mut containerd = Containerd::new();
    let options = ["--label", "com.example.tier=front", "--env", "APP_TIER=gold", "--env", "PASSWORD=secret"];
    containerd.run(&own("web"), &options, "sleep 1000");
    let containers = containerd.watch(&["default"]);
    let path = format!("/default/{}\"", own("web"));
    let web = label("web");
    let image = format!("image=\"{IMAGE}\"");
    let labels = ["container_label_com_example_tier=\"front\"", "container_env_app_tier=\"gold\""];
    let identity = [&*path, &web, &image, labels[0], labels[1]];
    let page = eventually("the name", || {
        let page = scrape(&containers);
        (values(&page, "container_memory_usage_bytes", &identity).len() == 1).then_some(page)
    });
    assert_eq!(values(&page, "container_state", &[&web, "state=\"running\""]), [1.0]);
    let connected = values(&page, "atalaia_container_runtime_connected", &["runtime=\"containerd\""]);
    assert_eq!(connected, [1.0]);
    assert_eq!(values(&page, "atalaia_container_runtime_info", &["runtime=\"containerd\"", "version="]).len(), 1);

    containerd.run(
        &own("hog"),
        &["--memory-limit", "16777216"],
        "sleep 1; exec dd if=/dev/zero of=/dev/null bs=60M count=1",
    );
    let hog = label("hog");
    eventually("one that came later", || {
        (values(&scrape(&containers), "container_state", &[&hog, "state=\"running\""]) == [1.0]).then_some(())
    });
    let page = eventually("its end for want of memory", || {
        let page = scrape(&containers);
        (values(&page, "container_last_oom_killed", &[&hog]) == [1.0]).then_some(page)
    });
    assert_eq!(values(&page, "container_last_exit_code", &[&hog]), [137.0]);
    assert_eq!(values(&page, "container_state", &[&hog, "state=\"exited\""]), [1.0]);
    assert!(values(&page, "container_oom_events_total", &[&hog])[0] >= 1.0);

    let id = own("web");
    containerd.ctr(&["tasks", "pause", &id]);
    eventually("the pause", || {
        (values(&scrape(&containers), "container_state", &[&web, "paused"]) == [1.0]).then_some(())
    });
    containerd.ctr(&["tasks", "resume", &id]);
    // What is started in it later ends without it.
    containerd.ctr(&["tasks", "exec", "--exec-id", "later", &id, "sh", "-c", "exit 0"]);
    eventually("that it runs", || {
        (values(&scrape(&containers), "container_state", &[&web, "running"]) == [1.0]).then_some(())
    });
    containerd.ctr(&["tasks", "delete", "--force", &id]);
    containerd.ctr(&["containers", "delete", &id]);
    let page = eventually("its removal", || {
        let page = scrape(&containers);
        (values(&page, "container_state", &[&web, "removed"]) == [1.0]).then_some(page)
    });
    assert_eq!(values(&page, "container_last_exit_code", &[&web]), [137.0]);
    assert_eq!(values(&page, "container_last_oom_killed", &[&web]), [0.0]);
    assert!(values(&page, "container_memory_usage_bytes", &[&web]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_survive_a_restart_and_follow_all_namespaces() {
    let mut containerd = Containerd::new();
    containerd.run(&own("live"), &[], "sleep 1000");
    let containers = containerd.watch(&["*"]);
    let is_there =
        |name: &str| !values(&scrape(&containers), "container_memory_usage_bytes", &[&label(name)]).is_empty();
    eventually("the name", || is_there("live").then_some(()));
    containerd.daemon = None;
    eventually("the loss of containerd", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [0.0]).then_some(())
    });
    assert!(is_there("live"), "the container runs on, and so does its name");
    containerd.start();
    eventually("containerd again", || {
        (values(&scrape(&containers), "atalaia_container_runtime_connected", &[]) == [1.0]).then_some(())
    });
    containerd.run(&own("second"), &[], "sleep 1000");
    eventually("a container that came after the restart", || is_there("second").then_some(()));
    assert!(is_there("live"));
}
