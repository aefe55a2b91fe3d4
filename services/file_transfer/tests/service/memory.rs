//! Memory does not grow with files.

use std::process::Stdio;

use super::*;

const BYTES: u64 = 2 << 30;
/// At any time, all that the process has ever held at once.
const PEAK_KIB: u64 = 32 << 10;

/// The most memory that a process has had, from `/proc/PID/status`.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn two_gibibytes_go_up_and_down_in_32_mebibytes() {
    let volume = Volume::new();
    let mut service = volume.serve();
    // Holes take no room on disk where it comes from, and read as zeros.
    std::fs::File::create(volume.scratch.path().join("large")).unwrap().set_len(BYTES).unwrap();
    let here = volume.scratch.path();
    let url = service.url("/upload");
    let stored = curl(here, &["--max-time", "300", "-f", "-F", "file=@large", &url]);
    assert!(stored.status.success(), "{stored:?}");
    assert_eq!(std::fs::metadata(volume.files().join("large")).unwrap().len(), BYTES);
    let pid = service.process().pid();
    let up = peak_kib(pid);
    assert!(up < PEAK_KIB, "{up} KiB for the upload");

    let mut download = Command::new(program("curl"))
        .args(["-sSf", "--max-time", "300", &service.url("/files/large")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let same = Command::new(program("cmp"))
        .arg(volume.files().join("large"))
        .stdin(download.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(same.success() && download.wait().unwrap().success());
    let both = peak_kib(pid);
    assert!(both < PEAK_KIB, "{both} KiB for both");
}

#[test]
fn many_at_once_cost_little_each() {
    const CLIENTS: usize = 16;
    let volume = Volume::new();
    let mut service = volume.serve();
    let sent = content(1, 8 << 20);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (service, sent) = (&service, &sent);
            scope.spawn(move || {
                let name = format!("file {client}");
                store(service, &name, sent);
                let answer = service.get(&format!("/files/file%20{client}"));
                assert!(answer.body == *sent, "{} bytes came back", answer.body.len());
            });
        }
    });
    let peak = peak_kib(service.process().pid());
    assert!(peak < 2 * PEAK_KIB, "{peak} KiB for {CLIENTS} clients");
}
