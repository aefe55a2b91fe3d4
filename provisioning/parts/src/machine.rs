//! What a test asks of the machine it runs on: programs, ports, time.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A program of the machine, or a failure that says how to get it.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let found =
        path.split(':').chain(["/usr/sbin", "/usr/bin"]).map(|dir| Path::new(dir).join(name)).find(|p| p.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: make setup-test"))
}

/// One of this workspace's binaries, built beside the test that asks for it. For the test's own package, Cargo's
/// `CARGO_BIN_EXE_…` is the better way: it builds the binary too.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "{} is missing: cargo build --workspace --bin {name}", path.display());
    path
}

/// A port on which nobody listens.
///
/// It lies below the range from which Linux gives ports to outgoing connections and to those who bind port 0
/// (32768 and above by default), so that neither takes it before the part that it is for. Test processes that run at
/// the same time begin at different places.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id().wrapping_mul(2_654_435_761) % u32::from(COUNT)).unwrap();
    (0..COUNT)
        .map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|&port| TcpListener::bind(("0.0.0.0", port)).is_ok())
        .expect("no port is free")
}

/// Tries until `attempt` gives something; fails with `what` after `seconds`.
#[track_caller]
pub fn eventually<T>(seconds: u64, what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut pause = Duration::from_millis(10);
    loop {
        match attempt() {
            Ok(found) => return found,
            Err(reason) if Instant::now() >= deadline => panic!("{what}: not within {seconds} s; {reason}"),
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
