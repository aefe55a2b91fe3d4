//! Something to do for each service, so that each has something to tell.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use provisioning_parts::{Service, send};

use crate::stack::Services;

/// Rounds until it is to stop.
pub fn run(services: &Services, stop: impl Fn() -> bool) {
    let mut number = 0;
    while !stop() {
        round(services, number);
        number += 1;
        // Pace, not waiting: what it gives is a rate.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One of each, and of each something that is refused.
fn round(services: &Services, number: u32) {
    upload(&services.files, &format!("{}.txt", number % 10));
    upload(&services.files, ".refused");
    ask(&services.files, "GET", &format!("/files/{}.txt", number % 10), &[], "");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let voter = format!("voter_id={:016x}", number % 100);
    let vote = if number.is_multiple_of(3) { "vote=a" } else { "vote=b" };
    ask(&services.vote, "POST", "/", &[form, ("Cookie", &voter)], vote);
    ask(&services.result, "GET", "/api/result", &[], "");
    ask(&services.worker, "GET", "/", &[], "");
    ask(&services.hits, "GET", "/", &[], "");
    let json = [("Content-Type", "application/json")];
    ask(&services.registry, "POST", "/service", &json, &format!("{{\"id\": \"{number}\"}}"));
    ask(&services.registry, "GET", "/service/0", &[], "");
    ask(&services.echo, "GET", "/nothing", &[], "");
    say(&services.lines);
}

/// Whatever the answer is: that services answer well is for their own tests.
fn ask(service: &Service, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
    send(method, &service.address, path, headers, body.as_bytes()).unwrap();
}

fn upload(service: &Service, name: &str) {
    let kind = [("Content-Type", "multipart/form-data; boundary=b")];
    let part = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    ask(service, "POST", "/upload", &kind, &format!("--b\r\n{part}\r\n\r\nhello\r\n--b--\r\n"));
}

fn say(lines: &str) {
    let mut stream = TcpStream::connect(lines).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"hello\n").unwrap();
    BufReader::new(stream).read_line(&mut String::new()).unwrap();
}
