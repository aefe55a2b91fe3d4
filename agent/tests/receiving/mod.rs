//! A remote-write receiver that answers as it is told and remembers what it got: for what real receivers do seldom.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use prost::Message;

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    pub head: String,
    pub series: Vec<TimeSeries>,
    pub metadata: Vec<Metadata>,
    /// What was answered.
    pub status: u16,
}

impl Received {
    /// The sample of the series with this name, if it is there: value and time.
    pub fn sample(&self, name: &str) -> Option<(f64, i64)> {
        let wanted = |series: &&TimeSeries| series.labels.iter().any(|l| l.name == "__name__" && l.value == name);
        self.series.iter().find(wanted).map(|series| (series.samples[0].value, series.samples[0].timestamp))
    }
}

pub struct ReceiverStub {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl ReceiverStub {
    /// `answer` is told the number of a request, from 0, and gives the head of its answer after `HTTP/1.1 `.
    pub fn start(answer: impl Fn(usize) -> &'static str + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/v1/write?token=not-to-be-shown", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &memory, &answer);
            }
        });
        Self { url, received }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// Answers on one connection until it ends.
fn serve(mut stream: TcpStream, memory: &Mutex<Vec<Received>>, answer: &impl Fn(usize) -> &'static str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        let body = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let WriteRequest { series, metadata } = WriteRequest::decode(body.as_slice()).unwrap();
        let answer = {
            let mut memory = memory.lock().unwrap();
            let answer = answer(memory.len());
            let status = answer.split(' ').next().unwrap().parse().unwrap();
            memory.push(Received { at: Instant::now(), head, series, metadata, status });
            answer
        };
        let text = "why it is so\n";
        let length =
            if answer.starts_with("204") { String::new() } else { format!("Content-Length: {}\r\n", text.len()) };
        let text = if length.is_empty() { "" } else { text };
        write!(stream, "HTTP/1.1 {answer}\r\n{length}\r\n{text}").unwrap();
    }
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub family: String,
    #[prost(string, tag = "4")]
    pub help: String,
}
