//! Mounts that go wrong, for real: one that never answers (a FUSE file system whose server reads no request), and one
//! that nothing can be written to any more.
//!
//! They live in a mount namespace of their own, so that nothing else on the machine meets them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod harness;

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use agent_node::Outcome;
use agent_procfs::Root;
use harness::{Built, build};
use rustix::mount::{MountFlags, mount};

#[test]
fn a_stuck_mount_costs_itself_alone_and_comes_back() {
    run_alone("stuck_in_its_own_namespace");
}

#[test]
fn a_file_system_that_turns_read_only_without_a_word_is_shown_so() {
    run_alone("read_only_in_its_own_namespace");
}

/// Runs an ignored test of this file in a mount namespace of its own.
fn run_alone(test: &str) {
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let inside = unshare
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap_or_else(|error| panic!("cannot run unshare ({error}); `make setup` installs util-linux"));
    let said = String::from_utf8_lossy(&inside.stdout) + String::from_utf8_lossy(&inside.stderr);
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
}

/// A folder for the mount, and the collector.
fn begin(directory: &Path) -> (std::path::PathBuf, Built) {
    let (at, procfs) = (directory.join("mount"), directory.join("proc"));
    fs::create_dir_all(&at).unwrap();
    fs::create_dir_all(procfs.join("1")).unwrap();
    // The first process is in another namespace.
    std::os::unix::fs::symlink("/proc/self/mountinfo", procfs.join("1/mountinfo")).unwrap();
    let root = Root { procfs, ..Root::default() };
    let flags = [("collector.filesystem.mount-timeout", "300ms"), ("collector.filesystem.fs-types-exclude", "^proc$")];
    (at, build(&root, &flags, |name| name == "filesystem").remove(0))
}

#[test]
#[ignore = "run by a test above, in a mount namespace of its own"]
fn read_only_in_its_own_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let (at, mut filesystem) = begin(directory.path());
    mount("small", &at, "tmpfs", MountFlags::empty(), Some(c"size=64k")).unwrap();
    let mut read_only = |scrape| {
        let text = filesystem.run(scrape).text;
        let of_mount =
            |line: &&str| line.starts_with("node_filesystem_readonly{") && line.contains(at.to_str().unwrap());
        text.lines().find(of_mount).and_then(|line| line.rsplit(' ').next().map(str::to_owned))
    };
    assert_eq!(read_only(1).as_deref(), Some("0"));
    assert_eq!(read_only(2).as_deref(), Some("0"));
    // From another namespace, where this one's list of mounts is told nothing of it, as of errors of a disk.
    let mut remount = Command::new("unshare");
    let done = remount.args(["--mount", "mount", "-o", "remount,ro"]).arg(&at).status().unwrap();
    assert!(done.success());
    assert_eq!(read_only(3).as_deref(), Some("1"));
    assert_eq!(read_only(4).as_deref(), Some("1"));
}

#[test]
#[ignore = "run by a test above, in a mount namespace of its own"]
fn stuck_in_its_own_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let (stuck, mut filesystem) = begin(directory.path());
    let server = mount_fuse(&stuck);
    let name = stuck.to_str().unwrap();

    let (lines, took) = collect(&mut filesystem, name, 1);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(lines, [error_line(name, "mountpoint timeout", 1)]);

    let (lines, took) = collect(&mut filesystem, name, 2);
    assert!(took < Duration::from_millis(300), "waited {took:?} for a mount that is known to be stuck");
    assert_eq!(lines, [error_line(name, "mountpoint timeout", 1)]);

    // The server dies: whoever waits gets an error, and so does everyone after.
    drop(server);
    let give_up = Instant::now() + Duration::from_secs(20);
    let want = [error_line(name, "transport endpoint is not connected", 1)];
    while collect(&mut filesystem, name, 3).0 != want {
        assert!(Instant::now() < give_up, "the mount does not come back");
    }
}

/// Lasts until the file is closed.
fn mount_fuse(at: &Path) -> fs::File {
    let server = fs::File::options().read(true).write(true).open("/dev/fuse");
    let server = server.unwrap_or_else(|error| panic!("cannot open /dev/fuse ({error}); load the module fuse"));
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    let options = CString::new(options).unwrap();
    mount("stuck", at, "fuse", MountFlags::empty(), Some(options.as_c_str())).unwrap();
    server
}

fn error_line(mount_point: &str, error: &str, value: u8) -> String {
    let labels = format!("device=\"stuck\",device_error=\"{error}\",fstype=\"fuse\",mountpoint=\"{mount_point}\"");
    format!("node_filesystem_device_error{{{labels}}} {value}")
}

/// The lines of the mount's errors and sizes, and how long they took. Other mounts must have theirs.
fn collect(filesystem: &mut Built, mount_point: &str, scrape: u64) -> (Vec<String>, Duration) {
    let started = Instant::now();
    let run = filesystem.run(scrape);
    let took = started.elapsed();
    assert_eq!(run.result.unwrap(), Outcome::Collected);
    let sizes = run.text.lines().filter(|line| line.starts_with("node_filesystem_size_bytes{"));
    assert!(sizes.clone().count() > 0, "no other mount was reported:\n{}", run.text);
    let of_mount = |line: &&str| {
        let kind = ["node_filesystem_device_error{", "node_filesystem_size_bytes{"];
        kind.iter().any(|kind| line.starts_with(kind)) && line.contains(&format!("mountpoint=\"{mount_point}\""))
    };
    (run.text.lines().filter(of_mount).map(str::to_owned).collect(), took)
}
