//! Disk use of real containers: layers, volumes shared and alone, folders of the machine, and logs of both drivers that
//! keep files, against what was written.
//!
//! Needs root and an engine on the default socket. `make test` brings it; where it is missing the tests fail and say so.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use agent_container::{Config, Containers, Set, Sets};
use support::{busybox_tar, eventually, no_runtimes, run, run_with_input, scrape, values};

const IMAGE: &str = "atalaia-test/busybox-disk:1";
const MIB: f64 = (1 << 20) as f64;
/// Folders, and what a file system adds to a file.
const SLACK: f64 = 256.0 * 1024.0;

/// What the test made; all of that is removed in the end.
struct Made {
    folder: tempfile::TempDir,
    bound: Option<PathBuf>,
}

fn own(name: &str) -> String {
    format!("atalaia-test-disk-{}-{name}", std::process::id())
}

fn docker(arguments: &[&str]) -> String {
    run(Command::new("docker").args(arguments))
}

impl Made {
    fn new() -> Self {
        let hint = "no Docker engine answers: run `make setup`, then provisioning/local/docker-engine.sh start";
        assert!(Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success()), "{hint}");
        run_with_input(Command::new("docker").args(["import", "-", IMAGE]), &busybox_tar());
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), bound: None }
    }

    /// A folder of the machine with one mebibyte of its own, and a mount in it of a folder with more.
    fn folder_with_a_mount(&mut self) -> String {
        let [folder, more] = ["folder", "more"].map(|name| self.folder.path().join(name));
        fs::create_dir_all(folder.join("mount")).unwrap();
        fs::create_dir(&more).unwrap();
        fs::write(folder.join("file"), vec![7; 1 << 20]).unwrap();
        fs::write(more.join("file"), vec![7; 5 << 20]).unwrap();
        run(Command::new("mount").arg("--bind").arg(&more).arg(folder.join("mount")));
        self.bound = Some(folder.join("mount"));
        folder.display().to_string()
    }

    fn start(&self, name: &str, options: &[&str], script: &str) {
        let name = own(name);
        docker(&[&["run", "-d", "--name", &name][..], options, &[IMAGE, "sh", "-c", script]].concat());
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &own("writer"), &own("reader")]).output();
        let _ = Command::new("docker").args(["volume", "rm", &own("volume")]).output();
        if let Some(bound) = &self.bound {
            let _ = Command::new("umount").arg(bound).output();
        }
    }
}

#[track_caller]
fn about(got: &[f64], want: f64, slack: f64, what: &str) {
    assert!(matches!(got, [got] if (want..=want + slack).contains(got)), "{what}: {got:?}, wanted {want}");
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_volumes_and_logs() {
    let mut made = Made::new();
    let folder = made.folder_with_a_mount();
    let (volume, bind) = (own("volume"), format!("{folder}:/folder:ro"));
    let script = "dd if=/dev/zero of=/layer bs=1M count=10; busybox ln /layer /again; dd if=/dev/zero of=/gone bs=1M count=4
        dd if=/dev/zero of=/sparse bs=1 count=1 seek=1G; dd if=/dev/zero of=/data/file bs=1M count=10
        dd if=/dev/zero bs=1M count=10 | busybox tr '\\0' x | busybox fold -w 1000; sync; echo > /data/done; sleep 1000";
    let rotated = ["--log-opt", "max-size=3m", "--log-opt", "max-file=9"];
    let data = format!("{volume}:/data");
    made.start("writer", &[&["-v", &data, "-v", &bind][..], &rotated].concat(), script);
    let shared = format!("{volume}:/other");
    made.start("reader", &["-v", &shared, "--log-driver", "local"], "echo up; sleep 1000");
    let is_written = ["exec", &own("writer"), "cat", "/data/done"];
    eventually("the end of the writing", || {
        Command::new("docker").args(is_written).output().ok()?.status.success().then_some(())
    });

    let sets = Sets::none().with(Set::Disk).with(Set::Log).with(Set::Volume).with(Set::Bind);
    let docker_address = Some("unix:///var/run/docker.sock".to_owned());
    let config = Config { docker: docker_address, docker_only: true, sets, ..no_runtimes() };
    let containers = Containers::new(config).unwrap();
    containers.start().unwrap();
    let [writer, reader] = ["writer", "reader"].map(|name| format!("name=\"{}\"", own(name)));
    let page = eventually("all figures", || {
        let page = scrape(&containers);
        let is_there = |family: &str, name: &str| !values(&page, family, &[name]).is_empty();
        let families = ["container_fs_usage_bytes", "container_log_usage_bytes", "container_volume_usage_bytes"];
        let all = families.iter().all(|family| is_there(family, &writer) && is_there(family, &reader));
        (all && values(&page, "container_volume_usage_bytes", &[&writer]).len() == 2).then_some(page)
    });

    let layer = |page: &str| values(page, "container_fs_usage_bytes", &[&writer]);
    about(&layer(&page), 14.0 * MIB, SLACK, "ten, four, and next to nothing of a second name and a hole");
    // `/`, four files with five names, and the folders that the engine made for the mounts.
    about(&values(&page, "container_fs_usage_inodes", &[&writer]), 5.0, 6.0, "files");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    about(&values(&page, "container_fs_usage_timestamp_seconds", &[&writer]), now - 120.0, 121.0, "when");

    let its = format!("volume=\"{volume}\"");
    for (name, point) in [(&writer, "/data"), (&reader, "/other")] {
        let labels = [name, &*its, "driver=\"local\"", &format!("mountpoint=\"{point}\"")];
        about(&values(&page, "container_volume_usage_bytes", &labels), 10.0 * MIB, SLACK, "the volume");
    }
    let its = format!("volume=\"{folder}\"");
    let bound = values(&page, "container_volume_usage_bytes", &[&writer, &its, "mountpoint=\"/folder\""]);
    about(&bound, MIB, SLACK, "the folder without what is mounted in it");
    let sizes = values(&page, "container_volume_filesystem_size_bytes", &[]);
    let left = values(&page, "container_volume_filesystem_available_bytes", &[]);
    assert!(!sizes.is_empty() && sizes.len() <= 2, "each file system once: {sizes:?}");
    assert!(sizes.iter().zip(&left).all(|(size, left)| size > left));

    // A record of JSON around each line of a thousand bytes.
    about(
        &values(&page, "container_log_usage_bytes", &[&writer]),
        10.0 * MIB,
        2.0 * MIB,
        "the log and the rotated ones",
    );
    about(&values(&page, "container_log_usage_bytes", &[&reader]), 1.0, 65_536.0, "the log of the driver local");

    docker(&["exec", &own("writer"), "busybox", "rm", "/gone"]);
    containers.sample_background();
    about(&layer(&scrape(&containers)), 10.0 * MIB, SLACK, "without what was deleted");
}
