//! Any request to an agent, on a connection of its own: it is answered or refused, and the agent goes on.
//!
//! The first byte chooses whether there are users. The rest is a request without its end; a body follows after an empty
//! line.
#![no_main]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use agent_procfs::Root;
use atalaia_agent::{Agent, Limits, Settings};
use tokio::runtime::Runtime;

/// For requests that are none, which nothing ends.
const IDLE: Duration = Duration::from_millis(100);
/// Alice's is `abc`.
const USERS: &str = "{basic_auth_users: {alice: $2a$04$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i}}";

struct Stage {
    _runtime: Runtime,
    _folder: tempfile::TempDir,
    addresses: [String; 2],
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    // A program in Rust ignores it from its start, but this one starts as one in C++.
    // SAFETY: no other thread runs yet, and to ignore a signal calls nothing back.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let users = folder.path().join("web.yml");
    std::fs::write(&users, USERS).unwrap();
    let addresses = [None, Some(users)].map(|web_config| {
        // A machine without anything: what is read of one is the business of other targets.
        let root = Root {
            procfs: folder.path().join("proc"),
            sysfs: folder.path().join("sys"),
            rootfs: folder.path().join("rootfs"),
            udev_data: folder.path().join("udev"),
        };
        let containers = agent_container::Config {
            root: root.clone(),
            docker: None,
            podman: None,
            containerd: None,
            crio: None,
            ..agent_container::Config::default()
        };
        let settings = Settings {
            listen: vec!["127.0.0.1:0".to_owned()],
            web_config,
            lifecycle: true,
            collectors: ["loadavg", "meminfo"].into(),
            root,
            containers: Some(containers),
            limits: Limits { idle: IDLE, ..Limits::default() },
            ..Settings::default()
        };
        let agent = runtime.block_on(async { Agent::new(settings) }).unwrap();
        let address = agent.addresses().next().unwrap().to_owned();
        runtime.spawn(agent.run(std::future::pending()));
        address
    });
    Stage { _runtime: runtime, _folder: folder, addresses }
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((choice, request)) = input.split_first() else { return };
    let end = request.windows(2).position(|window| window == b"\n\n").unwrap_or(request.len());
    let (head, body) = request.split_at(end);
    let body = body.get(2..).unwrap_or_default();
    let mut stream = TcpStream::connect(&STAGE.addresses[usize::from(choice % 2)]).expect("the agent goes on");
    stream.set_read_timeout(Some(2 * IDLE)).unwrap();
    let tail = format!("\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // One that is refused early is not read to its end.
    let _ = stream.write_all(&[head, tail.as_bytes(), body].concat());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
});
