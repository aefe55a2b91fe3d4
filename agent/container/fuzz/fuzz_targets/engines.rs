//! Whatever may answer at the socket of a runtime: a page is printed all the same, and can be read.
//!
//! The first byte chooses the runtime, and whether answers come in HTTP's form or are the bytes themselves. Lines of
//! `--` part what is answered to the questions: for the version, the list, one container, the events.
#![no_main]

mod machine;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use agent_container::{Containers, LabelPolicy, fuzzing};
use machine::{Machine, check_page};

/// How long the engine waits for more questions before it hangs up.
const PAUSE: Duration = Duration::from_millis(2);
/// Longer than any talk, but one with CRI-O, which nothing ends.
const LONG: Duration = Duration::from_secs(2);

struct Stage {
    machine: Machine,
    answers: Sender<Vec<u8>>,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    // A program in Rust ignores it from its start, but this one starts as one in C++.
    // SAFETY: no other thread runs yet, and to ignore a signal calls nothing back.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let machine = Machine::from_fixture("v2");
    let listener = UnixListener::bind(machine.path("engine.sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (answers, inputs) = channel();
    std::thread::spawn(move || serve(&listener, &inputs));
    Stage { machine, answers }
});

/// Answers as the newest input says; hangs up when nobody has asked for a while.
fn serve(listener: &UnixListener, inputs: &Receiver<Vec<u8>>) {
    let (mut input, mut held) = (Vec::new(), Vec::new());
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                input = inputs.try_iter().last().unwrap_or(input);
                held.extend(answer(stream, &input));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(PAUSE);
                held.clear();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// One answer; the stream stays open, as one of events does.
fn answer(mut stream: UnixStream, input: &[u8]) -> Option<UnixStream> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(PAUSE)).ok()?;
    stream.set_write_timeout(Some(LONG)).ok()?;
    let mut question = [0; 2048];
    let length = stream.read(&mut question).ok()?;
    let question = String::from_utf8_lossy(&question[..length]);
    let path = question.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let (mode, bytes) = input.split_first()?;
    let number = match path {
        path if path.ends_with("/version") || path == "/info" => 0,
        path if path.ends_with("/containers/json") => 1,
        path if path.ends_with("/events") => 3,
        _ => 2,
    };
    let part = parts(bytes).nth(number).unwrap_or_default();
    if mode & 4 != 0 {
        stream.write_all(bytes).ok()?;
    } else if number == 3 {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok()?;
        stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).ok()?;
        stream.write_all(&[part, b"\r\n"].concat()).ok()?;
    } else {
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", part.len()).as_bytes()).ok()?;
        stream.write_all(part).ok()?;
    }
    Some(stream)
}

/// What stands between lines of `--`.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let whole = rest?;
        match whole.windows(4).position(|window| window == b"\n--\n") {
            Some(at) => {
                rest = Some(&whole[at + 4..]);
                Some(&whole[..at])
            }
            None => rest.take(),
        }
    })
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some(mode) = input.first() else { return };
    STAGE.answers.send(input.to_vec()).unwrap();
    let socket = STAGE.machine.path("engine.sock").display().to_string();
    let mut config = STAGE.machine.config();
    config.labels = LabelPolicy { variables: vec!["A".to_owned()], ..LabelPolicy::default() };
    let longest = match mode % 4 {
        0 => {
            config.docker = Some(format!("unix://{socket}"));
            LONG
        }
        1 => {
            config.podman = Some(format!("unix://{socket}"));
            LONG
        }
        2 => {
            config.crio = Some(socket);
            Duration::from_millis(20)
        }
        _ => {
            config.containerd = Some(socket);
            LONG
        }
    };
    let containers = Containers::new(config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // What CRI-O is asked about a scrape has found.
        if mode % 4 == 2 {
            check_page(&containers);
        }
        fuzzing::talk(&containers, longest).await;
        check_page(&containers);
    });
});
