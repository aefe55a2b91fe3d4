//! The files of the stack and the compose files, without an engine: every choice is valid, and names what is pinned.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use provisioning_parts::{binary, root};
use support::{compose_command, run};

/// `provisioning/versions.env`, as lines of `NAME=VALUE`.
fn versions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("provisioning/versions.env")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A merged compose file names only our images and those of the list.
fn names_what_is_pinned(merged: &str, what: &str) {
    let images: Vec<&str> = merged.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    assert!(!images.is_empty(), "{what} has no images:\n{merged}");
    for image in images {
        let pinned = versions().iter().any(|(_, value)| value == image);
        assert!(pinned || image.starts_with("atalaia/"), "{what}: {image} is not in provisioning/versions.env");
    }
}

/// One way to deploy the stack, under a name of the test's own.
struct Choice {
    name: String,
    variables: [(&'static str, &'static str); 4],
}

impl Choice {
    fn new(influxdb: &'static str, grafana: &'static str, discovery: &'static str) -> Self {
        let name = format!("atalaia-files-{}-{influxdb}{grafana}{discovery}", std::process::id());
        let agents = ("AGENTS", r#""10.0.0.1:9100","10.0.0.2:9100""#);
        let variables = [("INFLUXDB", influxdb), ("GRAFANA", grafana), ("DISCOVERY", discovery), agents];
        Self { name, variables }
    }

    fn generated(&self) -> PathBuf {
        root().join(".atalaia/stack").join(&self.name)
    }

    /// What the files are when they are put together, as compose understands them.
    fn merged(&self) -> String {
        let mut script = Command::new(root().join("provisioning/stack.sh"));
        let files = run(script.args(["files", &self.name]).envs(self.variables).env("DOCKER_GROUP", "0"));
        let mut compose = compose_command();
        for file in files.lines() {
            compose.arg("-f").arg(root().join("provisioning").join(file));
        }
        compose.env("COLLECTOR_CONFIG", self.generated().join("prometheus.yml")).env("DOCKER_GROUP", "0");
        run(compose.arg("config").envs(versions()))
    }

    /// `check config` of the collector on what stack.sh wrote, with the rules where they are mounted.
    fn check_config(&self) {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root().join("rules"), folder.path().join("rules")).unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::copy(self.generated().join("prometheus.yml"), &config).unwrap();
        run(Command::new(binary("atalaia-collector")).args(["check", "config"]).arg(&config));
    }
}

impl Drop for Choice {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.generated());
    }
}

#[test]
fn every_choice_of_the_stack_is_valid() {
    for influxdb in ["1", "2"] {
        for grafana in ["0", "1"] {
            for discovery in ["static", "swarm"] {
                let choice = Choice::new(influxdb, grafana, discovery);
                names_what_is_pinned(&choice.merged(), &choice.name);
                choice.check_config();
            }
        }
    }
}

/// One that is not listed would be missing in Grafana, and nobody would be told.
#[test]
fn every_board_is_mounted() {
    let stack = std::fs::read_to_string(root().join("provisioning/stack/grafana.yml")).unwrap();
    for entry in std::fs::read_dir(root().join("dashboards/boards")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(stack.contains(&format!("file: ../dashboards/boards/{name}\n")), "{name} is not in stack/grafana.yml");
        assert!(stack.contains(&format!("/boards/{name}}}\n")), "{name} is not mounted in stack/grafana.yml");
    }
}

#[test]
fn compose_files_name_what_is_pinned() {
    for file in ["all.yml", "voting.yml", "hits.yml", "echo.yml", "files-registry.yml"] {
        let path = root().join("provisioning/compose").join(file);
        names_what_is_pinned(&run(compose_command().arg("-f").arg(&path).arg("config")), file);
    }
}

/// Written out anywhere else, a version would be changed in one place and forgotten in the other.
#[test]
fn versions_are_written_once() {
    let listed = Command::new("git").args(["ls-files", "provisioning"]).current_dir(root()).output().unwrap();
    let files = String::from_utf8(listed.stdout).unwrap();
    for (name, value) in versions().iter().filter(|(name, _)| name.ends_with("_IMAGE") && name != "BUSYBOX_IMAGE") {
        for file in files.lines().filter(|file| !file.ends_with(".md") && !file.ends_with(".env")) {
            let text = std::fs::read(root().join(Path::new(file))).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(value.as_str()), "{file} repeats {name}");
        }
    }
}

#[test]
fn what_cannot_be_chosen_is_refused_in_one_line() {
    for (variable, value) in [("INFLUXDB", "3"), ("GRAFANA", "yes"), ("DISCOVERY", "dns")] {
        let output =
            Command::new(root().join("provisioning/stack.sh")).arg("files").env(variable, value).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.lines().count() == 1, "{variable}={value}: {said}");
        assert!(said.starts_with("stack: ") && said.contains(value), "{said}");
    }
}
