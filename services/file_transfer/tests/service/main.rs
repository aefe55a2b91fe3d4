//! The binary, asked over HTTP: by curl as people call it, by plain requests where curl is too polite.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod forms;
mod limits;
mod memory;
mod names;
mod page;
mod ranges;
mod replicas;
mod seed;
mod shutdown;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use provisioning_parts::{Answer, Service, program, send};

/// A folder, and replicas over it.
struct Volume {
    /// Where tests may put things of their own.
    scratch: tempfile::TempDir,
}

impl Volume {
    fn new() -> Self {
        Self { scratch: tempfile::tempdir().unwrap() }
    }

    /// The folder of the files.
    fn files(&self) -> PathBuf {
        self.scratch.path().join("files")
    }

    /// A replica with settings of its own.
    #[track_caller]
    fn serve_with(&self, env: &[(&str, &str)]) -> Service {
        let files = self.files();
        let mut all = vec![("FILES_DIR", files.to_str().unwrap()), ("MIN_FREE_BYTES", "0")];
        all.extend(env);
        Service::start(env!("CARGO_BIN_EXE_file-transfer"), all)
    }

    #[track_caller]
    fn serve(&self) -> Service {
        self.serve_with(&[])
    }

    /// Temporary files of unfinished uploads.
    fn unfinished(&self) -> usize {
        std::fs::read_dir(self.files().join(".uploads")).unwrap().count()
    }

    /// Writes a file beside the folder, to upload it or to compare with it.
    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Runs curl in a folder.
#[track_caller]
fn curl(folder: &Path, args: &[&str]) -> Output {
    Command::new(program("curl")).args(["-sS", "--max-time", "60"]).args(args).current_dir(folder).output().unwrap()
}

/// Runs curl; gives the status and the body.
#[track_caller]
fn ask(folder: &Path, args: &[&str]) -> (u16, String) {
    let args: Vec<&str> = args.iter().copied().chain(["-w", "\n%{http_code}"]).collect();
    let output = curl(folder, &args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap_or_else(|_| panic!("{output:?}")), body.to_owned())
}

const BOUNDARY: &str = "--------limit";
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=--------limit");

/// The body of a form with one file, the name as it is.
fn form_with(field: &str, file_name: &[u8], content: &[u8]) -> Vec<u8> {
    let disposition = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"");
    [disposition.as_bytes(), file_name, b"\"\r\n\r\n", content, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

/// Uploads without curl.
#[track_caller]
fn upload(service: &Service, name: &[u8], content: &[u8]) -> Answer {
    send("POST", &service.address, "/upload", &[MULTIPART], &form_with("file", name, content)).unwrap()
}

/// Uploads what has to be stored.
#[track_caller]
fn store(service: &Service, name: &str, content: &[u8]) {
    let answer = upload(service, name.as_bytes(), content);
    assert_eq!((answer.status, answer.text()), (200, ""));
}

/// The names that a replica lists.
#[track_caller]
fn listed(service: &Service) -> Vec<String> {
    let answer = send("GET", &service.address, "/files", &[("Accept", "application/json")], b"").unwrap();
    let files = answer.json();
    files.as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// An upload of which only the first bytes are sent for now.
struct Begun {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Begun {
    /// Sends head and half of the form.
    #[track_caller]
    fn half(service: &Service, name: &str, content: &[u8]) -> Self {
        let form = form_with("file", name.as_bytes(), content);
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            MULTIPART.1,
            form.len()
        );
        let mut stream = TcpStream::connect(&service.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (now, rest) = form.split_at(form.len() / 2);
        stream.write_all(&[head.as_bytes(), now].concat()).unwrap();
        Self { stream, rest: rest.to_vec() }
    }

    /// Sends the rest.
    #[track_caller]
    fn send_rest(&mut self) {
        self.stream.write_all(&self.rest).unwrap();
    }

    /// Status and body of the answer, as soon as it is there; sends nothing more.
    #[track_caller]
    fn answer(self) -> (u16, String) {
        let mut stream = BufReader::new(self.stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "no answer: {head:?}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
    }
}

/// Bytes that look like nothing and are known by their number.
fn content(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes: Vec<u8> = number.to_le_bytes().to_vec();
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length.max(8));
    bytes
}
