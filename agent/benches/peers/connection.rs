//! A scraper: one connection, one request after another.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How a page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text, as it is.
    Plain,
    /// Text, compressed.
    Gzip,
    /// What Prometheus asks for: OpenMetrics if there is any (node_exporter has text alone), compressed.
    OpenMetrics,
}

impl Form {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Gzip, Self::OpenMetrics];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::OpenMetrics => "gzip, as Prometheus asks",
        }
    }

    fn headers(self) -> &'static str {
        match self {
            Self::Plain => "Accept: text/plain;version=0.0.4\r\n",
            Self::Gzip => "Accept: text/plain;version=0.0.4\r\nAccept-Encoding: gzip\r\n",
            Self::OpenMetrics => {
                "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n"
            }
        }
    }
}

pub struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream), address: address.to_owned() }
    }

    /// Asks once and gives the number of bytes of the page, as sent.
    pub fn scrape(&mut self, form: Form) -> usize {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nUser-Agent: Prometheus/3.0.0\r\n\
             X-Prometheus-Scrape-Timeout-Seconds: 10\r\n{}\r\n",
            self.address,
            form.headers()
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let status = self.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        let (mut length, mut is_gzip) = (None, false);
        loop {
            let header = self.line().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            is_gzip |= header == "content-encoding: gzip";
            length = header.strip_prefix("content-length: ").map(|n| n.parse().unwrap()).or(length);
        }
        assert_eq!(is_gzip, form != Form::Plain, "compressed, or not, against what was asked");
        if let Some(length) = length {
            return self.take(length);
        }
        let mut bytes = 0;
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            bytes += self.take(size);
            self.line();
            if size == 0 {
                return bytes;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn take(&mut self, length: usize) -> usize {
        let read = std::io::copy(&mut (&mut self.stream).take(length as u64), &mut std::io::sink()).unwrap();
        assert_eq!(read, length as u64, "the page ends early");
        length
    }
}
