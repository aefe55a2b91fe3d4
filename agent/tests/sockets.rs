//! Unix sockets, and sockets that systemd opens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use provisioning_parts::{Process, eventually, free_port, get, program};
use running::web::{Curl, USERS, folder_with_certificates, tls};
use running::{BINARY, command};

const QUIET: &[&str] = &["--docker=", "--no-collector.container"];

fn start(listen: &str, further: &[&str]) -> Process {
    let mut process = Process::start(BINARY, &[QUIET, &[&format!("--web.listen-address={listen}")], further].concat());
    process.await_addresses(1);
    process
}

fn status(socket: &Path, url: &str, args: &[&str]) -> Result<u16, String> {
    let folder = socket.parent().unwrap();
    Curl(folder.to_owned()).status(url, &[&["--unix-socket", socket.to_str().unwrap()], args].concat())
}

#[test]
fn a_unix_socket_is_served_and_goes_with_the_agent() {
    let folder = folder_with_certificates();
    let socket = folder.path().join("agent.sock");
    for address in [format!("unix:{}", socket.display()), format!("unix://{}", socket.display())] {
        let mut agent = start(&address, &[]);
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(status(&socket, "http://localhost/metrics", &[]), Ok(200));
        let health = command(&["health", &format!("--web.listen-address={address}")]).status().unwrap();
        assert!(health.success());
        assert!(agent.terminate().success());
        assert!(!socket.exists());
    }
}

#[test]
fn a_unix_socket_is_guarded_too() {
    let folder = folder_with_certificates();
    let socket = folder.path().join("agent.sock");
    std::fs::write(folder.path().join("web.yml"), tls("") + USERS).unwrap();
    let config = format!("--web.config.file={}", folder.path().join("web.yml").display());
    let address = format!("unix:{}", socket.display());
    let _agent = start(&address, &[&config]);
    assert_eq!(status(&socket, "https://localhost/metrics", &[]), Ok(401));
    assert_eq!(status(&socket, "https://localhost/metrics", &["-u", "alice:abc"]), Ok(200));
    assert_eq!(status(&socket, "http://localhost/metrics", &[]), Ok(400));
    let health = command(&["health", &format!("--web.listen-address={address}"), &config]).status().unwrap();
    assert!(health.success());
}

#[test]
fn only_the_socket_of_the_dead_is_replaced() {
    let folder = folder_with_certificates();
    let socket = folder.path().join("agent.sock");
    let address = format!("unix:{}", socket.display());
    // Dropping it leaves the file.
    drop(UnixListener::bind(&socket).unwrap());
    let mut first = start(&address, &[]);
    let refused = |want: &str| {
        let flag = format!("--web.listen-address={address}");
        let output = command(&[QUIET, &[&flag]].concat()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(want), "{said}");
    };
    refused("another process listens there");
    assert_eq!(status(&socket, "http://localhost/healthz", &[]), Ok(200));
    first.kill();
    assert!(socket.exists());
    let mut second = start(&address, &[]);
    // Another has taken its name: that one stays.
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "not a socket").unwrap();
    second.terminate();
    assert!(socket.exists());
    refused("it is no socket");
    let output = command(&["--web.listen-address=unix:agent.sock"]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("written unix:/PATH"));
}

/// The real systemd's way to start what is socket-activated. It starts the agent when the first connection comes.
fn activated(args: &[&str], further: &[&str]) -> Process {
    let agent = [&[BINARY, "--web.systemd-socket"], QUIET, further].concat();
    let mut process = Process::start(program("systemd-socket-activate"), &[args, &agent].concat());
    process.await_log("sockets", |log| log.contains("Listening on").then_some(()));
    process
}

#[test]
fn systemds_sockets_are_taken() {
    let folder = folder_with_certificates();
    let socket = folder.path().join("passed.sock");
    let address = format!("127.0.0.1:{}", free_port());
    let listen = ["-l", &address, "-l", socket.to_str().unwrap()];
    let mut process = activated(&listen, &["--web.listen-address=127.0.0.1:1"]);
    let page = eventually(20, "the agent answers", || get(&address, "/metrics"));
    assert!(page.contains("\nnode_load1 "), "{page}");
    assert_eq!(status(&socket, "http://localhost/metrics", &[]), Ok(200));
    assert_eq!(process.await_addresses(2), [address, format!("unix:{}", socket.display())]);
    assert!(process.terminate().success());
    // It is systemd's.
    assert!(socket.exists());
}

#[test]
fn a_socket_with_that_name_is_for_containers() {
    let addresses = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let listen = ["-l", &addresses[0], "-l", &addresses[1], "--fdname=web:containers"];
    let agent = [&listen[..], &[BINARY, "--web.systemd-socket", "--docker="]].concat();
    let mut process = Process::start(program("systemd-socket-activate"), &agent);
    process.await_log("sockets", |log| (log.matches("Listening on").count() == 2).then_some(()));
    let node = eventually(20, "the agent answers", || get(&addresses[0], "/metrics"));
    let containers = eventually(20, "the agent answers", || get(&addresses[1], "/metrics"));
    assert!(node.contains("\nnode_load1 ") && !node.contains("\nmachine_cpu_cores"), "{node}");
    assert!(!containers.contains("\nnode_load1 ") && containers.contains("\nmachine_cpu_cores"), "{containers}");
}

#[test]
fn without_a_socket_that_listens_there_is_one_line() {
    let mut alone = command(&["--web.systemd-socket"]);
    for (variables, want) in [
        (&[][..], "no socket was passed (LISTEN_FDS is not set)"),
        (&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")], "passed to process \"1\""),
    ] {
        let output = alone.envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(want), "{said}");
    }
    // A shell that passes what is no socket, and nothing at all.
    for (script, want) in [
        ("exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"", "cannot use descriptor 3"),
        ("exec 3<&-; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"", "there is no descriptor 3"),
        ("LISTEN_PID=$$ LISTEN_FDS=many exec \"$0\" \"$@\"", "LISTEN_FDS=many: a number"),
    ] {
        let output =
            std::process::Command::new("sh").args(["-c", script, BINARY, "--web.systemd-socket"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(want), "{said}");
    }
}
