//! HTTP, as much as the client needs: one request over a connection of its own, names looked up as the services do.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use services_kit::connect::{Address, connect};
use tokio::time::timeout;

/// How long each step may take: to get the head of an answer, to get the next piece of its body. The agent takes up to
/// 10 s to look at a container.
const DEADLINE: Duration = Duration::from_secs(15);
/// As much of a refusal's reason as is read.
const REASON_BYTES: usize = 4096;

/// `http://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host and port as written, for the header.
    authority: String,
    address: Address,
    /// Begins with a slash.
    path: String,
}

/// A text is no URL that the client can ask.
#[derive(Debug, thiserror::Error)]
#[error("not of the form http://HOST[:PORT][/PATH]")]
pub struct UrlError;

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = text.strip_prefix("http://").ok_or(UrlError)?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let bare = authority.strip_prefix('[').map_or(authority, |v6| v6.rsplit(']').next().unwrap_or(v6));
        let whole = if bare.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#')) {
            return Err(UrlError);
        }
        let address = whole.parse().map_err(|_| UrlError)?;
        Ok(Self { authority: authority.to_owned(), address, path: path.to_owned() })
    }
}

impl Url {
    /// With a further path below its own.
    pub fn join(&self, path: &str) -> Self {
        Self { path: format!("{}/{path}", self.path.trim_end_matches('/')), ..self.clone() }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// A text as one part of a path.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
        path
    })
}

/// There is no answer, or it says no. One line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there.
    #[error("cannot reach {url}: {reason}")]
    Away {
        /// What was asked for.
        url: Url,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{url} gave no answer in {} s", DEADLINE.as_secs())]
    Slow {
        /// What was asked for.
        url: Url,
    },
    /// The answer broke off.
    #[error("the answer of {url} broke off: {reason}")]
    Broken {
        /// What was asked for.
        url: Url,
        /// Why.
        reason: String,
    },
    /// The answer is longer than it may be.
    #[error("the answer of {url} is longer than {limit} bytes")]
    Long {
        /// What was asked for.
        url: Url,
        /// How long it may be.
        limit: usize,
    },
    /// It says no.
    #[error("{status}: {reason}")]
    Refused {
        /// The status, with its words.
        status: String,
        /// The first line of what it says.
        reason: String,
    },
}

/// An answer of 2xx, whose body comes piece by piece.
pub struct Answer {
    url: Url,
    body: Incoming,
}

/// Asks; a body is JSON.
///
/// # Errors
/// See [`Error`].
pub async fn ask(method: &str, url: &Url, body: Option<Bytes>) -> Result<Answer, Error> {
    let response = match timeout(DEADLINE, exchange(method, url, body)).await {
        Ok(response) => response.map_err(|reason| Error::Away { url: url.clone(), reason })?,
        Err(_) => return Err(Error::Slow { url: url.clone() }),
    };
    let status = response.status();
    let answer = Answer { url: url.clone(), body: response.into_body() };
    if status.is_success() {
        return Ok(answer);
    }
    let reason = answer.all(REASON_BYTES).await.unwrap_or_default();
    let reason = String::from_utf8_lossy(&reason).lines().next().unwrap_or_default().trim().to_owned();
    Err(Error::Refused { status: status.to_string(), reason })
}

async fn exchange(method: &str, url: &Url, body: Option<Bytes>) -> Result<Response<Incoming>, String> {
    let stream = connect(&url.address).await.map_err(|error| error.to_string())?;
    let request = Request::builder()
        .method(method)
        .uri(url.path.as_str())
        .header(HOST, &url.authority)
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close");
    let request = match &body {
        Some(_) => request.header(CONTENT_TYPE, "application/json"),
        None => request,
    };
    let request = request.body(Full::new(body.unwrap_or_default())).map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // What fails there fails the request or its body too.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| error.to_string())
}

impl Answer {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// It breaks off, or does not come in time.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = timeout(DEADLINE, poll_fn(|context| Pin::new(&mut self.body).poll_frame(context))).await;
            match frame.map_err(|_| Error::Slow { url: self.url.clone() })? {
                None => return Ok(None),
                // Others are trailers.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => return Err(Error::Broken { url: self.url.clone(), reason: error.to_string() }),
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Answer::next`]; or it is longer than the limit.
    pub async fn all(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > limit {
                return Err(Error::Long { url: self.url, limit });
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(&str, u16, &str)>) {
        let url = text.parse::<Url>().ok();
        let got = url.as_ref().map(|url| (url.address.host.as_str(), url.address.port, url.path.as_str()));
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn urls() {
        check("http://registry", Some(("registry", 80, "/")));
        check("http://192.168.50.2:5001", Some(("192.168.50.2", 5001, "/")));
        check("http://registry:80/a/b/", Some(("registry", 80, "/a/b/")));
        check("http://[::1]:5004/", Some(("::1", 5004, "/")));
        check("http://[::1]", Some(("::1", 80, "/")));
        for wrong in
            ["", "registry:80", "https://registry", "http://", "http://:80", "http://a:b", "http://a b", "http://u@a"]
        {
            check(wrong, None);
        }
        let url: Url = "http://registry:80/base/".parse().unwrap();
        assert_eq!(url.join("service").to_string(), "http://registry:80/base/service");
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(encoded("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(encoded("/a b?"), "%2Fa%20b%3F");
    }
}
