//! A file as an answer: its headers, and its bytes in pieces.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prometheus_client::metrics::counter::Counter;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::{JoinHandle, spawn_blocking};

use super::App;
use super::buffers::Buffers;
use super::conditions::{Version, Wanted, wanted};
use crate::store::{Name, Stored};

/// What RFC 8187 lets stand as it is in a name, of what is not a letter or a digit.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All of it: 200.
pub(super) fn whole(app: &App, name: &Name, stored: Stored) -> Response {
    answer(app, name, stored, Wanted::All)
}

/// What the headers of the request ask for: 200, 206, 304, 412 or 416.
pub(super) fn asked_for(app: &App, name: &Name, stored: Stored, headers: &HeaderMap) -> Response {
    let version = Version { tag: &stored.tag, modified: stored.modified, bytes: stored.bytes };
    let wanted = wanted(headers, version);
    answer(app, name, stored, wanted)
}

fn answer(app: &App, name: &Name, stored: Stored, wanted: Wanted) -> Response {
    let bytes = stored.bytes;
    let mut headers = HeaderMap::new();
    // Every value is ASCII without control characters, so none is refused.
    let mut put = |name, value: String| HeaderValue::try_from(value).map(|value| headers.insert(name, value)).is_ok();
    put(ETAG, stored.tag);
    put(LAST_MODIFIED, httpdate::fmt_http_date(stored.modified));
    put(ACCEPT_RANGES, "bytes".to_owned());
    let (status, from, to) = match wanted {
        Wanted::Nothing => return (StatusCode::NOT_MODIFIED, headers).into_response(),
        Wanted::Another => return (StatusCode::PRECONDITION_FAILED, headers, "the file has changed\n").into_response(),
        Wanted::Beyond => {
            put(CONTENT_RANGE, format!("bytes */{bytes}"));
            let reason = format!("the file has {bytes} bytes\n");
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers, reason).into_response();
        }
        Wanted::All => (StatusCode::OK, 0, bytes),
        Wanted::Part { from, to } => {
            put(CONTENT_RANGE, format!("bytes {from}-{}/{bytes}", to.saturating_sub(1)));
            (StatusCode::PARTIAL_CONTENT, from, to)
        }
    };
    put(CONTENT_LENGTH, to.saturating_sub(from).to_string());
    put(CONTENT_TYPE, mime_guess::from_path(name.as_str()).first_or_octet_stream().to_string());
    put(CONTENT_DISPOSITION, disposition(name));
    // Whatever somebody has put here does not run as a page of ours.
    put(X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    put(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned());
    let content = Content {
        file: Arc::new(stored.file),
        at: from,
        end: to,
        reading: None,
        cached: true,
        buffers: Arc::clone(&app.buffers),
        sent: app.metrics.sent_bytes.clone(),
    };
    (status, headers, Body::new(content)).into_response()
}

/// The name in the two forms of RFC 6266: plain for who knows no better, and encoded.
fn disposition(name: &Name) -> String {
    let plain: String =
        name.as_str().chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '\\' | '%') { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name.as_str(), KEPT))
}

/// Bytes of a file, read piece by piece as the network takes them.
///
/// What the kernel has in memory is read at once. For what it has not, a thread waits, which makes the kernel read
/// ahead, so that the next pieces mostly are there.
struct Content {
    file: Arc<File>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<(Vec<u8>, io::Result<usize>)>>,
    /// Whether the file system can tell what it has in memory.
    cached: bool,
    buffers: Arc<Buffers>,
    sent: Counter,
}

impl Content {
    /// Reads what is in memory; none where nothing is.
    fn read_cached(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        if !self.cached {
            return None;
        }
        match rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(buffer)], self.at, ReadWriteFlags::NOWAIT) {
            Ok(read) => Some(Ok(read)),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                // Not every file system can; a true failure shows again below.
                self.cached = false;
                None
            }
        }
    }

    fn hand_over(&mut self, buffer: Vec<u8>, read: io::Result<usize>) -> Option<io::Result<Frame<Bytes>>> {
        match read {
            // The length has been told: a shorter answer has to end in a failure.
            Ok(0) => {
                Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short while it was sent")))
            }
            Ok(read) => {
                self.at += read as u64;
                self.sent.inc_by(read as u64);
                Some(Ok(Frame::data(self.buffers.send(buffer, read))))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => {
                let mut buffer = self.buffers.take();
                let length = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
                if let Some(read) = self.read_cached(buffer.get_mut(..length).unwrap_or_default()) {
                    return Poll::Ready(self.hand_over(buffer, read));
                }
                let (file, at) = (Arc::clone(&self.file), self.at);
                spawn_blocking(move || {
                    let read = file.read_at(buffer.get_mut(..length).unwrap_or_default(), at);
                    (buffer, read)
                })
            }
        };
        let Poll::Ready(done) = Pin::new(&mut reading).poll(context) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        match done {
            Ok((buffer, read)) => Poll::Ready(self.hand_over(buffer, read)),
            Err(error) => Poll::Ready(Some(Err(io::Error::other(error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end.saturating_sub(self.at))
    }
}
