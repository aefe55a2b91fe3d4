//! Sockets of every runtime behind which somebody else sits: one who talks nonsense, hangs up or says nothing. They cost
//! names and nothing else, and are counted under the runtime that they pretend to be.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use agent_container::{Config, Containers};
use support::{Machine, eventually, scrape, sum, values};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const RUNTIMES: [&str; 4] = ["docker", "podman", "containerd", "crio"];

#[derive(Clone, Copy)]
enum Habit {
    Nonsense,
    HangsUp,
    Silent,
}

/// Answers at a socket until it is dropped.
struct Liar(JoinHandle<()>);

impl Liar {
    fn at(socket: &Path, habit: Habit) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        Self(tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut heard = [0; 16];
                match habit {
                    Habit::Nonsense => {
                        let _ = stream.read(&mut heard).await;
                        let _ = stream.write_all(b"\x00\xff\x13 what do you want of me here\n").await;
                        held.push(stream);
                    }
                    Habit::HangsUp => {}
                    Habit::Silent => held.push(stream),
                }
            }
        }))
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A machine with one container, and a liar in the place of every runtime.
struct Case {
    containers: Containers,
    _machine: Machine,
    _liars: Vec<Liar>,
}

impl Case {
    fn new(habit: Habit) -> Self {
        let machine = Machine::new();
        machine.add_cgroup(&format!("machine.slice/crio-{A}.scope"));
        let socket = |runtime: &str| machine.path(&format!("{runtime}.sock"));
        let liars = RUNTIMES.iter().map(|runtime| Liar::at(&socket(runtime), habit)).collect();
        let address = |runtime: &str| Some(format!("unix://{}", socket(runtime).display()));
        let config = Config {
            docker: address("docker"),
            podman: address("podman"),
            user_runtimes: machine.path("no-users"),
            containerd: address("containerd"),
            crio: address("crio"),
            ..machine.config()
        };
        let containers = Containers::new(config).unwrap();
        containers.start().unwrap();
        Self { containers, _machine: machine, _liars: liars }
    }

    /// Each runtime has failed, for one of the reasons, and the figures are there all the same.
    #[track_caller]
    fn await_failures(&self, reasons: &[&str]) {
        for runtime in RUNTIMES {
            let of_runtime = format!("runtime=\"{runtime}\"");
            eventually(runtime, || {
                let begun = Instant::now();
                let page = scrape(&self.containers);
                assert!(begun.elapsed() < Duration::from_secs(5), "a scrape waits for no engine");
                assert_eq!(values(&page, "container_memory_usage_bytes", &[A]), [16384.0]);
                assert_eq!(sum(&page, "atalaia_container_runtime_connected", &[]).unwrap_or_default(), 0.0);
                let failures = |reason: &&str| {
                    let pieces = [&*of_runtime, &*format!("reason=\"{reason}\"")];
                    sum(&page, "atalaia_container_runtime_failures_total", &pieces).is_some_and(|count| count > 0.0)
                };
                reasons.iter().any(failures).then_some(())
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense() {
    Case::new(Habit::Nonsense).await_failures(&["protocol"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up() {
    Case::new(Habit::HangsUp).await_failures(&["protocol", "ended"]);
}

/// On a paused clock, which leaps over the deadlines that nothing else ends.
#[tokio::test(start_paused = true)]
async fn silence() {
    let case = Case::new(Habit::Silent);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    case.await_failures(&["timeout"]);
}
