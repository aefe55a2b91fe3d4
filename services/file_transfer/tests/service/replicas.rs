//! Several processes over one folder.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use provisioning_parts::eventually;

use super::*;

/// Content that says which it is: its number, from which length and every byte follow.
fn numbered(number: u64) -> Vec<u8> {
    content(number, 20_000 + (number as usize * 7_919) % 400_000)
}

/// Fails unless it is one writer's whole content.
#[track_caller]
fn assert_whole(bytes: &[u8]) {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == numbered(number), "{} bytes are not content {number}", bytes.len());
}

#[test]
fn a_reader_sees_one_writers_whole_content_whatever_happens() {
    const WRITERS: u64 = 6;
    const UPLOADS: u64 = 25;
    let volume = Volume::new();
    let replicas = [volume.serve_with(&[("SWEEP_INTERVAL_SECONDS", "1")]), volume.serve(), volume.serve()];
    store(&replicas[0], "shared", &numbered(0));
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (done, reads, replicas) = (&done, &reads, &replicas);
        for replica in replicas {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let answer = replica.get("/files/shared");
                    assert_eq!(answer.status, 200, "a name that is replaced never means nothing");
                    assert_whole(&answer.body);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    for upload in 0..UPLOADS {
                        let number = 1 + writer * UPLOADS + upload;
                        store(&replicas[number as usize % 3], "shared", &numbered(number));
                    }
                })
            })
            .collect();
        let failed = writers.into_iter().map(|writer| writer.join()).filter(Result::is_err).count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
    });
    assert!(reads.load(Ordering::Relaxed) > 10, "{reads:?} reads beside the writers");
    let last = replicas.each_ref().map(|replica| replica.get("/files/shared").body);
    assert_whole(&last[0]);
    assert!(last[0] == last[1] && last[1] == last[2], "all replicas see the same in the end");
    assert_eq!(listed(&replicas[1]), ["shared"]);
    assert_eq!(volume.unfinished(), 0);
}

#[test]
fn who_has_begun_to_read_gets_the_old_file_whole() {
    let volume = Volume::new();
    let (one, other) = (volume.serve(), volume.serve());
    let old = content(1, 16 << 20);
    store(&one, "a", &old);
    let mut stream = TcpStream::connect(&one.address).unwrap();
    stream.write_all(b"GET /files/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = vec![0; 64 << 10];
    stream.read_exact(&mut answer).unwrap();
    store(&other, "a", b"new");
    assert_eq!(one.get("/files/a").text(), "new");
    assert_eq!(send("DELETE", &other.address, "/files/a", &[], b"").unwrap().status, 204);
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&old), "{} bytes came", answer.len());
}

#[test]
fn what_a_killed_replica_left_is_swept_and_what_a_living_one_writes_is_not() {
    let volume = Volume::new();
    let (mut dies, lives) = (volume.serve(), volume.serve());
    let sent = content(1, 1 << 20);
    let _cut = Begun::half(&dies, "cut.bin", &sent);
    let mut slow = Begun::half(&lives, "slow.bin", &sent);
    eventually(10, "both uploads are under way", || match volume.unfinished() {
        2 => Ok(()),
        count => Err(format!("{count} are")),
    });
    dies.kill();
    assert_eq!(listed(&lives), Vec::<String>::new());
    assert_eq!(volume.unfinished(), 2, "nobody has swept yet");

    // At its start.
    let sweeps = volume.serve_with(&[("SWEEP_INTERVAL_SECONDS", "1")]);
    eventually(10, "the leftover is swept", || match volume.unfinished() {
        1 => Ok(()),
        count => Err(format!("{count} are left")),
    });
    assert_eq!(sweeps.metric("file_transfer_swept_uploads_total"), Some(1.0));
    assert_eq!(sweeps.metric("file_transfer_unfinished_uploads"), Some(1.0));

    // And each time after.
    dies.restart();
    let _cut = Begun::half(&dies, "cut.bin", &sent);
    eventually(10, "an upload is under way", || match volume.unfinished() {
        2 => Ok(()),
        count => Err(format!("{count} are")),
    });
    let sweep = |past: f64| {
        eventually(10, "a sweep", || match sweeps.metric("file_transfer_sweeps_total") {
            Some(count) if count > past => Ok(count),
            count => Err(format!("{count:?}")),
        })
    };
    sweep(sweep(0.0) + 1.0);
    assert_eq!(volume.unfinished(), 2, "two sweeps have left the living alone");
    dies.kill();
    eventually(10, "the second leftover is swept", || match volume.unfinished() {
        1 => Ok(()),
        count => Err(format!("{count} are left")),
    });

    slow.send_rest();
    assert_eq!(slow.answer(), (200, String::new()));
    assert_eq!(listed(&sweeps), ["slow.bin"]);
    assert!(sweeps.get("/files/slow.bin").body == sent);
    assert_eq!(volume.unfinished(), 0);
}

#[test]
fn leftovers_that_are_no_files_do_not_stop_a_sweep() {
    let volume = Volume::new();
    let uploads = volume.files().join(".uploads");
    std::fs::create_dir_all(uploads.join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", uploads.join("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, uploads.join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    std::fs::write(uploads.join("host-1-0"), b"left").unwrap();
    let service = volume.serve();
    eventually(10, "the leftover is swept", || match service.metric("file_transfer_swept_uploads_total") {
        Some(1.0) => Ok(()),
        count => Err(format!("{count:?}")),
    });
    assert!(uploads.join("folder").exists() && !uploads.join("host-1-0").exists());
}
