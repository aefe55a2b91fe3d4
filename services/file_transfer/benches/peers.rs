//! The file transfer beside Debian's nginx, in one run on one machine, over loopback: downloads and uploads, one
//! client and several, and small files.
//!
//! Both are asked by the same client, turn about; the round with the median throughput is shown. nginx serves by
//! sendfile, as it does best, and takes uploads by PUT (its dav module), which copies nothing twice but leaves it to
//! the kernel when a file is on disk; ours answers only when it is. So nginx is shown a second time with the file
//! written to disk before its upload counts as done. CPU is user and system time of all of a peer's processes. Files
//! are in the page cache. Figures depend on the machine; the ratios are what to compare.
//!
//! `cargo bench --profile service -p services-file-transfer --bench peers`; `-- WORDS` measures what has these words in its title. Needs
//! `apt-get install nginx-light`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use provisioning_parts::{Process, Service, Start, eventually, free_port, get, program};

/// Bytes of a large file.
const LARGE: u64 = 512 << 20;
/// Downloads of it in a measurement, by each client.
const DOWNLOADS: usize = 4;
const SMALL: u64 = 4 << 10;
/// Requests for small files in a measurement, by each client.
const REQUESTS: usize = 5000;
/// Rounds; odd, so that there is one in the middle.
const ROUNDS: usize = 5;
/// Clients at once, where there are several.
const SEVERAL: usize = 4;
/// What the client reads and writes at once.
const PIECE: usize = 256 << 10;
const BOUNDARY: &str = "--------------------limit";

struct Peer {
    name: &'static str,
    address: String,
    pid: u32,
    upload: Upload,
    /// Of files, before the name.
    path: &'static str,
    /// Where uploads end.
    folder: std::path::PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    Form,
    Put,
    PutThenSync,
}

fn main() {
    let folder = tempfile::Builder::new().prefix("peers").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    fill(&files.join("large"), LARGE);
    fill(&files.join("small"), SMALL);
    let (nginx, address) = nginx(folder.path(), &files);
    let mut service = Service::start(
        env!("CARGO_BIN_EXE_file-transfer"),
        [("FILES_DIR", files.to_str().unwrap()), ("MIN_FREE_BYTES", "0")],
    );
    let peer = |name, upload| Peer {
        name,
        address: address.clone(),
        pid: nginx.pid(),
        upload,
        path: "/",
        folder: files.clone(),
    };
    let ours = Peer {
        name: "file-transfer",
        address: service.address.clone(),
        pid: service.process().pid(),
        upload: Upload::Form,
        path: "/files/",
        folder: files.clone(),
    };
    let peers = [ours, peer("nginx", Upload::Put), peer("nginx, then to disk", Upload::PutThenSync)];
    println!("\nmedian of {ROUNDS} rounds; a large file has {} MiB, a small one {} KiB", LARGE >> 20, SMALL >> 10);
    let down = |peer: &Peer| repeat(peer, "large", LARGE, DOWNLOADS);
    let small = |peer: &Peer| repeat(peer, "small", SMALL, REQUESTS);
    compare("large file down, 1 client", &peers[..2], 1, &|peer, _| down(peer));
    compare("large file down, 4 clients", &peers[..2], SEVERAL, &|peer, _| down(peer));
    compare("small file down, 4 clients", &peers[..2], SEVERAL, &|peer, _| small(peer));
    compare("large file up, 1 client", &peers, 1, &upload);
    compare("large file up, 4 clients", &peers, SEVERAL, &upload);
    let peak = status(service.process().pid(), "VmHWM:") / 1024;
    println!("\nfile-transfer never had more than {peak} MiB of memory");
}

/// Writes a file that no file system keeps as a hole.
fn fill(path: &Path, bytes: u64) {
    let mut file = File::create(path).unwrap();
    let piece = vec![b'x'; PIECE];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(PIECE as u64);
        file.write_all(&piece[..now as usize]).unwrap();
        left -= now;
    }
    file.sync_all().unwrap();
}

fn nginx(folder: &Path, files: &Path) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let (folder, files) = (folder.display(), files.display());
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    // What Debian's own file sets, with temporary files on the volume of the files, as ours are.
    let settings = format!(
        "{user} worker_processes auto; daemon off; pid {folder}/nginx.pid; error_log stderr;
         events {{ worker_connections 768; }}
         http {{
             sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000;
             default_type application/octet-stream;
             client_max_body_size 0; client_body_temp_path {folder}/body;
             proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             server {{
                 listen {address}; root {files};
                 location / {{ dav_methods PUT; }}
             }}
         }}"
    );
    let path = format!("{folder}/nginx.conf");
    std::fs::write(&path, settings).unwrap();
    let process = Start::new(program("nginx")).args(["-c", &path, "-p", &folder.to_string()]).spawn();
    eventually(20, "nginx serves", || get(&address, "/small"));
    (process, address)
}

/// What is measured: by one client, whose number is given; gives the bytes moved.
type Work<'a> = &'a (dyn Fn(&Peer, usize) -> u64 + Sync);

struct Figures {
    mib_per_second: f64,
    cpu_per_gib: f64,
    seconds: f64,
}

fn compare(title: &str, peers: &[Peer], clients: usize, work: Work<'_>) {
    // Cargo adds a flag of its own.
    if std::env::args().skip(1).any(|word| !word.starts_with("--") && !title.contains(&word)) {
        return;
    }
    let mut rounds: Vec<Vec<Figures>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for (peer, figures) in peers.iter().zip(&mut rounds) {
            let measured = measure(peer, clients, work);
            // The first warms up.
            if round > 0 {
                figures.push(measured);
            }
        }
    }
    println!("\n{title}\n{:24} {:>10} {:>12} {:>10}", "", "MiB/s", "CPU s/GiB", "s");
    let medians: Vec<Figures> = rounds
        .into_iter()
        .map(|mut figures| {
            figures.sort_by(|a, b| a.mib_per_second.total_cmp(&b.mib_per_second));
            figures.swap_remove(ROUNDS / 2)
        })
        .collect();
    for (peer, figures) in peers.iter().zip(&medians) {
        let Figures { mib_per_second, cpu_per_gib, seconds } = figures;
        println!("{:24} {mib_per_second:>10.0} {cpu_per_gib:>12.3} {seconds:>10.2}", peer.name);
    }
    for (peer, figures) in peers.iter().zip(&medians).skip(1) {
        let throughput = medians[0].mib_per_second / figures.mib_per_second;
        let cpu = medians[0].cpu_per_gib / figures.cpu_per_gib;
        println!("{}: {throughput:.2} of the throughput of {}, {cpu:.2} of its CPU", peers[0].name, peer.name);
    }
}

fn measure(peer: &Peer, clients: usize, work: Work<'_>) -> Figures {
    let cpu = cpu(peer.pid);
    let began = Instant::now();
    let bytes: u64 = std::thread::scope(|scope| {
        let running: Vec<_> = (0..clients).map(|client| scope.spawn(move || work(peer, client))).collect();
        running.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let seconds = began.elapsed().as_secs_f64();
    let used = self::cpu(peer.pid) - cpu;
    let mib = bytes as f64 / f64::from(1 << 20);
    Figures { mib_per_second: mib / seconds, cpu_per_gib: used.as_secs_f64() / (mib / 1024.0), seconds }
}

/// A file, again and again over one connection.
fn repeat(peer: &Peer, name: &str, bytes: u64, times: usize) -> u64 {
    let mut connection = Connection::open(&peer.address);
    let mut piece = vec![0; PIECE];
    let request = format!("GET {}{name} HTTP/1.1\r\nHost: {}\r\n\r\n", peer.path, peer.address);
    for _ in 0..times {
        connection.stream.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(connection.head(), (200, bytes));
        let mut left = bytes;
        while left > 0 {
            let most = left.min(PIECE as u64) as usize;
            let read = connection.stream.read(&mut piece[..most]).unwrap();
            assert_ne!(read, 0, "{} broke off", peer.name);
            left -= read as u64;
        }
    }
    bytes * times as u64
}

/// A large file under a name of the client's own.
fn upload(peer: &Peer, client: usize) -> u64 {
    let name = format!("up{client}");
    let (request, head, tail) = match peer.upload {
        Upload::Form => (
            format!("POST /upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"),
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"),
            format!("\r\n--{BOUNDARY}--\r\n"),
        ),
        _ => (format!("PUT /{name} HTTP/1.1\r\n"), String::new(), String::new()),
    };
    let length = LARGE + (head.len() + tail.len()) as u64;
    let request = format!("{request}Host: {}\r\nContent-Length: {length}\r\n\r\n{head}", peer.address);
    let mut connection = Connection::open(&peer.address);
    let stream = connection.stream.get_mut();
    let piece = vec![b'x'; PIECE];
    stream.write_all(request.as_bytes()).unwrap();
    for _ in 0..LARGE / PIECE as u64 {
        stream.write_all(&piece).unwrap();
    }
    stream.write_all(tail.as_bytes()).unwrap();
    let (status, _) = connection.head();
    assert!(status < 300, "{}: {status}", peer.name);
    if peer.upload == Upload::PutThenSync {
        File::open(peer.folder.join(name)).unwrap().sync_data().unwrap();
    }
    LARGE
}

struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // A small buffer: large reads pass it by.
        Self { stream: BufReader::with_capacity(1024, stream) }
    }

    /// Reads the head of an answer: its status and the length of the body.
    fn head(&mut self) -> (u16, u64) {
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            let line = self.line();
            if line.is_empty() {
                return (status, length);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_ascii_lowercase()
    }
}

/// User and system time of a process and its children, in the kernel's steps of 10 ms.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything, `utime` and `stime` are the 12th and 13th.
    let ticks = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().unwrap());
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let children = children.split_whitespace().map(|child| cpu(child.parse().unwrap()));
    Duration::from_millis(10 * ticks.sum::<u64>()) + children.sum::<Duration>()
}

fn status(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
