//! HTTP without ceremony: one request on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// The status line and the headers, as sent.
    pub head: String,
    /// The body, without the marks of a chunked transfer.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body, which must be text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Sends a request; waits up to 20 s for each piece of the answer. `Err` when the peer cannot be reached or does not
/// answer in HTTP.
pub fn send(method: &str, address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, String> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" || method == "PUT" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).map_err(failed)?;
    // One that refuses early may not read the rest; its answer is what counts.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    if let Err(e) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        return Err(failed(sent.err().unwrap_or(e)));
    }
    parse(&answer, method == "HEAD")
        .ok_or_else(|| format!("{address}: no HTTP: {:?}", String::from_utf8_lossy(&answer)))
}

/// Reads an answer; one to HEAD has no body, whatever its headers say of it.
fn parse(answer: &[u8], to_head: bool) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..end].to_vec()).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, head, body: answer[end + 4..].to_vec() };
    let chunked = answer.header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    if chunked && !to_head {
        answer.body = joined(&answer.body)?;
    }
    Some(answer)
}

/// The chunks of a body put together; none where it breaks off.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&chunks[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend(chunks.get(end + 2..end + 2 + size)?);
        chunks = chunks.get(end + 2 + size + 2..)?;
    }
}

/// A request with a form in its body; gives status and body. `Err` when the peer cannot be reached.
pub fn request(method: &str, address: &str, path: &str, form: &str) -> Result<(u16, String), String> {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = send(method, address, path, &headers, form.as_bytes())?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

/// `GET`, expecting 200.
pub fn get(address: &str, path: &str) -> Result<String, String> {
    match request("GET", address, path, "")? {
        (200, body) => Ok(body),
        (status, body) => Err(format!("{status}: {body}")),
    }
}

/// A form of one field after another.
pub fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(answer: &str, want: Option<(u16, &str)>) {
        let got = parse(answer.as_bytes(), false).map(|answer| (answer.status, answer.text().to_owned()));
        assert_eq!(got, want.map(|(status, body)| (status, body.to_owned())));
    }

    #[test]
    fn answers_are_read() {
        check("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", Some((200, "body")));
        check("HTTP/1.1 404 Not Found\r\n\r\n", Some((404, "")));
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
            Some((200, "abc0123456789")),
        );
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", None);
        check("HTTP/1.1 200 OK\r\n", None);
        check("nonsense\r\n\r\n", None);
    }
}
