//! The echo server beside socat and a server in Python that does what the first of its kind did, in one run with one
//! client: connections with one line each, and lines over connections that stay.
//!
//! Both servers that log write each line of it to /dev/null. Socat forks for each connection and gives back what it
//! got. The Python server takes one connection after another and one message of each, so that its lines a second are
//! its connections a second. Figures depend on the machine, whose cores the client shares; the ratios are what to
//! compare.
//!
//! `cargo bench --profile service -p services-echo --bench peers`. Needs `apt-get install socat python3`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long each measurement lasts, and how often each is taken, in turns; the median counts.
const LASTS: Duration = Duration::from_secs(2);
const RUNS: usize = 3;
/// Connections that are open at the same time.
const PEERS: usize = 8;
/// Lines that a peer sends before it reads their answers.
const BATCH: usize = 50;
const MESSAGE: &str = "[CLIENT 1] Message number 1 sent";

const PYTHON: &str = r#"
import logging, socket, sys
logging.basicConfig(format='%(asctime)s %(levelname)-8s %(message)s', level=logging.INFO, datefmt='%Y-%m-%d %H:%M:%S')
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('0.0.0.0', int(sys.argv[1])))
listener.listen(128)
while True:
    logging.info('Proceed to accept new connections')
    peer, address = listener.accept()
    logging.info('Got connection from %s', address)
    try:
        message = peer.recv(1024).rstrip()
        logging.info('Message received from connection %s. Msg: %s', address, message)
        peer.send('Your Message has been received: {}\n'.format(message).encode('utf-8'))
    except OSError:
        logging.info('Error while reading socket %s', peer)
    finally:
        peer.close()
"#;

#[derive(Clone, Copy, PartialEq)]
enum Server {
    Ours,
    Socat,
    Python,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "echo-server",
            Self::Socat => "socat, a fork each",
            Self::Python => "Python, one at a time",
        }
    }

    fn command(self, port: u16) -> Command {
        let port = port.to_string();
        let (program, arguments) = match self {
            Self::Ours => (env!("CARGO_BIN_EXE_echo-server"), vec![]),
            Self::Socat => {
                // PIPE gives back what comes, without another program.
                let listen = format!("TCP-LISTEN:{port},fork,reuseaddr,backlog=1024,nodelay");
                ("socat", vec![listen, "PIPE".to_owned()])
            }
            Self::Python => ("python3", vec!["-c".to_owned(), PYTHON.to_owned(), port.clone()]),
        };
        let mut command = Command::new(program);
        command.args(arguments).env("SERVER_PORT", port).env("BIND_ADDRESS", "0.0.0.0").env("BIND_PORT", "0");
        command
    }

    /// What comes back for the message.
    fn answer(self) -> String {
        match self {
            Self::Socat => format!("{MESSAGE}\n"),
            _ => format!("Your Message has been received: b'{MESSAGE}'\n"),
        }
    }
}

/// A server that listens. It is killed when dropped.
struct Running {
    server: Server,
    process: Child,
    port: u16,
}

impl Running {
    fn start(server: Server) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let null = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap());
        let process = server.command(port).stdin(Stdio::null()).stdout(null()).stderr(null()).spawn();
        let process = process.unwrap_or_else(|e| panic!("{}: {e}; apt-get install socat python3", server.name()));
        let running = Self { server, process, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(running.address(0)).is_err() {
            assert!(Instant::now() < deadline, "{} does not listen", server.name());
            std::thread::sleep(Duration::from_millis(10));
        }
        running
    }

    /// Where a peer finds it: each peer at another of loopback's addresses, so that none runs out of ports.
    fn address(&self, peer: usize) -> (Ipv4Addr, u16) {
        (Ipv4Addr::new(127, 0, 0, u8::try_from(peer + 1).unwrap()), self.port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lets all peers work for the time, in a thread each; gives how often one of them did, a second.
fn rate(work: impl Fn(usize, &AtomicU64, &AtomicBool) + Sync) -> f64 {
    let (count, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for peer in 0..PEERS {
            let (work, count, over) = (&work, &count, &over);
            scope.spawn(move || work(peer, count, over));
        }
        std::thread::sleep(LASTS);
        over.store(true, Ordering::Relaxed);
    });
    count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

/// A connection for each line.
fn connections(running: &Running) -> f64 {
    let want = running.server.answer();
    let message = format!("{MESSAGE}\n");
    rate(|peer, count, over| {
        let mut got = vec![0; want.len()];
        while !over.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(running.address(peer)).unwrap();
            stream.write_all(message.as_bytes()).unwrap();
            stream.read_exact(&mut got).unwrap();
            assert_eq!(got, want.as_bytes());
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// Lines over connections that stay, `batch` of them at a time.
fn lines(running: &Running, batch: usize) -> f64 {
    let message = format!("{MESSAGE}\n").repeat(batch);
    let want = running.server.answer().repeat(batch);
    rate(|peer, count, over| {
        let mut stream = BufReader::new(TcpStream::connect(running.address(peer)).unwrap());
        stream.get_ref().set_nodelay(true).unwrap();
        let mut got = vec![0; want.len()];
        while !over.load(Ordering::Relaxed) {
            stream.get_mut().write_all(message.as_bytes()).unwrap();
            stream.read_exact(&mut got).unwrap();
            assert_eq!(got, want.as_bytes());
            count.fetch_add(batch as u64, Ordering::Relaxed);
        }
    })
}

/// Seconds until a peer is answered while another is connected and says nothing; nothing after a while.
fn beside_a_silent_peer(running: &Running) -> Option<Duration> {
    let _silent = TcpStream::connect(running.address(0)).unwrap();
    let began = Instant::now();
    let mut stream = BufReader::new(TcpStream::connect(running.address(0)).unwrap());
    stream.get_ref().set_read_timeout(Some(LASTS)).unwrap();
    stream.get_mut().write_all(format!("{MESSAGE}\n").as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).is_ok().then(|| began.elapsed())
}

type Measure<'a> = &'a dyn Fn(&Running) -> f64;

/// Measures in turns; gives the median of each.
fn compare<const N: usize>(measures: [(Server, Measure<'_>); N]) -> [f64; N] {
    let mut rates: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..RUNS {
        for ((server, measure), rates) in measures.iter().zip(&mut rates) {
            rates.push(measure(&Running::start(*server)));
        }
    }
    rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[RUNS / 2]
    })
}

fn main() {
    println!("\n{PEERS} peers at once on loopback; median of {RUNS} runs of {LASTS:?}, with the log to /dev/null\n");
    let one: Measure<'_> = &connections;
    let [ours, socat, python] = compare([(Server::Ours, one), (Server::Socat, one), (Server::Python, one)]);
    println!("connections a second, a line each");
    for (server, rate) in [(Server::Ours, ours), (Server::Socat, socat), (Server::Python, python)] {
        println!("  {:24} {rate:>10.0}   echo-server is {:.1} times that", server.name(), ours / rate);
    }

    let turn: Measure<'_> = &|running| lines(running, 1);
    let batch: Measure<'_> = &|running| lines(running, BATCH);
    let [turn_ours, turn_socat, batch_ours, batch_socat] =
        compare([(Server::Ours, turn), (Server::Socat, turn), (Server::Ours, batch), (Server::Socat, batch)]);
    for (title, ours, socat) in [
        ("lines a second, each answered before the next".to_owned(), turn_ours, turn_socat),
        (format!("lines a second, {BATCH} at a time"), batch_ours, batch_socat),
    ] {
        println!("{title}");
        for (server, rate) in [(Server::Ours, ours), (Server::Socat, socat), (Server::Python, python)] {
            println!("  {:24} {rate:>10.0}   echo-server is {:.1} times that", server.name(), ours / rate);
        }
    }

    println!("milliseconds to an answer while another peer is silent");
    for server in [Server::Ours, Server::Socat, Server::Python] {
        let waited = beside_a_silent_peer(&Running::start(server));
        let waited = waited.map_or("none".to_owned(), |waited| format!("{:.2}", waited.as_secs_f64() * 1e3));
        println!("  {:24} {waited:>10}", server.name());
    }
}
